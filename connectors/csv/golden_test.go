package csv

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestFixtures reads the files of fixtures/ and compares what is emitted with the golden file of each stream.
func TestFixtures(t *testing.T) {
	text, err := os.ReadFile("fixtures/config.json")
	if err != nil {
		t.Fatal(err)
	}
	s := sdktest.Session(string(text), nil, nil)
	if err := New().Check(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	d, err := New().Describe(s.Config)
	if err != nil || len(d.Streams) != 2 {
		t.Fatalf("%d streams, %v", len(d.Streams), err)
	}
	for _, stream := range d.Streams {
		t.Run(stream.Name, func(t *testing.T) {
			read, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: stream.Name})
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, e := range read.Events {
				switch e.Kind {
				case sdk.EventRecord:
					fmt.Fprintf(&got, "record %s %s\n", e.Position, e.JSON)
				case sdk.EventBad:
					fmt.Fprintf(&got, "%s %s %s\n", e.Code, e.Position, e.Reason)
				case sdk.EventSnapshotComplete:
					fmt.Fprintln(&got, "snapshot complete")
				}
			}
			path := "fixtures/" + stream.Name + ".golden"
			if *update {
				if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
