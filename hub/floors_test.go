// Package hub holds no code: its rooms are in the folders below. This test holds their floors.
package hub

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/lrshub/lrshub/"

// floors is the table of rooms, ground floor first (see the README). A room imports only from floors below its own, so nothing can be
// built around the two roads. Change table and code together, with the reason.
var floors = [][]string{
	0:  {"migrations", "policies"}, // embedded files, no code
	1:  {"hub/xapi", "hub/query", "hub/pace", "plugins/contract"},
	2:  {"hub/database", "hub/embedded", "hub/blob", "hub/mapping", "plugins/sdk"},
	3:  {"hub/audit", "connectors"},
	4:  {"hub/vault"},
	5:  {"hub/people", "hub/records"},
	6:  {"hub/access", "hub/connection"},
	7:  {"hub/ingest", "hub/disclose", "plugins/host", "hub/auth"},
	8:  {"hub/entry", "hub/privacy", "hub/certification", "plugins/kit"},
	9:  {"workflows"},
	10: {"hub/lrs", "hub/api", "hub/console", "hub/oauth", "hub/receive"},
	11: {"cmd"},
}

// parts are folders that belong to a room whose folder they are not in.
var parts = map[string]string{"plugins/internal": "plugins/contract"} // how the protocol's two ends encode it

// room gives the room that a package belongs to and its floor; parts of a room are in folders below it.
func room(pkg string) (name string, floor int) {
	for part, whole := range parts {
		if rest, ok := strings.CutPrefix(pkg, part+"/"); ok {
			pkg = whole + "/" + rest
		}
	}
	for n, rooms := range floors {
		for _, r := range rooms {
			if (pkg == r || strings.HasPrefix(pkg, r+"/")) && len(r) > len(name) {
				name, floor = r, n
			}
		}
	}
	return name, floor
}

// imports lists the module's own packages with what they import, from the build itself.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	list := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(words[0], module)
		packages[pkg] = words[1:]
	}
	return packages
}

func TestRoomsImportDownwardsOnly(t *testing.T) {
	packages := imports(t)
	if len(packages) < 20 {
		t.Fatalf("only %d packages were listed: the test looks in the wrong place", len(packages))
	}
	for pkg, imported := range packages {
		name, floor := room(pkg)
		if name == "" {
			if pkg != "hub" {
				t.Errorf("%s belongs to no room: add it to the table of floors", pkg)
			}
			continue
		}
		for _, path := range imported {
			other, ours := strings.CutPrefix(path, module)
			if !ours || strings.HasSuffix(pkg, "test") { // helpers of tests may stand on any floor
				continue
			}
			if below, n := room(other); below != name && n >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d): a room imports only from floors below its own", pkg, floor, other, n)
			}
		}
	}
}

// The faces never call each other, and the heavy Temporal server is linked only where it runs.
func TestWhatOnlySomeMayImport(t *testing.T) {
	only := map[string][]string{
		"go.temporal.io/server":            {"hub/embedded/temporal"},
		module + "hub/embedded/temporal":   {"cmd/lrshub"},
		module + "hub/embedded/postgres":   {"cmd/lrshub", "cmd/lrsbench", "hub/database/databasetest"},
		"github.com/ory/ladon":             {"hub/access"},
		"github.com/open-policy-agent/opa": {"hub/access", "policies"},
		"github.com/tink-crypto/tink-go":   {"hub/vault", "cmd/lrshub", "cmd/lrsbench"},
		"cel.dev/cel-go":                   {"hub/mapping"},
		"github.com/zitadel/oidc":          {"hub/auth/authtest"}, // for tests
		module + "hub/auth/authtest":       {},
		"go.temporal.io/sdk":               {"workflows", "hub/embedded/temporal", "hub/api", "cmd/lrshub"},
		module + "hub/":                    {"hub", "workflows", "cmd"}, // connectors and plugins know nothing of the hub
		module + "connectors/":             {"connectors", "cmd"},
	}
	for pkg, imported := range imports(t) {
		for _, path := range imported {
			for prefix, allowed := range only {
				if strings.HasPrefix(path+"/", strings.TrimSuffix(prefix, "/")+"/") && !slices.ContainsFunc(allowed, func(a string) bool { return pkg == a || strings.HasPrefix(pkg, a+"/") }) {
					t.Errorf("%s imports %s: only %s may", pkg, path, strings.Join(allowed, ", "))
				}
			}
		}
	}
}

// Top level, and nothing else but dotfiles and a LICENSE.
func TestTopLevel(t *testing.T) {
	allowed := []string{"cmd", "hub", "workflows", "connectors", "plugins", "policies", "migrations", "go.mod", "go.sum", "docker-compose.yml", "README.md", "LICENSE"}
	tracked := exec.Command("git", "ls-files")
	tracked.Dir = ".."
	out, err := tracked.Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		top, _, _ := strings.Cut(filepath.ToSlash(strings.TrimSpace(line)), "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(allowed, top) {
			t.Errorf("%s at the top level: DESIGN allows %s", top, strings.Join(allowed, ", "))
		}
	}
}
