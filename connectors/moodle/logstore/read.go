package logstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// cursor says how far the log was read: the id of the last row, and where it stood, so that a large file need not be read
// from its beginning again. If another row stands there now, it is.
type cursor struct {
	ID   int64  `json:"id"`
	File string `json:"file,omitempty"`
	At   int64  `json:"at,omitempty"`
	Bad  int    `json:"bad,omitempty"` // broken rows after that one, which were told
}

// Read brings the rows of the log above the cursor's, in the order of their ids.
func Read(ctx context.Context, c Config, r sdk.Request, out *sdk.Output) error {
	var last cursor
	if r.Cursor != nil {
		if err := json.Unmarshal(r.Cursor, &last); err != nil || last.ID < 0 {
			return sdk.Errorf(sdk.ClassCursorExpired, "moodle: the cursor is not one of the log store")
		}
	}
	s, err := open(c)
	if err != nil {
		return err
	}
	defer s.close()
	if len(s.logs) == 0 {
		return sdk.Errorf(sdk.ClassConfig, "moodle: no file in folder %s is a .csv or .jsonl that matches the pattern %q of the log", c.Folder, c.Log)
	}
	reading := &reading{site: s, out: out, last: last, alive: func() { out.Progress(0, 0) }}
	for _, name := range s.logs {
		if last.File != "" && name < last.File && s.has(last.File) {
			continue // read to its end before the file of the cursor was begun
		}
		if err := reading.file(ctx, name); err != nil {
			return err
		}
	}
	return reading.checkpoint()
}

func (s *site) has(log string) bool {
	for _, name := range s.logs {
		if name == log {
			return true
		}
	}
	return false
}

type reading struct {
	*site
	out   *sdk.Output
	last  cursor
	alive func()
}

func (r *reading) checkpoint() error {
	text, err := json.Marshal(r.last)
	if err != nil {
		return err
	}
	return r.out.Checkpoint(text)
}

// file brings the new rows of one file. Within a file the ids rise; files may overlap.
func (r *reading) file(ctx context.Context, name string) error {
	t, err := openTable(r.root, name)
	if err != nil {
		return err
	}
	defer t.Close()
	from, told := r.from(t)
	s := scan(t, from, t.size, t.header)
	before := int64(0)
	for n := 1; ; n++ {
		if n%1000 == 0 {
			r.alive()
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		event, err := s.next()
		if err == io.EOF {
			return ctx.Err()
		}
		position := fmt.Sprintf("%s at byte %d", name, s.offset)
		if errors.Is(err, errRow) {
			if told--; told >= 0 {
				continue
			}
			if err := r.bad(name, position, err.Error()); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return sdk.Errorf(sdk.ClassTransient, "moodle: reading %s: %w", name, err)
		}
		id, err := strconv.ParseInt(event.text("id"), 10, 64)
		if err != nil || id <= 0 {
			if told--; told >= 0 {
				continue
			}
			if err := r.bad(name, position, "the row has no id"); err != nil {
				return err
			}
			continue
		}
		if id < before {
			return sdk.Errorf(sdk.ClassData, "moodle: %s: row %d stands after row %d: export the log in the order of its ids (ORDER BY id)", name, id, before)
		}
		before = id
		if id <= r.last.ID {
			continue
		}
		if err := r.event(event, id, cursor{ID: id, File: name, At: s.offset}, position); err != nil {
			return err
		}
	}
}

// from gives the offset at which to begin, that of the cursor's row if it still stands there, and how many broken rows after it were told.
func (r *reading) from(t *table) (offset int64, told int) {
	if r.last.File != t.name || r.last.At < t.body || r.last.At >= t.size {
		return t.body, 0
	}
	if row, err := scan(t, r.last.At, t.size, t.header).next(); err != nil || row.text("id") != strconv.FormatInt(r.last.ID, 10) {
		return t.body, 0
	}
	return r.last.At, r.last.Bad
}

func (r *reading) bad(file, position, reason string) error {
	if r.last.File == file {
		r.last.Bad++
	}
	return r.out.Bad(sdk.BadRecord, position, reason, nil)
}

// eventColumns are those of the log that are brought; addresses, sessions and who acted in whose name stay where they are.
var eventColumns = []string{"id", "eventname", "component", "action", "target", "objecttable", "objectid", "contextinstanceid", "userid",
	"courseid", "relateduserid", "other", "timecreated"}

func (r *reading) event(event row, id int64, at cursor, position string) error {
	data, err := r.gather(event, r.alive)
	if err != nil {
		return err
	}
	kept := row{}
	for _, column := range eventColumns {
		value, there := event[column]
		if !there || string(value) == "null" {
			continue
		}
		if text := event.text(column); numeric(column) && number.MatchString(text) {
			value = json.RawMessage(text)
		}
		kept[column] = value
	}
	text, err := json.Marshal(struct {
		Event row `json:"event"`
		Data  any `json:"data"`
	}{kept, data})
	if err != nil {
		return r.bad(at.File, position, "the row cannot be written as JSON")
	}
	if err := r.out.Record(text, position); err != nil {
		return err
	}
	r.last = at
	if r.out.Due() {
		return r.checkpoint()
	}
	return nil
}
