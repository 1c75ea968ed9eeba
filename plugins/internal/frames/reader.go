package frames

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
)

// ErrFrame says that the other side broke the protocol.
var ErrFrame = errors.New("the connector broke the protocol")

// Reader unpacks frames into events. It trusts nothing in them and holds at most one record of at most max bytes.
type Reader struct {
	max      int
	emit     func(contract.Event) error
	big      []byte // the record that arrives in chunks
	size     int    // of that record, also beyond max
	chunked  bool
	sequence uint64
	ended    bool
	reply    *pb.Reply
}

// NewReader makes a Reader that gives each event to emit; the event's slices are good until emit returns. A record
// above max bytes becomes an EventBad with code too_large.
func NewReader(max int, emit func(contract.Event) error) *Reader {
	return &Reader{max: max, emit: emit}
}

// Ended says whether the End has come; without it the read was cut off.
func (r *Reader) Ended() bool { return r.ended }

// Reply is what a push is to be answered, nil if none came.
func (r *Reader) Reply() *pb.Reply { return r.reply }

// Read takes one frame.
func (r *Reader) Read(f *pb.Frame) error {
	if r.ended {
		return fmt.Errorf("%w: a frame after the end", ErrFrame)
	}
	chunk := f.GetChunk()
	if r.chunked && chunk == nil {
		return fmt.Errorf("%w: a record in chunks was not finished", ErrFrame)
	}
	switch m := f.GetFrame().(type) {
	case *pb.Frame_Records:
		return r.records(m.Records)
	case *pb.Frame_Chunk:
		return r.chunk(chunk)
	case *pb.Frame_Bad:
		return r.emit(contract.Event{
			Kind: contract.EventBad, Code: clip(m.Bad.GetCode()), Position: clip(m.Bad.GetPosition()), Reason: clip(m.Bad.GetReason()),
			JSON: m.Bad.GetRaw()[:min(len(m.Bad.GetRaw()), contract.MaxRaw)],
		})
	case *pb.Frame_Checkpoint:
		return r.checkpoint(m.Checkpoint)
	case *pb.Frame_Progress:
		return r.emit(contract.Event{Kind: contract.EventProgress, Done: m.Progress.GetDone(), Total: m.Progress.GetTotal()})
	case *pb.Frame_SnapshotComplete:
		return r.emit(contract.Event{Kind: contract.EventSnapshotComplete})
	case *pb.Frame_Reply:
		r.reply = m.Reply
		return nil
	case *pb.Frame_End:
		r.ended = true
		return nil
	}
	return fmt.Errorf("%w: a frame of an unknown kind", ErrFrame)
}

func (r *Reader) checkpoint(c *pb.Checkpoint) error {
	r.sequence++
	switch {
	case c.GetSequence() != r.sequence:
		return fmt.Errorf("%w: checkpoint %d came as number %d", ErrFrame, c.GetSequence(), r.sequence)
	case len(c.GetCursor()) > contract.MaxCursor:
		return fmt.Errorf("%w: a cursor of %d bytes; the limit is %d", ErrFrame, len(c.GetCursor()), contract.MaxCursor)
	}
	return r.emit(contract.Event{Kind: contract.EventCheckpoint, Cursor: c.GetCursor(), Sequence: r.sequence})
}

func (r *Reader) records(b *pb.Records) error {
	if len(b.GetPositionLengths()) != len(b.GetLengths()) {
		return fmt.Errorf("%w: %d records with %d positions", ErrFrame, len(b.GetLengths()), len(b.GetPositionLengths()))
	}
	data, positions := b.GetData(), string(b.GetPositions())
	kind := contract.EventRecord
	if b.GetDeleted() {
		kind = contract.EventDelete
	}
	for i, length := range b.GetLengths() {
		long := b.GetPositionLengths()[i]
		if uint64(length) > uint64(len(data)) || uint64(long) > uint64(len(positions)) {
			return fmt.Errorf("%w: record %d of a batch reaches beyond its end", ErrFrame, i+1)
		}
		e := contract.Event{Kind: kind, JSON: data[:length:length], Position: clip(positions[:long])}
		data, positions = data[length:], positions[long:]
		if int(length) > r.max {
			e = tooLarge(int(length), r.max, e.Position)
		}
		if err := r.emit(e); err != nil {
			return err
		}
	}
	if len(data) > 0 {
		return fmt.Errorf("%w: %d bytes after the last record of a batch", ErrFrame, len(data))
	}
	return nil
}

func (r *Reader) chunk(c *pb.Chunk) error {
	r.chunked = !c.GetLast()
	r.size += len(c.GetData())
	if r.size <= r.max {
		r.big = append(r.big, c.GetData()...)
	} else {
		r.big = nil // too large: only counted from here on
	}
	if !c.GetLast() {
		return nil
	}
	e := contract.Event{Kind: contract.EventRecord, JSON: r.big, Position: clip(c.GetPosition())}
	if r.size > r.max {
		e = tooLarge(r.size, r.max, e.Position)
	}
	r.big, r.size = nil, 0
	return r.emit(e)
}

func tooLarge(size, limit int, position string) contract.Event {
	return contract.Event{
		Kind: contract.EventBad, Code: contract.CodeTooLarge, Position: position,
		Reason: fmt.Sprintf("the record has %d bytes; the limit is %d", size, limit),
	}
}

func clip(text string) string {
	if len(text) > contract.MaxPosition {
		text = text[:contract.MaxPosition]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
