package people

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func saidGenerator(subject uuid.UUID) *rapid.Generator[[]believed] {
	return rapid.Custom(func(t *rapid.T) (list []believed) {
		for i := range rapid.IntRange(0, 4).Draw(t, "facts") {
			f := believed{subject: subject, kind: rapid.SampledFrom([]string{Role, Unit}).Draw(t, "kind"), key: [16]byte{rapid.Byte().Draw(t, "value") % 3}, said: i}
			if day := rapid.IntRange(0, 8).Draw(t, "from"); day > 0 {
				f.from, f.stated = at(day), true
			}
			if day := rapid.IntRange(0, 20).Draw(t, "until"); day > 9 {
				f.until = at(day)
			}
			list = append(list, f)
		}
		return list
	})
}

// at is a day of the test's calendar; what a record says goes to day 20, the hub's clock begins at day 10.
func at(day int) time.Time { return time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }

// apply gives what is believed after a revision.
func apply(known []believed, closed []uuid.UUID, fresh []believed) (after []believed) {
	dropped := map[uuid.UUID]bool{}
	for _, id := range closed {
		dropped[id] = true
	}
	for _, k := range known {
		if !dropped[k.id] {
			after = append(after, k)
		}
	}
	for _, f := range fresh {
		f.id = uuid.New()
		after = append(after, f)
	}
	return after
}

func holds(list []believed, f believed, when time.Time) bool {
	for _, b := range list {
		if b.same(f) && !b.from.After(when) && (b.until.IsZero() || b.until.After(when)) {
			return true
		}
	}
	return false
}

// Whatever a record said before: what it says now holds now and nothing else does; said again it changes nothing; what was seen to hold without a stated
// beginning held when it was seen, unless the record says otherwise of it; and when the record is gone nothing holds.
func TestReviseLaws(t *testing.T) {
	subject := uuid.New()
	rapid.Check(t, func(t *rapid.T) {
		var known []believed
		for round := range rapid.IntRange(1, 4).Draw(t, "rounds") {
			now := at(10 + 3*round)
			said := saidGenerator(subject).Draw(t, "said")
			before := known
			closed, fresh := revise(known, append([]believed(nil), said...), now)
			known = apply(known, closed, fresh)
			for _, s := range said {
				want := !s.from.After(now) && (s.until.IsZero() || s.until.After(now))
				if want && !holds(known, s, now) {
					t.Fatalf("round %d: %v was said and does not hold", round, s)
				}
			}
			for _, k := range known {
				if holds(known, k, now) && !holds(said, k, now) {
					t.Fatalf("round %d: %v holds and was not said", round, k)
				}
			}
			for _, b := range before {
				yesterday := now.Add(-24 * time.Hour)
				if !b.stated && !b.ended && holds([]believed{b}, b, yesterday) && !holds(known, b, yesterday) && !slices.ContainsFunc(said, b.same) {
					t.Fatalf("round %d: %v was seen to hold, and does not any more", round, b)
				}
			}
			if closed, fresh := revise(known, append([]believed(nil), said...), now.Add(time.Hour)); len(closed)+len(fresh) > 0 {
				t.Fatalf("round %d: said again it changes %v, %v", round, closed, fresh)
			}
		}
		now := at(30)
		closed, fresh := gone(known, now)
		after := apply(known, closed, fresh)
		for _, k := range after {
			if holds(after, k, now) {
				t.Fatalf("%v holds after its record is gone", k)
			}
			if !k.stated && holds(known, k, at(9)) != holds(after, k, at(9)) {
				t.Fatalf("that the record is gone changed the past of %v", k)
			}
		}
		if closed, fresh := gone(after, at(31)); len(closed)+len(fresh) > 0 {
			t.Fatal("gone twice is not gone once")
		}
	})
}
