package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/plugins/host/installed"
)

func checkCommand() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:   "check",
		Short: "Say whether a hub can run with these settings, and what to do where not",
		Long: `Say whether a hub can run with these settings, one line a check, and what to do where not. It changes nothing. Exit code 1 if any check failed.

Without --data it checks the environment of serve and worker:
` + environmentHelp(),
		Example: `  lrshub check                  the environment of serve and worker
  lrshub check --data data      the data folder of lrshub up, whether it runs or not`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var found checks
			if data != "" {
				found.folder(c.Context(), data)
			} else {
				s, err := fromEnvironment(needs...)
				if err != nil {
					return usage("%v\nor check the data folder of lrshub up: lrshub check --data DIR", err)
				}
				found.production(c.Context(), s)
			}
			return found.show(c.Flag("output").Value.String())
		},
	}
	c.Flags().StringVar(&data, "data", "", "data folder of lrshub up")
	return c
}

// finding is what a check found.
type finding struct {
	Check  string `json:"check"`
	Result result `json:"result"`
	What   string `json:"what"`
	Do     string `json:"do,omitempty"`
}

type result string

const (
	good    result = "ok"
	warning result = "warning"
	failed  result = "failed"
)

// checks are findings, in the order of checking.
type checks []finding

func (c *checks) ok(check, format string, args ...any) {
	*c = append(*c, finding{Check: check, Result: good, What: fmt.Sprintf(format, args...)})
}

func (c *checks) warn(check, do, format string, args ...any) {
	*c = append(*c, finding{check, warning, fmt.Sprintf(format, args...), do})
}

func (c *checks) fail(check, do, format string, args ...any) {
	*c = append(*c, finding{check, failed, fmt.Sprintf(format, args...), do})
}

// show prints one line a check, and fails if a check did.
func (c *checks) show(output string) error {
	bad := 0
	for _, f := range *c {
		if f.Result == failed {
			bad++
		}
		if output == "table" {
			line := fmt.Sprintf("%-8s %-11s %s", f.Result, f.Check, f.What)
			if f.Do != "" {
				line += "; " + f.Do
			}
			fmt.Fprintln(os.Stdout, line)
		}
	}
	if output != "table" {
		err := show(&remote{output: output}, *c,
			column[finding]{"check", func(f finding) string { return f.Check }},
			column[finding]{"result", func(f finding) string { return string(f.Result) }},
			column[finding]{"what", func(f finding) string { return f.What }},
			column[finding]{"do", func(f finding) string { return cmp.Or(f.Do, "-") }})
		if err != nil {
			return err
		}
	}
	if bad > 0 {
		return exitError{exitFailed, fmt.Sprintf("%d of %d checks failed", bad, len(*c))}
	}
	return nil
}

// checkTime bounds each check that waits for somebody.
const checkTime = 10 * time.Second

// production checks the settings of serve and worker.
func (c *checks) production(ctx context.Context, s settings) {
	tenants, lived := c.postgres(ctx, s)
	if tenants == nil {
		tenants, lived = tenantFiles(s.KeysDir) // better than nothing
	}
	c.temporal(ctx, s)
	c.keys(s.KeysDir, s.master, tenants, lived)
	c.auditLog(s.AuditDir, lived)
	c.blobs(s.BlobsDir)
	c.installed(installed.Folder(s.Installed))
	c.issuer(ctx, s.SignIn)
	c.isolation(s.Connectors.AllowNoNamespace, "or set LRSHUB_CONNECTORS_WITHOUT_NAMESPACE=allow")
	c.address(s.PublicURL, "put a proxy with TLS before the hub and set LRSHUB_PUBLIC_URL to its https:// address")
}
