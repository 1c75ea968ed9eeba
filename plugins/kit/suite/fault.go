package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// instead answers one request with something else, the first time that it comes.
func instead(of *exchange, status int, header http.Header, body string) fault {
	return func(_ *line, e *exchange, r *http.Request) (*http.Response, error) {
		if !e.is(of) {
			return nil, nil
		}
		return answer(r, status, header, []byte(body)), nil
	}
}

// changed answers one request with what the source answers, changed.
func changed(of *exchange, change func(body []byte) []byte) fault {
	return func(l *line, e *exchange, r *http.Request) (*http.Response, error) {
		if !e.is(of) {
			return nil, nil
		}
		if _, err := l.pass(e, r); err != nil {
			return nil, err
		}
		return answer(r, e.status, e.header, change(e.body)), nil
	}
}

// checkBusy: a source that wants to be left alone is left alone, for as long as it asked, and nothing is lost.
func checkBusy(t T, s Subject, stream contract.Stream) {
	t.Helper()
	whole := s.asked(t, stream)
	asked := http.Header{"Retry-After": {"7"}}
	days := []struct {
		what   string
		status int
		header http.Header
		class  sdk.Class
	}{
		{"429 with Retry-After", http.StatusTooManyRequests, asked, sdk.ClassRateLimit},
		{"429 without Retry-After", http.StatusTooManyRequests, nil, sdk.ClassRateLimit},
		{"503 with Retry-After", http.StatusServiceUnavailable, asked, sdk.ClassTransient},
		{"503 without Retry-After", http.StatusServiceUnavailable, nil, sdk.ClassTransient},
	}
	at := spread(len(whole.exchanges), len(days))
	for i, day := range days {
		e := whole.exchanges[at[min(i, len(at)-1)]]
		what := day.what + " to " + e.name()
		got := s.attempt(t, stream, conditions{fault: instead(e, day.status, day.header, "please wait")})
		s.verdict(t, stream, what, got, sdk.ClassRateLimit, day.class)
		var known *sdk.Error
		if day.header != nil && errors.As(got.err, &known) && known.RetryAfter < 7*time.Second {
			t.Errorf("%s: the source asked for 7 s, the error says %s: return the error of Session.HTTP as it is, or wrapped with %%w", what, known.RetryAfter)
		}
	}
}

// checkRefusals: other answers that are not 200 get the right class, and their text stays where it is.
func checkRefusals(t T, s Subject, stream contract.Stream) {
	t.Helper()
	whole := s.asked(t, stream)
	first, middle := whole.exchanges[0], whole.exchanges[len(whole.exchanges)/2]
	body := fmt.Sprintf(`<html><body>%s could not be served to Authorization %s</body></html>`, marker, s.anySecret())
	html := http.Header{"Content-Type": {"text/html"}}
	for _, day := range []struct {
		at      *exchange
		status  int
		classes []sdk.Class
	}{
		{first, http.StatusUnauthorized, []sdk.Class{sdk.ClassAuth}},
		{first, http.StatusForbidden, []sdk.Class{sdk.ClassPermission, sdk.ClassAuth, sdk.ClassRateLimit}},
		{middle, http.StatusInternalServerError, []sdk.Class{sdk.ClassTransient}},
		{middle, http.StatusOK, nil}, // a page for people, where a program asked
	} {
		what := fmt.Sprintf("%d with a page of HTML to %s", day.status, day.at.name())
		if day.status == http.StatusOK && len(day.at.body) == 0 {
			continue // its answers' bodies mean nothing
		}
		s.verdict(t, stream, what, s.attempt(t, stream, conditions{fault: instead(day.at, day.status, html, body)}), day.classes...)
	}
	half := changed(middle, func(body []byte) []byte { return body[:len(body)/2] })
	if len(middle.body) > 1 {
		s.verdict(t, stream, "an answer to "+middle.name()+" that ends in the middle", s.attempt(t, stream, conditions{fault: half}))
	}
}

func (s Subject) anySecret() string {
	for _, value := range s.Secrets {
		return value
	}
	return ""
}

// commonFailure is how many sources say in an answer of 200 that it is none.
const commonFailure = `{"error":{"code":"internal_error","message":"The request could not be served"},"user":"` + marker + `"}`

// checkFailureIn200: an answer of 200 that carries an error is no empty page.
func checkFailureIn200(t T, s Subject, stream contract.Stream) {
	t.Helper()
	whole := s.asked(t, stream)
	body := s.Failure
	if body == "" {
		body = commonFailure
	}
	tried := false
	for _, i := range spread(len(whole.exchanges), 3) {
		e := whole.exchanges[i]
		if len(e.body) == 0 {
			continue
		}
		tried = true
		header := http.Header{"Content-Type": {"application/json"}}
		if body == s.Failure {
			header = e.header
		}
		got := s.attempt(t, stream, conditions{fault: instead(e, http.StatusOK, header, body)})
		s.verdict(t, stream, "200 with an error in it to "+e.name(), got)
	}
	if !tried {
		t.Skipf("the source's answers have no bodies")
	}
}

// checkExpired: a cursor that the source no longer knows, or that is none, leads to a read in full, or to an error that says so.
func checkExpired(t T, s Subject, stream contract.Stream) {
	t.Helper()
	whole := s.whole(t, stream)
	foreign := s.attempt(t, stream, conditions{cursor: []byte("a cursor of another connector")})
	s.anew(t, stream, "given a cursor that is not its own", foreign, sdk.ClassCursorExpired, sdk.ClassConfig, sdk.ClassSourceBug, sdk.ClassData)
	if len(whole.exchanges) == 0 {
		return
	}
	var cursor []byte
	for _, p := range whole.pages[:len(whole.pages)-1] {
		if p.Cursor != nil {
			cursor = p.Cursor
		}
	}
	if cursor == nil {
		return // one page: nothing to resume
	}
	gone, classes := s.Expired, []sdk.Class{sdk.ClassCursorExpired}
	if gone.Status == 0 {
		gone, classes = Answer{Status: http.StatusGone}, []sdk.Class{sdk.ClassCursorExpired, sdk.ClassConfig, sdk.ClassSourceBug, sdk.ClassData, sdk.ClassPermission}
	}
	first := true
	fault := func(_ *line, _ *exchange, r *http.Request) (*http.Response, error) {
		if !first {
			return nil, nil
		}
		first = false
		return answer(r, gone.Status, gone.Header, []byte(gone.Body)), nil
	}
	got := s.attempt(t, stream, conditions{cursor: cursor, fault: fault})
	s.anew(t, stream, fmt.Sprintf("%d to the first request after a resume", gone.Status), got, classes...)
}

// anew judges a read whose cursor is of no use.
func (s Subject) anew(t T, stream contract.Stream, what string, got *attempt, classes ...sdk.Class) {
	t.Helper()
	s.secretless(t, what, got)
	want, have := together(s.whole(t, stream)), together(got)
	var known *sdk.Error
	switch {
	case got.err == nil && have.missing(want) > 0:
		t.Errorf("%s: the read says that all went well, but brings %d of %d records; fail with class cursor_expired (the hub then reads in full), or begin anew", what, len(want.records)-have.missing(want), len(want.records))
	case got.err == nil:
	case !errors.As(got.err, &known):
		t.Errorf("%s: the read ended with: %v", what, got.err)
	case strings.Contains(known.Message, unclassified), !in(known.Class, classes):
		t.Errorf("%s: the read fails with class %s; the class is %s: the hub then reads in full instead of trying the same for ever", what, known.Class, either(classes))
	}
}

func in(class sdk.Class, classes []sdk.Class) bool {
	for _, c := range classes {
		if c == class {
			return true
		}
	}
	return false
}

// checkInvalidText: bytes that are no text make one record bad, at most a page; nothing is lost in silence, and the connector lives.
func checkInvalidText(t T, s Subject, stream contract.Stream) {
	t.Helper()
	e, _ := s.asked(t, stream).listed()
	if e == nil {
		t.Skipf("no answer of the source is JSON with a list of records")
	}
	got := s.attempt(t, stream, conditions{fault: changed(e, func(body []byte) []byte { return spoil(e) })})
	s.verdict(t, stream, "a string that is not UTF-8 in a record of "+e.name(), got, sdk.ClassData, sdk.ClassSourceBug)
}

// spoil puts a byte that is no UTF-8 into the last string of the first record.
func spoil(e *exchange) []byte {
	const place = "LRSHUB-KIT-PLACE"
	list, with := e.records()
	first := list[0].(map[string]any)
	edited := map[string]any{"lrshub_kit": place}
	for name, value := range first {
		edited[name] = value
		if text, ok := value.(string); ok && edited["lrshub_kit"] == place {
			edited[name] = text + place
			edited["lrshub_kit"] = ""
		}
	}
	return bytes.ReplaceAll(with(append([]any{edited}, list[1:]...)), []byte(place), []byte("\xff\xfe"))
}

// checkHuge: a record of 10 MB comes, or is turned aside as bad, and the others come.
func checkHuge(t T, s Subject, stream contract.Stream) {
	t.Helper()
	e, _ := s.asked(t, stream).listed()
	if e == nil {
		t.Skipf("no answer of the source is JSON with a list of records")
	}
	got := s.attempt(t, stream, conditions{fault: changed(e, func([]byte) []byte {
		list, with := e.records()
		edited := map[string]any{"lrshub_kit": strings.Repeat("x", 10<<20)}
		for name, value := range list[0].(map[string]any) {
			edited[name] = value
		}
		return with(append([]any{edited}, list[1:]...))
	})})
	if got.err != nil {
		t.Errorf("a record of 10 MB in %s ends the read: %v; records up to 16 MiB are brought, and larger ones turned aside, by Output.Record: read answers as a stream and keep no own limit below that", e.name(), got.err)
		return
	}
	s.verdict(t, stream, "a record of 10 MB in "+e.name(), got)
}

// listed finds the first exchange whose answer is a list of records, and its list.
func (a *attempt) listed() (*exchange, []any) {
	for _, e := range a.exchanges {
		if list, _ := e.records(); list != nil {
			return e, list
		}
	}
	return nil, nil
}

// most is how many records one request brought at most: the length of the longest list in an answer. Of what is read without HTTP nobody knows, and
// it is what the hub takes for a page.
func (a *attempt) most() (most int) {
	if len(a.exchanges) == 0 {
		return sdk.PageRecords
	}
	for _, e := range a.exchanges {
		var any []json.RawMessage
		if json.Unmarshal(e.body, &any) == nil {
			most = max(most, len(any))
		}
		list, _ := e.records()
		most = max(most, len(list))
	}
	return most
}
