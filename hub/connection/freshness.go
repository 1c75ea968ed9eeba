package connection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

// Freshness is how new what the hub knows of one stream is.
type Freshness struct {
	Stream    string     `db:"stream" json:"stream"`
	ReadAt    *time.Time `db:"read_at" json:"read_at,omitempty"`       // when a run last came to its end; nil: none has
	PushedAt  *time.Time `db:"pushed_at" json:"pushed_at,omitempty"`   // when a delivery was last taken
	ChangedAt *time.Time `db:"changed_at" json:"changed_at,omitempty"` // when anything of it last changed
	LateSince *time.Time `db:"late_since" json:"late_since,omitempty"` // nil: it is not late
}

// Fresh is when the hub last knew all of the stream that its source had to say; zero: never.
func (f Freshness) Fresh() (at time.Time) {
	for _, t := range []*time.Time{f.ReadAt, f.PushedAt} {
		if t != nil && t.After(at) {
			at = *t
		}
	}
	return at
}

// FreshnessOf gives, by connection, the freshness of each stream that its mapping reads, in the order of reading.
func FreshnessOf(ctx context.Context, tx *database.Tx, connections []uuid.UUID) (map[uuid.UUID][]Freshness, error) {
	var rows []struct {
		Connection uuid.UUID `db:"connection_id"`
		Freshness
	}
	err := tx.SelectContext(ctx, &rows, `
SELECT c.id AS connection_id, s.value->>'name' AS stream, f.read_at, f.pushed_at, f.changed_at, f.late_since
FROM connection c
JOIN connection_mapping m ON m.tenant_id = $1 AND m.connection_id = c.id AND m.version = c.mapping
CROSS JOIN LATERAL jsonb_array_elements(m.streams) WITH ORDINALITY AS s(value, position)
LEFT JOIN connection_freshness f ON f.tenant_id = $1 AND f.connection_id = c.id AND f.stream = s.value->>'name'
WHERE c.tenant_id = $1 AND c.id = ANY($2) ORDER BY c.id, s.position`, tx.Tenant, database.UUIDs(connections))
	if err != nil {
		return nil, fmt.Errorf("connection: freshness: %w", err)
	}
	list := make(map[uuid.UUID][]Freshness, len(connections))
	for _, r := range rows {
		list[r.Connection] = append(list[r.Connection], r.Freshness)
	}
	return list, nil
}

// Late is a stream that is late, and of which nobody was told yet.
type Late struct {
	Connection Connection
	Stream     string
	Since      time.Time // since when it is older than Connection.LateAfter allows
	Fresh      time.Time // when it was last read to its end or pushed; zero: never
}

// maxTold bounds how often it is tried to tell that a stream is late.
const maxTold = 10

// MarkLate finds the streams that are late at now and gives those of which somebody is to be told. They count as told: only one caller gets each, and gives it
// back with Untold if it told nobody. A stream is late when it was neither read to its end nor pushed for longer than its connection's LateAfter; that
// of a paused connection is not. A run or a push ends it.
func MarkLate(ctx context.Context, tx *database.Tx, now time.Time) ([]Late, error) {
	all, err := List(ctx, tx)
	if err != nil {
		return nil, err
	}
	watched := map[uuid.UUID]Connection{}
	var ids []uuid.UUID
	for _, c := range all {
		if c.LateAfter > 0 && c.State == Active {
			watched[c.ID], ids = c, append(ids, c.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	fresh, err := FreshnessOf(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	var list []Late
	for _, id := range ids {
		for _, f := range fresh[id] {
			late := Late{Connection: watched[id], Stream: f.Stream, Fresh: f.Fresh()}
			since := late.Fresh
			if since.Before(late.Connection.CreatedAt) {
				since = late.Connection.CreatedAt
			}
			if late.Since = since.Add(late.Connection.LateAfter); !late.Since.Before(now) {
				continue
			}
			tell, err := markLate(ctx, tx, late, now)
			if err != nil {
				return nil, err
			}
			if tell {
				list = append(list, late)
			}
		}
	}
	return list, nil
}

func markLate(ctx context.Context, tx *database.Tx, l Late, now time.Time) (tell bool, err error) {
	result, err := tx.ExecContext(ctx, `
INSERT INTO connection_freshness AS f (tenant_id, connection_id, stream, late_since, told_at, told_tries) VALUES ($1, $2, $3, $4, $5, 1)
ON CONFLICT (tenant_id, connection_id, stream) DO UPDATE SET late_since = excluded.late_since, told_at = excluded.told_at, told_tries = f.told_tries + 1
WHERE f.told_at IS NULL AND f.told_tries < $6`, tx.Tenant, l.Connection.ID, l.Stream, l.Since, now, maxTold)
	if err != nil {
		return false, fmt.Errorf("connection: mark late: %w", err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// Untold says that nobody could be told of a late stream: MarkLate gives it again, a limited number of times.
func Untold(ctx context.Context, tx *database.Tx, l Late) error {
	_, err := tx.ExecContext(ctx, `UPDATE connection_freshness SET told_at = NULL WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND late_since = $4`,
		tx.Tenant, l.Connection.ID, l.Stream, l.Since)
	if err != nil {
		return fmt.Errorf("connection: tell again: %w", err)
	}
	return nil
}

// parseLateAfter reads late_after, as a schedule is read; "" is never.
func parseLateAfter(text string) (time.Duration, error) {
	if text == "manual" {
		return 0, errors.New("must be an interval such as 2h or 1d")
	}
	return parseSchedule(text)
}
