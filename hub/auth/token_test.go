package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
)

// grant gives an access token.
func (h *hub) grant(c auth.Credential, scope string) string {
	h.Helper()
	got, err := h.clients.Grant(h.Context(), h.db, auth.Presented{Key: c.Key, Secret: c.Secret}, scope)
	if err != nil {
		h.Fatal(err)
	}
	return string(got.Secret)
}

func (h *hub) token(token string) (access.Caller, error) {
	return h.clients.Authenticate(h.Context(), h.db, auth.Presented{Token: token})
}

func TestGrant(t *testing.T) {
	h := newHub(t)
	for tenant, name := range map[database.TenantID]string{databasetest.Default: "canvas", databasetest.Other: "moodle"} {
		made := h.create(tenant, asked(name))
		want := access.Caller{Tenant: tenant, Client: made.Client, Name: name, Purpose: people.DefaultPurpose}
		for scope, scopes := range map[string][]string{
			"": {"define", "statements/write"}, "define": {"define"}, " statements/write  define statements/write": {"define", "statements/write"},
		} {
			token := h.grant(made, scope)
			want.Scopes = scopes
			for range 2 { // the second time from memory
				got, err := h.token(token)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%q: %v %s", scope, err, diff)
				}
			}
			// Any node takes it.
			if got, err := h.node(auth.Options{}).Authenticate(t.Context(), h.db, auth.Presented{Token: token}); err != nil || !cmp.Equal(got, want) {
				t.Errorf("another node: %+v, %v", got, err)
			}
		}
	}
}

func TestGrantRefuses(t *testing.T) {
	h := newHub(t)
	made := h.create(databasetest.Default, asked("canvas"))
	shown := auth.Presented{Key: made.Key, Secret: made.Secret}
	token := h.grant(made, "")
	for name, test := range map[string]struct {
		shown auth.Presented
		scope string
		want  error
	}{
		"a scope that it does not hold": {shown, "define statements/read", auth.ErrScope},
		"a scope that there is not":     {shown, "openid", auth.ErrScope},
		"another secret":                {auth.Presented{Key: made.Key, Secret: strings.Repeat("A", 43)}, "", auth.ErrUnauthenticated},
		"nothing":                       {auth.Presented{}, "", auth.ErrUnauthenticated},
		"a token":                       {auth.Presented{Token: token}, "", auth.ErrUnauthenticated},
	} {
		got, err := h.clients.Grant(t.Context(), h.db, test.shown, test.scope)
		if !errors.Is(err, test.want) || got.Secret != "" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	none, err := auth.New(pepper, auth.Options{Now: h.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Grant(t.Context(), h.db, shown, ""); err != auth.ErrUnauthenticated {
		t.Errorf("without a secret: %v", err)
	}
	if _, err := none.Authenticate(t.Context(), h.db, auth.Presented{Token: token}); err != auth.ErrUnauthenticated {
		t.Errorf("without a secret: %v", err)
	}
	if _, err := auth.New(pepper, auth.Options{TokenSecret: secret[1:], PublicURL: hubURL}); err == nil {
		t.Error("a short secret is taken")
	}
}

// TestTokenEnds: a token is worth no more than the key that it was got with and the client, whenever it is used.
func TestTokenEnds(t *testing.T) {
	for name, end := range map[string]func(h *hub, made auth.Credential) error{
		"an hour is over": func(h *hub, _ auth.Credential) error { h.clock.pass(auth.TokenLife); return nil },
		"client revoked": func(h *hub, made auth.Credential) error {
			return h.db.Tenant(h.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
				_, err := h.clients.Revoke(ctx, tx, "admin", made.Client.String())
				return err
			})
		},
		"key rotated": func(h *hub, _ auth.Credential) error {
			_, err := h.rotate(databasetest.Default, "canvas", 10*time.Minute)
			h.clock.pass(10 * time.Minute)
			return err
		},
		"client expired": func(h *hub, _ auth.Credential) error {
			soon := h.clock.now().Add(time.Minute)
			_, err := h.update(databasetest.Default, "canvas", auth.Change{Expires: &soon})
			h.clock.pass(time.Minute)
			return err
		},
		"network changed": func(h *hub, _ auth.Credential) error {
			_, err := h.update(databasetest.Default, "canvas", auth.Change{Networks: &[]string{"192.0.2.0/24"}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t)
			made := h.create(databasetest.Default, asked("canvas"))
			token := h.grant(made, "")
			if _, err := h.token(token); err != nil {
				t.Fatal(err)
			}
			if err := end(h, made); err != nil {
				t.Fatal(err)
			}
			h.clock.pass(time.Second)
			if caller, err := h.token(token); err != auth.ErrUnauthenticated || !cmp.Equal(caller, access.Caller{}) {
				t.Errorf("%+v, %v", caller, err)
			}
			if got := h.events(databasetest.Default, audit.AuthRefused); len(got) != 1 {
				t.Errorf("audit events: %v", got)
			}
		})
	}
}

func TestTokenIsNarrowedWithItsClient(t *testing.T) {
	h := newHub(t)
	made := h.create(databasetest.Default, asked("canvas"))
	all, define := h.grant(made, ""), h.grant(made, "define")
	if _, err := h.update(databasetest.Default, "canvas", auth.Change{Scopes: []string{"statements/write", "state"}}); err != nil {
		t.Fatal(err)
	}
	h.clock.pass(time.Second)
	for token, want := range map[string][]string{all: {"statements/write"}, define: nil} { // state is not added to what was asked for
		if caller, err := h.token(token); err != nil || strings.Join(caller.Scopes, " ") != strings.Join(want, " ") {
			t.Errorf("%v, %v; want %v", caller.Scopes, err, want)
		}
	}
}

func TestTokenLifeIsThatOfItsClient(t *testing.T) {
	h := newHub(t)
	brief := asked("brief")
	brief.Expires = start.Add(10 * time.Minute)
	made := h.create(databasetest.Default, brief)
	got, err := h.clients.Grant(t.Context(), h.db, auth.Presented{Key: made.Key, Secret: made.Secret}, "")
	if err != nil || got.Life != 10*time.Minute {
		t.Errorf("%v, %v", got.Life, err)
	}
}

// TestForgedTokens: what was not signed by this hub for itself is nothing, and nobody learns why.
func TestForgedTokens(t *testing.T) {
	h := newHub(t)
	made := h.create(databasetest.Default, asked("canvas"))
	token := h.grant(made, "")
	parts := strings.Split(token, ".")
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	kid := parsed.Headers[0].KeyID
	claims := map[string]any{}
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	sign := func(algorithm jose.SignatureAlgorithm, key []byte, kid, kind string, change map[string]any) string {
		changed := map[string]any{}
		for _, m := range []map[string]any{claims, change} {
			for k, v := range m {
				if changed[k] = v; v == nil {
					delete(changed, k)
				}
			}
		}
		options := (&jose.SignerOptions{}).WithType(jose.ContentType(kind))
		if kid != "" {
			options = options.WithHeader("kid", kid)
		}
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.Signed(s).Claims(changed).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	with := func(change map[string]any) string { return sign(jose.HS256, secret, kid, "at+jwt", change) }
	if _, err := h.token(with(nil)); err != nil {
		t.Fatalf("what the table changes is not good itself: %v", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	for name, forged := range map[string]string{
		"another secret":       sign(jose.HS256, bytes.Repeat([]byte{8}, 32), kid, "at+jwt", nil),
		"another kid":          sign(jose.HS256, secret, "other", "at+jwt", nil),
		"no kid":               sign(jose.HS256, secret, "", "at+jwt", nil),
		"another type":         sign(jose.HS256, secret, kid, "JWT", nil),
		"another algorithm":    sign(jose.HS512, bytes.Repeat(secret, 2), kid, "at+jwt", nil),
		"algorithm none":       encode([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + ".AA",
		"claims changed":       parts[0] + "." + encode([]byte(`{"iss":"https://hub.example"}`)) + "." + parts[2],
		"signature cut":        token[:len(token)-2],
		"no signature":         parts[0] + "." + parts[1] + ".",
		"another issuer":       with(map[string]any{"iss": "https://other.example"}),
		"another audience":     with(map[string]any{"aud": "https://other.example"}),
		"no audience":          with(map[string]any{"aud": nil}),
		"no end":               with(map[string]any{"exp": nil}),
		"ended":                with(map[string]any{"exp": start.Unix()}),
		"no beginning":         with(map[string]any{"iat": nil}),
		"of tomorrow":          with(map[string]any{"iat": start.Add(24 * time.Hour).Unix()}),
		"no key":               with(map[string]any{"client_id": nil}),
		"unknown key":          with(map[string]any{"client_id": strings.Repeat("a", 20)}),
		"key of another kind":  with(map[string]any{"client_id": []string{made.Key}}),
		"no JWT":               "a.b.c",
		"a JWT without header": "." + parts[1] + "." + parts[2],
	} {
		if caller, err := h.token(forged); err != auth.ErrUnauthenticated || !cmp.Equal(caller, access.Caller{}) {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
	other, err := auth.New(pepper, auth.Options{Now: h.clock.now, TokenSecret: bytes.Repeat([]byte{8}, 32), PublicURL: hubURL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Authenticate(t.Context(), h.db, auth.Presented{Token: token}); err != auth.ErrUnauthenticated {
		t.Errorf("a hub with another secret: %v", err)
	}
}

// TestNothingShowsAToken: neither formatting, logging nor a row.
func TestNothingShowsAToken(t *testing.T) {
	h := newHub(t)
	made := h.create(databasetest.Default, asked("canvas"))
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)
	got, err := h.clients.Grant(t.Context(), h.db, auth.Presented{Key: made.Key, Secret: made.Secret}, "")
	if err != nil {
		t.Fatal(err)
	}
	token := string(got.Secret)
	slog.Info("granted", "token", got, "presented", auth.Presented{Token: token})
	if _, err := h.token(token); err != nil {
		t.Fatal(err)
	}
	_, refused := h.clients.Authenticate(t.Context(), h.db, auth.Presented{Token: token[:len(token)-2], Address: netip.Addr{}})
	var rows []string
	h.in(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return tx.SelectContext(ctx, &rows, `SELECT client::text FROM client WHERE tenant_id = $1 UNION ALL SELECT client_key::text FROM client_key WHERE tenant_id = $1
			UNION ALL SELECT audit_event::text || convert_from(canonical, 'UTF8') FROM audit_event WHERE tenant_id = $1`, tx.Tenant)
	})
	signature := token[strings.LastIndexByte(token, '.')+1:]
	for _, text := range append(rows, log.String(), fmt.Sprintf("%v %+v %#v", got, got, got), refused.Error()) {
		if strings.Contains(text, signature[:20]) || strings.Contains(text, made.Secret) {
			t.Errorf("shown: %s", text)
		}
	}
	if len(rows) < 3 || log.Len() == 0 {
		t.Error("the test looks in the wrong place")
	}
}
