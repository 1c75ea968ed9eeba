package disclose

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// resolved is a query in the hub's own ids. It names nobody, so it may travel, sealed, in a continuation.
type resolved struct {
	Agent         uuid.UUID        `json:"agent,omitzero"`
	Related       bool             `json:"related,omitzero"`
	Activity      uuid.UUID        `json:"activity,omitzero"`
	Anywhere      bool             `json:"anywhere,omitzero"` // the activity in any place, else as object
	Verb          string           `json:"verb,omitempty"`
	Registration  uuid.UUID        `json:"registration,omitzero"`
	Since         time.Time        `json:"since,omitzero"`
	Until         time.Time        `json:"until,omitzero"`
	Ascending     bool             `json:"ascending,omitzero"`
	EffectiveOnly bool             `json:"effective,omitzero"`
	Attachments   bool             `json:"attachments,omitzero"`
	Limit         int              `json:"limit"`
	After         records.Position `json:"after,omitzero"`
	Search        *searched        `json:"search,omitempty"`

	id     uuid.UUID // one statement; not in continuations
	voided bool
	empty  bool // nothing can match: an identifier that nobody has
}

func (s *session) resolve(ctx context.Context, q Query) (resolved, error) {
	r := resolved{
		Related: q.RelatedAgents, Anywhere: q.RelatedActivities, Verb: q.Verb, Since: q.Since, Until: q.Until, Ascending: q.Ascending,
		EffectiveOnly: q.EffectiveOnly, Attachments: q.Attachments, Limit: q.Limit,
	}
	if r.Limit <= 0 || r.Limit > MaxLimit {
		r.Limit = MaxLimit
	}
	if q.Activity != "" {
		r.Activity = s.tenant.ActivityKey(q.Activity)
	}
	if s.decision.Form == access.Pseudonymised {
		return r, s.resolvePseudonyms(ctx, q, &r)
	}
	r.Registration = q.Registration
	if q.Agent == nil {
		return r, nil
	}
	err := s.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		var err error
		r.Agent, err = s.road.vault.Find(ctx, tx, q.Agent.Identifier)
		return err
	})
	if errors.Is(err, vault.ErrUnknownSubject) || errors.Is(err, vault.ErrShredded) {
		r.empty, err = true, nil
	}
	return r, err
}

// resolvePseudonyms takes only pseudonyms of the reader's audience: whatever else it is given, known or not, is ErrRefused. Times are
// truncated like those that are shown, so that no series of requests can find out more.
func (s *session) resolvePseudonyms(ctx context.Context, q Query, r *resolved) error {
	r.Since, r.Until = truncate(q.Since), truncate(q.Until)
	if q.RelatedAgents || q.RelatedActivities {
		return ErrRefused // other agents and activities are no columns of this form
	}
	if r.Activity != uuid.Nil && !s.decision.Columns["object"] || r.Verb != "" && !s.decision.Columns["verb"] {
		return ErrRefused
	}
	if q.Agent != nil {
		id, ok := s.pseudonymOf(q.Agent.Identifier)
		if !ok || !s.decision.Columns["actor"] {
			return ErrRefused
		}
		r.Agent = id
	}
	if q.Registration != uuid.Nil {
		if !s.decision.Columns["registration"] {
			return ErrRefused
		}
		var err error
		if r.Registration, err = s.tenant.Unpseudonym(s.decision.Audience, q.Registration); err != nil {
			return err
		}
	}
	return s.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		return cmp.Or(s.known(ctx, tx, "actor", r.Agent), s.known(ctx, tx, "registration", r.Registration), s.known(ctx, tx, "object", r.Activity))
	})
}

// pseudonymOf reads a pseudonym's account.
func (s *session) pseudonymOf(id xapi.Identifier) (uuid.UUID, bool) {
	if id.Kind != xapi.Account || id.HomePage != s.pseudonymHome() {
		return uuid.Nil, false
	}
	pseudonym, err := uuid.Parse(id.Name)
	if err != nil || pseudonym.String() != id.Name {
		return uuid.Nil, false
	}
	subject, err := s.tenant.Unpseudonym(s.decision.Audience, pseudonym)
	return subject, err == nil
}

// mine is the scope that sees what its own client wrote.
const mine = "statements/read/mine"

// own finds the authority under which the road in stores what this caller writes, where the decision may turn on it. A client that has
// written nothing yet gets a subject that nothing has: its own statements are none.
func (s *session) own(ctx context.Context) error {
	if s.caller.Authority != uuid.Nil || !slices.Contains(s.caller.Scopes, mine) {
		return nil
	}
	account := xapi.Identifier{Kind: xapi.Account, HomePage: s.road.homePage, Name: "client/" + s.caller.Client.String()} // as ingest.Road.Authority
	err := s.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		var err error
		s.caller.Authority, err = s.road.vault.Find(ctx, tx, account)
		return err
	})
	if errors.Is(err, vault.ErrUnknownSubject) {
		s.caller.Authority, err = uuid.Max, nil
	}
	return err
}

func (s *session) pseudonymHome() string { return s.road.homePage + "/pseudonyms" }

// byID asks for one statement. In the pseudonymised form its id is a pseudonym; one that is not finds nothing.
func (s *session) byID(id uuid.UUID, voided bool) (resolved, error) {
	if s.decision.Form == access.Pseudonymised {
		var err error
		if id, err = s.tenant.Unpseudonym(s.decision.Audience, id); err != nil {
			return resolved{}, err
		}
	}
	return resolved{id: id, voided: voided, Limit: 1, empty: id == uuid.Nil}, nil // the nil UUID is no statement's, and means "any" below
}

// query puts together what the reader asks for and what the decision allows. The pseudonymised form finds no statement by what it targets: the target may be voided, or
// stored later, and so nothing that the form shows, and a filter would still tell whom and what it was about.
func (s *session) query(r resolved) records.Query {
	more := searched{}
	if r.Search != nil {
		more = *r.Search
	}
	filter := append(query.And{query.Compare{Column: "voided", Op: query.Equal, Value: r.voided || more.Voided}}, more.filter()...)
	if r.EffectiveOnly {
		filter = append(filter, query.Not{Node: query.Compare{Column: "verb", Op: query.Equal, Value: xapi.VerbVoided}})
	}
	if r.Agent != uuid.Nil && s.decision.Form == access.Pseudonymised {
		filter = append(filter, s.shownAs(r.Agent))
	}
	if r.empty {
		filter = append(filter, query.False{})
	}
	return records.Query{
		Policy: s.decision.Filter, Filter: filter, Targets: s.decision.Form == access.Identified && r.id == uuid.Nil && !r.empty && r.Search == nil,
		Verbs: more.Verbs, Activities: more.Activities, Types: more.Types, Registrations: more.Registrations,
		Agent: r.Agent, RelatedAgents: r.Related, Verb: r.Verb, Activity: r.Activity, RelatedActivities: r.Anywhere,
		Registration: r.Registration, Since: r.Since, Until: r.Until, After: r.After, Ascending: r.Ascending,
		Limit: r.Limit, Bytes: pageBytes, ID: r.id, Fresh: r.id != uuid.Nil,
	}
}

// shownAs keeps the pseudonymised form's filter by agent to where the form shows agents: found as a member of a group, somebody would be known as one.
func (s *session) shownAs(subject uuid.UUID) query.Node {
	places := query.Or{query.Compare{Column: "actor", Op: query.Equal, Value: subject}}
	if s.decision.Columns["object"] {
		places = append(places, query.Compare{Column: "object", Op: query.Equal, Value: subject})
	}
	return places
}
