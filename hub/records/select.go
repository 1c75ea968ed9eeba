package records

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
)

// Query asks for statements in the order of stored. Zero values of xAPI's filters (Communication 2.1.3) ask for any.
type Query struct {
	Policy query.Node // over query.Statements: what the reader may see. It holds for each statement found, and for each target by which one is found
	Filter query.Node // over query.Statements: holds for each statement found itself, whatever it targets

	ID                uuid.UUID // one statement
	Agent             uuid.UUID // subject: actor or object, or member of such a group
	RelatedAgents     bool      // Agent in any place, the authority too
	Verb              string    // IRI
	Activity          uuid.UUID // key of the object
	RelatedActivities bool      // Activity in any place
	Registration      uuid.UUID

	// Lists: one of each must meet. They are asked of the statement itself; Targets is not for them.
	Verbs         []string    // IRIs
	Activities    []uuid.UUID // keys: of the object, or with RelatedActivities of any place
	Types         []string    // IRIs of the types of the object, which is an activity of the catalogue
	Registrations []uuid.UUID

	Targets bool // also StatementRefs of which a target, however far along the chain, meets all of the filters above, voided or not

	Since, Until time.Time // stored after, stored at or before
	After        Position  // exclusive; zero: from the start
	Ascending    bool      // oldest first; else newest first
	Limit        int       // rows
	Bytes        int       // no further row once the frames read are as large as this; 0: no bound
	Fresh        bool      // see transactions that may be overtaken by one still open: for reading by id, never for paging

	within  time.Time // no row that comes after this in the order asked for; zero: no bound
	numbers numbers   // of the verbs and purposes that the query names; nil: not looked up
	common  bool      // Types has more activities than are looked up one by one
}

// Position is a place in the order of stored.
type Position struct {
	Stored time.Time
	Seq    int64
}

// Row is a statement as read, with what is needed to open it.
type Row struct {
	Statement
	Epoch    int    // of Wrapped
	Wrapped  []byte // the actor's learning key; nil where it was destroyed
	Activity string // IRI of the object, if it is an activity of the catalogue
}

// Position is where the row stands.
func (r Row) Position() Position { return Position{Stored: r.Stored, Seq: r.Seq} }

// Select reads statements, and says whether there are more behind them. In pages it shows no statement whose transaction could still be overtaken by an
// older one: what a reader has paged past never changes by a late commit (see statement_clock in the migrations). What a statement targets counts as soon as it is
// committed: a reference may match only later than it was stored, when its target comes.
func Select(ctx context.Context, tx *database.Tx, q Query) (rows []Row, more bool, err error) {
	if q.Limit < 1 {
		return nil, false, errors.New("records: a query needs a limit")
	}
	if q.common, err = q.areCommon(ctx, tx); err != nil {
		return nil, false, fmt.Errorf("records: look for types: %w", err)
	}
	if q.numbers, err = q.lookUp(ctx, tx); err != nil {
		return nil, false, err
	}
	references, err := q.references(ctx, tx)
	if err != nil {
		return nil, false, fmt.Errorf("records: look for references: %w", err)
	}
	for _, from := range append(q.sources(), references...) {
		if rows, err = from.read(ctx, tx, q, rows); err != nil {
			return nil, false, fmt.Errorf("records: select statements: %w", err)
		}
		var cut bool
		if rows, cut = merge(rows, q); cut { // what comes after these is not on the page, wherever it comes from
			more, q.within = true, rows[len(rows)-1].Stored
		}
	}
	return rows, more, nil
}

// merge sorts rows of all sources, drops those that came twice, and keeps the limits.
func merge(rows []Row, q Query) (page []Row, more bool) {
	slices.SortStableFunc(rows, func(a, b Row) int {
		c := cmp.Or(a.Stored.Compare(b.Stored), cmp.Compare(a.Seq, b.Seq))
		if !q.Ascending {
			c = -c
		}
		return c
	})
	return q.cut(slices.CompactFunc(rows, func(a, b Row) bool { return a.ID == b.ID }))
}

// cut ends a page where its limits are, and says whether there is more. A source that had no room for a row's frame had given as many bytes before it, so
// the page ends before that row.
func (q Query) cut(rows []Row) (page []Row, more bool) {
	size := 0
	for i, r := range rows {
		if i == q.Limit || i > 0 && (size >= q.bytes() || r.Frame == nil) {
			return rows[:i], true
		}
		size += len(r.Frame)
	}
	return rows, false
}

func (q Query) bytes() int { return cmp.Or(q.Bytes, math.MaxInt) }

func scan(rows *sql.Rows) (Row, error) {
	var r Row
	var epoch sql.NullInt32
	var iri sql.NullString
	err := rows.Scan(&r.ID, &r.Seq, &r.Stored, &r.Timestamp, &r.Actor, &r.Authority, &r.Verb, &r.ObjectKind, &r.Object, &r.Registration,
		&r.Scaled, &r.Raw, &r.Min, &r.Max, &r.Success, &r.Completion, &r.Duration, &r.Version, &r.Purpose, &r.Connection, &r.Frame, &r.Digest,
		&epoch, &r.Wrapped, &iri)
	r.Stored, r.Timestamp = r.Stored.UTC(), r.Timestamp.UTC()
	r.Epoch, r.Activity = int(epoch.Int32), iri.String
	return r, err
}

// SealedAgent is an agent of a statement as read, with what is needed to open it.
type SealedAgent struct {
	Agent
	Epoch   int
	Wrapped []byte // the agent's learning key; nil where it was destroyed
}

// AgentsOf gives the agents that were cut out of statements, by statement, in the order of their slots.
func AgentsOf(ctx context.Context, tx *database.Tx, statements []uuid.UUID) (map[uuid.UUID][]SealedAgent, error) {
	rows, err := tx.QueryContext(ctx, `
SELECT n.id, o.slot, o.subject_id, o.role, o.direct, o.sealed, k.epoch, k.wrapped
FROM unnest($2::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT * FROM statement_agent WHERE tenant_id = $1 AND statement_id = n.id OFFSET 0) AS o
LEFT JOIN LATERAL (SELECT epoch, wrapped FROM subject_key WHERE tenant_id = $1 AND subject_id = o.subject_id AND class = 1 LIMIT 1) AS k ON true
ORDER BY n.id, o.slot`, tx.Tenant, database.UUIDs(statements))
	if err != nil {
		return nil, fmt.Errorf("records: select agents: %w", err)
	}
	defer rows.Close()
	agents := map[uuid.UUID][]SealedAgent{}
	for rows.Next() {
		var id uuid.UUID
		var a SealedAgent
		var epoch sql.NullInt32
		if err := rows.Scan(&id, &a.Slot, &a.Subject, &a.Role, &a.Direct, &a.Sealed, &epoch, &a.Wrapped); err != nil {
			return nil, err
		}
		a.Epoch = int(epoch.Int32)
		agents[id] = append(agents[id], a)
	}
	return agents, rows.Err()
}

// ConsistentThrough is the time up to which every statement that was or will be stored is visible to readers (xAPI
// Communication 2.1.3, X-Experience-API-Consistent-Through): now, unless a transaction is open that might have an earlier place.
func ConsistentThrough(ctx context.Context, tx *database.Tx) (time.Time, error) {
	var through time.Time
	err := tx.GetContext(ctx, &through, `
SELECT CASE WHEN pg_snapshot_xmin(pg_current_snapshot()) = pg_snapshot_xmax(pg_current_snapshot()) THEN transaction_timestamp()
ELSE coalesce((SELECT s.stored FROM statement s WHERE s.tenant_id = $1 AND s.xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY s.stored DESC LIMIT 1), 'epoch') END`, tx.Tenant)
	return through.UTC(), err
}
