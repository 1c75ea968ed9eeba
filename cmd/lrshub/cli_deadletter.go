package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// deadLetter is a dead letter as the API lists it, without what it holds.
type deadLetter struct {
	ID       uuid.UUID `json:"id"`
	Stream   string    `json:"stream"`
	Position string    `json:"position"`
	Code     string    `json:"code"`
	Reason   string    `json:"reason"`
	Mapping  int       `json:"mapping"`
	Run      uuid.UUID `json:"run"`
	At       time.Time `json:"at"`
}

func deadLetterCommand(r *remote) *cobra.Command {
	var limit int
	list := &cobra.Command{
		Use: "list CONNECTION", Short: "List open dead letters: records that could not become statements, and why", Args: exactly("CONNECTION"),
		Example: `  lrshub dead-letter list results -o csv`,
		RunE: func(c *cobra.Command, args []string) error {
			var all listOf[deadLetter]
			if err := r.call(c.Context(), http.MethodGet, fmt.Sprintf("%s/dead-letters?limit=%d", connectionPath(args[0]), limit), nil, &all); err != nil {
				return err
			}
			return show(r, all.Items,
				column[deadLetter]{"at", func(l deadLetter) string { return when(&l.At) }},
				column[deadLetter]{"stream", func(l deadLetter) string { return l.Stream }},
				column[deadLetter]{"position", func(l deadLetter) string { return l.Position }},
				column[deadLetter]{"code", func(l deadLetter) string { return l.Code }},
				column[deadLetter]{"reason", func(l deadLetter) string { return l.Reason }})
		},
	}
	list.Flags().IntVar(&limit, "limit", 100, "at most so many")
	var wait bool
	replay := &cobra.Command{
		Use: "replay CONNECTION", Short: "Map the open dead letters anew, after the mapping was mended", Args: exactly("CONNECTION"),
		Example: `  lrshub dead-letter replay results`,
		RunE: func(c *cobra.Command, args []string) error {
			var started startedRun
			if err := r.call(c.Context(), http.MethodPost, connectionPath(args[0])+"/dead-letters/replay", nil, &started); err != nil {
				return err
			}
			if wait {
				return r.await(c.Context(), started.Run)
			}
			r.say("Started run %s; watch it with: lrshub sync status %s", started.Run, args[0])
			return nil
		},
	}
	replay.Flags().BoolVar(&wait, "wait", false, "wait for its end")
	return use("dead-letter", "Records that could not become statements", r, list, replay)
}
