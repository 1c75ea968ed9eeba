package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

// Filter chooses events. A zero member does not restrict.
type Filter struct {
	Kind    string
	Actor   string
	Purpose string
	Subject uuid.UUID // events that show or change this subject: "who looked at me"
	Since   time.Time // [Since, Until)
	Until   time.Time
	After   uuid.UUID // events older than this one: the last of the page before
	Limit   int       // default and at most 1000
}

// Listed is an event as a list shows it.
type Listed struct {
	Written
	Index int64 `json:"index"` // of its leaf; -1: it waits for the sequencer
}

const (
	listAll = `
		SELECT e.canonical, coalesce(l.index, -1)
		FROM audit_event e LEFT JOIN audit_leaf l ON l.tenant_id = e.tenant_id AND l.event_id = e.id` + listWhere
	listOfSubject = `
		SELECT e.canonical, coalesce(l.index, -1)
		FROM audit_events_of($10) AS shown JOIN audit_event e ON e.tenant_id = $1 AND e.id = shown
		LEFT JOIN audit_leaf l ON l.tenant_id = e.tenant_id AND l.event_id = e.id` + listWhere
	listWhere = `
		WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3 AND e.at >= $4 AND e.at < $5
		  AND ($6 = '' OR e.kind = $6) AND ($7 = '' OR e.actor = $7) AND ($8 = '' OR e.purpose = $8)
		ORDER BY e.id DESC LIMIT $9`
)

// List returns events, newest first.
func List(ctx context.Context, tx *database.Tx, f Filter) ([]Listed, error) {
	if f.Limit <= 0 || f.Limit > chunk {
		f.Limit = chunk
	}
	lowest, below := uuid.Nil, uuid.Max
	if !f.Since.IsZero() {
		lowest = idFloor(f.Since)
	}
	until := f.Until
	if until.IsZero() {
		until = farFuture
	} else {
		below = idFloor(until.Add(time.Millisecond)) // ids are a little coarser than at
	}
	if f.After != uuid.Nil && f.After.String() < below.String() {
		below = f.After
	}
	query, args := listAll, []any{tx.Tenant, lowest[:], below[:], f.Since, until, f.Kind, f.Actor, f.Purpose, f.Limit}
	if f.Subject != uuid.Nil {
		query, args = listOfSubject, append(args, f.Subject[:])
		// A subject's events come in no order, so ReadTenant's page-wise plans do not fit.
		if _, err := tx.ExecContext(ctx, "SET LOCAL enable_sort = on; SET LOCAL enable_bitmapscan = on; SET LOCAL jit = off"); err != nil {
			return nil, fmt.Errorf("list audit events: %w", err)
		}
	}
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list audit events: %w", err)
	}
	defer rows.Close()
	var list []Listed
	for rows.Next() {
		var l Listed
		var canonical []byte
		if err := rows.Scan(&canonical, &l.Index); err != nil {
			return nil, fmt.Errorf("list audit events: %w", err)
		}
		if l.Written, err = Decode(canonical); err != nil {
			return nil, fmt.Errorf("list audit events: %w; run `lrshub audit verify`", err)
		}
		list = append(list, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list audit events: %w", err)
	}
	return list, nil
}

// farFuture is later than any event (see Event.Encode).
var farFuture = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
