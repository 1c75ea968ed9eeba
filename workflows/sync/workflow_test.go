package sync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/workflows/codec"
)

// world is a workflow environment that skips time, with activities that do as a test says. Payloads go through the codec.
type world struct {
	*testsuite.TestWorkflowEnvironment
	t *testing.T

	begin   func(beginInput) (begun, error)
	read    func(attempt int, in readInput) (readResult, error) // attempt counts all calls from 1
	reads   []string                                            // streams, in the order of calls
	times   []time.Time                                         // of the calls
	ended   []endInput
	records func() int64            // that are stored, when RunProgress asks
	endings int                     // failures of EndRun before it works
	data    converter.DataConverter // bound to the workflow
}

func newWorld(t *testing.T, streams ...string) *world {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(Logger(slog.New(slog.DiscardHandler)))
	w := &world{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t}
	c, err := codec.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	data, failures := c.Converters()
	w.SetDataConverter(data)
	w.data = converter.WithDataConverterSerializationContext(data, converter.WorkflowSerializationContext{Namespace: "default-test-namespace", WorkflowID: "default-test-workflow-id"})
	w.SetFailureConverter(failures)
	w.SetTestTimeout(time.Minute)
	w.records = func() int64 { return 0 }
	w.begin = func(in beginInput) (b begun, err error) {
		for _, s := range streams {
			b.Streams = append(b.Streams, stream{Name: s, Mapping: 1})
		}
		return b, nil
	}
	w.register()
	return w
}

func (w *world) register() {
	for name, f := range map[string]any{"Sync": Sync, "Due": Due, "Replay": Replay, "Housekeeping": Housekeeping} {
		w.RegisterWorkflowWithOptions(f, workflow.RegisterOptions{Name: name})
	}
	w.RegisterActivityWithOptions(func(_ context.Context, in beginInput) (begun, error) { return w.begin(in) }, activity.RegisterOptions{Name: nameBegin})
	read := func(_ context.Context, in readInput) (readResult, error) {
		w.reads, w.times = append(w.reads, in.Stream.Name), append(w.times, w.Now())
		return w.read(len(w.reads), in)
	}
	w.RegisterActivityWithOptions(read, activity.RegisterOptions{Name: nameRead})
	w.RegisterActivityWithOptions(read, activity.RegisterOptions{Name: nameReplay})
	w.RegisterActivityWithOptions(func(context.Context, progressInput) (progress, error) {
		return progress{Records: w.records()}, nil
	}, activity.RegisterOptions{Name: nameProgress})
	w.RegisterActivityWithOptions(func(_ context.Context, in endInput) error {
		w.ended = append(w.ended, in)
		if len(w.ended) <= w.endings {
			return failure{class: ClassUnavailable, text: "Postgres does not answer", retry: true}.error()
		}
		return nil
	}, activity.RegisterOptions{Name: nameEnd})
}

var target = Target{Tenant: 1, Connection: uuid.MustParse("b6f0a4f0-62e0-4a53-8a0b-4f9f2c0f8a11")}

func (w *world) run() error {
	w.t.Helper()
	w.ExecuteWorkflow("Sync", Input{Target: target, By: "client-1"})
	if !w.IsWorkflowCompleted() {
		w.t.Fatal("the workflow did not end")
	}
	return w.GetWorkflowError()
}

// outcome gives the one outcome that was recorded.
func (w *world) outcome() endInput {
	w.t.Helper()
	if len(w.ended) != 1 {
		w.t.Fatalf("the run was ended %d times: %+v", len(w.ended), w.ended)
	}
	return w.ended[0]
}

func TestStreamsInOrderAndInSlices(t *testing.T) {
	w := newWorld(t, "course", "results")
	w.read = func(n int, in readInput) (readResult, error) {
		if in.Stream.Mapping != 1 || in.Target != target || in.Run == uuid.Nil {
			t.Errorf("input: %+v", in)
		}
		return readResult{More: n == 2 || n == 3}, nil
	}
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"course", "results", "results", "results"}; !slices.Equal(w.reads, want) {
		t.Errorf("read %v, want %v", w.reads, want)
	}
	var result Result
	if err := w.GetWorkflowResult(&result); err != nil || result.Run != w.outcome().Run {
		t.Errorf("result: %+v, %v", result, err)
	}
	if o := w.outcome(); o.State != connection.Succeeded || o.Class != "" {
		t.Errorf("outcome: %+v", o)
	}
}

// TestLanes: a run whose slice is not enough is read in the slow lane from there on; one that follows a slow run begins there.
func TestLanes(t *testing.T) {
	for _, c := range []struct {
		begins bool
		want   []bool // slow, by call
	}{
		{false, []bool{false, false, true, true}},
		{true, []bool{true, true, true, true}},
	} {
		w := newWorld(t, "course", "results", "answers")
		begin := w.begin
		w.begin = func(in beginInput) (begun, error) {
			b, err := begin(in)
			b.Slow = c.begins
			return b, err
		}
		var slow []bool
		w.read = func(n int, in readInput) (readResult, error) {
			slow = append(slow, in.Slow)
			return readResult{More: n == 2}, nil
		}
		if err := w.run(); err != nil || !slices.Equal(slow, c.want) {
			t.Errorf("slow: %v, want %v (%v)", slow, c.want, err)
		}
	}
	begun, soon, late := time.Unix(0, 0), time.Unix(3, 0), time.Unix(90, 0)
	for want, runs := range map[bool][][]connection.Run{
		false: {nil, {{StartedAt: begun}}, {{StartedAt: begun, EndedAt: &soon}}},
		true:  {{{StartedAt: begun, EndedAt: &late}}},
	} {
		for _, before := range runs {
			if tookLong(before) != want {
				t.Errorf("took long after %+v: %t", before, !want)
			}
		}
	}
}

func TestRetryClasses(t *testing.T) {
	for _, c := range []struct {
		err      error
		class    string
		attempts int
		least    time.Duration // from the first attempt to the last
		most     time.Duration
	}{
		{&contract.Error{Class: contract.ClassConfig, Message: "folder missing"}, "config", 1, 0, 0},
		{&contract.Error{Class: contract.ClassAuth, Message: "credentials"}, "auth", 1, 0, 0},
		{&contract.Error{Class: contract.ClassPermission, Message: "scope"}, "permission", 1, 0, 0},
		{&contract.Error{Class: contract.ClassData, Message: "not CSV"}, "data", 1, 0, 0},
		{&contract.Error{Class: contract.ClassUnsupported, Message: "cannot"}, "unsupported", 1, 0, 0},
		{&contract.Error{Class: contract.ClassSourceBug, Message: "404"}, "source_bug", 1, 0, 0},
		{&mapping.Error{Line: 3, Problem: "no such field"}, ClassMapping, 1, 0, 0},
		{connection.ErrLeaseLost, ClassLost, 1, 0, 0},
		{host.ErrChecksum, ClassConnector, 1, 0, 0},
		{&contract.Error{Class: contract.ClassTransient, Message: "503"}, "transient", 10, 20 * time.Minute, 40 * time.Minute},
		{fmt.Errorf("%w: csv", host.ErrDied), ClassDied, 10, 20 * time.Minute, 40 * time.Minute},
		{host.ErrTimeout, ClassDied, 10, 20 * time.Minute, 40 * time.Minute},
		{database.ErrUnavailable, ClassUnavailable, 10, 20 * time.Minute, 40 * time.Minute},
		{errors.New("something else"), ClassInternal, 10, 20 * time.Minute, 40 * time.Minute},
		{&contract.Error{Class: contract.ClassRateLimit, Message: "429", RetryAfter: time.Hour}, "rate_limit", 10, 9 * time.Hour, 9*time.Hour + time.Minute},
	} {
		t.Run(c.class+" "+c.err.Error(), func(t *testing.T) {
			w := newWorld(t, "results", "never")
			w.read = func(int, readInput) (readResult, error) { return readResult{}, classify(c.err).error() }
			err := w.run()
			var failed *temporal.ApplicationError
			if !errors.As(err, &failed) || failed.Type() != c.class {
				t.Errorf("the workflow ends with %v, want class %s", err, c.class)
			}
			if len(w.reads) != c.attempts || slices.Contains(w.reads, "never") {
				t.Fatalf("%d attempts, want %d: %v", len(w.reads), c.attempts, w.reads)
			}
			if took := w.times[len(w.times)-1].Sub(w.times[0]); took < c.least || took > c.most {
				t.Errorf("tried for %s, want %s to %s", took, c.least, c.most)
			}
			if o := w.outcome(); o.State != connection.Failed || o.Class != c.class || o.Error == "" {
				t.Errorf("outcome: %+v", o)
			}
		})
	}
}

// TestRateLimitWaits: as long as the source says, then the run goes on; a slice that got on has all attempts anew.
func TestRateLimitWaits(t *testing.T) {
	w := newWorld(t, "results")
	limited := classify(&contract.Error{Class: contract.ClassRateLimit, Message: "429", RetryAfter: 47 * time.Minute}).error()
	w.read = func(n int, _ readInput) (readResult, error) {
		if n%10 != 0 {
			return readResult{}, limited
		}
		return readResult{More: n < 40}, nil
	}
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	if len(w.reads) != 40 {
		t.Errorf("%d attempts, want 40", len(w.reads))
	}
	if waited := w.times[1].Sub(w.times[0]); waited != 47*time.Minute {
		t.Errorf("waited %s, want 47m", waited)
	}
}

// TestProgressIsWorthMoreAttempts: as long as pages are stored between deaths, the run goes on; then it has its attempts once more and ends.
func TestProgressIsWorthMoreAttempts(t *testing.T) {
	for lastPage, want := range map[int]int{0: 10, 5: 20, 95: 110} {
		w := newWorld(t, "results")
		w.records = func() int64 { return int64(min(len(w.reads), lastPage)) }
		w.read = func(int, readInput) (readResult, error) { return readResult{}, classify(host.ErrDied).error() }
		if err := w.run(); err == nil || outcome(err).Class != ClassDied || len(w.reads) != want {
			t.Errorf("nothing stored after attempt %d: ends after %d, want %d: %v", lastPage, len(w.reads), want, err)
		}
	}
}

func TestCancelEndsTheRun(t *testing.T) {
	w := newWorld(t, "results", "never")
	w.read = func(int, readInput) (readResult, error) {
		return readResult{}, classify(&contract.Error{Class: contract.ClassRateLimit, Message: "429", RetryAfter: 20 * time.Hour}).error()
	}
	w.RegisterDelayedCallback(w.CancelWorkflow, time.Hour)
	if err := w.run(); !temporal.IsCanceledError(err) {
		t.Errorf("the workflow ends with %v", err)
	}
	if o := w.outcome(); o.State != connection.Cancelled || len(w.reads) != 1 {
		t.Errorf("outcome: %+v after %d reads", o, len(w.reads))
	}
}

func TestEndIsTriedUntilItWorks(t *testing.T) {
	w := newWorld(t, "results")
	w.endings = 9 // where no number is set, the test environment stops after 10 attempts; the server does not
	w.read = func(int, readInput) (readResult, error) { return readResult{}, nil }
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	if len(w.ended) != 10 {
		t.Errorf("EndRun was called %d times, want 10", len(w.ended))
	}
}

func TestRefusedRunsReadNothing(t *testing.T) {
	for err, attempts := range map[error]int{
		connection.ErrPaused: 1, connection.ErrUnknown: 1, connection.ErrRunning: beginAttempts, database.ErrUnavailable: beginAttempts,
	} {
		w := newWorld(t, "results")
		calls, first := 0, w.Now()
		w.begin = func(beginInput) (begun, error) {
			calls++
			return begun{}, classify(err).error()
		}
		failed := w.run()
		if failed == nil || outcome(failed).Class != classify(err).class || calls != attempts || len(w.reads) != 0 {
			t.Errorf("%v: ends with %v after %d calls (want %d) and %d reads", err, failed, calls, attempts, len(w.reads))
		}
		if waited := w.Now().Sub(first); attempts > 1 && waited < lease {
			t.Errorf("%v: given up after %s, before a dead run's lease of %s can run out", err, waited, lease)
		}
	}
}

func TestLongRunsContinueAsNew(t *testing.T) {
	w := newWorld(t, "course", "results")
	w.read = func(n int, _ readInput) (readResult, error) {
		w.SetContinueAsNewSuggested(n == 2)
		return readResult{More: n == 2}, nil
	}
	err := w.run()
	var again *workflow.ContinueAsNewError
	if !errors.As(err, &again) {
		t.Fatalf("the workflow ends with %v", err)
	}
	if len(w.ended) != 0 {
		t.Error("the run was ended")
	}
	var in Input
	if err := w.data.FromPayloads(again.Input, &in); err != nil || len(in.Streams) != 1 || in.Streams[0].Name != "results" || in.Target != target || in.By != "client-1" {
		t.Fatalf("input of the continuation: %+v, %v", in, err)
	}
	next := newWorld(t)
	next.begin = func(beginInput) (begun, error) { t.Error("the continuation begins anew"); return begun{}, nil }
	next.read = func(int, readInput) (readResult, error) { return readResult{}, nil }
	next.ExecuteWorkflow("Sync", in)
	if err := next.GetWorkflowError(); err != nil || !slices.Equal(next.reads, []string{"results"}) || next.outcome().State != connection.Succeeded {
		t.Errorf("the continuation read %v: %v", next.reads, err)
	}
}

func TestDestroyedKeysEndWorkflows(t *testing.T) {
	for _, name := range []string{"Sync", "Replay"} {
		w := newWorld(t)
		w.ExecuteWorkflow(name, Input{Tombstone: codec.Tombstone{Destroyed: true}})
		if err := w.GetWorkflowError(); err == nil || outcome(err).Class != ClassKeys || len(w.ended) != 0 {
			t.Errorf("%s ends with %v", name, err)
		}
	}
}

func TestReplayIsARunOfItsKind(t *testing.T) {
	w := newWorld(t, "course", "results")
	kind := connection.RunKind("")
	given := w.begin
	w.begin = func(in beginInput) (begun, error) { kind = in.Kind; return given(in) }
	w.read = func(n int, _ readInput) (readResult, error) {
		if n == 2 {
			return readResult{}, classify(connection.ErrLeaseLost).error()
		}
		return readResult{}, nil
	}
	w.ExecuteWorkflow("Replay", Input{Target: target, By: "client-1"})
	if kind != connection.Replay || !slices.Equal(w.reads, []string{"course", "results"}) || w.outcome().Class != ClassLost {
		t.Errorf("kind %s, streams %v, outcome %+v", kind, w.reads, w.outcome())
	}
}

func TestDueStartsTheRunOfItsConnection(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: target.dueID() + "-2026-11-24T07:00:00Z", TaskQueue: Queue})
	env.RegisterWorkflowWithOptions(Due, workflow.RegisterOptions{Name: "Due"})
	var got Input
	id := ""
	env.RegisterWorkflowWithOptions(func(ctx workflow.Context, in Input) (Result, error) {
		got, id = in, workflow.GetInfo(ctx).WorkflowExecution.ID
		return Result{}, nil
	}, workflow.RegisterOptions{Name: "Sync"})
	env.ExecuteWorkflow("Due")
	if err := env.GetWorkflowError(); err != nil || id != target.workflowID() || got.Target != target || got.By != bySchedule || got.Full {
		t.Errorf("started %s with %+v, %v", id, got, err)
	}
	for _, id := range []string{"due/x", "due/1/short", "due/x/" + target.Connection.String(), "due/1/" + strings.Repeat("z", 36)} {
		if _, err := parseTarget(id); err == nil {
			t.Errorf("%q is taken for a connection's", id)
		}
	}
}
