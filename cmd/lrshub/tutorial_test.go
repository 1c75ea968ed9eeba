package main_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// tutorial is what connectors/README.md shows: the blocks after the places that it names.
func tutorial(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "connectors", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, shown := range regexp.MustCompile("(?s)in `([a-z/_]+\\.(?:go|yaml))`[^`]*?```(?:go|yaml)\n(.*?)```\n").FindAllStringSubmatch(strings.ReplaceAll(string(text), "([the language](MAPPINGS.md))", ""), -1) {
		files[shown[1]] = shown[2]
	}
	if len(files) != 4 {
		t.Fatalf("the README shows %d files, want 4", len(files))
	}
	return files
}

// overlay puts the tutorial's files, and the line that it asks for, over the repository.
func overlay(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(root, "connectors", "connectors.go"))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(
		"sdk.Connector{\n", "sdk.Connector{\n\"library\": library.New,\n",
		"\t\"github.com/lrshub/lrshub/plugins/sdk\"\n", "\"github.com/lrshub/lrshub/connectors/library\"\n\"github.com/lrshub/lrshub/plugins/sdk\"\n",
	).Replace(string(list))
	files["connectors/connectors.go"] = changed
	replace := map[string]string{}
	for name, text := range files {
		path := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".go") {
			replace[filepath.Join(root, name)] = path
		}
	}
	text, _ := json.Marshal(map[string]any{"Replace": replace})
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTutorial does what connectors/README.md says, with the files as they stand there.
func TestTutorial(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	files := tutorial(t)
	if lines := strings.Count(files["connectors/library/library.go"], "\n"); lines > 60 {
		t.Errorf("the tutorial's connector has %d lines; at most 60 are promised", lines)
	}
	over := overlay(t, dir, files)
	suite, hub := filepath.Join(dir, "library.test"), filepath.Join(dir, "lrshub")
	offline(t, root, "test", "-vet=off", "-overlay", over, "-c", "-o", suite, "./connectors/library")
	offline(t, root, "build", "-overlay", over, "-o", hub, "./cmd/lrshub")

	test := exec.CommandContext(t.Context(), suite, "-test.v")
	test.Dir = dir
	if out, err := test.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestConformance/loan/") {
		t.Errorf("its test: %v\n%s", err, out)
	}
	address := library(t, suite)
	connection := filepath.Join(dir, "library.yaml")
	text := strings.NewReplacer("127.0.0.1:8099", address, "connectors/library/", "").Replace(files["library.yaml"])
	if err := os.WriteFile(connection, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err := trial.New(hub, filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	up(t, h)
	defer func() {
		if err := h.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	p := person{t: t, hub: h}
	p.must("connection", "add", "library", "--config", connection)
	p.must("connection", "check", "library")
	p.sync("library").stored(t, "the first reading of the library", 36, 0)
	p.sync("library").stored(t, "the second", 0, 0)
	lines := p.export()
	if returned := strings.Count(strings.Join(lines, "\n"), "schema/1.0/return\""); len(lines) != 36 || returned != 8 {
		t.Errorf("%d statements, %d of them returns; the README says 36 and 8", len(lines), returned)
	}
}

// library starts the tutorial's library and gives its address.
func library(t *testing.T, program string) string {
	t.Helper()
	address, err := trial.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	desk := exec.CommandContext(t.Context(), program)
	desk.Env = append(os.Environ(), "LIBRARY_DESK="+address)
	if err := desk.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = desk.Process.Kill(); _ = desk.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return address
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the library does not open")
	return ""
}
