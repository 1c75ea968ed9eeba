package mapping

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// secret stands in every place of a record that an expression of TestEvaluationErrors reads.
const secret = "tok7f3a9c"

func TestEvaluationErrors(t *testing.T) {
	const record = `{"id": 7, "pupil": "` + secret + `", "note": "` + secret + `", "score": 0, "weight": 0.0, "tags": ["` + secret + `"],
		"marks": {"` + secret + `": 1}, "big": {"` + secret + `": "` + secret + `"}, "details": {"room": "` + secret + `"}}`
	for name, c := range map[string]struct {
		template string
		kind     Kind
		field    string
	}{
		"absent field":          {"raw: ${record.quiz}", KindMissing, "quiz"},
		"absent in expression":  {"raw: ${record.quiz + 1}", KindMissing, "quiz"},
		"absent deep":           {"raw: ${record.details.seconds}", KindMissing, "seconds"},
		"absent object":         {"raw: ${record.more.room}", KindMissing, "more"},
		"absent in text":        {`raw: "x ${record.?quiz} y"`, KindMissing, ""},
		"key":                   {`raw: "${record.marks[record.pupil + 'x']}"`, KindMissing, ""},
		"dyn key":               {"raw: ${record.big.other}", KindMissing, ""},
		"index":                 {"raw: ${record.tags[3]}", KindMissing, ""},
		"empty optional":        {"raw: ${record.?quiz.value()}", KindMissing, ""},
		"number of text":        {"raw: ${int(record.note)}", KindType, ""},
		"double of text":        {"raw: ${double(record.note)}", KindType, ""},
		"instant of text":       {"raw: ${timestamp(record.note)}", KindValue, ""},
		"duration of text":      {"raw: ${duration(record.note)}", KindType, ""},
		"bool of text":          {"raw: ${bool(record.note)}", KindType, ""},
		"JSON of text":          {"raw: ${parseJson(record.note)}", KindValue, ""},
		"PHP of text":           {"raw: ${parsePhp(record.note)}", KindValue, ""},
		"row that is not there": {`raw: "${rows([{'id': 1}], {'id': record.note})[0].id}"`, KindMissing, ""},
		"percent of text":       {`raw: "${urlDecode('%' + record.note)}"`, KindValue, ""},
		"namespace of text":     {"raw: ${uuid5(record.note, record.note)}", KindValue, ""},
		"pattern of text":       {`raw: "${capture(record.note, '(' + record.note)}"`, KindValue, ""},
		"matches of text":       {`raw: "${record.note.matches('(' + record.note)}"`, KindValue, ""},
		"dyn overload":          {"raw: ${record.big + 1}", KindType, ""},
		"dyn type":              {"raw: ${size(record.big) + record.big}", KindType, ""},
		"division":              {"raw: ${7 / record.score}", KindRange, ""},
		"modulus":               {"raw: ${7 % record.score}", KindRange, ""},
		"overflow":              {"raw: ${9223372036854775807 + record.id}", KindRange, ""},
		"not a number":          {"raw: ${1.0 / record.weight}", KindRange, ""},
		"bad date":              {"raw: ${date(2024, 2, 30)}", KindRange, ""},
		"far date":              {"raw: ${addDays(date(9999, 12, 31), record.id)}", KindRange, ""},
		"epoch":                 {"raw: ${fromEpoch(1.0 / record.weight)}", KindRange, ""},
		"negative duration":     {"raw: ${isoDuration(record.score - 1)}", KindRange, ""},
		"substring":             {"raw: ${record.note.substring(50)}", KindRange, ""},
		"format":                {`raw: "${'%d'.format([record.big])}"`, KindType, ""},
		"computed key number":   {`{"${record.id}": 1}`, KindType, ""},
		"computed key twice":    {`{"${record.pupil}": 1, "${record.note}": 2}`, KindType, ""},
		"refusal":               {`raw: "${refuse('no_room', 'there is no room')}"`, KindRefused, ""},
		"cost":                  {"raw: ${lists.range(record.id * 500).map(x, lists.range(record.id * 500).map(y, x * y)).size()}", KindCost, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := load(t, result(c.template))
			out, err := convert(t, m, record)
			if err == nil {
				t.Fatalf("gave %s", out[0].JSON)
			}
			var e *EvalError
			if !errors.As(err, &e) {
				t.Fatalf("%T is no *EvalError: %v", err, err)
			}
			if e.Kind != c.kind || e.Field != c.field {
				t.Errorf("kind %s, field %q; want %s, %q: %v", e.Kind, e.Field, c.kind, c.field, err)
			}
			if e.Line != 14 || e.Statement != "tried" || !strings.HasPrefix(e.Path, "result") {
				t.Errorf("wrong place: %v", err)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds a value: %v", err)
			}
		})
	}
}

func TestWrongTypes(t *testing.T) {
	for name, c := range map[string]struct {
		record string
		kind   Kind
	}{
		"text for int":           {`{"id": 1, "pupil": "p", "score": "12"}`, KindType},
		"fraction for int":       {`{"id": 1, "pupil": "p", "score": 1.5}`, KindRange},
		"int beyond 64 bits":     {`{"id": 1, "pupil": "p", "score": 9223372036854775808}`, KindRange},
		"int far beyond 64 bits": {`{"id": 1, "pupil": "p", "score": 92233720368547758080000}`, KindRange},
		"object for int":         {`{"id": 1, "pupil": "p", "score": {}}`, KindType},
		"null":                   {`{"id": 1, "pupil": "p", "score": null}`, KindMissing},
	} {
		for _, expression := range []string{"record.score", "record.score + 0"} {
			m := load(t, result("raw: ${"+expression+"}"))
			_, err := convert(t, m, c.record)
			var e *EvalError
			if !errors.As(err, &e) || e.Kind != c.kind || e.Field != "score" {
				t.Errorf("%s, %s: %v, want kind %s", name, expression, err, c.kind)
			}
		}
	}
}

func TestBadRecords(t *testing.T) {
	m := load(t, head)
	for _, record := range []string{"", "[]", "7", "{", `{"id": 1,}`, `{"id": 1} x`, "{\"id\": \"\xff\"}", `{"id": 1, "id": 2}`} {
		_, err := m.Begin("attempt", []byte(record))
		var e *EvalError
		if !errors.As(err, &e) || e.Kind != KindRecord || e.Code() != "bad_record" {
			t.Errorf("%q: %v", record, err)
		}
	}
	if _, err := m.Begin("other", []byte("{}")); !errors.Is(err, ErrDocument) {
		t.Errorf("unknown stream: %v", err)
	}
}

// TestCostOfARecord: not one expression is too dear, but all of a record's together are.
func TestCostOfARecord(t *testing.T) {
	document := strings.Replace(head, "      - name: tried\n", "      - name: tried\n        for: lists.range(500)\n        as: n\n        when: lists.range(200).map(x, x * n).size() > 0\n", 1)
	_, err := convert(t, load(t, document, WithCostLimit(50_000)), `{"id": 1, "pupil": "p"}`)
	var e *EvalError
	if !errors.As(err, &e) || e.Kind != KindCost {
		t.Errorf("got %v", err)
	}
	if out, err := convert(t, load(t, document, WithCostLimit(10_000_000)), `{"id": 1, "pupil": "p"}`); err != nil || len(out) != 500 {
		t.Errorf("%d statements, %v", len(out), err)
	}
}

func TestCertainCostIsRefusedOnLoad(t *testing.T) {
	_, err := Load([]byte(result("raw: ${lists.range(5000).map(x, x).size()}")), school(), WithCostLimit(100))
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Problem, "more work than a record may") {
		t.Errorf("got %v", err)
	}
}

func TestEstimate(t *testing.T) {
	e := load(t, result("raw: ${record.id + 1}", "max: ${record.tags.size() > 0 && record.tags.all(x, x != '')}")).Estimate()
	if e.Bounded == 0 || e.Unbounded != 1 || e.Cost == 0 || e.Cost > 100 || e.Limit != DefaultCostLimit {
		t.Errorf("%+v", e)
	}
}

func TestInterrupt(t *testing.T) {
	m := load(t, result("raw: ${lists.range(record.id * 100000).map(x, x + 1).size()}"))
	e, err := m.Begin("attempt", []byte(`{"id": 1, "pupil": "p"}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.Interrupt(ctx)
	_, err = e.Statements()
	var f *EvalError
	if !errors.As(err, &f) || f.Kind != KindInterrupted {
		t.Errorf("got %v", err)
	}
}
