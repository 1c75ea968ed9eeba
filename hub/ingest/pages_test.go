package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/plugins/contract"
)

// Pages that share records, and pages that do not, leave what Page leaves, and are told of in order.
func TestPagesAreStoredAsByPage(t *testing.T) {
	w := newWorld(t)
	ahead, slow := w.connect(one, "ahead", head+streamText("change")), w.connect(one, "slow", head+streamText("change"))
	random := rand.New(rand.NewPCG(7, 11))
	var told []ingest.Counts
	var cursors []string
	pages := w.road.Pages(t.Context(), ahead.of("change"), func(p contract.Page, c ingest.Counts) error {
		told, cursors = append(told, c), append(cursors, string(p.Cursor))
		return nil
	})
	var want []ingest.Counts
	var inOrder []string
	for n := range 25 {
		page := contract.Page{Cursor: fmt.Append(nil, n)}
		ids := 4 << (random.IntN(3) * 4) // so few that each page has those of the one before, or so many that hardly any does
		for range 1 + random.IntN(6) {
			id := random.IntN(ids)
			r := attempt(id, fmt.Sprint("pupil-", id%3), random.IntN(100))
			if random.IntN(5) == 0 {
				r = contract.Record{Key: r.Key, Deleted: true, Position: "log"}
			}
			page.Records = append(page.Records, r)
		}
		if err := pages.Add(t.Context(), page); err != nil {
			t.Fatal(err)
		}
		want, inOrder = append(want, slow.send("change", page)), append(inOrder, string(page.Cursor))
	}
	if err := pages.Wait(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("counts:\n%s", diff)
	}
	if diff := cmp.Diff(inOrder, cursors); diff != "" {
		t.Errorf("order:\n%s", diff)
	}
	ahead.want(slow.totals())
	if diff := cmp.Diff(slow.scores(), ahead.scores()); diff != "" {
		t.Errorf("live scores:\n%s", diff)
	}
}

// The last page of a snapshot takes back what was not in it, pages still under way included.
func TestPagesCompleteASnapshot(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	s.last("attempt", attempt(1, "p", 11), attempt(2, "p", 12), attempt(3, "p", 13))
	s.in(one, func(ctx context.Context, tx *database.Tx) error {
		return connection.CompleteStream(ctx, tx, s.connection, s.run, "attempt", time.Now())
	})
	s.begin()
	pages := w.road.Pages(t.Context(), s.of("attempt"), func(contract.Page, ingest.Counts) error { return nil })
	for _, page := range []contract.Page{
		{Records: []contract.Record{attempt(1, "p", 11)}, Cursor: []byte("1")},
		{Records: []contract.Record{attempt(4, "p", 14)}, Cursor: []byte("2")},
		{Records: []contract.Record{attempt(3, "p", 33)}, Cursor: []byte("3"), SnapshotComplete: true},
	} {
		if err := pages.Add(t.Context(), page); err != nil {
			t.Fatal(err)
		}
	}
	if err := pages.Wait(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{11, 14, 33}, s.scores()); diff != "" {
		t.Error(diff)
	}
}

// After a page that could not be stored, no later one is; nor after one whose storing somebody was told of in vain.
func TestPagesStopAtTheFirstError(t *testing.T) {
	enough := errors.New("enough")
	for _, c := range []struct {
		name   string
		stored func(contract.Page, ingest.Counts) error
		before func(s *source)
		want   error
		left   totals
	}{
		{"lease lost", func(contract.Page, ingest.Counts) error { return nil },
			func(s *source) {
				s.in(one, func(ctx context.Context, tx *database.Tx) error {
					return connection.End(ctx, tx, s.run, connection.Outcome{State: connection.Failed}, time.Now())
				})
			}, connection.ErrLeaseLost, totals{}},
		{"told in vain", func(contract.Page, ingest.Counts) error { return enough }, func(*source) {}, enough, totals{Statements: 1, Live: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			s := w.connect(one, "school", head+streamText("change"))
			c.before(s)
			pages := w.road.Pages(t.Context(), s.of("change"), c.stored)
			var err error
			for n := range 5 {
				if err = pages.Add(t.Context(), contract.Page{Records: []contract.Record{attempt(n, "p", 10+n)}, Cursor: []byte("c")}); err != nil {
					break
				}
			}
			if !errors.Is(err, c.want) {
				t.Errorf("Add: %v, want %v", err, c.want)
			}
			for range 2 {
				if err := pages.Wait(); !errors.Is(err, c.want) {
					t.Errorf("Wait: %v, want %v", err, c.want)
				}
			}
			s.want(c.left)
		})
	}
}
