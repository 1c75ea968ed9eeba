package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// lrshub runs the binary without a hub and gives what it prints, what it says, and its exit code.
func lrshub(t *testing.T, args ...string) (out, said string, code int) {
	t.Helper()
	var printed, told strings.Builder
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Stdout, cmd.Stderr = &printed, &told
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return printed.String(), told.String(), cmd.ProcessState.ExitCode()
}

// suiteReport is what `lrshub connector test -o json` prints.
type suiteReport struct {
	OK                      bool
	Passed, Failed, Skipped int
	Results                 []struct {
		Check, Stream, Outcome string
		Why                    []string
	}
}

func testConnector(t *testing.T, args ...string) (report suiteReport, said string, code int) {
	t.Helper()
	out, said, code := lrshub(t, append([]string{"connector", "test", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s%s", err, out, said)
	}
	return report, said, code
}

// TestBuiltinConnectorsConform runs the suite from the command line on each built-in connector that brings a recording.
func TestBuiltinConnectorsConform(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"csv", "openedx", "scim"} {
		report, said, code := testConnector(t, name)
		if !report.OK || code != 0 || report.Failed > 0 || report.Passed < 16 {
			t.Errorf("%s: exit code %d, %+v\n%s", name, code, report, said)
		}
	}
	if _, said, code := lrshub(t, "connector", "test", "csvv"); code != 3 || !strings.Contains(said, "built in are") {
		t.Errorf("an unknown connector: exit code %d, %s", code, said)
	}
	if _, said, code := lrshub(t, "connector", "test", "csv", "--cassette", t.TempDir()); code != 2 || !strings.Contains(said, "config.json") {
		t.Errorf("an empty recording: exit code %d, %s", code, said)
	}
}

// TestRecordAndTest records a third party's connector at a live source, and tests it from the recording when the source is gone.
func TestRecordAndTest(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	program := buildConnector(t, dir, "quiz")
	const secret = "live-s3cret-value"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		var list []string
		for id := after + 1; id <= min(after+4, 18); id++ {
			list = append(list, fmt.Sprintf(`{"id":%d,"user":"water.vole%d@brook.example","full_name":"Vole %d","score":%d.5}`, id, id%3, id%3, id))
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Internal", "node of "+secret)
		fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
	}))
	config := write(t, dir, "quiz.yaml", "connector: quiz\nconfig:\n  url: %s\n  token: %s\n", server.URL, secret)
	recording := filepath.Join(dir, "recording")
	out, said, code := lrshub(t, "connector", "record", program, "--config", config, "--out", recording)
	if code != 0 || !strings.Contains(out, "mailbox") || !strings.Contains(said, "Now read") {
		t.Fatalf("record: exit code %d\n%s%s", code, out, said)
	}
	host := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	for _, name := range []string{"config.json", "exchanges.jsonl"} {
		text, err := os.ReadFile(filepath.Join(recording, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, leak := range []string{secret, "vole", "Vole", host} {
			if strings.Contains(string(text), leak) {
				t.Errorf("%s holds %q:\n%s", name, leak, text)
			}
		}
	}
	if _, said, code := lrshub(t, "connector", "record", program, "--config", config, "--out", recording); code != 2 || !strings.Contains(said, "already") {
		t.Errorf("a recording was overwritten: exit code %d, %s", code, said)
	}
	report, said, code := testConnector(t, program, "--cassette", recording)
	if code != 0 || !report.OK || report.Passed < 22 {
		t.Errorf("test: exit code %d, %+v\n%s", code, report, said)
	}
	report, said, code = testConnector(t, program, "--config", config)
	if code != 1 || report.OK || !strings.Contains(fmt.Sprint(report), "no answer to GET") {
		t.Errorf("without a recording: exit code %d, %+v\n%s", code, report, said)
	}
}

// buildConnector builds the example connector, as its author would, with a change here and there.
func buildConnector(t *testing.T, dir, name string, changes ...string) string {
	t.Helper()
	source := filepath.Join(root, "plugins/kit/example/main.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(changes...).Replace(string(text))
	if changed == string(text) && len(changes) > 0 {
		t.Fatal("the example connector is not what it was")
	}
	program := filepath.Join(dir, name)
	overlay, _ := json.Marshal(map[string]any{"Replace": map[string]string{source: write(t, dir, name+".go", "%s", changed)}})
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", write(t, dir, name+".json", "%s", overlay), "-o", program, "./plugins/kit/example")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}
