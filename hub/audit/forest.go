package audit

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// A forest is the edge of the tree while Verify walks over the leaves: complete subtrees, largest first. It holds what it
// computes from events against what is stored, and finds out which of two that disagree was altered: the one that
// does not fit what stands above it, up to a signed checkpoint. Its size is logarithmic in the log's.
type forest struct {
	nodes []node
	find  func(Finding)
}

// node is a subtree of 2^level leaves that begins at leaf first. Its readings are the values that its hash may rightly have: one
// when all agrees, none when rows are missing.
type node struct {
	level    int
	first    int64
	readings []reading
}

// reading is a value, and what must have been altered if it is the right one.
type reading struct {
	hash  tlog.Hash
	blame []Finding
}

// maxReadings bounds what is kept of a badly damaged subtree: the readings that blame least.
const maxReadings = 6

// add appends leaf i. event is the hash of its bytes, stored gives the stored hash of a level that it completes; nil: missing.
func (f *forest) add(i int64, event *tlog.Hash, stored func(level int) *tlog.Hash) {
	n := node{first: i}
	switch row := stored(0); {
	case event != nil && (row == nil || *row == *event):
		n.readings = []reading{{hash: *event}}
	case event != nil:
		n.readings = []reading{
			{*row, []Finding{{Place: PlaceEvent, Number: i + 1, Text: fmt.Sprintf("event %d was altered: its bytes do not give the hash that the tree has for leaf %d", i+1, i)}}},
			{*event, []Finding{alteredHash(tlog.StoredHashIndex(0, i), fmt.Sprintf("the hash of event %d", i+1))}},
		}
	case row != nil:
		n.readings = []reading{{hash: *row}}
	}
	for len(f.nodes) > 0 && f.nodes[len(f.nodes)-1].level == n.level {
		left := f.nodes[len(f.nodes)-1]
		f.nodes = f.nodes[:len(f.nodes)-1]
		n = f.join(left, n, stored(n.level+1))
	}
	f.nodes = append(f.nodes, n)
}

func alteredHash(index int64, of string) Finding {
	return Finding{Place: PlaceHash, Number: index, Text: fmt.Sprintf("row %d of audit_hash was altered: it is not %s", index, of)}
}

// join makes the parent of two subtrees and holds it against its stored hash.
func (f *forest) join(left, right node, stored *tlog.Hash) node {
	parent := node{level: left.level + 1, first: left.first}
	combined := combine(left.readings, right.readings)
	if len(combined) == 0 { // something is missing below
		f.leave(left)
		f.leave(right)
		if stored != nil {
			parent.readings = []reading{{hash: *stored}}
		}
		return parent
	}
	if stored == nil {
		parent.readings = least(combined)
		return f.settle(parent)
	}
	for _, r := range combined {
		if r.hash == *stored {
			parent.readings = []reading{r}
			return f.settle(parent)
		}
	}
	index := tlog.StoredHashIndex(parent.level, parent.first>>parent.level)
	until := parent.first + 1<<parent.level
	for i := range combined {
		combined[i].blame = append(combined[i].blame, alteredHash(index, "the hash of "+events(parent.first, until)))
	}
	parent.readings = least(append(combined, reading{*stored, []Finding{{Place: PlaceEvent, Number: parent.first + 1, Count: until - parent.first,
		Text: fmt.Sprintf("%s were altered together with their hashes: they do not give row %d of audit_hash", events(parent.first, until), index)}}}))
	return parent
}

// combine gives the readings of a parent.
func combine(left, right []reading) (all []reading) {
	for _, l := range left {
		for _, r := range right {
			all = append(all, reading{tlog.NodeHash(l.hash, r.hash), slices.Concat(l.blame, r.blame)})
		}
	}
	return all
}

func least(readings []reading) []reading {
	slices.SortStableFunc(readings, func(a, b reading) int { return len(a.blame) - len(b.blame) })
	return readings[:min(len(readings), maxReadings)]
}

// settle tells what is blamed as soon as only one reading is left.
func (f *forest) settle(n node) node {
	if len(n.readings) == 1 {
		for _, blamed := range n.readings[0].blame {
			f.find(blamed)
		}
		n.readings[0].blame = nil
	}
	return n
}

// leave tells of a node that nothing above can settle.
func (f *forest) leave(n node) {
	if len(n.readings) < 2 {
		f.settle(n)
		return
	}
	var either []string
	for _, r := range n.readings {
		var all []string
		for _, b := range r.blame {
			all = append(all, b.Text)
		}
		either = append(either, strings.Join(all, " and "))
	}
	found := n.readings[0].blame[0]
	found.Text = "either " + strings.Join(either, ", or ")
	f.find(found)
}

// verdict is what a checkpoint's root says of the tree.
type verdict int

const (
	holds   verdict = iota
	differs         // the tree has another root
	unknown         // rows that the root needs are missing
)

// check holds the root of a checkpoint of the present size against the tree, and settles what it decides.
func (f *forest) check(root tlog.Hash) verdict {
	if len(f.nodes) == 0 {
		return unknown
	}
	type choice struct {
		hash tlog.Hash
		of   []int // a reading for each node, from the last to the first
	}
	var choices []choice
	for i := len(f.nodes) - 1; i >= 0; i-- {
		if len(f.nodes[i].readings) == 0 {
			return unknown
		}
		var longer []choice
		for r, reading := range f.nodes[i].readings {
			if i == len(f.nodes)-1 {
				longer = append(longer, choice{reading.hash, []int{r}})
			}
			for _, c := range choices {
				longer = append(longer, choice{tlog.NodeHash(reading.hash, c.hash), append(slices.Clone(c.of), r)})
			}
		}
		choices = longer[:min(len(longer), 1000)]
	}
	for _, c := range choices {
		if c.hash == root {
			for i := range f.nodes {
				n := &f.nodes[i]
				n.readings = []reading{n.readings[c.of[len(f.nodes)-1-i]]}
				f.settle(*n)
			}
			return holds
		}
	}
	return differs
}

// end tells of all that is still open.
func (f *forest) end() {
	for _, n := range f.nodes {
		f.leave(n)
	}
	f.nodes = nil
}

// lose gives up the tree: what follows stands on nothing that could be checked.
func (f *forest) lose(until int64) {
	f.end()
	for level := 62; level >= 0; level-- {
		if until>>level&1 == 1 {
			f.nodes = append(f.nodes, node{level: level, first: until >> (level + 1) << (level + 1)})
		}
	}
}
