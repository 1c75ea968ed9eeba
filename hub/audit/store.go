package audit

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lrshub/lrshub/hub/database"
)

// Store is the log of one tenant in Postgres, read as the application's role. It reads in short transactions, so that a long
// verification does not hold back Postgres' cleaning; the log only grows, so they fit together.
type Store struct {
	db     *database.DB
	tenant database.TenantID
	key    string
	size   LogSize
	last   int64 // highest size of a stored checkpoint
}

// NewStore reads the tenant's log. verifierKey is written into exports; it may be "".
func NewStore(db *database.DB, tenant database.TenantID, verifierKey string) *Store {
	return &Store{db: db, tenant: tenant, key: verifierKey}
}

// chunk is how many rows are read at a time.
const chunk = 1000

// Log implements Source.
func (s *Store) Log(ctx context.Context) (LogSize, error) {
	s.size = LogSize{Version: exportVersion, Tenant: int(s.tenant), VerifierKey: s.key}
	err := s.db.ReadTenant(ctx, s.tenant, func(ctx context.Context, tx *database.Tx) error {
		return tx.QueryRowContext(ctx, `
			SELECT coalesce((SELECT size FROM audit_head WHERE tenant_id = $1), 0),
			       coalesce((SELECT max(index) FROM audit_leaf WHERE tenant_id = $1), -1) + 1,
			       coalesce((SELECT max(index) FROM audit_hash WHERE tenant_id = $1), -1) + 1,
			       coalesce((SELECT max(size) FROM audit_checkpoint WHERE tenant_id = $1), 0)`, s.tenant).
			Scan(&s.size.Head, &s.size.Leaves, &s.size.Hashes, &s.last)
	})
	if err != nil {
		return LogSize{}, fmt.Errorf("read the size of the audit log: %w", err)
	}
	return s.size, nil
}

// Entries implements Source.
func (s *Store) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		emit := func(entries []Entry, err error) bool {
			for _, e := range entries {
				if !yield(e, nil) {
					return false
				}
			}
			return err == nil || yield(Entry{}, err) && false
		}
		size := s.size.expected()
		for from := int64(0); from < size; {
			until := min(from+chunk, size)
			entries, err := s.stretch(ctx, from, until)
			if !emit(entries, err) {
				return
			}
			if from = until; len(entries) == 0 { // rows were removed, or a size was made up
				if from, err = s.nextLeaf(ctx, until); err != nil {
					emit(nil, err)
					return
				}
			}
		}
		if !emit(s.misfits(ctx, size)) {
			return
		}
		for after, more := (uuid.UUID{}), true; more; more = after != uuid.Nil {
			loose, next, err := s.loose(ctx, after)
			if !emit(loose, err) {
				return
			}
			after = next
		}
	}
}

// stretch reads the leaves [from, until) with their hashes and checkpoints.
func (s *Store) stretch(ctx context.Context, from, until int64) (entries []Entry, err error) {
	err = s.db.ReadTenant(ctx, s.tenant, func(ctx context.Context, tx *database.Tx) error {
		leaves, err := readLeaves(ctx, tx, from, until-1)
		if err != nil {
			return err
		}
		hashes, err := readHashRows(ctx, tx, tlog.StoredHashCount(from), tlog.StoredHashCount(until)-1)
		if err != nil {
			return err
		}
		checkpoints, err := readCheckpoints(ctx, tx, from+1, min(until, s.last))
		if err != nil {
			return err
		}
		entries = merge(leaves, hashes, checkpoints)
		return nil
	})
	return entries, err
}

// nextLeaf finds where rows go on after a hole.
func (s *Store) nextLeaf(ctx context.Context, from int64) (next int64, err error) {
	err = s.db.ReadTenant(ctx, s.tenant, func(ctx context.Context, tx *database.Tx) error {
		var leaf, hash int64
		err := tx.QueryRowContext(ctx, `
			SELECT coalesce((SELECT min(index) FROM audit_leaf WHERE tenant_id = $1 AND index >= $2), $4),
			       coalesce((SELECT min(index) FROM audit_hash WHERE tenant_id = $1 AND index >= $3), $4)`,
			tx.Tenant, from, tlog.StoredHashCount(from), int64(math.MaxInt64)).Scan(&leaf, &hash)
		next = min(leaf, leafOf(hash))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read the audit log after leaf %d: %w", from, err)
	}
	return next, nil
}

// merge puts rows into the order of the tree.
func merge(leaves []LeafRow, hashes []HashRow, checkpoints []CheckpointRow) []Entry {
	entries := make([]Entry, 0, len(leaves)+len(hashes)+len(checkpoints))
	for len(leaves)+len(hashes)+len(checkpoints) > 0 {
		leaf, hash, size := int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64)
		if len(leaves) > 0 {
			leaf = leaves[0].Index
		}
		if len(hashes) > 0 {
			hash = leafOf(hashes[0].Index)
		}
		if len(checkpoints) > 0 {
			size = checkpoints[0].Size - 1
		}
		switch {
		case len(leaves) > 0 && leaf <= hash && leaf <= size:
			entries, leaves = append(entries, Entry{Leaf: &leaves[0]}), leaves[1:]
		case len(hashes) > 0 && hash <= size:
			entries, hashes = append(entries, Entry{Hash: &hashes[0]}), hashes[1:]
		default:
			entries, checkpoints = append(entries, Entry{Checkpoint: &checkpoints[0]}), checkpoints[1:]
		}
	}
	return entries
}

// misfits reads the rows of the tree that lie outside it: below zero, or between its size and what Log counted. Their
// number is bounded: they are an attacker's, and a thousand of each kind is proof enough.
func (s *Store) misfits(ctx context.Context, size int64) (entries []Entry, err error) {
	err = s.db.ReadTenant(ctx, s.tenant, func(ctx context.Context, tx *database.Tx) error {
		entries = nil
		stored := tlog.StoredHashCount(size)
		for _, r := range []struct{ leaf, hash, checkpoint [2]int64 }{
			{[2]int64{math.MinInt64, -1}, [2]int64{math.MinInt64, -1}, [2]int64{math.MinInt64, 0}},
			{[2]int64{size, s.size.Leaves - 1}, [2]int64{stored, s.size.Hashes - 1}, [2]int64{size + 1, s.last}},
		} {
			leaves, err := readLeaves(ctx, tx, r.leaf[0], r.leaf[1])
			if err != nil {
				return err
			}
			hashes, err := readHashRows(ctx, tx, r.hash[0], r.hash[1])
			if err != nil {
				return err
			}
			checkpoints, err := readCheckpoints(ctx, tx, r.checkpoint[0], r.checkpoint[1])
			if err != nil {
				return err
			}
			entries = append(entries, merge(leaves, hashes, checkpoints)...)
		}
		return nil
	})
	return entries, err
}

const eventColumns = "e.id, e.at, e.kind, e.actor, e.purpose, e.subjects::text[], e.canonical"

func readLeaves(ctx context.Context, tx *database.Tx, first, last int64) ([]LeafRow, error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT l.index, l.event_id, `+eventColumns+`
		FROM audit_leaf l LEFT JOIN audit_event e ON e.tenant_id = l.tenant_id AND e.id = l.event_id
		WHERE l.tenant_id = $1 AND l.index BETWEEN $2 AND $3 ORDER BY l.index LIMIT $4`, tx.Tenant, first, last, chunk)
	if err != nil {
		return nil, fmt.Errorf("read leaves from %d: %w", first, err)
	}
	defer rows.Close()
	var leaves []LeafRow
	for rows.Next() {
		var l LeafRow
		var e eventScan
		if err := rows.Scan(append([]any{&l.Index, &l.EventID}, e.targets()...)...); err != nil {
			return nil, fmt.Errorf("read leaves from %d: %w", first, err)
		}
		l.Event = e.row()
		leaves = append(leaves, l)
	}
	return leaves, rows.Err()
}

func readHashRows(ctx context.Context, tx *database.Tx, first, last int64) (hashes []HashRow, err error) {
	err = tx.SelectContext(ctx, &hashes, `
		SELECT index, hash FROM audit_hash
		WHERE tenant_id = $1 AND index BETWEEN $2 AND $3 ORDER BY index LIMIT $4`, tx.Tenant, first, last, 3*chunk)
	if err != nil {
		return nil, fmt.Errorf("read tree hashes from %d: %w", first, err)
	}
	return hashes, nil
}

func readCheckpoints(ctx context.Context, tx *database.Tx, first, last int64) (checkpoints []CheckpointRow, err error) {
	err = tx.SelectContext(ctx, &checkpoints, `
		SELECT size, note FROM audit_checkpoint
		WHERE tenant_id = $1 AND size BETWEEN $2 AND $3 ORDER BY size LIMIT $4`, tx.Tenant, first, last, chunk)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints from %d: %w", first, err)
	}
	return checkpoints, nil
}

// loose reads events without a leaf, and pending rows that should not be, of the next thousand events after an id. next is where to
// go on; zero: that was all.
func (s *Store) loose(ctx context.Context, after uuid.UUID) (entries []Entry, next uuid.UUID, err error) {
	err = s.db.ReadTenant(ctx, s.tenant, func(ctx context.Context, tx *database.Tx) error {
		entries, next = nil, uuid.Nil
		err := tx.GetContext(ctx, &next, "SELECT id FROM audit_event WHERE tenant_id = $1 AND id > $2 ORDER BY id OFFSET $3 LIMIT 1", tx.Tenant, after[:], chunk)
		until := next
		if errors.Is(err, sql.ErrNoRows) {
			err, until = nil, uuid.Max
		}
		if err != nil {
			return fmt.Errorf("read events that are in no tree: %w", err)
		}
		rows, err := tx.QueryContext(ctx, `
			SELECT e.id, p.hash, false, `+eventColumns+`
			FROM audit_event e LEFT JOIN audit_pending p ON p.tenant_id = e.tenant_id AND p.event_id = e.id
			WHERE e.tenant_id = $1 AND e.id > $2 AND e.id <= $3
			  AND NOT EXISTS (SELECT FROM audit_leaf l WHERE l.tenant_id = e.tenant_id AND l.event_id = e.id)
			UNION ALL
			SELECT p.event_id, p.hash, l.event_id IS NOT NULL, null, null, null, null, null, null, null
			FROM audit_pending p
			LEFT JOIN audit_leaf l ON l.tenant_id = p.tenant_id AND l.event_id = p.event_id
			WHERE p.tenant_id = $1 AND p.event_id > $2 AND p.event_id <= $3
			  AND (l.event_id IS NOT NULL OR NOT EXISTS (SELECT FROM audit_event e WHERE e.tenant_id = p.tenant_id AND e.id = p.event_id))`, tx.Tenant, after[:], until[:])
		if err != nil {
			return fmt.Errorf("read events that are in no tree: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var l LooseRow
			var e eventScan
			if err := rows.Scan(append([]any{&l.EventID, &l.Pending, &l.Sequenced}, e.targets()...)...); err != nil {
				return fmt.Errorf("read events that are in no tree: %w", err)
			}
			l.Event = e.row()
			entries = append(entries, Entry{Loose: &l})
		}
		return rows.Err()
	})
	slices.SortFunc(entries, func(a, b Entry) int { return bytes.Compare(a.Loose.EventID[:], b.Loose.EventID[:]) })
	return entries, next, err
}

// eventScan takes the columns of an audit_event that may not exist.
type eventScan struct {
	id                   uuid.NullUUID
	at                   timeScan
	kind, actor, purpose *string
	subjects             subjectScan
	canonical            []byte
}

func (e *eventScan) targets() []any {
	return []any{&e.id, &e.at, &e.kind, &e.actor, &e.purpose, &e.subjects, &e.canonical}
}

func (e *eventScan) row() *EventRow {
	if !e.id.Valid {
		return nil
	}
	row := &EventRow{ID: e.id.UUID, At: e.at.time, Kind: *e.kind, Actor: *e.actor, Purpose: *e.purpose, Subjects: e.subjects.ids, Canonical: e.canonical}
	if e.subjects.bad {
		row.Unreadable = "subjects"
	}
	if e.at.bad {
		row.Unreadable = "at"
	}
	return row
}

// subjectScan reads a uuid[] and keeps going when it is none that the hub would write.
type subjectScan struct {
	ids []uuid.UUID
	bad bool
}

// Scan implements sql.Scanner.
func (s *subjectScan) Scan(value any) error {
	var texts pq.StringArray
	s.bad = texts.Scan(value) != nil
	for _, text := range texts {
		id, err := uuid.Parse(text)
		if err != nil {
			s.bad = true
			continue
		}
		s.ids = append(s.ids, id)
	}
	return nil
}

// timeScan reads a timestamptz, which may be infinite.
type timeScan struct {
	time time.Time
	bad  bool
}

// Scan implements sql.Scanner.
func (s *timeScan) Scan(value any) error {
	t, ok := value.(time.Time)
	if s.bad = !ok || t.Year() < 1 || t.Year() > 9999; !s.bad { // JSON has no other years
		s.time = t.UTC()
	}
	return nil
}
