package suite

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sort"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// checkRecords: the source has something in it, and an absence stream says when it has seen all.
func checkRecords(t T, s Subject, stream contract.Stream) {
	t.Helper()
	got := s.read(t, request(stream, nil))
	if len(got.Records) == 0 {
		t.Fatalf("the stream is empty: the test's source must hold some records")
	}
	if stream.Deletes == contract.DeletesAbsence && !got.SnapshotComplete {
		t.Errorf("a whole read of a stream with deletes by absence does not say SnapshotComplete")
	}
	if stream.Deletes != contract.DeletesAbsence && got.SnapshotComplete {
		t.Errorf("SnapshotComplete in a stream whose deletes are %q", stream.Deletes)
	}
	if stream.Deletes != contract.DeletesTombstone && len(got.Deleted) > 0 {
		t.Errorf("deletes in a stream whose deletes are %q", stream.Deletes)
	}
	if last := got.Events[len(got.Events)-1]; last.Kind != sdk.EventCheckpoint && last.Kind != sdk.EventProgress {
		t.Errorf("the read does not end with a checkpoint, so its last page would come again each time")
	}
}

func checkPages(t T, s Subject, stream contract.Stream) {
	t.Helper()
	got := s.read(t, request(stream, nil))
	slack := s.Slack
	if slack == Measured {
		slack = s.whole(t, stream).most()
	}
	if most := pageRecords + slack; got.LargestPage > most {
		t.Errorf("%d records between two checkpoints; the request allows %d (call Checkpoint whenever Output.Due says so)", got.LargestPage, most)
	}
}

// checkResume: what came up to a checkpoint and what comes from it on are together what a whole read brings.
func checkResume(t T, s Subject, stream contract.Stream) {
	t.Helper()
	whole := s.read(t, request(stream, nil))
	at := checkpoints(whole)
	for _, i := range spread(len(at)-1, 25) { // not the last: checkEnd
		rest := s.read(t, request(stream, whole.Events[at[i]].Cursor))
		before := contents(whole.Events[:at[i]+1])
		compare(t, append(before, contents(rest.Events)...), contents(whole.Events), "resumed at checkpoint", i+1)
		if stream.Deletes == contract.DeletesAbsence && !rest.SnapshotComplete {
			t.Errorf("resumed at checkpoint %d: no SnapshotComplete", i+1)
		}
	}
}

// checkEnd: from the last cursor on an incremental stream brings nothing, a snapshot nothing or everything. One that compares and brings nothing
// must not call that a complete snapshot: the hub would take back every record.
func checkEnd(t T, s Subject, stream contract.Stream) {
	t.Helper()
	whole := s.read(t, request(stream, nil))
	if len(whole.Cursors) == 0 {
		t.Fatalf("the read has no checkpoint")
	}
	again := s.read(t, request(stream, whole.Cursors[len(whole.Cursors)-1]))
	if len(contents(again.Events)) == 0 {
		if stream.Compares && again.SnapshotComplete {
			t.Errorf("given the cursor of a finished snapshot it brings nothing and says SnapshotComplete: the hub would take back every record")
		}
		return
	}
	if stream.Mode == contract.Incremental {
		t.Errorf("an incremental stream brings %d things again from its last cursor", len(contents(again.Events)))
		return
	}
	compare(t, contents(again.Events), contents(whole.Events), "read again from its last cursor, read", 2)
}

// checkStop: an error of the Output, or the end of the context, ends the read soon and comes back.
func checkStop(t T, s Subject, stream contract.Stream) {
	t.Helper()
	whole := s.read(t, request(stream, nil))
	stop := errors.New("the hub has had enough")
	for _, k := range spread(len(whole.Events), 10) {
		seen, late := 0, 0
		_, err := sdktest.ReadUntil(t.Context(), s.connector(), s.session(s.describe(t)), request(stream, nil), func(sdk.Event) error {
			if seen++; seen > k {
				late++
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) {
			t.Fatalf("stopped at event %d: Read returned %v instead of the Output's error", k+1, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() {
		_, err := sdktest.Read(ctx, s.connector(), s.session(s.describe(t)), request(stream, nil))
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Errorf("the context was cancelled, but Read says that all went well")
		}
	case <-time.After(10 * time.Second):
		t.Errorf("the context was cancelled, but Read goes on")
	}
}

// checkSecrets: no secret stands in what a read or its log says.
func checkSecrets(t T, s Subject, stream contract.Stream) {
	t.Helper()
	var log bytes.Buffer
	session := s.session(s.describe(t))
	session.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	got, err := sdktest.Read(t.Context(), s.connector(), session, request(stream, nil))
	if err != nil {
		t.Fatalf("%v", err)
	}
	if name := s.leaks(log.String()); name != "" {
		t.Errorf("the secret %q stands in the log", name)
	}
	for _, e := range got.Events {
		for what, text := range map[string]string{"a record": string(e.JSON), "a position": e.Position, "a reason": e.Reason, "a cursor": string(e.Cursor)} {
			if name := s.leaks(text); name != "" {
				t.Errorf("the secret %q stands in %s", name, what)
			}
		}
	}
}

// checkpoints gives the places of the checkpoints among the events.
func checkpoints(r *sdktest.Result) []int {
	var at []int
	for i, e := range r.Events {
		if e.Kind == sdk.EventCheckpoint {
			at = append(at, i)
		}
	}
	return at
}

// spread picks up to most of the numbers from 0 to n-1, the first and the last among them.
func spread(n, most int) []int {
	var picked []int
	for i := range min(n, most) {
		at := i
		if n > most {
			at = i * (n - 1) / (most - 1)
		}
		picked = append(picked, at)
	}
	return picked
}

// contents are the events that carry something, as texts.
func contents(events []sdk.Event) []string {
	var all []string
	for _, e := range events {
		switch e.Kind {
		case sdk.EventRecord:
			all = append(all, "record "+string(e.JSON))
		case sdk.EventDelete:
			all = append(all, "delete "+string(e.JSON))
		case sdk.EventBad:
			all = append(all, "bad "+e.Code+" "+e.Position+" "+e.Reason)
		}
	}
	return all
}

// compare says where two reads differ, by counts: contents may be personal data and stay out of test logs.
func compare(t T, got, want []string, what string, n int) {
	t.Helper()
	got, want = append([]string(nil), got...), append([]string(nil), want...)
	sort.Strings(got)
	sort.Strings(want)
	missing, more := 0, 0
	for i, j := 0, 0; i < len(got) || j < len(want); {
		switch {
		case j == len(want) || i < len(got) && got[i] < want[j]:
			more++
			i++
		case i == len(got) || got[i] > want[j]:
			missing++
			j++
		default:
			i++
			j++
		}
	}
	if missing+more > 0 {
		t.Errorf("%s %d: %d of %d records are missing and %d are too many", what, n, missing, len(want), more)
	}
}
