package sync

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
)

// Classes of failure beside a connector's own (contract.Class). They stand in sync_run and are what an operator searches for.
const (
	ClassConnector   = "connector"   // the connector's program cannot be run, or breaks the protocol
	ClassDied        = "died"        // the connector, or the worker with it, died or hung
	ClassMapping     = "mapping"     // the mapping does not fit the streams any more
	ClassUnavailable = "unavailable" // Postgres does not answer
	ClassPaused      = "paused"
	ClassRemoved     = "removed"
	ClassRunning     = "running"   // another run holds the connection
	ClassLost        = "lost"      // this run was ended by another
	ClassOvertaken   = "overtaken" // a push changed a record that the run had in hand
	ClassKeys        = "keys"      // the tenant's key ring is not there, or not the one
	ClassInternal    = "internal"
)

// failure is what became of an attempt.
type failure struct {
	class string
	text  string        // for people; no value of a record
	retry bool          // trying again may help
	after time.Duration // at least; 0: as the policy says
}

// fixed lists what an error of ours says, and whether trying again may help.
var fixed = []struct {
	is    error
	class string
	retry bool
}{
	{connection.ErrPaused, ClassPaused, false},
	{connection.ErrUnknown, ClassRemoved, false},
	{connection.ErrLeaseLost, ClassLost, false},
	{connection.ErrRunning, ClassRunning, true},
	{connection.ErrOvertaken, ClassOvertaken, true},
	{connection.ErrUnknownMapping, ClassMapping, false},
	{mapping.ErrDocument, ClassMapping, false},
	{people.ErrUnknownPurpose, string(contract.ClassConfig), false},
	{vault.ErrNoKeys, ClassKeys, false},
	{vault.ErrSealed, ClassKeys, false},
	{host.ErrUnknown, ClassConnector, false},
	{host.ErrChecksum, ClassConnector, false},
	{host.ErrNoNamespace, ClassConnector, false},
	{host.ErrHandshake, ClassConnector, false},
	{host.ErrProtocol, ClassConnector, false},
	{host.ErrPage, ClassConnector, false},
	{contract.ErrSchema, ClassConnector, false},
	{contract.ErrDescription, ClassConnector, false},
	{host.ErrTimeout, ClassDied, true},
	{host.ErrDied, ClassDied, true},
	{host.ErrClosed, ClassDied, true},
	{database.ErrUnavailable, ClassUnavailable, true},
}

// maxText bounds the text of a failure, in bytes.
const maxText = 2000

// classify says what an error means. Rooms keep values of records out of their errors, so the texts may be shown.
func classify(err error) failure {
	f := failure{class: ClassInternal, text: err.Error(), retry: true}
	var told *contract.Error
	if errors.As(err, &told) {
		f = failure{class: string(told.Class), text: told.Message, retry: told.Class.Retryable(), after: told.RetryAfter}
	} else {
		for _, known := range fixed {
			if errors.Is(err, known.is) {
				f.class, f.retry = known.class, known.retry
				if f.class == ClassOvertaken { // it will not happen again at once
					f.after = time.Second
				}
				break
			}
		}
	}
	if len(f.text) > maxText {
		f.text = f.text[:maxText]
	}
	return f
}

// error is the failure as Temporal takes it: its policy retries unless told otherwise.
func (f failure) error() error {
	return temporal.NewApplicationErrorWithOptions(f.text, f.class, temporal.ApplicationErrorOptions{NonRetryable: !f.retry, NextRetryDelay: f.after})
}

// outcome turns what an activity, or the workflow's own waiting, ended with into the outcome of the run.
func outcome(err error) connection.Outcome {
	var application *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	switch {
	case err == nil:
		return connection.Outcome{State: connection.Succeeded}
	case temporal.IsCanceledError(err):
		return connection.Outcome{State: connection.Cancelled, Class: "cancelled", Error: "the run was cancelled; the next one goes on where it ended"}
	case errors.As(err, &application):
		return connection.Outcome{State: connection.Failed, Class: application.Type(), Error: application.Message()}
	case errors.As(err, &timeout):
		return connection.Outcome{State: connection.Failed, Class: ClassDied,
			Error: "no worker gave a sign of life for too long, several times; see the workers' logs; the next run goes on where this one ended"}
	}
	return connection.Outcome{State: connection.Failed, Class: ClassInternal, Error: "the workflow failed; see the workers' logs"}
}

// settle is what an activity returns for err: nothing for nil, the context's own error when it ended, else a classified failure.
func (a *activities) settle(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f := classify(err)
	if f.class == ClassInternal {
		a.Log.Error("sync: internal error", "error", err)
	}
	return f.error()
}
