// Package kit holds the conformance tests that every connector must pass: Run (run.go) is called from a connector's own
// test, works offline, and runs the connector both inside the test and as the process that the hub would start. Main lets the
// test program be that process.
package kit

import (
	"fmt"
	"os"
	"testing"

	"github.com/lrshub/lrshub/plugins/sdk"
)

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
