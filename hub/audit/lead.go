package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lrshub/lrshub/hub/database"
)

// leaderLock is the class of the advisory locks (class, tenant) that sequencers hold for one transaction.
const leaderLock = 7723018

// tree is a tenant's tree as the leader finds it: the hashes at its edge, from which it grows.
type tree struct {
	head     int64        // events in the tree
	anchored int64        // events under the newest anchored checkpoint
	stored   int64        // events under the newest checkpoint in the table
	hashes   storedHashes // those that TreeHash of head and of the newest checkpoints need
}

// storedHashes is a part of audit_hash by index; it reads for tlog.
type storedHashes map[int64]tlog.Hash

// ReadHashes implements tlog.HashReader.
func (h storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		var ok bool
		if hashes[i], ok = h[index]; !ok {
			return nil, fmt.Errorf("%w: row %d of audit_hash is missing; run `lrshub audit verify`", ErrDamaged, index)
		}
	}
	return hashes, nil
}

// lead makes this transaction the tenant's only sequencer and holds the log against its newest checkpoints. It returns
// nil when another one leads and wait is false.
func (s *Sequencer) lead(ctx context.Context, tx *database.Tx, wait bool) (*tree, error) {
	if ok, err := s.lock(ctx, tx, wait); err != nil || !ok {
		return nil, err
	}
	head, err := s.lockHead(ctx, tx)
	if err != nil {
		return nil, err
	}
	verifier, err := s.signer.verifier(tx.Tenant)
	if err != nil {
		return nil, err
	}
	anchored, _, err := s.anchor.Newest(tx.Tenant, verifier)
	if err != nil {
		return nil, err
	}
	stored, err := newestCheckpoint(ctx, tx, verifier)
	if err != nil {
		return nil, err
	}
	if anchored.Size > head {
		return nil, s.rolledBack(tx.Tenant, fmt.Sprintf("it has %d events, but a checkpoint of size %d is anchored in %s", head, anchored.Size, s.anchor.Path(tx.Tenant)))
	}
	if stored.Size > head {
		return nil, s.rolledBack(tx.Tenant, fmt.Sprintf("it has %d events, but a checkpoint of size %d is stored", head, stored.Size))
	}
	t := &tree{head: head, anchored: anchored.Size, stored: stored.Size}
	if t.hashes, err = readHashes(ctx, tx, edge(head), edge(anchored.Size), edge(stored.Size)); err != nil {
		return nil, err
	}
	if err := s.hold(tx.Tenant, t, anchored, s.anchor.Path(tx.Tenant)); err != nil {
		return nil, err
	}
	if err := s.hold(tx.Tenant, t, stored, "table audit_checkpoint"); err != nil {
		return nil, err
	}
	if stored.Size > anchored.Size { // another hub signed it
		if err := s.anchor.append(tx.Tenant, stored); err != nil {
			return nil, err
		}
		t.anchored = stored.Size
	}
	return t, s.pause(ctx, tx, "lead")
}

func (s *Sequencer) lock(ctx context.Context, tx *database.Tx, wait bool) (ok bool, err error) {
	if wait {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1::integer, $2::integer)", leaderLock, tx.Tenant); err != nil {
			return false, fmt.Errorf("wait for the lead: %w", err)
		}
		return true, nil
	}
	if err := tx.GetContext(ctx, &ok, "SELECT pg_try_advisory_xact_lock($1::integer, $2::integer)", leaderLock, tx.Tenant); err != nil {
		return false, fmt.Errorf("take the lead: %w", err)
	}
	return ok, s.pause(ctx, tx, "lock")
}

// lockHead reads the size of the tree and locks its row, which holds even where an advisory lock would not.
func (s *Sequencer) lockHead(ctx context.Context, tx *database.Tx) (head int64, err error) {
	err = tx.GetContext(ctx, &head, "SELECT size FROM audit_head WHERE tenant_id = $1 FOR UPDATE", tx.Tenant)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = tx.ExecContext(ctx, "INSERT INTO audit_head (tenant_id, size) VALUES ($1, 0)", tx.Tenant)
	}
	if err != nil {
		return 0, fmt.Errorf("read the head: %w", err)
	}
	return head, s.pause(ctx, tx, "head")
}

// hold compares a checkpoint with the tree.
func (s *Sequencer) hold(tenant database.TenantID, t *tree, c Checkpoint, where string) error {
	if c.Size == 0 {
		return nil
	}
	root, err := tlog.TreeHash(c.Size, t.hashes)
	if err != nil {
		return err
	}
	if root != c.Root {
		return s.rolledBack(tenant, fmt.Sprintf("its first %d events are not those that the checkpoint of size %d in %s covers", c.Size, c.Size, where))
	}
	return nil
}

func (s *Sequencer) rolledBack(tenant database.TenantID, why string) error {
	return fmt.Errorf("%w: tenant %d: %s: the database was restored from an older backup, or events were removed or altered. "+
		"Events are still written, but none is put into the tree until someone decides: "+
		"bring back the newer database; or, if the loss is known and accepted, run `lrshub audit restart` on every hub, which keeps the old checkpoints in the anchor and tells of the gap. "+
		"`lrshub audit verify` names what is missing", ErrRolledBack, tenant, why)
}

// newestCheckpoint returns the newest stored checkpoint, or the zero one. It must be signed by this hub's key.
func newestCheckpoint(ctx context.Context, tx *database.Tx, verifier note.Verifier) (Checkpoint, error) {
	var row struct {
		Size int64
		Note string
	}
	err := tx.GetContext(ctx, &row, "SELECT size, note FROM audit_checkpoint WHERE tenant_id = $1 ORDER BY size DESC LIMIT 1", tx.Tenant)
	if errors.Is(err, sql.ErrNoRows) {
		return Checkpoint{}, nil
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read the newest checkpoint: %w", err)
	}
	c, err := OpenCheckpoint(row.Note, verifier)
	if err == nil && c.Size != row.Size {
		err = fmt.Errorf("%w: it is of size %d", ErrCheckpoint, c.Size)
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: the stored checkpoint of size %d: %w; all hubs of a database share one signing key: copy %s from the hub that has it, or if this is the only hub, see what `lrshub audit verify` says", ErrKey, row.Size, err, keyFile)
	}
	return c, nil
}

// edge lists the stored hashes that make up the root of a tree of that size.
func edge(size int64) (indexes []int64) {
	_, _ = tlog.TreeHash(size, tlog.HashReaderFunc(func(need []int64) ([]tlog.Hash, error) {
		indexes = slices.Clone(need)
		return make([]tlog.Hash, len(need)), nil
	}))
	return indexes
}

// readHashes fetches stored hashes by index; those that do not exist are left out.
func readHashes(ctx context.Context, tx *database.Tx, indexes ...[]int64) (storedHashes, error) {
	want := slices.Concat(indexes...)
	found := make(storedHashes, len(want)+2*batch)
	if len(want) == 0 {
		return found, nil
	}
	rows, err := tx.QueryContext(ctx, "SELECT index, hash FROM audit_hash WHERE tenant_id = $1 AND index = ANY ($2::bigint[])", tx.Tenant, database.Int8s(want))
	if err != nil {
		return nil, fmt.Errorf("read tree hashes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var index int64
		var hash []byte
		if err := rows.Scan(&index, &hash); err != nil {
			return nil, fmt.Errorf("read tree hashes: %w", err)
		}
		found[index] = tlog.Hash(hash)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read tree hashes: %w", err)
	}
	return found, nil
}
