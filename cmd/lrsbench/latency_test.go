package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

func TestLatencyComparesPostAndCommit(t *testing.T) {
	owner := databasetest.NewEmpty(t)
	var r latencyReport
	reported(t, &r, "latency", "--clients", "1,3", "--each", "150ms", "--rounds", "3", "--database-owner-url", owner)
	if len(r.Clients) != 2 || r.Clients[0].Clients != 1 || r.Clients[1].Clients != 3 || r.Goal != latencyGoal {
		t.Fatalf("%+v", r)
	}
	for _, e := range r.Clients {
		for _, way := range []times{e.Post, e.Commit} {
			if way.P50 <= 0 || way.P99 < way.P50 || way.PerSecond <= 0 || way.Requests < 3 {
				t.Errorf("%d clients: %+v", e.Clients, way)
			}
		}
		// A POST holds a commit, and more.
		if e.Ratio <= 1 || e.Lowest > e.Ratio || e.Highest < e.Ratio || e.Post.P50 <= e.Commit.P50 {
			t.Errorf("%+v", e)
		}
	}
	var table strings.Builder
	if err := r.print(&table, "table"); err != nil || !strings.Contains(table.String(), "COMMIT P50 MS") {
		t.Errorf("%v: %s", err, table.String())
	}
}

func TestLatencyRefuses(t *testing.T) {
	for _, args := range []string{"--clients 0", "--clients 65", "--each 0s", "--rounds 0", "--clients ,"} {
		if _, err := lrsbench(t, append([]string{"latency"}, strings.Fields(args)...)...); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

func TestPercentiles(t *testing.T) {
	of := tally{wall: 2 * time.Second}
	for i := range 200 {
		of.times = append(of.times, time.Duration(i+1)*time.Millisecond)
	}
	for p, want := range map[int]time.Duration{50: 101 * time.Millisecond, 95: 191 * time.Millisecond, 99: 199 * time.Millisecond, 100: 200 * time.Millisecond} {
		if got := of.percentile(p); got != want {
			t.Errorf("p%d: %v, want %v", p, got, want)
		}
	}
	if rate := of.perSecond(500); math.Abs(rate-250) > 1e-9 {
		t.Errorf("%v a second", rate)
	}
}
