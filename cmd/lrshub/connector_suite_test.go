package main_test

import (
	"encoding/json"
	"os/exec"
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
	for _, name := range []string{"csv", "openedx"} {
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
