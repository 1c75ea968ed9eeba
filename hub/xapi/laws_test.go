package xapi

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func parsed(t rapid.TB, raw string, v Version) *Statement {
	t.Helper()
	st, err := Parse([]byte(raw), v)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return st
}

// Every generated statement is valid, and its parts put together again are its bytes.
func TestLawSplitJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, v := generated(t)
		st := parsed(t, spelling(t, tree), v)
		keep := map[int]bool{}
		for i := range st.Agents {
			keep[i] = rapid.Bool().Draw(t, "keep")
		}
		frame, parts := st.Split(func(i int) bool { return keep[i] })
		pieces := make([][]byte, len(parts))
		for slot, part := range parts {
			pieces[slot] = part.JSON
			if keep[part.Occurrence] || st.Agents[part.Occurrence].Agent.Identifier.IsZero() {
				t.Fatalf("occurrence %d was cut", part.Occurrence)
			}
		}
		joined, err := Join(frame, pieces)
		if err != nil || !bytes.Equal(joined, st.Raw) {
			t.Fatalf("%v\n%s\n%s", err, joined, st.Raw)
		}
		wantNothingLeft(t, st, keep, frame, parts)
	})
}

// wantNothingLeft: what was cut stands in no piece but its own.
func wantNothingLeft(t rapid.TB, st *Statement, keep map[int]bool, frame []byte, parts []Part) {
	for i, o := range st.Agents {
		id := o.Agent.Identifier
		if id.IsZero() || keep[i] {
			continue
		}
		own := 0
		for _, part := range parts {
			if part.Occurrence == i {
				own++
				continue
			}
			if bytes.Contains(part.JSON, st.Raw[o.Start:o.End]) {
				t.Fatalf("occurrence %d stands in the part of %d", i, part.Occurrence)
			}
		}
		if own != 1 || bytes.Contains(frame, st.Raw[o.Start:o.End]) {
			t.Fatalf("occurrence %d has %d parts, or stands in the frame", i, own)
		}
	}
}

// Every occurrence's span is the JSON of the agent that was reported, and parents enclose members.
func TestLawOccurrences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, v := generated(t)
		st := parsed(t, spelling(t, tree), v)
		for i, o := range st.Agents {
			if i > 0 && st.Agents[i-1].Start >= o.Start {
				t.Fatal("occurrences are not in document order")
			}
			if (o.Role == RoleMember) != (o.Parent >= 0) {
				t.Fatalf("role %v with parent %d", o.Role, o.Parent)
			}
			if o.Parent >= 0 {
				if p := st.Agents[o.Parent]; p.Start >= o.Start || p.End <= o.End || !p.Agent.Group || p.Sub != o.Sub {
					t.Fatalf("%d is not inside its group %d", i, o.Parent)
				}
			}
			if o.Agent.Identifier.IsZero() {
				continue
			}
			alone, err := ParseAgent(st.Raw[o.Start:o.End], v)
			if err != nil || alone != o.Agent {
				t.Fatalf("span of %d is %+v (%v), reported %+v", i, alone, err, o.Agent)
			}
			if written, err := ParseAgent(o.Agent.JSON(), v); err != nil || written != o.Agent {
				t.Fatalf("written and read again %+v (%v), was %+v", written, err, o.Agent)
			}
		}
		for _, a := range st.Activities {
			if a.DefEnd != 0 && !json.Valid(st.Raw[a.DefStart:a.DefEnd]) {
				t.Fatal("the span of a definition is no JSON value")
			}
		}
	})
}

// Two spellings of one statement are equal; with or without what a store sets, verb display and definitions.
func TestLawCanonicalSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, v := generated(t)
		one, two := parsed(t, plainSpelling(tree), v), parsed(t, spelling(t, tree), v)
		bare := parsed(t, spelling(t, withoutExempt(t, tree).(object)), v)
		for _, other := range []*Statement{two, bare} {
			if !bytes.Equal(one.Canonical(), other.Canonical()) {
				t.Fatalf("not equal:\n%s\n%s\n%s\n%s", one.Raw, other.Raw, one.Canonical(), other.Canonical())
			}
			if !bytes.Equal(one.CanonicalUntimed(), other.CanonicalUntimed()) {
				t.Fatalf("not equal apart from time:\n%s\n%s", one.Raw, other.Raw)
			}
		}
	})
}

// withoutExempt leaves out, where one may, properties that do not count.
func withoutExempt(t *rapid.T, tr tree) tree {
	switch tr := tr.(type) {
	case object:
		var out object
		for _, p := range tr {
			if p.exempt && rapid.Bool().Draw(t, "leave out") {
				continue
			}
			p.value = withoutExempt(t, p.value)
			out = append(out, p)
		}
		return out
	case array:
		out := slices.Clone(tr)
		for i := range out {
			out[i] = withoutExempt(t, out[i])
		}
		return out
	case unordered:
		tr.items = slices.Clone(tr.items)
		for i := range tr.items {
			tr.items[i] = withoutExempt(t, tr.items[i])
		}
		return tr
	}
	return tr
}

// A statement with one value changed that counts is another statement.
func TestLawCanonicalDifferent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, v := generated(t)
		var leaves []*leaf
		changed := copied(tree, &leaves)
		one := parsed(t, plainSpelling(tree), v)
		rapid.SampledFrom(leaves).Draw(t, "leaf").change()
		two := parsed(t, spelling(t, changed), v)
		if bytes.Equal(one.Canonical(), two.Canonical()) {
			t.Fatalf("equal:\n%s\n%s", one.Raw, two.Raw)
		}
	})
}

// leaf is a value that counts and can be changed in place.
type leaf struct{ tree }

// copied copies a tree and collects its leaves, but for types of objects and what does not count.
func copied(tr tree, leaves *[]*leaf) tree {
	switch tr := tr.(type) {
	case object:
		var out object
		for _, p := range tr {
			if !p.exempt && p.name != "objectType" {
				p.value = copied(p.value, leaves)
			}
			out = append(out, p)
		}
		return out
	case array:
		var out array
		for _, item := range tr {
			out = append(out, copied(item, leaves))
		}
		return out
	case unordered:
		out := unordered{single: tr.single}
		for _, item := range tr.items {
			out.items = append(out.items, copied(item, leaves))
		}
		return out
	}
	l := &leaf{tr}
	*leaves = append(*leaves, l)
	return l
}

func (l *leaf) change() {
	switch old := l.tree.(type) {
	case text:
		l.tree = old + "x"
	case number:
		l.tree = number{old[0] + 1, old[1]}
	case mailbox:
		l.tree = mailbox{old[0] + "x", old[1]}
	case length:
		l.tree = length("PT0.75S")
	case instant:
		l.tree = instant(time.Time(old).AddDate(1, 0, 0))
	case caseful:
		last := old[len(old)-1]
		switch {
		case last == '0':
			last = '1'
		case isHex(last):
			last = '0'
		default:
			last ^= 1
		}
		l.tree = old[:len(old)-1] + caseful(rune(last))
	case literal:
		if l.tree = literal("true"); old == "true" {
			l.tree = literal("false")
		}
	}
}
