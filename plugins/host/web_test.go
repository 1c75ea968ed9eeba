package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// source is a web server that behaves as its paths say.
func source(t *testing.T, calls *atomic.Int64) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Told", r.Method+" "+r.Header.Get("Authorization")+" "+r.Header.Get("X-Key")+" "+r.URL.Query().Get("token"))
		fmt.Fprintf(w, "body %d", len(body))
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat("x", 3<<20)))
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.example/?q=PRIVATE", http.StatusFound)
	})
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/echo", http.StatusFound)
	})
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	mux.HandleFunc("/recovers", func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	})
	mux.HandleFunc("/denied", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	mux.HandleFunc("/breaks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("short"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestRequestsOfAConnector(t *testing.T) {
	var calls atomic.Int64
	server := source(t, &calls)
	h := newHost(t, func(o *host.Options) { o.Limits.Exchange, o.Limits.Retries = 4<<20, 2 })
	bearer := []sdk.Auth{{Kind: "bearer", Secret: "token"}}
	tests := []struct {
		name, method, path string
		auth               []sdk.Auth
		body               int
		class              sdk.Class
		want               string
		calls              int64
	}{
		{"bearer", "GET", "/echo?q=1", bearer, 0, "data", "200 GET Bearer s3cret 6 body 0", 0},
		{"basic", "GET", "/echo", []sdk.Auth{{Kind: "basic", Name: "u", Secret: "token"}}, 0, "data", "200 GET Basic s3cret 6 body 0", 0},
		{"user", "GET", "/echo", []sdk.Auth{{Kind: "user", Name: "x", Secret: "token"}}, 0, "data", "200 GET Basic s3cret 6 body 0", 0},
		{"header", "GET", "/echo", []sdk.Auth{{Kind: "header", Name: "X-Key", Prefix: "k ", Secret: "token"}}, 0, "data", "200 GET  k s3cret 6 body 0", 0},
		{"query", "GET", "/echo", []sdk.Auth{{Kind: "query", Name: "token", Secret: "token"}}, 0, "data", "200 GET   s3cret 6 body 0", 0},
		{"large body", "POST", "/echo", nil, 2 << 20, "data", "200 POST 12 body 2097152", 0},
		{"large answer", "GET", "/large", nil, 0, "data", "200  3145728 xxxx", 0},
		{"redirect", "GET", "/here", bearer, 0, "data", "200 GET Bearer s3cret 6 body 0", 0},
		{"redirect away", "GET", "/away", bearer, 0, "permission", "may not reach http://elsewhere.example: it is not", 0},
		{"rate limit", "GET", "/busy", nil, 0, "rate_limit", "(again after 2m0s)", 0},
		{"recovers", "GET", "/recovers", nil, 0, "data", "200", 3},
		{"not repeated", "POST", "/recovers", nil, 10, "transient", "answered 503", 1},
		{"stays broken", "GET", "/broken", nil, 0, "transient", "the source answered 502", 3},
		{"denied", "GET", "/denied", nil, 0, "auth", "401", 0},
		{"breaks", "GET", "/breaks", nil, 0, "transient", "broke off", 0},
		{"no such secret", "GET", "/echo", []sdk.Auth{{Kind: "bearer", Secret: "none"}}, 0, "config", `secret "none"`, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			calls.Store(0)
			c, _ := json.Marshal(map[string]any{
				"Hosts": []string{server.URL}, "Auth": test.auth, "Method": test.method, "URL": server.URL + test.path, "Body": test.body,
			})
			p := start(t, h, "web", host.Session{Config: c, Secrets: func(_ context.Context, name string) (string, error) {
				if name != "token" {
					return "", errors.New("there is none")
				}
				return "s3cret", nil
			}})
			err := p.Check(t.Context())
			var known *sdk.Error
			want := strings.ReplaceAll(test.want, "s3cret", "[secret]") // what a connector was told comes back redacted
			if !errors.As(err, &known) || known.Class != test.class || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("got  %v\nwant %s: %s", err, test.class, want)
			}
			if test.calls != 0 && calls.Load() != test.calls {
				t.Errorf("%d calls, want %d", calls.Load(), test.calls)
			}
		})
	}
}

func TestHostsThatWereNotAccepted(t *testing.T) {
	var calls atomic.Int64
	server := source(t, &calls)
	h := newHost(t, nil)
	c, _ := json.Marshal(map[string]any{"Hosts": []string{server.URL}, "Method": "GET", "URL": server.URL + "/echo"})
	p := start(t, h, "web", host.Session{Config: c, Hosts: []string{"lms.example.org"}})
	var known *sdk.Error
	if err := p.Check(t.Context()); !errors.As(err, &known) || known.Class != sdk.ClassPermission {
		t.Errorf("a host that the operator did not accept: %v", err)
	}
	// A name that leads to this machine is not this machine's name.
	name := "http://localtest.me:" + strings.Split(server.URL, ":")[2]
	c, _ = json.Marshal(map[string]any{"Hosts": []string{"http://169.254.169.254", name}, "Method": "GET", "URL": "http://169.254.169.254/latest"})
	p = start(t, h, "web", config(string(c)))
	if err := p.Check(t.Context()); !errors.As(err, &known) || known.Class != sdk.ClassConfig || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("the metadata service: %v", err)
	}
}

func TestSecretsStayOut(t *testing.T) {
	log := &journal{}
	h := newHost(t, func(o *host.Options) {
		o.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Limits.Call = time.Second
	})
	secrets := func(context.Context, string) (string, error) { return "s3cret", nil }
	check := func(how string) (*sdk.Error, error) {
		p := start(t, h, "rogue", host.Session{Config: []byte(`"` + how + `"`), Secrets: secrets})
		err := p.Check(t.Context())
		// What it prints comes by another way than its answer, and may come later.
		for end := time.Now().Add(2 * time.Second); how == "leaks" && !strings.Contains(log.String(), "printed [") && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		p.Close()
		var known *sdk.Error
		errors.As(err, &known)
		return known, err
	}
	if known, err := check("leaks"); known == nil || known.Class != sdk.ClassAuth || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("leaks: %v", err)
	}
	if known, err := check("asks for another's secret"); known == nil || known.Class != sdk.ClassPermission {
		t.Errorf("another's secret: %v", err)
	}
	if known, err := check("plain error"); known == nil || known.Class != sdk.ClassSourceBug || strings.Contains(err.Error(), "PRIVATE") {
		t.Errorf("plain error: %v", err)
	}
	if _, err := check("hangs"); !errors.Is(err, host.ErrTimeout) {
		t.Errorf("hangs: %v", err)
	}
	text := log.String()
	if strings.Contains(text, "s3cret") || !strings.Contains(text, "logged [secret]") || !strings.Contains(text, "printed [secret]") {
		t.Errorf("the log: %s", text)
	}
	if !strings.Contains(text, "warnings=1") {
		t.Errorf("no summary in the log: %s", text)
	}
}

func TestDescribeRogues(t *testing.T) {
	impatient := newHost(t, func(o *host.Options) { o.Limits.Start = 2 * time.Second })
	if _, err := impatient.Start(t.Context(), host.Plugin{Connector: "rogue"}, config(`"describe hangs"`)); !errors.Is(err, host.ErrTimeout) {
		t.Errorf("hangs: %v", err)
	}
	h := newHost(t, nil)
	if _, err := h.Start(t.Context(), host.Plugin{Connector: "rogue"}, config(`"describe lies"`)); !errors.Is(err, host.ErrProtocol) {
		t.Errorf("lies: %v", err)
	}
	for _, how := range []string{"large frame", "cut off", "wrong lengths", "unknown frame", "checkpoint twice"} {
		p := start(t, h, "oversized", config(`"`+how+`"`))
		err := p.Read(t.Context(), host.ReadRequest{Stream: numbers}, func(context.Context, host.Page) error { return nil })
		if !errors.Is(err, host.ErrProtocol) {
			t.Errorf("%s: %v", how, err)
		}
	}
}

func TestAbilities(t *testing.T) {
	h := newHost(t, nil)
	p := start(t, h, "able", config(`{}`))
	d, err := p.Describe(t.Context(), nil)
	if err != nil || len(d.Abilities) != 5 {
		t.Fatalf("%v, %v", d.Abilities, err)
	}
	if parts, err := p.Plan(t.Context(), "numbers", false); err != nil || len(parts) != 1200 || parts[1199].EstimatedRows != 1199 {
		t.Errorf("plan: %d, %v", len(parts), err)
	}
	if err := p.Commit(t.Context(), "numbers", []byte("5")); err != nil {
		t.Errorf("commit: %v", err)
	}
	push := sdk.Push{Header: http.Header{"X-Signature": {"good"}}, Body: make([]byte, 3<<20)}
	var got pages
	reply, err := p.Receive(t.Context(), numbers, nil, push, got.take)
	if err != nil || reply.Status != 202 || string(reply.Body) != "thanks" || string(got[0].Records[0].Key) != "[3145728]" {
		t.Errorf("receive: %+v, %v", reply, err)
	}
	push.Header = nil
	var known *sdk.Error
	if _, err := p.Receive(t.Context(), numbers, nil, push, got.take); !errors.As(err, &known) || known.Class != sdk.ClassAuth {
		t.Errorf("a bad signature: %v", err)
	}
	got = nil
	if err := p.FindSubject(t.Context(), numbers, nil, "anna", got.take); err != nil || got[0].Records[0].Subject != "anna" {
		t.Errorf("find: %+v, %v", got, err)
	}
	if e, err := p.EraseSubject(t.Context(), "anna"); err != nil || e != (sdk.Erasure{Erased: 2, Kept: 1, Reason: "law"}) {
		t.Errorf("erase: %+v, %v", e, err)
	}
	plain := start(t, h, "counter", config(`{}`))
	if err := plain.Commit(t.Context(), "numbers", nil); !errors.As(err, &known) || known.Class != sdk.ClassUnsupported {
		t.Errorf("commit without the ability: %v", err)
	}
}
