package records_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
)

// next reads one batch of tenant 1's feed, and sets where it goes on.
func next(t testing.TB, db *database.DB, f *records.Feed) (rows []records.Row, more bool) {
	t.Helper()
	if f.Policy == nil {
		f.Policy = query.True{}
	}
	if f.Filter == nil {
		f.Filter = query.True{}
	}
	err := db.ReadTenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) (err error) {
		var through int64
		if rows, through, more, err = f.Next(ctx, tx); err == nil {
			f.After = through
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows, more
}

// Whatever stored an imported statement has, the feed gives it when it came.
func TestFeedIsInTheOrderOfComing(t *testing.T) {
	db := databasetest.New(t)
	var want []uuid.UUID
	rare := uuid.New()
	var wantRare []uuid.UUID
	for i := range 40 {
		s := statement(uuid.New())
		s.Frame = make([]byte, 100)
		if s.Imported = i%3 == 0; s.Imported {
			s.Stored = time.Date(2019, 1, 40-i, 0, 0, 0, 0, time.UTC)
		}
		if i%7 == 0 {
			s.Object, wantRare = rare, append(wantRare, s.ID)
		}
		err := db.Tenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error {
			at, err := records.Clock(ctx, tx, 1)
			if err != nil {
				return err
			}
			s.At(at)
			_, err = records.Insert(ctx, tx, []records.Statement{s})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, s.ID)
	}
	databasetest.Settle(t, db)
	for _, f := range []records.Feed{{Limit: 1}, {Limit: 7}, {Limit: 100}, {Limit: 100, Bytes: 450}, {Limit: 100, Activity: rare}, {Limit: 2, Activity: rare}} {
		limit, bytes := f.Limit, f.Bytes
		expected := want
		if f.Activity == rare {
			expected = wantRare
		}
		var got []uuid.UUID
		for {
			rows, more := next(t, db, &f)
			if len(rows) > limit || bytes > 0 && len(rows) > 5 || more && len(rows) == 0 {
				t.Fatalf("limit %d, %d bytes: a batch of %d", limit, bytes, len(rows))
			}
			got = append(got, ids(rows)...)
			if !more {
				break
			}
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("limit %d, %d bytes: %s", limit, bytes, diff)
		}
		if rows, more := next(t, db, &f); len(rows) > 0 || more {
			t.Errorf("after the end: %d statements", len(rows))
		}
	}
	// A filter that nothing meets still moves on: it need not be asked of the same rows again.
	f := records.Feed{Limit: 10, Filter: query.False{}}
	next(t, db, &f)
	all := records.Feed{Limit: 100}
	next(t, db, &all)
	if f.After == 0 || f.After != all.After {
		t.Errorf("moved to %d, not %d", f.After, all.After)
	}
}

// Writers that commit late, native and imported: each follower, whenever it is cut, sees each statement once, in one order.
func TestFeedMissesNoLateCommitter(t *testing.T) {
	db := databasetest.New(t)
	var mu sync.Mutex
	written := map[uuid.UUID]bool{}
	var writers, readers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for range 12 {
				batch := make([]records.Statement, 1+random.IntN(4))
				err := db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
					at, err := records.Clock(ctx, tx, len(batch))
					if err != nil {
						return err
					}
					for i := range batch {
						batch[i] = statement(uuid.New())
						if batch[i].Imported = random.IntN(3) == 0; batch[i].Imported {
							batch[i].Stored = time.Date(2019, 1, 1, 0, random.IntN(60), 0, 0, time.UTC)
						}
						batch[i].At(at + int64(i))
					}
					if _, err = records.Insert(ctx, tx, batch); err != nil {
						return err
					}
					time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, s := range batch {
					written[s.ID] = true
				}
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	orders := make([][]uuid.UUID, 2)
	for i := range orders {
		readers.Go(func() {
			f := records.Feed{Limit: 3 + 40*i}
			for last := false; ; {
				rows, more := next(t, db, &f)
				orders[i] = append(orders[i], ids(rows)...)
				if last && !more {
					return
				}
				select {
				case <-done:
					last = true
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	writers.Wait()
	databasetest.Settle(t, db)
	close(done)
	readers.Wait()
	if !slices.Equal(orders[0], orders[1]) {
		t.Errorf("two orders, of %d and %d statements", len(orders[0]), len(orders[1]))
	}
	seen := map[uuid.UUID]bool{}
	for _, id := range orders[0] {
		if seen[id] || !written[id] {
			t.Errorf("%s: seen twice, or never written", id)
		}
		seen[id] = true
	}
	if len(seen) != len(written) || len(seen) < 8*12 {
		t.Errorf("saw %d of %d", len(seen), len(written))
	}
}
