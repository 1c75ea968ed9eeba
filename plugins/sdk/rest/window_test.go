package rest_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// TestWindowLosesNothing: whatever is updated at the source while runs come and go, with clocks that differ and changes that show late, in the end every item
// was brought as it is, and a run without changes brings nothing.
func TestWindowLosesNothing(t *testing.T) {
	for _, stream := range []string{"window", "steps"} {
		rapid.Check(t, func(rt *rapid.T) {
			s := newSource(t, rapid.IntRange(0, 12).Draw(rt, "items"))
			skew := time.Duration(rapid.IntRange(-90, 90).Draw(rt, "our clock is ahead, minutes")) * time.Minute
			s.clock = epoch.Add(time.Hour)
			late := rapid.IntRange(0, 100).Draw(rt, "seconds that a change shows late")
			var hidden []func()
			brought := map[int]string{}
			var cursor []byte
			run := func() int {
				got, err := sdktest.Read(t.Context(), connector(), session(s, skew), sdk.Request{Stream: stream, Cursor: cursor, PageRecords: 3})
				if err != nil {
					rt.Fatalf("%v", err)
				}
				for _, record := range got.Records {
					brought[idOf(record)] = record
				}
				cursor = last(got)
				return len(got.Records)
			}
			for range rapid.IntRange(1, 12).Draw(rt, "steps") {
				switch rapid.IntRange(0, 2).Draw(rt, "what") {
				case 0:
					run()
				case 1: // it shows only later
					at, id := s.clock.Truncate(time.Second), rapid.IntRange(1, 14).Draw(rt, "id")
					hidden = append(hidden, func() {
						s.remove(id)
						s.items = append(s.items, item{ID: id, Who: "learner", Updated: at})
					})
					s.clock = s.clock.Add(time.Duration(rapid.IntRange(0, late).Draw(rt, "late")) * time.Second)
					if rapid.Bool().Draw(rt, "run before it shows") {
						run()
					}
					for _, show := range hidden {
						show()
					}
					hidden = nil
				case 2:
					s.clock = s.clock.Add(time.Duration(rapid.OneOf(rapid.IntRange(1, 7200), rapid.IntRange(1, 1<<22)).Draw(rt, "seconds")) * time.Second)
				}
			}
			s.clock = s.clock.Add(3 * time.Hour) // past all skew
			run()
			for _, i := range s.items {
				if want := encoded(i); brought[i.ID] != want {
					rt.Fatalf("item %d was brought as %q, is %q", i.ID, brought[i.ID], want)
				}
			}
			if n := run(); n != 0 {
				rt.Fatalf("a run without changes brought %d records", n)
			}
		})
	}
}

// TestSteps: a long past is asked for in windows that the API takes, without a gap.
func TestSteps(t *testing.T) {
	s := newSource(t, 50)
	s.clock = epoch.AddDate(0, 0, 200)
	for i := range s.items {
		s.items[i].Updated = epoch.AddDate(0, 0, 3*i)
	}
	got := read(t, session(s, 0), "steps", nil)
	if !slices.Equal(ids(t, got), upTo(50)) {
		t.Errorf("brought %v", ids(t, got))
	}
	end := ""
	for _, u := range s.requests {
		since, until := u.Query().Get("since"), u.Query().Get("until")
		from, err := time.Parse(time.RFC3339, since)
		to, err2 := time.Parse(time.RFC3339, until)
		if err != nil || err2 != nil || to.Sub(from) > 15*24*time.Hour {
			t.Fatalf("a window from %q until %q", since, until)
		}
		if end != "" && since > end {
			t.Errorf("a gap from %s until %s", end, since)
		}
		end = until
	}
}

// TestSkewedSource: a source whose updates lie in its future does not make us skip what comes after.
func TestSkewedSource(t *testing.T) {
	s := newSource(t, 5)
	s.clock = epoch.Add(time.Hour)
	s.change(5, s.clock.AddDate(70, 0, 0), "typed wrong")
	first := read(t, session(s, 0), "window", nil)
	s.clock = s.clock.Add(time.Hour)
	s.change(2, s.clock, "later")
	if got := ids(t, read(t, session(s, 0), "window", last(first))); !slices.Contains(got, 2) {
		t.Errorf("brought %v", got)
	}
}
