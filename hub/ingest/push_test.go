package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/plugins/contract"
)

// push stores a push, and tries again as its face does.
func (s *source) push(stream string, list ...contract.Record) (counts ingest.Counts, err error) {
	for range 20 {
		counts, err = s.road.Push(s.Context(), ingest.Push{
			Tenant: s.tenant, Connection: s.connection, ID: uuid.New(), Purpose: s.purpose, Mapping: s.mapping, MappingVersion: s.version,
			Pages: []ingest.PushedPage{{Stream: s.of(stream).Stream, Page: contract.Page{Records: list}}},
			Done:  func(context.Context, *database.Tx) error { return nil },
		})
		if !errors.Is(err, connection.ErrOvertaken) {
			return counts, err
		}
	}
	return counts, err
}

func (s *source) mustPush(stream string, list ...contract.Record) ingest.Counts {
	s.Helper()
	counts, err := s.push(stream, list...)
	if err != nil {
		s.Fatal(err)
	}
	return counts
}

func TestPushStores(t *testing.T) {
	w := newWorld(t)
	s := w.connect(two, "school", head+streamText("change"))
	if got := s.mustPush("change", attempt(1, "ann", 10), attempt(2, "bob", 50)); got.Statements != 3 || got.Changed != 2 {
		t.Errorf("pushed: %+v", got)
	}
	if got := s.mustPush("change", attempt(1, "ann", 10)); got.Unchanged != 1 || got.Statements != 0 {
		t.Errorf("pushed again: %+v", got)
	}
	s.mustPush("change", attempt(1, "ann", 20))
	s.want(totals{Statements: 5, Voidings: 1, Live: 3})
	s.mustPush("change", contract.Record{Key: []byte("[1]"), Deleted: true})
	s.mustPush("change", record(`{"id":3,"pupil":"cid","score":1,"verb":"not an IRI"}`, 3))
	s.want(totals{Statements: 6, Voidings: 2, Live: 2})
	equal(t, "dead letters", s.letters()["invalid_statement"], 1)
	s.page("change", attempt(4, "dan", 30)) // the run goes on all the while
	equal(t, "ingest.push events", s.count("SELECT count(*) FROM audit_event WHERE tenant_id = $1 AND kind = 'ingest.push'", two), 5)
	equal(t, "events of another tenant", s.count("SELECT count(*) FROM audit_event WHERE tenant_id = $1 AND kind = 'ingest.push'", one), 0)
}

// What is pushed while a snapshot is being read stands; the snapshot's own copy may be older. The next snapshot decides.
func TestPushDuringSnapshot(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	s.whole("attempt", attempt(1, "ann", 10), attempt(2, "bob", 11), attempt(3, "cid", 12))
	s.in(one, func(ctx context.Context, tx *database.Tx) error {
		return connection.CompleteStream(ctx, tx, s.connection, s.run, "attempt", time.Now())
	})
	s.begin()
	s.page("attempt", attempt(1, "ann", 10))
	s.mustPush("attempt", attempt(1, "ann", 20), attempt(2, "bob", 21), attempt(4, "dan", 24), contract.Record{Key: []byte("[3]"), Deleted: true})
	s.last("attempt", attempt(2, "bob", 11), attempt(3, "cid", 12))
	if got := s.scores(); !slices.Equal(got, []int{12, 20, 21, 24}) { // 3 was taken back and is there again: a record that is gone is no record of the snapshot
		t.Errorf("after the snapshot: %v", got)
	}
	if letters := s.letters(); len(letters) != 0 {
		t.Errorf("dead letters: %v", letters)
	}
	s.whole("attempt", attempt(1, "ann", 10), attempt(2, "bob", 21))
	if got := s.scores(); !slices.Equal(got, []int{10, 21}) {
		t.Errorf("after the next snapshot: %v", got)
	}
}

func TestPushRefusals(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("change"))
	act := connection.Act{Actor: "client-1", Now: time.Now()}
	before := s.totals()
	s.in(one, func(ctx context.Context, tx *database.Tx) error {
		_, err := connection.Pause(ctx, tx, act, s.connection)
		return err
	})
	if _, err := s.push("change", attempt(1, "ann", 10)); !errors.Is(err, connection.ErrPaused) {
		t.Errorf("to a paused connection: %v", err)
	}
	s.in(one, func(ctx context.Context, tx *database.Tx) error {
		_, err := connection.Resume(ctx, tx, act, s.connection)
		return err
	})
	s.version++
	if _, err := s.push("change", attempt(1, "ann", 10)); !errors.Is(err, connection.ErrOvertaken) {
		t.Errorf("by a mapping that is not in force: %v", err)
	}
	s.version--
	s.in(one, func(ctx context.Context, tx *database.Tx) error { return connection.Remove(ctx, tx, act, s.connection) })
	if _, err := s.push("change", attempt(1, "ann", 10)); !errors.Is(err, connection.ErrUnknown) {
		t.Errorf("to a removed connection: %v", err)
	}
	s.want(before)
}

// Pushes and a run change the same records at the same time. Whatever the order, what lives in the store is what the source records say lives, one result for each record.
func TestPushesAndRunAtOnce(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("change"))
	const records, rounds = 4, 40
	score := func(r *rand.Rand) int { return 1 + r.IntN(39) } // below what passes: one statement a record
	var group sync.WaitGroup
	var overtaken int
	for pusher := range 3 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(pusher)))
			for range rounds {
				list := []contract.Record{attempt(r.IntN(records), "ann", score(r))}
				if r.IntN(4) == 0 {
					list[0] = contract.Record{Key: fmt.Appendf(nil, "[%d]", r.IntN(records)), Deleted: true}
				}
				if _, err := s.push("change", list...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(2, 2))
	for range rounds {
		var page contract.Page
		for id := range records {
			page.Records = append(page.Records, attempt(id, "ann", score(r)))
		}
		for { // as the workflow does
			_, err := s.road.Page(t.Context(), s.of("change"), page)
			if err == nil {
				break
			}
			if overtaken++; overtaken > 100*rounds {
				t.Fatal(err)
			}
		}
	}
	group.Wait()
	known := s.count(`SELECT coalesce(sum(length(outputs)) / 32, 0) FROM source_record WHERE tenant_id = $1 AND connection_id = $2 AND length(sealed) > 0`, one, s.connection)
	equal(t, "outputs of records that are gone", s.count(`SELECT count(*) FROM source_record WHERE tenant_id = $1 AND connection_id = $2 AND length(sealed) = 0 AND length(outputs) > 0`, one, s.connection), 0)
	equal(t, "live statements", s.totals().Live, known)
	t.Logf("the run was overtaken %d times in %d pages", overtaken, rounds)
}
