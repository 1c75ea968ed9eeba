package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/hub/entry"
)

// recordCommand is for records that no system holds.
func recordCommand(r *remote) *cobra.Command {
	return use("record", "Records that no system holds: entered by people, with who vouches for them", r, recordAdd(r), recordImport(r), recordRemove(r))
}

var entryColumns = []column[entry.Result]{
	{"records", func(e entry.Result) string { return fmt.Sprint(e.Records) }},
	{"changed", func(e entry.Result) string { return fmt.Sprint(e.Changed) }},
	{"unchanged", func(e entry.Result) string { return fmt.Sprint(e.Unchanged) }},
	{"dead letters", func(e entry.Result) string { return fmt.Sprint(e.Dead) }},
}

// enter sends records and shows what became of them.
func (r *remote) enter(c *cobra.Command, connection string, in map[string]any) error {
	var result entry.Result
	if err := r.call(c.Context(), http.MethodPost, connectionPath(connection)+"/records", in, &result); err != nil {
		return err
	}
	if err := showOne(r, result, entryColumns...); err != nil {
		return err
	}
	if result.Dead > 0 {
		return exitError{exitPartly, fmt.Sprintf("the mapping made no statement of %d records; see: lrshub dead-letter list %s", result.Dead, connection)}
	}
	return nil
}

func recordAdd(r *remote) *cobra.Command {
	texts := map[string]*string{}
	var minutes, score, scoreMax float64
	c := &cobra.Command{
		Use:   "add CONNECTION",
		Short: "Enter one record; with an id that was entered before, correct that one",
		Example: `  lrshub record add on-the-job --kind training --learner ada@brook.example --activity https://example.org/training/forklift \
      --date 2026-11-02 --minutes 90 --outcome passed --vouched-by bo@brook.example
  lrshub record add on-the-job --kind attendance --learner p-17 --activity https://example.org/training/briefing --date 2026-11-02T09:00:00+01:00 --vouched-by site-7`,
		Args: exactly("CONNECTION"),
		RunE: func(c *cobra.Command, args []string) error {
			record := map[string]any{}
			for flag, value := range texts {
				if *value != "" {
					record[strings.ReplaceAll(flag, "-", "_")] = *value
				}
			}
			for flag, value := range map[string]float64{"minutes": minutes, "score": score, "score-max": scoreMax} {
				if c.Flags().Changed(flag) {
					record[strings.ReplaceAll(flag, "-", "_")] = value
				}
			}
			return r.enter(c, args[0], map[string]any{"records": []any{record}})
		},
	}
	for _, f := range []struct{ name, usage string }{
		{"id", "of the record, to correct it later (default: made of learner, kind, activity and date)"},
		{"kind", "training, attendance or assessment"},
		{"learner", "an e-mail address, or the name of an account"}, {"learner-name", "as it should stand in the statement"},
		{"activity", "its IRI"}, {"activity-name", "for people"}, {"date", "a day, or an instant in RFC 3339"},
		{"outcome", "passed or failed"}, {"vouched-by", "who vouches for it: an e-mail address, or the name of an account"}, {"vouched-name", "as it should stand in the statement"},
		{"place", "where it was"}, {"note", "what else there is to say"},
	} {
		texts[f.name] = c.Flags().String(f.name, "", f.usage)
	}
	c.Flags().Float64Var(&minutes, "minutes", 0, "how long it took")
	c.Flags().Float64Var(&score, "score", 0, "points")
	c.Flags().Float64Var(&scoreMax, "score-max", 0, "the most points that there were")
	return c
}

func recordImport(r *remote) *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "import CONNECTION FILE",
		Short: "Enter a sheet: CSV with a header, all of it or nothing",
		Long: `The columns are id, kind, learner, learner_name, activity, activity_name, date, minutes, outcome, score, score_max, vouched_by, vouched_name, place, note
and deleted, in any order; kind, learner, activity, date and vouched_by must be there. They are separated by comma, semicolon or tab. FILE - is standard input.
A sheet that is imported again changes nothing; a row with an id that was there before corrects that record, and takes it back with deleted = true.
If any row is not right, nothing is stored, and each such row is listed.`,
		Example: `  lrshub record import on-the-job november.csv --dry-run
  lrshub record import on-the-job november.csv`,
		Args: exactly("CONNECTION", "FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := readSheet(c.InOrStdin(), args[1])
			if err != nil {
				return err
			}
			return r.enter(c, args[0], map[string]any{"csv": string(text), "check": check})
		},
	}
	c.Flags().BoolVar(&check, "dry-run", false, "store nothing, only say what is wrong")
	return c
}

func readSheet(in io.Reader, name string) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, entry.MaxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > entry.MaxBytes:
		return nil, usage("the sheet has more than %d MiB: enter it in parts", entry.MaxBytes>>20)
	case len(text) == 0:
		return nil, errors.New("the sheet is empty")
	}
	return text, nil
}

func recordRemove(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "remove CONNECTION ID", Short: "Take a record back: its statement is voided", Args: exactly("CONNECTION", "ID"),
		Example: `  lrshub record remove on-the-job forklift-2026-17`,
		RunE: func(c *cobra.Command, args []string) error {
			return r.enter(c, args[0], map[string]any{"records": []any{map[string]any{"id": args[1], "deleted": true}}})
		},
	}
}
