package frames

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
)

// pass writes events, takes each frame over the wire and reads it; it gives what comes out and the largest frame.
func pass(t interface{ Fatalf(string, ...any) }, limit int, events []contract.Event) (out []contract.Event, largest int, r *Reader) {
	r = NewReader(limit, func(e contract.Event) error {
		e.JSON, e.Cursor = bytes.Clone(e.JSON), bytes.Clone(e.Cursor)
		out = append(out, e)
		return nil
	})
	w := NewWriter(func(f *pb.Frame) error {
		wire, err := proto.Marshal(f)
		if err != nil {
			return err
		}
		largest = max(largest, len(wire))
		var there pb.Frame
		if err := proto.Unmarshal(wire, &there); err != nil {
			return err
		}
		return r.Read(&there)
	})
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatalf("%v", err)
		}
	}
	if err := w.End(nil); err != nil {
		t.Fatalf("%v", err)
	}
	return out, largest, r
}

// TestLaw: what is read is what was written, in order, and no frame is above 1 MiB, whatever the sizes.
func TestLaw(t *testing.T) {
	sizes := rapid.OneOf(rapid.IntRange(2, 300), rapid.IntRange(contract.MaxBatch-50, contract.MaxBatch+50),
		rapid.IntRange(contract.MaxPiece-600, contract.MaxPiece+600), rapid.SampledFrom([]int{2 * contract.MaxPiece, 3*contract.MaxPiece + 1}))
	rapid.Check(t, func(t *rapid.T) {
		var events []contract.Event
		checkpoints := uint64(0)
		for i := range rapid.IntRange(0, 40).Draw(t, "events") {
			e := contract.Event{Kind: rapid.SampledFrom([]contract.EventKind{
				contract.EventRecord, contract.EventRecord, contract.EventRecord, contract.EventDelete, contract.EventBad,
				contract.EventCheckpoint, contract.EventProgress, contract.EventSnapshotComplete,
			}).Draw(t, "kind")}
			switch e.Kind {
			case contract.EventRecord:
				e.JSON = bytes.Repeat([]byte{byte('a' + i%26)}, sizes.Draw(t, "size"))
				e.Position = strings.Repeat("é", rapid.IntRange(0, 200).Draw(t, "position"))
			case contract.EventDelete:
				e.JSON = fmt.Appendf(nil, "[%d]", i)
			case contract.EventBad:
				e.JSON, e.Code, e.Reason, e.Position = []byte("raw"), "bad_record", "reason", "here"
			case contract.EventCheckpoint:
				checkpoints++
				e.Cursor, e.Sequence = fmt.Appendf(nil, "at %d", i), checkpoints
			case contract.EventProgress:
				e.Done, e.Total = int64(i), 100
			}
			events = append(events, e)
		}
		got, largest, r := pass(t, contract.MaxRecord, events)
		if !reflect.DeepEqual(got, events) {
			t.Fatalf("%d events became %d or others", len(events), len(got))
		}
		if largest > contract.MaxFrame || !r.Ended() {
			t.Fatalf("largest frame %d, ended %t", largest, r.Ended())
		}
	})
}

func TestTooLarge(t *testing.T) {
	record := func(size int) contract.Event {
		return contract.Event{Kind: contract.EventRecord, JSON: make([]byte, size), Position: "here"}
	}
	const limit = 600 << 10
	got, _, r := pass(t, limit, []contract.Event{record(limit), record(limit + 1), record(3 << 20), record(10)})
	if len(got) != 4 {
		t.Fatalf("%d events", len(got))
	}
	for i, want := range []contract.EventKind{contract.EventRecord, contract.EventBad, contract.EventBad, contract.EventRecord} {
		if got[i].Kind != want || got[i].Position != "here" {
			t.Errorf("event %d: kind %d at %q", i, got[i].Kind, got[i].Position)
		}
	}
	if got[2].Code != contract.CodeTooLarge || !strings.Contains(got[2].Reason, "3145728") || len(got[2].JSON) != 0 {
		t.Errorf("%+v", got[2])
	}
	if cap(r.big) != 0 {
		t.Errorf("%d bytes are still held", cap(r.big))
	}
	small, _, _ := pass(t, 5, []contract.Event{record(6)})
	if len(small) != 1 || small[0].Code != contract.CodeTooLarge {
		t.Errorf("a record above the limit in a batch: %+v", small)
	}
}

// TestNothingIsHeldBeyondTheLimit: a record without end is counted, not kept.
func TestNothingIsHeldBeyondTheLimit(t *testing.T) {
	r := NewReader(1<<20, func(contract.Event) error { return nil })
	piece := make([]byte, contract.MaxPiece)
	for range 100 {
		if err := r.Read(&pb.Frame{Frame: &pb.Frame_Chunk{Chunk: &pb.Chunk{Data: piece}}}); err != nil {
			t.Fatal(err)
		}
		if cap(r.big) > 4<<20 {
			t.Fatalf("%d bytes are held", cap(r.big))
		}
	}
}

func TestBrokenFrames(t *testing.T) {
	chunk := &pb.Frame{Frame: &pb.Frame_Chunk{Chunk: &pb.Chunk{Data: []byte("a")}}}
	end := &pb.Frame{Frame: &pb.Frame_End{End: &pb.End{}}}
	batch := func(data string, lengths, positions []uint32) *pb.Frame {
		return &pb.Frame{Frame: &pb.Frame_Records{Records: &pb.Records{Data: []byte(data), Lengths: lengths, PositionLengths: positions}}}
	}
	for name, sequence := range map[string][]*pb.Frame{
		"empty":                {{}},
		"after the end":        {end, end},
		"chunk left open":      {chunk, end},
		"too short":            {batch("ab", []uint32{3}, []uint32{0})},
		"left over":            {batch("ab", []uint32{1}, []uint32{0})},
		"no position":          {batch("ab", []uint32{2}, nil)},
		"position too long":    {batch("ab", []uint32{2}, []uint32{1})},
		"huge length":          {batch("ab", []uint32{1 << 31}, []uint32{0})},
		"checkpoint not first": {{Frame: &pb.Frame_Checkpoint{Checkpoint: &pb.Checkpoint{Sequence: 7}}}},
		"large cursor":         {{Frame: &pb.Frame_Checkpoint{Checkpoint: &pb.Checkpoint{Sequence: 1, Cursor: make([]byte, contract.MaxCursor+1)}}}},
	} {
		r := NewReader(100, func(contract.Event) error { return nil })
		var err error
		for _, f := range sequence {
			if err = r.Read(f); err != nil {
				break
			}
		}
		if !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzRead: whatever comes, the reader neither panics nor gives more than it got.
func FuzzRead(f *testing.F) {
	seed, _ := proto.Marshal(&pb.Frame{Frame: &pb.Frame_Records{Records: &pb.Records{
		Data: []byte("{}{}"), Lengths: []uint32{2, 2}, Positions: []byte("ab"), PositionLengths: []uint32{1, 1},
	}}})
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var frame pb.Frame
		if proto.Unmarshal(data, &frame) != nil {
			return
		}
		total := 0
		r := NewReader(1000, func(e contract.Event) error {
			total += len(e.JSON)
			return nil
		})
		if _ = r.Read(&frame); total > len(data) {
			t.Fatalf("%d bytes became %d", len(data), total)
		}
	})
}
