package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/plugins/sdk"
)

func TestJSON(t *testing.T) {
	for name, test := range map[string]struct {
		path, answer string
		want         []string
		values       Values
	}{
		"the answer":       {"", `[{"a":1}, {"a":2}]`, []string{`{"a":1}`, `{"a":2}`}, Values{}},
		"a path":           {"data.items", `{"n":7,"data":{"x":{"y":true},"items":[{"a":1}],"next":"é"},"z":[1],"e":null}`, []string{`{"a":1}`}, Values{"n": "7", "data.x.y": "true", "data.next": "é"}},
		"null":             {"items", `{"items":null}`, nil, Values{}},
		"members":          {"who.*", `{"who":{"7":{"a":1},"a\"b":{"a":2}}}`, []string{`{"key":"7","value":{"a":1}}`, `{"key":"a\"b","value":{"a":2}}`}, Values{}},
		"PHP wrote none":   {"who.*", `{"who":[],"latest":"x"}`, nil, Values{"latest": "x"}},
		"PHP wrote a list": {"who.*", `{"who":[{"a":1},{"a":2}]}`, []string{`{"key":"0","value":{"a":1}}`, `{"key":"1","value":{"a":2}}`}, Values{}},
		"bad UTF-8":        {"", "[{\"a\":\"\xff\"}]", []string{"{\"a\":\"\xff\"}"}, Values{}},
		"names with dots":  {`a\.b`, `{"a.b":[1],"c.d":2}`, []string{`1`}, Values{`c\.d`: "2"}},
	} {
		var got []string
		values, err := JSON(test.path)(strings.NewReader(test.answer), func(e []byte) error {
			got = append(got, string(e))
			return nil
		})
		if err != nil || !slices.Equal(got, test.want) || fmt.Sprint(values) != fmt.Sprint(test.values) {
			t.Errorf("%s: %q %v %v", name, got, values, err)
		}
	}
}

// endless is a list that is larger than what may be held.
type endless struct{ open, piece string }

func (e *endless) Read(p []byte) (int, error) {
	if e.open != "" {
		n := copy(p, e.open)
		e.open = e.open[n:]
		return n, nil
	}
	return copy(p, e.piece), nil
}

func TestJSONIsBounded(t *testing.T) {
	stop, n := errors.New("stop"), 0
	_, err := JSON("items")(&endless{`{"skip":1,"items":[{"a":0}`, `,{"a":1}`}, func([]byte) error {
		if n++; n == 100_000 {
			return stop
		}
		return nil
	})
	if err != stop {
		t.Errorf("a long list: %v", err)
	}
	_, err = JSON("")(&endless{`[{"a":"`, strings.Repeat("x", 1<<16)}, func([]byte) error { return nil })
	var known *sdk.Error
	if !errors.As(err, &known) || known.Class != sdk.ClassData {
		t.Errorf("an endless record: %v", err)
	}
	_, err = JSON("")(io.MultiReader(strings.NewReader(`[{"a":1},`), brokenReader{}), func([]byte) error { return nil })
	if !errors.As(err, &known) || known.Class != sdk.ClassTransient {
		t.Errorf("a broken connection: %v", err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestXML(t *testing.T) {
	type result struct {
		ID    string   `xml:"id,attr" json:"id"`
		Score []string `xml:"score" json:"score"`
	}
	for name, test := range map[string]struct {
		answer, want string
		class        sdk.Class
	}{
		"namespaces":     {`<?xml version="1.0"?><r:results xmlns:r="urn:x"><page><r:result id="1"><score>2</score><score>3</score></r:result></page><result id="2"/></r:results>`, `{"id":"1","score":["2","3"]}{"id":"2","score":null}`, ""},
		"Latin-1":        {"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><results><result id=\"\xe9\"/></results>", `{"id":"é","score":null}`, ""},
		"none":           {`<results/>`, ``, ""},
		"an error":       {`<error>who?</error>`, ``, sdk.ClassSourceBug},
		"an entity":      {`<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY f SYSTEM "file:///etc/passwd">]><results><result id="&f;"/></results>`, ``, sdk.ClassSourceBug},
		"half":           {`<results><result id="1"/><result id="`, `{"id":"1","score":null}`, sdk.ClassTransient},
		"empty":          {``, ``, sdk.ClassTransient},
		"an error in it": {`<results><result id="1"></wrong></results>`, ``, sdk.ClassSourceBug},
	} {
		got := ""
		_, err := XML[result]("results", "result")(strings.NewReader(test.answer), func(e []byte) error {
			got += string(e)
			return nil
		})
		var known *sdk.Error
		if errors.As(err, &known); got != test.want || (err != nil) != (test.class != "") || err != nil && known.Class != test.class {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestLinked(t *testing.T) {
	for header, want := range map[string]string{
		``: ``, `<a>; rel=next`: `a`, `<a>;rel="prev",<b>; rel="next last"`: `b`, `<a>; title="x, y; rel=next"; rel=prev`: ``, `<a>; REL=NEXT`: `a`, `<a`: ``, `a; rel=next`: ``, `<a,b>; rel=next`: `a,b`,
	} {
		if got := linked(http.Header{"Link": {header}}, "next"); got != want {
			t.Errorf("%s: %q", header, got)
		}
	}
}

// TestWallClock: around the end of summer time the source may take a wall clock's hour either way, and the window still holds what it must.
func TestWallClock(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skipf("no time zones on this machine: %v", err)
	}
	w := &Window{Layout: time.DateTime, Zone: zone}
	turn := time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC) // 03:00 becomes 02:00
	for m := -180; m <= 180; m += 15 {
		at := turn.Add(time.Duration(m) * time.Minute)
		for _, end := range []bool{false, true} {
			shown, err := time.ParseInLocation(time.DateTime, w.write(at, end), zone)
			if err != nil {
				t.Fatal(err)
			}
			earliest, latest := readings(shown)
			if !end && latest.After(at) || end && earliest.Before(at) {
				t.Errorf("%s, end %t, is written %s, which may be %s to %s", at, end, w.write(at, end), earliest.UTC(), latest.UTC())
			}
		}
		if got, ok := w.read(at.In(zone).Format(time.DateTime)); !ok || got.After(at) {
			t.Errorf("%s is read as %s", at, got)
		}
	}
	for text, want := range map[string]string{
		"2026-10-25T02:30:00+02:00": "2026-10-25T00:30:00Z", "2026-10-25T02:30:00+0100": "2026-10-25T01:30:00Z", "2026-07-01": "2026-06-30T22:00:00Z", "2026-07-01T10:00:00.5Z": "2026-07-01T10:00:00.5Z",
	} {
		if got, ok := w.read(text); !ok || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is read as %s", text, got.Format(time.RFC3339Nano))
		}
	}
	if _, ok := w.read("yesterday"); ok {
		t.Error("yesterday is an instant")
	}
}

func TestWithPart(t *testing.T) {
	for _, test := range [][3]string{
		{`{"a":1}`, "20", `{"course":20,"a":1}`}, {` { } `, "x\"y", `{"course":"x\"y" }`}, {`{}`, "007", `{"course":"007"}`}, {`[1]`, "20", `[1]`}, {`null`, "20", `null`},
	} {
		if got := string(withPart([]byte(test[0]), "course", test[1])); got != test[2] {
			t.Errorf("%s in %s: %s", test[0], test[1], got)
		}
	}
}

func TestMarks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOfN(rapid.OneOf(rapid.StringMatching(`[1-9][0-9]{0,12}`), rapid.StringMatching(`[a-z0-9-]{1,12}`)), rapid.Uint64(), 0, 50).Draw(t, "values")
		var m Marks
		for id, value := range want {
			m.Set(id, value)
		}
		got, err := ParseMarks(m.Append(nil, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		for id, value := range want {
			if v, ok := got.Get(id); !ok || v != value {
				t.Fatalf("%s: %d, want %d", id, v, value)
			}
		}
		if _, ok := got.Get("not there"); ok || got.Len() != len(want) {
			t.Fatalf("%d marks, want %d", got.Len(), len(want))
		}
	})
	var m Marks
	now := uint64(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Unix())
	for i := range 30_000 {
		m.Set(fmt.Sprint(100_000+i), now-uint64(i))
	}
	text := m.Append(nil, knownBytes)
	got, err := ParseMarks(text)
	if err != nil || len(text) > knownBytes || got.Len() < 4000 {
		t.Fatalf("%d marks in %d bytes, %v", got.Len(), len(text), err)
	}
	if _, ok := got.Get("100000"); !ok {
		t.Error("the newest was forgotten")
	}
	if _, err := ParseMarks([]byte{0x80}); err == nil {
		t.Error("half a number is read")
	}
}

// TestCursorFits: whatever a cursor has to hold, it is small enough.
func TestCursorFits(t *testing.T) {
	var size int
	out := sdk.NewOutput(sdk.Request{}, func(e sdk.Event) error {
		size = len(e.Cursor)
		return nil
	})
	c := &Client{Base: &url.URL{Scheme: "https", Host: "a.example"}, Now: time.Now}
	rd := newReader(c, &Stream{Window: &Window{Since: "since", Updated: "updated"}}, out)
	rd.cur.At, rd.cur.Part = strings.Repeat("x", maxPlace), strings.Repeat("p", 500)
	for i := range 50_000 {
		text, _ := json.Marshal(i)
		rd.seen.note(hash(text), hash(text), time.Now())
		rd.known.Set(fmt.Sprintf("course-%d", i), 0)
	}
	if err := rd.checkpoint(); err != nil || size > sdk.MaxCursor || size < 50_000 {
		t.Errorf("a cursor of %d bytes: %v", size, err)
	}
}

func TestTemplates(t *testing.T) {
	properties := properties([]byte(`{"company":"acme","url":"https://lms.example/","account":7,"odd":"a/b?c"}`))
	for text, want := range map[string]string{"https://{company}.example.com/v1": "https://acme.example.com/v1", "{url}/api": "https://lms.example/api", "/x/{odd}/{account}": "/x/a%2Fb%3Fc/7"} {
		if got, err := expand(text, properties, !strings.HasPrefix(text, "/")); err != nil || got != want {
			t.Errorf("%s: %s %v", text, got, err)
		}
	}
	if _, err := expand("{nothing}", properties, true); err == nil || !strings.Contains(err.Error(), "nothing is missing") {
		t.Errorf("%v", err)
	}
	query, err := expandQuery("a=1&account={account}&who={nobody}", properties)
	if err != nil || query.Encode() != "a=1&account=7" {
		t.Errorf("%s %v", query.Encode(), err)
	}
	for _, company := range []string{"evil.example/x", "a@evil.example", "a#", "a:80", ""} {
		text, _ := json.Marshal(map[string]string{"company": company})
		c := Connector{Base: "https://{company}.example.com/v1"}
		if base, err := c.base(text); err == nil && !strings.HasSuffix(base.Hostname(), ".example.com") {
			t.Errorf("%s leads to %s", company, base.Host)
		}
	}
}
