package mapping

import (
	"errors"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/contract"
)

func opt(name string, t contract.Type) contract.Field {
	return contract.Field{Name: name, Type: t, Optional: true}
}

// school is a small made-up source that the tests of this package share.
func school() []contract.Stream {
	return []contract.Stream{
		{Name: "attempt", Key: []string{"id"}, Subject: "pupil", Fields: []contract.Field{
			{Name: "id", Type: contract.Int}, {Name: "pupil", Type: contract.String},
			opt("score", contract.Int), opt("weight", contract.Double), opt("at", contract.Timestamp), opt("big", contract.Any),
			opt("quiz", contract.Int), opt("note", contract.String), opt("passed", contract.Bool),
			{Name: "details", Type: contract.Object, Optional: true, Fields: []contract.Field{
				opt("room", contract.String), opt("seconds", contract.Double), opt("extra", contract.Any)}},
			{Name: "more", Type: contract.Object, Optional: true, Fields: []contract.Field{
				opt("room", contract.String), opt("seconds", contract.Double), opt("extra", contract.Any)}},
			{Name: "answers", Type: contract.List, Optional: true, Elem: &contract.Field{Type: contract.Object, Fields: []contract.Field{
				{Name: "question", Type: contract.Int}, opt("text", contract.String), opt("right", contract.Bool)}}},
			{Name: "tags", Type: contract.List, Optional: true, Elem: &contract.Field{Type: contract.String}},
			{Name: "marks", Type: contract.Map, Optional: true, Elem: &contract.Field{Type: contract.Double}},
		}},
		{Name: "quiz", Key: []string{"id"}, Fields: []contract.Field{
			{Name: "id", Type: contract.Int}, {Name: "title", Type: contract.String}, {Name: "course", Type: contract.String},
			opt("secret", contract.String)}},
		{Name: "course", Key: []string{"code"}, Fields: []contract.Field{
			{Name: "code", Type: contract.String}, {Name: "name", Type: contract.String}}},
		{Name: "question", Key: []string{"id"}, Fields: []contract.Field{
			{Name: "id", Type: contract.Int}, {Name: "quiz", Type: contract.Int}, {Name: "prompt", Type: contract.String}}},
	}
}

const head = `
name: school
version: 3
streams:
  attempt:
    subject:
      account: {homePage: "https://school.example", name: "${record.pupil}"}
    statements:
      - name: tried
        statement:
          verb: {id: "http://adlnet.gov/expapi/verbs/attempted"}
          object: {id: "https://school.example/quiz/${record.id}"}
`

func load(t *testing.T, document string, opts ...Option) *Mapping {
	t.Helper()
	m, err := Load([]byte(document), school(), opts...)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return m
}

// convert gives the statements of a record of the stream attempt, without the parts that every statement has.
func convert(t *testing.T, m *Mapping, record string, lookups ...map[string][]string) ([]Output, error) {
	t.Helper()
	e, err := m.Begin("attempt", []byte(record))
	if err != nil {
		return nil, err
	}
	for {
		needs, err := e.Needs()
		if err != nil {
			return nil, err
		}
		if len(needs) == 0 {
			return e.Statements()
		}
		for _, need := range needs {
			var found [][]byte
			for _, given := range lookups {
				for _, text := range given[need.Stream+" "+string(need.Key)] {
					found = append(found, []byte(text))
				}
			}
			if err := e.Supply(need.Name, found...); err != nil {
				return nil, err
			}
		}
	}
}

// result wraps a result template into a mapping.
func result(lines ...string) string {
	return head + "          result:\n            " + strings.Join(lines, "\n            ") + "\n"
}

func tail(t *testing.T, out Output) string {
	t.Helper()
	_, rest, found := strings.Cut(string(out.JSON), `"result":`)
	if !found {
		return ""
	}
	return strings.TrimSuffix(rest, "}")
}

func TestStatement(t *testing.T) {
	m := load(t, head)
	out, err := convert(t, m, `{"id": 7, "pupil": "ann"}`)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"actor":{"account":{"homePage":"https://school.example","name":"ann"}},` +
		`"verb":{"id":"http://adlnet.gov/expapi/verbs/attempted"},"object":{"id":"https://school.example/quiz/7"}}`
	if len(out) != 1 || string(out[0].JSON) != want {
		t.Errorf("got %s\nwant %s", out[0].JSON, want)
	}
	if got := m.Fields("attempt"); strings.Join(got, " ") != "id pupil" {
		t.Errorf("fields %v", got)
	}
}

func TestValues(t *testing.T) {
	const record = `{"id": 7, "pupil": "ann", "score": 9007199254740993, "weight": 0.12345678901234567890,
		"at": "2024-02-03T10:00:00.250+02:00", "big": {"n": 9007199254740993, "deep": [1, 2.50, {"x": null}]},
		"details": {"room": "B\u00fc \"1\"", "seconds": 195}, "answers": [{"question": 1, "text": "a", "right": true}, {"question": 2, "right": false}],
		"tags": ["x", "y"], "marks": {"b": 2, "a": 1.5}, "note": "<p>Is <b>1 &lt; 2</b>?</p><p>Yes</p>"}`
	for name, c := range map[string]struct{ template, want string }{
		"int above 2^53":     {"raw: ${record.score}", `{"raw":9007199254740993}`},
		"computed int":       {"raw: ${record.score + 1}", `{"raw":9007199254740994}`},
		"any int above 2^53": {"raw: ${record.big.n}", `{"raw":9007199254740993}`},
		"any whole":          {"raw: ${record.big}", `{"raw":{"n":9007199254740993,"deep":[1,2.50,{"x":null}]}}`},
		"double digits":      {"raw: ${record.weight}", `{"raw":0.12345678901234567890}`},
		"double of integer":  {"raw: ${record.details.seconds}", `{"raw":195}`},
		"division":           {"raw: ${record.details.seconds / 2.0}", `{"raw":97.5}`},
		"timestamp":          {"raw: ${record.at}", `{"raw":"2024-02-03T08:00:00.25Z"}`},
		"text in text":       {`raw: "at ${record.at} in ${record.details.room}: ${record.id}/${record.weight > 0.1}"`, `{"raw":"at 2024-02-03T08:00:00.25Z in Bü \"1\": 7/true"}`},
		"escape":             {`raw: "$${record.id} costs $5 {x}"`, `{"raw":"${record.id} costs $5 {x}"}`},
		"braces in code":     {`raw: "${{'a': '}'}['a']}"`, `{"raw":"}"}`},
		"omit":               {`{raw: 1, max: "${record.id > 3 ? omit : 2}"}`, `{"raw":1}`},
		"omit typed":         {`{raw: 1, max: "${has(record.quiz) ? record.quiz : omit}"}`, `{"raw":1}`},
		"optional":           {`{raw: 1, max: "${record.?quiz}", min: "${record.?score}"}`, `{"raw":1,"min":9007199254740993}`},
		"null drops":         {`{raw: 1, max: "${null}"}`, `{"raw":1}`},
		"literal null stays": {`{raw: 1, extensions: {"urn:x": null}}`, `{"raw":1,"extensions":{"urn:x":null}}`},
		"empty by dropping":  {`{raw: 1, extensions: {"urn:x": "${omit}"}}`, `{"raw":1}`},
		"empty as written":   {`{raw: 1, extensions: {}, l: []}`, `{"raw":1,"extensions":{},"l":[]}`},
		"list drops":         {`l: [1, "${omit}", 3]`, `{"l":[1,3]}`},
		"computed key":       {`{extensions: {"${record.pupil + ':x'}": 1, "urn:${record.id}": 2}}`, `{"extensions":{"ann:x":1,"urn:7":2}}`},
		"computed key drops": {`{a: 1, "${omit}": 2}`, `{"a":1}`},
		"map of records":     {`l: "${record.answers.map(a, {'id': string(a.question), 'text': a.?text})}"`, `{"l":[{"id":"1","text":"a"},{"id":"2"}]}`},
		"filter":             {`l: "${record.answers.filter(a, a.right).map(a, a.question)}"`, `{"l":[1]}`},
		"two variables":      {`m: "${record.marks.transformMap(k, v, v * 2.0)}"`, `{"m":{"a":3,"b":4}}`},
		"map in order":       {`m: "${record.marks}"`, `{"m":{"b":2,"a":1.5}}`},
		"join":               {`m: "${record.tags.join('+')}"`, `{"m":"x+y"}`},
		"made map sorted":    {`m: "${{'z': 1, 'b': 2, 'y': 3, 'a': 4}}"`, `{"m":{"a":4,"b":2,"y":3,"z":1}}`},
		"plain text":         {`m: "${plainText(record.note)}"`, `{"m":"Is 1 < 2? Yes"}`},
		"yaml kinds":         {`{i: 12, f: 1.5, b: true, s: "12", d: 2024-01-01, o: no}`, `{"i":12,"f":1.5,"b":true,"s":"12","d":"2024-01-01","o":"no"}`},
		"bind":               {`m: "${cel.bind(x, record.details, x.room + x.room)}"`, `{"m":"Bü \"1\"Bü \"1\""}`},
		"either":             {`m: "${(has(record.more) ? record.more : record.details).seconds}"`, `{"m":195}`},
		"or":                 {`m: "${record.?more.or(record.?details).?room.orValue('none')}"`, `{"m":"Bü \"1\""}`},
	} {
		t.Run(name, func(t *testing.T) {
			m := load(t, result(c.template))
			out, err := convert(t, m, record)
			if err != nil {
				t.Fatal(err)
			}
			if got := tail(t, out[0]); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	for name, c := range map[string]struct{ document, want string }{
		"misspelt field":    {result("score: ${record.scor}"), "line 14, stream attempt, statement tried, result.score: attempt has no field scor in `record.scor`; did you mean \"score\"?"},
		"misspelt deep":     {result("score: ${record.details.rom}"), `attempt.details has no field rom`},
		"misspelt variable": {result("score: ${recrd.score}"), `did you mean "record"?`},
		"misspelt function": {result("score: ${plaintext(record.pupil)}"), `did you mean "plainText"?`},
		"computed field":    {result("score: ${record[record.pupil]}"), "a record is read by a computed key"},
		"whole record":      {result("score: ${record}"), "a whole record is used"},
		"whole record dyn":  {result("score: ${dyn(record)[record.pupil]}"), "a whole record is used"},
		"whole record json": {result("score: ${jsonText(record)}"), "a whole record is used"},
		"null side":         {result(`score: "${has(record.score) ? record.score : null}"`), "write `omit`"},
		"type":              {result("score: ${record.pupil + 1}"), "the operator does not take"},
		"unknown key":       {strings.Replace(head, "statements:", "statments:", 1), `line 8, streams.attempt: unknown key "statments"; did you mean "statements"?`},
		"unknown stream":    {strings.Replace(head, "attempt:", "atempt:", 1), `the connector has no stream atempt`},
		"twice":             {head + "          verb: {id: x}\n", `the key "verb" is written twice`},
		"syntax":            {result("score: ${record.score +}"), "not a CEL expression"},
		"no end":            {result("score: ${record.score"), "${ without its }"},
		"alias":             {"name: &x a\nversion: 1\nstreams: {}\n", "anchors and aliases"},
		"not yaml":          {"name: a\n  b: [\n", "not valid YAML"},
		"marks in code":     {strings.Replace(head, "    statements:", "    when: ${record.id == 1}\n    statements:", 1), "only templates need the marks"},
		"when type":         {strings.Replace(head, "    statements:", "    when: record.id\n    statements:", 1), "the expression gives a number"},
		"no verb":           {strings.Replace(head, "verb:", "vreb:", 1), "the statement has no verb"},
		"own id":            {head + "          id: x\n", "the template sets id"},
		"fragment":          {head + "          $use: nothing\n", "there is no fragment nothing"},
		"bad regex":         {result(`score: "${record.pupil.matches('(')}"`), "invalid matches argument"},
		"refuse a value":    {result(`score: "${refuse(record.pupil)}"`), "refuse() with something else than constant texts"},
		"ref":               {result("score: {$ref: other}"), "$ref names the statement other"},
		"reserved":          {strings.Replace(head, "    statements:", "    let: {record: '1'}\n    statements:", 1), "the name record is taken"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load([]byte(c.document), school())
			if err == nil {
				t.Fatal("loaded")
			}
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, ErrDocument) {
				t.Fatalf("%T is no *Error", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if e.Line == 0 {
				t.Errorf("no line in %v", err)
			}
		})
	}
}
