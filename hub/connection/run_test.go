package connection

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/plugins/contract"
)

var (
	snapshot    = contract.Stream{Name: "results", Mode: contract.Snapshot}
	incremental = contract.Stream{Name: "log", Mode: contract.Incremental}
)

const lease = time.Minute

func (w *world) tryBegin(c Connection, run uuid.UUID, at time.Time) error {
	return w.try(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return Begin(ctx, tx, Run{ID: run, Connection: c.ID, StartedBy: "schedule", StartedAt: at}, at.Add(lease))
	})
}

func (w *world) begin(c Connection, at time.Time) uuid.UUID {
	w.Helper()
	run := uuid.New()
	if err := w.tryBegin(c, run, at); err != nil {
		w.Fatal(err)
	}
	return run
}

func (w *world) end(run uuid.UUID, o Outcome, at time.Time) {
	w.Helper()
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error { return End(ctx, tx, run, o, at) })
}

func (w *world) hold(c Connection, run uuid.UUID, until time.Time) error {
	return w.try(databasetest.Default, func(ctx context.Context, tx *database.Tx) error { return HoldLease(ctx, tx, c.ID, run, until) })
}

func (w *world) run(id uuid.UUID) (r Run) {
	w.Helper()
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) (err error) {
		r, err = GetRun(ctx, tx, id)
		return err
	})
	return r
}

func TestOneRunAtATime(t *testing.T) {
	w := newWorld(t)
	c := w.add(databasetest.Default, "results")
	first := w.begin(c, now)
	if err := w.tryBegin(c, first, now.Add(time.Second)); err != nil {
		t.Errorf("the same run again: %v", err)
	}
	second := uuid.New()
	if err := w.tryBegin(c, second, now.Add(2*time.Second)); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), first.String()) {
		t.Errorf("a second run: %v", err)
	}
	if err := w.hold(c, first, now.Add(2*lease)); err != nil {
		t.Errorf("renew: %v", err)
	}
	if err := w.tryBegin(c, second, now.Add(lease+time.Second)); !errors.Is(err, ErrRunning) {
		t.Errorf("a second run within the renewed lease: %v", err)
	}
	if err := w.tryBegin(c, second, now.Add(3*lease)); err != nil {
		t.Errorf("a second run after the lease ran out: %v", err)
	}
	if err := w.hold(c, first, now.Add(4*lease)); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("the first run goes on: %v", err)
	}
	if r := w.run(first); r.State != Failed || r.Class != "lost" || r.EndedAt == nil {
		t.Errorf("the first run: %+v", r)
	}
	if err := w.tryBegin(c, first, now.Add(9*lease)); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("the first run begins anew: %v", err)
	}
	w.end(second, Outcome{State: Succeeded}, now.Add(4*lease))
	w.end(second, Outcome{State: Failed, Class: "transient"}, now.Add(5*lease)) // a retry of End changes nothing
	if r := w.run(second); r.State != Succeeded || r.Class != "" {
		t.Errorf("the second run: %+v", r)
	}
	w.begin(c, now.Add(4*lease)) // the lease is free at once
	for kind, want := range map[string]int{"sync.started": 3, "sync.ended": 2} {
		if n := w.count(databasetest.Default, "SELECT count(*) FROM audit_event WHERE kind = $1", kind); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
}

func TestPausedDoesNotBegin(t *testing.T) {
	w := newWorld(t)
	c := w.add(databasetest.Default, "results")
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		_, err := Pause(ctx, tx, act, c.ID)
		return err
	})
	if err := w.tryBegin(c, uuid.New(), now); !errors.Is(err, ErrPaused) || !strings.Contains(err.Error(), "connection resume results") {
		t.Errorf("Begin = %v", err)
	}
	err := w.try(databasetest.Other, func(ctx context.Context, tx *database.Tx) error {
		return Begin(ctx, tx, Run{ID: uuid.New(), Connection: c.ID, StartedBy: "schedule", StartedAt: now}, now.Add(lease))
	})
	if !errors.Is(err, ErrUnknown) {
		t.Errorf("another tenant's connection: %v", err)
	}
}

func TestProgressAndHistory(t *testing.T) {
	w := newWorld(t)
	c := w.add(databasetest.Default, "results")
	run := w.begin(c, now)
	for _, p := range []Progress{
		{Stream: "course", Records: 5, Skipped: 5, Done: 5, Total: 5},
		{Stream: "results", Records: 100, Statements: 90, Dead: 10, Done: 100, Total: 200},
		{Stream: "results", Records: 100, Statements: 7, Unchanged: 92, Voided: 1, Done: 200, Total: 200},
	} {
		w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error { return AddProgress(ctx, tx, run, p) })
	}
	r := w.run(run)
	if len(r.Streams) != 2 || r.Streams[0].Stream != "course" || r.Streams[1].Done != 200 || r.Streams[1].Total != 200 {
		t.Errorf("streams: %+v", r.Streams)
	}
	if want := (Progress{Records: 205, Unchanged: 92, Statements: 97, Voided: 1, Skipped: 5, Dead: 10}); r.Total != want {
		t.Errorf("total: %+v, want %+v", r.Total, want)
	}
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return NoteTrouble(ctx, tx, run, "rate_limit", "the source wants us to wait")
	})
	if r := w.run(run); r.State != Running || r.Class != "rate_limit" {
		t.Errorf("a run that waits: %+v", r)
	}
	w.end(run, Outcome{State: Succeeded}, now.Add(time.Minute))
	if r := w.run(run); r.Class != "" || r.Error != "" {
		t.Errorf("a run that got on: %+v", r)
	}
	later := w.begin(c, now.Add(time.Hour))
	w.end(later, Outcome{State: Failed, Class: "auth", Error: "the source does not accept the credentials"}, now.Add(time.Hour))
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		list, err := History(ctx, tx, c.ID, time.Time{}, 10)
		if err != nil || len(list) != 2 || list[0].ID != later || list[1].ID != run || list[1].Total.Statements != 97 {
			t.Errorf("history: %+v, %v", list, err)
		}
		list, err = History(ctx, tx, c.ID, now.Add(time.Hour), 10)
		if err != nil || len(list) != 1 || list[0].ID != run {
			t.Errorf("history before: %+v, %v", list, err)
		}
		n, err := PurgeRuns(ctx, tx, now.Add(48*time.Hour))
		if err != nil || n != 1 {
			t.Errorf("purged %d, %v; the newest must stay", n, err)
		}
		return nil
	})
	if n := w.count(databasetest.Default, "SELECT count(*) FROM sync_run_stream"); n != 0 {
		t.Errorf("%d progress rows left of the purged run", n)
	}
	if n := w.count(databasetest.Other, "SELECT count(*) FROM sync_run"); n != 0 {
		t.Errorf("the other tenant sees %d runs", n)
	}
}

// reading starts a stream in a run.
func (w *world) reading(c Connection, run uuid.UUID, s contract.Stream, full bool) Reading {
	w.Helper()
	return w.start(c, run, Start{Stream: s, Mapping: 1, Full: full})
}

func (w *world) start(c Connection, run uuid.UUID, s Start) (r Reading) {
	w.Helper()
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) (err error) {
		r, err = StartStream(ctx, tx, w.keys(databasetest.Default), c.ID, run, s, now)
		return err
	})
	return r
}

func (w *world) save(c Connection, s contract.Stream, cursor string, generation int64) error {
	return w.try(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return SaveCursor(ctx, tx, w.keys(databasetest.Default), c.ID, s.Name, []byte(cursor), generation)
	})
}

func (w *world) complete(c Connection, run uuid.UUID, s contract.Stream) {
	w.Helper()
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return CompleteStream(ctx, tx, c.ID, run, s.Name, now)
	})
}

func TestSnapshotsResumeAndStartAnew(t *testing.T) {
	w := newWorld(t)
	c := w.add(databasetest.Default, "results")
	expect := func(what string, got Reading, cursor string, generation int64, complete bool) {
		t.Helper()
		if string(got.Cursor) != cursor || got.Generation != generation || got.Complete != complete || got.Again != (cursor == "") {
			t.Errorf("%s: %+v (cursor %q), want cursor %q, generation %d, complete %v", what, got, got.Cursor, cursor, generation, complete)
		}
	}
	one, two, three := uuid.New(), uuid.New(), uuid.New()
	expect("first", w.reading(c, one, snapshot, false), "", 1, false)
	if err := w.save(c, snapshot, "row 500", 1); err != nil {
		t.Fatal(err)
	}
	expect("worker died", w.reading(c, one, snapshot, false), "row 500", 1, false)
	expect("worker died in a full run", w.reading(c, one, snapshot, true), "row 500", 1, false)
	expect("next run takes up the snapshot", w.reading(c, two, snapshot, false), "row 500", 1, false)
	expect("full", w.reading(c, three, snapshot, true), "", 2, false)
	if err := w.save(c, snapshot, "row 9", 1); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("a page of the old generation: %v", err)
	}
	if err := w.save(c, snapshot, "row 10", 2); err != nil {
		t.Fatal(err)
	}
	w.complete(c, three, snapshot)
	expect("completed, answer lost", w.reading(c, three, snapshot, false), "row 10", 2, true)
	compares := snapshot
	compares.Compares = true
	next := uuid.New()
	expect("next run starts anew", w.reading(c, next, compares, false), "row 10", 3, false)
	w.complete(c, next, snapshot)
	expect("next run of a connector that does not compare", w.reading(c, uuid.New(), snapshot, false), "", 4, false)

	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		if g, err := Generation(ctx, tx, c.ID, snapshot); err != nil || g != 4 {
			t.Errorf("generation %d, %v; want 4", g, err)
		}
		return nil
	})
	expect("incremental", w.reading(c, one, incremental, false), "", 0, false)
	if err := w.save(c, incremental, "offset 8", 0); err != nil {
		t.Fatal(err)
	}
	w.complete(c, one, incremental)
	expect("goes on", w.reading(c, two, incremental, false), "offset 8", 0, false)
	expect("full", w.reading(c, three, incremental, true), "", 0, false)
	var sealed []byte
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		if _, err := RestartStream(ctx, tx, w.keys(databasetest.Default), c.ID, three, snapshot, now); err != nil {
			return err
		}
		return tx.GetContext(ctx, &sealed, "SELECT cursor FROM connection_cursor WHERE stream = 'log'")
	})
	if strings.Contains(string(sealed), "offset") {
		t.Error("a cursor stands in clear")
	}
	expect("cursor expired", w.reading(c, three, snapshot, false), "", 5, false)
}

// TestPageAndRemovalMeet: whoever comes second waits for the first, and a page after the end of its run does not commit.
func TestPageAndEndMeet(t *testing.T) {
	w := newWorld(t)
	c := w.add(databasetest.Default, "results")
	run := w.begin(c, now)
	ended := make(chan error, 1)
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		if err := HoldLease(ctx, tx, c.ID, run, now.Add(time.Hour)); err != nil {
			return err
		}
		go func() {
			ended <- w.try(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
				return End(ctx, tx, run, Outcome{State: Cancelled}, now)
			})
		}()
		select {
		case err := <-ended:
			t.Errorf("the run ended in the middle of a page: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		return nil
	})
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := w.hold(c, run, now.Add(time.Hour)); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("a page after the end: %v", err)
	}
}

func TestWhatASnapshotIsMadeOfMustNotChange(t *testing.T) {
	w := newWorld(t)
	c := w.add(databasetest.Default, "results")
	course := contract.Stream{Name: "course", Mode: contract.Snapshot}
	dependent := Start{Stream: snapshot, Lookups: []string{"course"}, Mapping: 1}
	page := func(run uuid.UUID, p Progress) {
		t.Helper()
		w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error { return AddProgress(ctx, tx, run, p) })
	}
	at := now
	// next makes a run that reads the course table, giving p, and begins with the results.
	next := func(p Progress, s Start) Reading {
		t.Helper()
		run := w.begin(c, at)
		w.reading(c, run, course, false)
		p.Stream = "course"
		page(run, p)
		w.complete(c, run, course)
		r := w.start(c, run, s)
		at = at.Add(time.Minute)
		w.end(run, Outcome{State: Failed, Class: "transient"}, at) // in the middle of the results
		return r
	}
	if r := next(Progress{Records: 3, Changed: 3}, dependent); r.Cursor != nil || r.Generation != 1 {
		t.Errorf("the first run: %+v", r)
	}
	if err := w.save(c, snapshot, "row 5", 1); err != nil {
		t.Fatal(err)
	}
	if r := next(Progress{Records: 3, Unchanged: 2, Dead: 1}, dependent); string(r.Cursor) != "row 5" || r.Generation != 1 {
		t.Errorf("nothing changed: %+v", r)
	}
	for what, p := range map[string]Progress{"changed": {Records: 3, Unchanged: 2}, "gone": {Changed: 1}, "stored": {Statements: 1}} {
		before := next(Progress{}, dependent)
		if err := w.save(c, snapshot, "row 7", before.Generation); err != nil {
			t.Fatal(err)
		}
		if r := next(p, dependent); r.Cursor != nil || r.Generation != before.Generation+1 {
			t.Errorf("a course is %s: %+v after %+v", what, r, before)
		}
	}
	before := next(Progress{}, dependent)
	if err := w.save(c, snapshot, "row 9", before.Generation); err != nil {
		t.Fatal(err)
	}
	dependent.Mapping = 2
	if r := next(Progress{}, dependent); r.Cursor != nil || r.Generation != before.Generation+1 {
		t.Errorf("another mapping: %+v after %+v", r, before)
	}
	log := Start{Stream: incremental, Lookups: []string{"course"}, Mapping: 1}
	next(Progress{Records: 1}, log)
	if err := w.save(c, incremental, "offset 5", 0); err != nil {
		t.Fatal(err)
	}
	log.Mapping = 2
	if r := next(Progress{Records: 1}, log); string(r.Cursor) != "offset 5" {
		t.Errorf("an incremental stream does not go on: %+v", r)
	}
}
