package disclose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Person is the Person object (Communication 2.4): everything under which one person is known.
type Person struct {
	ObjectType string    `json:"objectType"`
	Name       []string  `json:"name,omitempty"`
	Mbox       []string  `json:"mbox,omitempty"`
	MboxSHA1   []string  `json:"mbox_sha1sum,omitempty"`
	OpenID     []string  `json:"openid,omitempty"`
	Account    []account `json:"account,omitempty"`
}

type account struct {
	HomePage string `json:"homePage"`
	Name     string `json:"name"`
}

// add adds an identifier. A mailbox is known by its hash as well.
func (p *Person) add(id xapi.Identifier) {
	switch id.Kind {
	case xapi.Mbox:
		p.Mbox = append(p.Mbox, id.Value)
		sha1, _ := id.MboxSHA1()
		p.add(sha1)
	case xapi.MboxSHA1Sum:
		p.MboxSHA1 = append(p.MboxSHA1, id.Value)
	case xapi.OpenID:
		p.OpenID = append(p.OpenID, id.Value)
	case xapi.Account:
		p.Account = append(p.Account, account{id.HomePage, id.Name})
	}
}

// Names are looked for in so many of the latest statements of so many subjects.
const (
	nameStatements = 20
	maxNamed       = 20
)

// Person gives the Person object of an agent: its identifier and all others that the vault has linked with it, with the names that they have in the latest
// statements that the caller may read. Of somebody whom nobody knows it is what the caller said. Errors: access.ErrDenied.
func (r *Road) Person(ctx context.Context, caller access.Caller, agent xapi.Agent) (Person, error) {
	s, err := r.open(ctx, caller, access.Agents)
	if err != nil {
		return Person{}, err
	}
	statements, err := r.gate.Decide(ctx, access.Request{Caller: s.caller, Action: access.Read, Resource: access.Statements})
	if errors.Is(err, access.ErrUndecided) {
		return Person{}, err
	}
	named := err == nil && statements.Form == access.Identified
	var p Person
	var subjects []uuid.UUID
	err = r.db.ReadTenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		p, subjects = Person{ObjectType: "Person"}, nil
		subject, err := r.vault.Find(ctx, tx, agent.Identifier)
		if errors.Is(err, vault.ErrUnknownSubject) || errors.Is(err, vault.ErrShredded) {
			p.add(agent.Identifier)
			return nil
		}
		if err != nil {
			return err
		}
		if subjects, err = r.vault.Person(ctx, tx, subject); err != nil {
			return err
		}
		ids, err := s.identifiers(ctx, tx, subjects)
		if err != nil {
			return err
		}
		for _, id := range ids {
			p.add(id)
		}
		if named {
			named := &session{road: r, caller: s.caller, tenant: s.tenant, decision: statements}
			p.Name, err = named.names(ctx, tx, subjects, ids)
		}
		return err
	})
	if err != nil {
		return Person{}, fmt.Errorf("read person: %w", err)
	}
	return p, s.record(ctx, audit.Event{Kind: audit.AgentRead, Subjects: subjects, Fields: map[string]any{
		"identifiers": len(subjects), "names": len(p.Name), "grants": s.decision.Grants, "policy": s.decision.Revision,
	}})
}

// identifiers opens those of subjects, in the subjects' order.
func (s *session) identifiers(ctx context.Context, tx *database.Tx, subjects []uuid.UUID) ([]xapi.Identifier, error) {
	texts, err := s.road.vault.Identifiers(ctx, tx, subjects)
	if err != nil {
		return nil, err
	}
	var list []xapi.Identifier
	for _, subject := range subjects {
		if texts[subject] == nil {
			continue
		}
		agent, err := xapi.ParseAgent(texts[subject], xapi.V1)
		if err != nil {
			return nil, fmt.Errorf("identifier of subject %s: %w", subject, err)
		}
		list = append(list, agent.Identifier)
	}
	return list, nil
}

// names lists, each once and sorted, those that identifiers have in the latest statements of their subjects.
func (s *session) names(ctx context.Context, tx *database.Tx, subjects []uuid.UUID, ids []xapi.Identifier) ([]string, error) {
	names := []string{}
	for _, subject := range subjects[:min(len(subjects), maxNamed)] {
		rows, _, err := records.Select(ctx, tx, records.Query{
			Policy: s.decision.Filter, Filter: query.Compare{Column: "voided", Op: query.Equal, Value: false}, Agent: subject, RelatedAgents: true, Limit: nameStatements,
		})
		if err != nil {
			return nil, err
		}
		var found shown
		if err := s.identified(ctx, tx, rows, &found); err != nil {
			return nil, err
		}
		for _, text := range found.statements {
			names = append(names, namesIn(text, ids)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// namesIn gives the names that agents with one of these identifiers have in a statement.
func namesIn(statement []byte, ids []xapi.Identifier) (names []string) {
	st, err := xapi.Parse(statement, xapi.V2)
	if err != nil {
		st, err = xapi.Parse(statement, xapi.V1)
	}
	if err != nil {
		return nil
	}
	for _, a := range st.Agents {
		if a.Agent.Name != "" && slices.ContainsFunc(ids, func(id xapi.Identifier) bool { return same(a.Agent.Identifier, id) }) {
			names = append(names, strings.Clone(a.Agent.Name))
		}
	}
	return names
}

// same tells whether two identifiers find the same subject.
func same(a, b xapi.Identifier) bool {
	sha1, ok := b.MboxSHA1()
	return a == b || ok && a == sha1
}
