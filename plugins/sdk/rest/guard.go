package rest

import (
	"errors"

	"github.com/lrshub/lrshub/plugins/sdk"
)

var (
	errMoved = errors.New("the pages shifted: the record before this page is another")
	errAgain = errors.New("the page is asked for again")
	errLast  = errors.New("the page was the last")
	// errForgotten begins a pass anew.
	errForgotten = errors.New("the source no longer knows the place")
)

// Bounds of what a source may do that never comes to its end.
const (
	maxRepeats = 2    // times that a page is asked for again that came in place of the next
	maxBarren  = 1000 // pages one after the other that bring nothing new
	maxSteps   = 100  // steps back within a part
)

// guard notices pages that repeat and pages that never end, in constant memory.
type guard struct {
	before  uint64 // the page before
	repeats int
	barren  int
	steps   int // back, in all
	streak  int // of them one after the other

	// Brent's search for a cycle among places: the place that was remembered, how long ago, and after how many another is.
	at    string
	since int
	power int
}

// see looks at a page; repeated says that it is the one before again.
func (g *guard) see(p Page, a answer) (repeated bool, err error) {
	sum := a.sum()
	if p.Count > 1 && sum == g.before {
		if g.repeats++; g.repeats > maxRepeats {
			return false, sdk.Errorf(sdk.ClassSourceBug, "the source gives the same page again and again: it does not know the parameters of the paging, or never says which page is the last")
		}
		return true, nil
	}
	g.before, g.repeats, g.streak = sum, 0, 0
	if a.fresh > 0 {
		g.barren = 0
	} else if g.barren++; g.barren > maxBarren {
		return false, sdk.Errorf(sdk.ClassSourceBug, "the last %d pages brought nothing new, but the source says that there are more", maxBarren)
	}
	if p.At != "" && p.At == g.at {
		return false, sdk.Errorf(sdk.ClassSourceBug, "the source's pages lead in a circle")
	}
	if g.since++; g.since >= g.power {
		g.at, g.since, g.power = p.At, 0, max(1, 2*g.power)
	}
	return false, nil
}

// overlaps says that this page begins with the last record of the one before, if nothing shifted.
func (rd *reader) overlaps() bool {
	by, ok := rd.s.Paging.(counted)
	return ok && rd.cur.At != "" && rd.cur.Skip == 0 && by.overlap() > 0
}

// stepBack goes back far enough to meet a record that was brought: what was removed made the others move up.
func (rd *reader) stepBack() error {
	if rd.guard.steps++; rd.guard.steps > maxSteps {
		return &sdk.Error{Class: sdk.ClassTransient, Message: "the source changes faster than it can be read"}
	}
	rd.cur.At, rd.cur.Skip, rd.cur.Last = rd.s.Paging.(counted).back(rd.cur.At, 1<<min(rd.guard.streak, 20)), 0, 0
	rd.guard = guard{steps: rd.guard.steps, streak: rd.guard.streak + 1}
	return nil
}

// unsure ends a part of which something may be missing: a snapshot is not called complete, and a window must be read again.
func (rd *reader) unsure() error {
	if !rd.cur.Shifted {
		return nil
	}
	rd.cur.Shifted, rd.cur.Lossy = false, true
	if rd.s.Window != nil {
		return &sdk.Error{Class: sdk.ClassTransient, Message: "records were added or removed each time that the stream was read; give its paging an order that does not change, or use another kind of paging"}
	}
	return nil
}
