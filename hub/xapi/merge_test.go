package xapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMergeObjects(t *testing.T) {
	for name, test := range map[string]struct{ old, fresh, want string }{
		"new properties come last": {`{"a":1}`, `{"b":2}`, `{"a":1,"b":2}`},
		"replaced, not deeper":     {`{"a":{"x":1},"b":2}`, `{"a":{"y":2}}`, `{"a":{"y":2},"b":2}`},
		"numbers as written":       {`{ "a" : 1.50e0 }`, `{"b":12345678901234567890}`, `{"a":1.50e0,"b":12345678901234567890}`},
		"names by meaning":         {`{"\u0061":1}`, `{"a":2}`, `{"\u0061":2}`},
		"into nothing":             {`{}`, `{"a":null}`, `{"a":null}`},
		"nothing":                  {`{}`, ` {} `, `{}`},
	} {
		got, err := MergeObjects([]byte(test.old), []byte(test.fresh))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, test.want)
		}
	}
	for _, bad := range []string{``, `[]`, `1`, `{"a":1`, `{"a":1}x`, `{"a":1,"a":2}`, `{"a":1}{}`, "{\"a\":\"\xff\"}", strings.Repeat(`{"a":`, 20_000)} {
		if _, err := MergeObjects([]byte(`{}`), []byte(bad)); err != ErrNotObject {
			t.Errorf("into an object %.20s: %v", bad, err)
		}
		if _, err := MergeObjects([]byte(bad), []byte(`{}`)); err != ErrNotObject {
			t.Errorf("%.20s: %v", bad, err)
		}
	}
}

func TestMergeDefinition(t *testing.T) {
	got, err := MergeDefinition(
		[]byte(`{"name":{"en":"Quiz","de":"Test"},"type":"http://a.example/old","extensions":{"http://a.example/x":1},"choices":[{"id":"a"}]}`),
		[]byte(`{"name":{"de":"Prüfung","fr":"Examen"},"type":"http://a.example/new","extensions":{"http://a.example/y":2},"choices":[{"id":"b"}],"moreInfo":"http://a.example"}`))
	want := `{"name":{"en":"Quiz","de":"Prüfung","fr":"Examen"},"type":"http://a.example/new","extensions":{"http://a.example/x":1,"http://a.example/y":2},"choices":[{"id":"b"}],"moreInfo":"http://a.example"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

// Merging is what a map does; merged with itself, or with nothing, an object is as it was.
func TestMergeLaw(t *testing.T) {
	object := rapid.MapOf(rapid.String(), rapid.OneOf(rapid.Int().AsAny(), rapid.String().AsAny(), rapid.Just[any](map[string]any{"x": "y"})))
	rapid.Check(t, func(t *rapid.T) {
		a, b := object.Draw(t, "a"), object.Draw(t, "b")
		old, _ := json.Marshal(a)
		fresh, _ := json.Marshal(b)
		text, err := MergeObjects(old, fresh)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range b {
			a[name] = value
		}
		want, _ := json.Marshal(a)
		var got, wanted any
		if json.Unmarshal(text, &got) != nil || json.Unmarshal(want, &wanted) != nil || !cmp.Equal(got, wanted) {
			t.Fatalf("%s and %s give %s", old, fresh, text)
		}
		again, err := MergeObjects(text, fresh)
		if err != nil || string(again) != string(text) {
			t.Fatalf("again: %s", again)
		}
	})
}
