package disclose_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	_ "github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/policies"
)

const (
	one = databasetest.Default
	two = databasetest.Other

	home = "https://hub.example"
)

// world is a hub of two tenants, from the road in to the road out.
type world struct {
	*testing.T
	db    *database.DB
	owner *sql.DB // past row-level security
	vault *vault.Vault
	gate  *access.Gate
	in    *ingest.Road
	out   *disclose.Road
}

func newWorld(t *testing.T) *world {
	t.Helper()
	master, err := vault.MasterKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.OpenKeys(t.TempDir(), master)
	if err != nil {
		t.Fatal(err)
	}
	db, ownerURL := databasetest.NewWithOwner(t)
	owner, err := sql.Open("postgres", ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close() })
	w := &world{T: t, db: db, owner: owner, vault: vault.New(keys)}
	if w.gate, err = access.New(t.Context(), db, policies.Bundle(), access.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []database.TenantID{one, two} {
		if _, err := keys.Ensure(tenant); err != nil {
			t.Fatal(err)
		}
		w.tx(tenant, func(ctx context.Context, tx *database.Tx) error {
			_, err := people.AddPurpose(ctx, tx, time.Now(), "test", people.Purpose{Name: "accreditation", Basis: people.LegalObligation})
			return errors.Join(err, people.SeedDefault(ctx, tx, time.Now()), w.gate.Seed(ctx, tx, time.Now()))
		})
	}
	dictionary := records.NewDictionary(db)
	w.in = ingest.New(db, w.vault, dictionary, home, time.Now)
	w.out = w.road()
	return w
}

// road is a road out of its own, as another process has.
func (w *world) road() *disclose.Road {
	return disclose.New(w.db, w.vault, records.NewDictionary(w.db), w.gate, home, time.Now)
}

func (w *world) tx(tenant database.TenantID, fn func(context.Context, *database.Tx) error) {
	w.Helper()
	if err := w.db.Tenant(w.Context(), tenant, fn); err != nil {
		w.Fatal(err)
	}
}

// client is a credential; the same number is the same client.
func client(tenant database.TenantID, number byte, scopes ...string) access.Caller {
	id := uuid.MustParse("5b1fa8a5-04fa-4b46-9b8d-2c53a4ee4f00")
	id[15] = number
	return access.Caller{Tenant: tenant, Client: id, Scopes: scopes, Purpose: people.DefaultPurpose}
}

// The credentials that most tests use.
var (
	writer    = client(one, 1, "statements/write")
	reader    = client(one, 2, "statements/read")
	analyst   = client(one, 3, "statements/read/pseudonymised")
	analyst2  = client(one, 4, "statements/read/pseudonymised")
	stranger  = client(two, 5, "statements/read")
	stranger2 = client(two, 6, "statements/write")
)

// post stores statements; those that a test lists must have settled.
func (w *world) post(c access.Caller, texts ...string) []uuid.UUID {
	w.Helper()
	return w.postDefining(c, false, texts...)
}

func (w *world) postDefining(c access.Caller, define bool, texts ...string) []uuid.UUID {
	w.Helper()
	var ids []uuid.UUID
	for _, text := range texts { // one by one, so that each has an instant of its own
		batch, err := xapi.ParseBatch([]byte("["+text+"]"), xapi.V2, 1)
		if err != nil {
			w.Fatal(err)
		}
		stored, err := w.in.Statements(w.Context(), c, define, batch)
		if err != nil {
			w.Fatal(err)
		}
		ids = append(ids, stored...)
	}
	databasetest.Settle(w, w.db)
	return ids
}

func mbox(name string) string { return `{"mbox":"mailto:` + name + `@example.org"}` }

// said is a small statement; more goes in at its end.
func said(name, verb, activity, more string) string {
	return fmt.Sprintf(`{"actor":%s,"verb":{"id":"http://adlnet.gov/expapi/verbs/%s"},"object":{"id":"https://school.example/%s"}%s}`, mbox(name), verb, activity, more)
}

func agent(name string) *xapi.Agent {
	a, err := xapi.ParseAgent([]byte(mbox(name)), xapi.V1)
	if err != nil {
		panic(err)
	}
	return &a
}

func (w *world) page(c access.Caller, q disclose.Query) disclose.Page {
	w.Helper()
	page, err := w.out.Page(w.Context(), c, q)
	if err != nil {
		w.Fatal(err)
	}
	return page
}

// shownStatement is what tests read of a statement in either form.
type shownStatement struct {
	ID    uuid.UUID
	Actor struct {
		ObjectType string
		Mbox       string
		Account    struct{ HomePage, Name string }
	}
	Verb    struct{ ID string }
	Object  struct{ ID string }
	Context struct {
		Registration uuid.UUID
		Instructor   json.RawMessage
		Team         json.RawMessage
	}
	Timestamp, Stored time.Time
	Authority         struct {
		Account struct{ HomePage, Name string }
	}
}

func (w *world) read(text []byte) (s shownStatement) {
	w.Helper()
	if err := json.Unmarshal(text, &s); err != nil {
		w.Fatalf("%s: %v", text, err)
	}
	return s
}

// ids lists what a page shows.
func (w *world) ids(page disclose.Page) []uuid.UUID {
	w.Helper()
	ids := []uuid.UUID{}
	for _, text := range page.Statements {
		ids = append(ids, w.read(text).ID)
	}
	return ids
}

// finds checks which statements a query finds, newest first.
func (w *world) finds(what string, c access.Caller, q disclose.Query, want ...uuid.UUID) {
	w.Helper()
	if diff := cmp.Diff(append([]uuid.UUID{}, want...), w.ids(w.page(c, q))); diff != "" {
		w.Errorf("%s: %s", what, diff)
	}
}

// event is an audit event as its reader sees it.
type event struct {
	Kind, Actor, Purpose string
	Subjects             []uuid.UUID
	Fields               map[string]any
}

// events lists the events that tell of disclosure since the test began, oldest first.
func (w *world) events() (list []event) {
	w.Helper()
	rows, err := w.owner.QueryContext(w.Context(), "SELECT canonical FROM audit_event WHERE kind LIKE 'statement.%' ORDER BY id")
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var canonical []byte
		if err := rows.Scan(&canonical); err != nil {
			w.Fatal(err)
		}
		written, err := audit.Decode(canonical)
		if err != nil {
			w.Fatal(err)
		}
		e := event{Kind: written.Kind, Actor: written.Actor, Purpose: written.Purpose, Subjects: written.Subjects}
		if err := json.Unmarshal(written.Fields, &e.Fields); err != nil {
			w.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// subject is the subject of a mailbox in tenant one.
func (w *world) subject(name string) (id uuid.UUID) {
	w.Helper()
	w.tx(one, func(ctx context.Context, tx *database.Tx) (err error) {
		id, err = w.vault.Find(ctx, tx, agent(name).Identifier)
		return err
	})
	return id
}

// shred destroys the keys of a mailbox' subject.
func (w *world) shred(name string) {
	w.Helper()
	if _, err := w.owner.Exec("DELETE FROM subject_key WHERE subject_id = $1", w.subject(name).String()); err != nil {
		w.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

func contains(text []byte, what string) bool { return strings.Contains(string(text), what) }
