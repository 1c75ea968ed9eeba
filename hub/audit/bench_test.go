package audit

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/embedded/postgres"
)

// Benchmarks run on a Postgres of their own with fsync on, and state a ratio to what is measured beside them in the same run:
//
//	go test ./hub/audit -run xxx -bench . -benchtime 1x

// safe is a log on a Postgres that keeps its promises.
func safe(b *testing.B) *testLog {
	b.Helper()
	dir, err := os.MkdirTemp("", "lrshub-audit-bench-") // not b.TempDir: under root, Postgres' user must get there
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	server, err := postgres.Start(b.Context(), postgres.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			b.Error(err)
		}
	})
	if err := server.CreateDatabase(b.Context(), "bench"); err != nil {
		b.Fatal(err)
	}
	app := database.AppRole{Name: "bench_app", Password: uuid.NewString()}
	l := &testLog{t: b, dir: b.TempDir(), now: start, ownerURL: server.URL("bench")}
	if err := database.Migrate(b.Context(), l.ownerURL, app); err != nil {
		b.Fatal(err)
	}
	address := must(url.Parse(l.ownerURL))
	address.User = url.UserPassword(app.Name, app.Password)
	l.db = must(database.Open(b.Context(), address.String()))
	l.owner = sqlx.MustOpen("postgres", l.ownerURL)
	b.Cleanup(func() { l.db.Close(); l.owner.Close() })
	l.sequencer = l.hub(l.dir)
	return l
}

// large is an event of about 1 KB, with 15 subjects.
func large(n int) Event {
	e := event(n)
	for s := range 15 {
		e.Subjects = append(e.Subjects, uuid.NewSHA1(uuid.NameSpaceURL, []byte{byte(n), byte(n >> 8), byte(s)}))
	}
	return e
}

// BenchmarkSequencer compares the events that get their leaves in a second with raw COPY of the same event rows: by the owner into a
// table of the same columns and indexes, 2 writers, 500 rows a commit.
func BenchmarkSequencer(b *testing.B) {
	const n = 40_000
	l := safe(b)
	events := make([]EventRow, 0, n)
	for i := range n {
		l.now = l.now.Add(time.Millisecond)
		e := large(i)
		e.ID = must(NewID(l.now))
		events = append(events, EventRow{ID: e.ID, At: l.now.Truncate(time.Microsecond), Kind: e.Kind, Actor: e.Actor, Purpose: e.Purpose, Subjects: sortedSubjects(e.Subjects), Canonical: must(e.Encode(ours, l.now))})
	}
	l.owner.MustExec("CREATE TABLE copied (LIKE audit_event INCLUDING ALL)")
	copied := l.copyRows(b, "copied", events)
	l.copyRows(b, "audit_event", events)
	pending := l.owner.MustBegin()
	for _, e := range events {
		hash := tlog.RecordHash(e.Canonical)
		pending.MustExec("INSERT INTO audit_pending VALUES (1, $1, $2)", e.ID, hash[:])
	}
	if err := pending.Commit(); err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	l.flush(ours)
	sequenced := time.Since(begun)
	begun = time.Now()
	if r, err := l.verify(ours); err != nil || r.Proved != n {
		b.Fatalf("%v\n%v", err, r)
	}
	b.ReportMetric(n/sequenced.Seconds(), "events/s")
	b.ReportMetric(n/copied.Seconds(), "copied/s")
	b.ReportMetric(copied.Seconds()/sequenced.Seconds(), "of-raw-COPY")
	b.ReportMetric(n/time.Since(begun).Seconds(), "verified/s")
	b.ReportMetric(0, "ns/op")
}

// copyRows does the raw COPY and says how long it took.
func (l *testLog) copyRows(b *testing.B, table string, events []EventRow) time.Duration {
	b.Helper()
	owner := sqlx.MustOpen("postgres", l.ownerURL)
	defer owner.Close()
	begun := time.Now()
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			half := len(events) / 2
			for rows := events[w*half : (w+1)*half]; len(rows) > 0; rows = rows[min(500, len(rows)):] {
				if err := copyBatch(owner, table, rows[:min(500, len(rows))]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	return time.Since(begun)
}

func copyBatch(owner *sqlx.DB, table string, rows []EventRow) error {
	tx, err := owner.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	stmt, err := tx.Prepare("COPY " + table + " (tenant_id, id, at, kind, actor, purpose, subjects, canonical) FROM STDIN")
	if err != nil {
		return err
	}
	for _, e := range rows {
		if _, err := stmt.Exec(int(ours), e.ID, e.At, e.Kind, e.Actor, e.Purpose, pq.Array(e.Subjects), e.Canonical); err != nil {
			return err
		}
	}
	if _, err := stmt.Exec(); err != nil {
		return err
	}
	return tx.Commit()
}

// BenchmarkRecord compares a transaction that writes one row with one that writes it and records an event, by one client and by
// sixteen; and a bare event of many subjects, as an ingest page's is.
func BenchmarkRecord(b *testing.B) {
	l := safe(b)
	l.owner.MustExec("CREATE TABLE thing (tenant_id integer, id uuid PRIMARY KEY, body bytea); SELECT tenant_rows('thing', 'SELECT, INSERT')")
	body := make([]byte, 700)
	run := func(clients, each int, record func(i int) *Event) time.Duration {
		begun := time.Now()
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for i := range each {
					err := l.db.Tenant(context.Background(), ours, func(ctx context.Context, tx *database.Tx) error {
						id := uuid.New()
						if _, err := tx.ExecContext(ctx, "INSERT INTO thing VALUES ($1, $2, $3)", tx.Tenant, id[:], body); err != nil {
							return err
						}
						if e := record(i); e != nil {
							return Record(ctx, tx, time.Now(), *e)
						}
						return nil
					})
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return time.Since(begun) / time.Duration(each)
	}
	bare := func(int) *Event { return nil }
	one := func(i int) *Event { e := event(i); return &e }
	thousand := event(0)
	for i := range 1000 {
		thousand.Subjects = append(thousand.Subjects, uuid.NewSHA1(uuid.NameSpaceDNS, fmt.Append(nil, i)))
	}
	for _, clients := range []int{1, 16} {
		run(clients, 200, one) // warm up
		without, with := run(clients, 1500/clients, bare), run(clients, 1500/clients, one)
		b.ReportMetric(float64(with.Microseconds())/float64(without.Microseconds()), fmt.Sprintf("x-one-row-commit-%d-clients", clients))
		b.ReportMetric(float64((with - without).Microseconds()), fmt.Sprintf("us-more-%d-clients", clients))
	}
	without, with := run(1, 300, bare), run(1, 300, func(int) *Event { return &thousand })
	b.ReportMetric(float64((with - without).Microseconds()), "us-more-1000-subjects")
	b.ReportMetric(0, "ns/op")
}
