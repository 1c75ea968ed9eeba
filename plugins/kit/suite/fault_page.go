package suite

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/lrshub/lrshub/plugins/contract"
)

// paging is two requests of which the second asks for the page after that of the first.
type paging struct {
	page, after *exchange
	next        string // how the first answer names the next page, a token or an address; "" if it does not
	header      bool   // it does so in its Link header
}

// pageNames are the names of parameters by which sources count pages.
var pageNames = regexp.MustCompile(`(?i)page|offset|cursor|start|skip|after|token|next|marker|limitfrom|from|since|more`)

// paged finds the first page with records that is followed by another.
func (a *attempt) paged() (paging, bool) {
	for i, page := range a.exchanges {
		list, _ := page.records()
		if list == nil {
			continue
		}
		for _, after := range a.exchanges[i+1:] {
			if next, header, ok := leads(page, after); ok {
				return paging{page, after, next, header}, true
			}
		}
	}
	return paging{}, false
}

// leads says whether one exchange's answer leads to the other's request.
func leads(page, after *exchange) (next string, header, ok bool) {
	if target := linkNext(page); target != nil && target.String() == after.url.String() {
		return after.url.String(), true, true
	}
	if page.method != after.method || page.url.Path != after.url.Path || page.kind == after.kind {
		return "", false, false
	}
	texts := stringsOf(page.body)
	for _, text := range texts {
		if u, err := page.url.Parse(text); err == nil && strings.ContainsAny(text, "/?") && u.String() == after.url.String() {
			return text, false, true
		}
	}
	before, now := page.url.Query(), after.url.Query()
	if !bytes.Equal(page.request, after.request) {
		form, err1 := url.ParseQuery(string(page.request))
		other, err2 := url.ParseQuery(string(after.request))
		if err1 != nil || err2 != nil || bytes.ContainsAny(page.request, "{<") {
			return "", false, false
		}
		before, now = form, other
	}
	counts := false
	for name := range merged(before, now) {
		if before.Get(name) == now.Get(name) {
			continue
		}
		if !pageNames.MatchString(name) {
			return "", false, false
		}
		counts = true
		for _, text := range texts {
			if len(text) > 2 && text == now.Get(name) {
				return text, false, true
			}
		}
	}
	return "", false, counts
}

func merged(a, b url.Values) map[string]bool {
	names := make(map[string]bool)
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	return names
}

var linkPattern = regexp.MustCompile(`<([^>]*)>\s*;[^,]*\brel="?next"?`)

func linkNext(e *exchange) *url.URL {
	for _, value := range e.header.Values("Link") {
		if m := linkPattern.FindStringSubmatch(value); m != nil {
			if u, err := e.url.Parse(m[1]); err == nil {
				return u
			}
		}
	}
	return nil
}

// stringsOf lists the strings of a JSON document outside of lists: where a token may stand.
func stringsOf(body []byte) (texts []string) {
	var value any
	if json.Unmarshal(body, &value) != nil {
		return nil
	}
	var walk func(any, int)
	walk = func(v any, depth int) {
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case map[string]any:
			for _, below := range v {
				if depth > 0 {
					walk(below, depth-1)
				}
			}
		}
	}
	walk(value, 4)
	return texts
}

func (s Subject) pages(t T, stream contract.Stream) paging {
	t.Helper()
	p, ok := s.asked(t, stream).paged()
	if !ok {
		t.Skipf("no two of its requests ask for one JSON page after another")
	}
	return p
}

// checkDrift: somebody adds a record while we read, so the last one of a page stands on the next page, too.
func checkDrift(t T, s Subject, stream contract.Stream) {
	t.Helper()
	p := s.pages(t, stream)
	got := s.attempt(t, stream, conditions{fault: changed(p.after, func([]byte) []byte {
		list, _ := p.page.records()
		next, with := p.after.records()
		if next == nil {
			return p.after.body
		}
		return with(append([]any{list[len(list)-1]}, next...))
	})})
	what := "a record of one page that stands on the next one, too (" + p.after.name() + ")"
	if got.err != nil {
		t.Errorf("%s: this happens whenever somebody adds a record while we read, and must not end the read: %v", what, got.err)
		return
	}
	s.verdict(t, stream, what, got)
}

// endless is how many requests beyond those of a good day a connector may make when a source repeats itself for ever.
const endless = 150

// checkRepeats: a source that gives a page twice loses nothing in silence, and one that gives it for ever is not asked for ever.
func checkRepeats(t T, s Subject, stream contract.Stream) {
	t.Helper()
	p, whole := s.pages(t, stream), s.whole(t, stream)
	twice := func(_ *line, e *exchange, r *http.Request) (*http.Response, error) {
		if !e.is(p.after) {
			return nil, nil
		}
		return answer(r, p.page.status, p.page.header, p.page.body), nil
	}
	s.verdict(t, stream, "the page before once more, in the place of "+p.after.name(), s.attempt(t, stream, conditions{fault: twice}))
	var asked atomic.Int64
	forever := func(_ *line, e *exchange, r *http.Request) (*http.Response, error) {
		if e.method != p.after.method || e.url.Path != p.after.url.Path || e.is(p.page) {
			return nil, nil
		}
		if asked.Add(1) > int64(len(whole.exchanges)+endless) {
			return answer(r, http.StatusNotFound, nil, nil), nil
		}
		return answer(r, p.page.status, p.page.header, p.page.body), nil
	}
	got := s.attempt(t, stream, conditions{fault: forever})
	if n := asked.Load(); n > int64(len(whole.exchanges)+endless) {
		t.Errorf("the same page for ever (%s): the connector asked %d times and would go on; end with an *sdk.Error when a page, or a token, comes again", p.after.name(), n)
		return
	}
	s.verdict(t, stream, "the same page for ever, in the place of "+p.after.name(), got)
}

// checkEmptyPage: a page without records that names a next one is not the end.
func checkEmptyPage(t T, s Subject, stream contract.Stream) {
	t.Helper()
	p := s.pages(t, stream)
	if p.next == "" {
		t.Skipf("the source's pages do not name the next one, so an empty one is the end")
	}
	other := p.next + "-kit"
	if strings.ContainsAny(p.next, "/?") {
		other = p.next + "&lrshub_kit=1"
		if !strings.Contains(p.next, "?") {
			other = p.next + "?lrshub_kit=1"
		}
	}
	// The page leads to an empty one, under another name, and that one to the page that is really next.
	rename := func(body []byte, header http.Header) ([]byte, http.Header) {
		header = header.Clone()
		if p.header {
			for i, value := range header["Link"] {
				if m := linkPattern.FindStringSubmatch(value); m != nil {
					header["Link"][i] = strings.Replace(value, "<"+m[1]+">", "<"+other+">", 1)
				}
			}
			return body, header
		}
		old, _ := json.Marshal(p.next)
		next, _ := json.Marshal(other)
		return bytes.ReplaceAll(plain(body), old, next), header
	}
	got := s.attempt(t, stream, conditions{fault: func(l *line, e *exchange, r *http.Request) (*http.Response, error) {
		asks := strings.Contains(e.kind, "lrshub_kit=1") || strings.Contains(e.kind, url.QueryEscape(other))
		switch {
		case e.is(p.page):
			body, header := rename(p.page.body, p.page.header)
			return answer(r, p.page.status, header, body), nil
		case asks:
			_, with := p.page.records()
			return answer(r, p.page.status, p.page.header, with([]any{})), nil
		}
		return nil, nil
	}})
	what := "a page without records that names a next one, before " + p.after.name()
	if got.err != nil {
		t.Errorf("%s: this is no end and no failure (permissions and filters empty pages): %v", what, got.err)
		return
	}
	s.verdict(t, stream, what, got)
}

// plain writes JSON anew, so that strings are escaped in one way only.
func plain(body []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return body
	}
	text, err := json.Marshal(value)
	if err != nil {
		return body
	}
	return text
}
