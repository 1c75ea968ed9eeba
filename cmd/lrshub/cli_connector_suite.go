package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/connectors"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/kit/cassette"
	"github.com/lrshub/lrshub/plugins/kit/suite"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// suiteFlags are what a test of a connector is told.
type suiteFlags struct {
	config, cassette string
	set, streams     []string
}

func connectorTest(r *remote) *cobra.Command {
	var f suiteFlags
	c := &cobra.Command{
		Use:   "test NAME|BINARY",
		Short: "Run the conformance suite on a connector, offline",
		Long: `Run the conformance suite on a connector: a built-in one by its name, any other by the path of its program. It runs here, without a hub and offline:
the connector's requests are answered from a recording (lrshub connector record makes one), with faults in between. Built-in connectors bring theirs.
Secrets are made up. Exit code 1 if a check failed; each failure says what is wrong and what to do.`,
		Example: `  lrshub connector test csv
  lrshub connector test ./quiz --cassette recording
  lrshub connector test ./folder --config folder.yaml -o json`,
		Args: exactly("NAME|BINARY"),
		RunE: func(c *cobra.Command, args []string) error {
			subject, player, end, err := f.subject(c.Context(), args[0])
			if err != nil {
				return err
			}
			defer end()
			return runSuite(c.Context(), r, subject, player)
		},
	}
	c.Flags().StringVar(&f.config, "config", "", "connection's file (default: the recording's config.json)")
	c.Flags().StringArrayVar(&f.set, "set", nil, "set a value of that file's config: K=V")
	c.Flags().StringVar(&f.cassette, "cassette", "", "folder of a recording (default: a built-in connector's own)")
	c.Flags().StringArrayVar(&f.streams, "stream", nil, "stream to test; may be given several times (default: all)")
	return c
}

// suiteReport is what -o json prints.
type suiteReport struct {
	Connector string         `json:"connector"`
	OK        bool           `json:"ok"`
	Passed    int            `json:"passed"`
	Failed    int            `json:"failed"`
	Skipped   int            `json:"skipped"`
	Missing   []string       `json:"missing_in_recording,omitempty"`
	Results   []suite.Result `json:"results"`
}

func runSuite(ctx context.Context, r *remote, s suite.Subject, player *cassette.Player) error {
	report := suiteReport{Connector: s.Name}
	report.OK = suite.Examine(ctx, s, func(result suite.Result) {
		switch result.Outcome {
		case suite.Passed:
			report.Passed++
		case suite.Failed:
			report.Failed++
		case suite.Skipped:
			report.Skipped++
		}
		report.Results = append(report.Results, result)
		if r.output == "table" && !(r.quiet && result.Outcome != suite.Failed) {
			fmt.Printf("%-8s %-16s %s\n", result.Outcome, result.Stream, result.Check)
			for _, why := range result.Why {
				fmt.Printf("         - %s\n", why)
			}
		}
	})
	if player != nil {
		report.Missing = player.Missed()
	}
	if r.output == "json" {
		if err := printJSON(os.Stdout, report); err != nil {
			return err
		}
	} else if r.output != "table" {
		if err := show(r, report.Results,
			column[suite.Result]{"outcome", func(r suite.Result) string { return string(r.Outcome) }},
			column[suite.Result]{"stream", func(r suite.Result) string { return r.Stream }},
			column[suite.Result]{"check", func(r suite.Result) string { return r.Check }},
			column[suite.Result]{"why", func(r suite.Result) string { return strings.Join(r.Why, "; ") }}); err != nil {
			return err
		}
	}
	if len(report.Missing) > 0 {
		r.say("The connector asked for what is not in the recording; if that is wrong, record anew:\n  %s", strings.Join(report.Missing, "\n  "))
	}
	r.say("%s: %d checks passed, %d failed, %d do not apply", report.Connector, report.Passed, report.Failed, report.Skipped)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("broken off: %w", err)
	}
	if !report.OK {
		return exitError{exitFailed, fmt.Sprintf("%s does not conform", report.Connector)}
	}
	return nil
}

// subject finds connector, configuration and recording. end removes what was made for it.
func (f suiteFlags) subject(ctx context.Context, target string) (s suite.Subject, player *cassette.Player, end func(), err error) {
	end = func() {}
	plugin, d, err := describeTarget(ctx, target)
	if err != nil {
		return s, nil, end, err
	}
	s = suite.Subject{Name: d.Name, Program: plugin, Streams: f.streams, Slack: suite.Measured, Refused: map[string]string{"no JSON": "{"}}
	recording := &cassette.Recording{}
	folder, dir := f.folder(target, plugin)
	if folder != nil {
		if recording, err = cassette.Read(folder); err != nil {
			return s, nil, end, usage("%v", err)
		}
		if dir == "" {
			if dir, err = os.MkdirTemp("", "lrshub-recording-"); err != nil {
				return s, nil, end, err
			}
			end = func() { _ = os.RemoveAll(dir) }
			if err := layOut(dir, folder); err != nil {
				return s, nil, end, err
			}
		}
		s.Config, s.Failure = recording.At(dir), recording.Failure
		if recording.Expired != nil {
			s.Expired = *recording.Expired
		}
	}
	if f.config != "" || len(f.set) > 0 {
		spec, err := f.spec()
		if err != nil {
			return s, nil, end, err
		}
		public, err := connection.PublicConfig(spec, d.ConfigSchema)
		if err != nil {
			return s, nil, end, usage("%v", err)
		}
		s.Config = string(public)
	}
	if s.Config == "" {
		return s, nil, end, usage("the suite needs a configuration, and for a connector that makes requests a recording of its source: give --cassette DIR (see lrshub connector record --help), or --config FILE")
	}
	s.Secrets = madeUpSecrets(d.ConfigSchema)
	if configured, err := describeAlone(ctx, plugin, []byte(s.Config)); err == nil { // else the suite says what is wrong
		d = configured
	}
	if player, err = cassette.NewPlayer(recording, suite.QueryParameters(d)...); err != nil {
		return s, nil, end, usage("%v", err)
	}
	s.Source = player // nothing leaves, even if the recording is empty
	return s, player, end, nil
}

// layOut writes a recording's files as if they had lain there for a day: a source that stands still.
func layOut(dir string, folder fs.FS) error {
	if err := os.CopyFS(dir, folder); err != nil {
		return err
	}
	then := time.Now().Add(-24 * time.Hour)
	return fs.WalkDir(folder, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(filepath.Join(dir, path), then, then)
	})
}

// spec reads the connection's file.
func (f suiteFlags) spec() (connection.Spec, error) {
	if f.config == "" {
		return connection.Spec{}, usage("--set changes values of the file that --config names")
	}
	return readConnectionFile(f.config, f.set)
}

// folder gives the recording's files, and where they lie; "" if they are in this program.
func (f suiteFlags) folder(target string, plugin host.Plugin) (fs.FS, string) {
	switch {
	case f.cassette != "":
		return os.DirFS(f.cassette), f.cassette
	case f.config != "" || plugin.Path != "":
		return nil, ""
	}
	folder, ok := connectors.Recording(target)
	if !ok {
		return nil, ""
	}
	return folder, ""
}

// describeTarget finds a connector by its name, or by the path of its program, which is pinned to what is there now; and what it says of itself.
func describeTarget(ctx context.Context, target string) (host.Plugin, sdk.Description, error) {
	plugin := host.Plugin{Connector: target}
	if !slices.Contains(builtin(), target) {
		sum, err := fileSum(target)
		if errors.Is(err, fs.ErrNotExist) {
			return plugin, sdk.Description{}, exitError{exitNotFound, fmt.Sprintf("there is no built-in connector and no program %q; built in are %s", target, strings.Join(builtin(), ", "))}
		}
		if err != nil {
			return plugin, sdk.Description{}, err
		}
		plugin.Path, plugin.SHA256 = target, sum
	}
	d, err := describeAlone(ctx, plugin, nil)
	return plugin, d, err
}

// describeAlone asks a connector what it is, without a hub.
func describeAlone(ctx context.Context, plugin host.Plugin, config []byte) (sdk.Description, error) {
	h := host.New(host.Options{Builtin: builtin(), AllowNoNamespace: true})
	defer h.Close()
	p, err := h.Start(ctx, plugin, host.Session{})
	if err != nil {
		return sdk.Description{}, err
	}
	defer p.Close()
	return p.Describe(ctx, config)
}

// fileSum is a file's SHA-256 in hex.
func fileSum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// madeUpSecrets gives a value to each secret that a configuration may have.
func madeUpSecrets(schema string) map[string]string {
	secrets := make(map[string]string)
	for _, name := range suite.SecretPaths(schema) {
		secrets[name] = cassette.Secret(name)
	}
	return secrets
}
