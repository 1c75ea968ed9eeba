package sync

import (
	"errors"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/workflows/codec"
)

// Input is what a run is started with.
type Input struct {
	codec.Tombstone
	Target
	Full bool   `json:"full,omitempty"`
	By   string `json:"by"` // credential id, or "schedule"
	// Since and Until bound a backfill: only what the source says was updated in [Since, Until), of the streams that can. Zero: an ordinary run.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`

	Streams []stream `json:"streams,omitempty"` // left to read, when the workflow continues as new
	Slow    bool     `json:"slow,omitempty"`    // and the lane that they are read in
}

// Result is how a run ended well.
type Result struct {
	codec.Tombstone
	Run uuid.UUID `json:"run"`
}

// stream is one stream of a run.
type stream struct {
	Name    string   `json:"name"`
	Lookups []string `json:"lookups,omitempty"`
	Mapping int      `json:"mapping"` // version
}

// errDestroyed ends a workflow whose input's key is gone: it cannot know any more what it was to do. The schedule starts another.
var errDestroyed = temporal.NewNonRetryableApplicationError("the key of this workflow's payloads was destroyed", ClassKeys, nil)

// shortly is for activities that do one transaction.
func shortly(ctx workflow.Context, attempts int32) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: Queue, StartToCloseTimeout: time.Minute,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 2 * time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: attempts},
	})
}

// reading is for activities that run a connector: ten attempts over some 25 minutes, longer where a source says how long to wait.
func reading(ctx workflow.Context, slow bool) workflow.Context {
	queue := ReadQueue
	if slow {
		queue = SlowQueue
	}
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: queue, StartToCloseTimeout: 7 * 24 * time.Hour, HeartbeatTimeout: time.Minute, WaitForCancellation: true,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 10 * time.Second, BackoffCoefficient: 2, MaximumInterval: 5 * time.Minute, MaximumAttempts: 10},
	})
}

// beginAttempts covers a lease that a dead run left behind.
const beginAttempts = 10

// Sync is one run of a connection: begin, read stream after stream, end. It fails with the failure's class as the error's type.
func Sync(ctx workflow.Context, in Input) (Result, error) {
	if in.Destroyed {
		return Result{}, errDestroyed
	}
	run := RunID(workflow.GetInfo(ctx).FirstRunID)
	if in.Streams == nil {
		begun, err := begin(ctx, in, run, connection.Sync)
		if err != nil {
			return Result{}, err
		}
		in.Streams, in.Slow = begun.Streams, begun.Slow
	}
	lanes := workflow.GetVersion(ctx, "lanes", workflow.DefaultVersion, 1) == 1
	in.Slow = in.Slow && lanes
	var seen int64
	for len(in.Streams) > 0 {
		more, err := read(ctx, in, run, in.Streams[0])
		if err != nil && gotOn(ctx, in, run, err, &seen) {
			continue
		}
		if err != nil {
			return Result{}, end(ctx, in, run, err)
		}
		if !more {
			in.Streams = in.Streams[1:]
		} else if lanes {
			in.Slow = true // for the rest of the run
		}
		if len(in.Streams) > 0 && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return Result{}, workflow.NewContinueAsNewError(ctx, "Sync", in)
		}
	}
	return Result{Run: run}, end(ctx, in, run, nil)
}

func begin(ctx workflow.Context, in Input, run uuid.UUID, kind connection.RunKind) (begun, error) {
	var b begun
	err := workflow.ExecuteActivity(shortly(ctx, beginAttempts), nameBegin, beginInput{Target: in.Target, Run: run, Kind: kind, Full: in.Full, By: in.By}).Get(ctx, &b)
	if err == nil && b.Destroyed {
		err = errDestroyed
	}
	if err != nil && temporal.IsCanceledError(err) { // it may have begun
		return b, end(ctx, in, run, err)
	}
	return b, err
}

func read(ctx workflow.Context, in Input, run uuid.UUID, s stream) (more bool, err error) {
	var done readResult
	err = workflow.ExecuteActivity(reading(ctx, in.Slow), nameRead, readInput{Target: in.Target, Run: run, Stream: s, Full: in.Full, Slow: in.Slow, Since: in.Since, Until: in.Until}).Get(ctx, &done)
	if err == nil && done.Destroyed {
		err = errDestroyed
	}
	return done.More, err
}

// gotOn says, once a stream's attempts are used up, whether they brought anything: then it is worth as many again. A hub that is killed
// every few minutes, or a connector that dies after each page, gets to the end all the same.
func gotOn(ctx workflow.Context, in Input, run uuid.UUID, err error, seen *int64) bool {
	var application *temporal.ApplicationError
	if temporal.IsCanceledError(err) || errors.As(err, &application) && application.NonRetryable() {
		return false
	}
	var now progress
	err = workflow.ExecuteActivity(shortly(ctx, beginAttempts), nameProgress, progressInput{Target: in.Target, Run: run}).Get(ctx, &now)
	if err != nil || now.Destroyed || now.Records <= *seen {
		return false
	}
	*seen = now.Records
	return true
}

// end records the outcome, whatever happened to the workflow, and gives what the workflow returns.
func end(ctx workflow.Context, in Input, run uuid.UUID, err error) error {
	o := outcome(err)
	lasting, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	// Without limit: Postgres will answer one day, and until then the run is not over.
	recorded := workflow.ExecuteActivity(shortly(lasting, 0), nameEnd, endInput{Target: in.Target, Run: run, State: o.State, Class: o.Class, Error: o.Error}).Get(lasting, nil)
	switch {
	case o.State == connection.Failed:
		return temporal.NewApplicationErrorWithOptions(o.Error, o.Class, temporal.ApplicationErrorOptions{NonRetryable: true})
	case err != nil:
		return err
	}
	return recorded
}

// Due is what the schedule starts: it starts the connection's run, unless one is under way. It takes no input, since Temporal adds the
// instant to its id, to which a payload would be bound: the id says which connection it is.
func Due(ctx workflow.Context) error {
	t, err := parseTarget(workflow.GetInfo(ctx).WorkflowExecution.ID)
	if err != nil {
		return temporal.NewNonRetryableApplicationError(err.Error(), ClassInternal, nil)
	}
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: t.workflowID(), TaskQueue: Queue, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
	})
	err = workflow.ExecuteChildWorkflow(ctx, "Sync", Input{Target: t, By: bySchedule}).GetChildWorkflowExecution().Get(ctx, nil)
	var running *temporal.ChildWorkflowExecutionAlreadyStartedError
	if errors.As(err, &running) {
		return nil
	}
	return err
}

// bySchedule stands where a credential's id stands in a run that somebody started.
const bySchedule = "schedule"

// Replay maps a connection's open dead letters again, as a run of its own kind under the same workflow id as Sync: both never run at once.
func Replay(ctx workflow.Context, in Input) (Result, error) {
	if in.Destroyed {
		return Result{}, errDestroyed
	}
	run := RunID(workflow.GetInfo(ctx).FirstRunID)
	begun, err := begin(ctx, in, run, connection.Replay)
	if err != nil {
		return Result{}, err
	}
	for _, s := range begun.Streams {
		err = workflow.ExecuteActivity(reading(ctx, false), nameReplay, readInput{Target: in.Target, Run: run, Stream: s}).Get(ctx, nil)
		if err != nil {
			break
		}
	}
	return Result{Run: run}, end(ctx, in, run, err)
}

// Housekeeping deletes what was kept long enough, for every tenant.
func Housekeeping(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: Queue, StartToCloseTimeout: time.Hour, HeartbeatTimeout: 5 * time.Minute,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Minute, BackoffCoefficient: 2, MaximumInterval: time.Hour, MaximumAttempts: 8},
	})
	return workflow.ExecuteActivity(ctx, nameHousekeeping).Get(ctx, nil)
}
