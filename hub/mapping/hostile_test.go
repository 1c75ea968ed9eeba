package mapping

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// FuzzLoad: whatever a document says, Load gives a mapping or complaints, and ends.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{head, quizzes, result("a: ${record.score}"), "", "a: b", "name: x\nversion: 1\nstreams: [a]\n",
		"name: x\nversion: 1\nstreams:\n  attempt: {statements: [{name: a, statement: {$use: [a, [b]]}}]}\n",
		"name: 1\nversion: []\nstreams: {attempt: 7}\ntables: {a: [1]}\nconstants: x\nfragments: {a: {$arguments: {}}}\nparams: {p: {type: 3}}\n",
		result(`"${a": ${b}`, "$ref: [x]", "$with: 3"), strings.Repeat("a: {", 2000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		m, err := Load([]byte(document), school())
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%T is no *Error: %v", err, err)
			}
			return
		}
		e, err := m.Begin("attempt", []byte(`{"id": 1, "pupil": "p"}`))
		if err == nil {
			_, _ = e.Needs()
			_, _ = e.Statements()
		}
	})
}

// expressions fail in many ways on records whose every text is the secret.
var failing = []string{
	"int(record.note)", "double(record.note)", "timestamp(record.note)", "duration(record.note)", "bool(record.note)", "uint(record.note)",
	"parsePhp(record.note)", "parsePhp('s:1:' + record.note)", "rows(record.big.?a, {record.note: record.note})[3]", "parseJson(record.note)", "parseJson('{' + record.note).x", "urlDecode('%' + record.note)", "uuid5(record.note, record.note)",
	"record.note.matches('(' + record.note)", "capture('x', '[' + record.note)", "record.marks[record.note]", "record.big[record.note]",
	"record.big.a[record.note]", "record.tags[int(record.note)]", "record.tags[size(record.note) * 100]", "record.note.substring(900)",
	"record.note.charAt(900)", "record.big + record.note", "record.big < record.note", "record.note.split(record.note)[9]",
	"'%d'.format([dyn(record.note)])", "record.note.replace(record.note, record.note, -1).substring(9000)", "[record.note].join(record.note).charAt(5000)",
	"record.big.a.b.c", "size(record.big.n)", "math.greatest([dyn(record.note), 1])", "record.score / size(record.details.?extra.orValue(''))",
	"{record.note: 1, record.pupil: 2}[record.note + 'x']", "record.tags.map(t, int(t))", "record.answers.map(a, a.question / 0)",
	"cel.bind(x, record.note, int(x))", "record.tags.sortBy(t, int(t))", "timestamp(record.note).getFullYear('x')",
	"timestamp('2024-01-01T00:00:00Z').getHours(record.note)", "record.details.extra.y",
}

// TestNoValueInErrors: errors of any expression, alone, inside a text, as a key and as an argument, hold no value.
func TestNoValueInErrors(t *testing.T) {
	loaded, failed := 0, 0
	for _, expression := range failing {
		for _, template := range []string{`"${E}"`, `"a ${E} b"`, `{"${E}": 1}`, `{"${string(E)}": 1}`, `"${filled(optional.of(E))}"`} {
			document := result("x: |-\n                " + strings.ReplaceAll(strings.Trim(template, `"`), "E", expression))
			if strings.HasPrefix(template, "{") {
				document = result("x: {? |-\n                " + strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(template, `{"`), `": 1}`), "E", expression) + "\n              : 1}")
			}
			m, err := Load([]byte(document), school())
			if err != nil {
				continue // the type checker refuses some of the combinations
			}
			loaded++
			rapid.Check(t, func(t *rapid.T) {
				secret := rapid.StringMatching(`[a-z]{6}[0-9]{4}'?"?`).Draw(t, "secret")
				quoted := strings.ReplaceAll(secret, `"`, `\"`)
				record := strings.ReplaceAll(`{"id": 1, "pupil": "S", "note": "S", "score": 0, "big": {"S": "S", "a": "S", "n": 12}, "tags": ["S"], "marks": {"S": 1},
					"details": {"room": "S", "extra": "S"}, "answers": [{"question": 1, "text": "S"}]}`, "S", quoted)
				_, err := convertQuietly(m, record)
				if err != nil {
					failed++
				}
				if err != nil && strings.Contains(err.Error(), secret[:10]) {
					t.Fatalf("%s: %v", expression, err)
				}
			})
		}
	}
	if t.Logf("%d mappings, %d failures", loaded, failed); loaded < 100 || failed < 10*loaded/2 {
		t.Errorf("only %d mappings loaded and failed %d times", loaded, failed)
	}
}

// TestFragmentsThatMultiply: ten fragments, each of which uses the next ten times, do not fill the memory.
func TestFragmentsThatMultiply(t *testing.T) {
	var b strings.Builder
	b.WriteString("fragments:\n")
	for i := range 10 {
		fmt.Fprintf(&b, "  f%d: {", i)
		for j := range 10 {
			fmt.Fprintf(&b, "k%d: {$use: f%d}, ", j, i+1)
		}
		b.WriteString("}\n")
	}
	b.WriteString("  f10: {x: \"${record.id}\"}\n")
	document := strings.Replace(head, "streams:", b.String()+"streams:", 1) + "          result: {extensions: {$use: f0}}\n"
	_, err := Load([]byte(document), school())
	if err == nil || !strings.Contains(err.Error(), "use fragments less often") {
		t.Errorf("%v", err)
	}
}

func convertQuietly(m *Mapping, record string) ([]Output, error) {
	e, err := m.Begin("attempt", []byte(record))
	if err != nil {
		return nil, err
	}
	return e.Statements()
}
