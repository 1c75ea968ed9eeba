package mapping_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/lrshub/lrshub/connectors/moodle"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/mapping/compare"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

func moodleDocument(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../connectors/moodle/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func moodleStreams(t testing.TB) []contract.Stream {
	t.Helper()
	d, err := moodle.New().Describe(nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.Streams
}

// contradicted is the one published pair whose answer has another time than its event; its project never ran it either.
const contradicted = "totara_program__program_assigned__existing_program"

func TestPublishedMoodlePairs(t *testing.T) {
	folder := sharedData(t, "fixtures/moodle")
	report, err := mapping.Test(moodleDocument(t, "logstore.yaml"), moodleStreams(t), os.DirFS(folder), nil)
	if err != nil {
		t.Fatal(err)
	}
	scored, semantic, exact, _ := report.Scores()
	t.Logf("%d pairs, %d equal in meaning, %d equal but for ids", scored, semantic, exact)
	if scored != 103 || semantic < 102 {
		t.Errorf("\n%s", report)
	}
	for _, r := range report.Results {
		if !r.OK() && r.Name != contradicted {
			t.Errorf("%s: %v %v", r.Name, r.Err, r.Invalid)
		}
	}
}

// changing replaces texts and numbers in inputs and answers of all pairs alike.
type changing struct {
	name    string
	replace func(string) string
}

func replacing(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }

var ids = regexp.MustCompile(`("(?:id|userid|relateduserid|objectid|contextinstanceid|courseid|course|module|instance|section|quiz|questionid|question|questionusageid|uniqueid|itemid|iteminstance)": )([1-9][0-9]*)`)

var moodleVariants = []changing{
	{"other site", replacing("http://www.example.org", "https://moodle.school.example/lms", "http://moodle.org", "https://campus.example")},
	{"other names", replacing("test_name", "Zoë’s 数学 course", "test_quiz_name", "Quiz: a & b", "test_site_fullname", "Skolan", "test_fullname", "Åsa Öberg")},
	{"other language", replacing(`"lang": "en"`, `"lang": "sv"`, `"source_lang": "en"`, `"source_lang": "sv"`, `"language": "en"`, `"language": "sv"`, `{"en": `, `{"sv": `)},
	{"language with a region", replacing(`"lang": "en"`, `"lang": "pt_br"`, `"source_lang": "en"`, `"source_lang": "pt-br"`, `"language": "en"`, `"language": "pt-br"`, `{"en": `, `{"pt-br": `)},
	{"other time", replacing("1433946701", "1733946701", "2015-06-10T14:31:41", "2024-12-11T19:51:41")},
	{"texts for numbers", func(s string) string {
		head, tail, found := strings.Cut(s, `"event": `)
		if !found {
			return s
		}
		return ids.ReplaceAllStringFunc(head, func(m string) string { return ids.ReplaceAllString(m, `$1"$2"`) }) + `"event": ` + tail
	}},
}

// english are the pairs whose answers say some things in English whatever the languages of site and course are.
var english = []string{"core__calendar_subscription_created__user_created_calendar_subscription", "mod_wiki__comment_deleted",
	"mod_forum__user_report_viewed__existing_report_viewed_all_courses"}

func TestMoodleVariants(t *testing.T) {
	folder := sharedData(t, "fixtures/moodle")
	for _, v := range moodleVariants {
		t.Run(v.name, func(t *testing.T) {
			changed := fstest.MapFS{}
			err := filepath.WalkDir(folder, func(at string, d os.DirEntry, err error) error {
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
				var value any
				decoder := json.NewDecoder(bytes.NewReader(text))
				decoder.UseNumber()
				if err := decoder.Decode(&value); err != nil {
					return err
				}
				out := v.replace(string(appendIn(nil, value, false)))
				if name == "index.json" {
					out = string(text)
				}
				changed[filepath.ToSlash(name)] = &fstest.MapFile{Data: []byte(out)}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			report, err := mapping.Test(moodleDocument(t, "logstore.yaml"), moodleStreams(t), changed, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Results {
				if !r.OK() && r.Name != contradicted && !(strings.Contains(v.name, "language") && slices.Contains(english, r.Name)) {
					t.Errorf("%s: %v %v %v", r.Name, r.Err, r.Invalid, compare.Semantic(r.Differences))
				}
			}
		})
	}
}

// TestMoodleExports writes the event and the tables of each published pair as exports, reads them with the connector and
// expects the published statements: what it joins is what the mapping needs.
func TestMoodleExports(t *testing.T) {
	folder := sharedData(t, "fixtures/moodle/open")
	inputs, err := filepath.Glob(filepath.Join(folder, "*", "input.json"))
	if err != nil || len(inputs) != 103 {
		t.Fatal(len(inputs), err)
	}
	m, err := mapping.Load(moodleDocument(t, "logstore.yaml"), moodleStreams(t), mapping.WithParams(map[string]any{
		"app_url": "http://www.example.org", "session_id": "test_session_id"}))
	if err != nil {
		t.Fatal(err)
	}
	choosing, err := mapping.Load(moodleDocument(t, "logstore.yaml"), moodleStreams(t), mapping.WithParams(map[string]any{
		"app_url": "http://www.example.org", "session_id": "test_session_id", "send_response_choices": true}))
	if err != nil {
		t.Fatal(err)
	}
	equal := 0
	for _, input := range inputs {
		name := filepath.Base(filepath.Dir(input))
		text, err := os.ReadFile(input)
		if err != nil {
			t.Fatal(err)
		}
		expected, err := os.ReadFile(filepath.Join(filepath.Dir(input), "expected.json"))
		if err != nil {
			t.Fatal(err)
		}
		converter := m
		if bytes.Contains(text, []byte(`"send_response_choices": true`)) {
			converter = choosing
		}
		got, err := statementsOf(converter, "log", exported(t, text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var want []json.RawMessage
		if err := json.Unmarshal(expected, &want); err != nil {
			t.Fatal(err)
		}
		made := make([]json.RawMessage, len(got))
		for i := range got {
			made[i] = json.RawMessage(got[i])
		}
		differences, err := compare.Statements(want, made)
		if err != nil {
			t.Fatal(err)
		}
		if left := compare.Semantic(differences); len(left) > 0 && name != contradicted {
			t.Errorf("%s: %v", name, left)
			continue
		}
		equal++
	}
	t.Logf("%d of %d", equal, len(inputs))
}

// exported writes a pair's event and data as JSON lines and gives the record that the connector makes of them.
func exported(t *testing.T, input []byte) []byte {
	t.Helper()
	var pair struct {
		Event json.RawMessage
		Data  map[string][]json.RawMessage
	}
	// Moodle calls the tables so; the published pairs call them otherwise.
	input = bytes.ReplaceAll(input, []byte(`"grade": [`), []byte(`"assign_grades": [`))
	input = bytes.ReplaceAll(input, []byte(`"objecttable": "grade"`), []byte(`"objecttable": "assign_grades"`))
	if err := json.Unmarshal(input, &pair); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(pair.Event, []byte("contextinstanceid")) {
		pair.Event = bytes.Replace(pair.Event, []byte("{"), []byte(`{"contextlevel": 50,`), 1)
	} else {
		pair.Event = bytes.Replace(pair.Event, []byte("{"), []byte(`{"contextlevel": 70,`), 1)
	}
	dir := t.TempDir()
	write := func(name string, rows []json.RawMessage) {
		var b bytes.Buffer
		for i, row := range rows {
			var line bytes.Buffer
			if err := json.Compact(&line, row); err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(line.Bytes(), []byte(`"id":`)) { // as every table of Moodle has
				line = *bytes.NewBuffer(bytes.Replace(line.Bytes(), []byte("{"), fmt.Appendf(nil, `{"id":%d,`, i+1), 1))
			}
			b.Write(append(line.Bytes(), '\n'))
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("mdl_logstore_standard_log.jsonl", []json.RawMessage{pair.Event})
	for table, rows := range pair.Data {
		write("mdl_"+table+".jsonl", rows)
	}
	got, err := sdktest.Read(t.Context(), moodle.New(), sdktest.Session(fmt.Sprintf(`{"folder":%q}`, dir), nil, nil), sdk.Request{Stream: "log"})
	if err != nil || len(got.Records) != 1 {
		t.Fatalf("%d records, %v", len(got.Records), err)
	}
	return []byte(got.Records[0])
}
