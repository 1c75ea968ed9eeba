package rest

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strconv"
)

// Marks keeps one number for each of many things, such as the courses that a stream is read by, small enough for a cursor: 3 to 11 bytes each, so five to
// twenty thousand fit. Ids that are numbers are kept as such, others by a hash of 46 bits. The zero value is empty.
type Marks struct{ values map[uint64]uint64 }

var errMarks = errors.New("rest: not an encoding of marks")

const hashed = 1 << 46

func markKey(id string) uint64 {
	if n, err := strconv.ParseUint(id, 10, 46); err == nil && strconv.FormatUint(n, 10) == id {
		return n
	}
	sum := sha256.Sum256([]byte(id))
	return hashed | binary.BigEndian.Uint64(sum[:])>>18
}

// Get gives a thing's number.
func (m *Marks) Get(id string) (value uint64, known bool) {
	value, known = m.values[markKey(id)]
	return value, known
}

// Set keeps a thing's number.
func (m *Marks) Set(id string, value uint64) {
	if m.values == nil {
		m.values = make(map[uint64]uint64)
	}
	m.values[markKey(id)] = value
}

// Delete forgets a thing.
func (m *Marks) Delete(id string) { delete(m.values, markKey(id)) }

// Len is how many things are known.
func (m *Marks) Len() int { return len(m.values) }

// Keep forgets all things but these.
func (m *Marks) Keep(ids []string) {
	kept := make(map[uint64]bool, len(ids))
	for _, id := range ids {
		kept[markKey(id)] = true
	}
	maps.DeleteFunc(m.values, func(key, _ uint64) bool { return !kept[key] })
}

// Append appends an encoding of at most so many bytes. What does not fit is forgotten, the smallest numbers first: where they are times, those longest ago.
func (m *Marks) Append(to []byte, most int) []byte {
	keys := slices.SortedFunc(maps.Keys(m.values), func(a, b uint64) int {
		return cmp.Or(cmp.Compare(m.values[b], m.values[a]), cmp.Compare(a, b))
	})
	for {
		text := m.encode(keys)
		if len(text) <= most || len(keys) == 0 {
			return append(to, text...)
		}
		keys = keys[:min(len(keys)-1, len(keys)*most/len(text))]
	}
}

// encode writes, for keys in order, how far each is from the one before and how far its value is from the least of all.
func (m *Marks) encode(keys []uint64) []byte {
	if len(keys) == 0 {
		return nil
	}
	keys = slices.Sorted(slices.Values(keys))
	least := m.values[keys[0]]
	for _, key := range keys {
		least = min(least, m.values[key])
	}
	text := binary.AppendUvarint(nil, least)
	before := uint64(0)
	for _, key := range keys {
		text = binary.AppendUvarint(text, key-before)
		text = binary.AppendUvarint(text, m.values[key]-least)
		before = key
	}
	return text
}

// ParseMarks reads what Append wrote; nothing gives empty marks.
func ParseMarks(text []byte) (*Marks, error) {
	m := &Marks{values: make(map[uint64]uint64)}
	if len(text) == 0 {
		return m, nil
	}
	bad := false
	next := func() uint64 {
		n, size := binary.Uvarint(text)
		if size <= 0 {
			bad, text = true, nil
			return 0
		}
		text = text[size:]
		return n
	}
	least, key := next(), uint64(0)
	for len(text) > 0 {
		key += next()
		m.values[key] = least + next()
	}
	if bad {
		return nil, errMarks
	}
	return m, nil
}
