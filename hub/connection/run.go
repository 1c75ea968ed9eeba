package connection

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

var (
	// ErrRunning: the connection is being read by another run.
	ErrRunning = errors.New("connection: a sync of this connection is running")
	// ErrPaused: the connection is paused.
	ErrPaused = errors.New("connection: the connection is paused")
	// ErrUnknownRun: no such run, or it was purged.
	ErrUnknownRun = errors.New("connection: no such sync run")
)

// RunState says how a run stands.
type RunState string

const (
	Running   RunState = "running"
	Succeeded RunState = "succeeded"
	Failed    RunState = "failed"
	Cancelled RunState = "cancelled"
)

// RunKind says what a run does.
type RunKind string

const (
	Sync   RunKind = "sync"   // reads the source
	Replay RunKind = "replay" // maps dead letters again
)

// Run is one sync of a connection, or one replay of its dead letters.
type Run struct {
	ID         uuid.UUID  `db:"id" json:"id"`
	Connection uuid.UUID  `db:"connection_id" json:"connection"`
	Kind       RunKind    `db:"kind" json:"kind"` // "" in Begin: Sync
	Full       bool       `db:"full_read" json:"full"`
	StartedBy  string     `db:"started_by" json:"started_by"` // credential id, or "schedule"
	State      RunState   `db:"state" json:"state"`
	Class      string     `db:"class" json:"class,omitempty"` // of the failure: sdk.Class, or lost, internal
	Error      string     `db:"error" json:"error,omitempty"` // what failed and what to do, or, while it runs, what it waits for; no value of a record
	StartedAt  time.Time  `db:"started_at" json:"started_at"`
	EndedAt    *time.Time `db:"ended_at" json:"ended_at,omitempty"`

	Streams []Progress `db:"-" json:"streams"` // in the order of reading
	Total   Progress   `db:"-" json:"total"`   // sum of the counts; Done and Total are zero: streams count in different units
}

// Progress counts what became of a stream's records in a run; given to AddProgress, of a page's.
type Progress struct {
	Stream     string `db:"stream" json:"stream,omitempty"`
	Records    int64  `db:"records" json:"records"`       // received
	Unchanged  int64  `db:"unchanged" json:"unchanged"`   // stored before, the same
	Changed    int64  `db:"-" json:"-"`                   // of a page only: new, changed or gone, so that what looks them up must be mapped again
	Statements int64  `db:"statements" json:"statements"` // stored, voidings included
	Voided     int64  `db:"voided" json:"voided"`
	Skipped    int64  `db:"skipped" json:"skipped"`       // the mapping makes no statement of them
	Dead       int64  `db:"dead" json:"dead"`             // dead letters
	Done       int64  `db:"done" json:"done,omitempty"`   // of Total, in the connector's units
	Total      int64  `db:"total" json:"total,omitempty"` // 0: unknown
	Ended      bool   `db:"ended" json:"ended"`
}

func (p *Progress) add(q Progress) {
	p.Records += q.Records
	p.Unchanged += q.Unchanged
	p.Statements += q.Statements
	p.Voided += q.Voided
	p.Skipped += q.Skipped
	p.Dead += q.Dead
}

// Startable gives ErrPaused when the connection is paused.
func (c Connection) Startable() error {
	if c.State == Paused {
		return fmt.Errorf("%w: resume it first (lrshub connection resume %s)", ErrPaused, c.Name)
	}
	return nil
}

// Begin makes a run and gives it the lease until then. Asked again with the same run id it takes up that run. Errors: ErrUnknown,
// ErrPaused, ErrRunning (the lease is another run's), ErrLeaseLost (this run was ended in the meantime).
// A run whose lease ran out is ended as failed, class lost.
func Begin(ctx context.Context, tx *database.Tx, run Run, until time.Time) error {
	c, err := lock(ctx, tx, run.Connection)
	if err != nil {
		return err
	}
	if err := c.Startable(); err != nil {
		return err
	}
	var state RunState
	err = tx.GetContext(ctx, &state, `SELECT state FROM sync_run WHERE tenant_id = $1 AND id = $2`, tx.Tenant, run.ID)
	known := err == nil
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("connection: begin run: %w", err)
	}
	if known && state != Running {
		return ErrLeaseLost
	}
	holder, err := takeLease(ctx, tx, run.Connection, run.ID, run.StartedAt, until)
	if err != nil {
		return err
	}
	if holder != run.ID {
		return fmt.Errorf("%w (run %s): wait for it, or cancel it", ErrRunning, holder)
	}
	if known {
		return nil
	}
	lost := Outcome{State: Failed, Class: "lost", Error: "its worker gave no sign of life until its lease ran out; the next run goes on where it ended"}
	if err := endRunning(ctx, tx, c, run.ID, lost, run.StartedAt); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO sync_run (tenant_id, id, connection_id, kind, full_read, started_by, started_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		tx.Tenant, run.ID, run.Connection, string(cmp.Or(run.Kind, Sync)), run.Full, run.StartedBy, run.StartedAt)
	if err != nil {
		return fmt.Errorf("connection: begin run: %w", err)
	}
	return audit.Record(ctx, tx, run.StartedAt, audit.Event{Kind: audit.SyncStarted, Actor: run.StartedBy, Purpose: c.Purpose, Fields: map[string]any{
		"connection": run.Connection, "run": run.ID, "kind": string(cmp.Or(run.Kind, Sync)), "full": run.Full, "mapping": c.Mapping,
	}})
}

// endRunning ends the runs of a connection that were never ended, but for one.
func endRunning(ctx context.Context, tx *database.Tx, c Connection, but uuid.UUID, o Outcome, now time.Time) error {
	var open []uuid.UUID
	err := tx.SelectContext(ctx, &open, `SELECT id FROM sync_run WHERE tenant_id = $1 AND connection_id = $2 AND state = 'running' AND id <> $3`, tx.Tenant, c.ID, but)
	if err != nil {
		return fmt.Errorf("connection: find runs: %w", err)
	}
	for _, id := range open {
		if err := End(ctx, tx, id, o, now); err != nil {
			return err
		}
	}
	return nil
}

// Outcome is how a run ended.
type Outcome struct {
	State RunState
	Class string // of a failure: sdk.Class, or lost, internal
	Error string // what failed and what to do; no value of a record
}

// End ends a run and releases its lease. A run that ended before stays as it is.
func End(ctx context.Context, tx *database.Tx, run uuid.UUID, o Outcome, now time.Time) error {
	var ended struct {
		Connection uuid.UUID `db:"connection_id"`
		StartedBy  string    `db:"started_by"`
		Purpose    string    `db:"purpose"`
	}
	err := tx.GetContext(ctx, &ended, `
UPDATE sync_run r SET state = $3, class = $4, error = $5, ended_at = $6 FROM connection c
WHERE r.tenant_id = $1 AND r.id = $2 AND r.state = 'running' AND c.tenant_id = $1 AND c.id = r.connection_id
RETURNING r.connection_id, r.started_by, c.purpose`, tx.Tenant, run, string(o.State), o.Class, o.Error, now)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("connection: end run: %w", err)
	}
	if err := ReleaseLease(ctx, tx, ended.Connection, run); err != nil {
		return err
	}
	list, err := progressOf(ctx, tx, []uuid.UUID{run})
	if err != nil {
		return err
	}
	var sum Progress
	for _, p := range list[run] {
		sum.add(p)
	}
	fields := map[string]any{"connection": ended.Connection, "run": run, "stored": sum.Statements, "dead": sum.Dead, "outcome": string(o.State)}
	if o.Class != "" {
		fields["class"] = o.Class
	}
	return audit.Record(ctx, tx, now, audit.Event{Kind: audit.SyncEnded, Actor: ended.StartedBy, Purpose: ended.Purpose, Fields: fields})
}

// NoteTrouble says why a running run does not get on for now; class "" says that it does again.
func NoteTrouble(ctx context.Context, tx *database.Tx, run uuid.UUID, class, text string) error {
	_, err := tx.ExecContext(ctx, `UPDATE sync_run SET class = $3, error = $4 WHERE tenant_id = $1 AND id = $2 AND state = 'running' AND (class, error) <> ($3, $4)`,
		tx.Tenant, run, class, text)
	if err != nil {
		return fmt.Errorf("connection: note trouble: %w", err)
	}
	return nil
}

// AddProgress counts a page into its run. It belongs into the transaction that stores the page. Done and Total replace what stood there. A page
// that changed anything makes the snapshots that look this stream up start anew (StartStream).
func AddProgress(ctx context.Context, tx *database.Tx, run uuid.UUID, p Progress) error {
	_, err := tx.ExecContext(ctx, `
INSERT INTO sync_run_stream AS s (tenant_id, run_id, stream, records, unchanged, statements, voided, skipped, dead, done, total, started_at, position)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now(), (SELECT count(*) FROM sync_run_stream WHERE tenant_id = $1 AND run_id = $2))
ON CONFLICT (tenant_id, run_id, stream) DO UPDATE SET records = s.records + excluded.records, unchanged = s.unchanged + excluded.unchanged,
    statements = s.statements + excluded.statements, voided = s.voided + excluded.voided, skipped = s.skipped + excluded.skipped,
    dead = s.dead + excluded.dead, done = greatest(s.done, excluded.done), total = greatest(s.total, excluded.total)`,
		tx.Tenant, run, p.Stream, p.Records, p.Unchanged, p.Statements, p.Voided, p.Skipped, p.Dead, p.Done, p.Total)
	if err != nil {
		return fmt.Errorf("connection: add progress: %w", err)
	}
	if p.Changed == 0 && p.Statements == 0 && p.Records == p.Unchanged+p.Dead {
		return nil
	}
	_, err = tx.ExecContext(ctx, `
WITH fresh AS (
    INSERT INTO connection_freshness (tenant_id, connection_id, stream, changed_at)
    SELECT $1, r.connection_id, $3, now() FROM sync_run r WHERE r.tenant_id = $1 AND r.id = $2
    ON CONFLICT (tenant_id, connection_id, stream) DO UPDATE SET changed_at = excluded.changed_at
)
UPDATE connection_cursor c SET changes = changes + 1 FROM sync_run r
WHERE r.tenant_id = $1 AND r.id = $2 AND c.tenant_id = $1 AND c.connection_id = r.connection_id AND c.stream = $3`, tx.Tenant, run, p.Stream)
	if err != nil {
		return fmt.Errorf("connection: count changes: %w", err)
	}
	return nil
}

// progressOf gives the progress of runs, by run.
func progressOf(ctx context.Context, tx *database.Tx, runs []uuid.UUID) (map[uuid.UUID][]Progress, error) {
	var rows []struct {
		Run uuid.UUID `db:"run_id"`
		Progress
	}
	err := tx.SelectContext(ctx, &rows, `
SELECT run_id, stream, records, unchanged, statements, voided, skipped, dead, done, total, ended_at IS NOT NULL AS ended
FROM sync_run_stream WHERE tenant_id = $1 AND run_id = ANY($2) ORDER BY run_id, position, stream`, tx.Tenant, database.UUIDs(runs))
	if err != nil {
		return nil, fmt.Errorf("connection: read progress: %w", err)
	}
	list := make(map[uuid.UUID][]Progress, len(runs))
	for _, r := range rows {
		list[r.Run] = append(list[r.Run], r.Progress)
	}
	return list, nil
}

const readRun = `SELECT id, connection_id, kind, full_read, started_by, state, class, error, started_at, ended_at FROM sync_run WHERE tenant_id = $1 `

// GetRun gives a run and its progress, or ErrUnknownRun.
func GetRun(ctx context.Context, tx *database.Tx, id uuid.UUID) (Run, error) {
	list, err := runs(ctx, tx, readRun+"AND id = $2", id)
	if err != nil {
		return Run{}, err
	}
	if len(list) == 0 {
		return Run{}, ErrUnknownRun
	}
	return list[0], nil
}

// History gives up to limit runs of a connection that started before an instant (zero: now), newest first. The first of them is its status.
func History(ctx context.Context, tx *database.Tx, connection uuid.UUID, before time.Time, limit int) ([]Run, error) {
	if before.IsZero() {
		return runs(ctx, tx, readRun+"AND connection_id = $2 ORDER BY started_at DESC, id LIMIT $3", connection, limit)
	}
	return runs(ctx, tx, readRun+"AND connection_id = $2 AND started_at < $4 ORDER BY started_at DESC, id LIMIT $3", connection, limit, before)
}

func runs(ctx context.Context, tx *database.Tx, query string, args ...any) ([]Run, error) {
	list := []Run{}
	if err := tx.SelectContext(ctx, &list, query, append([]any{tx.Tenant}, args...)...); err != nil {
		return nil, fmt.Errorf("connection: read runs: %w", err)
	}
	ids := make([]uuid.UUID, len(list))
	for i, r := range list {
		ids[i] = r.ID
	}
	progress, err := progressOf(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	for i := range list {
		r := &list[i]
		r.Streams = slices.Clip(append([]Progress{}, progress[r.ID]...))
		for _, p := range r.Streams {
			r.Total.add(p)
		}
	}
	return list, nil
}

// PurgeRuns deletes runs that ended before an instant; the newest of each connection stays. It gives how many.
func PurgeRuns(ctx context.Context, tx *database.Tx, before time.Time) (int64, error) {
	result, err := tx.ExecContext(ctx, `
WITH old AS (
    SELECT r.id FROM sync_run r WHERE r.tenant_id = $1 AND r.ended_at < $2
        AND EXISTS (SELECT 1 FROM sync_run n WHERE n.tenant_id = $1 AND n.connection_id = r.connection_id AND n.started_at > r.started_at)
), streams AS (
    DELETE FROM sync_run_stream s USING old WHERE s.tenant_id = $1 AND s.run_id = old.id
)
DELETE FROM sync_run r USING old WHERE r.tenant_id = $1 AND r.id = old.id`, tx.Tenant, before)
	if err != nil {
		return 0, fmt.Errorf("connection: purge runs: %w", err)
	}
	return result.RowsAffected()
}
