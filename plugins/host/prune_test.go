package host

import (
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/contract"
)

func attempts() contract.Stream {
	elem := func(f contract.Field) *contract.Field { return &f }
	return contract.Stream{
		Name: "attempts",
		Fields: []contract.Field{
			{Name: "id", Type: contract.Int},
			{Name: "learner", Type: contract.Object, Fields: []contract.Field{
				{Name: "login", Type: contract.String},
				{Name: "region", Type: contract.String, Optional: true},
			}},
			{Name: "score", Type: contract.Double, Optional: true},
			{Name: "passed", Type: contract.Bool, Optional: true},
			{Name: "at", Type: contract.Timestamp, Optional: true},
			{Name: "items", Type: contract.List, Optional: true, Elem: elem(contract.Field{Type: contract.Object, Fields: []contract.Field{
				{Name: "code", Type: contract.String}, {Name: "points", Type: contract.Int, Optional: true},
			}})},
			{Name: "tags", Type: contract.Map, Optional: true, Elem: elem(contract.Field{Type: contract.String})},
			{Name: "extra", Type: contract.Any, Optional: true},
		},
		Key:     []string{"id", "learner.login"},
		Subject: "learner.login",
	}
}

const attempt = `{"id": 7, "learner": {"login": "anna", "region": "north", "undeclared": 1}, "score": 12.50, "passed": true,
	"at": "2026-01-02T03:04:05Z", "items": [{"code": "a", "points": 3, "x": 1}, {"code": "b"}],
	"tags": {"one": "1", "two.three": "2"}, "extra": {"deep": [{"x": 1, "y": 2}, 5], "flat": null}, "undeclared": "secret"}`

func TestPrune(t *testing.T) {
	tests := []struct {
		name   string
		fields []string
		want   string
	}{
		{"nothing", []string{}, `{}`},
		{"one", []string{"score"}, `{"score":12.50}`},
		{"nested", []string{"learner.region"}, `{"learner":{"region":"north"}}`},
		{"an object as a whole keeps what is declared", []string{"learner"}, `{"learner":{"login":"anna","region":"north"}}`},
		{"through a list", []string{"items.code"}, `{"items":[{"code":"a"},{"code":"b"}]}`},
		{"a list as a whole", []string{"items"}, `{"items":[{"code":"a","points":3},{"code":"b"}]}`},
		{"one of a map", []string{`tags.two\.three`}, `{"tags":{"two.three":"2"}}`},
		{"a map as a whole", []string{"tags"}, `{"tags":{"one":"1","two.three":"2"}}`},
		{"through any", []string{"extra.deep.x"}, `{"extra":{"deep":[{"x":1},null]}}`},
		{"any as a whole", []string{"extra"}, `{"extra":{"deep":[{"x":1,"y":2},5],"flat":null}}`},
		{"a path and its beginning", []string{"learner.login", "learner"}, `{"learner":{"login":"anna","region":"north"}}`},
		{"all that is declared", nil, `{"id":7,"learner":{"login":"anna","region":"north"},"score":12.50,"passed":true,` +
			`"at":"2026-01-02T03:04:05Z","items":[{"code":"a","points":3},{"code":"b"}],"tags":{"one":"1","two.three":"2"},` +
			`"extra":{"deep":[{"x":1,"y":2},5],"flat":null}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := newPlan(attempts(), test.fields)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the walker is used again and again
				got, err := p.prune([]byte(attempt))
				if err != nil {
					t.Fatal(err)
				}
				if string(got.json) != test.want {
					t.Errorf("kept %s\nwant %s", got.json, test.want)
				}
				if string(got.key) != `[7,"anna"]` || got.subject != "anna" {
					t.Errorf("key %s, subject %q", got.key, got.subject)
				}
			}
		})
	}
}

func TestPruneRefuses(t *testing.T) {
	tests := []struct{ name, record, want string }{
		{"missing", `{"learner":{"login":"a"}}`, "field id is missing"},
		{"missing below", `{"id":1,"learner":{}}`, "field learner.login is missing"},
		{"null", `{"id":null,"learner":{"login":"a"}}`, "field id is null"},
		{"wrong kind", `{"id":"PRIVATE","learner":{"login":"a"}}`, "field id is a string, not of type int"},
		{"fraction", `{"id":1.5,"learner":{"login":"a"}}`, "field id is a number that is no 64-bit integer"},
		{"beyond 64 bits", `{"id":99999999999999999999,"learner":{"login":"a"}}`, "field id is a number that is no 64-bit integer"},
		{"object", `{"id":1,"learner":"PRIVATE"}`, "field learner is a string, not an object"},
		{"list", `{"id":1,"learner":{"login":"a"},"items":{"PRIVATE":1}}`, "field items is an object, not a list"},
		{"in a list", `{"id":1,"learner":{"login":"a"},"items":[{"code":5}]}`, "field items[].code is a number"},
		{"in a map", `{"id":1,"learner":{"login":"a"},"tags":{"PRIVATE":5}}`, "field tags[] is a number"},
		{"time", `{"id":1,"learner":{"login":"a"},"at":"PRIVATE"}`, "field at is a string that is no RFC 3339 time"},
		{"twice", `{"id":1,"id":2,"learner":{"login":"a"}}`, "field id stands there twice"},
		{"twice, escaped", `{"id":1,"\u0069d":2,"learner":{"login":"a"}}`, "field id stands there twice"},
		{"twice in a map", `{"id":1,"learner":{"login":"a"},"tags":{"PRIVATE":"1","PRIVATE":"2"}}`, "field tags has one name twice"},
		{"twice in any", `{"id":1,"learner":{"login":"a"},"extra":{"PRIVATE":"1","PRIVATE":"2"}}`, "field extra is not valid JSON or has one name twice"},
		{"syntax", `{"id":1,"learner":{"login":PRIVATE}}`, "not valid JSON at byte 27"},
		{"cut", `{"id":1,"learner":{"login":"PRIV`, "not valid JSON"},
		{"more", `{"id":1,"learner":{"login":"a"}} {}`, "something after the record's end"},
		{"no object", `["PRIVATE"]`, "the record is a list, not an object"},
		{"UTF-8", "{\"id\":1,\"learner\":{\"login\":\"PRIVATE\xff\"}}", "not valid JSON at byte"},
		{"UTF-8 in what is skipped", "{\"id\":1,\"learner\":{\"login\":\"a\"},\"undeclared\":\"\xff\"}", "not valid JSON at byte"},
	}
	p, err := newPlan(attempts(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := p.prune([]byte(test.record))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "PRIV") {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if got, err := p.prune([]byte(attempt)); err != nil || got.subject != "anna" {
				t.Errorf("the walker does not recover: %v", err)
			}
		})
	}
}

func TestPlanRefusesUnknownFields(t *testing.T) {
	for _, path := range []string{"nope", "learner.nope", "score.deep", "items.nope", ""} {
		if _, err := newPlan(attempts(), []string{path}); err == nil {
			t.Errorf("path %q: no error", path)
		}
	}
}

func TestContentKey(t *testing.T) {
	s := attempts()
	s.Key, s.Fields = nil, append(s.Fields, contract.Field{Name: "big", Type: contract.Any, Optional: true})
	p, err := newPlan(s, []string{"id"})
	if err != nil {
		t.Fatal(err)
	}
	key := func(record string) string {
		got, err := p.prune([]byte(record))
		if err != nil {
			t.Fatal(err)
		}
		return string(got.key)
	}
	one := key(`{"id":1,"learner":{"login":"a"},"big":10000000000000000001}`)
	if len(one) != 68 || !strings.HasPrefix(one, `["`) {
		t.Errorf("key %s", one)
	}
	if other := key(`{ "big" : 10000000000000000001, "learner":{"login":"a"}, "\u0069d":1}`); other != one {
		t.Error("order, blanks and escapes make another key")
	}
	if other := key(`{"id":1,"learner":{"login":"a"},"big":10000000000000000002}`); other == one {
		t.Error("two large numbers make one key")
	}
}

func TestKeyForms(t *testing.T) {
	s := contract.Stream{Name: "s", Fields: []contract.Field{{Name: "k", Type: contract.String}}, Key: []string{"k"}, Deletes: contract.DeletesTombstone}
	p, err := newPlan(s, []string{})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := contract.Key("é\"</x>")
	for _, record := range []string{`{"k":"é\"</x>"}`, `{"k":"\u00e9\u0022<\/x>"}`} {
		got, err := p.prune([]byte(record))
		if err != nil || string(got.key) != string(want) {
			t.Errorf("key of %s is %s, %v; want %s", record, got.key, err, want)
		}
	}
	if got, err := p.deleted([]byte(` [ "\u00e9\"<\/x>" ] `)); err != nil || string(got) != string(want) {
		t.Errorf("deleted key is %s, %v; want %s", got, err, want)
	}
	for _, key := range []string{`{}`, `[]`, `["a","b"]`, `[null]`, `[[1]]`, `["a"`, ``} {
		if _, err := p.deleted([]byte(key)); err == nil {
			t.Errorf("deleted key %s: no error", key)
		}
	}
}

func BenchmarkPrune(b *testing.B) {
	p, err := newPlan(attempts(), []string{"score", "at"})
	if err != nil {
		b.Fatal(err)
	}
	record := []byte(`{"id":1234567,"learner":{"login":"anna1234"},"score":12.5,"passed":true,"at":"2026-01-02T03:04:05Z"}`)
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.prune(record); err != nil {
			b.Fatal(err)
		}
	}
}
