package mapping

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestJSONInText: sources that put JSON into a text are read as if they had not; what is no JSON counts as absent for has().
func TestJSONInText(t *testing.T) {
	m := load(t, result(`a: "${record.?details.?room}"`, `b: "${record.?answers.orValue([]).map(a, a.question)}"`, `c: "${record.?marks.?x}"`, `d: "${has(record.details)}"`))
	for record, want := range map[string]string{
		`{"details": "{\"room\": \"r\", \"seconds\": 5}", "answers": " [{\"question\": 4}] ", "marks": "{\"x\": 1.50}"`: `{"a":"r","b":[4],"c":1.5,"d":true}`,
		`{"details": {"room": "r"}, "answers": [{"question": 4}], "marks": {"x": 1.50}`:                                 `{"a":"r","b":[4],"c":1.5,"d":true}`,
		`{"details": "input_1=2", "answers": "{}", "marks": "[]"`:                                                       `{"b":[],"d":false}`,
		`{"details": "{broken", "answers": "[", "marks": ""`:                                                            `{"b":[],"d":false}`,
		`{"details": 7, "answers": true, "marks": [1]`:                                                                  `{"b":[],"d":false}`,
	} {
		out, err := convert(t, m, record+`, "id": 1, "pupil": "p"}`)
		if err != nil {
			t.Errorf("%s: %v", record, err)
			continue
		}
		if got := tail(t, out[0]); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", record, got, want)
		}
	}
}

// TestPassedOn: whatever JSON stands in a field of type any comes out as the same JSON.
func TestPassedOn(t *testing.T) {
	m := load(t, result(`whole: "${record.big}"`, `member: "${record.?details.?extra}"`, `made: "${[record.?big]}"`))
	rapid.Check(t, func(t *rapid.T) {
		text := anyJSON(t, 3)
		if text == "null" {
			return // null is nothing
		}
		e, err := m.Begin("attempt", []byte(`{"id": 1, "pupil": "p", "big": `+text+`, "details": {"extra": `+text+`}}`))
		if err != nil {
			t.Fatal(err)
		}
		out, err := e.Statements()
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			Result struct{ Whole, Member json.RawMessage }
		}
		if err := json.Unmarshal(out[0].JSON, &s); err != nil {
			t.Fatalf("%v: %s", err, out[0].JSON)
		}
		for _, got := range []json.RawMessage{s.Result.Whole, s.Result.Member} {
			if !equalJSON([]byte(text), got) {
				t.Fatalf("%s became %s", text, got)
			}
		}
	})
}

// anyJSON draws JSON text with all kinds of white space and numbers.
func anyJSON(t *rapid.T, depth int) string {
	kinds := 5
	if depth > 0 {
		kinds = 7
	}
	space := rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space")
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return "null"
	case 1:
		return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "bool")
	case 2:
		return rapid.SampledFrom([]string{"0", "-1", "9007199254740993", "18446744073709551615", "1.50", "-2e-7", "1E+3"}).Draw(t, "number")
	case 3, 4:
		text, err := json.Marshal(rapid.String().Draw(t, "text"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	case 5:
		var items []string
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			items = append(items, anyJSON(t, depth-1))
		}
		return "[" + space + strings.Join(items, ","+space) + space + "]"
	}
	var members []string
	for i := range rapid.IntRange(0, 3).Draw(t, "members") {
		members = append(members, fmt.Sprintf(`"k\"%d"%s:%s`, i, space, anyJSON(t, depth-1)))
	}
	return "{" + strings.Join(members, space+",") + "}"
}

func TestDiff(t *testing.T) {
	before := quizzes
	after := strings.Replace(before, "{en: \"${quiz.title}\"}", "{en: \"${quiz.secret}\"}", 1)
	after = strings.Replace(after, "object: {id: \"urn:x\"}", "object: {id: \"urn:x/${record.details.room}\"}", 1)
	c, err := Diff([]byte(before), []byte(after), school())
	if err != nil {
		t.Fatal(err)
	}
	want := "stream attempt: needs re-read: names details.room, which was pruned\nstream quiz: needs re-read: names secret, which was pruned\nstream quiz: no longer names title\n"
	if c.String() != want || !c.NeedsReread() {
		t.Errorf("got %s", c)
	}
	same, err := Diff([]byte(before), []byte(before), school())
	if err != nil || same.NeedsReread() || same.String() != "" {
		t.Errorf("%v, %v", same, err)
	}
	fewer, err := Diff([]byte(before), []byte(head), school())
	if err != nil || fewer.NeedsReread() || !slices.Equal(fewer.Removed, []string{"course", "quiz", "question"}) {
		t.Errorf("%v, %v", fewer, err)
	}
	more, err := Diff([]byte(head), []byte(before), school())
	if err != nil || !more.NeedsReread() || !slices.Equal(more.Added, []string{"course", "quiz", "question"}) {
		t.Errorf("%v, %v", more, err)
	}
	// A field inside an object that was kept whole was not pruned.
	inside, err := Diff([]byte(result("x: ${record.details}")), []byte(result("x: ${record.details.room}")), school())
	if err != nil || inside.NeedsReread() {
		t.Errorf("%v, %v", inside, err)
	}
}

func TestCompareOutputs(t *testing.T) {
	outputs := func(template string) []Output {
		out, err := convert(t, load(t, result(template)), `{"id": 1, "pupil": "p", "score": 5}`)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	got, err := CompareOutputs(outputs("{score: 1, gone: 2}"), outputs("{score: 1.5, new: 3}"))
	if err != nil {
		t.Fatal(err)
	}
	want := []OutputChange{{Template: "tried", Path: "result.gone", Kind: "removed"}, {Template: "tried", Path: "result.new", Kind: "added"},
		{Template: "tried", Path: "result.score", Kind: "changed"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := CompareOutputs(outputs("{score: 1}"), outputs("{score: 1.0}")); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := CompareOutputs(outputs("{score: 1}"), nil); err != nil || len(got) != 1 || got[0].Kind != "removed" || got[0].Path != "" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := CompareOutputs(nil, outputs("{score: 1}")); err != nil || len(got) != 1 || got[0].Kind != "added" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestInline(t *testing.T) {
	file := "connector: x\nconfig:\n  a: 1\n\nmapping:\n  # a comment\n  name: n\n\n  version: 1\n# another\n  streams:\n    attempt:\n      let: {x: recrd.id}\nparams: {a: b}\n"
	document, err := Inline([]byte(file), "mapping")
	if err != nil {
		t.Fatal(err)
	}
	if want := "\n\n\n\n\n\nname: n\n\nversion: 1\n\nstreams:\n  attempt:\n    let: {x: recrd.id}\n"; string(document) != want {
		t.Errorf("%q", document)
	}
	if _, err := Load(document, school()); err == nil || !strings.Contains(err.Error(), "line 13, stream attempt") {
		t.Errorf("%v", err)
	}
	for _, wrong := range []string{"", "[]", "a: 1", "mapping: file.yaml", "mapping: {name: x}", "mapping: [", "\t"} {
		if _, err := Inline([]byte(wrong), "mapping"); err == nil {
			t.Errorf("%q gave a mapping", wrong)
		}
	}
}

// TestFixtures: lookups and parameters come from files; a wrong answer, an invalid statement and a missing refusal are found.
func TestFixtures(t *testing.T) {
	folder := fstest.MapFS{
		"fixtures.yaml":     {Data: []byte("stream: attempt\nparams: {site: \"https://f.example\"}\n")},
		"good/input.json":   {Data: []byte(`{"id": 7, "pupil": "ann", "quiz": 5, "at": "2024-05-01T08:00:00Z"}`)},
		"good/lookups.json": {Data: []byte(`{"quiz": [{"id": 4, "title": "no", "course": "m"}, {"id": 5, "title": "Yes", "course": "m"}], "course": [{"code": "m", "name": "M"}]}`)},
		"good/expected.json": {Data: []byte(`{"actor": {"account": {"homePage": "https://f.example", "name": "ann"}}, "verb": {"id": "urn:verb:failed"}, "timestamp": "2024-05-01T10:00:00+02:00",
			"object": {"objectType": "Activity", "id": "https://f.example/quiz/5", "definition": {"type": "urn:type:quiz", "name": {"en": "Yes"}}},
			"context": {"platform": "school", "language": "in en", "extensions": {"urn:unit": "points"},
				"contextActivities": {"parent": {"id": "https://f.example/course/m", "definition": {"type": "urn:type:course", "name": {"en": "M"}}}}}}`)},
		"wrong/input.json":      {Data: []byte(`{"id": 99, "pupil": "ann", "note": "x"}`)},
		"wrong/expected.json":   {Data: []byte(`[]`)},
		"lacking/input.json":    {Data: []byte(`{"id": 7, "pupil": "ann", "quiz": 5, "at": "2024-05-01T08:00:00Z"}`)},
		"lacking/expected.json": {Data: []byte(`[]`)},
		"refused/input.json":    {Data: []byte(`{"id": 7, "pupil": "nobody"}`)},
		"refused/expected.json": {Data: []byte(`{"refused": "no_pupil"}`)},
		"other/input.json":      {Data: []byte(`{"id": 7, "pupil": "nobody"}`)},
		"other/expected.json":   {Data: []byte(`{"refused": "some_other"}`)},
		"tried/input.json":      {Data: []byte(`{"id": 0, "pupil": "ann"}`)},
	}
	report, err := Test([]byte(strings.Replace(quizzes, `language: {$use: text}`, "language: en", 1)), school(), folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, r := range report.Results {
		got[r.Name] = r.OK()
	}
	// "in en" is expected as the language, which is not one: even so written the case is wrong.
	want := map[string]bool{"good": false, "wrong": false, "lacking": false, "refused": true, "other": false, "tried": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff, report)
	}
	good := folder["good/expected.json"]
	good.Data = []byte(strings.Replace(string(good.Data), `"in en"`, `"en"`, 1))
	if report, err = Test([]byte(strings.Replace(quizzes, `language: {$use: text}`, "language: en", 1)), school(), folder, nil); err != nil || !report.Results[0].OK() {
		t.Error(report, err)
	}
	// The mapping as it was makes an invalid language tag: expected or not, that is not right.
	good.Data = []byte(strings.Replace(string(good.Data), `"en", "extensions"`, `"in en", "extensions"`, 1))
	if report, err = Test([]byte(quizzes), school(), folder, nil); err != nil || report.Results[0].Invalid == nil || report.Results[0].OK() {
		t.Error(report, err)
	}
	if text, err := json.Marshal(report); err != nil || !strings.Contains(string(text), `"invalid":"statement 0`) {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := Test([]byte(quizzes), school(), fstest.MapFS{}, nil); err == nil {
		t.Error("an empty folder passed")
	}
}
