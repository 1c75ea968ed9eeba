package rest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// cursor is where a stream is read on from. A pass is one reading of everything, or of one window; between two passes only what is above Open counts.
type cursor struct {
	Version int       `json:"v"`
	Mark    time.Time `json:"mark,omitzero"`   // up to here everything is known
	Seen    []byte    `json:"seen,omitempty"`  // what was brought around the mark (memory)
	Known   []byte    `json:"known,omitempty"` // parts that were read up to the mark (Marks)

	Open     bool      `json:"open,omitempty"` // a pass is under way
	Since    time.Time `json:"since,omitzero"` // its window
	Until    time.Time `json:"until,omitzero"`
	Began    time.Time `json:"began,omitzero"` // by the source's clock
	Top      time.Time `json:"top,omitzero"`   // latest update so far
	Part     string    `json:"part,omitempty"` // being read
	PartDone bool      `json:"part_done,omitempty"`
	At       string    `json:"at,omitempty"`   // place of the page
	Skip     int       `json:"skip,omitempty"` // elements of that page that are dealt with
	Last     uint64    `json:"last,omitempty"` // hash of the last element that is dealt with
	Done     int64     `json:"done,omitempty"` // elements of the pages before
	Total    int64     `json:"total,omitempty"`
	Shifted  bool      `json:"shifted,omitempty"` // pages shifted in this part
	Lossy    bool      `json:"lossy,omitempty"`   // something was not, or may not have been, brought
}

const (
	cursorVersion = 1
	knownBytes    = 24 << 10
)

func parseCursor(text []byte) (c cursor, err error) {
	if text == nil {
		return cursor{Version: cursorVersion}, nil
	}
	if err := json.Unmarshal(text, &c); err != nil || c.Version != cursorVersion {
		return c, sdk.Errorf(sdk.ClassCursorExpired, "the cursor is of another version of the connector")
	}
	return c, nil
}

// checkpoint hands over where to go on.
func (rd *reader) checkpoint() error {
	if w := rd.s.Window; w != nil {
		rd.cur.Seen = rd.seen.encode(rd.cur.Mark.Add(-2 * w.lookBack()))
		rd.cur.Known = rd.known.Append(nil, knownBytes)
	}
	text, err := json.Marshal(rd.cur)
	if err != nil {
		return fmt.Errorf("rest: cursor: %w", err)
	}
	return rd.out.Checkpoint(text)
}

// steady says that the stream goes on from its last place.
func (rd *reader) steady() bool {
	_, lasts := rd.s.Paging.(steady)
	return lasts && rd.s.Window == nil && rd.s.Mode == contract.Incremental
}

// openPass begins to read everything, or a window, from its start. A stream that goes on from its last place does so.
func (rd *reader) openPass() error {
	if rd.cur.Open {
		return nil
	}
	rd.cur.Open = true
	w := rd.s.Window
	if w == nil {
		return nil
	}
	from, err := w.start(rd.c)
	if err != nil {
		return err
	}
	rd.cur.Since = from
	if !rd.cur.Mark.IsZero() {
		rd.cur.Since = rd.cur.Mark.Add(-w.lookBack())
	}
	rd.cur.Until = w.end(rd.cur.Since, rd.c.now())
	return nil
}

// closePass ends a pass that came to its end. more says that another window follows.
func (rd *reader) closePass() (more bool) {
	was := rd.cur
	rd.cur = cursor{Version: cursorVersion}
	if rd.steady() {
		rd.cur.At, rd.cur.Skip, rd.cur.Last, rd.cur.Done = was.At, was.Skip, was.Last, was.Done
	}
	w := rd.s.Window
	if w == nil {
		return false
	}
	rd.cur.Mark = w.mark(was.Mark, was.Until, was.Top, was.Began)
	return w.Step > 0 && !was.Until.IsZero() && was.Until.Before(was.Began) && was.Until.Add(w.lookBack()).Before(rd.c.now())
}
