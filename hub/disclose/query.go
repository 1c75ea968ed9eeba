package disclose

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Search asks for statements by more than xAPI's filters. Zero values ask for everything; a statement must meet all that is asked, and one value of each list.
// What a statement refers to does not count, as it does in a Query.
type Search struct {
	Agent             *xapi.Agent // as in Query
	RelatedAgents     bool
	Verbs             []string // IRIs
	Activities        []string // IRIs of the object; with RelatedActivities in any place
	RelatedActivities bool
	Types             []string // IRIs of the type of the object; activities of the catalogue only: others are sealed, and their types too
	Registrations     []uuid.UUID
	Success           *bool
	Completion        *bool
	Scaled, Raw       Range
	Duration          Range     // seconds
	Since, Until      time.Time // stored after, stored at or before
	From, To          time.Time // timestamp at or after, timestamp before
	Voided            bool      // those that were voided, instead of those that were not
	Ascending         bool
	Limit             int
}

// Range has two bounds, which belong to it; nil: none.
type Range struct {
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
}

// Search reads the first page; Road.More reads those after it. Errors: access.ErrDenied, ErrRefused.
func (r *Road) Search(ctx context.Context, caller access.Caller, q Search) (Page, error) {
	s, resolved, err := r.search(ctx, caller, q)
	if err != nil {
		return Page{}, err
	}
	return s.page(ctx, resolved)
}

// Counted is how many statements there are.
type Counted struct {
	Statements        int64
	ConsistentThrough time.Time
}

// Count counts what Search would find, in the identified form only. Errors: access.ErrDenied, ErrRefused, records.ErrTooMany.
func (r *Road) Count(ctx context.Context, caller access.Caller, q Search) (out Counted, err error) {
	s, resolved, err := r.search(ctx, caller, q)
	if err != nil {
		return out, err
	}
	if s.decision.Form != access.Identified { // counts of few people tell of one
		return out, s.refuse(ctx, ErrRefused)
	}
	err = s.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		if out.ConsistentThrough, err = records.ConsistentThrough(ctx, tx); err != nil {
			return err
		}
		out.Statements, err = records.Count(ctx, tx, s.query(resolved))
		return err
	})
	if err != nil {
		return Counted{}, err
	}
	return out, s.counted(ctx, resolved.Agent, map[string]any{"counted": out.Statements})
}

// Registrations lists the registrations of a learner, in the identified form only, with the statements that are not voided. Errors: access.ErrDenied,
// ErrRefused, records.ErrTooMany.
func (r *Road) Registrations(ctx context.Context, caller access.Caller, learner xapi.Agent) (list []records.Registered, err error) {
	s, resolved, err := r.search(ctx, caller, Search{Agent: &learner})
	if err != nil {
		return nil, err
	}
	if s.decision.Form != access.Identified {
		return nil, s.refuse(ctx, ErrRefused)
	}
	if !resolved.empty {
		err = s.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) (err error) {
			q := s.query(resolved)
			list, err = records.Registrations(ctx, tx, resolved.Agent, q.Policy, q.Filter)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return list, s.counted(ctx, resolved.Agent, map[string]any{"registrations": len(list)})
}

// counted tells of numbers that are about to be shown, and of whose they are.
func (s *session) counted(ctx context.Context, subject uuid.UUID, fields map[string]any) error {
	fields["form"], fields["statements"], fields["grants"], fields["policy"] = string(s.decision.Form), 0, s.decision.Grants, s.decision.Revision
	e := audit.Event{Kind: audit.StatementRead, Fields: fields}
	if subject != uuid.Nil {
		e.Subjects = []uuid.UUID{subject}
	}
	return s.record(ctx, e)
}

// search opens a session and resolves what is asked in it.
func (r *Road) search(ctx context.Context, caller access.Caller, q Search) (*session, resolved, error) {
	s, err := r.open(ctx, caller, access.Statements)
	if err != nil {
		return nil, resolved{}, err
	}
	out, err := s.resolve(ctx, Query{Agent: q.Agent, RelatedAgents: q.RelatedAgents, RelatedActivities: q.RelatedActivities,
		Since: q.Since, Until: q.Until, Ascending: q.Ascending, Limit: q.Limit})
	if err == nil {
		out.Search, err = s.resolveSearch(ctx, q)
	}
	if err != nil {
		return nil, resolved{}, s.refuse(ctx, err)
	}
	return s, out, nil
}

// searched is what a Search asks beyond a Query, in the hub's own ids.
type searched struct {
	Verbs         []string    `json:"verbs,omitempty"`
	Activities    []uuid.UUID `json:"activities,omitempty"`
	Types         []string    `json:"types,omitempty"`
	Registrations []uuid.UUID `json:"registrations,omitempty"`
	Success       *bool       `json:"success,omitempty"`
	Completion    *bool       `json:"completion,omitempty"`
	Scaled        Range       `json:"scaled,omitzero"`
	Raw           Range       `json:"raw,omitzero"`
	Duration      Range       `json:"duration,omitzero"`
	From          time.Time   `json:"from,omitzero"`
	To            time.Time   `json:"to,omitzero"`
	Voided        bool        `json:"voided,omitzero"`
	Stored        bool        `json:"stored,omitzero"` // the stored time is asked for too
}

func (s *session) resolveSearch(ctx context.Context, q Search) (*searched, error) {
	out := &searched{Verbs: q.Verbs, Types: q.Types, Registrations: slices.Clone(q.Registrations), Success: q.Success, Completion: q.Completion,
		Scaled: q.Scaled, Raw: q.Raw, Duration: q.Duration, From: q.From, To: q.To, Voided: q.Voided, Stored: !q.Since.IsZero() || !q.Until.IsZero()}
	for _, iri := range q.Activities {
		out.Activities = append(out.Activities, s.tenant.ActivityKey(iri))
	}
	if s.decision.Form == access.Pseudonymised {
		return out, s.searchPseudonyms(ctx, out)
	}
	return out, nil
}

// searchPseudonyms is resolvePseudonyms for what a Search has more.
func (s *session) searchPseudonyms(ctx context.Context, q *searched) (err error) {
	if !s.mayAsk(q) {
		return ErrRefused
	}
	q.From, q.To = truncate(q.From), truncate(q.To)
	for i, pseudonym := range q.Registrations {
		if q.Registrations[i], err = s.tenant.Unpseudonym(s.decision.Audience, pseudonym); err != nil {
			return err
		}
	}
	return s.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		return cmp.Or(s.known(ctx, tx, "registration", q.Registrations...), s.known(ctx, tx, "object", q.Activities...))
	})
}

// mayAsk tells whether the decision shows every column that is asked about. The pseudonymised form never shows a duration, the type of an activity, or
// whether a statement was voided.
func (s *session) mayAsk(q *searched) bool {
	if s.decision.Form != access.Pseudonymised || q == nil {
		return true
	}
	if len(q.Types) > 0 || q.Duration != (Range{}) || q.Voided {
		return false
	}
	for column, asked := range map[string]bool{
		"verb": len(q.Verbs) > 0, "object": len(q.Activities) > 0, "registration": len(q.Registrations) > 0, "success": q.Success != nil,
		"completion": q.Completion != nil, "score_scaled": q.Scaled != Range{}, "score_raw": q.Raw != Range{}, "stored": q.Stored,
		"timestamp": !q.From.IsZero() || !q.To.IsZero(),
	} {
		if asked && !s.decision.Columns[column] {
			return false
		}
	}
	return true
}

// filter is what is asked of columns.
func (q *searched) filter() (all query.And) {
	compare := func(column string, op query.Op, value any) {
		all = append(all, query.Compare{Column: column, Op: op, Value: value})
	}
	within := func(column string, r Range) {
		if r.Min != nil {
			compare(column, query.GreaterOrEqual, *r.Min)
		}
		if r.Max != nil {
			compare(column, query.LessOrEqual, *r.Max)
		}
	}
	if q.Success != nil {
		compare("success", query.Equal, *q.Success)
	}
	if q.Completion != nil {
		compare("completion", query.Equal, *q.Completion)
	}
	within("score_scaled", q.Scaled)
	within("score_raw", q.Raw)
	within("duration", q.Duration)
	if !q.From.IsZero() {
		compare("timestamp", query.GreaterOrEqual, q.From)
	}
	if !q.To.IsZero() {
		compare("timestamp", query.Less, q.To)
	}
	return all
}
