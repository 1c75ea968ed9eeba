package trial

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Victim is what is killed.
type Victim string

// The victims: the hub's own process, the first process of its Postgres, a connector's process.
const (
	HubProcess       Victim = "hub"
	PostgresProcess  Victim = "postgres"
	ConnectorProcess Victim = "connector"
)

var victims = []Victim{HubProcess, PostgresProcess, ConnectorProcess}

// Kills proves that kill -9 at random moments of a sync loses nothing and stores nothing twice. Each round gives most results of the
// source another score, starts a sync, kills one process, starts the hub again if it was that, waits for the run's end, and holds what the
// hub exports against the source, fact by fact; then it has the audit log proved.
type Kills struct {
	Binary   string
	Times    int    // kills
	Students int    // in the made-up tables; five results each
	First    int    // victim: number in the turn of hub, postgres, connector
	Config   string // connection's file: connectors/csv/examples/oulad/results.yaml
	Rand     *rand.Rand
	Log      func(format string, args ...any)
}

// KillReport counts what was done.
type KillReport struct {
	Killed  map[Victim]int
	During  int           // kills while the run was under way
	Syncs   int           // runs, each with exact totals
	Facts   int           // statements compared
	Slowest time.Duration // from a kill to the end of the run
}

// kills is one series on one hub.
type kills struct {
	Kills
	hub     *Hub
	tables  *Tables
	report  KillReport
	started string        // newest run
	usual   time.Duration // that a run takes; follows the machine's mood, so that most kills fall into a run
}

// roundTime bounds a round, however slow the machine.
const roundTime = 5 * time.Minute

// Run kills until it is enough, on a fresh hub in folder, and leaves no process behind.
func (k Kills) Run(ctx context.Context, folder string) (KillReport, error) {
	r := &kills{Kills: k, report: KillReport{Killed: map[Victim]int{}}}
	hub, err := New(k.Binary, filepath.Join(folder, "data"))
	if err != nil {
		return r.report, err
	}
	r.hub, r.tables = hub, NewTables(filepath.Join(folder, "tables"), k.Students)
	if err := os.MkdirAll(r.tables.Folder, 0o755); err != nil {
		return r.report, err
	}
	err = r.series(ctx)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return r.report, errors.Join(err, hub.Stop(stop), hub.AwaitGone(stop, nil))
}

func (r *kills) series(ctx context.Context) error {
	if err := r.hub.Up(ctx); err != nil {
		return err
	}
	if err := r.tables.Write(); err != nil {
		return err
	}
	if _, err := r.hub.Must(ctx, "connection", "add", "results", "--config", r.Config, "--set", "folder="+r.tables.Folder); err != nil {
		return err
	}
	began := time.Now()
	if err := r.start(ctx); err != nil {
		return err
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	r.usual = time.Since(began)
	for n := range r.Times {
		victim := victims[(r.First+n)%len(victims)]
		if err := r.round(ctx, victim); err != nil {
			return fmt.Errorf("kill %d of %d, of the %s: %w", n+1, r.Times, victim, err)
		}
	}
	return nil
}

// round is one sync with one kill.
func (r *kills) round(ctx context.Context, victim Victim) error {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	r.tables.Shuffle(r.Rand)
	if err := r.tables.Write(); err != nil {
		return err
	}
	if err := r.start(ctx); err != nil {
		return err
	}
	moment := time.Duration(r.Rand.Int64N(int64(r.usual)))
	time.Sleep(moment)
	if err := r.kill(ctx, victim); err != nil {
		return err
	}
	began := time.Now()
	running, err := r.running(ctx)
	if err != nil {
		return err
	}
	if running {
		r.report.During++
		r.usual = r.usual * 21 / 20
	} else {
		r.usual = r.usual * 3 / 4
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	took := time.Since(began)
	r.report.Slowest = max(r.report.Slowest, took)
	r.report.Killed[victim]++
	r.Log("%s killed %v after the start of a run (under way: %t); the run ended %v later, totals exact", victim, moment.Round(time.Millisecond), running, took.Round(time.Millisecond))
	return nil
}

// kill kills one process and brings the hub back if need be.
func (r *kills) kill(ctx context.Context, victim Victim) error {
	switch victim {
	case HubProcess:
		left, err := r.hub.Descendants()
		if err != nil {
			return err
		}
		if err := r.hub.Kill(); err != nil {
			return err
		}
		if err := r.hub.AwaitGone(ctx, left); err != nil {
			return err
		}
		return r.hub.Up(ctx)
	case PostgresProcess:
		p, ok := r.hub.Postmaster()
		if !ok {
			return errors.New("the hub's Postgres does not run")
		}
		return syscall.Kill(p.PID, syscall.SIGKILL)
	}
	for {
		if list := r.hub.Connectors(); len(list) > 0 {
			return syscall.Kill(list[0].PID, syscall.SIGKILL)
		}
		if running, err := r.running(ctx); err != nil || !running { // too late: read the source again
			if err == nil {
				err = r.start(ctx, "--full")
			}
			if err != nil {
				return err
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// start starts a run and remembers which: until it begins, the newest that the hub tells of is the one before.
func (r *kills) start(ctx context.Context, flags ...string) error {
	var started struct{ Run string }
	err := r.hub.JSON(ctx, &started, append([]string{"sync", "run", "results"}, flags...)...)
	r.started = started.Run
	return err
}

// run is what sync status tells.
type run struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Error string `json:"error"`
}

// status asks for the newest run, for as long as the hub comes back from a kill.
func (r *kills) status(ctx context.Context) (run, error) {
	for {
		var newest run
		err := r.hub.JSON(ctx, &newest, "sync", "status", "results")
		if newest.ID != r.started {
			newest.State = "running"
		}
		if err == nil || ctx.Err() != nil || !r.hub.Running() {
			return newest, err
		}
		select {
		case <-ctx.Done():
			return newest, err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (r *kills) running(ctx context.Context) (bool, error) {
	s, err := r.status(ctx)
	return s.State == "running", err
}

// finish waits for the run's end and holds the hub against the source.
func (r *kills) finish(ctx context.Context) error {
	for {
		s, err := r.status(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("wait for the run: %w", err)
		case s.State == "succeeded":
			return r.compare(ctx)
		case s.State != "running":
			return fmt.Errorf("the run %s: %s", s.State, s.Error)
		case ctx.Err() != nil:
			return fmt.Errorf("the run does not end (%s): %w", s.Error, ctx.Err())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// compare holds the export against the tables, and has the audit log proved.
func (r *kills) compare(ctx context.Context) error {
	text, err := r.hub.Must(ctx, "statement", "export")
	if err != nil {
		return err
	}
	got, err := Facts(text)
	if err != nil {
		return err
	}
	if want := r.tables.Facts(); !slices.Equal(got, want) {
		return fmt.Errorf("%d statements are exported, the source has %d results: %s", len(got), len(want), difference(got, want))
	}
	if _, err := r.hub.Must(ctx, "audit", "verify"); err != nil {
		return err
	}
	r.report.Syncs++
	r.report.Facts += len(got)
	return nil
}

// Facts reads what exported statements of results say, one line each as Tables.Facts has them, sorted. An id that stands twice is an error.
func Facts(export string) ([]string, error) {
	var facts []string
	ids := map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(export))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s struct {
			ID     string
			Actor  struct{ Account struct{ Name string } }
			Object struct{ ID string }
			Result struct{ Score struct{ Raw float64 } }
		}
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("line %d of the export: %w", len(facts)+1, err)
		}
		if ids[s.ID] {
			return nil, fmt.Errorf("statement %s is exported twice", s.ID)
		}
		ids[s.ID] = true
		facts = append(facts, fmt.Sprintf("%s %s %v", s.Actor.Account.Name, s.Object.ID[strings.LastIndexByte(s.Object.ID, '/')+1:], s.Result.Score.Raw))
	}
	slices.Sort(facts)
	return facts, lines.Err()
}

// difference names the first facts that only one side has.
func difference(got, want []string) string {
	count := map[string]int{}
	for _, f := range want {
		count[f]++
	}
	for _, f := range got {
		count[f]--
	}
	var lines []string
	for f, n := range count {
		if n != 0 {
			lines = append(lines, fmt.Sprintf("%+d of %q", -n, f))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines[:min(len(lines), 5)], ", ")
}
