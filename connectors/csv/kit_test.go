package csv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
)

func TestMain(m *testing.M) { kit.Main(m, map[string]func() sdk.Connector{"csv": New}) }

// TestConformance runs the kit on the fixtures and on a longer file.
func TestConformance(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"registration.csv", "result.csv"} {
		text, err := os.ReadFile(filepath.Join("fixtures", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(text))
	}
	write(t, filepath.Join(dir, "long.csv"), header+rows(43)+"\"B\n2\",1,1.5,no\n")
	text, err := os.ReadFile("fixtures/config.json")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(string(text), `"folder": "fixtures"`, fmt.Sprintf(`"folder": %q`, dir), 1)
	config = strings.Replace(config, `"files": [`, `"files": [
		{"stream": "long", "file": "long.csv", "key": ["course", "person"], "subject": "person", "deletes": "absence",
		 "columns": {"course": "string", "person": "int", "score": "double", "passed": "bool"}},
		{"stream": "content", "file": "long.csv", "columns": {"person": "int", "score": "double"}},`, 1)
	kit.Run(t, kit.Subject{
		Name:   "csv",
		New:    New,
		Config: config,
		Refused: map[string]string{
			"no folder":      `{"files":[{"stream":"a","file":"a.csv","columns":{"a":"int"}}]}`,
			"no files":       fmt.Sprintf(`{"folder":%q,"files":[]}`, dir),
			"missing folder": `{"folder":"/nowhere/at/all","files":[{"stream":"a","file":"a.csv","columns":{"a":"int"}}]}`,
			"missing file":   fmt.Sprintf(`{"folder":%q,"files":[{"stream":"a","file":"a.csv","columns":{"a":"int"}}]}`, dir),
			"missing column": fmt.Sprintf(`{"folder":%q,"files":[{"stream":"a","file":"long.csv","columns":{"a":"int"}}]}`, dir),
			"outside":        fmt.Sprintf(`{"folder":%q,"files":[{"stream":"a","file":"../a.csv","columns":{"a":"int"}}]}`, dir),
			"misspelt":       fmt.Sprintf(`{"folder":%q,"file":[]}`, dir),
			"no JSON":        `folder: x`,
		},
	})
}
