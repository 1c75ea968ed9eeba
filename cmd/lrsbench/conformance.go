package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// conformance runs the public conformance suite against a hub of its own.
type conformance struct {
	suite    string
	binary   string
	versions []string
	nodes    int
	out      io.Writer
}

func conformanceCommand() *cobra.Command {
	c := &conformance{}
	command := &cobra.Command{
		Use:   "conformance --suite FOLDER",
		Short: "The public ADL conformance suite against a hub, or against several nodes behind a proxy",
		Long: `conformance builds lrshub, starts a plain lrshub up in a temporary folder, makes a client with the scope all, and runs the public suite against it
(https://github.com/adlnet/lrs-conformance-test-suite, a checkout in which npm install ran). With --nodes it starts so many lrshub serve on the same
database besides, behind a proxy that gives each request to the next, and runs the suite against the proxy.

The suite's exit code counts failures modulo 256, so its log is read instead. To point the suite at any hub by hand:

  lrshub client create suite --scope all -o json
  node bin/console_runner.js -e http://127.0.0.1:8080/xapi -a -u KEY -p SECRET -x 1.0.3`,
		Example: `  lrsbench conformance --suite ~/lrs-conformance-test-suite
  lrsbench conformance --suite ~/lrs-conformance-test-suite --nodes 2 --version 2.0.0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { c.out = cmd.OutOrStdout(); return c.run(cmd.Context()) },
	}
	f := command.Flags()
	f.StringVar(&c.suite, "suite", "", "checkout of the suite")
	f.StringVar(&c.binary, "binary", "", "lrshub to test (default: built from this module)")
	f.StringSliceVar(&c.versions, "version", []string{"1.0.3", "2.0.0"}, "versions of xAPI")
	f.IntVar(&c.nodes, "nodes", 0, "nodes behind a proxy; 0: the hub itself")
	_ = command.MarkFlagRequired("suite")
	return command
}

func (c *conformance) run(ctx context.Context) (err error) {
	folder, err := trial.Folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if c.binary == "" {
		if c.binary, err = trial.Build(ctx, ".", folder); err != nil {
			return err
		}
	}
	hub, err := trial.New(c.binary, filepath.Join(folder, "data"))
	if err != nil {
		return err
	}
	if err := hub.Up(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hub.Stop(context.WithoutCancel(ctx))) }()
	endpoint, end, err := c.endpoint(ctx, hub)
	if err != nil {
		return err
	}
	defer end()
	var client struct{ Key, Secret string }
	if err := hub.JSON(ctx, &client, "client", "create", "suite", "--scope", "all"); err != nil {
		return err
	}
	failed := 0
	for _, version := range c.versions {
		n, err := c.battery(ctx, endpoint, version, client.Key, client.Secret)
		if err != nil {
			return fmt.Errorf("xAPI %s: %w", version, err)
		}
		failed += n
	}
	if failed > 0 {
		return fmt.Errorf("%d tests failed", failed)
	}
	return nil
}

// endpoint is where the suite finds xAPI: the hub, or a proxy before nodes.
func (c *conformance) endpoint(ctx context.Context, hub *trial.Hub) (url string, end func(), err error) {
	if c.nodes == 0 {
		return hub.URL(), func() {}, nil
	}
	var nodes []*trial.Node
	var urls []string
	stop := func() {
		for _, n := range nodes {
			_ = n.Stop()
		}
	}
	for range c.nodes {
		n, err := hub.Serve(ctx)
		if err != nil {
			stop()
			return "", nil, err
		}
		nodes, urls = append(nodes, n), append(urls, n.URL)
	}
	proxy, err := trial.Balance(urls...)
	if err != nil {
		stop()
		return "", nil, err
	}
	url, close, err := serve(proxy)
	return url, func() { close(); stop() }, err
}

// battery runs the tests of one version and prints what failed.
func (c *conformance) battery(ctx context.Context, endpoint, version, key, secret string) (failed int, err error) {
	before, err := c.logs()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute) // a test can wait for ever
	defer cancel()
	node := exec.CommandContext(ctx, "node", "bin/console_runner.js", "-e", endpoint+"/xapi", "-a", "-u", key, "-p", secret, "-x", version)
	node.Dir, node.Stdout, node.Stderr = c.suite, io.Discard, os.Stderr
	ran := node.Run() // its exit code says nothing
	after, err := c.logs()
	if err != nil {
		return 0, err
	}
	after = slices.DeleteFunc(after, func(path string) bool { return slices.Contains(before, path) })
	if len(after) != 1 {
		return 0, fmt.Errorf("the suite left %d logs: %w", len(after), ran)
	}
	text, err := os.ReadFile(after[0])
	if err != nil {
		return 0, err
	}
	var result struct {
		Summary struct{ Total, Passed, Failed int }
		State   string
		Log     test
	}
	if err := json.Unmarshal(text, &result); err != nil {
		return 0, err
	}
	s := result.Summary
	fmt.Fprintf(c.out, "xAPI %s: %d of %d passed, %s\n", version, s.Passed, s.Total, result.State)
	result.Log.print(c.out, nil)
	if failed = s.Total - s.Passed; result.State != "finished" || s.Total == 0 {
		return failed, fmt.Errorf("the suite did not come to its end: %w", ran)
	}
	return failed, nil
}

func (c *conformance) logs() ([]string, error) {
	return filepath.Glob(filepath.Join(c.suite, "logs", "*.log"))
}

// test is a node of the suite's log.
type test struct {
	Title, Status string
	Error         any
	Tests         []test
}

// print prints the tests that failed, with what they stand in.
func (t test) print(w io.Writer, within []string) {
	path := append(slices.Clip(within), t.Title)
	for _, sub := range t.Tests {
		sub.print(w, path)
	}
	if t.Status == "failed" && len(t.Tests) == 0 {
		fmt.Fprintf(w, "FAILED %s: %v\n", strings.Join(path[max(0, len(path)-2):], " > "), t.Error)
	}
}
