package xapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// bare is the smallest statement; full has every property of 1.0.3 that does not exclude another.
const (
	bare = `{"actor":{"mbox":"mailto:ada@campus.example"},"verb":{"id":"https://verbs.example/read"},"object":{"id":"https://campus.example/book/1"}}`
	full = `{
 "id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01",
 "actor":{"objectType":"Group","name":"Table 4","account":{"homePage":"https://campus.example","name":"table-4"},"member":[
   {"objectType":"Agent","name":"Ada","mbox":"mailto:ada@campus.example"},
   {"mbox_sha1sum":"0123456789abcdef0123456789ABCDEF01234567"},
   {"openid":"https://id.example/bo"}]},
 "verb":{"id":"https://verbs.example/answered","display":{"en":"answered","de-CH":"beantwortete"}},
 "object":{"objectType":"Activity","id":"https://campus.example/quiz/1","definition":{
   "name":{"en":"Quiz"},"description":{"en":"A quiz"},"type":"http://adlnet.gov/expapi/activities/cmi.interaction",
   "moreInfo":"https://campus.example/quiz/1/about","interactionType":"choice",
   "correctResponsesPattern":["a[,]b"],"choices":[{"id":"a","description":{"en":"A"}},{"id":"b"}],
   "extensions":{"https://campus.example/ext/level":{"deep":[1,null,{"x":true}]}}}},
 "result":{"score":{"scaled":0.5,"raw":5,"min":0,"max":10},"success":true,"completion":false,"response":"a","duration":"PT1M30.5S",
   "extensions":{"https://campus.example/ext/tries":2}},
 "context":{"registration":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a02","instructor":{"mbox":"mailto:tutor@campus.example"},
   "team":{"objectType":"Group","member":[{"mbox":"mailto:cy@campus.example"}]},
   "contextActivities":{"parent":{"id":"https://campus.example/course/1"},"grouping":[{"id":"https://campus.example/term/1","objectType":"Activity"}],
     "category":[],"other":[{"id":"https://campus.example/x","definition":{"name":{"en":"X"}}}]},
   "revision":"2","platform":"Campus","language":"en-GB",
   "statement":{"objectType":"StatementRef","id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a03"},
   "extensions":{"https://campus.example/ext/room":"B12"}},
 "timestamp":"2026-01-02T03:04:05.678+01:00",
 "stored":"2026-01-02T03:04:06Z",
 "authority":{"account":{"homePage":"https://hub.example","name":"client"}},
 "version":"1.0.3",
 "attachments":[{"usageType":"https://usage.example/certificate","display":{"en":"Certificate"},"description":{"en":"Of merit"},
   "contentType":"application/pdf","length":1024,"sha2":"495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a","fileUrl":"https://files.example/1.pdf"}]}`
)

// edited applies edits to a JSON text: "/a/b=JSON" sets, "-/a/b" removes. Array elements are named by position.
func edited(t testing.TB, text string, edits ...string) []byte {
	t.Helper()
	var doc any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	for _, edit := range edits {
		pointer, value, set := strings.Cut(edit, "=")
		steps := strings.Split(strings.TrimPrefix(pointer, "-"), "/")[1:]
		at := doc
		for _, step := range steps[:len(steps)-1] {
			at = child(t, at, step)
		}
		last := strings.ReplaceAll(strings.ReplaceAll(steps[len(steps)-1], "~1", "/"), "~0", "~")
		switch at := at.(type) {
		case map[string]any:
			if !set {
				delete(at, last)
				continue
			}
			at[last] = json.RawMessage(value)
		case []any:
			i, err := strconv.Atoi(last)
			if err != nil || i >= len(at) || !set {
				t.Fatalf("edit %q does not fit", edit)
			}
			at[i] = json.RawMessage(value)
		default:
			t.Fatalf("edit %q does not fit %T", edit, at)
		}
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func child(t testing.TB, at any, step string) any {
	t.Helper()
	switch at := at.(type) {
	case map[string]any:
		if next, ok := at[step]; ok {
			return next
		}
	case []any:
		if i, err := strconv.Atoi(step); err == nil && i < len(at) {
			return at[i]
		}
	}
	t.Fatalf("no %q in %T", step, at)
	return nil
}

// ruleCase is a statement made of a base by edits, and what Parse says of it: path and part of the
// reason of its error, or nothing if it is valid.
type ruleCase struct {
	name   string
	base   string // bare if empty
	edits  []string
	path   string
	reason string // "" means valid
	only   Version
}

func runRules(t *testing.T, cases []ruleCase) {
	t.Helper()
	for _, c := range cases {
		for _, v := range []Version{V1, V2} {
			if c.only != 0 && c.only != v {
				continue
			}
			t.Run(fmt.Sprintf("%s/%v", c.name, v), func(t *testing.T) {
				base := c.base
				if base == "" {
					base = bare
				}
				wantVerdict(t, edited(t, base, c.edits...), v, c.path, c.reason)
			})
		}
	}
}

func wantVerdict(t *testing.T, raw []byte, v Version, path, reason string) {
	t.Helper()
	st, err := Parse(raw, v)
	if reason == "" {
		if err != nil {
			t.Fatalf("refused: %v\n%s", err, raw)
		}
		wantRoundTrip(t, st)
		return
	}
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, ErrInvalid) {
		t.Fatalf("got %v, want an *Error that wraps ErrInvalid\n%s", err, raw)
	}
	if e.Path != path || !strings.Contains(e.Reason, reason) {
		t.Fatalf("got %q: %q, want %q: ...%s...\n%s", e.Path, e.Reason, path, reason, raw)
	}
	wantSection := "xAPI 1.0.3 Data "
	if v == V2 {
		wantSection = "IEEE 9274.1.1 "
	}
	if !strings.HasPrefix(e.Section, wantSection) {
		t.Fatalf("section %q for %v", e.Section, v)
	}
}

func TestStatementRules(t *testing.T) {
	runRules(t, []ruleCase{
		{name: "bare"},
		{name: "full", base: full},
		{name: "no actor", edits: []string{"-/actor"}, reason: "needs an actor"},
		{name: "no verb", edits: []string{"-/verb"}, reason: "needs a verb"},
		{name: "no object", edits: []string{"-/object"}, reason: "needs an object"},
		{name: "actor null", edits: []string{"/actor=null"}, path: "/actor", reason: "must be an object, not null"},
		{name: "actor text", edits: []string{`/actor="x"`}, path: "/actor", reason: "must be an object, not a string"},
		{name: "verb array", edits: []string{`/verb=[]`}, path: "/verb", reason: "must be an object, not an array"},
		{name: "object number", edits: []string{`/object=1`}, path: "/object", reason: "must be an object, not a number"},
		{name: "result true", edits: []string{`/result=true`}, path: "/result", reason: "must be an object, not true"},
		{name: "context null", edits: []string{`/context=null`}, path: "/context", reason: "must be an object, not null"},
		{name: "empty result and context", edits: []string{`/result={}`, `/context={}`}},
		{name: "unknown property", edits: []string{`/zebra=1`}, reason: "property 4 is not one of id, actor"},
		{name: "wrong case", edits: []string{`/zZ=1`, `-/zZ`, `/Timestamp="2026-01-02T03:04:05Z"`}, reason: "must be spelt timestamp"},
		{name: "id too long", edits: []string{`/id="9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a011"`}, path: "/id", reason: "UUID"},
		{name: "id with braces", edits: []string{`/id="{9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01}"`}, path: "/id", reason: "UUID"},
		{name: "id urn", edits: []string{`/id="urn:uuid:9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"`}, path: "/id", reason: "UUID"},
		{name: "id without dashes", edits: []string{`/id="9b1b0e536a5e4a3c8a527d0f6f0c1a01"`}, path: "/id", reason: "UUID"},
		{name: "id with wrong letter", edits: []string{`/id="gb1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"`}, path: "/id", reason: "UUID"},
		{name: "id number", edits: []string{`/id=7`}, path: "/id", reason: "must be a string, not a number"},
		{name: "id upper case", edits: []string{`/id="9B1B0E53-6A5E-4A3C-8A52-7D0F6F0C1A01"`}},
		{name: "timestamp text", edits: []string{`/timestamp="yesterday"`}, path: "/timestamp", reason: "RFC 3339"},
		{name: "timestamp -00:00", edits: []string{`/timestamp="2026-01-02T03:04:05-00:00"`}, path: "/timestamp", reason: "-00:00"},
		{name: "timestamp number", edits: []string{`/timestamp=1767322245`}, path: "/timestamp", reason: "must be a string"},
		{name: "timestamp future", edits: []string{`/timestamp="2126-01-02T03:04:05Z"`}},
		{name: "stored text", edits: []string{`/stored="soon"`}, path: "/stored", reason: "RFC 3339"},
		{name: "version 1.0", edits: []string{`/version="1.0"`}},
		{name: "version 1.0.9", edits: []string{`/version="1.0.9"`}},
		{name: "version 1.1.0", edits: []string{`/version="1.1.0"`}, path: "/version", reason: "must be 1.0"},
		{name: "version 0.9.9", edits: []string{`/version="0.9.9"`}, path: "/version", reason: "must be 1.0"},
		{name: "version 2.0.0 in 1.0.3", edits: []string{`/version="2.0.0"`}, path: "/version", reason: "must be 1.0", only: V1},
		{name: "version 2.0.0 in 2.0", edits: []string{`/version="2.0.0"`}, only: V2},
		{name: "version 2.1.0", edits: []string{`/version="2.1.0"`}, path: "/version", reason: "must be 1.0", only: V2},
		{name: "version number", edits: []string{`/version=1.0`}, path: "/version", reason: "must be a string"},
		{name: "authority group of two", edits: []string{`/authority={"objectType":"Group","member":[{"mbox":"mailto:a@x.example"},{"mbox":"mailto:b@x.example"}]}`}},
		{name: "authority group of three", edits: []string{`/authority={"objectType":"Group","member":[{"mbox":"mailto:a@x.example"},{"mbox":"mailto:b@x.example"},{"mbox":"mailto:c@x.example"}]}`},
			path: "/authority", reason: "exactly two members"},
		{name: "authority group with identifier", edits: []string{`/authority={"objectType":"Group","openid":"https://x.example","member":[{"mbox":"mailto:a@x.example"},{"mbox":"mailto:b@x.example"}]}`},
			path: "/authority", reason: "exactly two members"},
		{name: "authority without identifier", edits: []string{`/authority={"name":"x"}`}, path: "/authority", reason: "needs one of mbox"},
		{name: "verb without id", edits: []string{`-/verb/id`}, path: "/verb", reason: "needs an id"},
		{name: "verb id relative", edits: []string{`/verb/id="verbs/read"`}, path: "/verb/id", reason: "absolute IRI"},
		{name: "verb id empty", edits: []string{`/verb/id=""`}, path: "/verb/id", reason: "absolute IRI"},
		{name: "verb unknown property", edits: []string{`/verb/name="x"`}, path: "/verb", reason: "not one of id, display"},
		{name: "verb display text", edits: []string{`/verb/display="read"`}, path: "/verb/display", reason: "must be an object"},
		{name: "verb display bad tag", edits: []string{`/verb/display={"en":"read","a12345678":"x"}`}, path: "/verb/display", reason: "key 2 is not a language tag"},
		{name: "verb display number", edits: []string{`/verb/display={"en":7}`}, path: "/verb/display", reason: "at key 1: must be a string"},
		{name: "voiding", edits: []string{`/verb/id="http://adlnet.gov/expapi/verbs/voided"`, `/object={"objectType":"StatementRef","id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"}`}},
		{name: "voiding an activity", edits: []string{`/verb/id="http://adlnet.gov/expapi/verbs/voided"`}, path: "/object", reason: "needs an object with objectType StatementRef"},
	})
}

// wantReason holds that err is an *Error with the reason, or nil if reason is "".
func wantReason(t *testing.T, err error, reason string) {
	t.Helper()
	if reason == "" {
		if err != nil {
			t.Errorf("unexpected error: %v", err)
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Reason, reason) {
		t.Errorf("got %v, want ...%s...", err, reason)
	}
}
