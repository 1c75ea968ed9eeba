package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/records"
)

// Small deliveries on the same terms go by turns: one that finds none on its way goes at once; those that come meanwhile wait, and then the first of them takes the others
// with it, into one transaction. So the more come, the less each costs, and one that comes alone waits for nobody.

const (
	// maxTogether bounds the statements of one transaction.
	maxTogether = 256
	// maxInTurn bounds the deliveries that wait, of all terms; more are refused at once, like more work for Postgres (database.ErrBusy).
	maxInTurn = 512
	// turnPatience is how long a delivery waits for those before it, which may wait for locks of others; then it goes beside them.
	turnPatience = 20 * time.Millisecond
)

// turns are the deliveries that are on their way, and those that wait for them. Its zero value is ready.
type turns struct {
	mu      sync.Mutex
	of      map[terms]*queue
	waiting int // in all queues, and in groups that another leads
}

// queue is what is under way on the same terms.
type queue struct {
	running int // transactions that have not come to their commit
	waiting []*delivered
}

// waiting is the part of a delivery that its turn is about.
type waiting struct {
	turn chan struct{} // closed when it must lead
	done chan error    // what became of it where another led; with room for one
}

// inTurn stores a small delivery, whole or not at all. When ctx ends before that is known, its statements may be stored: they are in a transaction with those of others.
func (r *Road) inTurn(ctx context.Context, t terms, d *delivered) error {
	err := r.turns.await(ctx, t, d)
	if err == errLead {
		err = r.lead(ctx, t, d)
	}
	for attempt := 0; (errors.Is(err, errAlone) || errors.Is(err, records.ErrNotNew)) && attempt < 3; attempt++ { // what was not seen before is seen now
		err = r.together(ctx, t, []*delivered{d}, func() {})[0]
	}
	return err
}

// errLead: a delivery must lead those that go together.
var errLead = errors.New("ingest: a delivery must lead")

// errBroken: what led the group panicked.
var errBroken = errors.New("ingest: the transaction broke off")

// lead stores the delivery and those that wait behind it. Those are others' too, so that it does not end with ctx: each statement has its time in Postgres.
func (r *Road) lead(ctx context.Context, t terms, d *delivered) error {
	group := r.turns.take(t, d)
	errs := slices.Repeat([]error{errBroken}, len(group))
	giveOn := sync.OnceFunc(func() { r.turns.giveOn(t) })
	defer func() {
		giveOn()
		r.turns.answered(len(group) - 1)
		for i, other := range group[1:] {
			other.done <- errs[i+1]
		}
	}()
	errs = r.together(context.WithoutCancel(ctx), t, group, giveOn)
	return errs[0]
}

// await gives errLead when the delivery must lead, or what became of it.
func (q *turns) await(ctx context.Context, t terms, d *delivered) error {
	if err := q.enter(t, d); err != nil {
		return err
	}
	patience := time.NewTimer(turnPatience)
	defer patience.Stop()
	select {
	case err := <-d.done:
		return err
	case <-d.turn:
		return errLead
	case <-patience.C:
		if q.leave(t, d, true) {
			return errLead
		}
	case <-ctx.Done():
		if q.leave(t, d, false) {
			return ctx.Err()
		}
	}
	select { // whoever has the turn must lead: others wait for it
	case <-d.turn:
		return errLead
	default:
	}
	select {
	case err := <-d.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("whether the statements are stored is not known: %w", ctx.Err())
	}
}

// enter puts a delivery in the queue. errLead: none is on its way, so that it must lead.
func (q *turns) enter(t terms, d *delivered) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	line := q.of[t]
	if line == nil {
		if q.of == nil {
			q.of = map[terms]*queue{}
		}
		line = &queue{}
		q.of[t] = line
	}
	if line.running == 0 {
		line.running++
		return errLead
	}
	if q.waiting == maxInTurn {
		return database.ErrBusy
	}
	q.waiting++
	d.turn, d.done = make(chan struct{}), make(chan error, 1)
	line.waiting = append(line.waiting, d)
	return nil
}

// leave takes a delivery out of the queue, where it is still there; with lead, to go beside those that are on their way.
func (q *turns) leave(t terms, d *delivered, lead bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	line := q.of[t]
	if line == nil { // all that were in it have gone
		return false
	}
	i := slices.Index(line.waiting, d)
	if i < 0 {
		return false
	}
	line.waiting = slices.Delete(line.waiting, i, i+1)
	q.waiting--
	if lead {
		line.running++
	}
	return true
}

// take gives a delivery and those of the queue that can go with it: not too many, and no two with the same id, of which one may be refused.
func (q *turns) take(t terms, d *delivered) []*delivered {
	q.mu.Lock()
	defer q.mu.Unlock()
	line, group := q.of[t], []*delivered{d}
	if len(line.waiting) == 0 {
		return group
	}
	ids := map[uuid.UUID]bool{}
	note := func(d *delivered) {
		for _, in := range d.list {
			ids[in.ID] = true
		}
	}
	note(d)
	line.waiting = slices.DeleteFunc(line.waiting, func(other *delivered) bool {
		if len(ids)+len(other.list) > maxTogether || slices.ContainsFunc(other.list, func(in Incoming) bool { return ids[in.ID] }) {
			return false
		}
		note(other)
		group = append(group, other)
		return true
	})
	return group
}

// answered ends the waiting of those that were led.
func (q *turns) answered(others int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting -= others
}

// giveOn gives the turn on: a transaction that was led has written, and commits.
func (q *turns) giveOn(t terms) {
	q.mu.Lock()
	defer q.mu.Unlock()
	line := q.of[t]
	line.running--
	switch {
	case line.running > 0:
	case len(line.waiting) == 0:
		delete(q.of, t)
	default:
		next := line.waiting[0]
		line.waiting = slices.Delete(line.waiting, 0, 1)
		q.waiting--
		line.running++
		close(next.turn)
	}
}
