// Package frames packs what a connector emits into frames of at most 1 MiB (Writer) and unpacks them (Reader). Small
// records share a frame; a record larger than a batch travels in chunks.
package frames

import (
	"fmt"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
)

// batchRecords bounds a frame of tiny records.
const batchRecords = 4096

// Writer packs. It is for one goroutine at a time; send must be done with a frame when it returns.
type Writer struct {
	send     func(*pb.Frame) error
	batch    pb.Records
	frame    pb.Frame
	sequence uint64
}

// NewWriter makes a Writer.
func NewWriter(send func(*pb.Frame) error) *Writer {
	w := &Writer{send: send}
	w.frame.Frame = &pb.Frame_Records{Records: &w.batch}
	return w
}

// Write takes one event. Records may be held back until a frame is full, or Flush.
func (w *Writer) Write(e contract.Event) error {
	switch e.Kind {
	case contract.EventRecord, contract.EventDelete:
		return w.record(e)
	case contract.EventBad:
		return w.flushThen(&pb.Frame{Frame: &pb.Frame_Bad{Bad: &pb.Bad{Code: e.Code, Position: e.Position, Reason: e.Reason, Raw: e.JSON}}})
	case contract.EventCheckpoint:
		w.sequence++
		return w.flushThen(&pb.Frame{Frame: &pb.Frame_Checkpoint{Checkpoint: &pb.Checkpoint{Cursor: e.Cursor, Sequence: w.sequence}}})
	case contract.EventProgress:
		return w.flushThen(&pb.Frame{Frame: &pb.Frame_Progress{Progress: &pb.Progress{Done: e.Done, Total: e.Total}}})
	case contract.EventSnapshotComplete:
		return w.flushThen(&pb.Frame{Frame: &pb.Frame_SnapshotComplete{SnapshotComplete: &pb.SnapshotComplete{}}})
	}
	return fmt.Errorf("unknown kind of event %d", e.Kind)
}

// Sequence is that of the last checkpoint written.
func (w *Writer) Sequence() uint64 { return w.sequence }

// End flushes and says that there is no more; reply may be nil.
func (w *Writer) End(reply *pb.Reply) error {
	if reply != nil {
		if err := w.flushThen(&pb.Frame{Frame: &pb.Frame_Reply{Reply: reply}}); err != nil {
			return err
		}
	}
	return w.flushThen(&pb.Frame{Frame: &pb.Frame_End{End: &pb.End{}}})
}

func (w *Writer) record(e contract.Event) error {
	deleted := e.Kind == contract.EventDelete
	size := len(e.JSON) + len(e.Position)
	full := len(w.batch.Data)+len(w.batch.Positions)+size > contract.MaxBatch || len(w.batch.Lengths) >= batchRecords
	if len(w.batch.Lengths) > 0 && (full || w.batch.Deleted != deleted) {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if size > contract.MaxPiece {
		return w.chunks(e)
	}
	b := &w.batch
	b.Deleted = deleted
	b.Data, b.Lengths = append(b.Data, e.JSON...), append(b.Lengths, uint32(len(e.JSON)))
	b.Positions, b.PositionLengths = append(b.Positions, e.Position...), append(b.PositionLengths, uint32(len(e.Position)))
	return nil
}

func (w *Writer) chunks(e contract.Event) error {
	for data := e.JSON; ; data = data[contract.MaxPiece:] {
		chunk := &pb.Chunk{Data: data, Last: len(data) <= contract.MaxPiece}
		if chunk.Last {
			chunk.Position = e.Position
		} else {
			chunk.Data = data[:contract.MaxPiece]
		}
		if err := w.send(&pb.Frame{Frame: &pb.Frame_Chunk{Chunk: chunk}}); err != nil || chunk.Last {
			return err
		}
	}
}

func (w *Writer) flushThen(f *pb.Frame) error {
	if err := w.Flush(); err != nil {
		return err
	}
	return w.send(f)
}

// Flush sends what was held back.
func (w *Writer) Flush() error {
	b := &w.batch
	if len(b.Lengths) == 0 {
		return nil
	}
	err := w.send(&w.frame)
	b.Data, b.Lengths = b.Data[:0], b.Lengths[:0]
	b.Positions, b.PositionLengths = b.Positions[:0], b.PositionLengths[:0]
	return err
}
