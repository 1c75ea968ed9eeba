package oauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/oauth"
	"github.com/lrshub/lrshub/hub/people"
)

// place is the face, over a database with two tenants, and a client of the second.
type place struct {
	*testing.T
	db      *database.DB
	clients *auth.Clients
	server  *httptest.Server
	made    auth.Credential
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{T: t, db: databasetest.New(t)}
	var err error
	if p.clients, err = auth.New(bytes.Repeat([]byte{7}, 32), auth.Options{TokenSecret: bytes.Repeat([]byte{9}, 32), PublicURL: "https://hub.example"}); err != nil {
		t.Fatal(err)
	}
	p.made = p.client("canvas")
	p.server = httptest.NewServer(oauth.Handler(oauth.Rooms{DB: p.db, Clients: p.clients, PublicURL: "https://hub.example"}))
	t.Cleanup(p.server.Close)
	return p
}

func (p *place) client(name string, networks ...string) (made auth.Credential) {
	p.Helper()
	err := p.db.Tenant(p.Context(), databasetest.Other, func(ctx context.Context, tx *database.Tx) (err error) {
		if err = people.SeedDefault(ctx, tx, time.Now()); err == nil {
			made, err = p.clients.Create(ctx, tx, "test", auth.NewClient{
				Name: name, Scopes: []string{"statements/write", "define"}, Purpose: people.DefaultPurpose, Networks: networks,
			})
		}
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	return made
}

// answer is what the endpoint answers.
type answer struct {
	status      int
	header      http.Header
	Token       string `json:"access_token"`
	Type        string `json:"token_type"`
	Expires     int    `json:"expires_in"`
	Scope       string
	Error       string
	Description string `json:"error_description"`
}

func (p *place) post(path, body string, change func(*http.Request)) (a answer) {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), http.MethodPost, p.server.URL+path, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if change != nil {
		change(r)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		p.Fatal(err)
	}
	a.status, a.header = response.StatusCode, response.Header
	return a
}

// TestToken: a client library that others wrote gets a token, either way.
func TestToken(t *testing.T) {
	p := newPlace(t)
	for name, style := range map[string]oauth2.AuthStyle{"client_secret_basic": oauth2.AuthStyleInHeader, "client_secret_post": oauth2.AuthStyleInParams} {
		t.Run(name, func(t *testing.T) {
			c := clientcredentials.Config{ClientID: p.made.Key, ClientSecret: p.made.Secret, TokenURL: p.server.URL + "/oauth/token", Scopes: []string{"statements/write"}, AuthStyle: style}
			got, err := c.Token(t.Context())
			if err != nil || got.Type() != "Bearer" || got.Extra("scope") != "statements/write" {
				t.Fatalf("%v, %v", got, err)
			}
			if life := time.Until(got.Expiry); life > time.Hour || life < time.Hour-time.Minute {
				t.Errorf("it lives %v", life)
			}
			r := httptest.NewRequest(http.MethodGet, "/xapi/statements", nil)
			got.SetAuthHeader(r)
			caller, err := p.clients.Request(p.db, r)
			if err != nil || caller.Client != p.made.Client || caller.Tenant != databasetest.Other || !slices.Equal(caller.Scopes, []string{"statements/write"}) {
				t.Errorf("%+v, %v", caller, err)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	p := newPlace(t)
	here := p.client("here", "127.0.0.1/32", "::1/128")
	elsewhere := p.client("elsewhere", "192.0.2.0/24")
	basic := func(key, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(key, secret) }
	}
	good := basic(p.made.Key, p.made.Secret)
	posted := "&client_id=" + p.made.Key + "&client_secret=" + p.made.Secret
	const grant = "grant_type=client_credentials"
	for name, test := range map[string]struct {
		path, body string
		change     func(*http.Request)
		status     int
		want       string // the error, or the scope
	}{
		"all scopes":                  {"/oauth/token", grant, good, 200, "define statements/write"},
		"an empty scope":              {"/oauth/token", grant + "&scope=", good, 200, "define statements/write"},
		"a scope":                     {"/oauth/token", grant + "&scope=define", good, 200, "define"},
		"its own id too":              {"/oauth/token", grant + "&client_id=" + p.made.Key, good, 200, "define statements/write"},
		"percent-encoded":             {"/oauth/token", grant, basic(p.made.Key, strings.NewReplacer("-", "%2D", "_", "%5F", "A", "%41").Replace(p.made.Secret)), 200, "define statements/write"},
		"from its network":            {"/oauth/token", grant, basic(here.Key, here.Secret), 200, "define statements/write"},
		"from another network":        {"/oauth/token", grant, basic(elsewhere.Key, elsewhere.Secret), 401, "invalid_client"},
		"a scope that it has not":     {"/oauth/token", grant + "&scope=define+admin", good, 400, "invalid_scope"},
		"a scope that there is not":   {"/oauth/token", grant + "&scope=openid", good, 400, "invalid_scope"},
		"another grant":               {"/oauth/token", "grant_type=password", good, 400, "unsupported_grant_type"},
		"no grant":                    {"/oauth/token", "scope=define", good, 400, "invalid_request"},
		"nobody":                      {"/oauth/token", grant, nil, 401, "invalid_client"},
		"another secret":              {"/oauth/token", grant, basic(p.made.Key, here.Secret), 401, "invalid_client"},
		"unknown key":                 {"/oauth/token", grant, basic(strings.Repeat("a", 20), here.Secret), 401, "invalid_client"},
		"another id in the form":      {"/oauth/token", grant + "&client_id=" + here.Key, good, 401, "invalid_client"},
		"id without a secret":         {"/oauth/token", grant + "&client_id=" + p.made.Key, nil, 401, "invalid_client"},
		"twice":                       {"/oauth/token", grant + posted, good, 400, "invalid_request"},
		"a parameter twice":           {"/oauth/token", grant + "&" + grant, good, 400, "invalid_request"},
		"another type of body":        {"/oauth/token", `{"grant_type":"client_credentials"}`, func(r *http.Request) { good(r); r.Header.Set("Content-Type", "application/json") }, 400, "invalid_request"},
		"a broken form":               {"/oauth/token", grant + "&scope=%zz", good, 400, "invalid_request"},
		"a long form":                 {"/oauth/token", grant + "&x=" + strings.Repeat("x", 17<<10), good, 400, "invalid_request"},
		"the secret in the URL":       {"/oauth/token?client_secret=" + p.made.Secret, grant, good, 400, "invalid_request"},
		"the grant in the URL":        {"/oauth/token?" + grant, "", good, 400, "invalid_request"},
		"the hub's own kind of token": {"/oauth/token", grant, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+p.made.Token()) }, 200, "define statements/write"},
	} {
		t.Run(name, func(t *testing.T) {
			a := p.post(test.path, test.body, test.change)
			if a.status != test.status || a.Error+a.Scope != test.want || (a.Token != "") != (a.status == 200) || a.status != 200 && a.Description == "" {
				t.Errorf("%+v; want %d %s", a, test.status, test.want)
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("header %v", a.header)
			}
			if challenges := strings.Join(a.header.Values("WWW-Authenticate"), " "); (a.status == 401) != (strings.Contains(challenges, "Basic ") && strings.Contains(challenges, "Bearer ")) {
				t.Errorf("challenges %q", challenges)
			}
			for _, c := range []auth.Credential{p.made, here, elsewhere} {
				if strings.Contains(a.Description, c.Secret) || strings.Contains(a.Description, c.Key) {
					t.Errorf("it tells what was sent: %s", a.Description)
				}
			}
		})
	}
	token := p.post("/oauth/token", grant, good).Token
	if a := p.post("/oauth/token", grant, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }); a.status != 401 {
		t.Errorf("a token for a token: %+v", a)
	}
}

func TestMetadata(t *testing.T) {
	p := newPlace(t)
	response, err := http.Get(p.server.URL + oauth.MetadataPath)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got struct {
		Issuer    string
		Endpoint  string   `json:"token_endpoint"`
		Scopes    []string `json:"scopes_supported"`
		Responses []string `json:"response_types_supported"`
		Grants    []string `json:"grant_types_supported"`
	}
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Issuer != "https://hub.example" || got.Endpoint != "https://hub.example/oauth/token" || !slices.Equal(got.Scopes, access.Scopes()) || got.Responses == nil || !slices.Equal(got.Grants, []string{"client_credentials"}) {
		t.Errorf("%+v", got)
	}
}

// TestUnavailable: no database, no token, and nothing of the request in the log.
func TestUnavailable(t *testing.T) {
	p := newPlace(t)
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	p.db.Close()
	a := p.post("/oauth/token", "grant_type=client_credentials&client_id="+p.made.Key+"&client_secret="+p.made.Secret, nil)
	if a.status < 500 || a.Token != "" || a.Error == "" {
		t.Errorf("%+v", a)
	}
	if strings.Contains(log.String(), p.made.Secret) || strings.Contains(log.String(), p.made.Key) {
		t.Errorf("log: %s", log.String())
	}
}

// TestFailuresAreTold: like those of any other credential, and as boundedly.
func TestFailuresAreTold(t *testing.T) {
	p := newPlace(t)
	for range 3 {
		_, err := p.clients.Grant(t.Context(), p.db, auth.Presented{Key: p.made.Key, Secret: strings.Repeat("A", 43)}, "")
		if err != auth.ErrUnauthenticated {
			t.Fatal(err)
		}
	}
	var n int
	err := p.db.ReadTenant(t.Context(), databasetest.Other, func(ctx context.Context, tx *database.Tx) error {
		return tx.GetContext(ctx, &n, "SELECT count(*) FROM audit_event WHERE tenant_id = $1 AND kind = $2", tx.Tenant, audit.AuthRefused)
	})
	if err != nil || n != 3 {
		t.Errorf("%d events, %v", n, err)
	}
}
