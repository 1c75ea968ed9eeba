// Package sync reads connections: one workflow a connection, which starts its connector as a process, has each page stored by the road in, and
// waits and tries again where that helps. It is thin: what is true stands in Postgres (hub/connection), and a workflow that is lost is
// taken up by the next run.
//
// Start with Sync (workflow.go), then the activity read (read.go). What other packages call: Register and NewWorkers for whoever runs workers;
// Start, Cancel, Wait, Describe and StartReplay (start.go) for runs; EnsureSchedule, Pause, Resume, Trigger, Remove and Reconcile
// (schedule.go) for Temporal's side of a connection. Failures and who may retry them are in failure.go.
//
// Workflow ids: sync/TENANT/CONNECTION is the one open execution of a connection, whoever started it. A schedule of the same id starts
// due/TENANT/CONNECTION, which starts that one unless it is open. No payload holds more than ids, flags, names of streams and counts.
package sync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
)

// Task queues. Reads have their own, so that those that wait for a free place do not keep short work waiting; slow ones have another (read.go).
const (
	Queue     = "lrshub"
	ReadQueue = "lrshub-read"
	SlowQueue = "lrshub-read-slow"
)

// Road is the road in: ingest.Road.
type Road interface {
	Pages(ctx context.Context, run ingest.Run, stored func(contract.Page, ingest.Counts) error) *ingest.Pages
	Replay(ctx context.Context, run ingest.Run) (ingest.Counts, error)
}

// Deps is what the activities need.
type Deps struct {
	DB    *database.DB
	Vault *vault.Vault
	Road  Road
	Host  *host.Host
	// Plugin finds a connector's program. nil: the host does.
	Plugin func(connector, checksum string) (host.Plugin, error)
	Now    func() time.Time
	Log    *slog.Logger
	// Connectors is how many connector processes a worker runs at once in each lane; 0: 8.
	Connectors int
	// Failed is told when Temporal refuses the worker for good (its namespace is gone, or it may not use it); nil: nobody is told.
	Failed func(error)
	// KeepDead and KeepRuns are how long dead letters and ended runs are kept; 0: 30 and 90 days.
	KeepDead, KeepRuns time.Duration

	slice, quick, hanging, pulse time.Duration // of tests; see read.go
}

func (d Deps) withDefaults() Deps {
	if d.Plugin == nil {
		d.Plugin = func(connector, checksum string) (host.Plugin, error) {
			return host.Plugin{Connector: connector, SHA256: checksum}, nil
		}
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	const day = 24 * time.Hour
	setDefault(&d.Connectors, 8)
	setDefault(&d.KeepDead, 30*day)
	setDefault(&d.KeepRuns, 90*day)
	setDefault(&d.slice, slice)
	setDefault(&d.quick, quick)
	setDefault(&d.hanging, hanging)
	setDefault(&d.pulse, pulse)
	return d
}

func setDefault[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// Register makes a worker know this package's workflows and activities.
func Register(r worker.Registry, d Deps) {
	for name, w := range map[string]any{"Sync": Sync, "Due": Due, "Replay": Replay, "Housekeeping": Housekeeping} {
		r.RegisterWorkflowWithOptions(w, workflow.RegisterOptions{Name: name})
	}
	registerActivities(r, d)
}

func registerActivities(r worker.ActivityRegistry, d Deps) {
	a := &activities{d.withDefaults()}
	for name, f := range map[string]any{nameBegin: a.begin, nameEnd: a.end, nameRead: a.read, nameProgress: a.progress, nameReplay: a.replay, nameHousekeeping: a.housekeeping} {
		r.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
	}
}

// Names of activities, as they stand in histories.
const (
	nameBegin        = "BeginRun"
	nameEnd          = "EndRun"
	nameRead         = "ReadStream"
	nameProgress     = "RunProgress"
	nameReplay       = "ReplayStream"
	nameHousekeeping = "Housekeeping"
)

// activities are what workflows may do to the world.
type activities struct{ Deps }

// Workers are the workers of one process: one for workflows and short activities, one for each lane of reads.
type Workers struct{ list []worker.Worker }

// stopTime is how long a stopping worker waits for a read to end between two pages.
const stopTime = 10 * time.Second

// NewWorkers makes a process's workers. Start them, and Stop them before the client is closed.
func NewWorkers(c client.Client, d Deps) *Workers {
	d = d.withDefaults()
	short := worker.New(c, Queue, worker.Options{WorkerStopTimeout: stopTime, OnFatalError: d.Failed})
	Register(short, d)
	workers := &Workers{[]worker.Worker{short}}
	for _, queue := range []string{ReadQueue, SlowQueue} {
		reads := worker.New(c, queue, worker.Options{
			DisableWorkflowWorker: true, MaxConcurrentActivityExecutionSize: d.Connectors, WorkerStopTimeout: stopTime, OnFatalError: d.Failed,
			MaxHeartbeatThrottleInterval: d.pulse, // else a cancelled read would learn of it after most of its heartbeat timeout
		})
		registerActivities(reads, d)
		workers.list = append(workers.list, reads)
	}
	return workers
}

// Start starts the workers, or none of them.
func (w *Workers) Start() error {
	for i, each := range w.list {
		if err := each.Start(); err != nil {
			for _, started := range w.list[:i] {
				started.Stop()
			}
			return fmt.Errorf("start worker: %w", err)
		}
	}
	return nil
}

// Stop stops taking work and waits for what is under way, at most some seconds; another worker, or this one later, goes on with the rest.
func (w *Workers) Stop() {
	done := make(chan struct{})
	for _, each := range w.list {
		go func() {
			each.Stop()
			done <- struct{}{}
		}()
	}
	for range w.list {
		<-done
	}
}

// Logger makes the SDK log to the hub's logger.
func Logger(l *slog.Logger) sdklog.Logger { return sdklog.NewStructuredLogger(l) }

// Target is a connection of a tenant.
type Target struct {
	Tenant     database.TenantID `json:"tenant"`
	Connection uuid.UUID         `json:"connection"`
}

func (t Target) id(kind string) string { return fmt.Sprintf("%s/%d/%s", kind, t.Tenant, t.Connection) }

func (t Target) workflowID() string { return t.id("sync") }

// scheduleID also is the id of the connection's workflow, which is another name space.
func (t Target) scheduleID() string { return t.id("sync") }

// dueID is what the schedule starts; Temporal adds the instant to it.
func (t Target) dueID() string { return t.id("due") }

var errID = errors.New("sync: not an id of a connection's workflow")

// parseTarget reads KIND/TENANT/CONNECTION, and what the schedule adds.
func parseTarget(id string) (Target, error) {
	parts := strings.SplitN(id, "/", 3)
	if len(parts) != 3 || len(parts[2]) < 36 {
		return Target{}, errID
	}
	tenant, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return Target{}, errID
	}
	connection, err := uuid.Parse(parts[2][:36])
	if err != nil {
		return Target{}, errID
	}
	return Target{Tenant: database.TenantID(tenant), Connection: connection}, nil
}

// runSpace is the name space of run ids.
var runSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://lrshub.org/sync-run"))

// RunID names the run that an execution is: the same for all executions that continue the first one.
func RunID(firstRunID string) uuid.UUID { return uuid.NewSHA1(runSpace, []byte(firstRunID)) }
