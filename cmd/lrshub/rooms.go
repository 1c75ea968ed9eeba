package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/blob"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/policies"
)

// rooms are the hub's rooms, opened on one database.
type rooms struct {
	settings   settings
	db         *database.DB
	keys       *vault.Keys
	vault      *vault.Vault
	dictionary *records.Dictionary
	gate       *access.Gate
	clients    *auth.Clients
	ingest     *ingest.Road
	disclose   *disclose.Road
	signer     *audit.Signer
	anchor     *audit.Anchor
	temporal   client.Client
	host       *host.Host
	blobs      *blob.Folder // nil: attachments have to fit into Postgres
}

// openRooms opens the rooms that every kind of hub process has.
func openRooms(ctx context.Context, s settings) (*rooms, error) {
	r, err := openStore(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := r.openWorkflows(ctx); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// openStore opens the rooms that need no Temporal.
func openStore(ctx context.Context, s settings) (*rooms, error) {
	master, err := s.master()
	if err != nil {
		return nil, err
	}
	r := &rooms{settings: s}
	if r.keys, err = vault.OpenKeys(s.KeysDir, master); err != nil {
		return nil, err
	}
	if err = r.openClients(); err != nil {
		return nil, err
	}
	if r.db, err = database.Open(ctx, s.DatabaseURL); err != nil {
		return nil, err
	}
	r.vault = vault.New(r.keys)
	r.dictionary = records.NewDictionary(r.db)
	if r.gate, err = access.New(ctx, r.db, policies.Bundle(), access.Options{}); err != nil {
		return nil, errors.Join(err, r.db.Close())
	}
	r.ingest = ingest.New(r.db, r.vault, r.dictionary, s.PublicURL, time.Now)
	r.disclose = disclose.New(r.db, r.vault, r.dictionary, r.gate, s.PublicURL, time.Now)
	for _, step := range []func(context.Context) error{r.openBlobs, r.prepareTenants, r.openAudit} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

// openBlobs opens the folder of large attachments, if there is one, for both roads.
func (r *rooms) openBlobs(context.Context) (err error) {
	if r.settings.BlobsDir == "" {
		return nil
	}
	if r.blobs, err = blob.OpenFolder(r.settings.BlobsDir); err != nil {
		return err
	}
	r.ingest.UseBlobs(r.blobs)
	r.disclose.UseBlobs(r.blobs)
	return nil
}

// openAudit opens the audit log's signing key and anchor.
func (r *rooms) openAudit(context.Context) (err error) {
	if r.signer, err = audit.OpenSigner(r.settings.AuditDir, rand.Reader); err != nil {
		return err
	}
	r.anchor, err = audit.OpenAnchor(r.settings.AuditDir)
	return err
}

// openWorkflows connects to Temporal and makes the host of connectors.
func (r *rooms) openWorkflows(ctx context.Context) (err error) {
	if r.host, err = r.openHost(); err != nil {
		return err
	}
	r.temporal, err = r.openTemporal(ctx)
	return err
}

// close lets go of everything that was opened.
func (r *rooms) close() error {
	var err error
	if r.temporal != nil {
		r.temporal.Close()
	}
	if r.host != nil {
		err = r.host.Close()
	}
	return errors.Join(err, r.db.Close())
}

// prepareTenants gives each tenant what it cannot be without: keys, the default purpose, the default grants. What is there stays.
func (r *rooms) prepareTenants(ctx context.Context) error {
	tenants, err := r.db.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		if err := r.prepareTenant(ctx, t.ID); err != nil {
			return fmt.Errorf("tenant %s: %w", t.Name, err)
		}
	}
	return nil
}

func (r *rooms) prepareTenant(ctx context.Context, id database.TenantID) error {
	return r.db.Tenant(ctx, id, func(ctx context.Context, tx *database.Tx) error {
		if err := r.vault.Prepare(ctx, tx); err != nil {
			return err
		}
		if err := people.SeedDefault(ctx, tx, time.Now()); err != nil {
			return err
		}
		return r.gate.Seed(ctx, tx, time.Now())
	})
}
