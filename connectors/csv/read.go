package csv

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// kind is a column's type.
type kind int

const (
	kindString kind = iota
	kindInt
	kindDouble
	kindBool
)

var kinds = map[contract.Type]kind{
	contract.String: kindString,
	contract.Int:    kindInt,
	contract.Double: kindDouble,
	contract.Bool:   kindBool,
}

// Read brings the rows of one file, unless the cursor shows that all of them were brought already.
func (Connector) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	f, err := c.file(r.Stream)
	if err != nil {
		return err
	}
	folder, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer folder.Close()
	src, err := openSource(c.Place, folder, f, s.Now())
	if err != nil {
		return err
	}
	defer src.Close()

	wanted := f.wanted(r.Fields)
	shape := f.shape(wanted)
	alive := func(done int64) error {
		out.Progress(done, src.print.Size)
		return ctx.Err()
	}
	at := cursor{Version: cursorVersion, Shape: shape, File: src.print, Sum: src.sum, Offset: src.body, Line: src.line}
	if !r.Full {
		todo, known, err := decide(r.Cursor, shape, src, f.Deletes, alive)
		if err != nil {
			return err
		}
		switch todo {
		case planNothing:
			return alive(src.print.Size)
		case planRefresh:
			known.File = src.print
			return known.checkpoint(out)
		case planResume:
			at = known
			at.File, at.Done = src.print, false
		}
	}
	rd := newReader(src, f, wanted, r, out, at)
	rd.scan.alive = alive
	return rd.run(ctx, s)
}

func (c cursor) checkpoint(out *sdk.Output) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return out.Checkpoint(text)
}

// field is one column that is brought.
type field struct {
	cell     int    // index within the row
	prefix   []byte // what precedes the value: `{"name":` or `,"name":`
	kind     kind
	required bool // part of the key
	column   column
}

// reader streams the rows of one file from a cursor on.
type reader struct {
	src       *source
	out       *sdk.Output
	scan      *scanner
	split     splitter
	text      *encoding
	fields    []field
	at        cursor
	absence   bool
	record    []byte
	positions positions
}

func newReader(src *source, f *file, wanted columns, r sdk.Request, out *sdk.Output, at cursor) *reader {
	limit := r.MaxRecord
	if limit <= 0 {
		limit = sdk.MaxRecord
	}
	rd := &reader{
		src: src, out: out, at: at,
		scan:      newScanner(src, f.Delimiter[0], limit, at.Offset, at.Line),
		split:     splitter{delim: f.Delimiter[0]},
		text:      encodings[f.Encoding],
		absence:   f.Deletes == contract.DeletesAbsence,
		positions: positions{prefix: src.name + ":"},
	}
	rd.scan.sum = at.Sum
	for i, c := range wanted {
		rd.fields = append(rd.fields, newField(i, c, src.header, f.Key))
	}
	return rd
}

func newField(i int, c column, header, key []string) field {
	fd := field{kind: kinds[c.Type], column: c}
	for cell, name := range header {
		if name == c.Header {
			fd.cell = cell
		}
	}
	for _, name := range key {
		fd.required = fd.required || name == c.Name
	}
	opening := byte(',')
	if i == 0 {
		opening = '{'
	}
	fd.prefix = fmt.Appendf(nil, "%c%q:", opening, c.Name)
	return fd
}

// run brings all rows that are left, with a checkpoint whenever a page is full.
func (rd *reader) run(ctx context.Context, s *sdk.Session) error {
	for {
		row, more, err := rd.next()
		if err != nil {
			return err
		}
		if !more {
			return rd.finish(s)
		}
		if err := rd.bring(row); err != nil {
			return err
		}
		if !rd.out.Due() {
			continue
		}
		if err := rd.checkpoint(false); err != nil {
			return err
		}
		rd.out.Progress(rd.at.Offset, rd.src.print.Size)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (rd *reader) next() (r row, more bool, err error) {
	for {
		r, err = rd.scan.next()
		switch {
		case err == io.EOF:
			return row{}, false, nil
		case err != nil:
			return row{}, false, readError(rd.src, err)
		case len(r.raw) > 0 || r.fault != faultNone: // an empty line is no record
			return r, true, nil
		}
	}
}

// bring makes a record of a row, or reports why it is none.
func (rd *reader) bring(r row) error {
	position := rd.positions.at(r.line)
	switch r.fault {
	case faultTooLarge:
		return rd.bad(sdk.TooLarge, position, fmt.Sprintf("the row has more than %d bytes", rd.scan.limit))
	case faultQuotes:
		return rd.bad(sdk.BadRecord, position, r.fault.String())
	}
	cells := rd.split.split(r.raw, r.quotes)
	if len(cells) != len(rd.src.header) {
		return rd.bad(sdk.BadRecord, position, fmt.Sprintf("the row has %d cells, the header names %d columns", len(cells), len(rd.src.header)))
	}
	record := rd.record[:0]
	for i := range rd.fields {
		f := &rd.fields[i]
		cell := cells[f.cell]
		record = append(record, f.prefix...)
		from := len(record)
		var ok bool
		if record, ok = appendCell(record, cell, f.kind, rd.text); !ok {
			return rd.bad(sdk.BadRecord, position, rd.misfit(f, cell))
		}
		if f.required && record[from] == 'n' {
			return rd.bad(sdk.BadRecord, position, fmt.Sprintf("column %q is empty but is part of the key", f.column.Header))
		}
	}
	rd.record = append(record, '}')
	if len(rd.record) > rd.scan.limit {
		return rd.bad(sdk.TooLarge, position, fmt.Sprintf("the record made of the row has more than %d bytes", rd.scan.limit))
	}
	return rd.out.Record(rd.record, position)
}

// bad reports a row that is no record. Its text is not passed on: it may hold columns that nobody asked for, and whoever
// may read the file finds it by the position.
func (rd *reader) bad(code, position, reason string) error {
	rd.at.Bad++
	return rd.out.Bad(code, position, reason, nil)
}

func (rd *reader) misfit(f *field, cell []byte) string {
	if !rd.text.valid(cell) {
		return fmt.Sprintf("column %q is not valid %s", f.column.Header, rd.text.name)
	}
	return fmt.Sprintf("column %q does not hold a value of type %s", f.column.Header, f.column.Type)
}

func (rd *reader) checkpoint(done bool) error {
	rd.at.Offset, rd.at.Line, rd.at.Sum, rd.at.Ended, rd.at.Done = rd.scan.offset, rd.scan.line, rd.scan.sum, rd.scan.ended, done
	return rd.at.checkpoint(rd.out)
}

// finish closes a file that was read to its end. The snapshot is complete only if the file stood still meanwhile and every
// row of it was a record: else a row that could not be read would pass for one that is gone.
func (rd *reader) finish(s *sdk.Session) error {
	now, err := rd.src.fingerprint(s.Now())
	if err != nil {
		return err
	}
	if now.Size != rd.src.print.Size || now.Modified != rd.src.print.Modified || now.Size != rd.scan.offset {
		return sdk.Errorf(sdk.ClassTransient, "csv: file %s changed while it was read; it is read again in the next run (write exports under another name, then rename them)", rd.src.name)
	}
	rd.out.Progress(rd.scan.offset, rd.src.print.Size)
	if rd.absence && rd.at.Bad > 0 {
		s.Log.Warn("csv: rows that are gone from the file are not looked for, because some of its rows could not be read", "file", rd.src.name, "bad", rd.at.Bad)
	}
	if rd.absence && rd.at.Bad == 0 {
		if err := rd.out.SnapshotComplete(); err != nil {
			return err
		}
	}
	return rd.checkpoint(true)
}

// positions makes "file:line" texts, many to an allocation.
type positions struct {
	prefix string
	block  strings.Builder
}

const positionBlock = 16 << 10

func (p *positions) at(line int64) string {
	const digits = 20
	if p.block.Cap()-p.block.Len() < len(p.prefix)+digits {
		p.block = strings.Builder{}
		p.block.Grow(positionBlock + len(p.prefix) + digits)
	}
	from := p.block.Len()
	var number [digits]byte
	p.block.WriteString(p.prefix)
	p.block.Write(strconv.AppendInt(number[:0], line, 10))
	return p.block.String()[from:]
}
