package csv

import (
	"encoding/json"
	"io"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// cursorVersion is raised when cursors change their meaning; older ones then say nothing.
const cursorVersion = 1

// cursor says how far a file was read, and which file that was. It holds no content of the file.
type cursor struct {
	Version int         `json:"v"`
	Shape   string      `json:"shape"`
	File    fingerprint `json:"file"`
	Sum     checksum    `json:"sum,string"` // of [0, Offset)
	Offset  int64       `json:"offset"`
	Line    int64       `json:"line"`          // of the row at Offset
	Bad     int64       `json:"bad,omitempty"` // rows before Offset that were no records
	Done    bool        `json:"done,omitempty"`
	Ended   bool        `json:"ended,omitempty"` // the last row read had its line end
}

// plan is what a read has to do.
type plan int

const (
	planFull    plan = iota // read from the first row
	planResume              // go on at the cursor
	planNothing             // the file is as it was when it was read to its end
	planRefresh             // likewise, but its times are not: keep the new ones
)

// decide compares the file with what the cursor knows of it. Where the file's times do not rule out a change, its
// content decides: what was read has to be there still, byte for byte.
//
// If the cursor is of no use although the snapshot that it belongs to was not completed, it has expired: the hub has to
// begin a new snapshot, or what it saw of the old file would count as seen in the new: rows that are gone would stay, and rows that changed would be
// duplicates of themselves.
func decide(text []byte, shape string, s *source, deletes contract.Deletes, alive func(int64) error) (plan, cursor, error) {
	if len(text) == 0 {
		return planFull, cursor{}, nil
	}
	var c cursor
	known := json.Unmarshal(text, &c) == nil && c.Version == cursorVersion
	if known && c.Shape == shape && c.Offset >= s.body {
		todo, err := c.compare(s, deletes, alive)
		if err != nil || todo != planFull {
			return todo, c, err
		}
	}
	if !(known && c.Done && (c.Bad == 0 || deletes != contract.DeletesAbsence)) {
		return 0, c, sdk.Errorf(sdk.ClassCursorExpired, "csv: file %s, or what is read of it, changed after part of it was read: it has to be read again from its first row", s.name)
	}
	return planFull, c, nil
}

func (c *cursor) compare(s *source, deletes contract.Deletes, alive func(int64) error) (plan, error) {
	same := c.File.proves(s.print)
	if same && c.Done {
		return planNothing, nil
	}
	if !same && s.print.Size >= c.Offset {
		sum, err := sumOf(s, c.Offset, alive)
		if err != nil {
			return 0, readError(s, err)
		}
		same = sum == c.Sum
	}
	switch {
	case same && !c.Done:
		return planResume, nil
	case same && s.print.Size == c.Offset:
		return planRefresh, nil
	case same && deletes == contract.DeletesNone && c.Ended:
		return planResume, nil // rows were appended, and nothing has to be seen again
	}
	return planFull, nil
}

func readError(s *source, err error) error {
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return sdk.Errorf(sdk.ClassTransient, "csv: file %s was cut short while it was read; it is read again in the next run", s.name)
	}
	return err
}
