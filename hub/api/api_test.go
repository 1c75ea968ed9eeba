package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/api"
	"github.com/lrshub/lrshub/hub/audit"
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

// office is a management API over a database with two tenants, without connectors and Temporal.
type office struct {
	*testing.T
	db      *database.DB
	clients *auth.Clients
	handler http.Handler
	metrics http.Handler
	vault   *vault.Vault
	ingest  *ingest.Road
	stop    chan struct{}
	broken  error // what PrepareTenant fails with
}

func newOffice(t *testing.T) *office {
	t.Helper()
	return newOfficeWith(t, auth.Options{})
}

func newOfficeWith(t *testing.T, options auth.Options) *office {
	t.Helper()
	o := &office{T: t, db: databasetest.New(t)}
	gate, err := access.New(t.Context(), o.db, policies.Bundle(), access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if o.clients, err = auth.New(make([]byte, auth.PepperSize), options); err != nil {
		t.Fatal(err)
	}
	master, err := vault.MasterKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.OpenKeys(t.TempDir(), master)
	if err != nil {
		t.Fatal(err)
	}
	prepare := func(ctx context.Context, id database.TenantID) error {
		if o.broken != nil {
			return o.broken
		}
		return o.db.Tenant(ctx, id, func(ctx context.Context, tx *database.Tx) error {
			return errors.Join(people.SeedDefault(ctx, tx, time.Now()), gate.Seed(ctx, tx, time.Now()))
		})
	}
	for _, tenant := range []database.TenantID{databasetest.Default, databasetest.Other} {
		if _, err := keys.Ensure(tenant); err != nil {
			t.Fatal(err)
		}
		if err := prepare(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	v, dictionary := vault.New(keys), records.NewDictionary(o.db)
	o.vault = v
	o.ingest, o.stop = ingest.New(o.db, v, dictionary, "https://hub.example", time.Now), make(chan struct{})
	management := api.Rooms{
		DB: o.db, Vault: v, Gate: gate, Clients: o.clients, Now: time.Now, Version: "test", PrepareTenant: prepare, Stopping: o.stop,
		Ingest: o.ingest, Disclose: disclose.New(o.db, v, dictionary, gate, "https://hub.example", time.Now),
	}
	o.handler, o.metrics = api.Handler(management), api.Metrics(management)
	return o
}

// client makes a credential and gives its token.
func (o *office) client(tenant database.TenantID, name string, scopes ...string) string {
	o.Helper()
	var c auth.Credential
	err := o.db.Tenant(o.Context(), tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		c, err = o.clients.Create(ctx, tx, "test", auth.NewClient{Name: name, Scopes: scopes, Purpose: people.DefaultPurpose})
		return err
	})
	if err != nil {
		o.Fatal(err)
	}
	return c.Token()
}

// ask sends a request and wants a status; out, if not nil, takes the answer.
func (o *office) ask(token, method, path, body string, status int, out any) {
	o.Helper()
	r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	o.handler.ServeHTTP(w, r)
	if w.Code != status {
		o.Fatalf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
		o.Fatal(err)
	}
}

// events counts a tenant's audit events of a kind.
func (o *office) events(tenant database.TenantID, kind string) (n int) {
	o.Helper()
	err := o.db.ReadTenant(o.Context(), tenant, func(ctx context.Context, tx *database.Tx) error {
		return tx.GetContext(ctx, &n, `SELECT count(*) FROM audit_event WHERE tenant_id = $1 AND kind = $2`, tx.Tenant, kind)
	})
	if err != nil {
		o.Fatal(err)
	}
	return n
}

func TestRefusalsAreTold(t *testing.T) {
	o := newOffice(t)
	reader := o.client(databasetest.Default, "reader", "connections/read")
	for _, refused := range []struct{ method, path, body string }{
		{"GET", "/clients", ""},
		{"POST", "/clients", `{"name":"mine","scopes":["admin"]}`},
		{"GET", "/tenants", ""},
		{"GET", "/audit/events", ""},
		{"GET", "/audit/export", ""},
		{"POST", "/connections/c/syncs", `{}`},
		{"POST", "/connections/c/mapping/diff", `{"document":"streams: {}"}`}, // its conditions could ask for anything
	} {
		before := o.events(databasetest.Default, audit.ManagementRefused)
		o.ask(reader, refused.method, refused.path, refused.body, http.StatusForbidden, nil)
		if after := o.events(databasetest.Default, audit.ManagementRefused); after != before+1 {
			t.Errorf("%s %s: %d events tell of the refusal, want 1", refused.method, refused.path, after-before)
		}
	}
	o.ask(reader, "GET", "/connections", "", http.StatusOK, nil)
}

func TestNoCredential(t *testing.T) {
	o := newOffice(t)
	var p api.Problem
	o.ask("", "GET", "/connections", "", http.StatusUnauthorized, &p)
	if !strings.Contains(p.Detail, "Authorization") {
		t.Errorf("the answer does not say what to send: %q", p.Detail)
	}
	o.ask("lrshub_nonsense", "GET", "/connections", "", http.StatusUnauthorized, nil)
}

func TestTenantsAreTheFirstTenantsBusiness(t *testing.T) {
	o := newOffice(t)
	operator := o.client(databasetest.Default, "operator", "admin")
	other := o.client(databasetest.Other, "their administrator", "admin")
	o.ask(other, "GET", "/clients", "", http.StatusOK, nil)
	o.ask(other, "GET", "/tenants", "", http.StatusForbidden, nil)
	o.ask(other, "POST", "/tenants", `{"name":"third"}`, http.StatusForbidden, nil)
	if n := o.events(databasetest.Other, audit.ManagementRefused); n != 2 {
		t.Errorf("%d events tell of two refusals", n)
	}
	var list struct{ Items []database.Tenant }
	o.ask(operator, "GET", "/tenants", "", http.StatusOK, &list)
	if len(list.Items) != 2 {
		t.Errorf("%d tenants, want 2", len(list.Items))
	}
}

func TestTenantThatWasMadeInPart(t *testing.T) {
	o := newOffice(t)
	operator := o.client(databasetest.Default, "operator", "admin")
	o.broken = errors.New("the process dies here")
	o.ask(operator, "POST", "/tenants", `{"name":"law"}`, http.StatusInternalServerError, nil)
	o.broken = nil
	var made struct {
		Administrator struct{ Key, Secret string }
	}
	o.ask(operator, "POST", "/tenants", `{"name":"law"}`, http.StatusCreated, &made)
	o.ask("lrshub_"+made.Administrator.Key+"_"+made.Administrator.Secret, "GET", "/clients", "", http.StatusOK, nil)
	o.ask(operator, "POST", "/tenants", `{"name":"law"}`, http.StatusConflict, nil)
}

func TestProblemsShowNoValue(t *testing.T) {
	o := newOffice(t)
	engineer := o.client(databasetest.Default, "engineer", "connections/write")
	var p api.Problem
	o.ask(engineer, "POST", "/connections", `{"name":"lms","spec":{"connector":5,"config":{"password":"s3cret"}},"more":{"password":"s3cret"}}`,
		http.StatusUnprocessableEntity, &p)
	if !strings.Contains(p.Detail, "body.spec.connector") || strings.Contains(p.Detail, "s3cret") {
		t.Errorf("want the place and no value: %s", p.Detail)
	}
}
