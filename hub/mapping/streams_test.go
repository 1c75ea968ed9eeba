package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const quizzes = `
name: quizzes
version: "2.1"
catalogue: ["${params.site}/quiz/", "urn:course:"]
params:
  site: {default: "https://school.example", about: Address of the school.}
  names: {type: map, default: {}}
constants: {unit: points, languages: [en, de]}
tables:
  verbs:
    good: {id: "urn:verb:passed", strong: true}
    bad: {id: "urn:verb:failed"}
fragments:
  activity:
    $arguments: [kind, id]
    id: "${params.site}/${kind}/${id}"
    definition: {type: "urn:type:${kind}"}
  common:
    timestamp: "${record.at}"
    context: {platform: school, extensions: {"urn:unit": "${constants.unit}"}}
  text: "in ${constants.languages[0]}"
streams:
  course:
  quiz:
  question:
  attempt:
    subject: {account: {homePage: "${params.site}", name: "${params.names[?record.pupil].orValue(record.pupil)}"}}
    lookups:
      quiz: {on: {id: "record.?quiz"}}
      course: {on: {code: "quiz == null ? optional.none() : optional.of(quiz.course)"}}
      questions: {stream: question, many: true, on: {quiz: "record.?quiz"}}
    let:
      verb: "tables.verbs[record.?passed.orValue(false) ? 'good' : 'bad']"
    when: record.id > 0
    match: record.?note.orValue('plain')
    refuse:
      - {when: "record.pupil == 'nobody'", reason: no_pupil, say: it belongs to no one}
    statements:
      - name: whole
        is: [plain, both]
        statement:
          $use: common
          verb: {id: "${verb.id}"}
          object: {$use: activity, $with: {kind: "'quiz'", id: record.quiz}, definition: {name: {en: "${quiz.title}"}}}
          context:
            language: {$use: text}
            extensions: {"urn:strong": "${verb.?strong}"}
            contextActivities:
              parent: [{$use: activity, $with: {kind: "'course'", id: quiz.course}, definition: {name: {en: "${course.name}"}}}]
      - name: part
        is: [both, parts]
        for: record.?answers.orValue([])
        as: [number, answer]
        when: answer.?text.orValue('') != ''
        let:
          asked: questions.filter(q, q.id == answer.question).map(q, q.prompt)[?0]
        statement:
          $use: common
          verb: {id: "urn:verb:answered"}
          object: {$use: activity, $with: {kind: "'question'", id: answer.question}, definition: {description: {en: "${asked}"}}}
          result: {response: "${answer.text}", extensions: {"urn:number": "${number + 1}"}}
          context: {statement: {$ref: whole}}
      - name: always
        when: record.id == 99
        statement: {verb: {id: "urn:verb:saw"}, object: {id: "urn:x"}}
`

var stored = map[string][]string{
	"quiz [5]":     {`{"id": 5, "title": "Fractions", "course": "m1", "secret": "no one names this"}`},
	"course [m1]":  nil,
	"question [5]": {`{"id": 1, "quiz": 5, "prompt": "What is a half?"}`, `{"id": 2, "quiz": 5, "prompt": "And a third?"}`},
}

const attempt = `{"id": 7, "pupil": "ann", "quiz": 5, "at": "2024-05-01T08:00:00Z", "passed": true, "note": "both",
	"answers": [{"question": 2, "text": "1/3"}, {"question": 1, "text": ""}, {"question": 1, "text": "1/2"}]}`

func TestLookupsAndParts(t *testing.T) {
	m := load(t, quizzes)
	if got := m.Streams(); !slices.Equal(got, []string{"course", "quiz", "question", "attempt"}) {
		t.Errorf("streams %v", got)
	}
	out, err := convert(t, m, attempt, stored, map[string][]string{`course ["m1"]`: {`{"code": "m1", "name": "Numbers"}`}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range out {
		got = append(got, o.Template+" "+string(o.WithIDs(func(p int) string { return fmt.Sprintf("%036d", p+1) })))
	}
	actor := `"actor":{"account":{"homePage":"https://school.example","name":"ann"}}`
	rest := `"timestamp":"2024-05-01T08:00:00Z","context":{"platform":"school","extensions":{"urn:unit":"points"`
	part := func(n int, question int, prompt, answer string, number int) string {
		return fmt.Sprintf(`part {"id":"%036d",%s,%s},"statement":{"objectType":"StatementRef","id":"%036d"}},"verb":{"id":"urn:verb:answered"},`+
			`"object":{"id":"https://school.example/question/%d","definition":{"type":"urn:type:question","description":{"en":"%s"}}},`+
			`"result":{"response":"%s","extensions":{"urn:number":%d}}}`, n, actor, rest, 1, question, prompt, answer, number)
	}
	want := []string{
		fmt.Sprintf(`whole {"id":"%036d",`, 1) + actor + `,` + rest + `,"urn:strong":true},"language":"in en","contextActivities":{"parent":` +
			`[{"id":"https://school.example/course/m1","definition":{"type":"urn:type:course","name":{"en":"Numbers"}}}]}},` +
			`"verb":{"id":"urn:verb:passed"},"object":{"id":"https://school.example/quiz/5","definition":{"type":"urn:type:quiz","name":{"en":"Fractions"}}}}`,
		part(2, 2, "And a third?", "1/3", 1), part(3, 1, "What is a half?", "1/2", 3),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if refs := out[1].References(); !slices.Equal(refs, []int{0}) {
		t.Errorf("references %v", refs)
	}
}

func TestFieldsNamed(t *testing.T) {
	m := load(t, quizzes)
	for stream, want := range map[string]string{
		"attempt":  `answers.question answers.text at id note passed pupil quiz`,
		"quiz":     `course title`,
		"course":   `name`,
		"question": `id prompt quiz`,
	} {
		if got := strings.Join(m.Fields(stream), " "); got != want {
			t.Errorf("%s: %s, want %s", stream, got, want)
		}
	}
	for template, want := range map[string]string{
		`"${record.details}"`:                                                         "details id pupil",
		`"${record.details.extra.deep.deeper}"`:                                       "details.extra id pupil",
		`"${record.big.x.y}"`:                                                         "big id pupil",
		`"${has(record.details.room) ? 1 : 2}"`:                                       "details.room id pupil",
		`"${has(record.details) ? 1 : 2}"`:                                            "details id pupil",
		`"${has(record.details) ? record.details.room : ''}"`:                         "details.room id pupil",
		`"${(has(record.details) ? record.details : record.more).room}"`:              "details.room id more.room pupil",
		`"${record.?details.or(record.?more).?room.orValue('')}"`:                     "details.room id more.room pupil",
		`"${record.answers.map(a, a.question)}"`:                                      "answers.question id pupil",
		`"${record.answers.filter(a, a.right).map(a, a.question)}"`:                   "answers.question answers.right id pupil",
		`"${record.answers.exists(a, a.right)}"`:                                      "answers.right id pupil",
		`"${record.answers.transformList(i, a, a.question + i)}"`:                     "answers.question id pupil",
		`"${record.answers[0].text}"`:                                                 "answers.text id pupil",
		`"${record.marks.maths}"`:                                                     "id marks.maths pupil",
		`"${record.marks['the arts']}"`:                                               "id marks.the arts pupil",
		`"${record.marks[record.pupil]}"`:                                             "id marks pupil",
		`"${record.marks.all(k, k != '')}"`:                                           "id marks pupil",
		`"${cel.bind(d, record.details, d.room + d.room)}"`:                           "details.room id pupil",
		`"${jsonText(record.details)}"`:                                               "details id pupil",
		`"${record.?details.optMap(d, d.room)}"`:                                      "details.room id pupil",
		`"${filled(record.?details.?room).hasValue()}"`:                               "details.room id pupil",
		`"${[record.details.room, record.details.seconds > 1.0 ? '' : record.note]}"`: "details.room details.seconds id note pupil",
	} {
		m := load(t, result("raw: "+template))
		if got := strings.Join(m.Fields("attempt"), " "); got != want {
			t.Errorf("%s: %s, want %s", template, got, want)
		}
	}
}

func TestMissingLookup(t *testing.T) {
	m := load(t, quizzes)
	_, err := convert(t, m, attempt)
	var e *EvalError
	if !errors.As(err, &e) || e.Kind != KindMissingRecord || e.Code() != "missing_lookup" {
		t.Errorf("no quiz: %v", err)
	}
	// Without a quiz id nothing is asked for; without a text in the answers nothing is made.
	out, err := convert(t, m, `{"id": 7, "pupil": "ann", "at": "2024-05-01T08:00:00Z", "note": "parts", "answers": [{"question": 3}]}`)
	if err != nil || len(out) != 0 {
		t.Errorf("%d statements, %v", len(out), err)
	}
	e2, err := m.Begin("attempt", []byte(attempt))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e2.Statements(); err == nil {
		t.Error("statements without the lookups")
	}
	if err := e2.Supply("nothing"); !errors.Is(err, ErrDocument) {
		t.Errorf("supplied what is not asked for: %v", err)
	}
}

func TestChoice(t *testing.T) {
	m := load(t, quizzes)
	base := `{"id": %d, "pupil": "%s", "at": "2024-05-01T08:00:00Z", "note": "%s", "answers": [{"question": 1, "text": "x"}]}`
	for name, c := range map[string]struct {
		id          int
		pupil, note string
		want        string
	}{
		"when says no":         {0, "ann", "plain", ""},
		"nothing for it":       {1, "ann", "other", ""},
		"the one for all":      {99, "ann", "other", "always"},
		"for of one":           {99, "ann", "parts", "error reference"},
		"refused":              {1, "nobody", "plain", "error refused"},
		"skipped, not refused": {0, "nobody", "plain", ""},
	} {
		out, err := convert(t, m, fmt.Sprintf(base, c.id, c.pupil, c.note))
		var got []string
		for _, o := range out {
			got = append(got, o.Template)
		}
		var e *EvalError
		if errors.As(err, &e) {
			got = []string{"error", string(e.Kind)}
			if e.Kind == KindRefused && (e.Reason != "no_pupil" || !strings.Contains(err.Error(), "it belongs to no one")) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s (%v)", name, s, c.want, err)
		}
	}
}

func TestParamsAndCatalogue(t *testing.T) {
	m := load(t, quizzes, WithParams(map[string]any{"site": "https://other.example", "names": map[string]any{"ann": "A1"}}))
	if !m.Catalogue("https://other.example/quiz/5") || m.Catalogue("https://school.example/quiz/5") || !m.Catalogue("urn:course:m1") {
		t.Error("wrong catalogue")
	}
	e, err := m.Begin("attempt", []byte(attempt))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := e.Subject()
	if err != nil || string(subject) != `{"account":{"homePage":"https://other.example","name":"A1"}}` {
		t.Errorf("%s, %v", subject, err)
	}
	for _, wrong := range []map[string]any{{"sites": "x"}, {"site": 7}, {"names": []any{"a"}}, {"names": map[string]any{"a": 1}}, {"names": `{"a": "b"}`}} {
		if _, err := Load([]byte(quizzes), school(), WithParams(wrong)); !errors.Is(err, ErrDocument) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	required := strings.Replace(quizzes, `{default: "https://school.example", about: Address of the school.}`, "{about: Address.}", 1)
	if _, err := Load([]byte(required), school()); err == nil || !strings.Contains(err.Error(), "has no value") {
		t.Errorf("required: %v", err)
	}
}

// TestKeys: lookup keys have the form that the host gives records' keys.
func TestKeys(t *testing.T) {
	document := strings.Replace(head, "    statements:", "    lookups:\n      quiz: {on: {id: record.id}}\n      course: {on: {code: record.note}}\n      question: {on: {id: record.id + 1}}\n    statements:", 1)
	e, err := load(t, document).Begin("attempt", []byte(`{"id": 7, "pupil": "p", "note": "a\u00e9\"\/b"}`))
	if err != nil {
		t.Fatal(err)
	}
	needs, err := e.Needs()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, need := range needs {
		got = append(got, string(need.Key))
	}
	if diff := cmp.Diff([]string{`[7]`, `["aé\"/b"]`, `[8]`}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCircles(t *testing.T) {
	circle := strings.Replace(quizzes, "  quiz:\n  question", "  quiz: {lookups: {question: {on: {id: record.id}}}}\n  question", 1)
	circle = strings.Replace(circle, "  question:\n  attempt", "  question: {lookups: {quiz: {on: {id: record.quiz}}}}\n  attempt", 1)
	if _, err := Load([]byte(circle), school()); err == nil || !strings.Contains(err.Error(), "look each other up in a circle") {
		t.Errorf("streams: %v", err)
	}
	fragments := strings.Replace(quizzes, `  text: "in`, "  a: {$use: b}\n  b: {x: {$use: a}}\n  text: \"in", 1)
	fragments = strings.Replace(fragments, "$use: common\n          verb: {id: \"${verb.id}\"}", "$use: [common, a]\n          verb: {id: \"${verb.id}\"}", 1)
	if _, err := Load([]byte(fragments), school()); err == nil || !strings.Contains(err.Error(), "uses itself") {
		t.Errorf("fragments: %v", err)
	}
}

func TestLookupErrors(t *testing.T) {
	for from, c := range map[string]struct{ to, want string }{
		`quiz: {on: {id: "record.?quiz"}}`:       {`quiz: {on: {id: record.pupil}}`, "id of quiz is int, and the expression gives a text"},
		`{quiz: "record.?quiz"}}`:                {`{qiz: "record.?quiz"}}`, "question has no field qiz"},
		"course: {on: {code":                     {"course: {on: {name", "name is not in the key of the stream course"},
		"questions: {stream: question,":          {"questions: {stream: qestion,", `did you mean "question"?`},
		`many: true, on: {quiz: "record.?quiz"}`: {`on: {quiz: "record.?quiz"}`, "quiz is not in the key of the stream question"},
		"kind: \"'quiz'\", id: record.quiz}":     {"kind: \"'quiz'\"}", "the fragment activity needs the argument id"},
		"when: answer.?text":                     {"when: anwser.?text", `did you mean "answer"?`},
		"q.id == answer.question":                {"q.idd == answer.question", "question has no field idd"},
		"is: [both, parts]":                      {"is: [both, parts]\n        is: x", "written twice"},
		"as: [number, answer]":                   {"as: [number, answer, more]", "`for` and `as` belong together"},
		"match: record.?note.orValue('plain')":   {"about: x", "`is` without a `match`"},
		"strong: true}":                          {"strong: 3, id2: [1, a]}", "values of different types"},
	} {
		document := strings.Replace(quizzes, from, c.to, 1)
		if document == quizzes {
			t.Fatalf("%q is not in the document", from)
		}
		if _, err := Load([]byte(document), school()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", c.to, err, c.want)
		}
	}
}

// TestConcurrent: one mapping serves many goroutines.
func TestConcurrent(t *testing.T) {
	m := load(t, quizzes)
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			for range 50 {
				out, err := convert(t, m, attempt, stored, map[string][]string{`course ["m1"]`: {`{"code": "m1", "name": "Numbers"}`}})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, o := range out {
					seen[string(o.JSON)]++
				}
				mu.Unlock()
			}
		}()
	}
	group.Wait()
	if len(seen) != 3 {
		t.Errorf("%d different statements, want 3", len(seen))
	}
}

// TestSteadyParts: what does not change under `for` is rendered once, and what changes is not.
func TestSteadyParts(t *testing.T) {
	m := load(t, `
name: steady
version: 1
fragments:
  both: {$arguments: [a, b], x: "${a}", y: "${b}", z: {deep: "${record.pupil}"}}
streams:
  attempt:
    subject: {account: {homePage: "https://x.example", name: "${record.pupil}"}}
    statements:
      - name: first
        for: record.tags
        as: tag
        let: {loud: tag.upperAscii()}
        statement:
          verb: {id: "urn:v:${record.id}"}
          object: {id: "urn:${tag}"}
          result: {extensions: {"urn:steady": {$use: both, $with: {a: record.pupil, b: record.id}}, "urn:loud": {$use: both, $with: {a: record.pupil, b: loud}}}}
      - name: second
        for: record.tags
        as: [n, tag]
        statement:
          verb: {id: "urn:w"}
          object: {id: "urn:${n}"}
          result: {extensions: {"urn:steady": {$use: both, $with: {a: record.pupil, b: record.id}}, "urn:none": "${record.?quiz}"}}
`)
	out, err := convert(t, m, `{"id": 7, "pupil": "p", "tags": ["a", "b"]}`)
	if err != nil {
		t.Fatal(err)
	}
	steady := `"urn:steady":{"x":"p","y":7,"z":{"deep":"p"}}`
	want := []string{
		`"urn:v:7"},"object":{"id":"urn:a"},"result":{"extensions":{` + steady + `,"urn:loud":{"x":"p","y":"A","z":{"deep":"p"}}}}}`,
		`"urn:v:7"},"object":{"id":"urn:b"},"result":{"extensions":{` + steady + `,"urn:loud":{"x":"p","y":"B","z":{"deep":"p"}}}}}`,
		`"urn:w"},"object":{"id":"urn:0"},"result":{"extensions":{` + steady + `}}}`,
		`"urn:w"},"object":{"id":"urn:1"},"result":{"extensions":{` + steady + `}}}`,
	}
	for i, o := range out {
		if !strings.HasSuffix(string(o.JSON), want[i]) {
			t.Errorf("got  %s\nwant %s", o.JSON, want[i])
		}
	}
	if len(out) != 4 {
		t.Errorf("%d statements", len(out))
	}
}
