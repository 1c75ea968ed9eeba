package mapping_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/lrshub/lrshub/connectors/openedx"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/xapi"
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

// variant is a published pair with other names in it: what a converter must follow and what it must not know by heart.
type variant struct {
	name    string
	replace []string
	reorder bool
}

var variants = []variant{
	{"other course", []string{"edX+DemoX+Demo_Course", "Uni+Bio.101~x+2031_T2", "edX%2BDemoX%2BDemo_Course", "Uni%2BBio.101~x%2B2031_T2"}, false},
	{"other times", []string{"2020-07-1", "2031-02-0", "2023-0", "2029-0", "2022-11", "2028-02", ":2", ":3"}, false},
	{"other users", []string{`"username": "edx"`, `"username": "Åsa 7"`, `"user_id": 3`, `"user_id": 90071992547409931`, `"username": "edX"`, `"username": "q"`}, false},
	{"other blocks", []string{"3fc5461f86764ad7bdbdf6cbdde61e66", "00aa11bb22cc33dd44ee55ff66778899", "a0effb954cca4759994f1ac9e9434bf4", "beef0000beef0000beef0000beef0000",
		"0b9e39477cf34507a7a48f74be381fdd", "intro_video-1", "64b7b640e68f350033690932", "ffffffffffffffffffffffff"}, false},
	{"other site", []string{"http://localhost:18000", "https://lms.example.org/base"}, false},
	{"other order of keys", nil, true},
}

// TestVariants changes inputs and answers of all published pairs alike and expects them to agree still.
func TestVariants(t *testing.T) {
	folder := sharedData(t, "fixtures/edx")
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			changed := fstest.MapFS{}
			err := filepath.WalkDir(folder, func(at string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() || filepath.Ext(at) != ".json" {
					return err
				}
				text, err := os.ReadFile(at)
				if err != nil {
					return err
				}
				name, err := filepath.Rel(folder, at)
				if err != nil {
					return err
				}
				changed[filepath.ToSlash(name)] = &fstest.MapFile{Data: v.apply(t, text, name != "index.json")}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			report, err := mapping.Test(document(t), openedxStreams(t), changed, nil)
			if err != nil {
				t.Fatal(err)
			}
			if scored, semantic, _, _ := report.Scores(); scored != 46 || semantic != 46 {
				t.Errorf("%s", report)
			}
		})
	}
}

func (v variant) apply(t *testing.T, text []byte, reorder bool) []byte {
	t.Helper()
	// One form for all files, so that the replacements find what they look for.
	var value any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatal(err)
	}
	out := strings.NewReplacer(v.replace...).Replace(string(appendIn(nil, value, v.reorder && reorder)))
	return []byte(out)
}

// appendIn writes JSON with ": " and ", " between tokens and the keys in alphabetical order, or the reverse of it.
func appendIn(b []byte, value any, reversed bool) []byte {
	switch v := value.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		if reversed {
			slices.Reverse(keys)
		}
		b = append(b, '{')
		for i, key := range keys {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(appendIn(b, key, reversed), ": "...)
			b = appendIn(b, v[key], reversed)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendIn(b, item, reversed)
		}
		return append(b, ']')
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return b
	}
	return append(b, bytes.TrimSpace(text.Bytes())...)
}

// TestPruned converts the published inputs once whole and once cut down to the fields that the mapping names.
func TestPruned(t *testing.T) {
	folder := sharedData(t, "fixtures/edx/open")
	m, err := mapping.Load(document(t), openedxStreams(t))
	if err != nil {
		t.Fatal(err)
	}
	fields := m.Fields("event")
	for _, private := range []string{"context.ip", "context.agent", "context.host", "context.path", "page", "session"} {
		if slices.Contains(fields, private) != (private == "session") {
			t.Errorf("fields %v", fields)
		}
	}
	inputs, err := filepath.Glob(filepath.Join(folder, "*", "input.json"))
	if err != nil || len(inputs) < 46 {
		t.Fatal(len(inputs), err)
	}
	for _, input := range inputs {
		text, err := os.ReadFile(input)
		if err != nil {
			t.Fatal(err)
		}
		whole, wholeErr := statementsOf(m, "event", prune(t, text, nil))
		cut, cutErr := statementsOf(m, "event", prune(t, text, fields))
		if fmt.Sprint(wholeErr) != fmt.Sprint(cutErr) || !slices.Equal(whole, cut) {
			t.Errorf("%s: %v, %v", input, wholeErr, cutErr)
		}
	}
}

func statementsOf(m *mapping.Mapping, stream string, record []byte) ([]string, error) {
	e, err := m.Begin(stream, record)
	if err != nil {
		return nil, err
	}
	made, err := e.Statements()
	var all []string
	for _, out := range made {
		all = append(all, string(out.JSON))
	}
	return all, err
}

// prune keeps the paths of a record, as the host does; lists take no part in a path. No paths: all of it.
func prune(t *testing.T, text []byte, paths []string) []byte {
	t.Helper()
	var value any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatal(err)
	}
	split := make([][]string, len(paths))
	for i, path := range paths {
		split[i] = contract.SplitPath(path)
	}
	return appendIn(nil, keep(value, split), false)
}

func keep(value any, paths [][]string) any {
	if len(paths) == 0 || slices.ContainsFunc(paths, func(path []string) bool { return len(path) == 0 }) {
		return value
	}
	switch v := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for name, inner := range v {
			var below [][]string
			for _, path := range paths {
				if path[0] == name {
					below = append(below, path[1:])
				}
			}
			if below != nil {
				kept[name] = keep(inner, below)
			}
		}
		return kept
	case []any:
		kept := make([]any, len(v))
		for i, item := range v {
			kept[i] = keep(item, paths)
		}
		return kept
	}
	return nil
}

// TestLog converts a sample of a tracking log in its raw form: events that the mapping does not know give nothing, and
// none gives anything invalid.
func TestLog(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(sharedData(t, "fixtures/edx/raw"), "tracking.log.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := mapping.Load(document(t), openedxStreams(t))
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]int{}
	for line := range bytes.Lines(text) {
		event := bytes.TrimSpace(line[max(bytes.IndexByte(line, '{'), 0):])
		statements, err := statementsOf(m, "event", event)
		if err != nil {
			var e *mapping.EvalError
			if !errors.As(err, &e) || e.Kind != mapping.KindRecord {
				t.Errorf("%v", err)
			}
			made["broken"]++
			continue
		}
		if len(statements) == 0 {
			made["nothing"]++
		}
		for _, s := range statements {
			made["statements"]++
			if _, err := xapi.Parse([]byte(s), xapi.V1); err != nil {
				t.Errorf("%v: %s", err, s)
			}
		}
	}
	t.Log(made)
	if made["statements"] < 6 || made["broken"] == 0 || made["nothing"] == 0 {
		t.Errorf("%v", made)
	}
}

var update = flag.Bool("update", false, "write the expected statements of the connectors' own fixtures anew")

// TestOwnFixtures runs the fixtures that are shipped with the connector.
func TestOwnFixtures(t *testing.T) {
	const folder = "../../connectors/openedx/fixtures"
	report, err := mapping.Test(document(t), openedxStreams(t), os.DirFS(folder), nil)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		writeExpected(t, folder, report)
		return
	}
	if scored, semantic, butIDs, _ := report.Scores(); !report.OK() || scored != semantic || butIDs != scored || scored < 14 {
		t.Error(report)
	}
}

// writeExpected writes what came out as what is expected; refusals are written by hand.
func writeExpected(t *testing.T, folder string, report *mapping.Report) {
	t.Helper()
	for _, r := range report.Results {
		if r.Err != nil {
			t.Logf("%s: %v", r.Name, r.Err)
			continue
		}
		text, err := json.MarshalIndent(withoutIDs(t, r.Statements), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(folder, r.Name)
		if below, err := filepath.Glob(filepath.Join(folder, "*", r.Name)); err == nil && len(below) == 1 {
			at = below[0]
		}
		if err := os.WriteFile(filepath.Join(at, "expected.json"), append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// withoutIDs leaves out what the hub adds, but for the references between the statements of one record.
func withoutIDs(t *testing.T, statements []json.RawMessage) []map[string]json.RawMessage {
	t.Helper()
	all := []map[string]json.RawMessage{}
	for _, s := range statements {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(s, &members); err != nil {
			t.Fatal(err)
		}
		if len(statements) == 1 {
			delete(members, "id")
		}
		all = append(all, members)
	}
	return all
}
