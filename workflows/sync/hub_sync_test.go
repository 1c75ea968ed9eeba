package sync

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

// TestRealSyncs runs all that follows on one hub, which takes seconds to start.
func TestRealSyncs(t *testing.T) {
	h := startHub(t)
	workers := h.work(h.deps())
	t.Cleanup(func() { workers.Stop() })
	for _, each := range []struct {
		name string
		test func(*hub)
	}{
		{"tables", tables}, {"trouble", trouble}, {"cancel and pause", cancelAndPause}, {"schedule", schedule}, {"dead letters", deadLetters}, {"backfill", backfill},
		{"nothing in clear", nothingInClear},
	} {
		t.Run(each.name, func(t *testing.T) {
			of := *h
			of.T = t
			each.test(&of)
		})
	}
	workers.Stop()
	for name, test := range map[string]func(*hub){"workers change": workersChange, "hanging source": hangingSource} {
		t.Run(name, func(t *testing.T) {
			of := *h
			of.T = t
			test(&of)
		})
	}
}

const tablesFile = `connector: csv
purpose: learning-records
config:
  files:
    - {stream: mark, file: mark.csv, key: [id], subject: pupil, deletes: absence, columns: {id: int, pupil: string, exam: string, points: double}}
    - {stream: exam, file: exam.csv, key: [code], columns: {code: string, title: string, out_of: double}}
mapping:
  name: marks
  version: 1
  catalogue: ["https://school.example/exam/"]
  streams:
    exam: {about: Looked up.}
    mark:
      lookups:
        exam: {stream: exam, "on": {code: record.exam}}
      subject:
        account: {homePage: "https://school.example", name: "${record.pupil}"}
      statements:
        - name: scored
          statement:
            verb: {id: "http://adlnet.gov/expapi/verbs/scored"}
            object: {id: "https://school.example/exam/${record.exam}"}
            result: {score: {raw: "${record.points}", max: "${exam.out_of}"}}
            timestamp: "2026-06-01T12:00:00Z"
`

// marks makes a table of n marks; changed ones have a point more.
func marks(n int, changed ...int) string {
	var b strings.Builder
	b.WriteString("id,pupil,exam,points\n")
	for i := range n {
		points := i % 10
		for _, c := range changed {
			if c == i {
				points++
			}
		}
		fmt.Fprintf(&b, "%d,zq-pupil-token-%d,e%d,%d\n", i, i%40, i%3, points)
	}
	return b.String()
}

const exams = "code,title,out_of\ne0,First,20\ne1,Second,20\ne2,Third,20\n"

func tables(h *hub) {
	folder := h.TempDir()
	h.write(filepath.Join(folder, "mark.csv"), marks(2500))
	h.write(filepath.Join(folder, "exam.csv"), exams)
	c := h.add("marks", tablesFile, map[string]string{"folder": folder})
	for _, step := range []struct {
		what       string
		mark, exam string
		full       bool
		statements int64 // stored in this run, voidings included
		live       int
	}{
		{what: "first run", statements: 2500, live: 2500},
		{what: "nothing new", live: 2500},
		{what: "everything again", full: true, live: 2500},
		{what: "one mark changed", mark: marks(2500, 17), statements: 2, live: 2500},
		{what: "changed back", mark: marks(2500), statements: 2, live: 2500},
		{what: "a hundred marks gone", mark: marks(2400), statements: 100, live: 2400},
		{what: "and there again", mark: marks(2500), statements: 100, live: 2500},
		{what: "a looked-up exam changed", exam: strings.Replace(exams, "Third,20", "Third,25", 1), statements: 2 * 833, live: 2500},
		{what: "nothing new again", live: 2500},
	} {
		if step.mark != "" {
			h.write(filepath.Join(folder, "mark.csv"), step.mark)
		}
		if step.exam != "" {
			h.write(filepath.Join(folder, "exam.csv"), step.exam)
		}
		r, err := h.sync(c, step.full)
		if err != nil || r.State != connection.Succeeded {
			h.Fatalf("%s: %v, %+v", step.what, err, r)
		}
		if r.Total.Statements != step.statements || h.statements(c) != step.live || r.Total.Dead != 0 {
			h.Errorf("%s: stored %d (want %d), %d live (want %d): %+v", step.what, r.Total.Statements, step.statements, h.statements(c), step.live, r.Streams)
		}
		if step.full && r.Total.Records != 2503 {
			h.Errorf("%s: %d records read", step.what, r.Total.Records)
		}
	}
}

const ledgerFile = `connector: ledger
purpose: learning-records
config:
  token: open-sesame
mapping:
  name: ledger
  version: 1
  streams:
    entries:
      subject:
        account: {homePage: "https://school.example", name: "${record.who}"}
      statements:
        - name: entered
          statement:
            verb: {id: "http://adlnet.gov/expapi/verbs/experienced"}
            object: {id: "https://school.example/entry/${record.n}"}
            timestamp: "2026-06-01T12:00:00Z"
`

// addLedger adds a ledger with a number of entries and a script.
func (h *hub) addLedger(name string, total int, script string) (connection.Connection, string) {
	h.Helper()
	folder := h.TempDir()
	h.write(filepath.Join(folder, "total"), fmt.Sprint(total))
	h.write(filepath.Join(folder, "script"), script)
	return h.add(name, ledgerFile, map[string]string{"folder": folder}), folder
}

func trouble(h *hub) {
	c, folder := h.addLedger("trouble", 100, "die 3")
	script := func(text string) { h.write(filepath.Join(folder, "script"), text) }
	followed := make(chan struct{})
	go func() { // the second attempt begins after ten seconds
		defer close(followed)
		h.newest(c, "dead", func(r connection.Run) bool { return r.Class == ClassDied && r.Total.Records == 30 })
		script("rate 2")
		h.newest(c, "waiting", func(r connection.Run) bool { return r.Class == "rate_limit" })
		script("slow 1")
	}()
	r, err := h.sync(c, false)
	<-followed
	if err != nil || r.State != connection.Succeeded || h.statements(c) != 100 || r.Total.Records != 100 || r.Class != "" {
		h.Errorf("after a death and a rate limit: %v, %d live, %+v", err, h.statements(c), r)
	}
	h.keepHistory("sync-trouble.json", h.target(c).workflowID())
	script("auth 0")
	r, err = h.sync(c, false)
	var failed *RunError
	if !errors.As(err, &failed) || failed.Class != "auth" || r.State != connection.Failed || r.Class != "auth" || !strings.Contains(r.Error, "renew the token") {
		h.Errorf("without credentials: %v, %+v", err, r)
	}
	h.keepHistory("sync-auth.json", h.target(c).workflowID())
	h.write(filepath.Join(folder, "total"), "120")
	script("expired 0")
	r, err = h.sync(c, false)
	if err != nil || r.Total.Records != 120 || r.Total.Statements != 20 || h.statements(c) != 120 {
		h.Errorf("the cursor expired: %v, %+v", err, r)
	}
	for _, told := range []string{"entries=30", "entries=120"} {
		if !strings.Contains(h.log.String(), told) {
			h.Errorf("the source was not told %s", told)
		}
	}
}

func cancelAndPause(h *hub) {
	c, _ := h.addLedger("slow", 1000, "slow 100")
	if _, err := Start(h.Context(), h.client, h.db, h.target(c), false, "client-1"); err != nil {
		h.Fatal(err)
	}
	going := h.newest(c, "getting on", func(r connection.Run) bool { return r.Total.Statements > 0 })
	if _, err := Start(h.Context(), h.client, h.db, h.target(c), false, "client-1"); !errors.Is(err, connection.ErrRunning) {
		h.Errorf("a second start: %v", err)
	}
	if s, err := Describe(h.Context(), h.client, h.target(c)); err != nil || !s.Running || s.Run != going.ID || s.Attempt != 1 || s.Scheduled {
		h.Errorf("status: %+v, %v", s, err)
	}
	if err := Cancel(h.Context(), h.client, h.target(c)); err != nil {
		h.Fatal(err)
	}
	cancelled := h.newest(c, "cancelled", func(r connection.Run) bool { return r.State != connection.Running })
	if cancelled.State != connection.Cancelled || cancelled.Total.Statements >= 1000 {
		h.Errorf("cancelled: %+v", cancelled)
	}
	var ended *RunError
	if err := Wait(h.Context(), h.client, h.target(c)); !errors.As(err, &ended) || ended.Class != "cancelled" {
		h.Errorf("the workflow of a cancelled run: %v", err)
	}
	h.keepHistory("sync-cancelled.json", h.target(c).workflowID())
	if err := Cancel(h.Context(), h.client, h.target(c)); !errors.Is(err, ErrNotRunning) {
		h.Errorf("nothing to cancel: %v", err)
	}
	// A pause ends the run, and none starts until the connection is resumed.
	if _, err := Start(h.Context(), h.client, h.db, h.target(c), false, "client-1"); err != nil {
		h.Fatal(err)
	}
	h.newest(c, "getting on", func(r connection.Run) bool { return r.ID != cancelled.ID && r.Total.Statements > 0 })
	act := connection.Act{Actor: "client-1", Now: time.Now()}
	h.do(tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		c, err = connection.Pause(ctx, tx, act, c.ID)
		return err
	})
	if err := Pause(h.Context(), h.client, tenant, c); err != nil {
		h.Fatal(err)
	}
	h.newest(c, "ended", func(r connection.Run) bool { return r.State == connection.Cancelled })
	if _, err := Start(h.Context(), h.client, h.db, h.target(c), false, "client-1"); !errors.Is(err, connection.ErrPaused) {
		h.Errorf("a start while paused: %v", err)
	}
	h.do(tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		c, err = connection.Resume(ctx, tx, act, c.ID)
		return err
	})
	if err := Resume(h.Context(), h.client, tenant, c); err != nil {
		h.Fatal(err)
	}
	if r, err := h.sync(c, false); err != nil || h.statements(c) != 1000 || r.Total.Unchanged != 0 {
		h.Errorf("the rest: %v, %d live, %+v", err, h.statements(c), r)
	}
}

func deadLetters(h *hub) {
	folder := h.TempDir()
	h.write(filepath.Join(folder, "mark.csv"), marks(30)+"30,zq-pupil-token-30,e9,5\n31,zq-pupil-token-31,e9,6\n")
	h.write(filepath.Join(folder, "exam.csv"), exams)
	c := h.add("dead", tablesFile, map[string]string{"folder": folder})
	r, err := h.sync(c, false)
	if err != nil || r.Total.Dead != 2 || h.statements(c) != 30 {
		h.Fatalf("marks of an unknown exam: %v, %+v", err, r)
	}
	h.write(filepath.Join(folder, "exam.csv"), exams+"e9,Ninth,10\n")
	// The exam is read only by a sync, which brings the marks again too: so mend the mapping instead, and replay.
	h.apply(c, strings.Replace(tablesFile, `max: "${exam.out_of}"`, `max: "${exam == null ? 10.0 : exam.out_of}"`, 1), folder)
	if _, err := StartReplay(h.Context(), h.client, h.db, h.target(c), "client-1"); err != nil {
		h.Fatal(err)
	}
	if err := Wait(h.Context(), h.client, h.target(c)); err != nil {
		h.Fatal(err)
	}
	h.keepHistory("replay.json", h.target(c).workflowID())
	replayed := h.newest(c, "replayed", func(r connection.Run) bool { return r.Kind == connection.Replay })
	if replayed.State != connection.Succeeded || replayed.Total.Statements != 2 || h.statements(c) != 32 {
		h.Errorf("replay: %+v, %d live", replayed, h.statements(c))
	}
	h.do(tenant, func(ctx context.Context, tx *database.Tx) error {
		open, err := connection.CountDeadLetters(ctx, tx, c.ID)
		if len(open) != 0 {
			h.Errorf("open letters: %+v", open)
		}
		return err
	})
}

// apply puts the mapping of another file into force.
func (h *hub) apply(c connection.Connection, file, folder string) {
	h.Helper()
	spec, err := connection.ParseFile([]byte(file), map[string]string{"folder": folder})
	if err != nil {
		h.Fatal(err)
	}
	d, err := csvDescription(spec.Config)
	if err != nil {
		h.Fatal(err)
	}
	checked, err := connection.Check(spec, d)
	if err != nil {
		h.Fatal(err)
	}
	h.do(tenant, func(ctx context.Context, tx *database.Tx) error {
		_, _, err := connection.ApplyMapping(ctx, tx, connection.Act{Actor: "client-1", Now: time.Now()}, c.ID, checked)
		return err
	})
}

// nothingInClear looks for what the syncs before handled in every row of Temporal's database.
func nothingInClear(h *hub) {
	db, err := sqlx.Open("postgres", h.temporal)
	if err != nil {
		h.Fatal(err)
	}
	defer db.Close()
	var names []string
	if err := db.Select(&names, "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"); err != nil {
		h.Fatal(err)
	}
	find := func(token string) (rows int) {
		for _, name := range names {
			var n int
			// Rows as text: bytes are in hex there.
			if err := db.Get(&n, "SELECT count(*) FROM "+name+" t WHERE t::text LIKE '%' || $1 || '%' OR t::text LIKE '%' || $2 || '%'",
				token, hex.EncodeToString([]byte(token))); err != nil {
				h.Fatal(err)
			}
			rows += n
		}
		return rows
	}
	if find("ReadStream") == 0 {
		h.Error("the search does not even find the name of an activity")
	}
	for _, token := range []string{"zq-pupil-token", "zq-unmapped-token", "client-1", "renew the token", "entries", "mark.csv", "school.example"} {
		if n := find(token); n > 0 {
			h.Errorf("%q stands in clear in %d rows of Temporal's database", token, n)
		}
	}
}
