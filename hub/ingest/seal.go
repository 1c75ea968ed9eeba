package ingest

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// sealer turns statements into rows that name no person.
type sealer struct {
	tenant    *vault.Tenant
	origin    origin
	recalled  *vault.Recalled
	subjects  vault.Subjects   // recalled's
	anonymous []*vault.Subject // by statement: the actor's, where that is an anonymous group
	authority uuid.UUID
	keys      map[string]uuid.UUID // of the activities, by IRI: a batch names the same ones over and over
}

// name makes the keys of all activities of the batch.
func (s *sealer) name(list []Incoming) {
	for _, in := range list {
		for _, a := range in.Statement.Activities {
			if _, known := s.keys[a.ID]; !known {
				s.keys[a.ID] = s.tenant.ActivityKey(a.ID)
			}
		}
	}
}

// recall is vault.Recall or vault.RecallAt in a transaction.
type recall func(ids []xapi.Identifier, anonymous int) (*vault.Recalled, error)

// recall finds or makes the subjects of all agents of the batch in one go.
func (s *sealer) recall(list []Incoming, also []xapi.Identifier, ask recall) (err error) {
	ids := make([]xapi.Identifier, 0, 2*len(list)+len(also)+1)
	ids = append(append(ids, s.origin.authority.Identifier), also...)
	var nameless []int
	for i, in := range list {
		for _, a := range in.Statement.Agents {
			if !a.Agent.Identifier.IsZero() {
				ids = append(ids, a.Agent.Identifier)
			}
		}
		if actor(in.Statement).Agent.Identifier.IsZero() {
			nameless = append(nameless, i)
		}
	}
	if s.recalled, err = ask(ids, len(nameless)); err != nil {
		return err
	}
	s.subjects, s.anonymous = s.recalled.Subjects, make([]*vault.Subject, len(list))
	for n, i := range nameless {
		s.anonymous[i] = s.recalled.Anonymous[n]
	}
	s.authority = s.subjects.Of(s.origin.authority.Identifier).ID
	return nil
}

// actor gives the actor's occurrence; every valid statement has one.
func actor(s *xapi.Statement) xapi.Occurrence { return s.Agents[actorIndex(s)] }

func actorIndex(s *xapi.Statement) int {
	for i, a := range s.Agents {
		if a.Role == xapi.RoleActor && !a.Sub && a.Parent < 0 {
			return i
		}
	}
	panic("ingest: a valid statement without an actor") // xapi.Parse refuses it
}

// statement makes the row of one statement, but for its position in the store, and lists the activities that may stand in clear.
func (s *sealer) statement(in Incoming, anonymous *vault.Subject) (row records.Statement, defined []records.Activity, err error) {
	st := in.Statement
	owner := actorIndex(st)
	subject := anonymous
	if subject == nil {
		subject = s.subjects.Of(st.Agents[owner].Agent.Identifier)
	}
	row = records.Statement{
		ID: in.ID, Timestamp: st.Timestamp.Truncate(time.Microsecond), // as exact as a column
		Actor: subject.ID, Authority: s.authority, Verb: s.origin.verbs[st.Verb],
		ObjectKind: st.Object, Object: s.object(st), Registration: st.Registration,
		Scaled: st.Result.ScoreScaled, Raw: st.Result.ScoreRaw, Min: st.Result.ScoreMin, Max: st.Result.ScoreMax,
		Success: st.Result.Success, Completion: st.Result.Completion,
		Version: st.Version, Purpose: s.origin.purpose, Connection: s.origin.connection,
		Digest: s.digest(st),
	}
	if s.origin.imported {
		s.keep(&row, st)
	}
	if st.Voiding {
		row.Voids = st.Ref
	}
	if st.Result.Duration != "" {
		if d, err := xapi.ParseDuration(st.Result.Duration); err == nil {
			seconds := d.InSeconds()
			row.Duration = &seconds
		}
	}
	frame, parts := st.Split(func(i int) bool { return i == owner })
	if row.Frame, err = subject.Seal(records.FrameContext(in.ID), frame); err != nil {
		return row, nil, err
	}
	if row.Agents, err = s.agents(in.ID, st, parts); err != nil {
		return row, nil, err
	}
	if row.Attachments, err = s.attachments(in, subject); err != nil {
		return row, nil, err
	}
	return row, s.activities(&row, st), nil
}

// keep gives a row the authority and the stored time that another store set, where the statement has them.
func (s *sealer) keep(row *records.Statement, st *xapi.Statement) {
	if !st.Stored.IsZero() {
		row.Imported, row.Stored = true, st.Stored.Truncate(time.Microsecond)
	}
	for _, a := range st.Agents {
		vouches := a.Role == xapi.RoleAuthority || a.Role == xapi.RoleMember && a.Parent >= 0 && st.Agents[a.Parent].Role == xapi.RoleAuthority
		if vouches && !a.Agent.Identifier.IsZero() { // of two that vouch together (OAuth, Data 2.4.9) the first
			row.Authority = s.subjects.Of(a.Agent.Identifier).ID
			return
		}
	}
}

// digest tells equal statements from others. The timestamp counts by itself: a client that sends back what it read has the
// timestamp that the store set.
func (s *sealer) digest(st *xapi.Statement) records.Digest {
	var at []byte
	if !st.Timestamp.IsZero() {
		at = s.tenant.Digest("statement timestamp", []byte(xapi.FormatTime(st.Timestamp)))
	}
	return records.NewDigest(s.tenant.Digest("statement", st.CanonicalUntimed()), at)
}

// object gives the column that finds the statement by its object, where that is no activity.
func (s *sealer) object(st *xapi.Statement) uuid.UUID {
	switch st.Object {
	case xapi.ObjectStatementRef:
		return st.Ref
	case xapi.ObjectAgent, xapi.ObjectGroup:
		for _, a := range st.Agents {
			if a.Role == xapi.RoleObject && !a.Sub && !a.Agent.Identifier.IsZero() {
				return s.subjects.Of(a.Agent.Identifier).ID
			}
		}
	}
	return uuid.Nil
}

// agents seals each agent that was cut out of the frame under its own key.
func (s *sealer) agents(id uuid.UUID, st *xapi.Statement, parts []xapi.Part) ([]records.Agent, error) {
	list := make([]records.Agent, len(parts))
	for slot, part := range parts {
		a := st.Agents[part.Occurrence]
		subject := s.subjects.Of(a.Agent.Identifier)
		if subject == nil {
			return nil, fmt.Errorf("no subject for the agent in slot %d", slot)
		}
		sealed, err := subject.Seal(records.AgentContext(id, slot), part.JSON)
		if err != nil {
			return nil, err
		}
		list[slot] = records.Agent{Slot: slot, Subject: subject.ID, Role: a.Role, Direct: direct(st, a), Sealed: sealed}
	}
	return list, nil
}

// direct tells whether xAPI's agent parameter finds the statement by this agent without related_agents: it is the object, or a
// member of the group that is actor or object (Communication 2.1.3).
func direct(st *xapi.Statement, a xapi.Occurrence) bool {
	if a.Sub {
		return false
	}
	if a.Role == xapi.RoleMember && a.Parent >= 0 {
		a = st.Agents[a.Parent]
	}
	return a.Role == xapi.RoleActor || a.Role == xapi.RoleObject
}

// activities indexes the statement's activities, and lists those that may stand in clear.
func (s *sealer) activities(row *records.Statement, st *xapi.Statement) (defined []records.Activity) {
	for _, a := range st.Activities {
		key := s.keys[a.ID]
		if a.Role == xapi.ActivityObject && !a.Sub {
			row.Object = key
		} else {
			row.Activities = append(row.Activities, records.ActivityUse{Key: key, Role: a.Role})
		}
		if s.origin.catalogue(a.ID) {
			entry := records.Activity{Key: key, IRI: a.ID}
			if a.DefEnd > a.DefStart {
				entry.Definition = st.Raw[a.DefStart:a.DefEnd]
			}
			defined = append(defined, entry)
		}
	}
	return defined
}
