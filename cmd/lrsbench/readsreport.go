package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// readsReport is what a run found.
type readsReport struct {
	Page     int          `json:"page"` // limit of every query
	Requests int          `json:"requests"`
	Goal     float64      `json:"goal"` // of the growth
	Sizes    []readsSize  `json:"sizes"`
	Queries  []readsQuery `json:"queries"`
}

// readsSize is one size of the store.
type readsSize struct {
	Statements int     `json:"statements"`
	Stage      int     `json:"stage"`          // of them stored since the size before
	Filled     float64 `json:"filled_seconds"` // 0: by an earlier run
	About      float64 `json:"about_p50_ms"`   // a request that reads nothing
	Tables     []size  `json:"stored_bytes"`   // for a statement
}

// readsQuery is one query of one reader.
type readsQuery struct {
	Reader string      `json:"reader"`
	Query  string      `json:"query"`
	At     []readTimes `json:"at"`     // by size
	Growth float64     `json:"growth"` // of the p50 from the first size to the last; 0: there is one size only, or it failed at one of them
	Within bool        `json:"within_goal"`
}

// readTimes are in milliseconds.
type readTimes struct {
	P50      float64 `json:"p50_ms"`
	P95      float64 `json:"p95_ms"`
	Page     float64 `json:"statements"` // a page, on average
	Requests int     `json:"requests"`
	Failed   string  `json:"failed,omitempty"`
}

func (r *readsReport) add(reader, query string, t readTimes) {
	for i := range r.Queries {
		if q := &r.Queries[i]; q.Reader == reader && q.Query == query {
			q.At = append(q.At, t)
			return
		}
	}
	r.Queries = append(r.Queries, readsQuery{Reader: reader, Query: query, At: []readTimes{t}})
}

// compare holds the last size against the first, if there are two.
func (r *readsReport) compare() {
	if len(r.Sizes) < 2 {
		return
	}
	for i := range r.Queries {
		q := &r.Queries[i]
		first, last := q.At[0], q.At[len(q.At)-1]
		if first.P50 > 0 && last.P50 > 0 {
			q.Growth = last.P50 / first.P50
			q.Within = q.Growth < r.Goal
		}
	}
}

func (r *readsReport) print(w io.Writer, format string) error { return show(w, format, r, r.table) }

func (r *readsReport) table(t *tabwriter.Writer) {
	fmt.Fprintf(t, "Pages of %d, one client, up to %d requests each. Growth: of the p50 from the first size to the last; goal: less than %.1f.\n\n", r.Page, r.Requests, r.Goal)
	fmt.Fprint(t, "STATEMENTS\tFILLED, PER S\tABOUT P50 MS")
	for _, s := range r.Sizes {
		fmt.Fprintf(t, "\n%d\t", s.Statements)
		if s.Filled > 0 {
			fmt.Fprintf(t, "%.0f", float64(s.Stage)/s.Filled)
		}
		fmt.Fprintf(t, "\t%.2f", s.About)
	}
	fmt.Fprint(t, "\n\nREADER\tQUERY")
	for _, s := range r.Sizes {
		fmt.Fprintf(t, "\tP50 MS AT %d\tP95\tA PAGE", s.Statements)
	}
	fmt.Fprintln(t, "\tGROWTH\tGOAL")
	for _, q := range r.Queries {
		fmt.Fprintf(t, "%s\t%s", q.Reader, q.Query)
		for _, at := range q.At {
			if at.Failed != "" {
				fmt.Fprint(t, "\tfailed\t\t")
				continue
			}
			fmt.Fprintf(t, "\t%.2f\t%.2f\t%.1f", at.P50, at.P95, at.Page)
		}
		switch {
		case len(q.At) < 2:
			fmt.Fprintln(t)
		case q.Growth == 0:
			fmt.Fprintln(t, "\t\tfailed")
		case q.Within:
			fmt.Fprintf(t, "\t%.2f\tyes\n", q.Growth)
		default:
			fmt.Fprintf(t, "\t%.2f\tNO\n", q.Growth)
		}
	}
	r.failures(t)
	fmt.Fprintln(t, "\nThe audit log holds an event of each of these queries too: audit_event grows with what was asked at the size before.")
	for _, s := range r.Sizes {
		fmt.Fprintf(t, "\nBYTES A STATEMENT AT %d\tALL\tTABLE\tINDEXES\tTOAST\n", s.Statements)
		for _, of := range s.Tables {
			if of.Bytes < leastShown {
				continue
			}
			fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.0f\n", of.Table, of.Bytes, of.Heap, of.Indexes, of.Toast)
		}
	}
}

// leastShown is the least that a table takes for a statement to be worth a line; JSON has them all.
const leastShown = 10

// failures says why queries failed.
func (r *readsReport) failures(t *tabwriter.Writer) {
	for _, q := range r.Queries {
		for i, at := range q.At {
			if at.Failed != "" {
				fmt.Fprintf(t, "\n%s, %s, at %d statements: %s\n", q.Reader, q.Query, r.Sizes[i].Statements, at.Failed)
			}
		}
	}
}
