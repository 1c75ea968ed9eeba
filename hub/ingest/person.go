package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// told is what a record says of its subject, beside statements.
type told struct {
	facts     []people.SaidFact
	managers  []xapi.Identifier // by fact; zero: it has a value
	claims    []vault.Claim
	mailboxes []xapi.Identifier // by claim: the mailbox as somebody that statements can be about; zero: it is none on which the connection may link
	digest    []byte            // keyed, of all of it and of whom it is said; nil: nothing is said
}

// others lists whom else, beside the subject, the record tells of.
func (t told) others() (list []xapi.Identifier) {
	for _, id := range slices.Concat(t.managers, t.mailboxes) {
		if !id.IsZero() {
			list = append(list, id)
		}
	}
	return list
}

// saysAnew tells whether a record says something else of somebody than when it was stored.
func (f *draft) saysAnew() bool { return !bytes.Equal(f.person.digest, f.known.Person) }

// told takes what an evaluated record says of its subject.
func (d *drafts) told(f *draft, e *mapping.Evaluation) error {
	said, err := e.Person()
	if err != nil || len(said.Facts)+len(said.Claims) == 0 {
		return err
	}
	if f.subject.IsZero() {
		d.fail(f, "mapping", fmt.Sprintf("the record says who somebody is, and neither the mapping nor the record of stream %s gives a subject of whom", d.run.Stream.Name))
		return nil
	}
	for i, fact := range said.Facts {
		one := people.SaidFact{Kind: fact.Kind, Value: fact.Value, From: orZero(fact.From), Until: orZero(fact.Until)}
		manager := xapi.Identifier{}
		if fact.Agent != nil {
			agent, err := xapi.ParseAgent(fact.Agent, xapi.V1)
			if err != nil || agent.Identifier.IsZero() {
				d.fail(f, "mapping", fmt.Sprintf("what the mapping gives for stream %s, person.facts[%d].agent, is not an agent with an identifier", d.run.Stream.Name, i))
				return nil
			}
			manager = agent.Identifier
		}
		f.person.facts, f.person.managers = append(f.person.facts, one), append(f.person.managers, manager)
	}
	for _, c := range said.Claims {
		mailbox := xapi.Identifier{}
		if c.Kind == "mailbox" && c.Verified && slices.Contains(d.linkOn, c.Kind) {
			mailbox = xapi.Identifier{Kind: xapi.Mbox, Value: "mailto:" + c.Value}
		}
		f.person.claims = append(f.person.claims, vault.Claim{Kind: c.Kind, Issuer: c.Issuer, Value: c.Value, Verified: c.Verified})
		f.person.mailboxes = append(f.person.mailboxes, mailbox)
	}
	text, err := json.Marshal(said)
	if err != nil {
		return err
	}
	parts := [][]byte{[]byte(f.subject.Canonical()), text}
	for _, id := range f.person.others() {
		parts = append(parts, []byte(id.Canonical()))
	}
	f.person.digest = d.tenant.Digest("person", parts...)[:16]
	return nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// tell stores what the page's records say of people. It comes after the source records, which keep others from telling of the same ones.
func (d *drafts) tell(ctx context.Context, tx *database.Tx, b *batch) error {
	var facts []people.Said
	var claims []vault.Claims
	for _, f := range d.list {
		if f.verdict == unchanged || f.verdict == dead || !f.saysAnew() {
			continue
		}
		said := people.Said{Stream: d.stream, Record: f.key, Facts: f.person.facts, Gone: f.record.Deleted}
		claimed := vault.Claims{Stream: d.stream, Record: f.key, List: f.person.claims}
		if said.Subject = b.subjects.Of(f.subject); said.Subject != nil {
			claimed.Subject = said.Subject.ID
		}
		for i, manager := range f.person.managers {
			if !manager.IsZero() {
				said.Facts[i].Manager = b.subjects.Of(manager).ID
			}
		}
		for i, mailbox := range f.person.mailboxes {
			if !mailbox.IsZero() {
				claimed.List[i].Mailbox = b.subjects.Of(mailbox).ID
			}
		}
		facts = append(facts, said)
		if !f.record.Deleted { // who somebody was stays true when the record is gone
			claims = append(claims, claimed)
		}
	}
	if len(facts) == 0 {
		return nil
	}
	now := d.road.now()
	if err := people.Tell(ctx, tx, d.tenant, people.Source{Connection: d.run.Connection, Purpose: b.origin.purpose}, now, facts); err != nil {
		return err
	}
	return d.road.vault.Claim(ctx, tx, vault.Act{Actor: d.run.ID.String(), Purpose: d.run.Purpose, Now: now}, d.run.Connection, claims)
}
