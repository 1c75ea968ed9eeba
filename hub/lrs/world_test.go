package lrs

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/policies"
)

// world is an xAPI endpoint over real rooms of two tenants.
type world struct {
	*testing.T
	db      *database.DB
	owner   *sql.DB
	clients *auth.Clients
	server  *httptest.Server
	face    *face
	keys    string // folder
}

// authenticator is auth as cmd/lrshub puts it together.
type authenticator struct{ *world }

func (a authenticator) Request(r *http.Request) (access.Caller, error) {
	return a.clients.Request(a.db, r)
}

func (a authenticator) Address(r *http.Request) netip.Addr { return a.clients.Address(r) }

func newWorld(t *testing.T) *world {
	t.Helper()
	db, ownerURL := databasetest.NewWithOwner(t)
	owner, err := sql.Open("postgres", ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close() })
	w := &world{T: t, db: db, owner: owner}
	master, err := vault.MasterKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	w.keys = t.TempDir()
	keys, err := vault.OpenKeys(w.keys, master)
	if err != nil {
		t.Fatal(err)
	}
	gate, err := access.New(t.Context(), db, policies.Bundle(), access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if w.clients, err = auth.New(make([]byte, auth.PepperSize), auth.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []database.TenantID{databasetest.Default, databasetest.Other} {
		if _, err := keys.Ensure(tenant); err != nil {
			t.Fatal(err)
		}
		err := db.Tenant(t.Context(), tenant, func(ctx context.Context, tx *database.Tx) error {
			return errors.Join(people.SeedDefault(ctx, tx, time.Now()), gate.Seed(ctx, tx, time.Now()))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sealed, dictionary := vault.New(keys), records.NewDictionary(db)
	w.face = newFace(authenticator{w}, gate,
		ingest.New(db, sealed, dictionary, "https://hub.example", time.Now), disclose.New(db, sealed, dictionary, gate, "https://hub.example", time.Now))
	w.server = httptest.NewServer(w.face.handler())
	t.Cleanup(w.server.Close)
	return w
}

// caller is a credential and the version that it speaks.
type caller struct {
	*world
	key, secret string
	version     string // "": no header
}

func (w *world) client(tenant database.TenantID, version string, scopes ...string) caller {
	w.Helper()
	var c auth.Credential
	err := w.db.Tenant(w.Context(), tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		c, err = w.clients.Create(ctx, tx, "test", auth.NewClient{Name: "c-" + uuid.NewString()[:8] + "x", Scopes: scopes, Purpose: people.DefaultPurpose})
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return caller{world: w, key: c.Key, secret: c.Secret, version: version}
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (c caller) do(method, path, body string, headers ...string) answer {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, c.server.URL+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	r.SetBasicAuth(c.key, c.secret)
	if c.version != "" {
		r.Header.Set("X-Experience-API-Version", c.version)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Del(headers[i]); headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return c.send(r)
}

func (c caller) send(r *http.Request) answer {
	c.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, response.Body); err != nil {
		c.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, body.String()}
}

// post stores statements and gives their ids; they have settled.
func (c caller) post(statements ...string) (ids []string) {
	c.Helper()
	a := c.do("POST", "/xapi/statements", "["+strings.Join(statements, ",")+"]")
	if a.status != 200 {
		c.Fatalf("POST: %d %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &ids); err != nil {
		c.Fatal(err)
	}
	databasetest.Settle(c, c.db)
	return ids
}

// result is what GET statements answers.
type result struct {
	Statements []json.RawMessage
	More       *string
}

// get reads a page, by a query string or by a whole path.
func (c caller) get(query string) (answer, result) {
	c.Helper()
	path := query
	if !strings.HasPrefix(query, "/") {
		path = "/xapi/statements?" + query
	}
	a := c.do("GET", path, "")
	var r result
	if a.status != 200 {
		c.Fatalf("GET %s: %d %s", query, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || r.More == nil {
		c.Fatalf("GET %s: %v, %s", query, err, a.body)
	}
	return a, r
}

// finds gives the ids that a query finds.
func (c caller) finds(query string) (ids []string) {
	c.Helper()
	_, r := c.get(query)
	for _, text := range r.Statements {
		var st struct{ ID string }
		if err := json.Unmarshal(text, &st); err != nil {
			c.Fatal(err)
		}
		ids = append(ids, st.ID)
	}
	return ids
}

func said(name, verb, activity, more string) string {
	return fmt.Sprintf(`{"actor":{"mbox":"mailto:%s@example.org"},"verb":{"id":"http://adlnet.gov/expapi/verbs/%s"},"object":{"id":"https://school.example/%s"}%s}`, name, verb, activity, more)
}

func escape(text string) string { return url.QueryEscape(text) }

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}
