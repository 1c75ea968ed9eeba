package records

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
)

// Query asks for statements in the order of stored.
type Query struct {
	Filter            query.Node // over query.Statements: the reader's parameters AND what policy allows
	Agent             uuid.UUID  // only statements with this subject as actor or object, or as member of such a group; Nil: any
	RelatedAgents     bool       // with Agent: in any place
	RelatedActivities uuid.UUID  // only statements with this activity (by key) in any place; Nil: any
	After             Position   // exclusive; zero: from the start
	Ascending         bool       // oldest first; else newest first
	Limit             int        // rows
	Fresh             bool       // see transactions that may be overtaken by one still open: for reading by id, never for paging
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

const selectColumns = `SELECT s.id, s.seq, s.stored, s."timestamp", s.actor, s.authority, s.verb, s.object_kind, s.object, s.registration,
    s.score_scaled, s.score_raw, s.score_min, s.score_max, s.success, s.completion, s.duration, s.version, s.purpose, s.connection_id, s.frame, s.digest,
    k.epoch, k.wrapped, a.iri
FROM `

const selectJoins = `
LEFT JOIN subject_key k ON k.tenant_id = s.tenant_id AND k.subject_id = s.actor AND k.class = 1
LEFT JOIN activity a ON a.tenant_id = s.tenant_id AND a.key = s.object AND s.object_kind = 1
WHERE s.tenant_id = $1`

// Where the rows come from. An agent's statements are read twice, as actor and as any other, each in the order of its own
// index, and merged: one query with OR would have to read all of the agent's statements before it could sort them. An agent that stands in several places
// of a statement gives it once, by the first of them: else a page's rows would run out before its statements do.
const (
	fromAll    = `statement s` + selectJoins
	fromActor  = `statement s` + selectJoins + ` AND s.actor = $2`
	fromDirect = `statement_agent o JOIN statement s ON s.tenant_id = o.tenant_id AND s.id = o.statement_id` + selectJoins +
		` AND o.tenant_id = $1 AND o.subject_id = $2 AND o.direct AND NOT EXISTS (SELECT FROM statement_agent p
    WHERE p.tenant_id = $1 AND p.statement_id = o.statement_id AND p.subject_id = $2 AND p.slot < o.slot AND p.direct)`
	fromRelated = `statement_agent o JOIN statement s ON s.tenant_id = o.tenant_id AND s.id = o.statement_id` + selectJoins +
		` AND o.tenant_id = $1 AND o.subject_id = $2 AND NOT EXISTS (SELECT FROM statement_agent p
    WHERE p.tenant_id = $1 AND p.statement_id = o.statement_id AND p.subject_id = $2 AND p.slot < o.slot)`
	whereActivity = ` AND (s.object = $3 OR EXISTS (SELECT FROM statement_activity u WHERE u.tenant_id = $1 AND u.statement_id = s.id AND u.key = $3))`
	whereSettled  = ` AND s.xid < pg_snapshot_xmin(pg_current_snapshot())`
)

// Select reads statements. In pages it shows no statement whose transaction could still be overtaken by an older one: what a reader has paged
// past never changes by a late commit (see statement_clock in the migrations).
func Select(ctx context.Context, tx *database.Tx, q Query) ([]Row, error) {
	if q.Agent == uuid.Nil {
		return selectFrom(ctx, tx, fromAll, q)
	}
	rows, err := selectFrom(ctx, tx, fromActor, q)
	if err != nil {
		return nil, err
	}
	other := fromDirect
	if q.RelatedAgents {
		other = fromRelated
	}
	more, err := selectFrom(ctx, tx, other, q)
	if err != nil {
		return nil, err
	}
	return merge(append(rows, more...), q), nil
}

// merge sorts rows of two sources, drops those that came twice, and keeps the limit.
func merge(rows []Row, q Query) []Row {
	slices.SortFunc(rows, func(a, b Row) int {
		c := a.Stored.Compare(b.Stored)
		if c == 0 {
			c = int(min(max(a.Seq-b.Seq, -1), 1))
		}
		if !q.Ascending {
			c = -c
		}
		return c
	})
	rows = slices.CompactFunc(rows, func(a, b Row) bool { return a.ID == b.ID })
	return rows[:min(len(rows), q.Limit)]
}

func selectFrom(ctx context.Context, tx *database.Tx, from string, q Query) ([]Row, error) {
	args := []any{tx.Tenant, nilOr(q.Agent), nilOr(q.RelatedActivities), q.Limit}
	text := selectColumns + from
	if from == fromAll {
		text += ` AND $2::uuid IS NULL`
	}
	if q.RelatedActivities != uuid.Nil {
		text += whereActivity
	} else {
		text += ` AND $3::uuid IS NULL`
	}
	if !q.Fresh {
		text += whereSettled
	}
	stored := `s.stored` // of the row in whose index the order is
	if from == fromDirect || from == fromRelated {
		stored = `o.stored`
	}
	if q.After != (Position{}) {
		args = append(args, q.After.Stored, q.After.Seq)
		if q.Ascending {
			text += ` AND ` + stored + ` >= $5 AND (s.stored, s.seq) > ($5::timestamptz, $6::bigint)`
		} else {
			text += ` AND ` + stored + ` <= $5 AND (s.stored, s.seq) < ($5::timestamptz, $6::bigint)`
		}
	}
	condition, values, err := query.SQL(q.Filter, query.Statements, len(args)+1)
	if err != nil {
		return nil, fmt.Errorf("records: filter: %w", err)
	}
	text += ` AND ` + condition
	if q.Ascending {
		text += ` ORDER BY ` + stored + `, s.seq LIMIT $4`
	} else {
		text += ` ORDER BY ` + stored + ` DESC, s.seq DESC LIMIT $4`
	}
	rows, err := tx.QueryContext(ctx, text, append(args, values...)...)
	if err != nil {
		return nil, fmt.Errorf("records: select statements: %w", err)
	}
	defer rows.Close()
	var list []Row
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("records: read a statement: %w", err)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

func nilOr(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id
}

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
