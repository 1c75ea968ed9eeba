package ingest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/plugins/contract"
)

// staffText makes people of a stream's records: the note is a role, the quiz numbers the manager, the score is an employee number, the verb a mailbox.
func staffText(stream, home string) string {
	return "  " + stream + `:
    subject: {account: {homePage: "` + home + `", name: "${record.pupil}"}}
    person:
      facts:
        - {kind: role, value: "record.?note"}
        - kind: manager
          when: has(record.quiz)
          agent: {account: {homePage: "` + home + `", name: "p${record.quiz}"}}
      claims:
        - {kind: employee_number, value: "record.?score"}
        - {kind: mailbox, value: "record.?verb", verified: "true"}
`
}

const staffHead = "name: staff\nversion: 1\nstreams:\n"

func accountAt(home, name string) xapi.Identifier {
	return xapi.Identifier{Kind: xapi.Account, HomePage: home, Name: name}
}

// person gives the subjects that are one person with an identifier's.
func (w *world) person(tenant database.TenantID, id xapi.Identifier) (list []uuid.UUID) {
	w.Helper()
	w.in(tenant, func(ctx context.Context, tx *database.Tx) error {
		subject, err := w.vault.Find(ctx, tx, id)
		if err == nil {
			list, err = w.vault.Person(ctx, tx, subject)
		}
		return err
	})
	return list
}

// facts writes what held of an identifier's person, as kinds and values in order.
func (w *world) facts(tenant database.TenantID, id xapi.Identifier, asOf, knownAt time.Time) string {
	w.Helper()
	var words []string
	w.in(tenant, func(ctx context.Context, tx *database.Tx) error {
		words = nil
		subject, err := w.vault.Find(ctx, tx, id)
		if err != nil {
			return err
		}
		found, err := people.PersonFactsAt(ctx, tx, w.vault, []uuid.UUID{subject}, asOf, knownAt)
		for _, f := range found[subject] {
			if f.Manager != uuid.Nil {
				f.Value = "somebody"
			}
			words = append(words, f.Kind+" "+f.Value)
		}
		return err
	})
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func TestFactsFollowTheRecord(t *testing.T) {
	w := newWorld(t)
	const home = "https://hr.example"
	s := w.connect(one, "hr", staffHead+staffText("attempt", home))
	ann, boss := accountAt(home, "ann"), accountAt(home, "p3")
	before := time.Now()
	row := func(note string) contract.Record {
		return record(fmt.Sprintf(`{"id":1,"pupil":"ann","note":%q,"quiz":3}`, note), 1)
	}
	counts := s.last("attempt", row("nurse"))
	if counts.Changed != 1 || counts.Statements != 0 || counts.Skipped != 0 {
		t.Errorf("a record that gives facts only counts as %+v", counts)
	}
	if counts := s.whole("attempt", row("nurse")); counts.Unchanged != 1 {
		t.Errorf("read again: %+v", counts)
	}
	hired := time.Now()
	equal(t, "facts", w.facts(one, ann, hired, time.Time{}), "manager somebody, role nurse")
	equal(t, "facts before anybody knew them", w.facts(one, ann, before, before), "")
	s.whole("attempt", row("head nurse"))
	promoted := time.Now()
	equal(t, "facts after a change", w.facts(one, ann, promoted, time.Time{}), "manager somebody, role head nurse")
	equal(t, "facts as of before the change", w.facts(one, ann, hired, time.Time{}), "manager somebody, role nurse")
	equal(t, "what was known before the change", w.facts(one, ann, promoted, hired), "manager somebody, role nurse")
	w.in(one, func(ctx context.Context, tx *database.Tx) error {
		for role, n := range map[string]int{"nurse": 0, "head nurse": 1} {
			list, err := people.WithFact(ctx, tx, w.tenant(one), people.Role, role, promoted, time.Time{})
			if err != nil || len(list) != n {
				t.Errorf("%d are %s, want %d (%v)", len(list), role, n, err)
			}
		}
		manager, err := w.vault.Find(ctx, tx, boss)
		if err != nil {
			return err
		}
		list, err := people.ManagedBy(ctx, tx, []uuid.UUID{manager}, promoted, time.Time{})
		if len(list) != 1 {
			t.Errorf("the manager manages %d", len(list))
		}
		return err
	})
	s.whole("attempt") // the record is gone
	equal(t, "facts of a record that is gone", w.facts(one, ann, time.Now(), time.Time{}), "")
	equal(t, "and their past", w.facts(one, ann, promoted, time.Time{}), "manager somebody, role head nurse")
	// Nothing of it stands in clear, and another tenant has none of it.
	if dump := w.dump("person_fact"); strings.Contains(dump, "nurse") || strings.Contains(dump, fmt.Sprintf("%x", "nurse")) {
		t.Error("a role stands in clear")
	}
	w.in(two, func(ctx context.Context, tx *database.Tx) error {
		list, err := people.WithFact(ctx, tx, w.tenant(two), people.Role, "nurse", hired, time.Time{})
		if len(list) > 0 {
			t.Error("another tenant sees who is a nurse")
		}
		return err
	})
}

func TestRemovedConnectionEndsFacts(t *testing.T) {
	w := newWorld(t)
	const home = "https://hr.example"
	s := w.connect(one, "hr", staffHead+staffText("attempt", home), "mailbox")
	s.last("attempt", record(`{"id":1,"pupil":"ann","note":"nurse","verb":"ann@example.org"}`, 1))
	ann, then := accountAt(home, "ann"), time.Now()
	w.in(one, func(ctx context.Context, tx *database.Tx) error {
		return connection.Remove(ctx, tx, connection.Act{Actor: "test", Now: time.Now()}, s.connection)
	})
	equal(t, "facts", w.facts(one, ann, time.Now(), time.Time{}), "")
	equal(t, "their past", w.facts(one, ann, then, time.Time{}), "role nurse")
	if n := len(w.person(one, ann)); n != 2 {
		t.Errorf("%d subjects are ann after the connection was removed, want her account and her mailbox", n)
	}
}

// Two systems know one person by a number; a third only by a mailbox, of which there are statements already. Linking and splitting them touches none of these.
func TestPagesLinkPeople(t *testing.T) {
	w := newWorld(t)
	const hr, lms = "https://hr.example", "https://lms.example"
	mailbox := xapi.Identifier{Kind: xapi.Mbox, Value: "mailto:ann@example.org"}
	sent := w.connect(one, "sent", head+streamText("attempt")[:strings.Index(streamText("attempt"), "subject:")]+`subject: {mbox: "mailto:ann@example.org"}`+
		streamText("attempt")[strings.Index(streamText("attempt"), "\n    statements:"):])
	sent.last("attempt", attempt(1, "ann", 50))
	statements := func() string {
		t.Helper()
		var text string
		for _, table := range []string{"statement", "statement_agent"} {
			var rows string
			if err := w.owner.QueryRowContext(t.Context(), "SELECT coalesce(string_agg(t.xmin::text || t::text, E'\\n' ORDER BY t::text), '') FROM "+table+" t").Scan(&rows); err != nil {
				t.Fatal(err)
			}
			text += rows
		}
		return text
	}
	before := statements()
	a := w.connect(one, "hr", staffHead+staffText("attempt", hr), "employee_number", "mailbox")
	b := w.connect(one, "lms", staffHead+staffText("attempt", lms), "employee_number")
	other := w.connect(two, "lms", staffHead+staffText("attempt", lms), "employee_number")
	b.last("attempt", record(`{"id":1,"pupil":"u1","score":7,"verb":"bob@example.org"}`, 1), record(`{"id":2,"pupil":"u2","score":8}`, 2))
	other.last("attempt", record(`{"id":1,"pupil":"u1","score":7}`, 1))
	a.last("attempt", record(`{"id":1,"pupil":"ann","score":7,"verb":"ann@example.org","note":"nurse"}`, 1))
	person := w.person(one, mailbox)
	if len(person) != 3 || !slices.Equal(person, w.person(one, accountAt(hr, "ann"))) || !slices.Equal(person, w.person(one, accountAt(lms, "u1"))) {
		t.Errorf("ann is %v", person)
	}
	equal(t, "facts of somebody whom only the mailbox names", w.facts(one, mailbox, time.Now(), time.Time{}), "role nurse")
	if len(w.person(one, accountAt(lms, "u2"))) != 1 || len(w.person(two, accountAt(lms, "u1"))) != 1 {
		t.Error("somebody else was linked")
	}
	w.in(one, func(ctx context.Context, tx *database.Tx) error {
		subject, err := w.vault.Find(ctx, tx, mailbox)
		if err != nil {
			return err
		}
		return w.vault.Split(ctx, tx, vault.Act{Actor: "test", Now: time.Now()}, []uuid.UUID{subject})
	})
	if len(w.person(one, mailbox)) != 1 || len(w.person(one, accountAt(hr, "ann"))) != 2 {
		t.Error("the mailbox is not split off")
	}
	if counts := a.whole("attempt", record(`{"id":1,"pupil":"ann","score":9,"verb":"ann@example.org","note":"nurse"}`, 1)); counts.Changed != 1 {
		t.Errorf("a corrected number: %+v", counts)
	}
	if len(w.person(one, mailbox)) != 1 || len(w.person(one, accountAt(hr, "ann"))) != 1 {
		t.Error("the corrected number, or what was split, links still")
	}
	if now := statements(); now != before {
		t.Error("who is who changed statements")
	}
	if dump := w.dump("person_claim"); strings.Contains(dump, "example.org") || strings.Contains(dump, fmt.Sprintf("%x", "ann@example.org")) {
		t.Error("a claim stands in clear")
	}
}

// What cannot be said of anybody is a dead letter that shows no value.
func TestPersonDeadLetters(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "hr", staffHead+staffText("attempt", "https://hr.example"))
	s.last("attempt", record(`{"id":1,"pupil":"ann","verb":"s3cret"}`, 1), record(`{"id":2,"pupil":"bob","note":"nurse"}`, 2))
	if got := s.letters(); got["mapping"] != 1 || len(got) != 1 {
		t.Errorf("letters: %v", got)
	}
	if strings.Contains(w.dump("dead_letter"), "s3cret") {
		t.Error("a dead letter shows what it holds")
	}
	s.whole("attempt", record(`{"id":1,"pupil":"ann","verb":"ann@example.org","note":"cook"}`, 1), record(`{"id":2,"pupil":"bob","note":"nurse"}`, 2))
	equal(t, "mended", w.facts(one, accountAt("https://hr.example", "ann"), time.Now(), time.Time{}), "role cook")
}
