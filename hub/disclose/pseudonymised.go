package disclose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// truncate is how exact times are in the pseudonymised form: a day.
func truncate(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(24 * time.Hour)
}

// The pseudonymised form is made of clear columns only; nothing is opened. Each part stands only where the decision names its column.
type pseudonymised struct {
	ID        *uuid.UUID         `json:"id,omitempty"`
	Actor     json.RawMessage    `json:"actor,omitempty"`
	Verb      *identifiedBy      `json:"verb,omitempty"`
	Object    *pseudonymisedGoal `json:"object,omitempty"`
	Result    *result            `json:"result,omitempty"`
	Context   *statementContext  `json:"context,omitempty"`
	Timestamp string             `json:"timestamp,omitempty"`
	Stored    string             `json:"stored,omitempty"`
	Version   string             `json:"version,omitempty"`
}

type identifiedBy struct {
	ID string `json:"id"`
}

type pseudonymisedGoal struct {
	ObjectType string          `json:"objectType"`
	ID         string          `json:"id,omitempty"`
	Account    json.RawMessage `json:"account,omitempty"`
}

type statementContext struct {
	Registration uuid.UUID `json:"registration"`
}

type result struct {
	Score      *score `json:"score,omitempty"`
	Success    *bool  `json:"success,omitempty"`
	Completion *bool  `json:"completion,omitempty"`
}

type score struct {
	Scaled *float64 `json:"scaled,omitempty"`
	Raw    *float64 `json:"raw,omitempty"`
	Min    *float64 `json:"min,omitempty"`
	Max    *float64 `json:"max,omitempty"`
}

func (s *session) pseudonymised(ctx context.Context, tx *database.Tx, rows []records.Row, out *shown) error {
	subjects := map[uuid.UUID]bool{}
	for i := range rows {
		row := &rows[i]
		// Nothing of it is needed, but whoever's key was destroyed is gone from every form.
		if _, err := s.tenant.Unwrap(row.Actor, vault.Learning, row.Epoch, row.Wrapped); errors.Is(err, vault.ErrShredded) {
			continue
		} else if err != nil {
			return fmt.Errorf("statement %s: %w", row.ID, err)
		}
		verb, err := s.road.dictionary.VerbIRI(ctx, tx, row.Verb)
		if err != nil {
			return err
		}
		form, err := s.pseudonymise(row, verb)
		if err != nil {
			return fmt.Errorf("pseudonymise statement: %w", err)
		}
		text, err := json.Marshal(form)
		if err != nil {
			return err
		}
		out.statements, out.positions = append(out.statements, text), append(out.positions, row.Seq)
		subjects[row.Actor] = true
	}
	out.subjects = keys(subjects)
	return nil
}

func (s *session) pseudonymise(row *records.Row, verb string) (pseudonymised, error) {
	var p pseudonymised
	columns := s.decision.Columns
	if columns["version"] {
		p.Version = row.Version.StatementVersion()
	}
	if columns["id"] {
		id, err := s.pseudonym(row.ID)
		if err != nil {
			return p, err
		}
		p.ID = &id
	}
	if columns["actor"] {
		id, err := s.pseudonym(row.Actor)
		if err != nil {
			return p, err
		}
		p.Actor = xapi.Agent{Identifier: xapi.Identifier{Kind: xapi.Account, HomePage: s.pseudonymHome(), Name: id.String()}}.JSON()
	}
	if columns["verb"] {
		p.Verb = &identifiedBy{ID: verb}
	}
	if columns["registration"] && row.Registration != uuid.Nil {
		id, err := s.pseudonym(row.Registration)
		if err != nil {
			return p, err
		}
		p.Context = &statementContext{Registration: id}
	}
	if columns["timestamp"] {
		p.Timestamp = xapi.FormatTime(truncate(row.Timestamp))
	}
	if columns["stored"] {
		p.Stored = xapi.FormatTime(truncate(row.Stored))
	}
	p.Result = s.result(row)
	var err error
	p.Object, err = s.goal(row)
	return p, err
}

func (s *session) pseudonym(id uuid.UUID) (uuid.UUID, error) {
	return s.tenant.Pseudonym(s.decision.Audience, id)
}

// goal shows an activity of the catalogue by its id, everything else re-keyed.
func (s *session) goal(row *records.Row) (*pseudonymisedGoal, error) {
	if !s.decision.Columns["object"] {
		return nil, nil
	}
	g := &pseudonymisedGoal{ObjectType: row.ObjectKind.String()}
	if row.ObjectKind == xapi.ObjectActivity && row.Activity != "" {
		g.ID = row.Activity
		return g, nil
	}
	if row.Object == uuid.Nil {
		return g, nil
	}
	id, err := s.pseudonym(row.Object)
	if err != nil {
		return nil, err
	}
	switch row.ObjectKind {
	case xapi.ObjectActivity:
		g.ID = "urn:uuid:" + id.String()
	case xapi.ObjectStatementRef:
		g.ID = id.String()
	case xapi.ObjectAgent, xapi.ObjectGroup:
		g.Account, err = json.Marshal(map[string]string{"homePage": s.pseudonymHome(), "name": id.String()})
	}
	return g, err
}

func (s *session) result(row *records.Row) *result {
	columns := s.decision.Columns
	var r result
	var c score
	if columns["score_scaled"] {
		c.Scaled = row.Scaled
	}
	if columns["score_raw"] {
		c.Raw = row.Raw
	}
	if columns["score_min"] {
		c.Min = row.Min
	}
	if columns["score_max"] {
		c.Max = row.Max
	}
	if c != (score{}) {
		r.Score = &c
	}
	if columns["success"] {
		r.Success = row.Success
	}
	if columns["completion"] {
		r.Completion = row.Completion
	}
	if r == (result{}) {
		return nil
	}
	return &r
}
