package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

// EnsureSchedule makes the connection's schedule what the connection says: its interval, paused or not, or none. Call it after each change of a
// connection has committed; called twice it changes nothing.
func EnsureSchedule(ctx context.Context, c client.Client, tenant database.TenantID, conn connection.Connection) error {
	t := Target{Tenant: tenant, Connection: conn.ID}
	if conn.Schedule == 0 {
		return deleteSchedule(ctx, c, t.scheduleID())
	}
	return ensure(ctx, c, client.ScheduleOptions{
		ID:      t.scheduleID(),
		Spec:    client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: conn.Schedule, Offset: t.offset(conn.Schedule)}}},
		Action:  &client.ScheduleWorkflowAction{ID: t.dueID(), Workflow: "Due", TaskQueue: Queue},
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: time.Minute, Paused: conn.State == connection.Paused,
	})
}

// offset spreads connections of the same interval over it, each always at the same place.
func (t Target) offset(interval time.Duration) time.Duration {
	var sum uint64
	for _, b := range t.Connection {
		sum = sum*31 + uint64(b)
	}
	return time.Duration(sum%uint64(interval/time.Second)) * time.Second
}

// EnsureHousekeeping makes the daily schedule that deletes what was kept long enough.
func EnsureHousekeeping(ctx context.Context, c client.Client) error {
	return ensure(ctx, c, client.ScheduleOptions{
		ID:      housekeepingID,
		Spec:    client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: 24 * time.Hour, Offset: 3 * time.Hour}}},
		Action:  &client.ScheduleWorkflowAction{ID: housekeepingID, Workflow: "Housekeeping", TaskQueue: Queue},
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: 24 * time.Hour,
	})
}

const housekeepingID = "housekeeping"

// ensure creates a schedule, or makes the one that is there the same.
func ensure(ctx context.Context, c client.Client, o client.ScheduleOptions) error {
	_, err := c.ScheduleClient().Create(ctx, o)
	if err == nil {
		return nil
	}
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return fmt.Errorf("sync: create schedule: %w", err)
	}
	err = c.ScheduleClient().GetHandle(ctx, o.ID).Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		s := in.Description.Schedule
		s.Spec, s.Action = &o.Spec, o.Action
		s.Policy = &client.SchedulePolicies{Overlap: o.Overlap, CatchupWindow: o.CatchupWindow}
		s.State = &client.ScheduleState{Paused: o.Paused}
		return &client.ScheduleUpdate{Schedule: &s}, nil
	}})
	if err != nil {
		return fmt.Errorf("sync: update schedule: %w", err)
	}
	return nil
}

func deleteSchedule(ctx context.Context, c client.Client, id string) error {
	err := c.ScheduleClient().GetHandle(ctx, id).Delete(ctx)
	var missing *serviceerror.NotFound
	if err != nil && !errors.As(err, &missing) {
		return fmt.Errorf("sync: delete schedule: %w", err)
	}
	return nil
}

// Pause stops what goes on for a connection that was paused (connection.Pause, committed): its schedule, and its run if one is under way.
func Pause(ctx context.Context, c client.Client, tenant database.TenantID, conn connection.Connection) error {
	return stop(ctx, c, tenant, conn, EnsureSchedule(ctx, c, tenant, conn))
}

// Resume lets a connection that was resumed (connection.Resume, committed) be synced by its schedule again.
func Resume(ctx context.Context, c client.Client, tenant database.TenantID, conn connection.Connection) error {
	return EnsureSchedule(ctx, c, tenant, conn)
}

// Remove drops Temporal's side of a connection that was removed (connection.Remove, committed). A run under way is cancelled; it could store nothing more.
func Remove(ctx context.Context, c client.Client, tenant database.TenantID, conn connection.Connection) error {
	return stop(ctx, c, tenant, conn, deleteSchedule(ctx, c, Target{Tenant: tenant, Connection: conn.ID}.scheduleID()))
}

func stop(ctx context.Context, c client.Client, tenant database.TenantID, conn connection.Connection, err error) error {
	cancelled := Cancel(ctx, c, Target{Tenant: tenant, Connection: conn.ID})
	if errors.Is(cancelled, ErrNotRunning) {
		cancelled = nil
	}
	return errors.Join(err, cancelled)
}

// Trigger makes the schedule start a run now. Start does it for a connection without a schedule, and at once.
func Trigger(ctx context.Context, c client.Client, t Target) error {
	err := c.ScheduleClient().GetHandle(ctx, t.scheduleID()).Trigger(ctx, client.ScheduleTriggerOptions{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP})
	if err != nil {
		return fmt.Errorf("sync: trigger: %w", err)
	}
	return nil
}

// Reconcile makes Temporal's schedules what Postgres says, for all tenants: call it when a worker starts, since a change of a connection may have committed
// while Temporal could not be reached, and either may have been restored from a backup.
func Reconcile(ctx context.Context, c client.Client, db *database.DB) error {
	tenants, err := db.Tenants(ctx)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
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
			if err := EnsureSchedule(ctx, c, t.ID, conn); err != nil {
				return err
			}
			wanted[Target{Tenant: t.ID, Connection: conn.ID}.scheduleID()] = true
		}
	}
	if err := dropUnwanted(ctx, c, db, wanted); err != nil {
		return err
	}
	return EnsureHousekeeping(ctx, c)
}

// isGone asks again about a schedule that no connection was known for: one may have been added since they were listed.
func isGone(ctx context.Context, db *database.DB, id string) (bool, error) {
	t, err := parseTarget(id)
	if err != nil {
		return true, nil // nothing of ours has such an id
	}
	err = db.ReadTenant(ctx, t.Tenant, func(ctx context.Context, tx *database.Tx) error {
		_, err := connection.Get(ctx, tx, t.Connection.String())
		return err
	})
	if errors.Is(err, connection.ErrUnknown) {
		return true, nil
	}
	return false, err
}

func dropUnwanted(ctx context.Context, c client.Client, db *database.DB, wanted map[string]bool) error {
	all, err := c.ScheduleClient().List(ctx, client.ScheduleListOptions{PageSize: 100})
	if err != nil {
		return fmt.Errorf("sync: list schedules: %w", err)
	}
	for all.HasNext() {
		s, err := all.Next()
		if err != nil {
			return fmt.Errorf("sync: list schedules: %w", err)
		}
		if !strings.HasPrefix(s.ID, "sync/") || wanted[s.ID] {
			continue
		}
		gone, err := isGone(ctx, db, s.ID)
		if err != nil {
			return err
		}
		if gone {
			if err := deleteSchedule(ctx, c, s.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
