package mapping_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/lrshub/lrshub/connectors"
	"github.com/lrshub/lrshub/hub/mapping"
)

// Every mapping that comes with a connector makes of its fixtures what they say.
func TestMappingsOfConnectors(t *testing.T) {
	tried := 0
	for name, make := range connectors.Builtin() {
		folder := filepath.Join("../../connectors", name)
		document, err := os.ReadFile(filepath.Join(folder, "mapping.yaml"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		d, err := make().Describe(nil)
		if err != nil || len(d.Streams) == 0 {
			t.Logf("%s: its streams depend on its configuration", name)
			continue
		}
		report, err := mapping.Test(document, d.Streams, os.DirFS(filepath.Join(folder, "fixtures")), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tried++
		if scored, semantic, _, _ := report.Scores(); scored == 0 || semantic != scored {
			t.Errorf("%s: %d of %d fixtures equal in meaning\n%s", name, semantic, scored, report)
		}
	}
	if tried == 0 {
		t.Error("no connector has a mapping")
	}
}
