package records

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
)

// Feed asks for statements in the order in which they came to this store, whatever stored an imported one has.
type Feed struct {
	Policy   query.Node // over query.Statements: what the reader may see
	Filter   query.Node // over query.Statements
	Verb     string     // IRI; "": any
	Activity uuid.UUID  // key of the object; Nil: any
	After    int64      // position, exclusive; 0: from the start
	Limit    int        // rows
	Bytes    int        // as of Query
}

// newest gives the positions of the last statements that came after $2, native and imported, or 0. A statement before a settled one is settled itself: its
// transaction took its number earlier (see statement_clock in the migrations).
const newest = `
SELECT coalesce((SELECT s.seq FROM statement s WHERE s.tenant_id = $1 AND s.stored > $3::timestamptz AND NOT s.imported
    AND s.xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY s.stored DESC, s.seq DESC LIMIT 1), 0) AS native,
  coalesce((SELECT s.seq FROM statement s WHERE s.tenant_id = $1 AND s.seq > $2 AND s.imported
    AND s.xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY s.seq DESC LIMIT 1), 0) AS imported`

type horizon struct{ Native, Imported int64 }

func look(ctx context.Context, tx *database.Tx, after int64) (h horizon, err error) {
	if err = tx.GetContext(ctx, &h, newest, tx.Tenant, after, StoredAt(after)); err != nil {
		err = fmt.Errorf("records: look for what is new: %w", err)
	}
	return h, err
}

// Newer tells whether statements came after a position.
func Newer(ctx context.Context, tx *database.Tx, after int64) (bool, error) {
	h, err := look(ctx, tx, after)
	return h != horizon{}, err
}

// Newest gives the position from which a feed gives only what comes later. It looks an hour back, for statements of late; without any there, that hour's beginning will do.
func Newest(ctx context.Context, tx *database.Tx, now time.Time) (int64, error) {
	after := now.Add(-time.Hour).UnixMicro()
	h, err := look(ctx, tx, after)
	return max(after, h.Native, h.Imported), err
}

// Next reads the feed's next statements. through is the position up to which the feed has now been read, from which it goes on: nothing will ever come
// before it. It is After where there is nothing new.
func (f Feed) Next(ctx context.Context, tx *database.Tx) (rows []Row, through int64, more bool, err error) {
	if f.Limit < 1 {
		return nil, 0, false, errors.New("records: a feed needs a limit")
	}
	h, err := look(ctx, tx, f.After)
	if err != nil {
		return nil, 0, false, err
	}
	through = max(h.Native, h.Imported, f.After)
	if h.Native > 0 {
		rows, err = f.read(ctx, tx, rows, nativeRows, `s.stored, s.seq`, StoredAt(f.After), StoredAt(through))
	}
	if err == nil && h.Imported > 0 {
		rows, err = f.read(ctx, tx, rows, importedRows, `s.seq`, f.After, through)
	}
	if err != nil {
		return nil, 0, false, fmt.Errorf("records: read the feed: %w", err)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Seq, b.Seq) })
	q := Query{Limit: f.Limit, Bytes: f.Bytes}
	if rows, more = q.cut(rows); more {
		through = rows[len(rows)-1].Seq
	}
	return rows, through, more, nil
}

// The feed's two sources: of native statements the order of stored is that of their coming; imported ones have an index of their own.
const (
	nativeRows   = ` AND NOT s.imported AND s.stored > $3::timestamptz AND s.stored <= $4::timestamptz`
	importedRows = ` AND s.imported AND s.seq > $3 AND s.seq <= $4`
)

func (f Feed) read(ctx context.Context, tx *database.Tx, list []Row, where, order string, after, through any) ([]Row, error) {
	q := Query{Verb: f.Verb, Activity: f.Activity, Bytes: f.Bytes}
	var err error
	if q.numbers, err = lookUp(ctx, tx, f.Policy, f.Filter, query.Compare{Column: "verb", Op: query.Equal, Value: f.Verb}); err != nil {
		return nil, err
	}
	args := values{tx.Tenant, q.bytes(), after, through}
	policy, err := args.filter(q.numbers.in(f.Policy))
	if err != nil {
		return nil, err
	}
	own, err := args.filter(q.numbers.in(f.Filter))
	if err != nil {
		return nil, err
	}
	asked, err := q.asked(&args)
	if err != nil {
		return nil, err
	}
	return appendRows(ctx, tx, list, selectColumns+`SELECT s.* FROM statement s WHERE s.tenant_id = $1`+where+
		` AND s.xid < pg_snapshot_xmin(pg_current_snapshot())`+policy+own+asked+` ORDER BY `+order+` LIMIT `+args.add(f.Limit+1)+selectJoins, args)
}
