package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/lrshub/lrshub/hub/connection"
)

// connectionsReport is what a run found.
type connectionsReport struct {
	Connections int              `json:"connections"`
	For         string           `json:"for"`
	Kinds       []connectionKind `json:"kinds"`
	Memory      steady           `json:"memory"` // of the hub and all its children, Postgres too: proportional set size, in bytes
}

// connectionKind is what became of the connections with one kind of source.
type connectionKind struct {
	Kind        kind    `json:"kind"`
	Connections int     `json:"connections"`
	Runs        int     `json:"runs"`
	Failed      int     `json:"failed"`
	Missing     int     `json:"missing"`                 // runs that should have begun in the time, and did not
	Late        float64 `json:"late_p99_s"`              // how much more than its interval lay between two runs of a connection
	Latest      float64 `json:"latest_s"`                // the most of that
	Took        float64 `json:"took_p50_s"`              // from a run's beginning to its end
	TookLong    float64 `json:"took_p99_s"`              //
	Within      *bool   `json:"within_limits,omitempty"` // none is missing, none is late; of prompt sources only: the others have their own pace
}

// steady is what memory was in the course of the time.
type steady struct {
	First int64   `json:"first_tenth"` // on average
	Half  int64   `json:"sixth_tenth"`
	Last  int64   `json:"last_tenth"`
	Most  int64   `json:"most"`
	Grew  float64 `json:"growth"` // from the sixth tenth to the last
	Flat  bool    `json:"flat"`
}

func (b *connections) report(looks []int64) *connectionsReport {
	r := &connectionsReport{Connections: b.number, For: b.lasts.String(), Memory: steadiness(looks)}
	for _, k := range []kind{prompt, slow, hanging, broken} {
		if entry := b.ofKind(k); entry.Connections > 0 {
			r.Kinds = append(r.Kinds, entry)
		}
	}
	return r
}

func (b *connections) ofKind(k kind) connectionKind {
	entry := connectionKind{Kind: k}
	var late, took []time.Duration
	for _, c := range b.list {
		if c.kind != k {
			continue
		}
		entry.Connections++
		entry.Runs += len(c.runs)
		entry.Missing += max(int(b.lasts/c.every)-len(c.runs), 0)
		for i, r := range c.runs {
			if i > 0 {
				late = append(late, max(r.StartedAt.Sub(c.runs[i-1].StartedAt)-c.every, 0))
			}
			if r.State == connection.Failed {
				entry.Failed++
			}
			if r.EndedAt != nil {
				took = append(took, r.EndedAt.Sub(r.StartedAt))
			}
		}
	}
	entry.Late, entry.Latest = secondsAt(late, 99), secondsAt(late, 100)
	entry.Took, entry.TookLong = secondsAt(took, 50), secondsAt(took, 99)
	if k == prompt {
		within := entry.Missing == 0 && entry.Latest <= lateGoal.Seconds()
		entry.Within = &within
	}
	return entry
}

// secondsAt gives a percentile; 0 of nothing.
func secondsAt(list []time.Duration, percent int) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[max((len(list)*percent+99)/100, 1)-1].Seconds()
}

func steadiness(looks []int64) steady {
	tenth := func(n int) int64 {
		part := looks[len(looks)*n/10 : max(len(looks)*(n+1)/10, len(looks)*n/10+1)]
		var sum int64
		for _, l := range part {
			sum += l
		}
		return sum / int64(len(part))
	}
	s := steady{First: tenth(0), Half: tenth(5), Last: tenth(9), Most: slices.Max(looks)}
	s.Grew = float64(s.Last) / float64(s.Half)
	s.Flat = s.Grew <= steadyGoal
	return s
}

func (r *connectionsReport) print(w io.Writer, format string) error {
	return show(w, format, r, func(t *tabwriter.Writer) {
		fmt.Fprintf(t, "%d connections, looked at for %s. Late: how much more than its interval lay between the beginnings of two runs of a connection.\n\n", r.Connections, r.For)
		fmt.Fprintln(t, "SOURCE\tCONNECTIONS\tRUNS\tFAILED\tMISSING\tLATE P99 S\tLATEST S\tTOOK P50 S\tP99 S\tWITHIN LIMITS")
		for _, k := range r.Kinds {
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%s\n", k.Kind, k.Connections, k.Runs, k.Failed, k.Missing, k.Late, k.Latest, k.Took, k.TookLong, yesNo(k.Within))
		}
		m := r.Memory
		fmt.Fprintf(t, "\nMemory of the hub with its children in MiB: first tenth %d, sixth %d, last %d, most %d; growth from the sixth to the last %.2f, flat: %s\n",
			m.First>>20, m.Half>>20, m.Last>>20, m.Most>>20, m.Grew, yesNo(&m.Flat))
	})
}

func yesNo(yes *bool) string {
	switch {
	case yes == nil:
		return "–"
	case *yes:
		return "yes"
	}
	return "NO"
}
