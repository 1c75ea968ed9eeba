package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lrshub/lrshub/hub/database"
)

var (
	// ErrRolledBack: the log is shorter than, or another than, its newest anchored checkpoint.
	ErrRolledBack = errors.New("audit log rolled back")
	// ErrDamaged: rows of the tree are missing or contradict each other.
	ErrDamaged = errors.New("audit log damaged")
)

// batch is how many events get their leaves in one transaction.
const batch = 1000

// Sequencer puts the events of all tenants into their trees and signs checkpoints. Any number may run, in any number of
// hubs: per tenant one leads at a time. Every one anchors every checkpoint it sees in its own folder, so each hub
// witnesses what the others sign.
//
// Crash safety: a step's leaves, hashes, head and deleted pending rows are one transaction. A checkpoint covers only what is
// committed, and is anchored before it is stored: dying in between leaves an anchored checkpoint that is true and that
// the table lacks, which the next one makes up for. The other order could show a checkpoint to a reader and then
// lose the only copy that a restored database cannot take back.
type Sequencer struct {
	db       *database.DB
	signer   *Signer
	anchor   *Anchor
	log      *slog.Logger
	now      func() time.Time
	interval time.Duration
	every    time.Duration

	mu      sync.Mutex
	tenants map[database.TenantID]*progress

	// pause, set by tests only, is called after each statement.
	pause func(ctx context.Context, tx *database.Tx, after string) error
}

// progress is what a sequencer remembers of a tenant between steps. It can be lost.
type progress struct {
	signed    time.Time // when this sequencer last saw to a checkpoint
	uncovered bool      // the tree has grown since the newest checkpoint
	err       error     // of the last step
	reported  time.Time // when err was last logged
}

// SequencerOptions are what a sequencer needs. DB, Signer and Anchor are required.
type SequencerOptions struct {
	DB         *database.DB
	Signer     *Signer
	Anchor     *Anchor
	Logger     *slog.Logger     // default slog.Default()
	Now        func() time.Time // default time.Now; decides only when a checkpoint is due
	Interval   time.Duration    // between looks for new events when there are few; default 250 ms
	Checkpoint time.Duration    // at least this long between two checkpoints of a tenant; default 5 s
}

// NewSequencer returns a sequencer that does nothing until Run, Step or Flush.
func NewSequencer(o SequencerOptions) *Sequencer {
	s := &Sequencer{db: o.DB, signer: o.Signer, anchor: o.Anchor, log: o.Logger, now: o.Now, interval: o.Interval, every: o.Checkpoint,
		tenants: map[database.TenantID]*progress{},
		pause:   func(context.Context, *database.Tx, string) error { return nil }}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.interval <= 0 {
		s.interval = 250 * time.Millisecond
	}
	if s.every <= 0 {
		s.every = 5 * time.Second
	}
	return s
}

// Step gives leaves to up to 1000 pending events of the tenant, in the order of their ids, and returns how many. It does nothing
// while another sequencer leads. ErrRolledBack, ErrDamaged, ErrAnchor and ErrKey need a person; other errors
// pass.
func (s *Sequencer) Step(ctx context.Context, tenant database.TenantID) (int, error) {
	return s.sequence(ctx, tenant, false)
}

func (s *Sequencer) sequence(ctx context.Context, tenant database.TenantID, wait bool) (int, error) {
	n, err := s.step(ctx, tenant, wait, false)
	if database.IsUnique(err, "audit_leaf_tenant_id_event_id_key") {
		// Someone put an event back into pending that has its leaf. Verify tells of it; the others must not wait.
		n, err = s.step(ctx, tenant, wait, true)
	}
	if err != nil {
		return 0, fmt.Errorf("sequence the audit log of tenant %d: %w", tenant, err)
	}
	return n, nil
}

func (s *Sequencer) step(ctx context.Context, tenant database.TenantID, wait, again bool) (n int, err error) {
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		n = 0
		t, err := s.lead(ctx, tx, wait)
		if err != nil || t == nil {
			return err
		}
		events, err := s.takePending(ctx, tx, again)
		if err != nil {
			return err
		}
		if n = len(events); n > 0 {
			if err := s.grow(ctx, tx, t, events); err != nil {
				return err
			}
		}
		s.remember(tenant, func(p *progress) { p.uncovered = t.head > t.stored })
		return nil
	})
	return n, err
}

// pendingEvent is an event that waits for its leaf.
type pendingEvent struct {
	id   uuid.UUID
	hash tlog.Hash
}

// takePending removes up to a batch of pending rows; with again, those whose event has a leaf are dropped.
func (s *Sequencer) takePending(ctx context.Context, tx *database.Tx, again bool) ([]pendingEvent, error) {
	rows, err := tx.QueryContext(ctx, `
		DELETE FROM audit_pending p WHERE tenant_id = $1 AND event_id = ANY (ARRAY(
			SELECT event_id FROM audit_pending WHERE tenant_id = $1 ORDER BY event_id LIMIT $2))
		RETURNING event_id, hash, $3 AND EXISTS (SELECT FROM audit_leaf l WHERE l.tenant_id = $1 AND l.event_id = p.event_id)`,
		tx.Tenant, batch, again)
	if err != nil {
		return nil, fmt.Errorf("take pending events: %w", err)
	}
	defer rows.Close()
	var events []pendingEvent
	for rows.Next() {
		var e pendingEvent
		var hash []byte
		var has bool
		if err := rows.Scan(&e.id, &hash, &has); err != nil {
			return nil, fmt.Errorf("take pending events: %w", err)
		}
		copy(e.hash[:], hash) // 32 bytes by the table's check
		if !has {
			events = append(events, e)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("take pending events: %w", err)
	}
	slices.SortFunc(events, func(a, b pendingEvent) int { return bytes.Compare(a.id[:], b.id[:]) })
	return events, s.pause(ctx, tx, "pending")
}

// grow appends the events to the tree and moves the head.
func (s *Sequencer) grow(ctx context.Context, tx *database.Tx, t *tree, events []pendingEvent) error {
	ids := make([]uuid.UUID, len(events))
	var hashes [][]byte
	first := tlog.StoredHashCount(t.head)
	for i, e := range events {
		ids[i] = e.id
		made, err := tlog.StoredHashesForRecordHash(t.head+int64(i), e.hash, t.hashes)
		if err != nil {
			return err
		}
		for _, h := range made {
			t.hashes[first+int64(len(hashes))] = h
			hashes = append(hashes, slices.Clone(h[:]))
		}
	}
	_, err := tx.ExecContext(ctx, `
		WITH leaves AS (
			INSERT INTO audit_leaf (tenant_id, index, event_id)
			SELECT $1, $2 + n - 1, id FROM unnest($3::uuid[]) WITH ORDINALITY AS leaf (id, n)
		), hashes AS (
			INSERT INTO audit_hash (tenant_id, index, hash)
			SELECT $1, $4 + n - 1, hash FROM unnest($5::bytea[]) WITH ORDINALITY AS stored (hash, n)
		)
		UPDATE audit_head SET size = $6 WHERE tenant_id = $1`,
		tx.Tenant, t.head, database.UUIDs(ids), first, database.Byteas(hashes), t.head+int64(len(events)))
	if err != nil {
		return fmt.Errorf("append to the tree: %w", err)
	}
	t.head += int64(len(events))
	return s.pause(ctx, tx, "tree")
}

// Checkpoint signs the tree as it stands, anchors and stores the checkpoint, and returns it: the newest one if the tree has not
// grown since. It waits for another sequencer's step to end. An empty log gives a signed checkpoint that is not kept.
func (s *Sequencer) Checkpoint(ctx context.Context, tenant database.TenantID) (c Checkpoint, err error) {
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		t, err := s.lead(ctx, tx, true)
		if err != nil {
			return err
		}
		if c, err = s.sign(ctx, tx, t); err != nil {
			return err
		}
		s.remember(tenant, func(p *progress) { p.uncovered, p.signed = false, s.now() })
		return nil
	})
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint the audit log of tenant %d: %w", tenant, err)
	}
	return c, nil
}

func (s *Sequencer) sign(ctx context.Context, tx *database.Tx, t *tree) (Checkpoint, error) {
	root, err := tlog.TreeHash(t.head, t.hashes)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := s.signer.sign(tx.Tenant, t.head, root, 0)
	if err != nil || t.head == 0 || t.head == t.stored {
		return c, err
	}
	if t.anchored < t.head {
		if err := s.anchor.append(tx.Tenant, c); err != nil {
			return Checkpoint{}, err
		}
	}
	if err := s.pause(ctx, tx, "anchor"); err != nil {
		return Checkpoint{}, err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO audit_checkpoint (tenant_id, size, note) VALUES ($1, $2, $3)", tx.Tenant, c.Size, c.Note)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("store the checkpoint: %w", err)
	}
	return c, s.pause(ctx, tx, "checkpoint")
}

// Flush sequences all that is pending now and returns a checkpoint that covers it. It waits for another sequencer's step to end.
func (s *Sequencer) Flush(ctx context.Context, tenant database.TenantID) (Checkpoint, error) {
	for {
		n, err := s.sequence(ctx, tenant, true)
		if err != nil {
			return Checkpoint{}, err
		}
		if n == 0 {
			break
		}
	}
	return s.Checkpoint(ctx, tenant)
}

// remember changes what is kept of a tenant between steps.
func (s *Sequencer) remember(tenant database.TenantID, change func(*progress)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.tenants[tenant]
	if p == nil {
		p = &progress{}
		s.tenants[tenant] = p
	}
	change(p)
}
