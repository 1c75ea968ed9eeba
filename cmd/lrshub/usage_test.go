package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// A wrong command line is exit code 2, and is found out before anything is done: no hub answers here.
func TestWrongCommandLines(t *testing.T) {
	hub := []string{"--url", "http://127.0.0.1:1", "--token", "none"}
	for _, line := range []string{
		"nonsense", "sync nonsense", "sync", "sync run", "up extra", "client create reader", "client list --nonsense",
		"client create reader --scope statements/read -o xml", "tenant add law --output yaml",
		"up --public-url nonsense", "up --public-url https://me:secret@hub.example.org", "client update reader", "client rotate reader --overlap soon",
		"client create reader --scope statements/read --expires soon", "client update reader --expires -1h", "up --jwt-issuer https://login.example.org",
		"up --jwt-issuer http://login.example.org --jwt-audience hub", "up --trusted-proxies campus", "statement export --limit -1", "statement export -o csv",
		"statement follow --after x --from-start", "statement follow -o csv", "statement query --success perhaps", "statement query --scaled high", "statement query --since soon",
		"statement query --agent ann", "statement query --limit 0", "person show", "person show --agent ann", "person show --agent mailto:a@b.example --as-of soon", "person link",
		"person review 1", "person review 1 2 --same", "person rule staff --on mailbox --nothing",
	} {
		root := command()
		root.SetArgs(append(strings.Fields(line), hub...))
		root.SetOut(io.Discard)
		var exit exitError
		if err := root.ExecuteContext(t.Context()); !errors.As(err, &exit) || exit.code != exitUsage {
			t.Errorf("lrshub %s: %v, want exit code 2", line, err)
		}
	}
	var leaves func(c *cobra.Command)
	leaves = func(c *cobra.Command) {
		for _, child := range c.Commands() {
			leaves(child)
		}
		if c.Runnable() && len(c.Commands()) == 0 && !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s --help has no example", c.CommandPath())
		}
	}
	leaves(command())
	root := command()
	root.SetArgs(append([]string{"client", "list"}, hub...))
	var exit exitError
	if err := root.ExecuteContext(t.Context()); err == nil || errors.As(err, &exit) {
		t.Errorf("a hub that does not answer: %v, want a failure", err)
	}
}
