package records_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// write stores statements in one transaction of tenant 1, positions taken from the clock.
func write(t testing.TB, db *database.DB, batch ...records.Statement) map[uuid.UUID]bool {
	t.Helper()
	stored, err := tryWrite(db, 1, batch...)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func tryWrite(db *database.DB, tenant database.TenantID, batch ...records.Statement) (stored map[uuid.UUID]bool, err error) {
	err = db.Tenant(context.Background(), tenant, func(ctx context.Context, tx *database.Tx) error {
		first, err := records.Clock(ctx, tx, len(batch))
		if err != nil {
			return err
		}
		for i := range batch {
			place(&batch[i], first+int64(i))
		}
		stored, err = records.Insert(ctx, tx, batch)
		return err
	})
	return stored, err
}

func place(s *records.Statement, seq int64) {
	s.Seq, s.Stored = seq, records.StoredAt(seq)
	if s.Timestamp.IsZero() {
		s.Timestamp = s.Stored
	}
}

func statement(actor uuid.UUID) records.Statement {
	return records.Statement{
		ID: uuid.New(), Actor: actor, Authority: uuid.New(), Verb: 1, ObjectKind: xapi.ObjectActivity, Object: uuid.New(),
		Version: xapi.V1, Purpose: 1, Frame: []byte("sealed"), Digest: digest("one"),
	}
}

func digest(text string) records.Digest {
	sum := sha256.Sum256([]byte(text))
	return records.NewDigest(sum[:], nil)
}

func TestDigestTakesATimestampThatOneSideLacks(t *testing.T) {
	one, two := sha256.Sum256([]byte("one")), sha256.Sum256([]byte("two"))
	unset, first, second := records.NewDigest(one[:], nil), records.NewDigest(one[:], one[:]), records.NewDigest(one[:], two[:])
	other := records.NewDigest(two[:], one[:])
	for _, c := range []struct {
		a, b records.Digest
		want bool
	}{{unset, unset, true}, {unset, first, true}, {first, first, true}, {first, second, false}, {first, other, false}, {unset, other, false}, {unset, nil, false}} {
		if c.a.Same(c.b) != c.want || c.b.Same(c.a) != c.want {
			t.Errorf("%x and %x: want %v", c.a, c.b, c.want)
		}
	}
}

func read(t testing.TB, db *database.DB, tenant database.TenantID, q records.Query) []records.Row {
	t.Helper()
	if q.Filter == nil {
		q.Filter = query.True{}
	}
	if q.Policy == nil {
		q.Policy = query.True{}
	}
	if q.Limit == 0 { // not about paging
		q.Limit, q.Fresh = 1000, true
	}
	var rows []records.Row
	err := db.ReadTenant(context.Background(), tenant, func(ctx context.Context, tx *database.Tx) error {
		var err error
		rows, _, err = records.Select(ctx, tx, q)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func ids(rows []records.Row) []uuid.UUID {
	list := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		list[i] = r.ID
	}
	return list
}

func TestStatementComesBackEqual(t *testing.T) {
	db := databasetest.New(t)
	half, yes, no, seconds := 0.5, true, false, 90.25
	s := statement(uuid.New())
	s.Registration, s.Connection = uuid.New(), uuid.New()
	s.Scaled, s.Success, s.Completion, s.Duration = &half, &yes, &no, &seconds
	s.Timestamp = time.Date(2024, 2, 29, 1, 2, 3, 456789000, time.UTC)
	write(t, db, s)
	rows := read(t, db, 1, records.Query{})
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	s.Seq, s.Stored = rows[0].Seq, records.StoredAt(rows[0].Seq)
	if diff := cmp.Diff(s, rows[0].Statement); diff != "" {
		t.Error(diff)
	}
	if other := read(t, db, 2, records.Query{}); len(other) != 0 {
		t.Errorf("another tenant reads %d statements", len(other))
	}
}

func TestRepeatsAndConflicts(t *testing.T) {
	db := databasetest.New(t)
	s := statement(uuid.New())
	if stored := write(t, db, s); !stored[s.ID] {
		t.Fatal("not stored")
	}
	fresh := statement(uuid.New())
	stored := write(t, db, s, fresh)
	if diff := cmp.Diff(map[uuid.UUID]bool{fresh.ID: true}, stored); diff != "" {
		t.Error(diff)
	}
	conflict := s
	conflict.Digest = digest("other")
	if _, err := tryWrite(db, 1, statement(uuid.New()), conflict); !errors.Is(err, records.ErrConflict) {
		t.Errorf("conflict: %v", err)
	}
	if n := len(read(t, db, 1, records.Query{})); n != 2 {
		t.Errorf("%d statements after a conflict, want 2: a batch is stored whole or not at all", n)
	}
	if stored, err := tryWrite(db, 2, conflict); err != nil || !stored[s.ID] {
		t.Errorf("another tenant may use the same id: %v, %v", stored, err)
	}
}

func TestErasedIDStoresNothing(t *testing.T) {
	db := databasetest.New(t)
	s := statement(uuid.New())
	err := db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO statement_tombstone (tenant_id, id, seq, digest) VALUES ($1, $2, 1, $3)`, tx.Tenant, s.ID, s.Digest)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if stored := write(t, db, s); len(stored) != 0 {
		t.Errorf("stored %v", stored)
	}
	s.Digest = digest("other")
	if _, err := tryWrite(db, 1, s); !errors.Is(err, records.ErrConflict) {
		t.Errorf("another statement with an erased id: %v", err)
	}
}

// An agent is found as actor, and otherwise by the table of other agents, in one order without doubles.
func TestByAgent(t *testing.T) {
	db := databasetest.New(t)
	me := uuid.New()
	asActor, asObject, asInstructor, twice := statement(me), statement(uuid.New()), statement(uuid.New()), statement(me)
	asObject.Agents = []records.Agent{{Slot: 0, Subject: me, Role: xapi.RoleObject, Direct: true, Sealed: []byte("a")}}
	asInstructor.Agents = []records.Agent{{Slot: 0, Subject: me, Role: xapi.RoleInstructor, Sealed: []byte("b")}}
	twice.Agents = asObject.Agents
	for _, s := range []records.Statement{asActor, asObject, asInstructor, twice, statement(uuid.New())} {
		write(t, db, s)
	}
	want := []uuid.UUID{twice.ID, asObject.ID, asActor.ID}
	if diff := cmp.Diff(want, ids(read(t, db, 1, records.Query{Agent: me}))); diff != "" {
		t.Error(diff)
	}
	related := read(t, db, 1, records.Query{Agent: me, RelatedAgents: true, Ascending: true, Limit: 3, Fresh: true})
	if diff := cmp.Diff([]uuid.UUID{asActor.ID, asObject.ID, asInstructor.ID}, ids(related)); diff != "" {
		t.Error(diff)
	}
	next := read(t, db, 1, records.Query{Agent: me, RelatedAgents: true, Ascending: true, Limit: 3, Fresh: true, After: related[2].Position()})
	if diff := cmp.Diff([]uuid.UUID{twice.ID}, ids(next)); diff != "" {
		t.Error(diff)
	}
}

func TestByRelatedActivity(t *testing.T) {
	db := databasetest.New(t)
	activity := uuid.New()
	asObject, asParent := statement(uuid.New()), statement(uuid.New())
	asObject.Object = activity
	asParent.Activities = []records.ActivityUse{{Key: activity, Role: xapi.ActivityParent}, {Key: activity, Role: xapi.ActivityParent}}
	write(t, db, asObject, asParent, statement(uuid.New()))
	if rows := read(t, db, 1, records.Query{Activity: activity, RelatedActivities: true}); len(rows) != 2 {
		t.Errorf("%d rows, want 2", len(rows))
	}
}

// Writers begin, take their place and commit in every interleaving; a reader who pages by stored sees each statement exactly once and in order.
func TestLateCommitterIsNeverMissed(t *testing.T) {
	db := databasetest.New(t)
	const writers, each = 6, 25
	var wg sync.WaitGroup
	done := make(chan struct{})
	var mu sync.Mutex
	written := map[uuid.UUID]bool{}
	for range writers {
		wg.Go(func() {
			for range each {
				s := statement(uuid.New())
				err := db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
					seq, err := records.Clock(ctx, tx, 1)
					if err != nil {
						return err
					}
					time.Sleep(rand.N(4 * time.Millisecond)) // place taken, not yet written
					place(&s, seq)
					if _, err := records.Insert(ctx, tx, []records.Statement{s}); err != nil {
						return err
					}
					time.Sleep(rand.N(4 * time.Millisecond)) // written, not yet committed
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				written[s.ID] = true
				mu.Unlock()
			}
		})
	}
	go func() { wg.Wait(); close(done) }()

	seen := map[uuid.UUID]bool{}
	var after records.Position
	for deadline := time.Now().Add(time.Minute); len(seen) < writers*each && time.Now().Before(deadline); {
		for {
			rows := read(t, db, 1, records.Query{Ascending: true, After: after, Limit: 7})
			for _, r := range rows {
				if seen[r.ID] {
					t.Fatalf("statement %s was read twice", r.ID)
				}
				if p := r.Position(); p.Stored.Before(after.Stored) {
					t.Fatal("paging went back in time")
				}
				seen[r.ID] = true
				after = r.Position()
			}
			if len(rows) == 0 {
				break
			}
		}
	}
	<-done
	if len(written) != writers*each {
		t.Fatalf("%d statements were written, want %d", len(written), writers*each)
	}
	for id := range written {
		if !seen[id] {
			t.Errorf("statement %s was never read", id)
		}
	}
}

// Without the watermark the same reader would miss statements: a page must not show what an open transaction may still precede.
func TestPagesStopBelowOpenTransactions(t *testing.T) {
	db := databasetest.New(t)
	err := db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
		if _, err := records.Clock(ctx, tx, 1); err != nil {
			return err
		}
		later := statement(uuid.New())
		write(t, db, later)
		if rows := read(t, db, 1, records.Query{Limit: 9}); len(rows) != 0 {
			t.Errorf("a page shows %d statements that an open transaction may precede", len(rows))
		}
		rows := read(t, db, 1, records.Query{Fresh: true})
		if len(rows) != 1 {
			return fmt.Errorf("reading by id must see what is committed: %d rows", len(rows))
		}
		return db.ReadTenant(ctx, 1, func(ctx context.Context, other *database.Tx) error {
			through, err := records.ConsistentThrough(ctx, other)
			if err == nil && !through.Before(rows[0].Stored) {
				t.Errorf("consistent through %s, though a transaction before it is open", through)
			}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); len(read(t, db, 1, records.Query{Limit: 9})) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the statement does not appear after the transaction before it ended")
		}
	}
}

func TestClockRefusesATransactionThatWrote(t *testing.T) {
	db := databasetest.New(t)
	err := db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO verb (tenant_id, iri) VALUES ($1, 'https://example.org/v')`, tx.Tenant); err != nil {
			return err
		}
		_, err := records.Clock(ctx, tx, 1)
		return err
	})
	if err == nil {
		t.Error("a place was given to a transaction that had written before")
	}
}

// Overlapping batches in any order neither deadlock nor store an id twice.
func TestOverlappingBatches(t *testing.T) {
	db := databasetest.New(t)
	pool := make([]records.Statement, 40)
	for i := range pool {
		pool[i] = statement(uuid.New())
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for w := range 6 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for range 10 {
				batch := make([]records.Statement, 0, 20)
				for _, i := range random.Perm(len(pool))[:20] {
					batch = append(batch, pool[i])
				}
				stored, err := tryWrite(db, 1, batch...)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				total += len(stored)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if rows := read(t, db, 1, records.Query{}); len(rows) != total {
		t.Errorf("%d rows, but writers were told that %d were stored", len(rows), total)
	}
}
