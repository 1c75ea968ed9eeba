package mapping_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lrshub/lrshub/connectors/openedx"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/plugins/contract"
)

// sharedData finds a folder of test data that lies beside the repository, or skips the test.
func sharedData(t testing.TB, path string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	found := filepath.Join(dir, "..", "shared", "data", path)
	if _, err := os.Stat(found); err != nil {
		t.Skipf("needs ../shared/data/%s beside the repository", path)
	}
	return found
}

func document(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("../../connectors/openedx/mapping.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// openedxStreams gives the schema that the connector declares.
func openedxStreams(t testing.TB) []contract.Stream {
	t.Helper()
	d, err := openedx.New().Describe(nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.Streams
}

func TestPublishedPairs(t *testing.T) {
	folder := sharedData(t, "fixtures/edx")
	report, err := mapping.Test(document(t), openedxStreams(t), os.DirFS(folder), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + report.String())
	scored, semantic, _, _ := report.Scores()
	if scored != 46 || semantic < 46 {
		t.Errorf("%d of %d pairs equal in meaning", semantic, scored)
	}
	for _, r := range report.Results {
		if r.Invalid != nil {
			t.Errorf("%s: %v", r.Name, r.Invalid)
		}
	}
}
