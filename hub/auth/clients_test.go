package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
)

func TestCreateRefuses(t *testing.T) {
	h := newHub(t)
	h.create(databasetest.Default, asked("taken"))
	for name, test := range map[string]struct {
		change func(*auth.NewClient)
		want   error
		says   []string
	}{
		"writes and reads pseudonymised":  {func(n *auth.NewClient) { n.Scopes = []string{"statements/read/pseudonymised", "statements/write"} }, auth.ErrInvalidClient, []string{"one client for each"}},
		"imports and reads pseudonymised": {func(n *auth.NewClient) { n.Scopes = []string{"statements/read/pseudonymised", "statements/import"} }, auth.ErrInvalidClient, []string{"one client for each"}},
		"no scope":                        {func(n *auth.NewClient) { n.Scopes = nil }, auth.ErrInvalidClient, []string{"statements/read/pseudonymised"}},
		"unknown scope":                   {func(n *auth.NewClient) { n.Scopes = []string{"define", "statements/reed"} }, auth.ErrUnknownScope, []string{`"statements/reed"`, "statements/read", "audit/read"}},
		"unknown purpose":                 {func(n *auth.NewClient) { n.Purpose = "research" }, people.ErrUnknownPurpose, []string{`"research"`, people.DefaultPurpose, "lrshub purpose add"}},
		"no purpose":                      {func(n *auth.NewClient) { n.Purpose = "" }, people.ErrUnknownPurpose, []string{people.DefaultPurpose}},
		"no name":                         {func(n *auth.NewClient) { n.Name = "" }, auth.ErrInvalidClient, nil},
		"name is an id":                   {func(n *auth.NewClient) { n.Name = uuid.Max.String() }, auth.ErrInvalidClient, nil},
		"name taken":                      {func(n *auth.NewClient) { n.Name = "taken" }, auth.ErrClientExists, []string{"taken", "revoke"}},
		"network that is none":            {func(n *auth.NewClient) { n.Networks = []string{"10.0.0.0/8", "campus"} }, auth.ErrInvalidClient, []string{`"campus"`, "10.1.0.0/16"}},
		"network with too many bits":      {func(n *auth.NewClient) { n.Networks = []string{"10.1.2.3/8"} }, auth.ErrInvalidClient, []string{"10.0.0.0/8", "10.1.2.3"}},
		"JWT without an issuer":           {func(n *auth.NewClient) { n.JWTSubject = "canvas" }, auth.ErrInvalidClient, []string{"LRSHUB_JWT_ISSUER"}},
		"expired already":                 {func(n *auth.NewClient) { n.Expires = start }, auth.ErrInvalidClient, nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := asked("new")
			test.change(&n)
			err := h.db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
				made, err := h.clients.Create(ctx, tx, "admin", n)
				if made != (auth.Credential{}) {
					t.Error("there is a credential")
				}
				return err
			})
			if !errors.Is(err, test.want) {
				t.Errorf("Create: %v; want %v", err, test.want)
			}
			for _, part := range test.says {
				if err != nil && !strings.Contains(err.Error(), part) {
					t.Errorf("%v: says nothing of %s", err, part)
				}
			}
		})
	}
	if _, err := auth.New(pepper[1:], auth.Options{}); err == nil {
		t.Error("a short pepper is taken")
	}
}

func TestListAndRevoke(t *testing.T) {
	h := newHub(t)
	first := h.create(databasetest.Default, asked("canvas"))
	h.create(databasetest.Other, asked("moodle"))
	revoke := func(tenant database.TenantID, name string) error {
		return h.db.Tenant(t.Context(), tenant, func(ctx context.Context, tx *database.Tx) error {
			_, err := h.clients.Revoke(ctx, tx, "admin", name)
			return err
		})
	}
	for _, name := range []string{first.Key, "canvas", first.Client.String(), ""} {
		if err := revoke(databasetest.Other, name); !errors.Is(err, auth.ErrUnknownClient) {
			t.Errorf("Revoke %q from the other tenant: %v", name, err)
		}
	}
	if err := revoke(databasetest.Default, "canvas"); err != nil {
		t.Fatal(err)
	}
	if err := revoke(databasetest.Default, "canvas"); !errors.Is(err, auth.ErrUnknownClient) {
		t.Errorf("a second time: %v", err)
	}
	h.clock.pass(time.Hour)
	second := h.create(databasetest.Default, asked("canvas")) // the name is free again
	h.in(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		list, err := h.clients.List(ctx, tx)
		revokedAt := start
		want := []auth.Client{
			{ID: first.Client, Name: "canvas", Key: first.Key, Scopes: []string{"define", "statements/write"}, Purpose: people.DefaultPurpose, Created: start, Revoked: &revokedAt,
				Networks: []string{}, Keys: []auth.Key{{Key: first.Key, Created: start, Revoked: &revokedAt}}},
			{ID: second.Client, Name: "canvas", Key: second.Key, Scopes: []string{"define", "statements/write"}, Purpose: people.DefaultPurpose, Created: start.Add(time.Hour),
				Networks: []string{}, Keys: []auth.Key{{Key: second.Key, Created: start.Add(time.Hour)}}},
		}
		if diff := cmp.Diff(want, list); diff != "" {
			t.Error(diff)
		}
		return err
	})
	if got := h.events(databasetest.Default, audit.ClientRevoked); len(got) != 1 {
		t.Errorf("audit events: %v", got)
	}
}
