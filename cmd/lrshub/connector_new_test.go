package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// offline runs go in a folder, without any network.
func offline(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestConnectorNew: what is written compiles, passes its own test offline, and has a mapping whose fixture agrees.
func TestConnectorNew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "acme")
	if out, said, code := lrshub(t, "connector", "new", "acme-lms", "--dir", dir, "--replace", root); code != 0 || out != "" {
		t.Fatalf("exit code %d: %s%s", code, out, said)
	}
	offline(t, dir, "vet", ".")
	if out := offline(t, dir, "test", "-v", "."); !strings.Contains(out, "--- PASS: TestConformance/completion/") {
		t.Errorf("its test tests nothing:\n%s", out)
	}
	offline(t, dir, "build", "-o", "acme-lms", ".")
	program := filepath.Join(dir, "acme-lms")
	if out, said, code := lrshub(t, "mapping", "test", filepath.Join(dir, "mapping.yaml"), filepath.Join(dir, "fixtures"), "--connector", program); code != 0 || !strings.Contains(out, "1 of 1 fixtures equal in meaning") {
		t.Errorf("its mapping: exit code %d: %s%s", code, out, said)
	}
	if _, said, code := lrshub(t, "connector", "new", "acme-lms", "--dir", dir, "--replace", root); code != 2 || !strings.Contains(said, "not empty") {
		t.Errorf("over another: exit code %d: %s", code, said)
	}
}

func TestConnectorNewRefuses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "new")
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"a name with capitals":  {[]string{"Acme", "--replace", root}, "small letters"},
		"a path as a name":      {[]string{"../acme", "--replace", root}, "small letters"},
		"a name that is taken":  {[]string{"csv", "--replace", root}, "already"},
		"no source of packages": {[]string{"acme"}, "--replace"},
		"two of them":           {[]string{"acme", "--replace", root, "--version", "v1.0.0"}, "exclude"},
		"no checkout":           {[]string{"acme", "--replace", filepath.Join(root, "cmd")}, "no"},
	} {
		_, said, code := lrshub(t, append([]string{"connector", "new", "--dir", dir}, test.args...)...)
		if code != 2 || !strings.Contains(said, test.says) {
			t.Errorf("%s: exit code %d: %s", name, code, said)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Fatalf("%s: something was written", name)
		}
	}
	if _, said, code := lrshub(t, "connector", "new", "acme", "--dir", dir, "--version", "v1.2.3"); code != 0 || !strings.Contains(said, "go mod tidy") {
		t.Errorf("of a version: exit code %d: %s", code, said)
	}
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil || !strings.Contains(string(text), "github.com/lrshub/lrshub v1.2.3") || strings.Contains(string(text), "replace") {
		t.Errorf("go.mod: %v\n%s", err, text)
	}
}
