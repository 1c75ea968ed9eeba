package vault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// registry is a tenant's people, known by connections that link on what they say.
type registry struct {
	testing.TB
	db     *database.DB
	vault  *vault.Vault
	tenant database.TenantID
	ids    map[string]uuid.UUID // subjects and connections by name
	act    vault.Act
}

func newRegistry(t testing.TB, db *database.DB, v *vault.Vault, id database.TenantID, subjects ...string) *registry {
	t.Helper()
	r := &registry{TB: t, db: db, vault: v, tenant: id, ids: map[string]uuid.UUID{}, act: vault.Act{Actor: "test", Now: time.Now()}}
	r.do(func(ctx context.Context, tx *database.Tx) error {
		var accounts []xapi.Identifier
		for _, s := range subjects {
			accounts = append(accounts, account(s))
		}
		found, err := v.Resolve(ctx, tx, accounts)
		for _, s := range subjects {
			r.ids[s] = found.Of(account(s)).ID
		}
		return err
	})
	return r
}

func (r *registry) do(fn func(ctx context.Context, tx *database.Tx) error) {
	r.Helper()
	if err := r.try(fn); err != nil {
		r.Fatal(err)
	}
}

func (r *registry) try(fn func(ctx context.Context, tx *database.Tx) error) error {
	return r.db.Tenant(context.Background(), r.tenant, fn)
}

// connect makes connections that link on these kinds.
func (r *registry) connect(on []string, names ...string) {
	r.Helper()
	for _, name := range names {
		if _, there := r.ids[name]; !there {
			r.ids[name] = uuid.New()
		}
		r.do(func(ctx context.Context, tx *database.Tx) error {
			return r.vault.LinkOn(ctx, tx, r.act, r.ids[name], on)
		})
	}
}

// said is what a record says.
type said struct {
	connection, record, subject string
	claims                      []vault.Claim
}

// claim tells of records, one after the other.
func (r *registry) claim(list ...said) error {
	return r.try(func(ctx context.Context, tx *database.Tx) error {
		for _, s := range list {
			record := vault.Claims{Stream: 1, Record: []byte(s.record), Subject: r.ids[s.subject], List: s.claims}
			if err := r.vault.Claim(ctx, tx, r.act, r.ids[s.connection], []vault.Claims{record}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *registry) says(connection, record, subject string, claims ...vault.Claim) {
	r.Helper()
	if err := r.claim(said{connection, record, subject, claims}); err != nil {
		r.Fatal(err)
	}
}

func number(value string) vault.Claim { return vault.Claim{Kind: "employee_number", Value: value} }
func mail(value string) vault.Claim {
	return vault.Claim{Kind: "mailbox", Value: value, Verified: true}
}

// persons gives, for subjects in this order, the first of them that is the same person.
func (r *registry) persons(subjects ...string) (text string) {
	r.Helper()
	r.do(func(ctx context.Context, tx *database.Tx) error {
		text = ""
		first := map[uuid.UUID]string{}
		for _, s := range subjects {
			linked, err := r.vault.Person(ctx, tx, r.ids[s])
			if err != nil {
				return err
			}
			if !slices.Contains(linked, r.ids[s]) {
				return fmt.Errorf("%s is not of its own person", s)
			}
			if first[linked[0]] == "" {
				first[linked[0]] = s
			}
			text += first[linked[0]]
		}
		return nil
	})
	return text
}

func (r *registry) want(persons string, subjects ...string) {
	r.Helper()
	if got := r.persons(subjects...); got != persons {
		r.Errorf("persons of %v: %s, want %s", subjects, got, persons)
	}
}

// reviews gives the open reviews as kind and issue.
func (r *registry) reviews() (list []vault.Review) {
	r.Helper()
	r.do(func(ctx context.Context, tx *database.Tx) (err error) {
		list, err = r.vault.Reviews(ctx, tx, "open", 100)
		return err
	})
	return list
}

func (r *registry) decide(fn func(ctx context.Context, tx *database.Tx, act vault.Act, subjects []uuid.UUID) error, subjects ...string) error {
	var ids []uuid.UUID
	for _, s := range subjects {
		ids = append(ids, r.ids[s])
	}
	return r.try(func(ctx context.Context, tx *database.Tx) error { return fn(ctx, tx, r.act, ids) })
}

var everything = vault.LinkKinds()

func TestIdentity(t *testing.T) {
	db := databasetest.New(t)
	v, _ := open(t, t.TempDir())
	r := newRegistry(t, db, v, 1, "a", "b", "c", "d")
	r.connect(everything, "HR", "LMS", "badges")
	r.says("HR", "1", "a", number("7"), mail("ann@example.org"))
	r.says("LMS", "1", "b", number("7"))
	r.says("badges", "1", "c", mail("ann@example.org"), vault.Claim{Kind: "mailbox", Value: "bob@example.org"})
	r.says("HR", "2", "d", mail("bob@example.org"))
	r.want("aaad", "a", "b", "c", "d") // an unverified mailbox is no evidence
	r.do(func(ctx context.Context, tx *database.Tx) error {
		links, err := v.Links(ctx, tx, []uuid.UUID{r.ids["a"]})
		if err != nil {
			return err
		}
		evidence := map[string]int{}
		for _, l := range links {
			evidence[l.Kind] = len(l.Sources)
		}
		if diff := cmp.Diff(map[string]int{"employee_number": 2, "mailbox": 2}, evidence); diff != "" {
			t.Errorf("evidence of a's links: %s", diff)
		}
		return nil
	})
	// A corrected number takes the link back that it was the evidence of, and says so.
	r.says("LMS", "1", "b", number("8"))
	r.want("abad", "a", "b", "c", "d")
	r.do(func(ctx context.Context, tx *database.Tx) error {
		links, err := v.Links(ctx, tx, []uuid.UUID{r.ids["b"]})
		if len(links) != 1 || links[0].EndedAt == nil {
			t.Errorf("links of b: %+v", links)
		}
		return err
	})
	// What a connection may not link on any more links no more; what it may again does.
	r.connect([]string{"employee_number"}, "badges")
	r.want("abcd", "a", "b", "c", "d")
	r.connect(everything, "badges")
	r.want("abad", "a", "b", "c", "d")
	if err := r.try(func(ctx context.Context, tx *database.Tx) error {
		return v.LinkOn(ctx, tx, r.act, r.ids["HR"], []string{"name"})
	}); !errors.Is(err, vault.ErrInvalidRule) {
		t.Errorf("a rule that links on names: %v", err)
	}
}

func TestIdentityReview(t *testing.T) {
	db := databasetest.New(t)
	v, _ := open(t, t.TempDir())
	r := newRegistry(t, db, v, 1, "a", "b", "c", "d")
	r.connect(everything, "HR", "LMS", "badges")
	r.says("HR", "1", "a", number("7"), mail("shared@example.org"))
	r.says("LMS", "1", "b", number("8"), mail("shared@example.org"))
	r.want("ab", "a", "b")
	list := r.reviews()
	if len(list) != 1 || list[0].Issue != vault.IssueDisagree || list[0].Kind != "mailbox" || len(list[0].Holders) != 2 {
		t.Fatalf("reviews: %+v", list)
	}
	decide := func(id uuid.UUID, same bool) error {
		return r.try(func(ctx context.Context, tx *database.Tx) error { return v.Decide(ctx, tx, r.act, id, same) })
	}
	if err := decide(list[0].ID, false); err != nil {
		t.Fatal(err)
	}
	if err := decide(list[0].ID, true); !errors.Is(err, vault.ErrDecided) {
		t.Errorf("decided twice: %v", err)
	}
	if err := decide(uuid.New(), true); !errors.Is(err, vault.ErrUnknownReview) {
		t.Errorf("no review: %v", err)
	}
	r.says("badges", "1", "c", mail("shared@example.org"))
	r.want("abc", "a", "b", "c") // it is no evidence any more
	if list := r.reviews(); len(list) != 0 {
		t.Errorf("what was decided is asked again: %+v", list)
	}
	// Decided the other way, both are one person whatever their numbers.
	r.says("badges", "1", "c", mail("two@example.org"))
	r.says("HR", "2", "d", mail("two@example.org"), number("9"))
	r.want("cc", "c", "d")
	r.says("badges", "1", "c", mail("two@example.org"), number("10"))
	r.want("cd", "c", "d")
	if list = r.reviews(); len(list) != 1 {
		t.Fatalf("reviews: %+v", list)
	}
	if err := decide(list[0].ID, true); err != nil {
		t.Fatal(err)
	}
	r.want("cc", "c", "d")
	// What the sources mend by themselves nobody has to decide.
	r.says("HR", "3", "a", mail("three@example.org"))
	r.says("LMS", "3", "b", mail("three@example.org"))
	if list := r.reviews(); len(list) != 1 {
		t.Errorf("reviews: %+v", list)
	}
	r.says("LMS", "3", "b")
	if list := r.reviews(); len(list) != 0 {
		t.Errorf("reviews: %+v", list)
	}
}

func TestLinkAndSplit(t *testing.T) {
	db := databasetest.New(t)
	v, _ := open(t, t.TempDir())
	r := newRegistry(t, db, v, 1, "a", "b", "c", "d", "e")
	r.connect(everything, "HR", "LMS", "badges")
	r.says("HR", "1", "a", number("7"))
	r.says("LMS", "1", "b", number("7"))
	r.says("badges", "1", "c", number("7"))
	r.want("aaad", "a", "b", "c", "d")
	if err := r.decide(v.Split, "c"); err != nil {
		t.Fatal(err)
	}
	r.want("aacd", "a", "b", "c", "d")
	if list := r.reviews(); len(list) != 0 {
		t.Errorf("who split is asked again: %+v", list)
	}
	r.says("badges", "2", "c", number("7")) // the same evidence, from another record
	r.says("HR", "2", "a", mail("ann@example.org"))
	r.want("aacd", "a", "b", "c", "d")
	r.says("badges", "3", "c", mail("ann@example.org")) // new evidence does not link either
	r.want("aacd", "a", "b", "c", "d")
	if err := r.decide(v.Link, "c", "d"); err != nil {
		t.Fatal(err)
	}
	r.want("aacc", "a", "b", "c", "d")
	if err := r.decide(v.Link, "d", "a"); !errors.Is(err, vault.ErrApart) {
		t.Errorf("a link past a decision: %v", err)
	}
	r.want("aacc", "a", "b", "c", "d") // and changed nothing
	if err := r.decide(v.Link, "a", "b", "c", "d"); err != nil {
		t.Fatal(err)
	}
	r.want("aaaa", "a", "b", "c", "d")
	for _, c := range []struct {
		subjects []string
		want     error
	}{{[]string{"a", "b", "c", "d"}, vault.ErrNotOnePerson}, {[]string{"a", "e"}, vault.ErrNotOnePerson}, {[]string{"nobody"}, vault.ErrUnknownSubject}, {nil, vault.ErrUnknownSubject}} {
		if err := r.decide(v.Split, c.subjects...); !errors.Is(err, c.want) {
			t.Errorf("split %v: %v, want %v", c.subjects, err, c.want)
		}
	}
	// Another tenant has neither these subjects nor what was decided of them.
	other := newRegistry(t, db, v, 2, "x")
	other.ids["a"] = r.ids["a"]
	if err := other.decide(v.Link, "a", "x"); !errors.Is(err, vault.ErrUnknownSubject) {
		t.Errorf("another tenant links it: %v", err)
	}
	other.connect(everything, "HR")
	other.says("HR", "1", "x", number("7"))
	other.want("x", "x")
	r.want("aaaa", "a", "b", "c", "d")
}

// A claim that all at once have is no evidence any more, and takes back what it linked while few had it.
func TestWideClaim(t *testing.T) {
	db := databasetest.New(t)
	v, _ := open(t, t.TempDir())
	var names []string
	for i := range 21 {
		names = append(names, fmt.Sprintf("s%02d", i))
	}
	r := newRegistry(t, db, v, 1, names...)
	for i, name := range names {
		r.connect(everything, "C"+name)
		r.says("C"+name, "1", name, mail("office@example.org"))
		if want := i < 20; (r.persons("s00", name) == "s00s00") != (want || i == 0) {
			t.Errorf("with %d who have it: %s", i+1, r.persons("s00", name))
		}
	}
	if got := r.persons("s00", "s01"); got != "s00s01" {
		t.Errorf("two of 21: %s", got)
	}
	if list := r.reviews(); len(list) != 1 || list[0].Issue != vault.IssueMany {
		t.Errorf("reviews: %+v", list)
	}
}

// Whatever the order in which records and decisions come, and however many come at once, the same people come of it.
func TestIdentityHasNoOrder(t *testing.T) {
	db := databasetest.New(t)
	v, _ := open(t, t.TempDir())
	subjects := []string{"a", "b", "c", "d", "e", "f"}
	r := newRegistry(t, db, v, 1, subjects...)
	r.connect(everything, "HR", "LMS", "badges")
	reset := func() {
		r.do(func(ctx context.Context, tx *database.Tx) error {
			for _, statement := range []string{"DELETE FROM person_claim", "DELETE FROM person_decision", "DELETE FROM person_link", "DELETE FROM person_review", "UPDATE subject SET person_id = id"} {
				if _, err := tx.ExecContext(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		})
	}
	rapid.Check(t, func(rt *rapid.T) {
		var records []said
		for i := range rapid.IntRange(1, 8).Draw(rt, "records") {
			s := said{connection: rapid.SampledFrom([]string{"HR", "LMS", "badges"}).Draw(rt, "connection"), record: fmt.Sprint(i), subject: rapid.SampledFrom(subjects).Draw(rt, "subject")}
			for range rapid.IntRange(1, 2).Draw(rt, "claims") {
				value := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(rt, "value")
				s.claims = append(s.claims, rapid.SampledFrom([]vault.Claim{number(value), mail(value)}).Draw(rt, "claim"))
			}
			records = append(records, s)
		}
		var before []said // what some said first, and took back
		for _, s := range records {
			if rapid.Bool().Draw(rt, "changes") {
				s.claims = []vault.Claim{number(rapid.SampledFrom([]string{"1", "2", "3"}).Draw(rt, "before"))}
				before = append(before, s)
			}
		}
		run := func(order []said) string {
			reset()
			if err := r.claim(append(slices.Clone(before), order...)...); err != nil {
				rt.Fatal(err)
			}
			return fmt.Sprint(r.persons(subjects...), len(r.reviews()))
		}
		first := run(records)
		if again := run(rapid.Permutation(records).Draw(rt, "order")); again != first {
			rt.Fatalf("in another order: %s, not %s", again, first)
		}
		reset()
		var group sync.WaitGroup
		errs := make([]error, len(records))
		for i, s := range records {
			group.Go(func() { errs[i] = r.claim(s) })
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			rt.Fatal(err)
		}
		if again := fmt.Sprint(r.persons(subjects...), len(r.reviews())); again != first {
			rt.Fatalf("all at once: %s, not %s", again, first)
		}
	})
}
