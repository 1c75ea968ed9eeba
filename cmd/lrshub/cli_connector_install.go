package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/host/installed"
)

// installFlags are what commands on the folder of connectors are told.
type installFlags struct {
	dir, sum, name   string
	dryRun, anyplace bool
}

const installWhere = `
It works on this machine's folder of connectors: --dir, else LRSHUB_CONNECTORS_DIR (as serve and worker have it), else connectors in --data (of lrshub up).
Where several nodes run a hub, do it on each of them, or give them one folder. There is no way to do it from afar, on purpose: whoever could send a hub a
program would run it with the hub's rights for files.`

func connectorInstall(r *remote) *cobra.Command {
	var f installFlags
	c := &cobra.Command{
		Use:   "install PATH --sha256 H [--as NAME]",
		Short: "Put a third party's connector on this node, pinned to its SHA-256",
		Long: `Put a third party's connector on this node. Its program must have the SHA-256 that its author publishes; it is copied, and only what has this sum is ever started.
New connections are pinned to the version that was installed last; those that there are keep theirs until lrshub connector upgrade.
` + installWhere,
		Example: `  lrshub connector install ./quiz --sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  lrshub connector install ./quiz-1.1 --sha256 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752 --as quiz --dry-run`,
		Args: exactly("PATH"),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := f.folder(r)
			if err != nil {
				return err
			}
			return f.install(c.Context(), r, folder, args[0])
		},
	}
	f.flags(c)
	c.Flags().StringVar(&f.name, "as", "", "name in this hub (default: what the connector calls itself)")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what it is, and what differs from the version that is installed")
	c.Flags().BoolVar(&f.anyplace, "allow-connectors-without-namespace", false, "ask the program what it is even where the kernel gives it no network namespace of its own")
	_ = c.MarkFlagRequired("sha256")
	return c
}

func (f *installFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "dir", "", "folder of connectors of this node")
	c.Flags().StringVar(&f.sum, "sha256", "", "SHA-256 of the program")
}

// folder finds the node's folder of connectors.
func (f *installFlags) folder(r *remote) (installed.Folder, error) {
	if dir := cmp.Or(f.dir, os.Getenv("LRSHUB_CONNECTORS_DIR")); dir != "" {
		return installed.Folder(dir), nil
	}
	if _, err := os.Stat(filepath.Join(r.data, "format")); errors.Is(err, fs.ErrNotExist) {
		return "", usage("%s is no hub's data folder: name that of lrshub up with --data, or set LRSHUB_CONNECTORS_DIR as serve and worker have it", r.data)
	}
	return installed.Folder(filepath.Join(r.data, connectorsFolder)), nil
}

func (f *installFlags) install(ctx context.Context, r *remote, folder installed.Folder, program string) error {
	sum, err := installed.Sum(f.sum)
	if err != nil {
		return usage("--sha256: %v", err)
	}
	h := host.New(host.Options{AllowNoNamespace: f.anyplace || os.Getenv("LRSHUB_CONNECTORS_WITHOUT_NAMESPACE") == "allow"})
	defer h.Close()
	p, err := h.Start(ctx, host.Plugin{Connector: filepath.Base(program), Path: program, SHA256: sum}, host.Session{})
	if err != nil {
		return err
	}
	defer p.Close()
	d, err := p.Describe(ctx, nil)
	if err != nil {
		return err
	}
	c := installed.Connector{Name: cmp.Or(f.name, d.Name), SHA256: sum, Installed: time.Now().UTC().Truncate(time.Second), Description: d}
	if slices.Contains(builtin(), c.Name) {
		return usage("there is a built-in connector %s: choose another name with --as", c.Name)
	}
	var changes []contract.Change
	before, err := folder.Get(c.Name)
	switch {
	case err == nil:
		changes = contract.Differences(before.Description, d)
	case !errors.Is(err, installed.ErrUnknown):
		return err
	}
	if !f.dryRun {
		if err := folder.Install(program, sum, c); err != nil {
			return err
		}
	}
	return f.tell(r, c, before, changes)
}

// tell says what was installed, or would be.
func (f *installFlags) tell(r *remote, c, before installed.Connector, changes []contract.Change) error {
	report := struct {
		installed.Connector
		DryRun  bool              `json:"dry_run,omitempty"`
		Changes []contract.Change `json:"changes,omitempty"`
	}{c, f.dryRun, changes}
	if r.output == "json" {
		return printJSON(os.Stdout, report)
	}
	if err := showOne(r, c,
		column[installed.Connector]{"name", func(c installed.Connector) string { return c.Name }},
		column[installed.Connector]{"version", func(c installed.Connector) string { return c.Description.Version }},
		column[installed.Connector]{"summary", func(c installed.Connector) string { return c.Description.Summary }},
		column[installed.Connector]{"sha256", func(c installed.Connector) string { return c.SHA256 }}); err != nil {
		return err
	}
	for _, change := range changes {
		r.say("  %s", changeText(change))
	}
	switch {
	case f.dryRun:
		r.say("Nothing was installed.")
	case before.SHA256 != "" && before.SHA256 != c.SHA256:
		r.say("Connections keep the version that they have. See what would change for each: lrshub connector upgrade %s --dry-run", c.Name)
	default:
		r.say("Connect something with it: lrshub connection add NAME --connector %s --config FILE", c.Name)
	}
	return nil
}

func changeText(c contract.Change) string {
	text := c.What
	if c.Where != "" {
		text += " " + c.Where
	}
	switch {
	case c.Was == "":
		text += ": new: " + c.Is
	case c.Is == "":
		text += ": gone: " + c.Was
	default:
		text += ": " + c.Was + " -> " + c.Is
	}
	if c.Weighs != "" {
		text += " (" + c.Weighs + ")"
	}
	return text
}

func connectorUpgrade(r *remote) *cobra.Command {
	var sum string
	var dryRun, yes bool
	c := &cobra.Command{
		Use:   "upgrade NAME [--sha256 H] --dry-run|--yes",
		Short: "Pin the connections of a third party's connector to another installed version",
		Long: `Pin the connections of a third party's connector to another version that is installed on the node that answers. --dry-run says what would change for each: what the
new version says of itself with the connection's configuration, what would break (its configuration, its mapping), and which streams have to be read again.
Connections that would break stay as they are. Install the version on all nodes first.`,
		Example: `  lrshub connector upgrade quiz --dry-run
  lrshub connector upgrade quiz --yes`,
		Args: exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if dryRun == yes {
				return usage("give --dry-run to see what would change, or --yes to change it")
			}
			var done struct {
				Connector   string               `json:"connector"`
				SHA256      string               `json:"sha256"`
				Connections []connection.Upgrade `json:"connections"`
			}
			in := map[string]any{"sha256": sum, "dry_run": dryRun}
			if err := r.call(c.Context(), http.MethodPost, "/connectors/"+url.PathEscape(args[0])+"/upgrade", in, &done); err != nil {
				return err
			}
			return tellUpgrades(r, done.Connections, dryRun)
		},
	}
	c.Flags().StringVar(&sum, "sha256", "", "version to pin to (default: the one that was installed last)")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would change")
	c.Flags().BoolVar(&yes, "yes", false, "change it")
	return c
}

func tellUpgrades(r *remote, list []connection.Upgrade, dryRun bool) error {
	result := func(u connection.Upgrade) string {
		switch {
		case len(u.Breaks) > 0:
			return "would break"
		case u.Done:
			return "upgraded"
		}
		return "can be upgraded"
	}
	short := func(sum string) string { return sum[:min(12, len(sum))] }
	if err := show(r, list,
		column[connection.Upgrade]{"connection", func(u connection.Upgrade) string { return u.Connection }},
		column[connection.Upgrade]{"from", func(u connection.Upgrade) string { return short(u.From) }},
		column[connection.Upgrade]{"to", func(u connection.Upgrade) string { return short(u.To) }},
		column[connection.Upgrade]{"result", result}); err != nil {
		return err
	}
	broken := 0
	for _, u := range list {
		for _, change := range u.Changes {
			r.say("  %s: %s", u.Connection, changeText(change))
		}
		for _, why := range u.Breaks {
			r.say("  %s: breaks: %s", u.Connection, why)
		}
		for stream, why := range u.Reread {
			r.say("  %s: stream %s needs re-read, since %s: lrshub sync run %s --full", u.Connection, stream, why, u.Connection)
		}
		if len(u.Breaks) > 0 {
			broken++
		}
	}
	if broken > 0 && !dryRun {
		return exitError{exitPartly, fmt.Sprintf("%d of %d connections could not be read with this version and keep theirs", broken, len(list))}
	}
	return nil
}

func connectorRemove(r *remote) *cobra.Command {
	var f installFlags
	var yes bool
	c := &cobra.Command{
		Use:   "remove NAME [--sha256 H] --yes",
		Short: "Remove a third party's connector, or one version of it, from this node",
		Long: `Remove a third party's connector from this node, or with --sha256 one version that is not the current one. Connections that are pinned to it can no longer be read
here: their next run fails and says so. What they stored stays. lrshub connection list -o json shows them with their checksums.
` + installWhere,
		Example: `  lrshub connector remove quiz --yes`,
		Args:    exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if !yes {
				return usage("connections that use it will fail: give --yes if that is meant")
			}
			folder, err := f.folder(r)
			if err != nil {
				return err
			}
			if f.sum != "" {
				if f.sum, err = installed.Sum(f.sum); err != nil {
					return usage("--sha256: %v", err)
				}
			}
			err = folder.Remove(args[0], f.sum)
			switch {
			case errors.Is(err, installed.ErrUnknown):
				return exitError{exitNotFound, err.Error()}
			case errors.Is(err, installed.ErrName):
				return exitError{exitConflict, err.Error()}
			case err == nil:
				r.say("%s was removed from %s", args[0], string(folder))
			}
			return err
		},
	}
	f.flags(c)
	c.Flags().BoolVar(&yes, "yes", false, "remove it")
	return c
}
