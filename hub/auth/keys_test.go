package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
)

func (h *hub) rotate(tenant database.TenantID, name string, overlap time.Duration) (made auth.Credential, err error) {
	err = h.db.Tenant(h.Context(), tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		made, err = h.clients.Rotate(ctx, tx, "admin", name, overlap)
		return err
	})
	return made, err
}

func (h *hub) update(tenant database.TenantID, name string, change auth.Change) (c auth.Client, err error) {
	err = h.db.Tenant(h.Context(), tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		c, err = h.clients.Update(ctx, tx, "admin", name, change)
		return err
	})
	return c, err
}

func (h *hub) find(tenant database.TenantID, name string) (c auth.Client) {
	h.Helper()
	h.in(tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		c, err = h.clients.Find(ctx, tx, name)
		return err
	})
	return c
}

// good wants that each credential is, or is not, taken.
func (h *hub) good(want bool, what string, credentials ...auth.Credential) {
	h.Helper()
	for i, c := range credentials {
		if _, err := h.authenticate(c.Key, c.Secret); (err == nil) != want || err != nil && err != auth.ErrUnauthenticated {
			h.Errorf("%s: credential %d: %v", what, i, err)
		}
	}
}

func TestRotate(t *testing.T) {
	h := newHub(t)
	first := h.create(databasetest.Default, asked("canvas"))
	h.clock.pass(time.Minute)
	second, err := h.rotate(databasetest.Default, "canvas", 24*time.Hour)
	if err != nil || second.Client != first.Client || second.Key == first.Key || second.Secret == first.Secret {
		t.Fatalf("%v, %v", second, err)
	}
	h.good(true, "in the overlap", first, second)
	one, _ := h.authenticate(first.Key, first.Secret)
	other, _ := h.authenticate(second.Key, second.Secret)
	if one.Client != other.Client || one.Client != first.Client {
		t.Error("two keys are two clients")
	}
	h.clock.pass(24*time.Hour - time.Millisecond)
	h.good(true, "at the end of the overlap", first, second)
	h.clock.pass(time.Millisecond)
	h.good(false, "after the overlap", first)
	h.good(true, "after the overlap", second)

	third, err := h.rotate(databasetest.Default, second.Client.String(), 0)
	if err != nil {
		t.Fatal(err)
	}
	h.clock.pass(time.Second)
	h.good(false, "without an overlap", first, second)
	h.good(true, "without an overlap", third)
	if got, err := h.rotate(databasetest.Default, "canvas", time.Hour); err != nil {
		t.Fatal(err)
	} else {
		h.good(false, "what has ended is not good again", first, second)
		h.good(true, "the overlap of the last", third, got)
	}
	if _, err := h.rotate(databasetest.Default, "canvas", 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	h.clock.pass(time.Hour)
	h.good(false, "nor is what ends lengthened", third)
	third, err = h.rotate(databasetest.Default, "canvas", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.events(databasetest.Default, audit.ClientRotated); len(got) != 5 {
		t.Errorf("audit events: %v", got)
	}
	c := h.find(databasetest.Default, "canvas")
	if c.Key != third.Key || len(c.Keys) != 6 || c.Keys[5].Key != first.Key || !c.Keys[5].Expires.Equal(start.Add(time.Minute+24*time.Hour)) {
		t.Errorf("%+v", c)
	}
	h.in(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		_, err := h.clients.Revoke(ctx, tx, "admin", "canvas")
		return err
	})
	h.clock.pass(time.Second)
	h.good(false, "revoked", first, second, third)
}

func TestRotateRefuses(t *testing.T) {
	h := newHub(t)
	h.create(databasetest.Default, asked("canvas"))
	brief := asked("brief")
	brief.Expires = start.Add(time.Minute)
	h.create(databasetest.Default, brief)
	h.clock.pass(time.Hour)
	for name, test := range map[string]struct {
		tenant  database.TenantID
		client  string
		overlap time.Duration
		want    error
	}{
		"unknown":        {databasetest.Default, "moodle", 0, auth.ErrUnknownClient},
		"another tenant": {databasetest.Other, "canvas", 0, auth.ErrUnknownClient},
		"no name":        {databasetest.Default, "", 0, auth.ErrUnknownClient},
		"expired":        {databasetest.Default, "brief", 0, auth.ErrInvalidClient},
		"too long":       {databasetest.Default, "canvas", auth.MaxOverlap + 1, auth.ErrInvalidClient},
		"backwards":      {databasetest.Default, "canvas", -1, auth.ErrInvalidClient},
	} {
		if made, err := h.rotate(test.tenant, test.client, test.overlap); !errors.Is(err, test.want) || made != (auth.Credential{}) {
			t.Errorf("%s: %v, %v", name, made, err)
		}
	}
	var err error
	for range 10 {
		if _, err = h.rotate(databasetest.Default, "canvas", time.Hour); err != nil {
			break
		}
	}
	if !errors.Is(err, auth.ErrInvalidClient) || !strings.Contains(err.Error(), "--overlap 0") {
		t.Errorf("ten times: %v", err)
	}
	if n := len(h.find(databasetest.Default, "canvas").Keys); n != 5 {
		t.Errorf("%d keys", n)
	}
	if _, err = h.rotate(databasetest.Default, "canvas", 0); err != nil {
		t.Errorf("without overlap: %v", err)
	}
}

func TestNetworks(t *testing.T) {
	h := newHub(t)
	n := asked("canvas")
	n.Networks = []string{"192.0.2.0/24", "2001:db8::/32"}
	made := h.create(databasetest.Default, n)
	from := func(address string) error {
		a, _ := netip.ParseAddr(address)
		_, err := h.clients.Authenticate(t.Context(), h.db, auth.Presented{Key: made.Key, Secret: made.Secret, Address: a})
		return err
	}
	refused := 0
	// The second round is answered from memory, the third is not any more.
	for _, wait := range []time.Duration{0, 0, time.Second} {
		h.clock.pass(wait)
		for address, good := range map[string]bool{"192.0.2.7": true, "2001:db8::7": true, "192.0.3.7": false, "2001:db9::1": false, "": false} {
			err := from(address)
			if good != (err == nil) || err != nil && err != auth.ErrUnauthenticated {
				t.Errorf("from %q: %v", address, err)
			}
			if !good {
				refused++
			}
		}
	}
	if got := h.events(databasetest.Default, audit.AuthRefused); len(got) != refused || slices.ContainsFunc(got, func(e string) bool { return e != made.Client.String()+" network" }) {
		t.Errorf("%d events: %v; want %d", len(got), got, refused)
	}
	// The wrong secret is told as such wherever it comes from: networks tell a stranger nothing.
	if _, err := h.authenticate(made.Key, strings.Repeat("A", 43)); err != auth.ErrUnauthenticated {
		t.Error(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/xapi/statements", nil)
	r.SetBasicAuth(made.Key, made.Secret)
	for remote, want := range map[string]error{"192.0.2.99:1": nil, "198.51.100.1:1": auth.ErrUnauthenticated} {
		r.RemoteAddr = remote
		if _, err := h.clients.Request(h.db, r); err != want {
			t.Errorf("a request from %s: %v", remote, err)
		}
	}
	r.RemoteAddr = "198.51.100.1:1"
	r.Header.Set("X-Forwarded-For", "192.0.2.7")
	if _, err := h.clients.Request(h.db, r); err != auth.ErrUnauthenticated {
		t.Errorf("with a header that nobody trusts: %v", err)
	}
}

// TestLastUse: one write a key and day, whoever signs in.
func TestLastUse(t *testing.T) {
	h := newHub(t)
	first := h.create(databasetest.Default, asked("canvas"))
	if used := h.find(databasetest.Default, "canvas").LastUsed; used != "" {
		t.Errorf("before: %q", used)
	}
	version := func() (v string) {
		h.in(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
			return tx.GetContext(ctx, &v, "SELECT string_agg(xmin::text, ' ' ORDER BY key) FROM client_key WHERE tenant_id = $1", tx.Tenant)
		})
		return v
	}
	h.good(true, "day 1", first)
	once := version()
	other := h.node(auth.Options{})
	for range 5 {
		h.clock.pass(time.Hour)
		h.good(true, "day 1", first)
		if _, err := other.Authenticate(t.Context(), h.db, auth.Presented{Key: first.Key, Secret: first.Secret}); err != nil {
			t.Error(err)
		}
	}
	if version() != once {
		t.Error("a key is written more than once a day")
	}
	h.good(false, "wrong", auth.Credential{Key: first.Key, Secret: strings.Repeat("A", 43)})
	second, err := h.rotate(databasetest.Default, "canvas", 90*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	h.clock.pass(24 * time.Hour)
	h.good(true, "day 2", second)
	c := h.find(databasetest.Default, "canvas")
	if c.LastUsed != "2026-03-02" || c.Keys[0].LastUsed != "2026-03-02" || c.Keys[1].LastUsed != "2026-03-01" {
		t.Errorf("%+v", c)
	}
}

func TestUpdate(t *testing.T) {
	h := newHub(t)
	n := asked("canvas")
	n.Networks = []string{"192.0.2.0/24"}
	made := h.create(databasetest.Default, n)
	reader := asked("reader")
	reader.Scopes = []string{"statements/read/pseudonymised"}
	h.create(databasetest.Default, reader)
	never, tomorrow, yesterday := time.Time{}, start.Add(24*time.Hour), start.Add(-24*time.Hour)
	anywhere, elsewhere := []string{}, []string{"198.51.100.0/24"}
	for name, test := range map[string]struct {
		tenant database.TenantID
		client string
		change auth.Change
		want   error
	}{
		"unknown scope":           {databasetest.Default, "canvas", auth.Change{Scopes: []string{"statements/reed"}}, auth.ErrUnknownScope},
		"unknown purpose":         {databasetest.Default, "canvas", auth.Change{Purpose: "curiosity"}, people.ErrUnknownPurpose},
		"network that is none":    {databasetest.Default, "canvas", auth.Change{Networks: &[]string{"campus"}}, auth.ErrInvalidClient},
		"expired already":         {databasetest.Default, "canvas", auth.Change{Expires: &yesterday}, auth.ErrInvalidClient},
		"a writer that reads":     {databasetest.Default, "canvas", auth.Change{Scopes: []string{"statements/write", "statements/read/pseudonymised"}}, auth.ErrInvalidClient},
		"a writer becomes reader": {databasetest.Default, "canvas", auth.Change{Scopes: []string{"statements/read/pseudonymised"}}, auth.ErrInvalidClient},
		"a reader that writes":    {databasetest.Default, "reader", auth.Change{Scopes: []string{"statements/write", "statements/read/pseudonymised"}}, auth.ErrInvalidClient},
		"another tenant":          {databasetest.Other, "canvas", auth.Change{Scopes: []string{"define"}}, auth.ErrUnknownClient},
	} {
		if _, err := h.update(test.tenant, test.client, test.change); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := h.events(databasetest.Default, audit.ClientChanged); len(got) != 0 {
		t.Errorf("refused and told: %v", got)
	}
	for _, step := range []struct {
		change  auth.Change
		address string
		scopes  string
	}{
		{auth.Change{}, "192.0.2.7", "[define statements/write]"},
		{auth.Change{Scopes: []string{"statements/write", "statements/write"}}, "192.0.2.7", "[statements/write]"},
		{auth.Change{Networks: &elsewhere}, "198.51.100.7", "[statements/write]"},
		{auth.Change{Expires: &tomorrow}, "198.51.100.7", "[statements/write]"},
		{auth.Change{Networks: &anywhere, Expires: &never}, "203.0.113.7", "[statements/write]"},
	} {
		c, err := h.update(databasetest.Default, "canvas", step.change)
		if err != nil || "["+strings.Join(c.Scopes, " ")+"]" != step.scopes || c.Key != made.Key {
			t.Fatalf("%+v: %+v, %v", step, c, err)
		}
		h.clock.pass(time.Second)
		caller, err := h.clients.Authenticate(t.Context(), h.db, auth.Presented{Key: made.Key, Secret: made.Secret, Address: netip.MustParseAddr(step.address)})
		if err != nil || "["+strings.Join(caller.Scopes, " ")+"]" != step.scopes {
			t.Errorf("%+v: %v, %v", step, caller.Scopes, err)
		}
	}
	if c := h.find(databasetest.Default, "canvas"); c.Expires != nil || len(c.Networks) != 0 {
		t.Errorf("%+v", c)
	}
	// One that has expired lives again.
	if _, err := h.update(databasetest.Default, "canvas", auth.Change{Expires: &tomorrow}); err != nil {
		t.Fatal(err)
	}
	h.clock.pass(48 * time.Hour)
	h.good(false, "expired", made)
	if _, err := h.update(databasetest.Default, "canvas", auth.Change{Scopes: []string{"define"}}); err != nil {
		t.Errorf("of one that has expired: %v", err)
	}
	h.good(false, "still expired", made)
	if _, err := h.update(databasetest.Default, "canvas", auth.Change{Expires: &never}); err != nil {
		t.Fatal(err)
	}
	h.good(true, "again", made)
}
