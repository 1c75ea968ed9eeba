package mapping_test

import (
	stdcsv "encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/lrshub/lrshub/connectors/csv"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/plugins/contract"
)

type ouladFile struct {
	Stream, File string
	Columns      map[string]string
}

// example reads one of the connection files of connectors/csv/examples/oulad: its tables, the schema that the connector
// makes of its config, and its mapping.
func example(t testing.TB, name string) ([]ouladFile, []contract.Stream, *mapping.Mapping) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../connectors/csv/examples/oulad", name))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Connector string
		Config    struct{ Files []ouladFile }
		Mapping   map[string]any
	}
	var config struct{ Config map[string]any }
	if err := errors.Join(yaml.Unmarshal(text, &file), yaml.Unmarshal(text, &config)); err != nil {
		t.Fatal(err)
	}
	config.Config["folder"] = "."
	raw, err := json.Marshal(config.Config)
	if err != nil {
		t.Fatal(err)
	}
	d, err := csv.New().Describe(raw)
	if err != nil {
		t.Fatal(err)
	}
	document, err := mapping.Inline(text, "mapping")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mapping.Load(document, d.Streams)
	if err != nil {
		t.Fatal(err)
	}
	return file.Config.Files, d.Streams, m
}

// rows reads a table as the records that the connector makes of it, by key.
func rows(t *testing.T, file ouladFile, stream contract.Stream, do func(key, record []byte)) {
	t.Helper()
	f, err := os.Open(filepath.Join(sharedData(t, "oulad"), file.File))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := stdcsv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range all[1:] {
		values := map[string]any{}
		record := []byte{'{'}
		for i, column := range all[0] {
			kind := file.Columns[column]
			if kind == "" {
				continue
			}
			text := row[i]
			switch {
			case text == "":
				text = "null"
			case kind == "bool":
				text = fmt.Sprint(text == "1")
			case kind == "string":
				text = fmt.Sprintf("%q", text)
			}
			if len(record) > 1 {
				record = append(record, ',')
			}
			record = fmt.Appendf(record, "%q:%s", column, text)
			values[column] = json.RawMessage(text)
		}
		var parts []any
		for _, name := range stream.Key {
			raw := values[name].(json.RawMessage)
			if raw[0] == '"' {
				parts = append(parts, strings.Trim(string(raw), `"`))
			} else {
				parts = append(parts, json.Number(raw))
			}
		}
		key, err := contract.Key(parts...)
		if err != nil {
			t.Fatal(err)
		}
		do(key, append(record, '}'))
	}
}

// convertAll converts all records of a stream and counts the verbs and what else is asked for. It checks that every
// thousandth statement is valid xAPI.
func convertAll(t *testing.T, name, stream string) (counts map[string]int, m *mapping.Mapping) {
	t.Helper()
	files, streams, m := example(t, name)
	stored := map[string][]byte{}
	byName := map[string]contract.Stream{}
	for _, s := range streams {
		byName[s.Name] = s
	}
	for _, f := range files {
		if f.Stream != stream {
			rows(t, f, byName[f.Stream], func(key, record []byte) { stored[f.Stream+string(key)] = record })
		}
	}
	counts = map[string]int{}
	for _, f := range files {
		if f.Stream == stream {
			rows(t, f, byName[stream], func(_, record []byte) { convertRow(t, m, stream, record, stored, counts) })
		}
	}
	return counts, m
}

func convertRow(t *testing.T, m *mapping.Mapping, stream string, record []byte, stored map[string][]byte, counts map[string]int) {
	t.Helper()
	e, err := m.Begin(stream, record)
	if err != nil {
		t.Fatal(err)
	}
	for {
		needs, err := e.Needs()
		if err != nil {
			t.Fatal(err)
		}
		if len(needs) == 0 {
			break
		}
		for _, need := range needs {
			found, ok := stored[need.Stream+string(need.Key)]
			if !ok {
				t.Fatalf("%s has no %s", need.Stream, need.Key)
			}
			if err := e.Supply(need.Name, found); err != nil {
				t.Fatal(err)
			}
		}
	}
	made, err := e.Statements()
	if err != nil {
		t.Fatalf("%s: %v", record, err)
	}
	if len(made) == 0 {
		counts["skipped"]++
	}
	for _, out := range made {
		counts["all"]++
		var s struct {
			Verb   struct{ ID string }
			Result struct {
				Success *bool
				Score   *struct{ Raw, Min, Max, Scaled float64 }
			}
		}
		if err := json.Unmarshal(out.JSON, &s); err != nil {
			t.Fatal(err)
		}
		verb := s.Verb.ID[strings.LastIndex(s.Verb.ID, "/")+1:]
		counts[verb]++
		if score := s.Result.Score; score != nil {
			counts["scored"]++
			if score.Min != 0 || score.Max != 100 || *s.Result.Success != (score.Raw >= 40) || *s.Result.Success != (verb == "passed") {
				t.Fatalf("wrong result: %s", out.JSON)
			}
		}
		if counts["all"]%1000 == 1 {
			if _, err := xapi.Parse(out.WithIDs(func(int) string { return "6b0a3b8e-6f0c-4a4e-9d5e-3c1f1f0d2a11" }), xapi.V1); err != nil {
				t.Fatalf("%v: %s", err, out.JSON)
			}
		}
	}
}

func TestOULADRegistrations(t *testing.T) {
	counts, m := convertAll(t, "registrations.yaml", "registration")
	if counts["registered"] != 32593 || counts["unregistered"] != 10072 || counts["all"] != 32593+10072 {
		t.Errorf("counts %v", counts)
	}
	if got := m.Fields("student"); len(got) != 1 || got[0] != "studied_credits" {
		t.Errorf("of student %v are read", got)
	}
	if got := m.Streams(); len(got) != 2 || got[0] != "student" {
		t.Errorf("streams %v", got)
	}
	if !m.Catalogue("https://oulad.example/module/AAA/2013J") || m.Catalogue("https://oulad.example/person/1") {
		t.Error("wrong catalogue")
	}
}

func TestOULADResults(t *testing.T) {
	counts, m := convertAll(t, "results.yaml", "result")
	if counts["all"] != 173739 || counts["scored"] != 173739 || counts["skipped"] != 173 || counts["passed"] != 166161 {
		t.Errorf("counts %v", counts)
	}
	if got := strings.Join(m.Fields("assessment"), " "); got != "assessment_type code_module code_presentation weight" {
		t.Errorf("of assessment %s are read", got)
	}
	t.Logf("%v", counts)
}
