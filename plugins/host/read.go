package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/frames"
)

// ReadRequest says what to read and what to keep of it.
type ReadRequest struct {
	Stream    contract.Stream // as Describe gave it for the session's config
	Partition string          // of Plan; "" for the whole stream
	Cursor    []byte          // nil: from the start
	// Fields are the paths to keep of each record (contract.SplitPath); all else is thrown away here. nil keeps every
	// field that the stream declares; what it does not declare is never kept.
	Fields []string
	Full   bool
	// Since and Until ask a stream with Stream.Ranges for what was updated in [Since, Until), without a cursor; zero: no range.
	Since, Until time.Time
	PageRecords  int // records that may lie between two checkpoints; 0: 1000
}

// Page is what a connector brought between two checkpoints. Its memory is the callee's to keep.
type Page struct {
	Stream  string
	Records []Record
	Bad     []Bad
	// Cursor is what to store with the page. nil: the read ended without a checkpoint after these records, so the stored cursor stays.
	Cursor           []byte
	Done, Total      int64 // progress as the connector last told it; Total 0: unknown
	SnapshotComplete bool
}

// Contract gives the page as the rooms of the hub know it; it shares its memory.
func (p Page) Contract() contract.Page {
	page := contract.Page{Cursor: p.Cursor, Done: p.Done, Total: p.Total, SnapshotComplete: p.SnapshotComplete,
		Records: make([]contract.Record, len(p.Records)), Bad: make([]contract.Bad, len(p.Bad))}
	for i, r := range p.Records {
		page.Records[i] = contract.Record(r)
	}
	for i, b := range p.Bad {
		page.Bad[i] = contract.Bad{Code: b.Code, Position: b.Position, Reason: b.Reason, Key: b.Key, Raw: b.Raw}
	}
	return page
}

// Record is one record of a page.
type Record struct {
	// Key is the compact JSON array of the key fields' values (contract.Key), taken before pruning. For a stream without
	// key it holds the SHA-256 of the whole record's canonical form, in hex.
	Key []byte
	// Subject is the value of the stream's subject field as text, taken before pruning; "" if there is none.
	Subject  string
	JSON     []byte // the record, pruned; nil if deleted
	Position string // where in the source it stood
	Deleted  bool
}

// Bad is something that cannot become a record: a dead letter.
type Bad struct {
	Code     string // "bad_record", "too_large" or the connector's own
	Position string
	Reason   string // field, position, kind; no value unless the connector misbehaves: seal it like Raw
	Raw      []byte // what was found; nil if it was too large
	Key      []byte // if it could be told
	Unfit    bool   // the connector brought it as a record, but it does not fit the stream's schema
}

// Read reads a stream from the request's cursor to its end for now, page by page. While page works on one page the
// connector brings the next and then waits. An error of page ends the read and comes back as it is.
func (p *Process) Read(ctx context.Context, r ReadRequest, page func(context.Context, Page) error) error {
	what := "reading " + r.Stream.Name
	return p.stream(ctx, what, r.Stream, r.Fields, page, func(ctx context.Context) (*conversation, error) {
		call, err := p.calls.Read(ctx)
		if err != nil {
			return nil, err
		}
		start := &pb.ReadRequest{
			Stream: r.Stream.Name, Partition: r.Partition, Cursor: r.Cursor, Fields: r.Fields, Full: r.Full,
			PageRecords: uint32(r.PageRecords), MaxRecord: uint64(p.limits.RecordBytes),
		}
		if !r.Since.IsZero() {
			start.Since, start.Until = timestamppb.New(r.Since), timestamppb.New(r.Until)
		}
		err = call.Send(&pb.ReadInput{Input: &pb.ReadInput_Start{Start: start}})
		return &conversation{recv: call.Recv, ack: func(sequence uint64) error {
			return call.Send(&pb.ReadInput{Input: &pb.ReadInput_Ack{Ack: &pb.Ack{Sequence: sequence}}})
		}}, sent(err)
	})
}

// sent makes nothing of a failed Send: the call's own error comes with the next Recv.
func sent(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// conversation is an open stream of frames.
type conversation struct {
	recv  func() (*pb.Frame, error)
	ack   func(sequence uint64) error
	reply *pb.Reply // after the end
}

// stream runs one conversation: a goroutine takes frames and makes pages, this one gives them to the callee.
func (p *Process) stream(ctx context.Context, what string, s contract.Stream, fields []string,
	page func(context.Context, Page) error, open func(context.Context) (*conversation, error)) error {
	plan, err := newPlan(s, fields)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.callback.ctx, func() { cancel(fmt.Errorf("%w: %s while %s", ErrClosed, p.name, what)) })()
	p.callback.touch()
	talk, err := open(ctx)
	if err != nil {
		return p.failure(ctx, what, err)
	}
	t := &taker{process: p, talk: talk, ctx: ctx, pages: make(chan Page), build: newBuilder(plan, p.limits)}
	go p.watch(ctx, cancel, what, &t.waiting)
	ended := make(chan error, 1)
	go func() {
		ended <- t.take()
		close(t.pages)
	}()
	var refused error
	for next := range t.pages {
		if refused = page(ctx, next); refused != nil {
			cancel(refused)
			break
		}
	}
	err = <-ended
	if refused != nil {
		return refused
	}
	return p.failure(ctx, what, err)
}

// watch ends a read that shows no sign of life, unless the connector is the one who waits.
func (p *Process) watch(ctx context.Context, cancel context.CancelCauseFunc, what string, waiting *atomic.Bool) {
	ticker := time.NewTicker(max(p.limits.Idle/10, 10*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if !waiting.Load() && p.callback.quiet() > p.limits.Idle {
				cancel(fmt.Errorf("%w: %s showed no sign of life for %s while %s; if that is how long its source takes, "+
					"the connector must call Output.Progress meanwhile", ErrTimeout, p.name, p.limits.Idle, what))
				return
			}
		}
	}
}

// taker takes frames and makes pages.
type taker struct {
	process *Process
	talk    *conversation
	ctx     context.Context
	pages   chan Page
	build   *builder
	waiting atomic.Bool // for the callee: the connector's silence is ours
}

func (t *taker) take() error {
	reader := frames.NewReader(t.process.limits.RecordBytes, t.event)
	for {
		frame, err := t.talk.recv()
		t.process.callback.touch()
		switch {
		case errors.Is(err, io.EOF) && reader.Ended():
			t.talk.reply = reader.Reply()
			if t.build.empty() {
				return nil
			}
			return t.hand(t.build.cut(nil))
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: the stream was cut off", frames.ErrFrame)
		case err != nil:
			return err
		}
		if err := reader.Read(frame); err != nil {
			return err
		}
	}
}

func (t *taker) event(e contract.Event) error {
	if e.Kind != contract.EventCheckpoint {
		if err := t.build.add(e); err != nil {
			return fmt.Errorf("%s: %w", t.process.name, err)
		}
		return nil
	}
	cursor := e.Cursor
	if cursor == nil {
		cursor = []byte{} // a checkpoint that says "start anew" is one nevertheless
	}
	if err := t.hand(t.build.cut(cursor)); err != nil {
		return err
	}
	return sent(t.talk.ack(e.Sequence))
}

// hand waits until the callee has done with the page before.
func (t *taker) hand(page Page) error {
	t.waiting.Store(true)
	defer t.waiting.Store(false)
	defer t.process.callback.touch()
	select {
	case t.pages <- page:
		return nil
	case <-t.ctx.Done():
		return context.Cause(t.ctx)
	}
}
