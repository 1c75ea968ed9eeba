package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

// TakeOver has what a killed hub left under way begin again at once, instead of when its heartbeat or its time is missed: a minute. Only a hub
// that is alone may call it, and before its workers start: whatever counts as running then has nobody who runs it.
func TakeOver(ctx context.Context, c client.Client, namespace string, db *database.DB) error {
	tenants, err := db.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		var list []connection.Connection
		err := db.ReadTenant(ctx, t.ID, func(ctx context.Context, tx *database.Tx) error {
			list, err = connection.List(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
		for _, conn := range list {
			if err := takeOver(ctx, c, namespace, Target{Tenant: t.ID, Connection: conn.ID}); err != nil {
				return fmt.Errorf("sync: take over what was under way: %w", err)
			}
		}
	}
	return nil
}

// errOrphaned stands for an attempt whose process is gone.
var errOrphaned = temporal.NewApplicationErrorWithOptions("the hub that ran this was killed", ClassDied, temporal.ApplicationErrorOptions{NextRetryDelay: time.Millisecond})

func takeOver(ctx context.Context, c client.Client, namespace string, t Target) error {
	var missing *serviceerror.NotFound
	d, err := c.DescribeWorkflowExecution(ctx, t.workflowID(), "")
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil || d.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return err
	}
	run := d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	for _, pending := range d.GetPendingActivities() {
		if pending.GetState() != enumspb.PENDING_ACTIVITY_STATE_STARTED {
			continue
		}
		err := c.CompleteActivityByID(ctx, namespace, t.workflowID(), run, pending.GetActivityId(), nil, errOrphaned)
		if err != nil && !errors.As(err, &missing) {
			return err
		}
	}
	return nil
}
