package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/plugins/contract"
)

// Run is the sync run that a page belongs to.
type Run struct {
	Tenant         database.TenantID
	Connection     uuid.UUID
	ID             uuid.UUID
	Purpose        string
	Mapping        *mapping.Mapping
	MappingVersion int
	Stream         contract.Stream
	Generation     int64         // of the snapshot being read; 0 for an incremental stream
	Lease          time.Duration // how long a page may hold the connection, from now

	push *pushing // nil: a run that reads
}

// Counts says what became of a page's records. Records is their number; each is in one of Unchanged, Changed, Skipped and Dead.
type Counts struct {
	Records    int64 // received, unreadable ones included
	Unchanged  int64 // nothing new in the record or in what it gives
	Changed    int64 // gave statements, took some back, or is new to look up
	Skipped    int64 // the mapping makes no statement of it, deliberately
	Dead       int64 // dead letters
	Statements int64 // stored, voiding statements not counted
	Voided     int64 // voiding statements stored
}

// Page maps a page of records and stores, in one transaction: the statements that are new, voiding statements for those that
// the records no longer give, the records (pruned, sealed), dead letters, the cursor, the run's progress and an audit event. A page given twice
// stores nothing the second time. Errors: connection.ErrLeaseLost when another run holds the connection, connection.ErrOvertaken when another worker or a push was first: the page may be
// given again; whatever it is, nothing of the page is stored.
func (r *Road) Page(ctx context.Context, run Run, page contract.Page) (Counts, error) {
	if !page.SnapshotComplete || run.Stream.Deletes != contract.DeletesAbsence {
		return r.store(ctx, run, page)
	}
	// Its last records first, then what was not among its records, then the cursor that says so: a crash in between does the rest again.
	end := contract.Page{Cursor: page.Cursor, Done: page.Done, Total: page.Total, SnapshotComplete: true}
	page.Cursor, page.SnapshotComplete = nil, false
	counts, err := r.store(ctx, run, page)
	if err != nil {
		return Counts{}, err
	}
	if end.SnapshotComplete, err = r.sawAll(ctx, run); err != nil {
		return Counts{}, err
	}
	if end.SnapshotComplete {
		gone, err := r.absent(ctx, run)
		if err != nil {
			return Counts{}, err
		}
		counts.add(gone)
	}
	_, err = r.store(ctx, run, end)
	return counts, err
}

// sawAll tells whether all that a snapshot brought could be told apart. One that does not fit the schema, or was too large to be read, may be any of those that it seems to lack: none of them is taken back then.
func (r *Road) sawAll(ctx context.Context, run Run) (all bool, err error) {
	err = r.db.ReadTenant(ctx, run.Tenant, func(ctx context.Context, tx *database.Tx) error {
		some, err := connection.HasCode(ctx, tx, run.Connection, run.Stream.Name, run.Generation, contract.CodeUnfit, contract.CodeTooLarge)
		all = !some
		return err
	})
	return all, err
}

func (r *Road) store(ctx context.Context, run Run, page contract.Page) (Counts, error) {
	d, err := r.draft(ctx, run, page)
	if err != nil {
		return Counts{}, err
	}
	return r.commit(ctx, run, page, d)
}

// draft does all that can be done before the transaction that writes: it maps the records against what is known of them.
func (r *Road) draft(ctx context.Context, run Run, page contract.Page) (*drafts, error) {
	d, err := r.empty(ctx, run)
	if err != nil {
		return nil, err
	}
	d.collect(page)
	if len(d.list) == 0 {
		return d, nil
	}
	return d, r.fill(ctx, d)
}

// fill maps the drafts' records against what is known of them.
func (r *Road) fill(ctx context.Context, d *drafts) error {
	if d.run.Stream.Statements {
		return d.take()
	}
	err := r.db.ReadTenant(ctx, d.run.Tenant, func(ctx context.Context, tx *database.Tx) error {
		if err := d.recall(ctx, tx); err != nil {
			return err
		}
		if d.run.Mapping.Tells(d.run.Stream.Name) {
			var err error
			if d.linkOn, err = vault.LinksOn(ctx, tx, d.run.Connection); err != nil {
				return err
			}
		}
		return d.evaluate(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("map records of %s: %w", d.run.Stream.Name, err)
	}
	d.each(func(_ int, f *draft) { d.decide(f) })
	return nil
}

// empty makes drafts without records.
func (r *Road) empty(ctx context.Context, run Run) (*drafts, error) {
	t, err := r.vault.Tenant(run.Tenant)
	if err != nil {
		return nil, err
	}
	numbers, err := r.streams(ctx, run)
	if err != nil {
		return nil, err
	}
	return &drafts{road: r, run: run, tenant: t, stream: numbers[run.Stream.Name], number: numbers, byKey: map[string]*draft{}}, nil
}

// commit writes what was drafted.
func (r *Road) commit(ctx context.Context, run Run, page contract.Page, d *drafts) (Counts, error) {
	counts, err := r.writePage(ctx, run, page, d)
	if run.Stream.Statements && errors.Is(err, records.ErrConflict) {
		return r.apart(ctx, run, page, d)
	}
	return counts, err
}

func (r *Road) writePage(ctx context.Context, run Run, page contract.Page, d *drafts) (Counts, error) {
	list := d.statements()
	verbs, err := r.verbs(ctx, run.Tenant, list)
	if err != nil {
		return Counts{}, err
	}
	counts := d.counts(page)
	var b *batch
	var w written
	err = r.db.Tenant(ctx, run.Tenant, func(ctx context.Context, tx *database.Tx) error {
		purpose, err := people.FindPurpose(ctx, tx, run.Purpose)
		if err != nil {
			return err
		}
		b, err = r.seal(ctx, tx, origin{
			authority: r.Authority("connection", run.Connection), purpose: purpose.ID, connection: run.Connection,
			catalogue: run.Mapping.Catalogue, verbs: verbs, imported: run.Stream.Statements, contents: d.contents(),
		}, list, d.subjects())
		if err != nil {
			return err
		}
		if err := d.seal(b.subjects); err != nil {
			return err
		}
		position, err := records.Clock(ctx, tx, max(len(list), 1))
		if err != nil {
			return err
		}
		if err := r.hold(ctx, tx, run); err != nil {
			return err
		}
		if w, err = b.store(ctx, tx, position); err != nil {
			return err
		}
		if run.Stream.Statements {
			d.settleCounts(&counts, w.stored)
		}
		if err := d.save(ctx, tx, b); err != nil {
			return err
		}
		if err := d.progress(ctx, tx, page, counts); err != nil {
			return err
		}
		kind := audit.IngestPage
		if run.push != nil {
			kind = audit.IngestPush
		}
		return audit.Record(ctx, tx, r.now(), w.event(kind, run.ID.String(), run.Purpose, map[string]any{
			"connection": run.Connection, "records": counts.Records, "voided": counts.Voided, "dead": counts.Dead,
		}))
	})
	if !errors.Is(err, records.ErrConflict) {
		d.release(w.stored, err)
	}
	if err != nil {
		return Counts{}, fmt.Errorf("store a page of %s: %w", run.Stream.Name, err)
	}
	b.recalled.Remember()
	return counts, nil
}

// absentBatch bounds how many records that a source no longer has are taken back in one transaction.
const absentBatch = 1000

// absent takes back, in batches, what the source had before this snapshot and has no more.
func (r *Road) absent(ctx context.Context, run Run) (Counts, error) {
	var sum Counts
	for {
		d, err := r.empty(ctx, run)
		if err != nil {
			return sum, err
		}
		err = r.db.ReadTenant(ctx, run.Tenant, func(ctx context.Context, tx *database.Tx) error {
			return d.gone(ctx, tx, absentBatch)
		})
		if err != nil || len(d.list) == 0 {
			return sum, err
		}
		d.each(func(_ int, f *draft) { d.decide(f) })
		counts, err := r.commit(ctx, run, contract.Page{}, d)
		if err != nil {
			return sum, err
		}
		sum.add(counts)
	}
}

// parse reads a statement that the mapping made. The error's text may go into a dead letter: it holds no value.
func parse(json []byte) (*xapi.Statement, error) {
	st, err := xapi.Parse(json, xapi.V1)
	if err == nil {
		return st, nil
	}
	var invalid *xapi.Error
	if errors.As(err, &invalid) {
		return nil, fmt.Errorf("the mapping makes an invalid statement at %s: %s", invalid.Path, invalid.Reason)
	}
	return nil, err
}
