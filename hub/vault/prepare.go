package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/lrshub/lrshub/hub/database"
)

// ErrOtherKeys: the key folder is not the one that this database was filled with.
var ErrOtherKeys = errors.New("vault: the key folder has other keys than those this database was filled with")

const keysContext = "tenant-keys"

// Prepare makes a tenant's keys when it has none yet, and from then on holds the key folder against the database. Errors: ErrNoKeys when the
// tenant's file was lost, ErrOtherKeys when it is another one; both before anything is written with wrong keys.
func (v *Vault) Prepare(ctx context.Context, tx *database.Tx) error {
	var sealed [][]byte
	read := func() error {
		err := tx.SelectContext(ctx, &sealed, `SELECT sealed FROM tenant_keys WHERE tenant_id = $1`, tx.Tenant)
		if err != nil {
			return fmt.Errorf("vault: read the tenant's mark: %w", err)
		}
		return nil
	}
	if err := read(); err != nil {
		return err
	}
	if len(sealed) == 0 {
		if err := v.mark(ctx, tx); err != nil {
			return err
		}
		if err := read(); err != nil { // another hub may have been first
			return err
		}
	}
	t, err := v.Tenant(tx.Tenant)
	if err != nil {
		return err
	}
	if _, err := t.Open(keysContext, sealed[0]); err != nil {
		return fmt.Errorf("%w (tenant %d, %s): give this hub the folder that the others have, or bring it back from its backup", ErrOtherKeys, tx.Tenant, v.keys.dir)
	}
	return nil
}

// mark makes the tenant's keys and keeps something that they sealed.
func (v *Vault) mark(ctx context.Context, tx *database.Tx) error {
	t, err := v.keys.Ensure(tx.Tenant)
	if err != nil {
		return err
	}
	sealed, err := t.Seal(keysContext, nil)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO tenant_keys (tenant_id, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING`, tx.Tenant, sealed)
	if err != nil {
		return fmt.Errorf("vault: keep the tenant's mark: %w", err)
	}
	return nil
}
