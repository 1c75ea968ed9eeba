package suite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
)

// checkCell: cut off from the network, in its cell, the connector reads the same.
func checkCell(t T, s Subject, stream contract.Stream) {
	t.Helper()
	got := s.attempt(t, stream, conditions{enclosed: true})
	switch {
	case errors.Is(got.err, host.ErrNoNamespace):
		t.Skipf("this machine does not let the host isolate connectors: %v", got.err)
	case got.err != nil:
		t.Fatalf("isolated as the hub starts it, the connector cannot read: %v; it has no network and may write nothing: all requests go through Session.HTTP", got.err)
	}
	s.silent(t, "isolated as the hub starts it", together(got), together(s.whole(t, stream)))
}

// checkRequests: nothing is asked for more often than twice in one read, and a read from the last cursor asks for less than everything.
func checkRequests(t T, s Subject, stream contract.Stream) {
	t.Helper()
	whole := s.asked(t, stream)
	const often = 2
	times := make(map[string]int)
	for _, e := range whole.exchanges {
		kind := e.method + e.url.String() + string(e.request)
		if times[kind]++; times[kind] == often+1 {
			t.Errorf("one read makes the same request more than %d times: %s; keep the answer, or what is needed of it", often, e.name())
		}
	}
	if stream.Mode != contract.Incremental || whole.cursor() == nil {
		return
	}
	again := s.attempt(t, stream, conditions{cursor: whole.cursor()})
	if again.err != nil {
		t.Fatalf("reading on from the last cursor: %v", again.err)
	}
	if n, most := len(again.exchanges), len(whole.exchanges); most > 3 && n > most {
		t.Errorf("a read from the last cursor makes %d requests, the whole read %d: ask the source for what is new only", n, most)
	}
}

// checkKill: killed in the middle of a page, the connector leaves nothing that is missing later.
func checkKill(t T, s Subject, stream contract.Stream) {
	t.Helper()
	whole := s.whole(t, stream)
	var process *host.Process
	kill := func() {
		if p, err := os.FindProcess(process.PID()); err == nil {
			_ = p.Kill()
		}
	}
	days := make(map[string]conditions)
	for _, i := range spread(len(whole.exchanges), 3) {
		at := whole.exchanges[i]
		days[fmt.Sprintf("killed while it waits for %s (request %d)", at.name(), i+1)] = conditions{
			kill: func(p *host.Process) { process = p },
			fault: func(_ *line, e *exchange, r *http.Request) (*http.Response, error) {
				if !e.is(at) {
					return nil, nil
				}
				kill()
				return nil, errors.New("the connector is gone")
			},
		}
	}
	for _, i := range spread(len(whole.pages), 2) {
		days[fmt.Sprintf("killed after page %d", i+1)] = conditions{page: func(n int, p *host.Process) {
			if process = p; n == i+1 {
				kill()
			}
		}}
	}
	for what, c := range days {
		got := s.attempt(t, stream, c)
		if got.err != nil && !errors.Is(got.err, host.ErrDied) {
			t.Errorf("%s: the read ended with: %v", what, got.err)
			continue
		}
		if got.err == nil {
			continue // it was done before
		}
		rest := s.attempt(t, stream, conditions{cursor: got.cursor()})
		if rest.err != nil {
			t.Errorf("%s: going on afterwards fails: %v; keep no state but the cursor", what, rest.err)
			continue
		}
		if n := together(got, rest).missing(together(whole)); n > 0 {
			t.Errorf("%s: going on afterwards, %d records are missing: a checkpoint must not come before what it covers", what, n)
		}
	}
}

// checkPartitions: the partitions of a stream bring together what the stream does.
func checkPartitions(t T, s Subject, stream contract.Stream) {
	t.Helper()
	p, end := s.start(t)
	defer end()
	d, err := p.Describe(t.Context(), []byte(s.Config))
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	if !d.Has(contract.AbilityPlan) {
		t.Skipf("the connector cuts no stream into partitions")
	}
	parts, err := p.Plan(t.Context(), stream.Name, false)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	if again, err := p.Plan(t.Context(), stream.Name, false); err != nil || !slices.Equal(again, parts) {
		t.Errorf("Plan gives other partitions the second time (%v): their ids and order must be stable", err)
	}
	var reads []*attempt
	for _, part := range parts[:min(len(parts), 50)] {
		read := s.attempt(t, stream, conditions{partition: part.ID})
		if read.err != nil {
			t.Fatalf("reading partition %d of %d: %v", len(reads)+1, len(parts), read.err)
		}
		reads = append(reads, read)
	}
	if n := together(reads...).missing(together(s.whole(t, stream))); n > 0 && len(parts) <= 50 {
		t.Errorf("the %d partitions together lack %d records of the stream", len(parts), n)
	}
}

// checkDeletes: what is gone at the source is told as the stream declares it.
func checkDeletes(t T, s Subject, stream contract.Stream) {
	t.Helper()
	whole := s.whole(t, stream)
	if s.Remove == nil || stream.Deletes == "" || stream.Deletes == contract.DeletesNone {
		t.Skipf("deletes are %q, and the test removes nothing (Subject.Remove)", cmpDeletes(stream.Deletes))
	}
	key, err := contract.Key(s.Remove(stream.Name)...)
	if err != nil {
		t.Fatalf("Subject.Remove gives no key: %v", err)
	}
	c := conditions{}
	if stream.Mode == contract.Incremental || stream.Compares {
		c.cursor = whole.cursor()
	}
	after := s.attempt(t, stream, c)
	if after.err != nil {
		t.Fatalf("reading after a record was removed: %v", after.err)
	}
	got := together(after)
	_, alive := got.records[fmt.Sprint(string(key), false)]
	_, dead := got.records[fmt.Sprint(string(key), true)]
	switch {
	case alive:
		t.Errorf("a record that was removed at the source still comes")
	case stream.Deletes == contract.DeletesTombstone && !dead:
		t.Errorf("the stream declares deletes by tombstone, but a record that was removed at the source is not told with Output.Delete")
	case stream.Deletes == contract.DeletesAbsence && !got.full:
		t.Errorf("the stream declares deletes by absence, but the read after a record was removed does not say SnapshotComplete")
	}
}

func cmpDeletes(d contract.Deletes) contract.Deletes {
	if d == "" {
		return contract.DeletesNone
	}
	return d
}

// checkCommit: being told twice, or of an older cursor later, does no harm. It comes near the end, since a source may prune what was committed.
func checkCommit(t T, s Subject, stream contract.Stream) {
	t.Helper()
	p, end := s.start(t)
	defer end()
	d, err := p.Describe(t.Context(), []byte(s.Config))
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	if !d.Has(contract.AbilityCommit) {
		t.Skipf("the connector is told of no commits")
	}
	var cursors [][]byte
	for _, page := range s.whole(t, stream).pages {
		if page.Cursor != nil {
			cursors = append(cursors, page.Cursor)
		}
	}
	last := cursors[len(cursors)-1]
	for i, cursor := range [][]byte{cursors[0], last, last, cursors[0], last} {
		if err := p.Commit(t.Context(), stream.Name, cursor); err != nil {
			t.Fatalf("Commit %d (first cursor, last, last again, first, last): %v; it is told twice after a crash and must not mind", i+1, err)
		}
	}
	rest := s.attempt(t, stream, conditions{cursor: last})
	if rest.err != nil || stream.Mode == contract.Incremental && len(together(rest).records) > 0 {
		t.Errorf("after Commit, reading on from the last cursor brings %d records and says %v; it brings what is new", len(together(rest).records), rest.err)
	}
}

// checkOrphans: neither a read that ended nor one that was broken off leaves a process behind.
func checkOrphans(t T, s Subject, stream contract.Stream) {
	t.Helper()
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skipf("this system does not show its processes")
	}
	for _, broken := range []bool{false, true} {
		r, err := s.launch(t.Context(), []byte(s.Config), host.Options{AllowNoNamespace: true})
		if err != nil {
			t.Fatalf("starting: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_ = r.process.Read(ctx, host.ReadRequest{Stream: stream, PageRecords: pageRecords}, func(context.Context, host.Page) error {
			if broken {
				return errEnough
			}
			return nil
		})
		cancel()
		r.end()
		if left := awaitGone(r.dir, 3*time.Second); left > 0 {
			t.Errorf("%d processes are left when the connector has been closed (in the middle of a read: %t); start none that outlive it", left, broken)
		}
	}
}

// awaitGone waits until no process was started with a folder of sockets in its environment; it says how many there are in the end.
func awaitGone(dir string, patience time.Duration) (left int) {
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		left = 0
		environments, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, file := range environments {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), dir) {
				left++
			}
		}
		if left == 0 || time.Since(began) > patience {
			return left
		}
	}
}
