package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// TestAccessTokens: the host gets an access token for the client's secret, uses it while it is good, and says what is wrong where it gets none.
func TestAccessTokens(t *testing.T) {
	var issued atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api" {
			fmt.Fprintf(w, "got %t", r.Header.Get("Authorization") == "Bearer t0ken")
			return
		}
		issued.Add(1)
		id, secret, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/web":
			fmt.Fprint(w, "<html>")
		case r.URL.Path == "/busy":
			w.Header().Set("Retry-After", "90")
			w.WriteHeader(http.StatusTooManyRequests)
		case r.Method != http.MethodPost || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "a b" || id != "client%3A1" || secret != "s3cret":
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error": "invalid_client", "error_description": "PRIVATE"}`)
		default:
			fmt.Fprint(w, `{"access_token": "t0ken", "token_type": "Bearer", "expires_in": 3600}`)
		}
	}))
	defer server.Close()
	h := newHost(t, nil)
	for _, test := range []struct {
		name, client, path string
		class              sdk.Class
		says               string
	}{
		{"good", "client:1", "/token", sdk.ClassData, "got true"},
		{"another client", "client:2", "/token", sdk.ClassAuth, "invalid_client"},
		{"not for tokens", "client:1", "/web", sdk.ClassSourceBug, "no access token"},
		{"busy", "client:1", "/busy", sdk.ClassRateLimit, "1m30s"},
	} {
		auth := []sdk.Auth{{Kind: "oauth2", Name: test.client, Secret: "token", TokenURL: server.URL + test.path, Scope: "a b"}}
		config, _ := json.Marshal(map[string]any{"Hosts": []string{server.URL}, "Auth": auth, "Method": "GET", "URL": server.URL + "/api"})
		p := start(t, h, "web", host.Session{Config: config, Secrets: func(context.Context, string) (string, error) { return "s3cret", nil }})
		issued.Store(0)
		for range 2 {
			err := p.Check(t.Context())
			var known *sdk.Error
			if !errors.As(err, &known) || known.Class != test.class || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "PRIVATE") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		if test.class == sdk.ClassData && issued.Load() != 1 {
			t.Errorf("%s: %d tokens were asked for", test.name, issued.Load())
		}
	}
}
