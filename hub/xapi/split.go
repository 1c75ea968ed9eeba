package xapi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMarker says that a frame or part was not made by Split, or not joined with what Split gave beside it.
var ErrMarker = errors.New("statement parts do not fit together")

// marker stands where a part was cut, followed by the part's slot as a uvarint. It cannot be confused with
// the statement's own bytes: JSON text never holds 0x00.
const marker = 0x00

// Part is one agent or group cut out of a statement: its JSON as sent, with a marker for each member
// that was cut in turn.
type Part struct {
	Occurrence int // index in Statement.Agents
	JSON       []byte
}

// Split cuts every agent and group that has an identifier out of the statement, so that each can be sealed
// under its own key; where keep(i) is true the occurrence i stays. What is left is the frame. The slot of a
// part is its index in parts; parts are in the order of Statement.Agents. An anonymous group stays where
// it is, its members are cut. Of a group that is kept, members are cut for which keep is false.
func (s *Statement) Split(keep func(i int) bool) (frame []byte, parts []Part) {
	slots := make([]int, len(s.Agents)) // of each occurrence; -1 if it stays
	cut := 0
	for i := range s.Agents {
		slots[i] = -1
		if !s.Agents[i].Agent.Identifier.IsZero() && !keep(i) {
			slots[i] = cut
			cut++
		}
	}
	parts = make([]Part, 0, cut)
	for i, slot := range slots {
		if slot >= 0 {
			o := &s.Agents[i]
			parts = append(parts, Part{Occurrence: i, JSON: s.without(o.Start, o.End, i+1, slots)})
		}
	}
	return s.without(0, len(s.Raw), 0, slots), parts
}

// without copies Raw[start:end] with markers for the occurrences from first on that lie inside.
func (s *Statement) without(start, end, first int, slots []int) []byte {
	out := make([]byte, 0, end-start)
	for i := first; i < len(s.Agents) && s.Agents[i].Start < end; i++ {
		o := &s.Agents[i]
		if slots[i] < 0 || o.Start < start {
			continue // It stays, or it lies in a part that is cut already.
		}
		out = append(out, s.Raw[start:o.Start]...)
		out = append(out, marker)
		out = binary.AppendUvarint(out, uint64(slots[i]))
		start = o.End
	}
	return append(out, s.Raw[start:end]...)
}

// Join puts parts back: Join(Split(statement)) is Raw, byte for byte. A part may be replaced by other JSON,
// such as the tombstone of somebody erased; parts that only the replaced one referred to are then left
// out. It fails with ErrMarker if a slot does not exist, is used twice, is empty, or lies inside
// itself.
func Join(frame []byte, parts [][]byte) ([]byte, error) {
	size := len(frame)
	for _, part := range parts {
		size += len(part)
	}
	j := joiner{out: make([]byte, 0, size), parts: parts, used: make([]bool, len(parts))}
	if err := j.put(frame, -1); err != nil {
		return nil, err
	}
	return j.out, nil
}

type joiner struct {
	out   []byte
	parts [][]byte
	used  []bool
}

// put writes piece, the part of slot within, and what its markers stand for. Parts are numbered from
// outside in, so a slot that is not greater than within is a mistake, and recursion ends.
func (j *joiner) put(piece []byte, within int) error {
	for {
		at := bytes.IndexByte(piece, marker)
		if at < 0 {
			j.out = append(j.out, piece...)
			return nil
		}
		slot, n := binary.Uvarint(piece[at+1:])
		switch {
		case n <= 0:
			return fmt.Errorf("%w: a marker is cut off", ErrMarker)
		case slot >= uint64(len(j.parts)):
			return fmt.Errorf("%w: slot %d of %d", ErrMarker, slot, len(j.parts))
		case int(slot) <= within:
			return fmt.Errorf("%w: slot %d inside slot %d", ErrMarker, slot, within)
		case j.used[slot]:
			return fmt.Errorf("%w: slot %d is used twice", ErrMarker, slot)
		case len(j.parts[slot]) == 0:
			return fmt.Errorf("%w: slot %d is empty; an erased agent needs its tombstone", ErrMarker, slot)
		}
		j.used[slot] = true
		j.out = append(j.out, piece[:at]...)
		if err := j.put(j.parts[slot], int(slot)); err != nil {
			return err
		}
		piece = piece[at+1+n:]
	}
}
