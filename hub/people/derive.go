package people

import (
	"time"

	"github.com/google/uuid"
)

// believed is a fact as it is stored, or is to be: without its value, which its key stands for.
type believed struct {
	id      uuid.UUID
	subject uuid.UUID
	kind    string
	key     [16]byte
	from    time.Time // zero: since before it was known
	until   time.Time // zero: until further notice
	stated  bool      // the source said since when; else it was observed
	ended   bool      // until was observed

	said int // of a fact to be stored: which of those that were said it is; -1: the rest of the one with this id
}

// same tells whether two are the same fact, whenever it holds.
func (b believed) same(o believed) bool {
	return b.subject == o.subject && b.kind == o.kind && b.key == o.key
}

// revise says what to believe of a record's subject from now on: which facts are no longer believed, and which are instead. What the source states it can
// correct: those facts are replaced. What was observed (it gave no beginning) ends when the record says something else, and begins then, so that its past stays.
func revise(known, said []believed, now time.Time) (closed []uuid.UUID, fresh []believed) {
	said = once(said)
	used := make([]bool, len(said))
	kept := make([]bool, len(known))
	observed := map[string]bool{} // kinds of which something was observed before
	for i, k := range known {
		if !k.stated {
			observed[k.subject.String()+k.kind] = true
		}
		for j, s := range said {
			if !kept[i] && !used[j] && !k.ended && k.same(s) && k.stated == s.stated && k.until.Equal(s.until) && (!k.stated || k.from.Equal(s.from)) {
				kept[i], used[j] = true, true
			}
		}
	}
	for i, k := range known {
		if kept[i] {
			continue
		}
		if k.stated || restated(said, k) {
			closed = append(closed, k.id)
			continue
		}
		if k.ended {
			continue
		}
		for j := range said { // only its end is another
			if !used[j] && said[j].same(k) && !said[j].stated {
				said[j].from, used[j] = k.from, true
				closed, fresh = append(closed, k.id), appendFact(fresh, said[j])
				kept[i] = true
				break
			}
		}
		if !kept[i] {
			closed, fresh = end(k, now, closed, fresh)
		}
	}
	for j, s := range said {
		if used[j] || !s.stated && !s.until.IsZero() && !s.until.After(now) { // nobody saw it hold, and nobody says since when it did
			continue
		}
		if !s.stated && observed[s.subject.String()+s.kind] {
			s.from = now
		}
		fresh = appendFact(fresh, s)
	}
	return closed, fresh
}

// restated tells whether the source now says since when a fact holds that was observed.
func restated(said []believed, k believed) bool {
	for _, s := range said {
		if s.stated && s.same(k) {
			return true
		}
	}
	return false
}

// once leaves out what is said twice.
func once(said []believed) (list []believed) {
	for _, s := range said {
		list = appendFact(list, s)
	}
	return list
}

// appendFact adds a fact, unless it would never hold or is there.
func appendFact(list []believed, f believed) []believed {
	if !f.until.IsZero() && !f.from.Before(f.until) {
		return list
	}
	for _, o := range list {
		if o.same(f) && o.from.Equal(f.from) && o.until.Equal(f.until) {
			return list
		}
	}
	return append(list, f)
}

// end lets a fact hold until now, unless it ended before.
func end(k believed, now time.Time, closed []uuid.UUID, fresh []believed) ([]uuid.UUID, []believed) {
	if !k.until.IsZero() && !k.until.After(now) {
		return closed, fresh
	}
	closed = append(closed, k.id)
	k.until, k.ended, k.said = now, true, -1
	return closed, appendFact(fresh, k)
}

// gone says what to believe of the subject of a record that the source no longer has: what it said held until now.
func gone(known []believed, now time.Time) (closed []uuid.UUID, fresh []believed) {
	for _, k := range known {
		if !k.ended {
			closed, fresh = end(k, now, closed, fresh)
		}
	}
	return closed, fresh
}
