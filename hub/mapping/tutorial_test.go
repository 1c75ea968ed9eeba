package mapping_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/plugins/contract"
)

// TestTutorial holds connectors/MAPPINGS.md to what it shows: its first mapping, a report that differs, and an error.
func TestTutorial(t *testing.T) {
	page, err := os.ReadFile("../../connectors/MAPPINGS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	document, rest, _ := strings.Cut(rest, "```")
	streams := []contract.Stream{{Name: "loan", Key: []string{"id"}, Fields: []contract.Field{
		{Name: "id", Type: contract.Int}, {Name: "reader", Type: contract.String}, {Name: "title", Type: contract.String},
		{Name: "isbn", Type: contract.String}, {Name: "on", Type: contract.Timestamp}, {Name: "days", Type: contract.Int, Optional: true}}}}
	folder := fstest.MapFS{
		"borrowed/input.json": {Data: []byte(`{"id": 1, "reader": "r7", "title": "On Moss", "isbn": "9783", "on": "2031-05-01T10:00:00Z"}`)},
		"borrowed/expected.json": {Data: []byte(`{"actor": {"account": {"homePage": "https://library.example", "name": "r7"}}, "id": "6b0a3b8e-6f0c-4a4e-9d5e-3c1f1f0d2a11",
			"verb": {"id": "http://activitystrea.ms/schema/1.0/borrow", "display": {"en": "borrowed"}}, "timestamp": "2031-05-01T12:00:00+02:00",
			"object": {"id": "https://library.example/book/9783", "definition": {"name": {"en": "On Moss"}}}}`)},
	}
	shown := func(text string) {
		t.Helper()
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); !strings.Contains(rest, line) {
				t.Errorf("the page does not show %q", line)
			}
		}
	}
	report, err := mapping.Test([]byte(document), streams, folder, nil)
	if err != nil || !report.OK() {
		t.Fatal(report, err)
	}
	shown(report.String())
	folder["borrowed/expected.json"].Data = []byte(strings.Replace(string(folder["borrowed/expected.json"].Data), "book/9783", "book/978-3", 1))
	if report, err = mapping.Test([]byte(document), streams, folder, nil); err != nil || report.OK() {
		t.Fatal(report, err)
	}
	difference, _, _ := strings.Cut(report.String(), "library 1:")
	shown(difference)
	_, err = mapping.Load([]byte(strings.Replace(document, "record.title", "record.titel", 1)), streams)
	shown(err.Error())
}

// The page's example of facts and claims loads, and says what it says.
func TestTutorialPerson(t *testing.T) {
	page, err := os.ReadFile("../../connectors/MAPPINGS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "## Who somebody is")
	_, rest, _ = strings.Cut(rest, "```yaml\n")
	document, _, _ := strings.Cut(rest, "```")
	text := func(name string) contract.Field {
		return contract.Field{Name: name, Type: contract.String, Optional: true}
	}
	streams := []contract.Stream{{Name: "employee", Key: []string{"id"}, Fields: []contract.Field{
		{Name: "id", Type: contract.String}, text("title"), text("title_since"), text("department"), {Name: "contract", Type: contract.String}, {Name: "hired", Type: contract.String},
		text("left"), text("manager_id"), {Name: "number", Type: contract.String}, text("mail")}}}
	m, err := mapping.Load([]byte("name: staff\nversion: 1\n"+document), streams)
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.Begin("employee", []byte(`{"id":"7","title":"nurse","contract":"permanent","hired":"2024-01-31","manager_id":"3","number":"70"}`))
	if err != nil {
		t.Fatal(err)
	}
	said, err := e.Person()
	if err != nil || len(said.Facts) != 3 || len(said.Claims) != 1 {
		t.Errorf("it says %+v, %v", said, err)
	}
}
