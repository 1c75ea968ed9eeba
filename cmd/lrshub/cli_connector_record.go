package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/plugins/kit/cassette"
	"github.com/lrshub/lrshub/plugins/kit/suite"
)

func connectorRecord(r *remote) *cobra.Command {
	var f suiteFlags
	var out string
	c := &cobra.Command{
		Use:   "record NAME|BINARY --config FILE --out DIR",
		Short: "Record what a connector asks a live system and is answered, with secrets and names scrubbed",
		Long: `Record what a connector asks a live system and is answered, for tests: lrshub connector test --cassette DIR then needs the system no more. It reads every stream
once as a whole and then from its checkpoints on, here, without a hub; so take a small system, or a configuration that names a small part of it.

Scrubbed are the configuration's secrets, the identifiers that streams declare, mailboxes, the site's host, and what members such as login, lastName,
phone, address, comment hold, always the same value to the same made-up one. No rule finds everything: read the files before you give them away.`,
		Example: `  lrshub connector record ./quiz --config quiz.yaml --out recording
  lrshub connector record openedx --config site.yaml --out recording --stream grade`,
		Args: exactly("NAME|BINARY"),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := os.Stat(filepath.Join(out, cassette.ConfigFile)); !errors.Is(err, fs.ErrNotExist) {
				return usage("%s holds a recording already; name a new folder with --out, or remove the old one", out)
			}
			plugin, d, err := describeTarget(c.Context(), args[0])
			if err != nil {
				return err
			}
			spec, err := f.spec()
			if err != nil {
				return err
			}
			public, secrets, err := connection.ConfigParts(spec, d.ConfigSchema)
			if err != nil {
				return usage("%v", err)
			}
			r.say("Reading at the live system ...")
			made, err := suite.Record(c.Context(), suite.Subject{
				Name: d.Name, Program: plugin, Config: string(public), Secrets: secrets, Streams: f.streams,
			}, time.Now().UTC().Truncate(time.Second))
			if errors.Is(err, suite.ErrNothing) {
				return usage("%v; a connector that reads files is tested with --config and made-up files", err)
			}
			if err != nil {
				return err
			}
			if err := cassette.Write(out, made.Head, made.Scrubbed); err != nil {
				return err
			}
			return tellRecorded(r, out, made)
		},
	}
	c.Flags().StringVar(&f.config, "config", "", "connection's file, with the secrets")
	c.Flags().StringArrayVar(&f.set, "set", nil, "set a value of that file's config: K=V")
	c.Flags().StringArrayVar(&f.streams, "stream", nil, "stream to record; may be given several times (default: all)")
	c.Flags().StringVar(&out, "out", "", "folder for the recording")
	_ = c.MarkFlagRequired("config")
	_ = c.MarkFlagRequired("out")
	return c
}

// recordReport is what record prints.
type recordReport struct {
	Folder    string            `json:"folder"`
	Exchanges int               `json:"exchanges"`
	Records   map[string]int    `json:"records"`
	Scrubbed  map[string]int    `json:"scrubbed"`
	Kept      int               `json:"small_numbers_kept"`
	Binary    int               `json:"binary_bodies_kept"`
	Differs   map[string]string `json:"differs,omitempty"`
}

func tellRecorded(r *remote, out string, made *suite.Recorded) error {
	report := recordReport{out, len(made.Exchanges), made.Records, made.Counts, made.Kept, made.Binary, made.Differs}
	counts := func(of map[string]int) string {
		var texts []string
		for _, name := range slices.Sorted(maps.Keys(of)) {
			texts = append(texts, fmt.Sprintf("%s %d", name, of[name]))
		}
		return strings.Join(texts, ", ")
	}
	err := showOne(r, report,
		column[recordReport]{"folder", func(r recordReport) string { return r.Folder }},
		column[recordReport]{"exchanges", func(r recordReport) string { return fmt.Sprint(r.Exchanges) }},
		column[recordReport]{"records", func(r recordReport) string { return counts(r.Records) }},
		column[recordReport]{"scrubbed", func(r recordReport) string { return counts(r.Scrubbed) }},
		column[recordReport]{"kept", func(r recordReport) string {
			return fmt.Sprintf("%d identifiers that are numbers below 10000, %d binary bodies", r.Kept, r.Binary)
		}})
	if err != nil {
		return err
	}
	r.say("Now read %s and %s: names in free text, and in members that no rule knows, are still there. Then: lrshub connector test %s --cassette %s",
		filepath.Join(out, cassette.ConfigFile), filepath.Join(out, cassette.ExchangeFile), made.Head.Connector, out)
	if len(made.Differs) > 0 {
		var texts []string
		for _, stream := range slices.Sorted(maps.Keys(made.Differs)) {
			texts = append(texts, stream+": "+made.Differs[stream])
		}
		return exitError{exitPartly, "the recording does not play back as the live system answered: " + strings.Join(texts, "; ")}
	}
	return nil
}
