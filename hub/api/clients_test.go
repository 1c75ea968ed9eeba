package api_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/api"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/auth/authtest"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

type credential struct{ ID, Key, Secret string }

func (c credential) token() string { return "lrshub_" + c.Key + "_" + c.Secret }

func TestClientLife(t *testing.T) {
	o := newOffice(t)
	admin := o.client(databasetest.Default, "administrator", "admin")
	stranger := o.client(databasetest.Other, "their administrator", "admin")
	var made, second credential
	o.ask(admin, "POST", "/clients", `{"name":"canvas","scopes":["admin"],"networks":["192.0.2.0/24"],"expires":"2099-01-01T00:00:00Z"}`, http.StatusCreated, &made)
	o.ask(admin, "POST", "/clients", `{"name":"canvas","scopes":["admin"]}`, http.StatusConflict, nil)
	o.ask(made.token(), "GET", "/clients", "", http.StatusOK, nil) // httptest's requests come from 192.0.2.1

	var c auth.Client
	o.ask(admin, "GET", "/clients/canvas", "", http.StatusOK, &c)
	if c.ID.String() != made.ID || c.Key != made.Key || !slices.Equal(c.Networks, []string{"192.0.2.0/24"}) || c.Expires == nil || c.LastUsed != time.Now().UTC().Format("2006-01-02") {
		t.Errorf("%+v", c)
	}
	o.ask(admin, "POST", "/clients/canvas/keys", `{"overlap":3600}`, http.StatusCreated, &second)
	if second.ID != made.ID || second.Key == made.Key {
		t.Errorf("%+v", second)
	}
	for _, token := range []string{made.token(), second.token()} {
		o.ask(token, "GET", "/clients", "", http.StatusOK, nil)
	}
	o.ask(admin, "PATCH", "/clients/"+made.ID, `{"scopes":["connections/read"],"networks":[],"expires":"never"}`, http.StatusOK, &c)
	time.Sleep(time.Second)
	var after auth.Client
	o.ask(admin, "GET", "/clients/canvas", "", http.StatusOK, &after)
	if after.Expires != nil || len(after.Networks) != 0 || !slices.Equal(after.Scopes, []string{"connections/read"}) || len(after.Keys) != 2 || after.Key != second.Key {
		t.Errorf("%+v", after)
	}
	o.ask(second.token(), "GET", "/clients", "", http.StatusForbidden, nil)
	o.ask(admin, "PATCH", "/clients/canvas", `{"networks":["198.51.100.0/24"]}`, http.StatusOK, nil)
	time.Sleep(time.Second)
	o.ask(second.token(), "GET", "/connections", "", http.StatusUnauthorized, nil)

	for body, says := range map[string]string{
		`{"expires":"tomorrow"}`: "2027-01-31", `{"expires":"2001-01-01T00:00:00Z"}`: "past", `{"networks":["campus"]}`: "10.1.0.0/16", `{"scopes":["reed"]}`: "statements/read",
		`{"purpose":"curiosity"}`: "curiosity", `{"scopes":["statements/read/pseudonymised"]}`: "another client", `{"nonsense":1}`: "nonsense",
	} {
		var p api.Problem
		if o.ask(admin, "PATCH", "/clients/canvas", body, http.StatusUnprocessableEntity, &p); !strings.Contains(p.Detail, says) {
			t.Errorf("%s: %q does not say %s", body, p.Detail, says)
		}
	}
	o.ask(admin, "POST", "/clients/canvas/keys", `{"overlap":-1}`, http.StatusUnprocessableEntity, nil)
	o.ask(admin, "POST", "/clients/canvas/keys", `{"overlap":9223372036854775807}`, http.StatusUnprocessableEntity, nil)
	o.ask(admin, "POST", "/clients", `{"name":"analytics","scopes":["admin"],"jwt_subject":"analytics"}`, http.StatusUnprocessableEntity, nil) // no issuer here
	for _, strange := range []struct{ method, path, body string }{
		{"GET", "/clients/canvas", ""}, {"GET", "/clients/" + made.ID, ""}, {"PATCH", "/clients/canvas", `{"scopes":["define"]}`},
		{"POST", "/clients/" + made.ID + "/keys", `{"overlap":0}`}, {"DELETE", "/clients/canvas", ""},
	} {
		o.ask(stranger, strange.method, strange.path, strange.body, http.StatusNotFound, nil)
	}
	o.ask(admin, "DELETE", "/clients/canvas", "", http.StatusOK, &after)
	if after.Revoked == nil {
		t.Errorf("%+v", after)
	}
	o.ask(admin, "GET", "/clients/canvas", "", http.StatusNotFound, nil)
	o.ask(admin, "GET", "/clients/"+made.ID, "", http.StatusOK, nil)
	for kind, want := range map[string]int{audit.ClientChanged: 2, audit.ClientRotated: 1, audit.ClientRevoked: 1, audit.AuthRefused: 1} {
		if n := o.events(databasetest.Default, kind); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
}

// TestWhoManagesClients: nobody but an administrator, whatever it holds of a client.
func TestWhoManagesClients(t *testing.T) {
	o := newOffice(t)
	o.client(databasetest.Default, "canvas", "statements/write")
	reader := o.client(databasetest.Default, "reader", "all", "connections/write", "audit/read")
	for _, refused := range []struct{ method, path, body string }{
		{"GET", "/clients/canvas", ""}, {"PATCH", "/clients/reader", `{"scopes":["admin"]}`}, {"POST", "/clients/canvas/keys", `{"overlap":0}`}, {"DELETE", "/clients/canvas", ""},
	} {
		o.ask(reader, refused.method, refused.path, refused.body, http.StatusForbidden, nil)
	}
}

func TestHowToSignIn(t *testing.T) {
	provider := authtest.New(t)
	issuer, err := auth.NewIssuer(provider.URL, authtest.Audience, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	o := newOfficeWith(t, auth.Options{Issuer: issuer})
	admin := o.client(databasetest.Default, "administrator", "admin")
	var made credential
	o.ask(admin, "POST", "/clients", `{"name":"analytics","scopes":["admin"],"jwt_subject":"`+authtest.Client+`"}`, http.StatusCreated, &made)
	if made.Key+made.Secret != "" || made.ID == "" {
		t.Errorf("%+v", made)
	}
	token := provider.Issue(t, nil)
	provider.Down.Store(true)
	r := httptest.NewRequest("GET", "/api/v1/clients", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	o.handler.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" || strings.Contains(w.Body.String(), provider.URL) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	r.Header.Del("Authorization")
	w = httptest.NewRecorder()
	o.handler.ServeHTTP(w, r)
	if said := strings.Join(w.Header().Values("WWW-Authenticate"), ", "); w.Code != http.StatusUnauthorized || !strings.Contains(said, "Basic realm") || !strings.Contains(said, "Bearer realm") {
		t.Errorf("%d %s", w.Code, said)
	}
}
