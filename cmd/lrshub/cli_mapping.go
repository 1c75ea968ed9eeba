package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/connectors"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/plugins/sdk"
)

func mappingCommand(r *remote) *cobra.Command {
	return use("mapping", "Conversion of records to statements", r, mappingTest(r), mappingDiff(r), mappingApply(r), mappingShow(r))
}

// mappingTest needs no hub.
func mappingTest(r *remote) *cobra.Command {
	var connector, config string
	var set []string
	c := &cobra.Command{
		Use:   "test MAPPING FIXTURES",
		Short: "Run a mapping on a folder of fixtures and show what differs (exit code 1 if anything does)",
		Long: `Run a mapping on a folder of fixtures and show what differs. Each case is a folder with input.json and expected.json; connectors/MAPPINGS.md
tells the layout. The result is compared by meaning, and exactly. MAPPING may be a connection's file: then its mapping is taken.`,
		Example: `  lrshub mapping test connectors/openedx/mapping.yaml connectors/openedx/fixtures --connector openedx`,
		Args:    exactly("MAPPING", "FIXTURES"),
		RunE: func(c *cobra.Command, args []string) error {
			document, configuration, err := mappingFile(args[0], config, set)
			if err != nil {
				return err
			}
			d, err := describeFor(c.Context(), connector, configuration)
			if err != nil {
				return err
			}
			report, err := mapping.Test(document, d.Streams, os.DirFS(args[1]), nil)
			if err != nil {
				return usage("%v", err)
			}
			if r.output == "json" {
				err = printJSON(os.Stdout, report)
			} else {
				_, err = fmt.Print(report.String())
			}
			if err != nil {
				return err
			}
			if !report.OK() {
				return exitError{exitFailed, "some fixtures differ"}
			}
			return nil
		},
	}
	c.Flags().StringVar(&connector, "connector", "", "connector whose streams the mapping converts: a built-in one's name, or the path of a program")
	c.Flags().StringVar(&config, "config", "", "connection's file, where the streams depend on the configuration")
	c.Flags().StringArrayVar(&set, "set", nil, "set a value of that configuration: K=V")
	_ = c.MarkFlagRequired("connector")
	return c
}

// describeFor asks a connector, built in or a program, for its streams.
func describeFor(ctx context.Context, connector string, configuration []byte) (sdk.Description, error) {
	if make, ok := connectors.Builtin()[connector]; ok {
		return make().Describe(configuration)
	}
	plugin, d, err := describeTarget(ctx, connector)
	if err != nil || configuration == nil {
		return d, err
	}
	return describeAlone(ctx, plugin, configuration)
}

// mappingFile gives a mapping's document, and the configuration that its streams depend on.
func mappingFile(path, config string, set []string) (document []byte, configuration json.RawMessage, err error) {
	if document, err = os.ReadFile(path); err != nil {
		return nil, nil, usage("%v", err)
	}
	if config == "" {
		return document, nil, nil
	}
	spec, err := readConnectionFile(config, set)
	if err != nil {
		return nil, nil, err
	}
	if config == path {
		document = []byte(spec.Mapping)
	}
	return document, spec.Config, nil
}

// readMapping reads a mapping's document, or the mapping of a connection's file.
func readMapping(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", usage("%v", err)
	}
	if spec, err := connection.ParseFile(text, nil); err == nil && spec.Mapping != "" {
		return spec.Mapping, nil
	}
	return string(text), nil
}

type appliedMapping struct {
	Version int                 `json:"version"`
	Unread  map[string][]string `json:"unread,omitempty"`
}

type mappingDifference struct {
	appliedMapping
	Streams []ingest.Comparison `json:"streams"`
}

// tellUnread says which streams have to be read again, and why.
func tellUnread(unread map[string][]string) {
	for stream, fields := range unread {
		fmt.Fprintf(os.Stderr, "stream %s needs re-read: the new version names fields that were pruned from what was read so far: %s\n", stream, strings.Join(fields, ", "))
	}
}

func mappingDiff(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "diff CONNECTION FILE", Short: "Say what a new version would change on what is stored", Args: exactly("CONNECTION", "FILE"),
		Example: `  lrshub mapping diff registrations registrations.yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			document, err := readMapping(args[1])
			if err != nil {
				return err
			}
			var d mappingDifference
			if err := r.call(c.Context(), http.MethodPost, connectionPath(args[0])+"/mapping/diff", map[string]string{"document": document}, &d); err != nil {
				return err
			}
			if r.output == "json" {
				return printJSON(os.Stdout, d)
			}
			tellUnread(d.Unread)
			number := func(n func(ingest.Comparison) int64) func(ingest.Comparison) string {
				return func(c ingest.Comparison) string { return fmt.Sprint(n(c)) }
			}
			if err := show(r, d.Streams,
				column[ingest.Comparison]{"stream", func(c ingest.Comparison) string { return c.Stream }},
				column[ingest.Comparison]{"records", number(func(c ingest.Comparison) int64 { return c.Records })},
				column[ingest.Comparison]{"unchanged", number(func(c ingest.Comparison) int64 { return c.Unchanged })},
				column[ingest.Comparison]{"changed", number(func(c ingest.Comparison) int64 { return c.Changed })},
				column[ingest.Comparison]{"new statements", number(func(c ingest.Comparison) int64 { return c.New })},
				column[ingest.Comparison]{"voided", number(func(c ingest.Comparison) int64 { return c.Voided })},
				column[ingest.Comparison]{"dead letters", number(func(c ingest.Comparison) int64 { return c.Failed })}); err != nil {
				return err
			}
			for _, s := range d.Streams {
				for _, f := range s.Failures {
					fmt.Fprintf(os.Stderr, "%d records of %s: %s\n", f.Count, s.Stream, f.Reason)
				}
			}
			return nil
		},
	}
}

func mappingApply(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "apply CONNECTION FILE", Short: "Put a new version of a connection's mapping into force", Args: exactly("CONNECTION", "FILE"),
		Example: `  lrshub mapping apply registrations registrations.yaml && lrshub sync run registrations --full --wait`,
		RunE: func(c *cobra.Command, args []string) error {
			document, err := readMapping(args[1])
			if err != nil {
				return err
			}
			var a appliedMapping
			if err := r.call(c.Context(), http.MethodPut, connectionPath(args[0])+"/mapping", map[string]string{"document": document}, &a); err != nil {
				return err
			}
			tellUnread(a.Unread)
			r.say("Older records follow with: lrshub sync run %s --full --wait", args[0])
			return showOne(r, a, column[appliedMapping]{"version", func(a appliedMapping) string { return fmt.Sprint(a.Version) }})
		},
	}
}

func mappingShow(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "show CONNECTION", Short: "Print the mapping in force", Args: exactly("CONNECTION"),
		Example: `  lrshub mapping show results > results.yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			var m connection.MappingVersion
			if err := r.call(c.Context(), http.MethodGet, connectionPath(args[0])+"/mapping", nil, &m); err != nil {
				return err
			}
			if r.output == "json" {
				return printJSON(os.Stdout, m)
			}
			_, err := fmt.Print(m.Document)
			return err
		},
	}
}
