package main

import (
	"context"
	"errors"

	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
)

// localHubFile is where a running up says how the command line reaches it.
const localHubFile = "hub.json"

// localHub is its content.
type localHub struct {
	URL   string `json:"url"`
	Token string `json:"token_file"`
}

// administratorName is the client that up makes for whoever may read its data folder, and migrate for whoever owns the database. It is under
// the same gate as any other.
const administratorName = "local administrator"

// administratorScopes leave out define: what the administrator tries out stays sealed, activities too.
var administratorScopes = []string{"admin", "all/read", "statements/write", "statements/import", "state", "profile", "persons/write"}

// administrator gives the local administrator's token in the file of this name, and makes the client when there is no such file; an earlier one is
// revoked then.
func (f *folder) administrator(ctx context.Context, r *rooms, name string) (string, error) {
	tenants, err := r.db.Tenants(ctx)
	if err != nil {
		return "", err
	}
	home := tenants[0].ID
	return f.once(name, func() (string, error) {
		var c auth.Credential
		err := r.db.Tenant(ctx, home, func(ctx context.Context, tx *database.Tx) error {
			if _, err := r.clients.Revoke(ctx, tx, "up", administratorName); err != nil && !errors.Is(err, auth.ErrUnknownClient) {
				return err
			}
			var err error
			c, err = r.clients.Create(ctx, tx, "up", auth.NewClient{Name: administratorName, Scopes: administratorScopes, Purpose: people.DefaultPurpose})
			return err
		})
		return c.Token(), err
	})
}
