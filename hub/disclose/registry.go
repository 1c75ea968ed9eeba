package disclose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Somebody is a person as those see it who keep the register of people: everything under which it is known, why that is one person, and what is known of it
// beside statements.
type Somebody struct {
	Person   uuid.UUID      `json:"person"` // the lowest of its subjects
	Subjects []SubjectShown `json:"subjects"`
	Facts    []people.Fact  `json:"facts"` // of the caller's purpose
	Links    []vault.Linked `json:"links"` // those that were taken back too
}

// SubjectShown is a subject with its identifier.
type SubjectShown struct {
	Subject    uuid.UUID       `json:"subject"`
	Identifier json.RawMessage `json:"identifier,omitempty"` // an xAPI agent; absent for an anonymous group, and after an erasure
}

// Whom names somebody: a subject, or an agent.
type Whom struct {
	Subject uuid.UUID
	Agent   *xapi.Agent // instead of the subject
}

// When says as of when facts are asked for, as they were known at another time; zero: now. All asks for all that was ever believed.
type When struct {
	AsOf, KnownAt time.Time
	All           bool
}

// Somebody shows who a person is. Errors: access.ErrDenied, vault.ErrUnknownSubject.
func (r *Road) Somebody(ctx context.Context, caller access.Caller, whom Whom, when When) (Somebody, error) {
	s, err := r.open(ctx, caller, access.Persons)
	if err != nil {
		return Somebody{}, err
	}
	if when.AsOf.IsZero() {
		when.AsOf = r.now()
	}
	var shown Somebody
	err = r.db.ReadTenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		shown = Somebody{Subjects: []SubjectShown{}, Facts: []people.Fact{}, Links: []vault.Linked{}}
		subject := whom.Subject
		if whom.Agent != nil {
			var err error
			if subject, err = r.vault.Find(ctx, tx, whom.Agent.Identifier); err != nil {
				return err
			}
		}
		linked, err := r.vault.Person(ctx, tx, subject)
		if err != nil {
			return err
		}
		if len(linked) == 0 {
			return vault.ErrUnknownSubject
		}
		shown.Person = linked[0]
		if shown.Subjects, err = s.identify(ctx, tx, linked); err != nil {
			return err
		}
		if shown.Links, err = r.vault.Links(ctx, tx, linked); err != nil {
			return err
		}
		shown.Facts, err = s.facts(ctx, tx, linked, when)
		return err
	})
	unknown := errors.Is(err, vault.ErrUnknownSubject) || errors.Is(err, vault.ErrShredded)
	if err != nil && !unknown {
		return Somebody{}, fmt.Errorf("show a person: %w", err)
	}
	var subjects []uuid.UUID
	for _, i := range shown.Subjects {
		subjects = append(subjects, i.Subject)
	}
	told := s.record(ctx, audit.Event{Kind: audit.PersonRead, Subjects: subjects, Fields: map[string]any{
		"facts": len(shown.Facts), "links": len(shown.Links), "grants": s.decision.Grants, "policy": s.decision.Revision,
	}})
	if told != nil {
		return Somebody{}, told
	}
	if unknown {
		return Somebody{}, vault.ErrUnknownSubject
	}
	return shown, nil
}

// identify gives subjects with their identifiers.
func (s *session) identify(ctx context.Context, tx *database.Tx, subjects []uuid.UUID) ([]SubjectShown, error) {
	texts, err := s.road.vault.Identifiers(ctx, tx, subjects)
	if err != nil {
		return nil, err
	}
	list := make([]SubjectShown, len(subjects))
	for i, subject := range subjects {
		list[i] = SubjectShown{subject, texts[subject]}
	}
	return list, nil
}

// facts gives those facts of subjects that are kept for the caller's purpose.
func (s *session) facts(ctx context.Context, tx *database.Tx, subjects []uuid.UUID, when When) ([]people.Fact, error) {
	purpose, err := people.FindPurpose(ctx, tx, s.caller.Purpose)
	if err != nil {
		return nil, err
	}
	var found map[uuid.UUID][]people.Fact
	if when.All {
		found, err = people.History(ctx, tx, s.road.vault, subjects)
	} else {
		found, err = people.FactsAt(ctx, tx, s.road.vault, subjects, when.AsOf, when.KnownAt)
	}
	if err != nil {
		return nil, err
	}
	list := []people.Fact{}
	for _, subject := range subjects {
		for _, f := range found[subject] {
			if f.Purpose == purpose.ID {
				list = append(list, f)
			}
		}
	}
	return list, nil
}

// ToDecide is a claim that reaches more than one person, with those who have it.
type ToDecide struct {
	vault.Review
	Subjects []SubjectShown `json:"subjects"`
}

// ToDecide lists what a human has to decide of who is who, or with another state than open what was decided. Errors: access.ErrDenied.
func (r *Road) ToDecide(ctx context.Context, caller access.Caller, state string, limit int) ([]ToDecide, error) {
	s, err := r.open(ctx, caller, access.Persons)
	if err != nil {
		return nil, err
	}
	var list []ToDecide
	var subjects []uuid.UUID
	err = r.db.ReadTenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		list, subjects = []ToDecide{}, nil
		reviews, err := r.vault.Reviews(ctx, tx, state, limit)
		if err != nil {
			return err
		}
		for _, review := range reviews {
			var holders []uuid.UUID
			for _, h := range review.Holders {
				if len(holders) == 0 || holders[len(holders)-1] != h.Subject { // they come in order
					holders = append(holders, h.Subject)
				}
			}
			shown, err := s.identify(ctx, tx, holders)
			if err != nil {
				return err
			}
			list, subjects = append(list, ToDecide{review, shown}), append(subjects, holders...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list what is to be decided: %w", err)
	}
	return list, s.record(ctx, audit.Event{Kind: audit.ReviewRead, Subjects: subjects, Fields: map[string]any{
		"reviews": len(list), "grants": s.decision.Grants, "policy": s.decision.Revision,
	}})
}
