package openedx

import (
	"encoding/binary"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// memory is what the cursor holds: which logs were read, and how far. It knows logs by their content (logFile) and not by
// name, so that rotation, renaming and gzip do not bring a log twice.
//
// Its size is bounded: 19 bytes for a log that may grow, 6 for a gzip file that was read to its end. What no file shows
// any more is forgotten when there is no room left, oldest first.
type memory struct {
	logs     []*known // oldest first
	finished []*whole // likewise
	index    map[headHash][]*known
	done     map[wholeID]*whole
}

// known is a log that was read up to an offset of its uncompressed bytes.
type known struct {
	head    headHash
	offset  int64
	tail    uint32
	damaged bool // a gzip file is damaged from here on, and that was reported
	seen    bool // in this run
	kept    bool // in the memory
}

type whole struct {
	id   wholeID
	seen bool
}

const (
	cursorVersion = 1
	knownSize     = 19
	maxMemory     = sdk.MaxCursor - 64 // bytes
)

// parseMemory gives an empty memory for a cursor that it does not know: then all logs are read again, and the hub stores
// nothing twice, since a record of this stream is known by its content.
func parseMemory(text []byte) *memory {
	m := &memory{index: make(map[headHash][]*known), done: make(map[wholeID]*whole)}
	if len(text) < 5 || text[0] != cursorVersion {
		return m
	}
	n := int(binary.BigEndian.Uint32(text[1:]))
	text = text[5:]
	if n > len(text)/knownSize || (len(text)-n*knownSize)%len(wholeID{}) != 0 {
		return m
	}
	for ; n > 0; n-- {
		k := &known{head: headHash(text[:8]), tail: binary.BigEndian.Uint32(text[14:]), damaged: text[18] == 1}
		k.offset = int64(binary.BigEndian.Uint64(text[6:]) & (1<<48 - 1)) // the 6 bytes from 8 on
		m.add(k)
		text = text[knownSize:]
	}
	for ; len(text) > 0; text = text[len(wholeID{}):] {
		m.finish(wholeID(text[:len(wholeID{})]), false)
	}
	return m
}

// encode is the reverse of parseMemory. It holds nothing of the logs but hashes and offsets.
func (m *memory) encode() []byte {
	text := make([]byte, 0, m.size())
	text = append(text, cursorVersion)
	text = binary.BigEndian.AppendUint32(text, uint32(len(m.logs)))
	for _, k := range m.logs {
		text = append(text, k.head[:]...)
		offset := binary.BigEndian.AppendUint64(nil, uint64(k.offset))
		text = append(text, offset[2:]...)
		text = binary.BigEndian.AppendUint32(text, k.tail)
		damaged := byte(0)
		if k.damaged {
			damaged = 1
		}
		text = append(text, damaged)
	}
	for _, w := range m.finished {
		text = append(text, w.id[:]...)
	}
	return text
}

func (m *memory) size() int { return 5 + knownSize*len(m.logs) + len(wholeID{})*len(m.finished) }

func (m *memory) add(k *known) {
	k.kept = true
	m.logs = append(m.logs, k)
	m.index[k.head] = append(m.index[k.head], k)
}

// finish notes that a gzip file was read to its end.
func (m *memory) finish(id wholeID, seen bool) {
	if w := m.done[id]; w != nil {
		w.seen = w.seen || seen
		return
	}
	w := &whole{id: id, seen: seen}
	m.finished = append(m.finished, w)
	m.done[id] = w
}

// isFinished reports whether a gzip file was read to its end, and that it is still there.
func (m *memory) isFinished(id wholeID) bool {
	w := m.done[id]
	if w != nil {
		w.seen = true
	}
	return w != nil
}

// forget drops one log.
func (m *memory) forget(k *known) {
	k.kept = false
	m.logs = without(m.logs, k)
	m.index[k.head] = without(m.index[k.head], k)
}

func without[T comparable](all []T, one T) []T {
	for i := range all {
		if all[i] == one {
			return append(all[:i:i], all[i+1:]...)
		}
	}
	return all
}

// makeRoom forgets logs that no file shows any more, oldest first, until the cursor is small enough.
func (m *memory) makeRoom() error {
	logs := m.logs[:0:0]
	for i, k := range m.logs {
		if !k.seen && m.size()-knownSize*(i-len(logs)) > maxMemory {
			m.index[k.head] = without(m.index[k.head], k)
			continue
		}
		logs = append(logs, k)
	}
	m.logs = logs
	finished := m.finished[:0:0]
	for i, w := range m.finished {
		if !w.seen && m.size()-len(w.id)*(i-len(finished)) > maxMemory {
			delete(m.done, w.id)
			continue
		}
		finished = append(finished, w)
	}
	m.finished = finished
	if m.size() > maxMemory {
		return sdk.Errorf(sdk.ClassConfig, "openedx: the pattern matches more files than can be remembered (%d plain and %d gzipped; about 3,400 plain or 10,000 gzipped ones fit): gzip the rotated logs, or move old ones to another folder",
			len(m.logs), len(m.finished))
	}
	return nil
}
