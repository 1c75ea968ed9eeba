package console_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/html"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/console"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/policies"
)

var now = time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)

// world is a hub's rooms with two tenants, and the console on them.
type world struct {
	*testing.T
	db      *database.DB
	keys    *vault.Keys
	clients *auth.Clients
	signer  *audit.Signer
	anchor  *audit.Anchor
	handler http.Handler
}

func (w *world) Request(r *http.Request) (access.Caller, error) {
	return w.clients.Request(w.db, r)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, db: databasetest.New(t)}
	clock := func() time.Time { return now }
	master, err := vault.MasterKey(make([]byte, 32))
	w.must(err)
	w.keys, err = vault.OpenKeys(t.TempDir(), master)
	w.must(err)
	w.clients, err = auth.New(bytes.Repeat([]byte{7}, auth.PepperSize), auth.Options{Now: clock})
	w.must(err)
	gate, err := access.New(t.Context(), w.db, policies.Bundle(), access.Options{})
	w.must(err)
	w.signer, err = audit.OpenSigner(t.TempDir(), rand.Reader)
	w.must(err)
	w.anchor, err = audit.OpenAnchor(t.TempDir())
	w.must(err)
	for _, tenant := range []database.TenantID{databasetest.Default, databasetest.Other} {
		_, err := w.keys.Ensure(tenant)
		w.must(err)
		w.in(tenant, func(ctx context.Context, tx *database.Tx) error {
			if err := people.SeedDefault(ctx, tx, now); err != nil {
				return err
			}
			return gate.Seed(ctx, tx, now)
		})
	}
	w.handler, err = console.Handler(console.Rooms{DB: w.db, Auth: w, Gate: gate, Signer: w.signer, Anchor: w.anchor, Now: clock, Version: "v-test"})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) in(tenant database.TenantID, fn func(ctx context.Context, tx *database.Tx) error) {
	w.Helper()
	w.must(w.db.Tenant(w.Context(), tenant, fn))
}

func (w *world) client(tenant database.TenantID, name string, scopes ...string) (c auth.Credential) {
	w.Helper()
	w.in(tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		c, err = w.clients.Create(ctx, tx, "test", auth.NewClient{Name: name, Scopes: scopes, Purpose: people.DefaultPurpose})
		return err
	})
	return c
}

const mappingText = `
name: marks
version: 1
streams:
  result:
    subject: {objectType: Agent, account: {homePage: "https://college.example", name: "${record.student}"}}
    statements:
      - name: result
        statement:
          verb: {id: "http://adlnet.gov/expapi/verbs/completed"}
          object: {id: "https://college.example/exam"}
          timestamp: "2026-01-01T00:00:00Z"
`

func (w *world) add(tenant database.TenantID, name string) (c connection.Connection) {
	w.Helper()
	spec := connection.Spec{Connector: "csv", Purpose: people.DefaultPurpose, Schedule: "15m", Config: json.RawMessage(`{"folder":"/exports/secret-place"}`), Mapping: mappingText}
	good, err := connection.Check(spec, contract.Description{Name: "csv", Streams: []contract.Stream{{
		Name: "result", Fields: []contract.Field{{Name: "student", Type: contract.String}}, Key: []string{"student"}, Subject: "student", Mode: contract.Snapshot,
	}}})
	w.must(err)
	keys, err := w.keys.Tenant(tenant)
	w.must(err)
	w.in(tenant, func(ctx context.Context, tx *database.Tx) error {
		c, err = connection.Add(ctx, tx, keys, connection.Act{Actor: "test", Now: now.Add(-72 * time.Hour)}, name, good)
		return err
	})
	return c
}

// run begins a run that came so far.
func (w *world) run(tenant database.TenantID, c connection.Connection, started time.Time, by string, progress ...connection.Progress) uuid.UUID {
	w.Helper()
	id := uuid.New()
	w.in(tenant, func(ctx context.Context, tx *database.Tx) error {
		if err := connection.Begin(ctx, tx, connection.Run{ID: id, Connection: c.ID, StartedBy: by, StartedAt: started}, started.Add(time.Minute)); err != nil {
			return err
		}
		for _, p := range progress {
			if err := connection.AddProgress(ctx, tx, id, p); err != nil {
				return err
			}
		}
		return nil
	})
	return id
}

func (w *world) end(tenant database.TenantID, run uuid.UUID, o connection.Outcome, at time.Time) {
	w.Helper()
	w.in(tenant, func(ctx context.Context, tx *database.Tx) error { return connection.End(ctx, tx, run, o, at) })
}

func (w *world) letters(tenant database.TenantID, c connection.Connection, run uuid.UUID, code, reason string, positions ...string) {
	w.Helper()
	keys, err := w.keys.Tenant(tenant)
	w.must(err)
	list := make([]connection.DeadLetter, len(positions))
	for i, at := range positions {
		list[i] = connection.DeadLetter{Connection: c.ID, Run: run, Stream: "result", Key: keys.RecordKey(c.ID, "result", []byte(at)), Position: at, Code: code,
			Reason: reason, Mapping: 1, At: now, Record: []byte(`{"student":"ada-lovelace"}`)}
	}
	w.in(tenant, func(ctx context.Context, tx *database.Tx) error {
		return connection.AddDeadLetters(ctx, tx, keys, vault.Subjects{}, now, list)
	})
}

// shown is an answer of the console, as a reader finds it.
type shown struct {
	*testing.T
	status int
	header http.Header
	source string
	text   string // without markup, spaces run together
	root   *html.Node
}

// get asks for a page; secret "" sends no credential.
func (w *world) get(path, key, secret string) shown {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), http.MethodGet, path, nil)
	if secret != "" {
		r.SetBasicAuth(key, secret)
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	s := shown{T: w.T, status: recorder.Code, header: recorder.Header(), source: recorder.Body.String()}
	root, err := html.Parse(strings.NewReader(s.source))
	w.must(err)
	s.root = root
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
	}
	s.text = strings.NewReplacer(" ,", ",", " :", ":").Replace(strings.Join(strings.Fields(b.String()), " "))
	return s
}

// has wants texts on the page.
func (s shown) has(texts ...string) {
	s.Helper()
	for _, text := range texts {
		if !strings.Contains(s.text, text) {
			s.Errorf("the page does not say %q; it says: %s", text, s.text)
		}
	}
}

// lacks wants no such text anywhere in the answer.
func (s shown) lacks(texts ...string) {
	s.Helper()
	for _, text := range texts {
		if strings.Contains(s.source, text) {
			s.Errorf("the page has %q", text)
		}
	}
}

// count says how many elements have that tag.
func (s shown) count(tag string) (n int) {
	for e := range s.root.Descendants() {
		if e.Type == html.ElementNode && e.Data == tag {
			n++
		}
	}
	return n
}

func attribute(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}
