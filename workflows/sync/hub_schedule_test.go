package sync

import (
	"context"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

func schedule(h *hub) {
	c, folder := h.addLedger("scheduled", 50, "slow 300")
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
