// Package kit holds the conformance tests that every connector must pass: Run is called from a connector's own test, works offline, and runs the
// connector both inside the test and as the process that the hub would start. Main lets the test program be that process.
//
// The checks themselves are in plugins/kit/suite, which the command line runs, too; recordings of sources are in plugins/kit/cassette.
package kit

import (
	"fmt"
	"os"
	"testing"

	"github.com/lrshub/lrshub/plugins/kit/suite"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// Subject is the connector to test, with a source that stands still while the tests run: files of the package's fixtures, a replay server, a
// recording. The package's TestMain must call Main with the connector under Name.
type Subject = suite.Subject

// Answer is what a source answers.
type Answer = suite.Answer

// Run runs all checks, each as a test of its own.
func Run(t *testing.T, s Subject) {
	t.Helper()
	checks := suite.Open(s)
	t.Cleanup(checks.Close)
	for _, c := range checks.General() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t) })
	}
	for _, c := range checks.Streams(t) {
		t.Run(c.Stream+"/"+c.Name, func(t *testing.T) { c.Run(t) })
	}
	if *record && !t.Failed() {
		makeRecording(t, s)
	}
}

// Main is for a package's TestMain: started as `PROGRAM connector serve NAME` the test program serves that connector, else it
// runs the tests.
func Main(m *testing.M, connectors map[string]func() sdk.Connector) {
	if len(os.Args) == 4 && os.Args[1] == "connector" && os.Args[2] == "serve" {
		make := connectors[os.Args[3]]
		if make == nil {
			fmt.Fprintf(os.Stderr, "this test program serves no connector %q\n", os.Args[3])
			os.Exit(2)
		}
		sdk.Serve(make())
		os.Exit(0)
	}
	os.Exit(m.Run())
}
