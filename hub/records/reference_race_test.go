package records_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// open is a transaction of tenant 1 in which statements were written, until it is told to commit.
type open struct {
	commit chan struct{}
	ended  chan error
}

// begin writes statements and comes back with the transaction open.
func begin(t *testing.T, db *database.DB, batch ...records.Statement) open {
	t.Helper()
	o, written := open{make(chan struct{}), make(chan error, 1)}, make(chan struct{})
	go func() {
		o.ended <- db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
			first, err := records.Clock(ctx, tx, len(batch))
			if err != nil {
				return err
			}
			for i := range batch {
				place(&batch[i], first+int64(i))
			}
			if _, err := records.Insert(ctx, tx, batch); err != nil {
				return err
			}
			close(written)
			<-o.commit
			return nil
		})
	}()
	select {
	case <-written:
	case err := <-o.ended:
		t.Fatalf("the transaction ended early: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the statements are not written within a minute")
	}
	return o
}

func (o open) end(t *testing.T) {
	t.Helper()
	close(o.commit)
	if err := <-o.ended; err != nil {
		t.Fatal(err)
	}
}

// step resolves once.
func step(t *testing.T, db *database.DB) {
	t.Helper()
	if _, err := records.Resolve(context.Background(), db, 1); err != nil {
		t.Fatal(err)
	}
}

// finds tells whether the target's agent finds the reference.
func finds(t *testing.T, db *database.DB, target, ref records.Statement, when string) {
	t.Helper()
	if !slices.Contains(ids(read(t, db, 1, records.Query{Agent: target.Actor, Targets: true})), ref.ID) {
		t.Errorf("%s: the reference is not found by its target's agent", when)
	}
}

const pendingRows = `SELECT count(*) FROM reference_pending WHERE tenant_id = 1`

// Neither of two transactions sees what the other writes; whichever commits first, and whatever resolvers do meanwhile, no match is lost.
func TestReferenceAndTargetInFlightTogether(t *testing.T) {
	for name, order := range map[string]func(t *testing.T, db *database.DB, ref, target records.Statement){
		"the target commits first": func(t *testing.T, db *database.DB, ref, target records.Statement) {
			r, w := begin(t, db, ref), begin(t, db, target)
			w.end(t)
			step(t, db)
			r.end(t)
		},
		"the reference commits first, and is looked at while the target is not there": func(t *testing.T, db *database.DB, ref, target records.Statement) {
			w, r := begin(t, db, target), begin(t, db, ref)
			r.end(t)
			for range 5 { // the target's transaction is older than what they note: they must not conclude that nobody is about to write it
				step(t, db)
			}
			w.end(t)
		},
		"the target begins after the reference, before it commits": func(t *testing.T, db *database.DB, ref, target records.Statement) {
			r := begin(t, db, ref)
			w := begin(t, db, target)
			r.end(t)
			for range 5 {
				step(t, db)
			}
			w.end(t)
		},
		"the target is written when the reference awaits it already": func(t *testing.T, db *database.DB, ref, target records.Statement) {
			write(t, db, ref)
			resolveAll(t, db)
			if n := count(t, db, `SELECT count(*) FROM reference_pending WHERE tenant_id = 1 AND state = 3`); n != 1 {
				t.Fatalf("%d references await their target, want 1", n)
			}
			w := begin(t, db, target)
			step(t, db)
			w.end(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := databasetest.New(t)
			target := statement(uuid.New())
			ref := reference(target.ID)
			order(t, db, ref, target)
			finds(t, db, target, ref, "at once")
			resolveAll(t, db)
			finds(t, db, target, ref, "resolved")
			if n := count(t, db, pendingRows); n != 0 {
				t.Errorf("%d references are pending after all, want 0", n)
			}
		})
	}
}

// Of a chain whose middle is in flight, the end is looked for anew: it was not known what to await when the middle was not there.
func TestChainWhoseMiddleAndEndComeLate(t *testing.T) {
	db := databasetest.New(t)
	end := statement(uuid.New())
	middle := reference(end.ID)
	ref := reference(middle.ID)
	m, r := begin(t, db, middle), begin(t, db, ref)
	r.end(t)
	step(t, db)
	m.end(t)
	e := begin(t, db, end) // it may see that middle awaits it, but not that ref does
	for range 5 {
		step(t, db)
	}
	e.end(t)
	for _, when := range []string{"at once", "resolved"} {
		finds(t, db, end, ref, when)
		finds(t, db, end, middle, when)
		finds(t, db, middle, ref, when)
		resolveAll(t, db)
	}
	if n := count(t, db, pendingRows); n != 0 {
		t.Errorf("%d references are pending after all, want 0", n)
	}
}

// A writer that wakes a reference waits for the resolver that holds it, and is heard.
func TestTargetIsWrittenWhileAResolverHoldsTheReference(t *testing.T) {
	db := databasetest.New(t)
	target := statement(uuid.New())
	ref := reference(target.ID)
	write(t, db, ref)
	step(t, db)
	databasetest.Settle(t, db)
	written := make(chan error, 1)
	err := db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
		n, err := records.SettleSeen(ctx, tx)
		if err != nil || n != 1 {
			return fmt.Errorf("settled %d references, want 1: %w", n, err)
		}
		go func() {
			_, err := tryWrite(db, 1, target)
			written <- err
		}()
		select {
		case err := <-written:
			return fmt.Errorf("the target was written past the resolver: %w", err)
		case <-time.After(200 * time.Millisecond):
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	finds(t, db, target, ref, "at once")
	resolveAll(t, db)
	finds(t, db, target, ref, "resolved")
}

// Writers and resolvers at once, with chains through each other's statements; every reader meanwhile, and the index at the end, agree with the model.
func TestReferencesUnderConcurrentWriters(t *testing.T) {
	keepBounds(t)
	*records.MaxKeys = 12 // of two statements, and those behind are wide
	db := databasetest.New(t)
	w := newWorld(t, db)
	const writers, each = 6, 30
	all := make([]records.Statement, writers*each)
	for i := range all {
		all[i] = statement(w.subjects[rand.N(3)])
		all[i].Verb, all[i].Object = w.numbers[w.verbs[rand.N(2)]], w.activities[rand.N(3)]
	}
	for i := range all {
		if rand.N(3) > 0 {
			all[i].ObjectKind, all[i].Object = xapi.ObjectStatementRef, all[rand.N(len(all))].ID
		}
	}
	done := make(chan struct{})
	var resolvers, wait sync.WaitGroup
	for range 2 {
		resolvers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := records.Resolve(context.Background(), db, 1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range writers {
		wait.Go(func() {
			mine := all[n*each : (n+1)*each]
			for len(mine) > 0 {
				size := min(len(mine), 1+rand.N(3))
				err := db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
					first, err := records.Clock(ctx, tx, size)
					if err != nil {
						return err
					}
					for i := range mine[:size] {
						place(&mine[i], first+int64(i))
					}
					if _, err := records.Insert(ctx, tx, slices.Clone(mine[:size])); err != nil {
						return err
					}
					time.Sleep(rand.N(5 * time.Millisecond)) // written, not yet committed
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				mine = mine[size:]
			}
		})
	}
	wait.Wait()
	close(done)
	resolvers.Wait()
	w.stored = all
	slices.SortFunc(w.stored, func(a, b records.Statement) int { return a.Stored.Compare(b.Stored) })
	for _, when := range []string{"at once", "resolved"} {
		for _, subject := range w.subjects {
			for _, verb := range w.verbs[:2] {
				q := w.everything()
				q.Agent, q.Verb = subject, verb
				if diff := cmp.Diff(w.find(q), ids(read(t, db, 1, q))); diff != "" {
					t.Errorf("%s: %s", when, diff)
				}
			}
		}
		resolveAll(t, db)
	}
	if n := count(t, db, pendingRows); n != 0 {
		t.Errorf("%d references are pending though every statement is there", n)
	}
}
