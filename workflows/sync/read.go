package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/workflows/codec"
)

// A run is read in the quick lane at first, and in the slow one from the moment when it turns out to take long: each lane has its own task queue and its own places
// for connectors. So no number of slow or hanging sources keeps the others waiting. One whose last run took long begins in the slow lane.
const (
	// slice is how long one activity reads before it lets the workflow start the next: the others of the slow lane have their turn, and a long sync has all
	// its attempts anew.
	slice = 2 * time.Minute
	// quick is a slice of the quick lane.
	quick = 20 * time.Second
	// hanging is when the quick lane no longer waits for the page under way; it is read again in the slow one.
	hanging = 45 * time.Second
	// pulse is how often a read tells Temporal that it lives, and so learns that it was cancelled.
	pulse = 5 * time.Second
	// renewal is how often a read renews its lease while it stores no page.
	renewal = time.Minute
)

type readInput struct {
	codec.Tombstone
	Target
	Run    uuid.UUID `json:"run"`
	Stream stream    `json:"stream"`
	Full   bool      `json:"full,omitempty"`
	Slow   bool      `json:"slow,omitempty"` // the lane

	Since time.Time `json:"since,omitzero"` // of a backfill
	Until time.Time `json:"until,omitzero"`
}

type readResult struct {
	codec.Tombstone
	More  bool  `json:"more,omitempty"` // the stream's end was not reached
	Pages int64 `json:"pages"`
}

// errEnough ends a read between two pages, so that another activity goes on.
var errEnough = errors.New("enough for one activity")

// read brings a stream from its cursor on. Each page is stored with its cursor in one transaction by the road; what this attempt stored
// stays, and another attempt goes on from there.
func (a *activities) read(ctx context.Context, in readInput) (readResult, error) {
	if in.Destroyed {
		return readResult{}, errDestroyed
	}
	r, err := a.open(ctx, in)
	if err != nil {
		return readResult{}, a.trouble(ctx, in, err)
	}
	defer r.process.Close()
	more, err := r.all(ctx)
	switch {
	case errors.Is(err, errEnough):
		return readResult{More: true, Pages: r.pages}, nil
	case err != nil && stopping(ctx) && ctx.Err() == nil:
		return readResult{More: true, Pages: r.pages}, nil // whatever broke may have broken because the process ends
	case err != nil:
		return readResult{}, a.trouble(ctx, in, err)
	}
	return readResult{More: more, Pages: r.pages}, nil
}

// tookLong says whether a run belongs into the slow lane from its beginning, by the one before it.
func tookLong(before []connection.Run) bool {
	return len(before) == 1 && before[0].EndedAt != nil && before[0].EndedAt.Sub(before[0].StartedAt) > hanging
}

// trouble settles an error and, where it will be tried again, tells whoever looks at the run.
func (a *activities) trouble(ctx context.Context, in readInput, err error) error {
	settled := a.settle(ctx, err)
	var application *temporal.ApplicationError
	if errors.As(settled, &application) && !application.NonRetryable() {
		note := func(ctx context.Context, tx *database.Tx) error {
			return connection.NoteTrouble(ctx, tx, in.Run, application.Type(), application.Message())
		}
		if err := a.DB.Tenant(ctx, in.Tenant, note); err != nil {
			a.Log.Warn("sync: the run's trouble could not be noted", "run", in.Run, "error", err)
		}
	}
	return settled
}

// reader reads one stream with one connector process.
type reader struct {
	*activities
	in      readInput
	keys    *vault.Tenant
	process *host.Process
	about   contract.Description
	stream  contract.Stream
	mapping *mapping.Mapping
	purpose string
	began   time.Time
	pages   int64
	calm    bool // no trouble is noted
}

// open starts the connector and loads what the connection says.
func (a *activities) open(ctx context.Context, in readInput) (*reader, error) {
	r := &reader{activities: a, in: in, began: a.Now()}
	var err error
	if r.keys, err = a.Vault.Tenant(in.Tenant); err != nil {
		return nil, err
	}
	var c connection.Connection
	var m connection.MappingVersion
	err = a.DB.ReadTenant(ctx, in.Tenant, func(ctx context.Context, tx *database.Tx) error {
		if c, err = connection.Get(ctx, tx, in.Connection.String()); err != nil {
			return err
		}
		m, err = connection.GetMapping(ctx, tx, in.Connection, in.Stream.Mapping)
		return err
	})
	if err != nil {
		return nil, err
	}
	settings, err := c.Settings(r.keys)
	if err != nil {
		return nil, err
	}
	plugin, err := a.Plugin(c.Connector, c.Checksum)
	if err != nil {
		return nil, err
	}
	r.purpose = c.Purpose
	if r.process, err = a.Host.Start(ctx, plugin, host.Session{Config: settings.Config, Secrets: settings.Secret}); err != nil {
		return nil, err
	}
	if err := r.describe(ctx, settings, m); err != nil {
		r.process.Close()
		return nil, err
	}
	return r, nil
}

// describe asks the connector for its streams and loads the mapping for them.
func (r *reader) describe(ctx context.Context, settings connection.Settings, m connection.MappingVersion) error {
	var err error
	if r.about, err = r.process.Describe(ctx, settings.Config); err != nil {
		return err
	}
	var there bool
	if r.stream, there = r.about.Stream(r.in.Stream.Name); !there {
		return &contract.Error{Class: contract.ClassConfig, Message: fmt.Sprintf("the connector brings no stream %q any more; apply a mapping that does not name it", r.in.Stream.Name)}
	}
	r.mapping, err = connection.LoadMapping(m.Document, settings.Params, r.about.Streams)
	return err
}

// all reads the stream to its end.
func (r *reader) all(ctx context.Context) (more bool, err error) {
	if !r.in.Since.IsZero() {
		return false, r.backfill(ctx)
	}
	at, err := r.start(ctx)
	if err != nil || at.Complete {
		return false, err
	}
	err = r.from(ctx, at)
	var told *contract.Error
	if errors.As(err, &told) && told.Class == contract.ClassCursorExpired {
		if at.Cursor == nil {
			return false, &contract.Error{Class: contract.ClassSourceBug, Message: "the connector says that its cursor expired, but it was given none"}
		}
		r.Log.Info("sync: the source no longer knows the cursor; the stream is read from its start", "connection", r.in.Connection, "stream", r.in.Stream.Name)
		if at, err = r.restart(ctx); err != nil {
			return false, err
		}
		err = r.from(ctx, at)
	}
	if err != nil {
		return false, err
	}
	return false, r.transaction(ctx, func(ctx context.Context, tx *database.Tx) error {
		return connection.CompleteStream(ctx, tx, r.in.Connection, r.in.Run, r.in.Stream.Name, r.Now())
	})
}

// backfill reads a range of time, from its beginning, and leaves the stream's cursor where it is: what is there already is found unchanged. A snapshot
// is passed over beside streams that can be read so: every ordinary run reads it whole.
func (r *reader) backfill(ctx context.Context) error {
	if r.stream.Ranges {
		return r.from(ctx, connection.Reading{})
	}
	can := func(name string) bool { s, _ := r.about.Stream(name); return s.Ranges }
	if r.stream.Mode != contract.Incremental && slices.ContainsFunc(r.mapping.Streams(), can) {
		return nil
	}
	return &contract.Error{Class: contract.ClassUnsupported, Message: fmt.Sprintf("the stream %s cannot be read for a range of time; read it in full: --full", r.stream.Name)}
}

// transaction runs fn if this run still holds the connection.
func (r *reader) transaction(ctx context.Context, fn func(context.Context, *database.Tx) error) error {
	return r.DB.Tenant(ctx, r.in.Tenant, func(ctx context.Context, tx *database.Tx) error {
		if err := connection.HoldLease(ctx, tx, r.in.Connection, r.in.Run, r.Now().Add(lease)); err != nil {
			return err
		}
		return fn(ctx, tx)
	})
}

func (r *reader) start(ctx context.Context) (at connection.Reading, err error) {
	what := connection.Start{Stream: r.stream, Lookups: r.in.Stream.Lookups, Mapping: r.in.Stream.Mapping, Full: r.in.Full}
	err = r.transaction(ctx, func(ctx context.Context, tx *database.Tx) error {
		at, err = connection.StartStream(ctx, tx, r.keys, r.in.Connection, r.in.Run, what, r.Now())
		return err
	})
	return at, err
}

func (r *reader) restart(ctx context.Context) (at connection.Reading, err error) {
	err = r.transaction(ctx, func(ctx context.Context, tx *database.Tx) error {
		at, err = connection.RestartStream(ctx, tx, r.keys, r.in.Connection, r.in.Run, r.stream, r.Now())
		return err
	})
	return at, err
}

// from reads on from a place. While the connector works, the pulse keeps activity and lease alive.
func (r *reader) from(ctx context.Context, at connection.Reading) error {
	if at.Cursor != nil { // the worker may have died between the page's commit and telling the source
		if err := r.tellSource(ctx, at.Cursor); err != nil {
			return err
		}
	}
	whole := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	beaten := make(chan struct{})
	go func() {
		defer close(beaten)
		r.beat(whole, ctx, cancel)
	}()
	request := host.ReadRequest{Stream: r.stream, Cursor: at.Cursor, Fields: r.mapping.Fields(r.stream.Name), Full: at.Again, Since: r.in.Since, Until: r.in.Until}
	run := ingest.Run{
		Tenant: r.in.Tenant, Connection: r.in.Connection, ID: r.in.Run, Purpose: r.purpose, Mapping: r.mapping, MappingVersion: r.in.Stream.Mapping,
		Stream: r.stream, Generation: at.Generation, Lease: lease,
	}
	pages := r.Road.Pages(ctx, run, func(page contract.Page, _ ingest.Counts) error { return r.stored(ctx, page) })
	err := r.process.Read(ctx, request, func(ctx context.Context, page host.Page) error {
		if !r.in.Since.IsZero() {
			page.Cursor, page.SnapshotComplete = nil, false // the stream stands where it stood
		}
		return pages.Add(ctx, page.Contract())
	})
	if last := pages.Wait(); err == nil {
		err = last
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	cancel(nil)
	<-beaten
	return err
}

// stored tells the source of a page that is stored, and ends the read when it is time.
func (r *reader) stored(ctx context.Context, page contract.Page) error {
	r.pages++
	if !r.calm { // it goes on
		r.calm = true
		note := func(ctx context.Context, tx *database.Tx) error {
			return connection.NoteTrouble(ctx, tx, r.in.Run, "", "")
		}
		if err := r.DB.Tenant(ctx, r.in.Tenant, note); err != nil {
			return err
		}
	}
	if page.Cursor == nil {
		return nil
	}
	if err := r.tellSource(ctx, page.Cursor); err != nil {
		return err
	}
	enough := r.quick
	if r.in.Slow {
		enough = r.slice
	}
	if r.Now().Sub(r.began) > enough || stopping(ctx) {
		return errEnough
	}
	return nil
}

// tellSource tells a connector that wants to know that everything up to the cursor is stored for good.
func (r *reader) tellSource(ctx context.Context, cursor []byte) error {
	if !r.about.Has(contract.AbilityCommit) {
		return nil
	}
	return r.process.Commit(ctx, r.stream.Name, cursor)
}

// beat tells Temporal that the read lives, with no more than a count, and renews the lease. A read that lost its lease is ended, and one that hangs in the
// quick lane. whole is the activity's
// own context: a heartbeat on one that is already done would end the activity as cancelled.
func (r *reader) beat(whole, ctx context.Context, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(r.pulse)
	defer ticker.Stop()
	var hanging <-chan time.Time
	if !r.in.Slow {
		hanging = time.After(r.hanging)
	}
	activity.RecordHeartbeat(whole)
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hanging:
			cancel(errEnough)
			return
		case <-activity.GetWorkerStopChannel(ctx):
			select { // give the page under way a moment, then go
			case <-ctx.Done():
			case <-time.After(stopTime / 2):
				cancel(errEnough)
			}
			return
		case <-ticker.C:
		}
		activity.RecordHeartbeat(whole)
		if time.Since(renewed) < renewal {
			continue
		}
		renewed = time.Now()
		err := r.transaction(ctx, func(context.Context, *database.Tx) error { return nil })
		if errors.Is(err, connection.ErrLeaseLost) {
			cancel(err)
			return
		}
	}
}

// stopping says whether the worker is about to stop.
func stopping(ctx context.Context) bool {
	select {
	case <-activity.GetWorkerStopChannel(ctx):
		return true
	default:
		return false
	}
}
