package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

var errChangedMind = errors.New("rolled back on purpose")

// write records events of a writer, each in a transaction of its own; a third of them is rolled back. It returns what was committed.
func write(ctx context.Context, db *database.DB, tenant database.TenantID, n int, seed uint64) (ids []uuid.UUID, err error) {
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		now := time.Now().Add(time.Duration(random.IntN(4000)-2000) * time.Millisecond) // clocks that disagree
		e := event(i)
		if e.ID, err = NewID(now); err != nil {
			return nil, err
		}
		err := db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
			if err := Record(ctx, tx, now, e); err != nil {
				return err
			}
			time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond) // commits come in another order than ids
			if random.IntN(3) == 0 {
				return errChangedMind
			}
			return nil
		})
		if err == nil {
			ids = append(ids, e.ID)
		} else if !errors.Is(err, errChangedMind) {
			return nil, err
		}
	}
	return ids, nil
}

// TestManyWritersTwoSequencers: what was committed is in the tree exactly once, and what was rolled back is not.
func TestManyWritersTwoSequencers(t *testing.T) {
	l := newLog(t)
	ctx, stop := context.WithCancel(t.Context())
	var sequencers, writers sync.WaitGroup
	second := l.hub(t.TempDir()) // with a folder of its own: only the key is shared
	copyKey(t, l.dir, second)
	for _, s := range []*Sequencer{l.sequencer, second} {
		s.interval, s.every, s.log = time.Millisecond, 5*time.Millisecond, slog.New(slog.NewTextHandler(io.Discard, nil))
		sequencers.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	var mu sync.Mutex
	written := map[database.TenantID][]uuid.UUID{}
	for w := range 32 {
		tenant := ours
		if w%4 == 0 {
			tenant = theirs
		}
		writers.Go(func() {
			ids, err := write(ctx, l.db, tenant, 15, uint64(w))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			written[tenant] = append(written[tenant], ids...)
		})
	}
	writers.Wait()
	for _, s := range []*Sequencer{l.sequencer, second} {
		if err := s.Health(); err != nil {
			t.Errorf("a sequencer is unwell: %v", err)
		}
	}
	stop()
	sequencers.Wait()
	for tenant, ids := range written {
		l.flush(tenant)
		l.whole(tenant, int64(len(ids)))
		l.same(tenant, ids)
		if _, err := second.Flush(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(t.Context(), NewStore(l.db, tenant, ""), VerifyOptions{VerifierKey: l.key(tenant), Anchor: second.anchor.Path(tenant)})
		if err != nil || r.Anchored == 0 || r.Proved != int64(len(ids)) {
			t.Fatalf("the second hub's anchor: %v\n%v", err, r)
		}
	}
}

// copyKey makes a hub use the signing key of another.
func copyKey(t *testing.T, from string, s *Sequencer) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(from, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.signer.dir, keyFile), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.signer, err = OpenSigner(s.signer.dir, nil); err != nil {
		t.Fatal(err)
	}
}

// same fails the test unless the tree holds just these events, each once.
func (l *testLog) same(tenant database.TenantID, want []uuid.UUID) {
	l.t.Helper()
	var have []uuid.UUID
	if err := l.owner.Select(&have, "SELECT event_id FROM audit_leaf WHERE tenant_id = $1", tenant); err != nil {
		l.t.Fatal(err)
	}
	order := func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(have, order)
	slices.SortFunc(want, order)
	if !slices.Equal(have, want) {
		l.t.Fatalf("the tree holds %d events, %d were committed", len(have), len(want))
	}
}

// TestKilledAtEachStatement ends the sequencer's connection, or its context, after each statement of a step and of a checkpoint.
func TestKilledAtEachStatement(t *testing.T) {
	points := map[string][]string{
		"step":       {"lock", "head", "lead", "pending", "tree"},
		"checkpoint": {"head", "lead", "anchor", "checkpoint"},
	}
	l := newLog(t)
	l.grow(ours, 5)
	l.grow(theirs, 2)
	total := int64(5)
	for phase, after := range points {
		for _, point := range after {
			for _, how := range []string{"backend terminated", "context cancelled"} {
				t.Run(phase+" after "+point+", "+how, func(t *testing.T) {
					l.t = t
					l.record(ours, 3)
					total += 3
					if phase == "checkpoint" {
						if _, err := l.sequencer.Step(t.Context(), ours); err != nil {
							t.Fatal(err)
						}
					}
					l.killed(phase, point, how)
					if r, err := l.verify(ours); err != nil {
						t.Fatalf("after the kill: %v\n%v", err, r)
					}
					l.flush(ours)
					l.whole(ours, total)
				})
			}
		}
	}
	l.t = t
	l.whole(theirs, 2)
}

// TestFlushWaitsForTheLeader: while another sequencer leads, Step leaves the events to it, and Flush waits.
func TestFlushWaitsForTheLeader(t *testing.T) {
	l := newLog(t)
	l.record(ours, 3)
	flushed := make(chan Checkpoint)
	err := l.db.Tenant(t.Context(), ours, func(ctx context.Context, tx *database.Tx) error {
		if _, err := l.hub(l.dir).lock(ctx, tx, true); err != nil {
			return err
		}
		if n, err := l.sequencer.Step(t.Context(), ours); n != 0 || err != nil {
			t.Errorf("a step beside the leader: %d, %v", n, err)
		}
		go func() {
			c, err := l.sequencer.Flush(t.Context(), ours)
			if err != nil {
				t.Error(err)
			}
			flushed <- c
		}()
		select {
		case c := <-flushed:
			t.Errorf("a flush beside the leader covers %d of 3 events", c.Size)
			return errChangedMind
		case <-time.After(100 * time.Millisecond):
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := <-flushed; c.Size != 3 {
		t.Errorf("the flush covers %d of 3 events", c.Size)
	}
}

// killed runs one phase of a sequencer that dies at that point.
func (l *testLog) killed(phase, point, how string) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	defer cancel()
	reached := false
	s := l.hub(l.dir)
	s.pause = func(ctx context.Context, tx *database.Tx, after string) error {
		if after != point || reached {
			return nil
		}
		reached = true
		if how == "context cancelled" {
			cancel()
			return nil
		}
		var pid int
		if err := tx.GetContext(ctx, &pid, "SELECT pg_backend_pid()"); err != nil {
			return err
		}
		_, err := l.owner.Exec("SELECT pg_terminate_backend($1)", pid)
		return err
	}
	var err error
	if phase == "step" {
		_, err = s.Step(ctx, ours)
	} else {
		_, err = s.Checkpoint(ctx, ours)
	}
	if !reached || err == nil {
		l.t.Fatalf("point reached: %v, error: %v", reached, err)
	}
}

// TestDiedBetweenAnchorAndTable: the anchored checkpoint is true, and the table gets it later.
func TestDiedBetweenAnchorAndTable(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 5)
	l.record(ours, 5)
	if _, err := l.sequencer.Step(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	l.killed("checkpoint", "anchor", "backend terminated")
	r, err := l.verify(ours)
	if err != nil || r.Checkpoints != 1 || r.Anchored != 2 || r.Proved != 10 {
		t.Fatalf("%v\n%v", err, r)
	}
	l.sequencer = l.hub(l.dir)
	l.flush(ours)
	if r, err = l.verify(ours); err != nil || r.Checkpoints != 2 || r.Anchored != 2 {
		t.Fatalf("%v\n%v", err, r)
	}
}

// TestDiedWhileWritingTheAnchor: a line cut short is no checkpoint, and the next one takes its place.
func TestDiedWhileWritingTheAnchor(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 5, 5)
	path := l.sequencer.anchor.Path(ours)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range []int{1, 10, len(content)/2 - 1} {
		if err := os.WriteFile(path, append(slices.Clone(content), content[:torn]...), 0o600); err != nil {
			t.Fatal(err)
		}
		l.caught(ours, "line 3 of the anchor file", "cut short")
		again := l.hub(l.dir)
		if c, found, err := again.anchor.Newest(ours, must(again.signer.verifier(ours))); err != nil || !found || c.Size != 10 {
			t.Fatalf("newest: %+v %v %v", c, found, err)
		}
	}
	l.sequencer = l.hub(l.dir)
	l.grow(ours, 5)
	l.whole(ours, 15)
}

func TestTheClockGoesBack(t *testing.T) {
	l := newLog(t)
	l.record(ours, 10)
	l.flush(ours)
	l.now = l.now.Add(-3 * time.Hour)
	early := l.record(ours, 10)
	l.flush(ours)
	l.whole(ours, 20)
	if ids := l.leafIDs(); !slices.Equal(ids[10:], early) {
		t.Fatal("events of the clock that went back are not behind those before")
	}
	// The sequencer's own clock: a checkpoint still becomes due.
	now := start
	l.sequencer.now = func() time.Time { return now }
	l.sequencer.round(t.Context())
	now = start.Add(-time.Hour)
	l.record(ours, 1)
	l.sequencer.round(t.Context())
	if r, err := l.verify(ours); err != nil || r.Proved != 21 {
		t.Fatalf("%v\n%v", err, r)
	}
}

func TestRunSignsWithinTheInterval(t *testing.T) {
	l := newLog(t)
	ctx, stop := context.WithCancel(t.Context())
	l.sequencer.interval, l.sequencer.every = 5*time.Millisecond, 20*time.Millisecond
	done := make(chan error)
	go func() { done <- l.sequencer.Run(ctx) }()
	l.record(ours, 2500)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r, err := l.verify(ours)
		if err != nil {
			t.Fatalf("%v\n%v", err, r)
		}
		if r.Proved == 2500 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not sequenced in time: %v", r)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(l.dir, "tenant-1.vkey"))
	if err != nil || string(key) != l.key(ours)+"\n" {
		t.Fatalf("published verifier key: %q, %v", key, err)
	}
}

func TestHealthTellsOfATenantInTrouble(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 5)
	l.cut(3)
	l.record(theirs, 2)
	var logged strings.Builder
	l.sequencer.log = slog.New(slog.NewTextHandler(&logged, nil))
	for range 3 {
		l.sequencer.round(t.Context())
	}
	if err := l.sequencer.Health(); !errors.Is(err, ErrRolledBack) {
		t.Fatalf("health: %v", err)
	}
	if n := strings.Count(logged.String(), "not being sequenced"); n != 1 {
		t.Fatalf("logged %d times:\n%s", n, logged.String())
	}
	l.whole(theirs, 2)
	if _, err := l.sequencer.Restart(t.Context(), ours, l.now, "someone"); err != nil {
		t.Fatal(fmt.Errorf("restart: %w", err))
	}
	l.sequencer.round(t.Context())
	if err := l.sequencer.Health(); err != nil {
		t.Fatalf("health after the restart: %v", err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
