package xapi

import (
	"bytes"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// tape is valid JSON as a flat list of values in document order, so that Canonical can walk over a
// statement without reading its bytes again for every level. In an object, names and values alternate.
type tape struct {
	raw   []byte
	nodes []node
}

type node struct {
	start, end int // of the value in raw
	after      int // index of the first node behind this value and all inside it
}

// tapes are kept for the next statement: their nodes take more memory than the statement.
var tapes = sync.Pool{New: func() any { return new(tape) }}

// keptNodes bounds what a tape keeps.
const keptNodes = 4096

// readTape takes JSON that Parse has accepted; on other input the result is meaningless. Give it back with free.
func readTape(raw []byte) *tape {
	t := tapes.Get().(*tape)
	t.raw, t.nodes = raw, slices.Grow(t.nodes[:0], 16+len(raw)/16)
	open := make([]int, 0, 16)
	for i := 0; i < len(raw); {
		switch raw[i] {
		case '{', '[':
			open = append(open, len(t.nodes))
			t.nodes = append(t.nodes, node{start: i})
			i++
		case '}', ']':
			i++
			if last := len(open) - 1; last >= 0 {
				t.nodes[open[last]].end, t.nodes[open[last]].after = i, len(t.nodes)
				open = open[:last]
			}
		case ' ', '\t', '\n', '\r', ',', ':':
			i++
		default:
			end := scalarEnd(raw, i)
			t.nodes = append(t.nodes, node{start: i, end: end, after: len(t.nodes) + 1})
			i = end
		}
	}
	return t
}

// free ends the use of a tape.
func (t *tape) free() {
	if t.raw = nil; cap(t.nodes) <= keptNodes {
		tapes.Put(t)
	}
}

// scalarEnd gives the end of the string, number or literal that starts at i.
func scalarEnd(raw []byte, i int) int {
	if raw[i] == '"' {
		return stringEnd(raw, i)
	}
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case ',', '}', ']', ' ', '\t', '\n', '\r', ':':
			return i
		}
	}
	return i
}

// stringEnd gives the end of the string whose opening quote is at i, or len(raw) if it does not end.
func stringEnd(raw []byte, i int) int {
	for i++; i < len(raw); {
		quote := bytes.IndexByte(raw[i:], '"')
		if quote < 0 {
			return len(raw)
		}
		slash := bytes.IndexByte(raw[i:i+quote], '\\')
		if slash < 0 {
			return i + quote + 1
		}
		i += slash + 2
	}
	return len(raw)
}

// text gives the value of the string at node n.
func (t *tape) text(n int) []byte { return unquoted(t.raw[t.nodes[n].start:t.nodes[n].end]) }

// unquoted gives the value of a JSON string, without a copy if it has no escapes.
func unquoted(quoted []byte) []byte {
	if len(quoted) < 2 {
		return nil
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	plain, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return nil
	}
	return plain
}

// property gives the node of the value of an object's property, or -1.
func (t *tape) property(object int, name string) int {
	for n := object + 1; n < t.nodes[object].after; n = t.nodes[n+1].after {
		if string(t.text(n)) == name {
			return n + 1
		}
	}
	return -1
}
