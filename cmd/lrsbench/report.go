package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// report is what a run found.
type report struct {
	Yardstick string      `json:"yardstick"` // the road that has ratio 1
	Rounds    int         `json:"rounds"`
	Writers   int         `json:"writers"`
	Batch     int         `json:"batch"` // rows a commit
	Roads     []roadRatio `json:"roads"`
	Statement float64     `json:"statement_bytes,omitempty"` // of a statement as sent
	Sizes     []size      `json:"stored_bytes"`
	Memory    *memory     `json:"memory,omitempty"`
}

// roadRatio is one road. All times are in units of the time that the yardstick takes for a row in the same round.
type roadRatio struct {
	Name      string  `json:"name"`
	Ratio     float64 `json:"ratio"` // rows stored while the yardstick stores one: median of the rounds
	Lowest    float64 `json:"lowest"`
	Highest   float64 `json:"highest"`
	Hub       float64 `json:"hub_processor"` // processor time of this process for a row
	Connector float64 `json:"connector_processor,omitempty"`
	Postgres  float64 `json:"postgres_processor"` // of the backends
	WAL       float64 `json:"wal_bytes"`          // for a row
}

// size is what a table takes, for a statement.
type size struct {
	Table   string  `json:"table"`
	Bytes   float64 `json:"bytes"` // all together
	Heap    float64 `json:"table_bytes"`
	Indexes float64 `json:"index_bytes"`
	Toast   float64 `json:"toast_bytes"`
}

func (o *common) report(roads []*road) (*report, error) {
	y := yardstick(roads)
	if y == nil || y.wall() == 0 {
		return nil, fmt.Errorf("raw COPY took no time that can be measured: take more rows")
	}
	r := &report{Yardstick: y.name, Rounds: o.rounds, Writers: o.writers, Batch: o.batch}
	for _, road := range roads {
		ratios := road.ratios(y)
		entry := roadRatio{Name: road.name, Ratio: median(ratios, itself), Lowest: slices.Min(ratios), Highest: slices.Max(ratios),
			WAL: math.Round(median(road.samples, func(s sample) float64 { return s.wal }))}
		share := func(of func(sample) time.Duration) float64 {
			list := make([]float64, len(road.samples))
			for i, s := range road.samples {
				list[i] = float64(of(s)) / float64(y.samples[i].wall)
			}
			return median(list, itself)
		}
		entry.Hub = share(func(s sample) time.Duration { return s.hub })
		entry.Connector = share(func(s sample) time.Duration { return s.connector })
		entry.Postgres = share(func(s sample) time.Duration { return s.postgres })
		r.Roads = append(r.Roads, entry)
	}
	return r, nil
}

func itself(v float64) float64 { return v }

// sizes gives what each table of a database takes, largest first.
func sizes(ctx context.Context, ownerURL string) ([]size, error) {
	db, err := sql.Open("postgres", ownerURL)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `
SELECT relname, pg_total_relation_size(oid) / n AS bytes, pg_relation_size(oid) / n, pg_indexes_size(oid) / n,
    CASE reltoastrelid WHEN 0 THEN 0 ELSE pg_total_relation_size(reltoastrelid) END / n
FROM pg_class, (SELECT greatest(count(*), 1)::float8 AS n FROM statement) AS statements
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY bytes DESC`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []size
	for rows.Next() {
		var s size
		if err := rows.Scan(&s.Table, &s.Bytes, &s.Heap, &s.Indexes, &s.Toast); err != nil {
			return nil, err
		}
		if s.Bytes = math.Round(s.Bytes); s.Bytes >= 1 {
			list = append(list, s)
		}
	}
	return list, rows.Err()
}

// show prints a report as JSON, or as the table that it writes.
func show(w io.Writer, format string, report any, table func(t *tabwriter.Writer)) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	table(t)
	return t.Flush()
}

func (r *report) print(w io.Writer, format string) error { return show(w, format, r, r.table) }

func (r *report) table(t *tabwriter.Writer) {
	fmt.Fprintf(t, "%d rounds, %d writers, %d rows a commit. Ratio: rows stored while %q stores one; processor time: in units of its time for a row.\n\n",
		r.Rounds, r.Writers, r.Batch, r.Yardstick)
	fmt.Fprintln(t, "ROAD\tRATIO\tLOWEST\tHIGHEST\tHUB CPU\tCONNECTOR CPU\tPOSTGRES CPU\tWAL BYTES")
	for _, e := range r.Roads {
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\n", e.Name, e.Ratio, e.Lowest, e.Highest, e.Hub, e.Connector, e.Postgres, e.WAL)
	}
	fmt.Fprintln(t)
	if r.Statement > 0 {
		fmt.Fprintf(t, "BYTES A STATEMENT\tas sent\t%.0f\n", r.Statement)
	} else {
		fmt.Fprintln(t, "BYTES A STATEMENT")
	}
	for _, s := range r.Sizes {
		fmt.Fprintf(t, "\t%s\t%.0f\n", s.Table, s.Bytes)
	}
	if m := r.Memory; m != nil {
		fmt.Fprintf(t, "\nMEMORY, MiB (PSS)\tidle\t%d\n\tgrowth, hub and connector\t%d\n\tof it the connector\t%d\n", m.Idle>>20, m.Growth>>20, m.Connector>>20)
	}
}
