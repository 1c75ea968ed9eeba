package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/hub/connection"
)

func syncCommand(r *remote) *cobra.Command {
	return use("sync", "Reading of connections", r, syncRun(r), syncStatus(r), syncHistory(r), syncCancel(r))
}

// startedRun is a run that was asked for.
type startedRun struct {
	Run uuid.UUID `json:"run"`
}

func syncRun(r *remote) *cobra.Command {
	var wait, full bool
	var since, until string
	c := &cobra.Command{
		Use:   "run CONNECTION",
		Short: "Read a connection now",
		Example: `  lrshub sync run registrations --wait
  lrshub sync run registrations --full --wait     read everything again; what is the same is stored once
  lrshub sync run lms --since 2026-01-01 --until 2026-02-01   read what was updated in January again, of the streams that can`,
		Args: exactly("CONNECTION"),
		RunE: func(c *cobra.Command, args []string) error {
			wanted := map[string]any{"full": full}
			for name, text := range map[string]string{"since": since, "until": until} {
				if text == "" {
					continue
				}
				at, err := instant(text)
				if err != nil {
					return usage("--%s: %v", name, err)
				}
				wanted[name] = at
			}
			if since != "" && until == "" {
				wanted["until"] = time.Now().Add(-time.Second).UTC()
			}
			var started startedRun
			if err := r.call(c.Context(), http.MethodPost, connectionPath(args[0])+"/syncs", wanted, &started); err != nil {
				return err
			}
			if !wait {
				r.say("Started run %s; watch it with: lrshub sync status %s", started.Run, args[0])
				return showOne(r, started, column[startedRun]{"run", func(s startedRun) string { return s.Run.String() }})
			}
			return r.await(c.Context(), started.Run)
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "wait for its end; exit code 1 if it failed, 6 if it left dead letters")
	c.Flags().BoolVar(&full, "full", false, "read everything again")
	c.Flags().StringVar(&since, "since", "", "backfill: read only what the source says was updated from then on (2026-01-31, or 2026-01-31T08:00:00Z)")
	c.Flags().StringVar(&until, "until", "", "and before then (default: now)")
	return c
}

// instant reads a date, which is its beginning in UTC, or an instant.
func instant(text string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q is neither a date like 2026-01-31 nor an instant like 2026-01-31T08:00:00Z", text)
	}
	return t, nil
}

// pollEvery is how often a run that is waited for is looked at.
const pollEvery = 300 * time.Millisecond

// maxOutage is how long the hub may not answer while a run is waited for: it may restart meanwhile.
const maxOutage = 2 * time.Minute

// await shows a run's progress until it ends.
func (r *remote) await(ctx context.Context, id uuid.UUID) error {
	bar := progress(r, -1, "")
	began, answered := time.Now(), time.Now()
	for {
		var run connection.Run
		err := r.call(ctx, http.MethodGet, "/syncs/"+id.String(), nil, &run)
		var exit exitError
		switch {
		case err == nil:
			answered = time.Now()
			showProgress(bar, run)
			if run.State != connection.Running {
				_ = bar.Finish()
				return r.ended(run)
			}
		case ctx.Err() != nil:
			return exitError{130, "interrupted; the run goes on: lrshub sync status"}
		case errors.As(err, &exit) && exit.code == exitNotFound && time.Since(began) < maxOutage: // not begun yet
		case !errors.As(err, &exit) && time.Since(answered) < maxOutage: // restarting
		default:
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

type progressBar interface {
	Describe(string)
	ChangeMax64(int64)
	Set64(int64) error
}

func showProgress(bar progressBar, run connection.Run) {
	for _, s := range run.Streams {
		if !s.Ended {
			bar.Describe(fmt.Sprintf("%s: %d records, %d statements", s.Stream, s.Records, s.Statements))
			if s.Total > 0 {
				bar.ChangeMax64(s.Total)
				_ = bar.Set64(s.Done)
			}
			return
		}
	}
}

// ended shows a run that ended, and fails if it did.
func (r *remote) ended(run connection.Run) error {
	if err := showOne(r, run, runColumns...); err != nil {
		return err
	}
	switch {
	case run.State == connection.Cancelled:
		return exitError{exitFailed, "the run was cancelled; what it stored stays"}
	case run.State != connection.Succeeded:
		return exitError{exitFailed, "the run failed: " + run.Error}
	case run.Total.Dead > 0:
		return exitError{exitPartly, fmt.Sprintf("%d records became dead letters: lrshub dead-letter list CONNECTION", run.Total.Dead)}
	}
	return nil
}

var runColumns = []column[connection.Run]{
	{"state", func(c connection.Run) string { return string(c.State) }},
	{"started", func(c connection.Run) string { return when(&c.StartedAt) }},
	{"ended", func(c connection.Run) string { return when(c.EndedAt) }},
	{"full", func(c connection.Run) string { return strconv.FormatBool(c.Full) }},
	{"records", total(func(p connection.Progress) int64 { return p.Records })},
	{"unchanged", total(func(p connection.Progress) int64 { return p.Unchanged })},
	{"statements", total(func(p connection.Progress) int64 { return p.Statements })},
	{"voiding", total(func(p connection.Progress) int64 { return p.Voided })},
	{"skipped", total(func(p connection.Progress) int64 { return p.Skipped })},
	{"dead letters", total(func(p connection.Progress) int64 { return p.Dead })},
	{"error", func(c connection.Run) string { return c.Error }},
	{"id", func(c connection.Run) string { return c.ID.String() }},
}

func total(number func(connection.Progress) int64) func(connection.Run) string {
	return func(run connection.Run) string { return strconv.FormatInt(number(run.Total), 10) }
}

func syncStatus(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "status CONNECTION", Short: "Show the newest run, stream by stream", Args: exactly("CONNECTION"),
		Example: `  lrshub sync status results`,
		RunE: func(c *cobra.Command, args []string) error {
			var list listOf[connection.Run]
			if err := r.call(c.Context(), http.MethodGet, connectionPath(args[0])+"/syncs?limit=1", nil, &list); err != nil {
				return err
			}
			if len(list.Items) == 0 {
				return exitError{exitNotFound, args[0] + " was never read: lrshub sync run " + args[0]}
			}
			run := list.Items[0]
			if err := showOne(r, run, runColumns...); err != nil || r.output != "table" {
				return err
			}
			fmt.Println()
			return show(r, run.Streams,
				column[connection.Progress]{"stream", func(p connection.Progress) string { return p.Stream }},
				column[connection.Progress]{"read", readSoFar},
				column[connection.Progress]{"records", func(p connection.Progress) string { return strconv.FormatInt(p.Records, 10) }},
				column[connection.Progress]{"unchanged", func(p connection.Progress) string { return strconv.FormatInt(p.Unchanged, 10) }},
				column[connection.Progress]{"statements", func(p connection.Progress) string { return strconv.FormatInt(p.Statements, 10) }},
				column[connection.Progress]{"skipped", func(p connection.Progress) string { return strconv.FormatInt(p.Skipped, 10) }},
				column[connection.Progress]{"dead letters", func(p connection.Progress) string { return strconv.FormatInt(p.Dead, 10) }})
		},
	}
}

func readSoFar(p connection.Progress) string {
	switch {
	case p.Ended:
		return "to its end"
	case p.Total > 0:
		return fmt.Sprintf("%d %%", 100*p.Done/p.Total)
	}
	return "under way"
}

func syncHistory(r *remote) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "history CONNECTION", Short: "List the runs, newest first", Args: exactly("CONNECTION"),
		Example: `  lrshub sync history results -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			var list listOf[connection.Run]
			if err := r.call(c.Context(), http.MethodGet, fmt.Sprintf("%s/syncs?limit=%d", connectionPath(args[0]), limit), nil, &list); err != nil {
				return err
			}
			return show(r, list.Items, runColumns...)
		},
	}
	c.Flags().IntVar(&limit, "limit", 20, "at most so many")
	return c
}

func syncCancel(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "cancel CONNECTION", Short: "End the run that is under way; what it stored stays", Args: exactly("CONNECTION"),
		Example: `  lrshub sync cancel results`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := r.call(c.Context(), http.MethodPost, connectionPath(args[0])+"/cancel", nil, nil); err != nil {
				return err
			}
			r.say("asked the run of %s to end", args[0])
			return nil
		},
	}
}
