package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// outputs are what -o takes.
var outputs = []string{"table", "json", "jsonl", "csv"}

var errOutput = usage("-o must be table, json, jsonl or csv")

// column is a column of a table: its heading and its text for a row.
type column[T any] struct {
	name string
	text func(T) string
}

// show prints rows in the format that was asked for. json is one array, jsonl a line a row, csv has a heading.
func show[T any](r *remote, rows []T, columns ...column[T]) error {
	if rows == nil {
		rows = []T{}
	}
	switch r.output {
	case "json":
		return printJSON(os.Stdout, rows)
	case "jsonl":
		encoder := json.NewEncoder(os.Stdout)
		for _, row := range rows {
			if err := encoder.Encode(row); err != nil {
				return err
			}
		}
		return nil
	case "csv":
		return showCSV(rows, columns)
	case "table":
		return showTable(rows, columns)
	}
	return errOutput
}

// showOne prints one thing: an object in json, a table of names and values otherwise.
func showOne[T any](r *remote, one T, columns ...column[T]) error {
	switch r.output {
	case "json", "jsonl":
		if r.output == "jsonl" {
			return json.NewEncoder(os.Stdout).Encode(one)
		}
		return printJSON(os.Stdout, one)
	case "csv":
		return showCSV([]T{one}, columns)
	case "table":
		w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
		for _, c := range columns {
			fmt.Fprintf(w, "%s\t%s\n", c.name, c.text(one))
		}
		return w.Flush()
	}
	return errOutput
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

func showTable[T any](rows []T, columns []column[T]) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = strings.ToUpper(c.name)
	}
	fmt.Fprintln(w, strings.Join(names, "\t"))
	for _, row := range rows {
		texts := make([]string, len(columns))
		for i, c := range columns {
			texts[i] = c.text(row)
		}
		fmt.Fprintln(w, strings.Join(texts, "\t"))
	}
	return w.Flush()
}

func showCSV[T any](rows []T, columns []column[T]) error {
	w := csv.NewWriter(os.Stdout)
	record := make([]string, len(columns))
	for i, c := range columns {
		record[i] = c.name
	}
	if err := w.Write(record); err != nil {
		return err
	}
	for _, row := range rows {
		for i, c := range columns {
			record[i] = c.text(row)
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// when writes a time for people; "-" if there is none.
func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}
