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

// parseCursor gives nil if the cursor says nothing about the file as it is read now: then it is read in full.
func parseCursor(text []byte, shape string) *cursor {
	var c cursor
	if len(text) == 0 || json.Unmarshal(text, &c) != nil || c.Version != cursorVersion || c.Shape != shape {
		return nil
	}
	return &c
}

// decide compares the file with what the cursor knows of it. Where the file's times do not rule out a change, its
// content decides: what was read has to be there still, byte for byte.
//
// A file that changed behind a snapshot that was not completed makes the cursor expire: the hub has to begin a new
// snapshot, or what it saw of the old file would count as seen in the new.
func decide(c *cursor, s *source, deletes contract.Deletes, alive func(int64) error) (plan, error) {
	if c == nil || c.Offset < s.body {
		return planFull, nil
	}
	if c.Done && c.File.proves(s.print) {
		return planNothing, nil
	}
	same := c.File.proves(s.print)
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
	case deletes == contract.DeletesAbsence && (!c.Done || c.Bad > 0):
		return 0, sdk.Errorf(sdk.ClassCursorExpired, "csv: file %s changed after part of it was read: it has to be read again from its first row", s.name)
	}
	return planFull, nil
}

func readError(s *source, err error) error {
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return sdk.Errorf(sdk.ClassTransient, "csv: file %s was cut short while it was read; it is read again in the next run", s.name)
	}
	return err
}
