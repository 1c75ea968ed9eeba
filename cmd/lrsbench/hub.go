package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/lrs"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/policies"
)

// tenant is the one that the migrations make; purpose is the one that every tenant begins with.
const (
	tenant  database.TenantID = 1
	purpose                   = people.DefaultPurpose
)

// hub is the hub's rooms on a database of their own.
type hub struct {
	owner      string // URL
	db         *database.DB
	vault      *vault.Vault
	dictionary *records.Dictionary
	gate       *access.Gate
	clients    *auth.Clients
	road       *ingest.Road
	client     auth.Credential // may write statements
	caller     access.Caller   // the same, authenticated
}

// open makes a database and opens the rooms on it, as cmd/lrshub does. define lets its client put activities into the catalogue.
func (s *server) open(ctx context.Context, name string, define bool) (*hub, error) {
	owner, app, err := s.database(ctx, name)
	if err != nil {
		return nil, err
	}
	master, err := vault.MasterKeyFile(filepath.Join(s.dir, name, "master.key"))
	if err != nil {
		return nil, err
	}
	keys, err := vault.OpenKeys(filepath.Join(s.dir, name), master)
	if err != nil {
		return nil, err
	}
	if _, err := keys.Ensure(tenant); err != nil {
		return nil, err
	}
	h := &hub{owner: owner, vault: vault.New(keys)}
	if h.db, err = database.Open(ctx, app); err != nil {
		return nil, err
	}
	if err := h.prepare(ctx, keys, define); err != nil {
		return nil, errors.Join(err, h.db.Close())
	}
	return h, nil
}

func (h *hub) prepare(ctx context.Context, keys *vault.Keys, define bool) error {
	pepper, err := keys.Secret("credential-pepper")
	if err != nil {
		return err
	}
	if h.clients, err = auth.New(pepper, auth.Options{}); err != nil {
		return err
	}
	h.dictionary = records.NewDictionary(h.db)
	if h.gate, err = access.New(ctx, h.db, policies.Bundle(), access.Options{}); err != nil {
		return err
	}
	h.road = ingest.New(h.db, h.vault, h.dictionary, "https://hub.example", time.Now)
	err = h.db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		if err := people.SeedDefault(ctx, tx, time.Now()); err != nil {
			return err
		}
		return h.gate.Seed(ctx, tx, time.Now())
	})
	if err != nil {
		return fmt.Errorf("prepare the tenant: %w", err)
	}
	scopes := []string{"statements/write"}
	if define {
		scopes = append(scopes, "define")
	}
	// A database that is kept has the clients of earlier runs.
	if h.client, err = h.newClient(ctx, "lrsbench "+random(4), purpose, scopes...); err != nil {
		return err
	}
	h.caller, err = h.clients.Authenticate(ctx, h.db, auth.Presented{Key: h.client.Key, Secret: h.client.Secret})
	return err
}

// newClient makes a client of the hub.
func (h *hub) newClient(ctx context.Context, name, purpose string, scopes ...string) (made auth.Credential, err error) {
	err = h.db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		made, err = h.clients.Create(ctx, tx, "lrsbench", auth.NewClient{Name: name, Scopes: scopes, Purpose: purpose})
		return err
	})
	return made, err
}

// handler is the xAPI face on these rooms.
func (h *hub) handler() http.Handler {
	reader := disclose.New(h.db, h.vault, h.dictionary, h.gate, "https://hub.example", time.Now)
	return lrs.Handler(h, h.gate, h.road, reader)
}

// Request says who sent a request; it makes the hub lrs.Authenticator.
func (h *hub) Request(r *http.Request) (access.Caller, error) {
	return h.clients.Request(h.db, r)
}

// Address says where a request comes from.
func (h *hub) Address(r *http.Request) netip.Addr { return h.clients.Address(r) }
