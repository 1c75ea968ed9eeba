package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/auth/authtest"
)

// ask sends a request with a bearer token, as if through a proxy that says that it is from an address, and gives the status and the answer.
func (p person) ask(method, path, body, token, from string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.hub.URL()+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Experience-API-Version", "2.0.0")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if from != "" {
		r.Header.Set("X-Forwarded-For", from)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// accessToken asks /oauth/token for a token.
func (p person) accessToken(c credential, scope, from string) string {
	p.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.Key}, "client_secret": {c.Secret}, "scope": {scope}}
	status, text := p.ask("POST", "/oauth/token", form.Encode(), "", from)
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != 200 || got.Token == "" {
		p.t.Fatalf("/oauth/token: %d %s", status, text)
	}
	return got.Token
}

// tokensHold shows that a token which one process gave is taken by another.
func tokensHold(t *testing.T, one, two person) {
	t.Helper()
	var made credential
	one.json(&made, "client", "create", "watch", "--scope", "connections/read")
	token := one.accessToken(made, "connections/read", "")
	if status, text := two.ask("GET", "/api/v1/connections", "", token, ""); status != 200 {
		t.Errorf("the other process: %d %s", status, text)
	}
	one.must("client", "revoke", "watch")
	time.Sleep(time.Second)
	if status, _ := two.ask("GET", "/api/v1/connections", "", token, ""); status != 401 {
		t.Errorf("the other process, a second after the client was revoked: %d", status)
	}
}

// TestClients is a client's life on the command line and by HTTP: networks behind a proxy, rotation, tokens, JWTs of a real issuer.
func TestClients(t *testing.T) {
	t.Parallel()
	provider, hub := authtest.New(t), freshHub(t)
	hub.Flags = []string{"--jwt-issuer", provider.URL, "--jwt-audience", authtest.Audience, "--trusted-proxies", "127.0.0.0/8"}
	up(t, hub)
	admin := person{t: t, hub: hub}
	var first, second, machine credential
	admin.json(&first, "client", "create", "watch", "--scope", "connections/read", "--scope", "audit/read", "--network", "198.51.100.0/24", "--expires", "90d")
	const path, inside, outside = "/api/v1/connections", "198.51.100.7", "203.0.113.7"
	want := func(what string, status int, token, from string) {
		t.Helper()
		if got, text := admin.ask("GET", path, "", token, from); got != status {
			t.Errorf("%s: %d %s; want %d", what, got, text, status)
		}
	}
	want("from its network", 200, first.token(), inside)
	want("from elsewhere", 401, first.token(), outside)
	want("past the proxy", 401, first.token(), "")
	token := admin.accessToken(first, "connections/read", inside)
	want("its token", 200, token, inside)
	want("its token from elsewhere", 401, token, outside)

	admin.json(&second, "client", "rotate", "watch", "--overlap", "1h")
	want("the key before", 200, first.token(), inside)
	want("the new key", 200, second.token(), inside)
	admin.must("client", "rotate", "watch", "--overlap", "0", "-o", "json")
	time.Sleep(time.Second)
	want("ended", 401, first.token(), inside)
	want("a token of an ended key", 401, token, inside)

	admin.must("client", "update", "watch", "--scope", "audit/read", "--network", "any", "--expires", "never")
	var shown struct {
		Scopes, Networks []string
		Keys             []struct{ Key string }
		Expires          *time.Time
		LastUsed         string `json:"last_used"`
	}
	admin.json(&shown, "client", "show", "watch")
	if len(shown.Keys) != 3 || shown.Expires != nil || len(shown.Networks) != 0 || !slices.Equal(shown.Scopes, []string{"audit/read"}) || shown.LastUsed == "" {
		t.Errorf("%+v", shown)
	}
	if table := admin.must("client", "show", "watch"); !strings.Contains(table, first.Key+", made ") || !strings.Contains(table, ", ends ") || !strings.Contains(table, "last used "+shown.LastUsed) {
		t.Errorf("%s", table)
	}
	for _, output := range []string{"table", "json", "jsonl", "csv"} {
		if list := admin.must("client", "list", "-o", output); !strings.Contains(list, shown.LastUsed) {
			t.Errorf("%s", list)
		}
	}
	if r := admin.run("client", "update", "watch", "--scope", "statements/read/pseudonymised"); r.Code != 2 || !strings.Contains(r.Err, "another client") {
		t.Errorf("%+v", r)
	}
	if r := admin.run("client", "rotate", "nobody"); r.Code != 3 {
		t.Errorf("%+v", r)
	}

	admin.json(&machine, "client", "create", "analytics", "--scope", "connections/read", "--jwt-subject", authtest.Client)
	jwt := provider.Issue(t, map[string]any{"scope": "openid xapi:connections/read"})
	want("a JWT", 200, jwt, "")
	want("a JWT for less", 403, provider.Issue(t, map[string]any{"scope": "xapi:audit/read"}), "")
	want("a JWT that was changed", 401, jwt[:len(jwt)-8], "")
	admin.must("client", "revoke", "analytics")
	time.Sleep(time.Second)
	want("a JWT of a revoked client", 401, jwt, "")
	if machine.Key+machine.Secret != "" {
		t.Errorf("%+v", machine)
	}

	log, err := os.ReadFile(filepath.Join(hub.Data, "lrshub.log"))
	if err != nil {
		t.Fatal(err)
	}
	events := admin.must("audit", "list", "-o", "json")
	for _, told := range []string{"client.created", "client.changed", "client.rotated", "client.revoked", "auth.refused", "network"} {
		if !strings.Contains(events, told) {
			t.Errorf("the audit log does not tell %s", told)
		}
	}
	for name, secret := range map[string]string{"secret": first.Secret, "new secret": second.Secret, "token": token[len(token)-40:], "JWT": jwt[len(jwt)-40:]} {
		if strings.Contains(string(log)+hub.Said()+events, secret) {
			t.Errorf("the log or the audit log has the %s", name)
		}
	}
}
