package records

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
)

// ErrTooMany: what is to be counted could not be counted in the time that a count has.
var ErrTooMany = errors.New("records: there are too many statements to count in time; narrow the query, by since and until for example")

// countTime bounds a count: it reads all that matches.
const countTime = `SET LOCAL statement_timeout = '10s'`

// Count says how many statements meet a query, whatever its limit: those that Select would show. ErrTooMany.
func Count(ctx context.Context, tx *database.Tx, q Query) (n int64, err error) {
	if q.Targets {
		return 0, errors.New("records: references are not counted by what they target")
	}
	if _, err := tx.ExecContext(ctx, countTime); err != nil {
		return 0, fmt.Errorf("records: count: %w", err)
	}
	if q.common, err = q.areCommon(ctx, tx); err != nil {
		return 0, fmt.Errorf("records: look for types: %w", err)
	}
	if q.numbers, err = q.lookUp(ctx, tx); err != nil {
		return 0, err
	}
	args := values{tx.Tenant}
	var parts []string
	for _, from := range q.sources() {
		text, err := from.ids(q, &args)
		if err != nil {
			return 0, err
		}
		parts = append(parts, text)
	}
	err = tx.GetContext(ctx, &n, `SELECT count(*) FROM (`+strings.Join(parts, ` UNION `)+`) c`, args...)
	return n, inTime(ctx, err)
}

// ids selects the ids of all statements of a source.
func (from source) ids(q Query, args *values) (string, error) {
	policy, err := args.filter(q.numbers.in(q.Policy))
	if err != nil {
		return "", err
	}
	own, err := args.filter(q.numbers.in(q.Filter))
	if err != nil {
		return "", err
	}
	asked, err := from.ask.asked(args)
	if err != nil {
		return "", err
	}
	where := from.where
	if from.key != uuid.Nil {
		where += args.add(from.key) + from.and
	}
	text := `SELECT s.id FROM ` + from.from + ` WHERE s.tenant_id = $1` + where + q.span(from.order+`.stored`, args) + policy + own + asked + from.once.before
	if from.each.keys != nil {
		text = `SELECT f.id FROM ` + from.each.table(args) + ` CROSS JOIN LATERAL (` + text + ` OFFSET 0) f`
	}
	return text, nil
}

func inTime(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && pq.As(err, "57014") != nil { // query_canceled: by the timeout
		return ErrTooMany
	}
	if err != nil {
		return fmt.Errorf("records: count: %w", err)
	}
	return nil
}

// Registered is a registration of a learner, and the statements that it has of the learner.
type Registered struct {
	Registration uuid.UUID `db:"registration"`
	Statements   int64     `db:"statements"`
	First        time.Time `db:"first"` // stored
	Last         time.Time `db:"last"`  // stored
}

// MaxRegistrations is how many registrations Registrations gives at most.
const MaxRegistrations = 1000

// Registrations lists the registrations of statements with an actor, those used last first. Policy and filter are over query.Statements. ErrTooMany.
func Registrations(ctx context.Context, tx *database.Tx, actor uuid.UUID, policy, filter query.Node) (list []Registered, err error) {
	args := values{tx.Tenant, actor}
	allowed, err := args.filter(policy)
	if err != nil {
		return nil, err
	}
	own, err := args.filter(filter)
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, countTime); err != nil {
		return nil, fmt.Errorf("records: list registrations: %w", err)
	}
	err = tx.SelectContext(ctx, &list, `
SELECT s.registration, count(*) AS statements, min(s.stored) AS first, max(s.stored) AS last
FROM statement s WHERE s.tenant_id = $1 AND s.actor = $2 AND s.registration IS NOT NULL AND s.xid < pg_snapshot_xmin(pg_current_snapshot())`+allowed+own+`
GROUP BY s.registration ORDER BY last DESC, s.registration LIMIT `+args.add(MaxRegistrations), args...)
	for i := range list {
		list[i].First, list[i].Last = list[i].First.UTC(), list[i].Last.UTC()
	}
	return list, inTime(ctx, err)
}
