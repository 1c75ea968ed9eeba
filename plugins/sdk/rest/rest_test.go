package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/rest"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// pagings are the kinds of paging as the made-up source has them.
var pagings = map[string]rest.Stream{
	"offset":  {Records: "data.items", Paging: rest.Offset{Size: 3, Total: "total"}},
	"page":    {Records: "data.items", Paging: rest.PageNumber{Size: 3, Total: "total"}},
	"link":    {Paging: rest.Link{Size: "limit", Limit: 4}},
	"token":   {Records: "data.items", Paging: rest.Token{Value: "meta.next", Param: "cursor"}},
	"address": {Records: "data.items", Paging: rest.Token{Value: "next"}},
	"whole":   {Records: "data.items"},
	"after":   {Records: "data.items", Paging: rest.After{Param: "after", Field: "id"}},
	"log":     {Path: "/after", Records: "data.items", Paging: rest.After{Param: "after", Field: "id"}},
	"window":  {Path: "/offset", Records: "data.items", Paging: rest.Offset{}, Window: &rest.Window{Since: "since", Updated: "updated"}},
	"steps": {Path: "/link", Paging: rest.Link{}, Window: &rest.Window{Since: "since", Until: "until", Updated: "updated", Step: 14 * 24 * time.Hour,
		LookBack: 2 * time.Minute, From: "from"}},
	"parts": {Path: "/offset?part={part}", Records: "data.items", Paging: rest.Offset{}, Parts: func(_ context.Context, _ *rest.Client, each func(string) error) error {
		return errors.Join(each("20"), each("3"))
	}},
}

func connector() sdk.Connector {
	c := rest.Connector{
		About: sdk.Description{Name: "made-up", Version: "1.0.0", Summary: "a made-up API",
			ConfigSchema: `{"type":"object","properties":{"url":{"type":"string"},"from":{"type":"string"},"key":{"type":"string","x-secret":true}}}`,
			Auth:         []sdk.Auth{{Kind: contract.AuthQuery, Name: "key", Secret: "key"}}},
		Base: "{url}",
	}
	for _, name := range slices.Sorted(maps.Keys(pagings)) {
		s := pagings[name]
		s.Name, s.Subject, s.Key, s.Deletes = name, "who", []string{"id"}, contract.DeletesAbsence
		s.Fields = []sdk.Field{{Name: "id", Type: contract.Int}, {Name: "who", Type: contract.String}, {Name: "note", Type: contract.String, Optional: true}, {Name: "updated", Type: contract.Timestamp}}
		if s.Path == "" {
			s.Path = "/" + name
		}
		switch {
		case name == "log" || s.Window != nil:
			s.Mode, s.Deletes = contract.Incremental, contract.DeletesNone
		case name == "parts":
			s.Convert = func(element []byte, each func([]byte) error) error { return each(element) }
		}
		c.Streams = append(c.Streams, s)
	}
	return c
}

func TestMain(m *testing.M) {
	kit.Main(m, map[string]func() sdk.Connector{"made-up": connector})
}

// TestConformance: each kind of paging is a whole connector that the kit finds nothing wrong with.
func TestConformance(t *testing.T) {
	s := newSource(t, 23)
	kit.Run(t, kit.Subject{
		Name: "made-up", New: connector, Config: fmt.Sprintf(`{"url":%q,"from":"2026-03-01"}`, s.URL),
		Secrets: map[string]string{"key": "s3cret"}, Refused: map[string]string{"no url": `{}`, "no address": `{"url":"lms"}`, "a query": `{"url":"https://lms.example?a=b"}`},
		Streams: []string{"offset", "link", "token", "log", "parts", "window", "steps"},
	})
}

// session is one at the source, whose clock runs ahead of the source's by skew.
func session(s *source, skew time.Duration) *sdk.Session {
	session := sdktest.Session(fmt.Sprintf(`{"url":%q,"from":"2026-03-01"}`, s.URL), nil, nil)
	session.Now = func() time.Time {
		if s.clock.IsZero() {
			return time.Now().UTC()
		}
		return s.clock.Add(skew)
	}
	return session
}

func read(t *testing.T, s *sdk.Session, stream string, cursor []byte) *sdktest.Result {
	t.Helper()
	got, err := sdktest.Read(t.Context(), connector(), s, sdk.Request{Stream: stream, Cursor: cursor, PageRecords: 5})
	if err != nil {
		t.Fatalf("%s: %v", stream, err)
	}
	return got
}

func last(r *sdktest.Result) []byte { return r.Cursors[len(r.Cursors)-1] }

func ids(t *testing.T, r *sdktest.Result) []int {
	t.Helper()
	list := []int{}
	for _, record := range r.Records {
		var i item
		if err := json.Unmarshal([]byte(record), &i); err != nil {
			t.Fatal(err)
		}
		list = append(list, i.ID)
	}
	slices.Sort(list)
	return list
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i + 1
	}
	return list
}

// TestRemovedWhileRead: what is removed at the source makes later records move up. Offsets notice that and miss nothing; page numbers notice it by
// the total and begin again; if it goes on, the snapshot is not called complete.
func TestRemovedWhileRead(t *testing.T) {
	for _, kind := range []string{"offset", "page"} {
		s := newSource(t, 23)
		s.before = func(s *source, n int) {
			if n == 3 {
				s.remove(1)
				s.remove(2)
			}
		}
		got := read(t, session(s, 0), kind, nil)
		if want := upTo(23); !slices.Equal(ids(t, got), want) || !got.SnapshotComplete {
			t.Errorf("%s: brought %v, complete %t", kind, ids(t, got), got.SnapshotComplete)
		}
	}
	s := newSource(t, 40)
	s.before = func(s *source, n int) { s.remove(n) }
	if got := read(t, session(s, 0), "page", nil); got.SnapshotComplete {
		t.Error("a snapshot whose pages shifted each time is called complete")
	}
}

// TestAddedWhileRead: records that come a second time since others came before them are brought once.
func TestAddedWhileRead(t *testing.T) {
	for _, kind := range []string{"offset", "page", "link", "token"} {
		s := newSource(t, 23)
		s.before = func(s *source, n int) {
			if n == 3 {
				s.items = append([]item{{ID: 99, Who: "new", Updated: epoch}}, s.items...)
			}
		}
		got := read(t, session(s, 0), kind, nil)
		have := ids(t, got)
		if len(slices.Compact(slices.Clone(have))) != len(have) || !slices.Equal(slices.DeleteFunc(have, func(id int) bool { return id == 99 }), upTo(23)) {
			t.Errorf("%s: brought %v", kind, have)
		}
	}
}

// TestPagesThatNeverEnd: a source that does not know the parameters, or leads in a circle, ends with an error that says so.
func TestPagesThatNeverEnd(t *testing.T) {
	page := func(from int) string {
		return fmt.Sprintf(`{"id":%d,"who":"a","updated":"2026-03-01T00:00:00Z"},{"id":%d,"who":"b","updated":"2026-03-01T00:00:00Z"}`, from, from+1)
	}
	for name, test := range map[string]struct {
		stream string
		answer func(n int) string
		says   string
	}{
		"offset is not known": {"offset", func(int) string { return `{"data":{"items":[` + page(1) + `]}}` }, "same page"},
		"page is not known":   {"page", func(int) string { return `{"data":{"items":[` + page(1) + `]}}` }, "same page"},
		"a circle of tokens": {"token", func(n int) string {
			return fmt.Sprintf(`{"data":{"items":[%s]},"meta":{"next":"%d"}}`, page(2*n%6), n%3)
		}, "circle"},
		"nothing, and more":  {"token", func(n int) string { return fmt.Sprintf(`{"data":{"items":[]},"meta":{"next":"%d"}}`, n) }, "nothing new"},
		"after is not known": {"after", func(int) string { return `{"data":{"items":[` + page(1) + `]}}` }, "same page"},
	} {
		s := newSource(t, 0)
		s.answer = func(w http.ResponseWriter, n int) bool {
			_, _ = io.WriteString(w, test.answer(n))
			return false
		}
		_, err := sdktest.Read(t.Context(), connector(), session(s, 0), sdk.Request{Stream: test.stream})
		var known *sdk.Error
		if !errors.As(err, &known) || known.Class != sdk.ClassSourceBug || !strings.Contains(known.Message, test.says) {
			t.Errorf("%s: %v after %d requests", name, err, len(s.requests))
		}
		if len(s.requests) > 1100 {
			t.Errorf("%s: %d requests", name, len(s.requests))
		}
	}
}

// TestOnePageAgain: a page that comes in place of the next once is asked for again, and an empty page with a next is no end.
func TestOnePageAgain(t *testing.T) {
	for _, kind := range []string{"offset", "page", "token"} {
		s, kept := newSource(t, 23), ""
		s.answer = func(w http.ResponseWriter, n int) bool {
			switch {
			case n == 3 && kind == "token":
				_, _ = io.WriteString(w, `{"data":{"items":null},"meta":{"next":"8"}}`)
			case n == 3:
				_, _ = io.WriteString(w, kept)
			default:
				if n == 2 {
					at := map[string]int{"offset": 2, "page": 3}[kind]
					text, _ := json.Marshal(map[string]any{"data": map[string]any{"items": s.items[at : at+3]}, "total": 23})
					kept = string(text)
				}
				return true
			}
			return false
		}
		if got := read(t, session(s, 0), kind, nil); !slices.Equal(ids(t, got), upTo(23)) || !got.SnapshotComplete {
			t.Errorf("%s: brought %v, complete %t", kind, ids(t, got), got.SnapshotComplete)
		}
	}
}

// TestErrors: what an answer means that is none.
func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		header http.Header
		body   string
		class  sdk.Class
		after  time.Duration
	}{
		"200 that carries an error": {200, nil, `{"exception":"moodle_exception","errorcode":"invalidtoken","message":"Jane is not known"}`, sdk.ClassSourceBug, 0},
		"a list that is not there":  {200, nil, `{"data":{}}`, sdk.ClassSourceBug, 0},
		"a web page":                {200, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, "<!DOCTYPE html><title>Sign in</title>", sdk.ClassConfig, 0},
		"half an answer":            {200, nil, `{"data":{"items":[{"id":1},{"id"`, sdk.ClassTransient, 0},
		"no JSON":                   {200, nil, `{"data":{"items":[{"id":1},Jane]}}`, sdk.ClassSourceBug, 0},
		"401":                       {401, nil, ``, sdk.ClassAuth, 0},
		"403":                       {403, nil, `{"message":"no"}`, sdk.ClassPermission, 0},
		"403 that is a limit":       {403, nil, `403 Forbidden (Rate Limit Exceeded)`, sdk.ClassRateLimit, time.Minute},
		"403 that names a pause":    {403, http.Header{"Retry-After": {"7"}}, ``, sdk.ClassRateLimit, 7 * time.Second},
		"403 with nothing left":     {403, http.Header{"X-Rate-Limit-Remaining": {"0.0"}}, ``, sdk.ClassRateLimit, time.Minute},
		"429":                       {429, nil, ``, sdk.ClassRateLimit, time.Minute},
		"429 until":                 {429, http.Header{"Retry-After": {"30"}}, ``, sdk.ClassRateLimit, 30 * time.Second},
		"503 until":                 {503, http.Header{"Retry-After": {"30"}}, ``, sdk.ClassTransient, 30 * time.Second},
	} {
		s := newSource(t, 3)
		s.answer = func(w http.ResponseWriter, _ int) bool {
			maps.Copy(w.Header(), test.header)
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
			return false
		}
		_, err := sdktest.Read(t.Context(), connector(), session(s, 0), sdk.Request{Stream: "whole"})
		var known *sdk.Error
		if !errors.As(err, &known) || known.Class != test.class || known.RetryAfter != test.after {
			t.Errorf("%s: %v, want %s after %s", name, err, test.class, test.after)
		}
		if err != nil && strings.Contains(err.Error(), "Jane") {
			t.Errorf("%s: the error quotes the source: %v", name, err)
		}
	}
	if _, err := sdktest.Read(t.Context(), connector(), session(newSource(t, 1), 0), sdk.Request{Stream: "nothing"}); err == nil {
		t.Error("a stream that is not there can be read")
	}
}

// TestBrokenLetters: a record that is not UTF-8 is passed on as it is, not converted, and the snapshot that it is missing from is not called complete.
func TestBrokenLetters(t *testing.T) {
	s := newSource(t, 3)
	s.answer = func(w http.ResponseWriter, _ int) bool {
		_, _ = io.WriteString(w, "{\"data\":{\"items\":[{\"id\":1,\"who\":\"a\"},{\"id\":2,\"who\":\"\xff\"}]},\"total\":2}")
		return false
	}
	c := connector().(rest.Connector)
	for i := range c.Streams {
		c.Streams[i].Convert = func(element []byte, each func([]byte) error) error {
			return each([]byte(strings.ToValidUTF8(string(element), "?")))
		}
	}
	for _, c := range []sdk.Connector{connector(), c} {
		got, err := sdktest.Read(t.Context(), c, session(s, 0), sdk.Request{Stream: "whole"})
		if err != nil || len(got.Records) != 2 || got.Records[1] != "{\"id\":2,\"who\":\"\xff\"}" || got.SnapshotComplete {
			t.Errorf("%v, %q, complete %t", err, got.Records, got.SnapshotComplete)
		}
	}
}

// TestFault: a connector says itself what its source's errors are.
func TestFault(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"errorcode":"invalidtoken"}`) }))
	defer server.Close()
	c := connector().(rest.Connector)
	c.Fault = func(a rest.Answer) error {
		if code, there := a.Is("errorcode"); there && code == "invalidtoken" {
			return sdk.Errorf(sdk.ClassAuth, "the source does not accept the token")
		}
		return nil
	}
	err := c.Check(t.Context(), sdktest.Session(fmt.Sprintf(`{"url":%q}`, server.URL), nil, nil))
	var known *sdk.Error
	if !errors.As(err, &known) || known.Class != sdk.ClassAuth || !strings.Contains(known.Message, "stream after") || !strings.Contains(known.Message, "stream window") {
		t.Errorf("%v", err)
	}
}

// TestExpiredPlace: a place in the middle of a snapshot that the source has forgotten costs the pass, not the stream; where the place is all that is known,
// the hub is told.
func TestExpiredPlace(t *testing.T) {
	for _, kind := range []string{"token", "link", "log"} {
		s := newSource(t, 23)
		first := read(t, session(s, 0), kind, nil)
		s.answer = func(w http.ResponseWriter, n int) bool {
			if r := s.requests[n-1].Query(); r.Get("cursor")+r.Get("at")+r.Get("after") == "" {
				s.answer = nil // it begins anew
				return true
			}
			w.WriteHeader(http.StatusGone)
			return false
		}
		got, err := sdktest.Read(t.Context(), connector(), session(s, 0), sdk.Request{Stream: kind, Cursor: first.Cursors[0], PageRecords: 5})
		var known *sdk.Error
		if kind == "log" {
			if !errors.As(err, &known) || known.Class != sdk.ClassCursorExpired {
				t.Errorf("log: %v", err)
			}
		} else if err != nil || len(got.Records) != 23 || !got.SnapshotComplete {
			t.Errorf("%s: %d records, %v", kind, len(got.Records), err)
		}
	}
	_, err := sdktest.Read(t.Context(), connector(), session(newSource(t, 1), 0), sdk.Request{Stream: "log", Cursor: []byte("17")})
	var known *sdk.Error
	if !errors.As(err, &known) || known.Class != sdk.ClassCursorExpired {
		t.Errorf("a cursor of something else: %v", err)
	}
}

// TestOtherHost: a link to elsewhere is not followed, and no secret that a link repeats gets into a cursor.
func TestOtherHost(t *testing.T) {
	s := newSource(t, 23)
	for _, cursor := range read(t, session(s, 0), "link", nil).Cursors {
		if strings.Contains(string(cursor), "s3cret") {
			t.Errorf("a cursor holds the secret: %s", cursor)
		}
	}
	s.answer = func(w http.ResponseWriter, _ int) bool {
		w.Header().Set("Link", `<https://evil.example/link?at=4>; rel=next`)
		_, _ = io.WriteString(w, `[]`)
		return false
	}
	_, err := sdktest.Read(t.Context(), connector(), session(s, 0), sdk.Request{Stream: "link"})
	if err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf("%v", err)
	}
}
