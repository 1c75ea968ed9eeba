package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// Window is how an incremental stream asks for what is new: for what was updated since an instant, and until another where the API takes one. Windows are
// half-open and overlap by LookBack, so nothing is lost at their edges, whichever way the source counts those; what a window brings again unchanged
// is left out.
//
// How far a stream was read is told by the source's own clock: by the latest Updated it gave, at most the Date of its first answer; ours is used only where
// it gives neither.
type Window struct {
	Since string // query parameter: updated at or after
	Until string // query parameter: updated before; "" if the API has none
	// Filter makes the query instead of Since and Until, from times as Layout writes them; since is "" in the first run of a stream that is read from its
	// beginning, until is "" unless Bounded.
	Filter  func(since, until string) url.Values
	Bounded bool
	// Updated is the path of a record's time of update, "" if records do not have it.
	Updated string
	// LookBack is how much later than its time of update a record may become visible, the differences between the source's clocks included; 0: ten minutes.
	LookBack time.Duration
	// Step is the longest window that the API takes, where it has an end; 0: any.
	Step time.Duration
	// From names the property of the configuration with the date from which on records are read; "", or not configured: from the beginning.
	From string
	// Layout of times as in package time, or "unix" or "unixms"; "" is RFC 3339. Zone is the time zone of a layout without one; nil: UTC.
	Layout string
	Zone   *time.Location
}

func (w *Window) lookBack() time.Duration {
	if w.LookBack > 0 {
		return w.LookBack
	}
	return 10 * time.Minute
}

func (w *Window) bounded() bool { return w.Until != "" || w.Bounded }

// ask puts a window into a request's query. A zero time bounds nothing.
func (w *Window) ask(r *http.Request, since, until time.Time) {
	from, to := "", ""
	if !since.IsZero() {
		from = w.write(since, false)
	}
	if !until.IsZero() {
		to = w.write(until, true)
	}
	query := r.URL.Query()
	if w.Filter != nil {
		for name, values := range w.Filter(from, to) {
			query[name] = values
		}
	} else {
		for name, text := range map[string]string{w.Since: from, w.Until: to} {
			if name != "" && text != "" {
				query.Set(name, text)
			}
		}
	}
	r.URL.RawQuery = query.Encode()
}

// write gives an instant as the source reads it. A wall clock shows an hour twice when summer time ends, and the source may take either: then the start of
// a window is written an hour earlier, and its end an hour later, so that the window is not too small.
func (w *Window) write(t time.Time, end bool) string {
	switch w.Layout {
	case "":
		return t.UTC().Format(time.RFC3339)
	case "unix":
		return strconv.FormatInt(t.Unix(), 10)
	case "unixms":
		return strconv.FormatInt(t.UnixMilli(), 10)
	}
	if w.Zone == nil || zoned(w.Layout) {
		return t.UTC().Format(w.Layout)
	}
	local := t.In(w.Zone)
	if before, after := readings(local); end && before.Before(t) {
		local = local.Add(t.Sub(before))
	} else if !end && after.After(t) {
		local = local.Add(t.Sub(after))
	}
	return local.Format(w.Layout)
}

// zoned says that a layout has a time zone.
func zoned(layout string) bool {
	return strings.Contains(layout, "Z07") || strings.Contains(layout, "-07")
}

// readings gives the earliest and the latest instant that shows the same wall clock as t.
func readings(t time.Time) (earliest, latest time.Time) {
	const wall = "2006-01-02 15:04:05.999999999"
	shown := t.Format(wall)
	earliest, latest = t, t
	for _, shift := range []time.Duration{-2 * time.Hour, -time.Hour, -30 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour} {
		if other := t.Add(shift); other.Format(wall) == shown {
			if other.Before(earliest) {
				earliest = other
			}
			if other.After(latest) {
				latest = other
			}
		}
	}
	return earliest, latest
}

// read understands an instant as the source writes it; ok is false if it is none. Of a wall clock that shows an hour twice it takes the earlier.
func (w *Window) read(text string) (t time.Time, ok bool) {
	if w.Layout == "unix" || w.Layout == "unixms" {
		n, err := strconv.ParseInt(text, 10, 64)
		if w.Layout == "unix" {
			return time.Unix(n, 0).UTC(), err == nil
		}
		return time.UnixMilli(n).UTC(), err == nil
	}
	zone := w.Zone
	if zone == nil {
		zone = time.UTC
	}
	for _, layout := range []string{w.Layout, time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if layout == "" {
			continue
		}
		t, err := time.ParseInLocation(layout, text, zone)
		if err != nil {
			continue
		}
		if !zoned(layout) {
			t, _ = readings(t)
		}
		return t.UTC(), true
	}
	return time.Time{}, false
}

// start is where a stream begins that was never read.
func (w *Window) start(c *Client) (time.Time, error) {
	if !c.since.IsZero() {
		return c.since, nil
	}
	text := c.Property(w.From)
	if w.From == "" || text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, sdk.Errorf(sdk.ClassConfig, "%s must be a date like 2026-01-31, or an instant like 2026-01-31T08:00:00Z", w.From)
}

// end gives where a window that begins at since ends, zero if it has no end. The last one before now takes what little would be left.
func (w *Window) end(since, now time.Time) time.Time {
	if !w.bounded() {
		return time.Time{}
	}
	if step := max(w.Step, 2*w.lookBack()); w.Step > 0 && !since.IsZero() && since.Add(step+2*w.lookBack()).Before(now) {
		return since.Add(step)
	}
	return now
}

// mark tells up to where everything is known, once the window that ends at until was read. before is the mark before it, top the latest update
// that the source gave in it, began the source's time when it began to answer.
func (w *Window) mark(before, until, top, began time.Time) time.Time {
	mark := began
	if !until.IsZero() && until.Before(mark) {
		mark = until
	}
	past := !until.IsZero() && until.Add(w.lookBack()).Before(began) // nothing comes there any more
	if w.Updated == "" || past {
		return mark
	}
	if top.Before(before) {
		top = before
	}
	if top.Before(mark) {
		return top
	}
	return mark
}
