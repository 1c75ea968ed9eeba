package rest

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
)

// memory knows what was brought lately, by hashes: it tells what comes a second time, because pages shifted or windows overlap. It is bounded; what it has
// forgotten comes again, which costs time only.
type memory struct {
	index map[uint64]remembered
	order []uint64 // keys, a ring: oldest at next once it is full
	next  int
}

type remembered struct {
	content uint64
	updated int64 // seconds, 0 unknown
}

const (
	memorySize  = 20_000
	seenSize    = 1500  // records that a cursor remembers
	hashBits    = 40    // of key and of content, in a cursor
	seenEntry   = 2 * 5 // bytes
	entryOffset = hashBits / 8
)

func newMemory() *memory { return &memory{index: make(map[uint64]remembered)} }

func hash(text []byte) uint64 {
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:]) >> (64 - hashBits)
}

// has says whether a key was met.
func (m *memory) has(key uint64) bool {
	_, known := m.index[key]
	return known
}

// note remembers a record, and says whether it was known just so.
func (m *memory) note(key, content uint64, updated time.Time) (known bool) {
	before, there := m.index[key]
	r := remembered{content: content}
	if !updated.IsZero() {
		r.updated = updated.Unix()
	}
	m.index[key] = r
	switch {
	case there:
		return before.content == content
	case len(m.order) < memorySize:
		m.order = append(m.order, key)
	default:
		delete(m.index, m.order[m.next])
		m.order[m.next] = key
		m.next = (m.next + 1) % memorySize
	}
	return false
}

// encode gives the records updated since an instant, the newest ones, for a cursor.
func (m *memory) encode(since time.Time) []byte {
	var text []byte
	for i := range m.order {
		key := m.order[(m.next+len(m.order)-1-i)%len(m.order)]
		r := m.index[key]
		if r.updated != 0 && r.updated < since.Unix() {
			continue
		}
		if len(text) == seenSize*seenEntry {
			break
		}
		text = append(text, five(key)...)
		text = append(text, five(r.content)...)
	}
	return text
}

// decode remembers what a cursor says was brought.
func (m *memory) decode(text []byte) {
	for end := len(text) - len(text)%seenEntry; end > 0; end -= seenEntry {
		m.note(number(text[end-seenEntry:]), number(text[end-entryOffset:]), time.Time{})
	}
}

func five(n uint64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return b[8-entryOffset:]
}

func number(text []byte) uint64 {
	var b [8]byte
	copy(b[8-entryOffset:], text[:entryOffset])
	return binary.BigEndian.Uint64(b[:])
}

// key gives a record's key, and a hash of it; nothing where it has none.
func (rd *reader) key(json []byte) (uint64, []any) {
	if len(rd.s.Key) == 0 {
		return 0, nil
	}
	values := make([]any, len(rd.s.Key))
	for i, path := range rd.s.Key {
		value := Find(json, path)
		if value == nil {
			return 0, nil
		}
		values[i] = value
	}
	text, err := contract.Key(values...)
	if err != nil {
		return 0, nil
	}
	return hash(text), values
}
