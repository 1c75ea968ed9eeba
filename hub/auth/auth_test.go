package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
)

var (
	start  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	pepper = bytes.Repeat([]byte{7}, auth.PepperSize)
	secret = bytes.Repeat([]byte{9}, auth.PepperSize) // signs tokens
)

const hubURL = "https://hub.example"

// clock is a time that the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// hub is a database whose two tenants have the default purpose, and its clients.
type hub struct {
	*testing.T
	db      *database.DB
	clients *auth.Clients
	clock   *clock
}

func newHub(t *testing.T) *hub {
	t.Helper()
	return newHubWith(t, start, auth.Options{})
}

// newHubWith has a clock that begins at a time, and options beside.
func newHubWith(t *testing.T, at time.Time, o auth.Options) *hub {
	t.Helper()
	h := &hub{T: t, db: databasetest.New(t), clock: &clock{at: at}}
	h.clients = h.node(o)
	for _, tenant := range []database.TenantID{databasetest.Default, databasetest.Other} {
		h.in(tenant, func(ctx context.Context, tx *database.Tx) error { return people.SeedDefault(ctx, tx, start) })
	}
	return h
}

// node is another process of the same hub.
func (h *hub) node(o auth.Options) *auth.Clients {
	h.Helper()
	o.Now, o.TokenSecret, o.PublicURL = h.clock.now, secret, hubURL
	c, err := auth.New(pepper, o)
	if err != nil {
		h.Fatal(err)
	}
	return c
}

func (h *hub) in(tenant database.TenantID, fn func(ctx context.Context, tx *database.Tx) error) {
	h.Helper()
	if err := h.db.Tenant(h.Context(), tenant, fn); err != nil {
		h.Fatal(err)
	}
}

func asked(name string) auth.NewClient {
	return auth.NewClient{Name: name, Scopes: []string{"statements/write", "define", "define"}, Purpose: people.DefaultPurpose}
}

func (h *hub) create(tenant database.TenantID, n auth.NewClient) auth.Credential {
	h.Helper()
	var made auth.Credential
	h.in(tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		made, err = h.clients.Create(ctx, tx, "admin", n)
		return err
	})
	return made
}

func (h *hub) authenticate(key, secret string) (access.Caller, error) {
	return h.clients.Authenticate(h.Context(), h.db, auth.Presented{Key: key, Secret: secret})
}

// events lists the audit events of a kind as "actor reason".
func (h *hub) events(tenant database.TenantID, kind string) []string {
	h.Helper()
	told := []string{}
	h.in(tenant, func(ctx context.Context, tx *database.Tx) error {
		told = []string{}
		var documents []string
		err := tx.SelectContext(ctx, &documents, "SELECT convert_from(canonical, 'UTF8') FROM audit_event WHERE tenant_id = $1 AND kind = $2 ORDER BY id", tx.Tenant, kind)
		for _, d := range documents {
			var event struct {
				Actor  string
				Fields struct{ Reason string }
			}
			if err := json.Unmarshal([]byte(d), &event); err != nil {
				return err
			}
			told = append(told, event.Actor+" "+event.Fields.Reason)
		}
		return err
	})
	return told
}

func TestCreateAndAuthenticate(t *testing.T) {
	h := newHub(t)
	made := h.create(databasetest.Default, asked("canvas"))
	caller, err := h.authenticate(made.Key, made.Secret)
	want := access.Caller{Tenant: databasetest.Default, Client: made.Client, Name: "canvas",
		Scopes: []string{"define", "statements/write"}, Purpose: people.DefaultPurpose}
	if diff := cmp.Diff(want, caller); err != nil || diff != "" {
		t.Errorf("Authenticate: %v %s", err, diff)
	}
	if got := h.events(databasetest.Default, audit.ClientCreated); len(got) != 1 {
		t.Errorf("audit events: %v", got)
	}
	caller.Scopes[0] = "all"
	if again, _ := h.authenticate(made.Key, made.Secret); again.Scopes[0] != "define" {
		t.Error("what one caller does to its scopes, the next one has")
	}
}

func TestNothingKeptGivesTheSecret(t *testing.T) {
	h := newHub(t)
	made := h.create(databasetest.Default, asked("canvas"))
	h.in(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		var rows []string
		err := tx.SelectContext(ctx, &rows, "SELECT client::text FROM client WHERE tenant_id = $1 UNION ALL SELECT client_key::text FROM client_key WHERE tenant_id = $1 UNION ALL SELECT audit_event::text FROM audit_event WHERE tenant_id = $1", tx.Tenant)
		if len(rows) < 3 || strings.Contains(strings.Join(rows, ""), made.Secret) {
			t.Error("the secret is in a row")
		}
		return err
	})
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "credential", made)
	for _, text := range []string{log.String(), fmt.Sprint(made), fmt.Sprintf("%+v", made), fmt.Sprintf("%#v", made)} {
		if strings.Contains(text, made.Secret) || !strings.Contains(text, made.Key) {
			t.Errorf("%s", text)
		}
	}
	other, err := auth.New(bytes.Repeat([]byte{8}, auth.PepperSize), auth.Options{Now: h.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Authenticate(t.Context(), h.db, auth.Presented{Key: made.Key, Secret: made.Secret}); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("with another pepper: %v", err)
	}
}

func TestSecretsDiffer(t *testing.T) {
	h := newHub(t)
	seen := map[string]bool{}
	for i := range 20 {
		made := h.create(databasetest.Default, asked(fmt.Sprint("client ", i)))
		if seen[made.Key] || seen[made.Secret] || len(made.Secret) != 43 || len(made.Key) != 20 {
			t.Fatalf("key %s", made.Key)
		}
		seen[made.Key], seen[made.Secret] = true, true
	}
}

func TestRefusals(t *testing.T) {
	h := newHub(t)
	good := h.create(databasetest.Default, asked("good"))
	elsewhere := h.create(databasetest.Other, asked("good")) // the same name in another tenant is another client
	revoked := h.create(databasetest.Default, asked("revoked"))
	brief := asked("brief")
	brief.Expires = start.Add(time.Minute)
	expired := h.create(databasetest.Default, brief)
	if _, err := h.authenticate(expired.Key, expired.Secret); err != nil {
		t.Fatalf("before it expires: %v", err)
	}
	h.in(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		_, err := h.clients.Revoke(ctx, tx, "admin", "revoked")
		return err
	})
	h.clock.pass(time.Minute)
	unknown := strings.Repeat("a", 20)
	for name, test := range map[string]struct {
		key, secret string
		tenant      database.TenantID // whose log is told; 0: none
		told        string
	}{
		"wrong secret":               {good.Key, expired.Secret, databasetest.Default, good.Client.String() + " wrong_secret"},
		"secret of another tenant":   {good.Key, elsewhere.Secret, databasetest.Default, good.Client.String() + " wrong_secret"},
		"key of another tenant":      {elsewhere.Key, good.Secret, databasetest.Other, elsewhere.Client.String() + " wrong_secret"},
		"unknown key":                {unknown, good.Secret, databasetest.Default, "lrshub unknown_key"},
		"revoked":                    {revoked.Key, revoked.Secret, databasetest.Default, revoked.Client.String() + " revoked"},
		"expired":                    {expired.Key, expired.Secret, databasetest.Default, expired.Client.String() + " expired"},
		"nothing":                    {"", "", 0, ""},
		"no secret":                  {good.Key, "", 0, ""},
		"key in capitals":            {strings.ToUpper(good.Key), good.Secret, 0, ""},
		"key as SQL":                 {"' OR key LIKE '%", good.Secret, 0, ""},
		"secret with something more": {good.Key, good.Secret + "A", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(h.events(databasetest.Default, audit.AuthRefused)) + len(h.events(databasetest.Other, audit.AuthRefused))
			caller, err := h.authenticate(test.key, test.secret)
			if err != auth.ErrUnauthenticated || !cmp.Equal(caller, access.Caller{}) {
				t.Errorf("Authenticate = %+v, %v", caller, err) // the very same error: nothing tells the cases apart
			}
			after := len(h.events(databasetest.Default, audit.AuthRefused)) + len(h.events(databasetest.Other, audit.AuthRefused))
			if test.tenant == 0 {
				if after != before {
					t.Errorf("%d events more", after-before)
				}
			} else if told := h.events(test.tenant, audit.AuthRefused); after != before+1 || !slices.Contains(told, test.told) {
				t.Errorf("events %v; want one more, %s", told, test.told)
			}
		})
	}
	caller, err := h.authenticate(elsewhere.Key, elsewhere.Secret)
	if err != nil || caller.Tenant != databasetest.Other {
		t.Errorf("the other tenant's client: %+v, %v", caller, err)
	}
}

// TestRevocationHoldsWithinASecond: what was remembered of a good credential lives shorter than that, and the same for expiry.
func TestRevocationHoldsWithinASecond(t *testing.T) {
	h := newHub(t)
	made := h.create(databasetest.Default, asked("canvas"))
	if _, err := h.authenticate(made.Key, made.Secret); err != nil {
		t.Fatal(err)
	}
	h.in(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		_, err := h.clients.Revoke(ctx, tx, "admin", made.Client.String())
		return err
	})
	h.clock.pass(time.Second)
	if _, err := h.authenticate(made.Key, made.Secret); err != auth.ErrUnauthenticated {
		t.Errorf("a second after: %v", err)
	}
	brief := asked("brief")
	brief.Expires = h.clock.now().Add(300 * time.Millisecond)
	made = h.create(databasetest.Default, brief)
	if _, err := h.authenticate(made.Key, made.Secret); err != nil {
		t.Errorf("before it expires: %v", err)
	}
	h.clock.pass(300 * time.Millisecond)
	if _, err := h.authenticate(made.Key, made.Secret); err != auth.ErrUnauthenticated {
		t.Errorf("when it expires: %v", err)
	}
}

func TestClockSetBackDoesNotLengthen(t *testing.T) {
	h := newHub(t)
	made := h.create(databasetest.Default, asked("canvas"))
	if _, err := h.authenticate(made.Key, made.Secret); err != nil {
		t.Fatal(err)
	}
	h.in(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		_, err := h.clients.Revoke(ctx, tx, "admin", "canvas")
		return err
	})
	h.clock.pass(-time.Hour)
	if _, err := h.authenticate(made.Key, made.Secret); err != auth.ErrUnauthenticated {
		t.Errorf("after the clock was set back: %v", err)
	}
}

func TestDatabaseGone(t *testing.T) {
	h := newHub(t)
	made := h.create(databasetest.Default, asked("canvas"))
	h.db.Close()
	if caller, err := h.authenticate(made.Key, made.Secret); err == nil || errors.Is(err, auth.ErrUnauthenticated) || !cmp.Equal(caller, access.Caller{}) {
		t.Errorf("Authenticate = %+v, %v", caller, err)
	}
}

// TestFloodOfRefusalsIsBounded: the log is told of the first few hundred, and every one is refused.
func TestFloodOfRefusalsIsBounded(t *testing.T) {
	h := newHub(t)
	for range 300 {
		if _, err := h.authenticate(strings.Repeat("b", 20), strings.Repeat("C", 43)); err != auth.ErrUnauthenticated {
			t.Fatal(err)
		}
	}
	if n := len(h.events(databasetest.Default, audit.AuthRefused)); n == 0 || n > 250 {
		t.Errorf("%d events", n)
	}
}

// TestUnknownKeyTakesAsLong: the time of a refusal does not tell whether a key exists. Medians of interleaved tries.
func TestUnknownKeyTakesAsLong(t *testing.T) {
	h := newHub(t)
	made := h.create(databasetest.Default, asked("canvas"))
	keys := []string{made.Key, strings.Repeat("a", 20)}
	took := make([][]time.Duration, len(keys))
	for range 150 {
		for i, key := range keys {
			begin := time.Now()
			if _, err := h.authenticate(key, strings.Repeat("A", 43)); err != auth.ErrUnauthenticated {
				t.Fatal(err)
			}
			took[i] = append(took[i], time.Since(begin))
		}
		h.clock.pass(time.Second) // so that each refusal is told to the log
	}
	for i := range took {
		slices.Sort(took[i])
	}
	known, unknown := took[0][75], took[1][75]
	if ratio := float64(known) / float64(unknown); ratio < 0.6 || ratio > 1.6 {
		t.Errorf("a wrong secret takes %v, an unknown key %v", known, unknown)
	}
}
