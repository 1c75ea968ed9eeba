package manual

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// columns are those that a sheet may have: the fields of the stream, and deleted.
func columns() []string {
	var names []string
	for _, f := range stream.Fields {
		names = append(names, f.Name)
	}
	return append(names, "deleted")
}

// numbers are the columns that hold a number.
var numbers = []string{"minutes", "score", "score_max"}

// readSheet reads CSV with a header, separated by comma, semicolon or tab, whichever the header has.
func readSheet(body []byte) ([]entry, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	head, _, _ := bytes.Cut(body, []byte("\n"))
	r := csv.NewReader(bytes.NewReader(body))
	for _, comma := range "\t;" {
		if bytes.ContainsRune(head, comma) {
			r.Comma = comma
			break
		}
	}
	header, err := r.Read()
	if err != nil {
		return nil, sdk.Errorf(sdk.ClassData, "the sheet has no header: its first line names the columns, of %s", strings.Join(columns(), ", "))
	}
	for i, name := range header {
		header[i] = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(columns(), header[i]) {
			return nil, sdk.Errorf(sdk.ClassData, "column %d of the header is none that records have; there are %s", i+1, strings.Join(columns(), ", "))
		}
		if slices.Contains(header[:i], header[i]) {
			return nil, sdk.Errorf(sdk.ClassData, "the header names %s twice", header[i])
		}
	}
	var list []entry
	for {
		row, err := r.Read()
		line := 0
		var broken *csv.ParseError
		if errors.As(err, &broken) {
			line = broken.StartLine
		} else if len(row) > 0 {
			line, _ = r.FieldPos(0)
		}
		switch {
		case errors.Is(err, io.EOF):
			return list, nil
		case errors.Is(err, csv.ErrFieldCount):
			list = append(list, entry{position: position(line), wrong: fmt.Errorf("it has %d cells, the header %d", len(row), len(header))})
		case err != nil:
			return nil, sdk.Errorf(sdk.ClassData, "from line %d on the sheet is not CSV: look for a lost quotation mark", line)
		case len(list) == maxRecords:
			return nil, sdk.Errorf(sdk.ClassData, "the sheet has more than %d records: enter it in parts", maxRecords)
		default:
			record, wrong := fromRow(header, row)
			list = append(list, entry{record: record, position: position(line), wrong: wrong})
		}
	}
}

func position(line int) string { return fmt.Sprintf("line %d", line) }

// fromRow makes the record of a row; an empty cell is an absent field.
func fromRow(header, row []string) (record, error) {
	fields := map[string]any{}
	for i, cell := range row {
		cell, name := strings.TrimSpace(cell), header[i]
		switch {
		case cell == "":
		case slices.Contains(numbers, name):
			n, err := strconv.ParseFloat(cell, 64)
			if err != nil {
				return record{}, fmt.Errorf("%s must be a number, with a point before its fraction", name)
			}
			fields[name] = n
		case name == "deleted":
			yes, err := strconv.ParseBool(strings.ToLower(cell))
			if err != nil {
				return record{}, errors.New("deleted must be true or false")
			}
			fields[name] = yes
		default:
			fields[name] = cell
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return record{}, errors.New("a number is not finite")
	}
	return parseRecord(text)
}
