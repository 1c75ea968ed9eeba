package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// listedConnection is a connection with its newest run.
type listedConnection struct {
	connection.Connection
	LastRun *connection.Run        `json:"last_run,omitempty"`
	Dead    int64                  `json:"dead_letters"`
	Streams []connection.Freshness `json:"streams"`
	Hook    string                 `json:"hook"`
}

// freshness says how old the oldest stream is, and which are late.
func freshness(c listedConnection) string {
	var late []string
	var oldest time.Time
	for i, s := range c.Streams {
		if s.LateSince != nil {
			late = append(late, s.Stream)
		}
		if at := s.Fresh(); i == 0 || at.Before(oldest) {
			oldest = at
		}
	}
	switch {
	case len(late) > 0:
		return "LATE: " + strings.Join(late, ", ")
	case oldest.IsZero():
		return "-"
	}
	return when(&oldest)
}

func connectionCommand(r *remote) *cobra.Command {
	return use("connection", "Connections to source systems", r, connectionAdd(r), connectionList(r), connectionCheck(r), connectionDiscover(r),
		connectionSteer(r, "pause", "Pause a connection: its run is ended, no other starts", "%s is paused"),
		connectionSteer(r, "resume", "Let a paused connection run again", "%s runs again"),
		connectionRemove(r))
}

func connectionPath(name string) string { return "/connections/" + url.PathEscape(name) }

func connectionAdd(r *remote) *cobra.Command {
	var connector, file, purpose, schedule, late string
	var set []string
	c := &cobra.Command{
		Use:   "add NAME --config FILE [--set K=V]",
		Short: "Add a connection from a file with its configuration and mapping",
		Example: `  lrshub connection add registrations --connector csv --config connectors/csv/examples/oulad/registrations.yaml --set folder=/data/oulad
  lrshub connection add lms --config lms.yaml --purpose learning-records`,
		Args: exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := readConnectionFile(file, set)
			if err != nil {
				return err
			}
			if spec.Connector == "" {
				spec.Connector = connector
			}
			if connector != "" && connector != spec.Connector {
				return usage("%s is for the connector %q, not for %q", file, spec.Connector, connector)
			}
			if purpose != "" {
				spec.Purpose = purpose
			}
			if schedule != "" {
				spec.Schedule = schedule
			}
			if late != "" {
				spec.LateAfter = late
			}
			var made connection.Connection
			if err := r.call(c.Context(), http.MethodPost, "/connections", map[string]any{"name": args[0], "spec": spec}, &made); err != nil {
				return err
			}
			r.say("Read it now with: lrshub sync run %s --wait", made.Name)
			return showOne(r, made, connectionColumns...)
		},
	}
	c.Flags().StringVar(&connector, "connector", "", "connector (default: the file's)")
	c.Flags().StringVar(&file, "config", "", "file with connector, config and mapping (YAML)")
	c.Flags().StringArrayVar(&set, "set", nil, "set a value of the file's config: K=V; may be given several times")
	c.Flags().StringVar(&purpose, "purpose", "", "purpose for which the records are kept (default: the file's, then the credential's)")
	c.Flags().StringVar(&schedule, "schedule", "", "interval between runs, such as 15m (default: the file's, then on demand)")
	c.Flags().StringVar(&late, "late-after", "", "interval after which a stream that was neither read to its end nor pushed is late, such as 1d (default: the file's, then never)")
	_ = c.MarkFlagRequired("config")
	return c
}

// readConnectionFile reads a connection's file and the mapping file that it may name beside it. A relative folder that is set is taken from here,
// since the hub may run elsewhere.
func readConnectionFile(file string, set []string) (connection.Spec, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return connection.Spec{}, usage("--config: %v", err)
	}
	values := map[string]string{}
	for _, s := range set {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return connection.Spec{}, usage("--set wants K=V, not %q", s)
		}
		if name == "folder" && value != "" {
			if value, err = filepath.Abs(value); err != nil {
				return connection.Spec{}, err
			}
		}
		values[name] = value
	}
	spec, err := connection.ParseFile(text, values)
	if err != nil {
		return spec, usage("%s: %v", file, err)
	}
	if spec.MappingFile != "" {
		path := spec.MappingFile
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(file), path)
		}
		document, err := os.ReadFile(path)
		if err != nil {
			return spec, usage("%s names a mapping file: %v", file, err)
		}
		spec.Mapping = string(document)
	}
	return spec, nil
}

var connectionColumns = []column[connection.Connection]{
	{"name", func(c connection.Connection) string { return c.Name }},
	{"connector", func(c connection.Connection) string { return c.Connector }},
	{"purpose", func(c connection.Connection) string { return c.Purpose }},
	{"schedule", func(c connection.Connection) string { return scheduleText(c.Schedule) }},
	{"state", func(c connection.Connection) string { return string(c.State) }},
	{"mapping", func(c connection.Connection) string { return strconv.Itoa(c.Mapping) }},
	{"id", func(c connection.Connection) string { return c.ID.String() }},
}

func scheduleText(d time.Duration) string {
	if d == 0 {
		return "on demand"
	}
	return "every " + d.String()
}

func connectionList(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List connections, each with its newest run", Args: exactly(),
		Example: `  lrshub connection list -o json`,
		RunE: func(c *cobra.Command, _ []string) error {
			var list listOf[listedConnection]
			if err := r.call(c.Context(), http.MethodGet, "/connections", nil, &list); err != nil {
				return err
			}
			return show(r, list.Items,
				column[listedConnection]{"name", func(c listedConnection) string { return c.Name }},
				column[listedConnection]{"connector", func(c listedConnection) string { return c.Connector }},
				column[listedConnection]{"state", func(c listedConnection) string { return string(c.State) }},
				column[listedConnection]{"schedule", func(c listedConnection) string { return scheduleText(c.Schedule) }},
				column[listedConnection]{"last run", lastRun},
				column[listedConnection]{"fresh", freshness},
				column[listedConnection]{"statements", func(c listedConnection) string {
					return runText(c.LastRun, func(p connection.Progress) int64 { return p.Statements })
				}},
				column[listedConnection]{"dead letters", func(c listedConnection) string { return strconv.FormatInt(c.Dead, 10) }})
		},
	}
}

func lastRun(c listedConnection) string {
	if c.LastRun == nil {
		return "never"
	}
	return fmt.Sprintf("%s %s", c.LastRun.State, when(&c.LastRun.StartedAt))
}

func runText(run *connection.Run, number func(connection.Progress) int64) string {
	if run == nil {
		return "-"
	}
	return strconv.FormatInt(number(run.Total), 10)
}

func connectionCheck(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "check NAME", Short: "Ask the connector whether its source can be reached and read", Args: exactly("NAME"),
		Example: `  lrshub connection check registrations`,
		RunE: func(c *cobra.Command, args []string) error {
			var result struct {
				OK      bool   `json:"ok"`
				Problem string `json:"problem,omitempty"`
			}
			if err := r.call(c.Context(), http.MethodPost, connectionPath(args[0])+"/check", nil, &result); err != nil {
				return err
			}
			if !result.OK {
				return exitError{exitFailed, result.Problem}
			}
			r.say("%s: its source can be read", args[0])
			return nil
		},
	}
}

func connectionDiscover(r *remote) *cobra.Command {
	type stream struct {
		Name    string   `json:"name"`
		Key     []string `json:"key"`
		Subject string   `json:"subject"`
		Mode    string   `json:"mode"`
		Deletes string   `json:"deletes"`
		Fields  []string `json:"fields"`
	}
	return &cobra.Command{
		Use: "discover NAME", Short: "Show which streams the source has, and their fields", Args: exactly("NAME"),
		Example: `  lrshub connection discover registrations`,
		RunE: func(c *cobra.Command, args []string) error {
			var d sdk.Description
			if err := r.call(c.Context(), http.MethodPost, connectionPath(args[0])+"/discover", nil, &d); err != nil {
				return err
			}
			rows := make([]stream, len(d.Streams))
			for i, s := range d.Streams {
				rows[i] = stream{Name: s.Name, Key: s.Key, Subject: s.Subject, Mode: string(s.Mode), Deletes: string(s.Deletes)}
				for _, f := range s.Fields {
					rows[i].Fields = append(rows[i].Fields, f.Name+":"+string(f.Type))
				}
			}
			return show(r, rows,
				column[stream]{"stream", func(s stream) string { return s.Name }},
				column[stream]{"key", func(s stream) string { return strings.Join(s.Key, " ") }},
				column[stream]{"person", func(s stream) string { return s.Subject }},
				column[stream]{"mode", func(s stream) string { return s.Mode }},
				column[stream]{"deletes", func(s stream) string { return s.Deletes }},
				column[stream]{"fields", func(s stream) string { return strings.Join(s.Fields, " ") }})
		},
	}
}

func connectionSteer(r *remote, verb, short, done string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME", Short: short, Args: exactly("NAME"),
		Example: "  lrshub connection " + verb + " registrations",
		RunE: func(c *cobra.Command, args []string) error {
			var changed connection.Connection
			if err := r.call(c.Context(), http.MethodPost, connectionPath(args[0])+"/"+verb, nil, &changed); err != nil {
				return err
			}
			r.say(done, changed.Name)
			return nil
		},
	}
}

func connectionRemove(r *remote) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "remove NAME --yes", Short: "Remove a connection; its statements stay", Args: exactly("NAME"),
		Example: `  lrshub connection remove registrations --yes`,
		RunE: func(c *cobra.Command, args []string) error {
			if !yes {
				return usage("removing %s deletes its configuration, cursors, source records and dead letters (its statements stay): say --yes", args[0])
			}
			if err := r.call(c.Context(), http.MethodDelete, connectionPath(args[0]), nil, nil); err != nil {
				return err
			}
			r.say("%s is removed", args[0])
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "remove it")
	return c
}
