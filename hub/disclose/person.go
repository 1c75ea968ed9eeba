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

// Each of so many subjects is looked for in so many of the latest statements.
const (
	maxLinked       = 100
	latestMentioned = 20
)

// Person gives the Person object of an agent: its identifier and those that the vault has linked with it, each if a statement that the caller may read has it, with the
// names that they have in the latest of these. Of somebody whom the caller could not know from statements it is what the caller said. Errors: access.ErrDenied.
func (r *Road) Person(ctx context.Context, caller access.Caller, agent xapi.Agent) (Person, error) {
	s, err := r.open(ctx, caller, access.Agents)
	if err != nil {
		return Person{}, err
	}
	statements, err := r.gate.Decide(ctx, access.Request{Caller: s.caller, Action: access.Read, Resource: access.Statements})
	if errors.Is(err, access.ErrUndecided) {
		return Person{}, err
	}
	reads := err == nil && statements.Form == access.Identified
	var p Person
	var subjects []uuid.UUID
	err = r.db.ReadTenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		p, subjects = Person{ObjectType: "Person"}, nil
		subject, err := r.vault.Find(ctx, tx, agent.Identifier)
		unknown := errors.Is(err, vault.ErrUnknownSubject) || errors.Is(err, vault.ErrShredded)
		if err != nil && !unknown {
			return err
		}
		if reads && !unknown {
			reader := &session{road: r, caller: s.caller, tenant: s.tenant, decision: statements}
			if subjects, err = reader.describe(ctx, tx, subject, &p); err != nil {
				return err
			}
		}
		if !slices.Contains(subjects, subject) {
			p.add(agent.Identifier)
		}
		return nil
	})
	if err != nil {
		return Person{}, fmt.Errorf("read person: %w", err)
	}
	return p, s.record(ctx, audit.Event{Kind: audit.AgentRead, Subjects: subjects, Fields: map[string]any{
		"identifiers": len(subjects), "names": len(p.Name), "grants": s.decision.Grants, "policy": s.decision.Revision,
	}})
}

// describe adds the identifiers and names of a subject's person that statements show, and gives the subjects that they are of.
func (s *session) describe(ctx context.Context, tx *database.Tx, subject uuid.UUID, p *Person) (shown []uuid.UUID, err error) {
	linked, err := s.road.vault.Person(ctx, tx, subject)
	if err != nil {
		return nil, err
	}
	if i := slices.Index(linked, subject); i > 0 { // the one that was asked for is among those looked at
		linked[0], linked[i] = linked[i], linked[0]
	}
	var mentions [][]byte
	for _, subject := range linked[:min(len(linked), maxLinked)] {
		texts, err := s.mentions(ctx, tx, subject)
		if err != nil {
			return nil, err
		}
		if len(texts) > 0 {
			shown, mentions = append(shown, subject), append(mentions, texts...)
		}
	}
	ids, err := s.identifiers(ctx, tx, shown)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		p.add(id)
	}
	p.Name = []string{}
	for _, text := range mentions {
		p.Name = append(p.Name, namesIn(text, ids)...)
	}
	slices.Sort(p.Name)
	p.Name = slices.Compact(p.Name)
	return shown, nil
}

// mentions gives the latest statements in which a subject stands anywhere.
func (s *session) mentions(ctx context.Context, tx *database.Tx, subject uuid.UUID) ([][]byte, error) {
	rows, _, err := records.Select(ctx, tx, records.Query{
		Policy: s.decision.Filter, Filter: query.Compare{Column: "voided", Op: query.Equal, Value: false}, Agent: subject, RelatedAgents: true, Limit: latestMentioned, Fresh: true,
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	var found shown
	err = s.identified(ctx, tx, rows, &found)
	return found.statements, err
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
