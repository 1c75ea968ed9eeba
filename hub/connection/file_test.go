package connection

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/plugins/contract"
)

const wholeFile = `# Results of the university.
connector: csv
purpose: learning-records
schedule: 1d12h
config:
  folder: /data/tables   # where
  files:
    - {name: results, keys: [id_student, id_assessment], rows: 100}
    - {name: course, strict: true, since: 2014-02-01, ratio: 0.5, big: 9007199254740993, none: ~}
mapping:
  # Comments stay.
  name: results
  streams:
    results:
      subject: "a: b"
params: {home: "https://lms.example", pass: 40}
`

func TestParseFile(t *testing.T) {
	s, err := ParseFile([]byte(wholeFile), map[string]string{"folder": "/other", "files.0.rows": "7", "auth.token": "42", "params.pass": "50"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Connector != "csv" || s.Purpose != "learning-records" || s.Schedule != "1d12h" || s.MappingFile != "" {
		t.Errorf("spec: %+v", s)
	}
	want := `{"auth":{"token":"42"},"files":[{"keys":["id_student","id_assessment"],"name":"results","rows":7},` +
		`{"big":9007199254740993,"name":"course","none":null,"ratio":0.5,"since":"2014-02-01","strict":true}],"folder":"/other"}`
	if diff := cmp.Diff(want, string(s.Config)); diff != "" {
		t.Error(diff)
	}
	if want := `{"home":"https://lms.example","pass":50}`; string(s.Params) != want {
		t.Errorf("params: %s, want %s", s.Params, want)
	}
	mapping := "name: results\nstreams:\n  results:\n    subject: \"a: b\"\n"
	if diff := cmp.Diff(mapping, s.Mapping); diff != "" {
		t.Error(diff)
	}
	if line := s.MappingLine + 1; line != 12 {
		t.Errorf("the mapping begins in line %d, want 12", line)
	}
	if s.Lines["config.files[1].ratio"] != 9 || s.Lines["purpose"] != 3 {
		t.Errorf("lines: %v", s.Lines)
	}
}

func TestParseFileMappingForms(t *testing.T) {
	for _, c := range []struct{ file, name, text string }{
		{"connector: a\nmapping: sub/m.yaml\n", "sub/m.yaml", ""},
		{"connector: a\nmapping: |\n  name: m\n  x: y\nconfig: {}\n", "", "name: m\nx: y\n"},
		{"mapping:\n    name: m\n\n    # one\n    x:\n      y: |\n        text\n\nconnector: a\n", "", "name: m\n\n# one\nx:\n  y: |\n    text\n"},
		{"connector: a\r\nmapping:\r\n  name: m\r\n", "", "name: m\n"},
	} {
		s, err := ParseFile([]byte(c.file), nil)
		if err != nil || s.MappingFile != c.name || s.Mapping != c.text || s.Connector != "a" || string(s.Config) != "{}" {
			t.Errorf("%q: %+v, %v", c.file, s, err)
		}
	}
}

func TestParseFileRefuses(t *testing.T) {
	for _, c := range []struct {
		file, set string
		line      int
		key, says string
	}{
		{file: "connector: csv\nconector: csv\n", line: 2, key: "conector", says: "unknown key"},
		{file: "connector: csv\nconnector: edx\n", line: 2, key: "connector", says: "twice, first in line 1"},
		{file: "config:\n  a: 1\n  a: 2\n", line: 3, key: "config.a", says: "twice"},
		{file: "config: &x {a: 1}\n", line: 1, key: "config", says: "anchors"},
		{file: "config: [1]\n", line: 1, key: "config", says: "keys with values"},
		{file: "config:\n  a: .inf\n", line: 2, key: "config.a", says: "JSON has no such value"},
		{file: "connector: [a]\n", line: 1, key: "connector", says: "one value"},
		{file: "mapping: {name: x}\n", line: 1, key: "mapping", says: "mapping file"},
		{file: "connector: a\n---\nconnector: b\n", line: 2, says: "second document"},
		{file: "- a\n", line: 1, says: "must have the keys"},
		{file: "", says: "not YAML"},
		{file: "connector: \"s3cret\n", says: "not YAML"},
		{file: "config: {rows: 5}\n", set: "rows=many", line: 1, key: "--set rows", says: "a number"},
		{file: "config: {rows: 5}\n", set: "rows.x=many", key: "--set rows.x", says: "single value"},
		{file: "config: {rows: [5]}\n", set: "rows.1=6", line: 1, key: "--set rows.1", says: "1 elements"},
		{file: "config: {rows: [5]}\n", set: "rows=6", key: "--set rows", says: "several values"},
		{file: "config: {}\n", set: "a..b=6", key: "--set a..b", says: "empty"},
	} {
		set := map[string]string{}
		if key, value, ok := strings.Cut(c.set, "="); ok {
			set[key] = value
		}
		_, err := ParseFile([]byte(c.file), set)
		var wrong *FileError
		if !errors.As(err, &wrong) || !errors.Is(err, ErrFile) {
			t.Errorf("%q: %v", c.file, err)
			continue
		}
		if c.line > 0 && wrong.Line != c.line || wrong.Key != c.key || !strings.Contains(wrong.Problem, c.says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: line %d, key %q: %s; want line %d, key %q, %q", c.file, wrong.Line, wrong.Key, wrong.Problem, c.line, c.key, c.says)
		}
	}
}

func TestSchedule(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "manual": 0, "15m": 15 * time.Minute, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "1d12h": 36 * time.Hour,
		"30s": -1, "400d": -1, "0d": -1, "hourly": -1, "1d1d": -1, "-5m": -1, "15": -1, "100d24000h": -1,
	} {
		got, err := parseSchedule(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
		if back, err := parseSchedule(formatSchedule(got)); err != nil || back != got {
			t.Errorf("%q is kept as %q, which reads as %s, %v", text, formatSchedule(got), back, err)
		}
	}
}

const schema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["folder"],"additionalProperties":false,"properties":{
  "folder":{"type":"string","minLength":1},
  "kind":{"enum":["plain","gzip"]},
  "token":{"type":"string","x-secret":true,"pattern":"^[a-z]+$"},
  "rows":{"type":"integer","minimum":1,"maximum":10},
  "auth":{"type":"object","properties":{"password":{"type":"string","x-secret":true,"maxLength":5}}},
  "columns":{"oneOf":[{"type":"object","additionalProperties":{"oneOf":[{"enum":["int","string"]},{"type":"object","required":["header"]}]}},{"type":"array","items":{"type":"string"}}]},
  "files":{"type":"array","minItems":1,"items":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}}}}`

func TestCheckConfigNamesKeyAndLine(t *testing.T) {
	file := "connector: csv\nconfig:\n"
	for _, c := range []struct {
		config string // from line 3
		key    string
		line   int
		says   string
	}{
		{config: "  folder: /data\n  kind: gzip\n  rows: 3\n  files:\n    - name: a\n"},
		{config: "  kind: gzip\n", key: "config", line: 2, says: "lacks folder"},
		{config: "  folder: 7\n", key: "config.folder", line: 3, says: "must be string, not number"},
		{config: "  folder: /d\n  foldr: s3cret\n", key: "config.foldr", line: 4, says: "knows no such key"},
		{config: "  folder: /d\n  kind: s3cret\n", key: "config.kind", line: 4, says: `"plain", "gzip"`},
		{config: "  folder: /d\n  token: s3cret\n", key: "config.token", line: 4, says: "pattern"},
		{config: "  folder: /d\n  rows: 77\n", key: "config.rows", line: 4, says: "at most 10"},
		{config: "  folder: /d\n  auth:\n    password: s3cret\n", key: "config.auth.password", line: 5, says: "too long"},
		{config: "  folder: /d\n  columns: {a: int, b: {header: B}}\n"},
		{config: "  folder: /d\n  columns: [a, 7]\n", key: "config.columns[1]", line: 4, says: "must be string"},
		{config: "  folder: /d\n  columns:\n    a: {heder: A}\n", key: "config.columns.a", line: 5, says: "lacks header"},
		{config: "  folder: /d\n  columns:\n    a: s3cret\n", key: "config.columns.a", line: 5, says: "fits none"},
		{config: "  folder: /d\n  columns: s3cret\n", key: "config.columns", line: 4, says: "fits none"},
		{config: "  folder: /d\n  files:\n    - name: a\n    - nam: s3cret\n", key: "config.files[1]", line: 6, says: "lacks name"},
	} {
		spec, err := ParseFile([]byte(file+c.config), nil)
		if err != nil {
			t.Fatal(err)
		}
		list := checkConfig(spec, schema)
		if c.key == "" {
			if len(list) != 0 {
				t.Errorf("a good configuration is refused: %v", list)
			}
			continue
		}
		var wrong *FileError
		if len(list) != 1 || !errors.As(list[0], &wrong) {
			t.Errorf("%q: %v", c.config, list)
			continue
		}
		if wrong.Key != c.key || wrong.Line != c.line || !strings.Contains(wrong.Problem, c.says) || strings.Contains(wrong.Error(), "s3cret") {
			t.Errorf("%q: %v; want line %d, key %q, %q", c.config, wrong, c.line, c.key, c.says)
		}
	}
	if list := checkConfig(Spec{Config: []byte(`{}`)}, `{"$ref":"file:///etc/passwd"}`); len(list) != 1 || !strings.Contains(list[0].Error(), "not usable") {
		t.Errorf("a schema that reads files: %v", list)
	}
}

func TestSplitSecrets(t *testing.T) {
	public, secrets, err := splitSecrets([]byte(`{"folder":"/d","token":"abc","rows":9007199254740993,"auth":{"user":"u","password":"p"}}`), schema)
	if err != nil || string(public) != `{"auth":{"user":"u"},"folder":"/d","rows":9007199254740993}` {
		t.Errorf("public: %s, %v", public, err)
	}
	if diff := cmp.Diff(map[string]string{"token": "abc", "auth.password": "p"}, secrets); diff != "" {
		t.Error(diff)
	}
	if _, _, err := splitSecrets([]byte(`{"token":31337}`), schema); err == nil || strings.Contains(err.Error(), "31337") {
		t.Errorf("a secret that is a number: %v", err)
	}
}

func TestCheckSaysAllThatIsWrong(t *testing.T) {
	spec, err := ParseFile([]byte("connector: csv\nschedule: hourly\nchecksum: 12\nconfig:\n  foldr: x\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Check(spec, contract.Description{Name: "edx", ConfigSchema: schema})
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, says := range []string{"line 1, connector", "purpose: is missing", "line 2, schedule: must be an interval", "line 3, checksum", "line 5, config.foldr", "lacks folder", "mapping: is missing"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("the error lacks %q:\n%v", says, err)
		}
	}
}

const mappedFile = `connector: csv
purpose: learning-records
schedule: 15m
config: {folder: /d}
params: {home: "https://school.example"}
mapping:
  name: school
  version: 1
  params:
    home: {type: string}
  streams:
    pupil: {}
    mark:
      lookups:
        pupil: {stream: pupil, "on": {id: "record.pupil"}}
      subject:
        account: {homePage: "${params.home}", name: "${pupil.name}"}
      statements:
        - name: marked
          statement:
            verb: {id: "http://adlnet.gov/expapi/verbs/scored"}
            object: {id: "https://school.example/exam"}
            result: {score: {raw: "${record.mark}"}}
`

var school = contract.Description{Name: "csv", ConfigSchema: schema, Streams: []contract.Stream{
	{Name: "mark", Key: []string{"id"}, Fields: []contract.Field{{Name: "id", Type: contract.Int}, {Name: "pupil", Type: contract.Int},
		{Name: "mark", Type: contract.Double}, {Name: "room", Type: contract.String}}},
	{Name: "pupil", Key: []string{"id"}, Fields: []contract.Field{{Name: "id", Type: contract.Int}, {Name: "name", Type: contract.String}}},
}}

func TestCheckLoadsTheMapping(t *testing.T) {
	spec, err := ParseFile([]byte(mappedFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	good, err := Check(spec, school)
	if err != nil {
		t.Fatal(err)
	}
	want := []MappedStream{{Name: "pupil", Fields: []string{"name"}}, {Name: "mark", Fields: []string{"mark", "pupil"}, Lookups: []string{"pupil"}}}
	if diff := cmp.Diff(want, good.Streams()); diff != "" {
		t.Error(diff)
	}
	wrong, err := ParseFile([]byte(strings.Replace(mappedFile, "record.mark", "record.makr", 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = Check(wrong, school); err == nil || !strings.Contains(err.Error(), "line 23") || !strings.Contains(err.Error(), "makr") {
		t.Errorf("a misspelt field in line 23 of the file: %v", err)
	}
	many, err := ParseFile([]byte(strings.NewReplacer("{stream: pupil, ", "{stream: pupil, many: true, ", "pupil.name", "pupil[0].name").Replace(mappedFile)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = Check(many, school); err == nil || !strings.Contains(err.Error(), "looks up many records of pupil") {
		t.Errorf("a lookup of many records, which no connection can do: %v", err)
	}
	if _, err = Check(Spec{Connector: "csv", Purpose: "p", Config: []byte(`{"folder":"/d"}`), Mapping: spec.Mapping}, school); err == nil || !strings.Contains(err.Error(), "params.home") {
		t.Errorf("a parameter that is not set: %v", err)
	}
}
