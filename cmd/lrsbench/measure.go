package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// task is a piece of work: it is given the number of the writer that does it, and gives how many rows it stored or read.
type task func(ctx context.Context, writer int) (rows int, err error)

// road is one way to store statements.
type road struct {
	name   string
	copies bool   // it is COPY: the fastest such road is the yardstick
	owner  string // URL of the database that it writes to
	// prepare makes a round's work beforehand, so that it is not measured.
	prepare func(ctx context.Context, round int) ([]task, error)
	// connector gives the processor time of the connector processes of the round just done; nil: there are none.
	connector func() time.Duration
	samples   []sample
}

// sample is what one round of one road took, a row.
type sample struct {
	wall, hub, connector, postgres time.Duration // the last two are 0 where they cannot be seen
	wal                            float64       // bytes
}

// measure lets the roads run in turns: a round that does not count, in which the hub's roads run twice so that COPY always has
// rows to copy, then the rounds, each beginning with another road.
func (o *common) measure(ctx context.Context, roads []*road) error {
	return o.profiled(func() error {
		for round := range o.rounds + 1 {
			for i := range roads {
				r := roads[i]
				if round > 0 {
					r = roads[(i+round)%len(roads)]
				}
				s, err := o.once(ctx, r, round)
				if err == nil && round == 0 && !r.copies {
					s, err = o.once(ctx, r, round)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
				if round > 0 {
					r.samples = append(r.samples, s)
				}
			}
		}
		return nil
	})
}

func (o *common) once(ctx context.Context, r *road, round int) (sample, error) {
	tasks, err := r.prepare(ctx, round)
	if err != nil {
		return sample{}, err
	}
	db, err := sql.Open("postgres", r.owner)
	if err != nil {
		return sample{}, err
	}
	defer db.Close()
	runtime.GC()
	before, err := look(ctx, db)
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	rows, err := o.work(ctx, tasks)
	if err == nil && rows == 0 {
		err = errors.New("nothing was stored")
	}
	if err != nil {
		return sample{}, err
	}
	wall := time.Since(start)
	after, err := look(ctx, db)
	if err != nil {
		return sample{}, err
	}
	n := time.Duration(rows)
	var connector time.Duration
	if r.connector != nil {
		connector = r.connector() / n
	}
	return sample{
		connector: connector,
		wall:      wall / n, hub: (after.hub - before.hub) / n, postgres: since(before.backends, after.backends) / n,
		wal: float64(after.wal-before.wal) / float64(rows),
	}, nil
}

// work has the writers do the tasks in order, and sums their rows.
func (o *common) work(ctx context.Context, tasks []task) (int, error) {
	group, ctx := errgroup.WithContext(ctx)
	var next, rows atomic.Int64
	for writer := range o.writers {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(tasks) {
					return nil
				}
				n, err := tasks[i](ctx, writer)
				if err != nil {
					return err
				}
				rows.Add(int64(n))
			}
		})
	}
	err := group.Wait()
	return int(rows.Load()), err
}

// state is what has been used up to an instant.
type state struct {
	hub      time.Duration
	backends map[int]time.Duration
	wal      int64
}

// look reads the processor time of this process and of the backends of a database, and the end of the write-ahead log.
func look(ctx context.Context, db *sql.DB) (state, error) {
	s := state{hub: ownCPU(), backends: map[int]time.Duration{}}
	if err := db.QueryRowContext(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&s.wal); err != nil {
		return s, err
	}
	rows, err := db.QueryContext(ctx, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			return s, err
		}
		s.backends[pid] = processCPU(pid)
	}
	return s, rows.Err()
}

// since sums what backends used; one that began meanwhile is counted from its beginning.
func since(before, after map[int]time.Duration) (sum time.Duration) {
	for pid, used := range after {
		sum += used - before[pid]
	}
	return sum
}

// yardstick gives the road by COPY that is fastest in the median.
func yardstick(roads []*road) *road {
	var best *road
	for _, r := range roads {
		if r.copies && (best == nil || r.wall() < best.wall()) {
			best = r
		}
	}
	return best
}

func (r *road) wall() time.Duration {
	return median(r.samples, func(s sample) time.Duration { return s.wall })
}

// ratios gives, for each round, how many rows the road stores while the yardstick stores one.
func (r *road) ratios(yardstick *road) []float64 {
	list := make([]float64, len(r.samples))
	for i := range list {
		list[i] = float64(yardstick.samples[i].wall) / float64(r.samples[i].wall)
	}
	return list
}

func median[S any, T time.Duration | float64](list []S, of func(S) T) T {
	values := make([]T, len(list))
	for i, s := range list {
		values[i] = of(s)
	}
	slices.Sort(values)
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}
