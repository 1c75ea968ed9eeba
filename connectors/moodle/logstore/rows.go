package logstore

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// row is one row of a table: its columns as JSON. What an export leaves empty is absent.
type row map[string]json.RawMessage

// text gives a column as text, numbers too; "" where it is absent.
func (r row) text(column string) string {
	raw := r[column]
	if len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || string(raw) == "null" {
		return ""
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// errRow is wrapped by what is wrong with one row; reading can go on after it.
var errRow = errors.New("not a row")

// scanner reads the rows of an export from its beginning or from the offset of a row.
type scanner struct {
	offset int64 // of the row that next gives
	after  int64 // of the one after it
	whole  bool  // the file does not grow: its last row is one without a line end, too
	next   func() (row, error)
}

// lineEnd ends a row; a last row without it may still be being written.
const lineEnd = '\n'

// scan makes a scanner for a part of a file. header is that of a CSV export, nil for JSON lines.
func scan(from io.ReaderAt, offset, size int64, header []string) *scanner {
	section := io.NewSectionReader(from, offset, size-offset) // a row found by an index is a small part
	s := &scanner{after: offset}
	if header == nil {
		s.next = s.jsonLines(bufio.NewReaderSize(section, int(min(size-offset, 64<<10))))
	} else {
		s.next = s.csv(section, offset, header, from, size)
	}
	return s
}

// maxRow is the most that one row may hold, in bytes.
const maxRow = 16 << 20

func (s *scanner) jsonLines(lines *bufio.Reader) func() (row, error) {
	return func() (row, error) {
		s.offset = s.after
		var line []byte
		for {
			part, err := lines.ReadSlice(lineEnd)
			s.after += int64(len(part))
			if len(line) <= maxRow {
				line = append(line, part...)
			}
			if err == io.EOF && len(line) == 0 {
				return nil, io.EOF
			}
			if err == io.EOF && !json.Valid(line) {
				s.after = s.offset
				return nil, io.EOF // not written to its end yet
			}
			if err == nil || err == io.EOF {
				break
			}
			if err != bufio.ErrBufferFull {
				return nil, err
			}
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			return nil, fmt.Errorf("%w: an empty line", errRow)
		}
		if len(line) > maxRow {
			return nil, fmt.Errorf("%w: more than %d bytes", errRow, maxRow)
		}
		var r row
		if !utf8.Valid(line) || json.Unmarshal(line, &r) != nil || r == nil {
			return nil, fmt.Errorf("%w: no JSON object in UTF-8", errRow)
		}
		return r, nil
	}
}

func (s *scanner) csv(section io.Reader, offset int64, header []string, from io.ReaderAt, size int64) func() (row, error) {
	reader := csv.NewReader(section)
	reader.ReuseRecord, reader.FieldsPerRecord = true, -1
	return func() (row, error) {
		s.offset = s.after
		fields, err := reader.Read()
		s.after = offset + reader.InputOffset()
		var broken *csv.ParseError
		switch {
		case err == nil:
		case errors.As(err, &broken):
			return nil, fmt.Errorf("%w: its quotes do not match (RFC 4180)", errRow)
		default:
			return nil, err
		}
		if s.after == size && !s.whole && !endsLine(from, size) {
			s.after = s.offset
			return nil, io.EOF
		}
		if len(fields) != len(header) {
			return nil, fmt.Errorf("%w: %d fields, the header has %d", errRow, len(fields), len(header))
		}
		return csvRow(header, fields)
	}
}

func endsLine(from io.ReaderAt, size int64) bool {
	var last [1]byte
	_, err := from.ReadAt(last[:], size-1)
	return (err == nil || err == io.EOF) && last[0] == lineEnd
}

var number = regexp.MustCompile(`^(?:0|-?[1-9][0-9]{0,17})$`)

// numeric says that a column holds ids or times, which are numbers in Moodle; all else stays text as the export has it.
func numeric(column string) bool {
	switch column {
	case "id", "userid", "relateduserid", "courseid", "contextinstanceid", "objectid", "timecreated":
		return true
	}
	return false
}

func csvRow(header, fields []string) (row, error) {
	r := make(row, len(header))
	for i, field := range fields {
		if field == "" || field == `\N` || field == "NULL" {
			continue
		}
		if !utf8.ValidString(field) {
			return nil, fmt.Errorf("%w: column %s is not UTF-8", errRow, header[i])
		}
		if numeric(header[i]) && number.MatchString(field) {
			r[header[i]] = json.RawMessage(strings.Clone(field))
			continue
		}
		text, err := json.Marshal(field)
		if err != nil {
			return nil, fmt.Errorf("%w: column %s", errRow, header[i])
		}
		r[header[i]] = text
	}
	return r, nil
}
