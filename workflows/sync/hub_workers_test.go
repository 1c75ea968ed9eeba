package sync

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/lrshub/lrshub/hub/connection"
)

// workersChange stops the worker in the middle of a read; another one goes on with the same run, in small slices.
func workersChange(h *hub) {
	c, _ := h.addLedger("moving", 150, "slow 50")
	first := h.work(h.deps())
	run, err := Start(h.Context(), h.client, h.db, h.target(c), true, "client-1")
	if err != nil {
		h.Fatal(err)
	}
	h.newest(c, "getting on", func(r connection.Run) bool { return r.Total.Statements > 0 })
	began := time.Now()
	first.Stop()
	if took := time.Since(began); took > stopTime+5*time.Second {
		h.Errorf("stopping took %s", took)
	}
	if r := h.run(run); r.State != connection.Running {
		h.Fatalf("the worker took the run with it: %+v", r)
	}
	d := h.deps()
	d.slice = 20 * time.Millisecond
	second := h.work(d)
	defer second.Stop()
	if err := Wait(h.Context(), h.client, h.target(c)); err != nil {
		h.Fatal(err)
	}
	h.keepHistory("sync-slices.json", h.target(c).workflowID())
	r := h.run(run)
	if r.State != connection.Succeeded || h.statements(c) != 150 || r.Total.Records != 150 {
		h.Errorf("%+v, %d live", r, h.statements(c))
	}
}

// hangingSource: the source of one connection hangs, and the worker has one place a lane; another connection is synced meanwhile.
func hangingSource(h *hub) {
	d := h.deps()
	d.Connectors, d.hanging = 1, time.Second
	workers := h.work(d)
	defer workers.Stop()
	stuck, _ := h.addLedger("hanging", 20, "hang 0")
	if _, err := Start(h.Context(), h.client, h.db, h.target(stuck), false, "client-1"); err != nil {
		h.Fatal(err)
	}
	h.newest(stuck, "begun", func(r connection.Run) bool { return r.State == connection.Running })
	began := time.Now()
	for i := range 3 {
		c, _ := h.addLedger(fmt.Sprint("prompt-", i), 20, "")
		if r, err := h.sync(c, false); err != nil || r.State != connection.Succeeded {
			h.Fatalf("%v, %+v", err, r)
		}
	}
	if took := time.Since(began); took > 40*time.Second { // the host ends a hanging read after 60
		h.Errorf("three syncs beside a hanging one took %s", took)
	}
	if r := h.newest(stuck, "there", func(connection.Run) bool { return true }); r.State != connection.Running || r.Total.Records != 0 {
		h.Fatalf("the hanging run: %+v", r)
	}
	if err := Cancel(h.Context(), h.client, h.target(stuck)); err != nil {
		h.Fatal(err)
	}
	h.newest(stuck, "ended", func(r connection.Run) bool { return r.State == connection.Cancelled })
}

// backfill reads a range again, whatever was read before, and the stream goes on from where it stood.
func backfill(h *hub) {
	c, folder := h.addLedger("backfilled", 30, "slow 1")
	if r, err := h.sync(c, false); err != nil || h.statements(c) != 30 {
		h.Fatalf("%+v, %v", r, err)
	}
	run, err := Backfill(h.Context(), h.client, h.db, h.target(c), time.Unix(25, 0), time.Unix(46, 0), "client-1")
	if err != nil {
		h.Fatal(err)
	}
	if err := Wait(h.Context(), h.client, h.target(c)); err != nil {
		h.Fatal(err)
	}
	if r := h.run(run); r.State != connection.Succeeded || r.Total.Records != 21 || r.Total.Unchanged != 6 || r.Total.Statements != 15 || h.statements(c) != 45 {
		h.Errorf("backfill: %+v, %d live", r, h.statements(c))
	}
	h.write(filepath.Join(folder, "total"), "40")
	if r, err := h.sync(c, false); err != nil || r.Total.Records != 10 || r.Total.Unchanged != 10 { // from 30 on, where it stood
		h.Errorf("the next run: %+v, %v", r, err)
	}
	folder = h.TempDir()
	h.write(filepath.Join(folder, "mark.csv"), marks(3))
	h.write(filepath.Join(folder, "exam.csv"), exams)
	table := h.add("tables", tablesFile, map[string]string{"folder": folder})
	if _, err := Backfill(h.Context(), h.client, h.db, h.target(table), time.Unix(0, 1), time.Unix(9, 0), "client-1"); err != nil {
		h.Fatal(err)
	}
	if err := Wait(h.Context(), h.client, h.target(table)); err == nil || !strings.Contains(err.Error(), "full") {
		h.Errorf("streams that cannot: %v", err)
	}
}
