package auth_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// modelClient is what a client must be after what was done to it.
type modelClient struct {
	id       string
	scopes   []string
	networks []string
	expires  time.Time
	revoked  bool
}

// modelKey is a key, or a token that was got with it.
type modelKey struct {
	client *modelClient
	shown  auth.Presented
	key    *modelKey // of a token
	scopes []string  // of a token
	ends   time.Time
}

func (k *modelKey) good(now time.Time, from string) bool {
	for _, ends := range []time.Time{k.ends, k.client.expires} {
		if !ends.IsZero() && !now.Before(ends) {
			return false
		}
	}
	located := len(k.client.networks) == 0 || slices.Contains(k.client.networks, from+"/32")
	return !k.client.revoked && located && (k.key == nil || k.key.good(now, from))
}

func (k *modelKey) may() []string {
	if k.key == nil {
		return k.client.scopes
	}
	return slices.DeleteFunc(slices.Clone(k.scopes), func(s string) bool { return !slices.Contains(k.client.scopes, s) })
}

// TestWhatIsGood: whatever was done to clients, in whatever order, a key or token is good exactly as long as it, its key and its client are, from where the client may
// come, and for what both may do.
func TestWhatIsGood(t *testing.T) {
	h := newHub(t)
	all := []string{"define", "state", "statements/read", "statements/write"}
	addresses := []string{"192.0.2.1", "198.51.100.1"}
	names := 0
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue { // each step is some transactions
		if err := flag.Set("rapid.checks", "15"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var clients []*modelClient
		var keys []*modelKey
		must := func(fn func(ctx context.Context, tx *database.Tx) error) {
			if err := h.db.Tenant(h.Context(), databasetest.Other, fn); err != nil {
				t.Fatal(err)
			}
		}
		scopes := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 4, rapid.ID)
		networks := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"192.0.2.1/32", "198.51.100.1/32"}), 0, 2, rapid.ID)
		life := rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour, 24 * time.Hour})
		until := func(d time.Duration) (at time.Time) {
			if d > 0 {
				at = h.clock.now().Add(d)
			}
			return at
		}
		living := func() *modelClient {
			c := rapid.SampledFrom(clients).Draw(t, "client")
			if c.revoked {
				t.Skip("revoked")
			}
			return c
		}
		made := func(c *modelClient, made auth.Credential) {
			keys = append(keys, &modelKey{client: c, shown: auth.Presented{Key: made.Key, Secret: made.Secret}})
		}
		create := func(t *rapid.T) {
			names++
			n := asked(fmt.Sprint("client ", names))
			n.Scopes, n.Networks, n.Expires = scopes.Draw(t, "scopes"), networks.Draw(t, "networks"), until(life.Draw(t, "life"))
			c := h.create(databasetest.Other, n)
			clients = append(clients, &modelClient{id: c.Client.String(), scopes: n.Scopes, networks: n.Networks, expires: n.Expires})
			made(clients[len(clients)-1], c)
		}
		create(t)
		rotate := func(t *rapid.T) {
			c, overlap, now := living(), life.Draw(t, "overlap"), h.clock.now()
			got, err := h.rotate(databasetest.Other, c.id, overlap)
			if errors.Is(err, auth.ErrInvalidClient) { // expired, or too many keys: nothing has changed
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range keys {
				if k.client == c && k.key == nil && (k.ends.IsZero() || now.Add(overlap).Before(k.ends)) {
					k.ends = now.Add(overlap)
				}
			}
			made(c, got)
		}
		t.Repeat(map[string]func(*rapid.T){
			"create":       create,
			"rotate":       rotate,
			"rotate again": rotate, // so that it is done twice to one
			"update": func(t *rapid.T) {
				c, nets, ends := living(), networks.Draw(t, "networks"), until(life.Draw(t, "life"))
				change := auth.Change{Scopes: scopes.Draw(t, "scopes"), Networks: &nets, Expires: &ends}
				if _, err := h.update(databasetest.Other, c.id, change); err != nil {
					t.Fatal(err)
				}
				c.scopes, c.networks, c.expires = change.Scopes, nets, ends
			},
			"revoke": func(t *rapid.T) {
				c := living()
				must(func(ctx context.Context, tx *database.Tx) error {
					_, err := h.clients.Revoke(ctx, tx, "admin", c.id)
					return err
				})
				c.revoked = true
			},
			"token": func(t *rapid.T) {
				k, wanted, now := rapid.SampledFrom(keys).Draw(t, "key"), scopes.Draw(t, "scope"), h.clock.now()
				from := rapid.SampledFrom(addresses).Draw(t, "from")
				shown := k.shown
				shown.Address = netip.MustParseAddr(from)
				got, err := h.clients.Grant(h.Context(), h.db, shown, strings.Join(wanted, " "))
				held := !slices.ContainsFunc(wanted, func(s string) bool { return !slices.Contains(k.client.scopes, s) })
				switch {
				case k.key != nil || !k.good(now, from):
					if err != auth.ErrUnauthenticated {
						t.Fatalf("a token for nothing: %v, %v", got, err)
					}
				case !held:
					if !errors.Is(err, auth.ErrScope) {
						t.Fatalf("a token for %v of %v: %v", wanted, k.client.scopes, err)
					}
				case err != nil:
					t.Fatal(err)
				default:
					keys = append(keys, &modelKey{client: k.client, shown: auth.Presented{Token: string(got.Secret)}, key: k, scopes: wanted, ends: now.Add(auth.TokenLife)})
				}
			},
			"wait": func(t *rapid.T) { h.clock.pass(life.Draw(t, "wait") / 2) },
			"": func(t *rapid.T) {
				h.clock.pass(time.Second) // longer than what is remembered
				for i, k := range keys {
					for range 2 { // from the database, and from memory
						from := rapid.SampledFrom(addresses).Draw(t, "from")
						shown := k.shown
						shown.Address = netip.MustParseAddr(from)
						caller, err := h.clients.Authenticate(h.Context(), h.db, shown)
						if good := k.good(h.clock.now(), from); good != (err == nil) || err != nil && err != auth.ErrUnauthenticated {
							t.Fatalf("credential %d from %s: %v, want good: %t", i, from, err, good)
						}
						if err == nil && (caller.Client.String() != k.client.id || caller.Tenant != databasetest.Other || !same(caller, k.may())) {
							t.Fatalf("credential %d: %+v, want %v", i, caller, k.may())
						}
					}
				}
			},
		})
	})
}

func same(c access.Caller, scopes []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(c.Scopes)), slices.Sorted(slices.Values(scopes)))
}
