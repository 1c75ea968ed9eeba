package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lrshub/lrshub/hub/database"
)

// ErrNotRolledBack: there is nothing to restart, the log agrees with its anchor.
var ErrNotRolledBack = errors.New("the audit log agrees with its anchor")

// Restart lets a log go on that ErrRolledBack stopped, after a person decided to accept the loss: the database was restored from a
// backup older than the anchor. It finds the newest anchored checkpoint that the log still agrees with, signs it
// once more with a line that says how many events the anchor knew, appends that to the anchor, and records an
// AuditRestarted event. Nothing is taken back: the anchor keeps the checkpoints of the lost branch, and every Verify
// says that there was a restart and where. Each hub restarts its own anchor. actor is the credential that
// decided. The log must be in order in itself, else ErrDamaged.
func (s *Sequencer) Restart(ctx context.Context, tenant database.TenantID, now time.Time, actor string) (c Checkpoint, err error) {
	report, err := Verify(ctx, NewStore(s.db, tenant, ""), VerifyOptions{VerifierKey: s.signer.VerifierKey(tenant), Unsigned: true})
	if err != nil {
		if report != nil {
			err = fmt.Errorf("%w: a restart is for a log that was restored whole: %w", ErrDamaged, err)
		}
		return Checkpoint{}, fmt.Errorf("restart the audit log of tenant %d: %w", tenant, err)
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		if _, err := s.lock(ctx, tx, true); err != nil {
			return err
		}
		head, err := s.lockHead(ctx, tx)
		if err != nil {
			return err
		}
		if c, err = s.branch(ctx, tx, head); err != nil {
			return err
		}
		return Record(ctx, tx, now, Event{Kind: AuditRestarted, Actor: actor,
			Fields: map[string]any{"size": c.Size, "anchored": c.Restart, "head": head}})
	})
	if err != nil {
		return Checkpoint{}, fmt.Errorf("restart the audit log of tenant %d: %w", tenant, err)
	}
	return c, nil
}

// branch finds where the log and the anchor part, and anchors that place.
func (s *Sequencer) branch(ctx context.Context, tx *database.Tx, head int64) (Checkpoint, error) {
	verifier, err := s.signer.verifier(tx.Tenant)
	if err != nil {
		return Checkpoint{}, err
	}
	newest, found, err := s.anchor.Newest(tx.Tenant, verifier)
	if err != nil {
		return Checkpoint{}, err
	}
	if !found {
		return Checkpoint{}, fmt.Errorf("%w: nothing is anchored", ErrNotRolledBack)
	}
	f, err := os.Open(s.anchor.Path(tx.Tenant))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read the anchor: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read the anchor: %w", err)
	}
	hashes := hashReader(ctx, tx)
	size, root := int64(0), tlog.Hash{}
	for line, err := range readAnchor(f, info.Size(), verifier) {
		if err != nil {
			return Checkpoint{}, err
		}
		c := line.checkpoint
		if line.bad != nil || c.Size > head || c.Size < size {
			continue
		}
		have, err := tlog.TreeHash(c.Size, hashes)
		if err != nil {
			return Checkpoint{}, err
		}
		if have == c.Root {
			size, root = c.Size, c.Root
		}
	}
	if size == newest.Size && root == newest.Root {
		return Checkpoint{}, ErrNotRolledBack
	}
	if size == 0 {
		if root, err = tlog.TreeHash(0, hashes); err != nil {
			return Checkpoint{}, err
		}
	}
	c, err := s.signer.sign(tx.Tenant, size, root, newest.Size)
	if err != nil {
		return Checkpoint{}, err
	}
	return c, s.anchor.append(tx.Tenant, c)
}
