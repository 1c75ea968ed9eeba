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

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"go.temporal.io/sdk/client"

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
		{"tables", tables}, {"trouble", trouble}, {"cancel and pause", cancelAndPause}, {"schedule", schedule}, {"dead letters", deadLetters},
		{"nothing in clear", nothingInClear},
	} {
		t.Run(each.name, func(t *testing.T) {
			of := *h
			of.T = t
			each.test(&of)
		})
	}
	workers.Stop()
	t.Run("workers change", func(t *testing.T) {
		of := *h
		of.T = t
		workersChange(&of)
	})
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
	c, folder := h.addLedger("trouble", 100, "die 3\nrate 2\nslow 1\n")
	r, err := h.sync(c, false)
	if err != nil || r.State != connection.Succeeded || h.statements(c) != 100 || r.Total.Records != 100 || r.Class != "" {
		h.Errorf("after a death and a rate limit: %v, %d live, %+v", err, h.statements(c), r)
	}
	h.keepHistory("sync-trouble.json", h.target(c).workflowID())
	h.write(filepath.Join(folder, "script"), "auth\n")
	r, err = h.sync(c, false)
	var failed *RunError
	if !errors.As(err, &failed) || failed.Class != "auth" || r.State != connection.Failed || r.Class != "auth" || !strings.Contains(r.Error, "renew the token") {
		h.Errorf("without credentials: %v, %+v", err, r)
	}
	h.keepHistory("sync-auth.json", h.target(c).workflowID())
	h.write(filepath.Join(folder, "total"), "120")
	h.write(filepath.Join(folder, "script"), "expired\n")
	r, err = h.sync(c, false)
	if err != nil || r.Total.Records != 120 || r.Total.Statements != 20 || h.statements(c) != 120 {
		h.Errorf("the cursor expired: %v, %+v", err, r)
	}
	if n, err := readNumber(filepath.Join(folder, "committed")); err != nil || n != 120 {
		h.Errorf("the source was told of %d entries, %v", n, err)
	}
}

func cancelAndPause(h *hub) {
	c, _ := h.addLedger("slow", 1000, "slow 100\nslow 100\n")
	syncs := Syncs{Client: h.client, DB: h.db}
	if _, err := syncs.Start(h.Context(), tenant, c.ID, false, "client-1"); err != nil {
		h.Fatal(err)
	}
	going := h.newest(c, "getting on", func(r connection.Run) bool { return r.Total.Statements > 0 })
	if _, err := syncs.Start(h.Context(), tenant, c.ID, false, "client-1"); !errors.Is(err, connection.ErrRunning) {
		h.Errorf("a second start: %v", err)
	}
	if s, err := Describe(h.Context(), h.client, h.target(c)); err != nil || !s.Running || s.Run != going.ID || s.Attempt != 1 || s.Scheduled {
		h.Errorf("status: %+v, %v", s, err)
	}
	if err := syncs.Cancel(h.Context(), tenant, c.ID); err != nil {
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
	if err := syncs.Cancel(h.Context(), tenant, c.ID); err != nil {
		h.Errorf("nothing to cancel: %v", err)
	}
	// A pause ends the run, and none starts until the connection is resumed.
	if _, err := syncs.Start(h.Context(), tenant, c.ID, false, "client-1"); err != nil {
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
	if _, err := syncs.Start(h.Context(), tenant, c.ID, false, "client-1"); !errors.Is(err, connection.ErrPaused) {
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

func schedule(h *hub) {
	c, folder := h.addLedger("scheduled", 50, "slow 500\n")
	c.Schedule = 24 * time.Hour
	for range 2 {
		if err := EnsureSchedule(h.Context(), h.client, tenant, c); err != nil {
			h.Fatal(err)
		}
	}
	if err := Trigger(h.Context(), h.client, h.target(c)); err != nil {
		h.Fatal(err)
	}
	first := h.newest(c, "running", func(r connection.Run) bool { return r.Total.Statements > 0 })
	if first.StartedBy != bySchedule {
		h.Errorf("started by %s", first.StartedBy)
	}
	if err := Trigger(h.Context(), h.client, h.target(c)); err != nil { // while it runs: nothing
		h.Fatal(err)
	}
	done := h.newest(c, "done", func(r connection.Run) bool { return r.State != connection.Running })
	if done.ID != first.ID || done.State != connection.Succeeded || h.statements(c) != 50 {
		h.Errorf("%+v", done)
	}
	if err := Wait(h.Context(), h.client, h.target(c)); err != nil { // the row says so before the workflow is closed
		h.Fatal(err)
	}
	s, err := Describe(h.Context(), h.client, h.target(c))
	if err != nil || !s.Scheduled || s.Paused || s.Running || s.NextRun.Before(time.Now()) || s.NextRun.After(time.Now().Add(24*time.Hour)) {
		h.Errorf("status: %+v, %v", s, err)
	}
	h.keepHistory("due.json", h.newestDue(h.target(c).scheduleID()))
	c.State, c.Schedule = connection.Paused, time.Hour
	if err := EnsureSchedule(h.Context(), h.client, tenant, c); err != nil {
		h.Fatal(err)
	}
	if s, err = Describe(h.Context(), h.client, h.target(c)); err != nil || !s.Paused {
		h.Errorf("paused: %+v, %v", s, err)
	}
	h.write(filepath.Join(folder, "total"), "60")
	// Postgres says that this connection has no schedule, and that of another is needed by nobody.
	if err := EnsureHousekeeping(h.Context(), h.client); err != nil {
		h.Fatal(err)
	}
	if err := Reconcile(h.Context(), h.client, h.db); err != nil {
		h.Fatal(err)
	}
	if s, err = Describe(h.Context(), h.client, h.target(c)); err != nil || s.Scheduled {
		h.Errorf("after Reconcile: %+v, %v", s, err)
	}
	h.housekeeping(c)
}

// housekeeping deletes a dead letter that is older than they are kept, and not a younger one.
func (h *hub) housekeeping(c connection.Connection) {
	h.Helper()
	t, err := h.vault.Tenant(tenant)
	if err != nil {
		h.Fatal(err)
	}
	for key, age := range map[string]time.Duration{"old": 31 * 24 * time.Hour, "young": 29 * 24 * time.Hour} {
		h.do(tenant, func(ctx context.Context, tx *database.Tx) error {
			return connection.AddDeadLetters(ctx, tx, t, nil, time.Now().Add(-age), []connection.DeadLetter{{Connection: c.ID, Stream: "entries", Key: []byte(key), Code: "bad_record"}})
		})
	}
	if err := h.client.ScheduleClient().GetHandle(h.Context(), housekeepingID).Trigger(h.Context(), client.ScheduleTriggerOptions{}); err != nil {
		h.Fatal(err)
	}
	var left []connection.DeadLetter
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && len(left) != 1; time.Sleep(50 * time.Millisecond) {
		h.do(tenant, func(ctx context.Context, tx *database.Tx) (err error) {
			left, err = connection.ListDeadLetters(ctx, tx, c.ID, uuid.Nil, 10)
			return err
		})
	}
	if len(left) != 1 || string(left[0].Key) != "young" {
		h.Errorf("dead letters left: %+v", left)
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
	if _, err := StartReplay(h.Context(), h.client, h.target(c), "client-1"); err != nil {
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

// workersChange stops the worker in the middle of a read; another one goes on with the same run, in small slices.
func workersChange(h *hub) {
	c, _ := h.addLedger("moving", 150, "slow 200\nslow 10\nslow 10\nslow 10\nslow 10\nslow 10\nslow 10\nslow 10\n")
	first := h.work(h.deps())
	run, err := Start(h.Context(), h.client, h.target(c), true, "client-1")
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
