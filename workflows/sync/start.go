package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

// ErrNotRunning: no run of the connection is under way.
var ErrNotRunning = errors.New("sync: no run of this connection is under way")

// Start starts a run of a connection; full ignores what is known and reads everything. by is the id of the credential that asks. It gives the id of
// the run, which appears in Postgres (connection.GetRun) once it began. Errors: connection.ErrUnknown, connection.ErrPaused, connection.ErrRunning when one is under way.
func Start(ctx context.Context, c client.Client, db *database.DB, t Target, full bool, by string) (uuid.UUID, error) {
	return start(ctx, c, db, "Sync", Input{Target: t, Full: full, By: by})
}

// Backfill starts a run that reads only what the source says was updated in [since, until), of the streams that can be read so; the cursors stay where they are.
// Otherwise as Start.
func Backfill(ctx context.Context, c client.Client, db *database.DB, t Target, since, until time.Time, by string) (uuid.UUID, error) {
	return start(ctx, c, db, "Sync", Input{Target: t, By: by, Since: since.UTC(), Until: until.UTC()})
}

// StartReplay starts a run that maps the connection's open dead letters again. Otherwise as Start.
func StartReplay(ctx context.Context, c client.Client, db *database.DB, t Target, by string) (uuid.UUID, error) {
	return start(ctx, c, db, "Replay", Input{Target: t, By: by})
}

// closing is how long the execution of a run that has ended may stay open: after the death of a hub Temporal waits 10 s for whoever had taken its last task.
const closing = 30 * time.Second

// start starts an execution. A run is over, for everyone who looks, when its row says so; its execution closes later, and is waited for.
func start(ctx context.Context, c client.Client, db *database.DB, workflow string, in Input) (uuid.UUID, error) {
	for deadline := time.Now().Add(closing); ; {
		underWay, err := startable(ctx, db, in.Target)
		if err != nil {
			return uuid.Nil, err
		}
		run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: in.workflowID(), TaskQueue: Queue, WorkflowExecutionErrorWhenAlreadyStarted: true,
			WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
			WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		}, workflow, in)
		if err == nil {
			return RunID(run.GetRunID()), nil
		}
		var open *serviceerror.WorkflowExecutionAlreadyStarted
		switch {
		case !errors.As(err, &open):
			return uuid.Nil, fmt.Errorf("sync: start: %w", err)
		case underWay || time.Now().After(deadline):
			return uuid.Nil, fmt.Errorf("%w: wait for it, or cancel it", connection.ErrRunning)
		}
		select {
		case <-ctx.Done():
			return uuid.Nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// startable says at once what a run would find out when it begins, and whether one is under way.
func startable(ctx context.Context, db *database.DB, t Target) (underWay bool, err error) {
	err = db.ReadTenant(ctx, t.Tenant, func(ctx context.Context, tx *database.Tx) error {
		c, err := connection.Get(ctx, tx, t.Connection.String())
		if err != nil {
			return err
		}
		if err := c.Startable(); err != nil {
			return err
		}
		newest, err := connection.History(ctx, tx, t.Connection, time.Time{}, 1)
		underWay = len(newest) == 1 && newest[0].State == connection.Running
		return err
	})
	return underWay, err
}

// RunError is how a run failed. Class is a contract.Class or one of this package's.
type RunError struct {
	Class string
	Text  string // what failed and what to do; no value of a record
}

func (e *RunError) Error() string { return e.Class + ": " + e.Text }

// Wait waits for the connection's newest run to end. The error is a *RunError if the run did not succeed.
func Wait(ctx context.Context, c client.Client, t Target) error {
	err := c.GetWorkflow(ctx, t.workflowID(), "").Get(ctx, nil)
	var ended *temporal.WorkflowExecutionError
	if errors.As(err, &ended) {
		o := outcome(errors.Unwrap(ended))
		return &RunError{Class: o.Class, Text: o.Error}
	}
	if err != nil {
		return fmt.Errorf("sync: wait: %w", err)
	}
	return nil
}

// Cancel asks the connection's run to end; what it stored stays. ErrNotRunning when there is none. It does not wait for the end.
func Cancel(ctx context.Context, c client.Client, t Target) error {
	d, err := c.DescribeWorkflowExecution(ctx, t.workflowID(), "") // Temporal says yes to whoever cancels once more what was cancelled
	if err == nil && d.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return ErrNotRunning
	}
	if err == nil {
		err = c.CancelWorkflow(ctx, t.workflowID(), "")
	}
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("sync: cancel: %w", err)
	}
	return nil
}

// Status is what Temporal knows of a connection; the rest stands in Postgres (connection.History).
type Status struct {
	Running   bool      `json:"running"`
	Run       uuid.UUID `json:"run"`               // under way, or the last one that Temporal remembers; zero: none
	Attempt   int32     `json:"attempt,omitempty"` // of what is being done, from 1
	NextTry   time.Time `json:"next_try,omitzero"` // when it waits between two attempts
	Scheduled bool      `json:"scheduled"`         // runs by itself
	Paused    bool      `json:"paused"`            // would, but its schedule is paused
	NextRun   time.Time `json:"next_run,omitzero"` // by the schedule
}

// Describe asks Temporal about a connection.
func Describe(ctx context.Context, c client.Client, t Target) (Status, error) {
	var s Status
	d, err := c.DescribeWorkflowExecution(ctx, t.workflowID(), "")
	var missing *serviceerror.NotFound
	if err != nil && !errors.As(err, &missing) {
		return s, fmt.Errorf("sync: describe: %w", err)
	}
	if err == nil {
		info := d.GetWorkflowExecutionInfo()
		s.Running = info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
		s.Run = RunID(info.GetFirstRunId())
		for _, pending := range d.GetPendingActivities() {
			s.Attempt = pending.GetAttempt()
			if pending.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED && pending.GetScheduledTime().AsTime().After(time.Unix(0, 0)) && s.Attempt > 1 {
				s.NextTry = pending.GetScheduledTime().AsTime()
			}
		}
	}
	schedule, err := c.ScheduleClient().GetHandle(ctx, t.scheduleID()).Describe(ctx)
	if err != nil {
		if errors.As(err, &missing) {
			return s, nil
		}
		return s, fmt.Errorf("sync: describe schedule: %w", err)
	}
	s.Scheduled, s.Paused = true, schedule.Schedule.State.Paused
	if len(schedule.Info.NextActionTimes) > 0 && !s.Paused {
		s.NextRun = schedule.Info.NextActionTimes[0]
	}
	return s, nil
}
