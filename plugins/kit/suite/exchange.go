package suite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/lrshub/lrshub/plugins/kit/cassette"
)

// exchange is one request of the connector and what it was answered. The nth request of its kind is the same one in each read, whatever the order.
type exchange struct {
	kind     string // cassette.Kind of the request
	nth      int    // among those of its kind, from 0
	method   string
	url      *url.URL
	request  []byte
	status   int
	header   http.Header
	body     []byte
	tampered bool
}

// name is the exchange's, for messages: no query, since values may stand there.
func (e *exchange) name() string { return e.method + " " + e.url.Path }

// maxKept bounds what is kept of the bodies of one read, in bytes.
const maxKept = 64 << 20

// line stands between a connector and its source: it counts, keeps what goes by, and lets a fault take the place of an answer.
type line struct {
	out   http.RoundTripper
	fault fault // nil: none

	mu    sync.Mutex
	seen  []*exchange
	kinds map[string]int
	kept  int
}

// fault answers one request of the connector in the source's place, or says nil: the source shall.
type fault func(l *line, e *exchange, r *http.Request) (*http.Response, error)

// through is the way to the source: the network, unless there is a recording.
func (s Subject) through(out http.RoundTripper) http.RoundTripper {
	if s.Source != nil {
		return s.Source
	}
	return out
}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	e := &exchange{method: r.Method, url: r.URL}
	if r.Body != nil && r.Body != http.NoBody {
		var err error
		if e.request, err = io.ReadAll(io.LimitReader(r.Body, maxKept)); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(e.request))
	}
	e.kind = cassette.Kind(r.Method, r.URL, e.request)
	l.mu.Lock()
	e.nth = l.kinds[e.kind]
	l.kinds[e.kind]++
	l.seen = append(l.seen, e)
	l.mu.Unlock()
	if l.fault != nil {
		response, err := l.fault(l, e, r)
		if response != nil || err != nil {
			e.tampered = true
			return response, err
		}
	}
	return l.pass(e, r)
}

// pass has the source answer, and keeps the answer.
func (l *line) pass(e *exchange, r *http.Request) (*http.Response, error) {
	response, err := l.out.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	e.status, e.header = response.StatusCode, response.Header
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept += len(body); l.kept <= maxKept {
		e.body = body
	}
	return response, nil
}

// is says whether a request of this read is the one of another read.
func (e *exchange) is(other *exchange) bool { return e.kind == other.kind && e.nth == other.nth }

// answer makes a response.
func answer(r *http.Request, status int, header http.Header, body []byte) *http.Response {
	header = header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	header.Del("Content-Length")
	header.Del("Content-Encoding")
	return &http.Response{
		Status: fmt.Sprint(status, " ", http.StatusText(status)), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}

// records finds the list of records in an answer's body: the longest list of objects in it. It gives the whole and how to put another list in its place.
func (e *exchange) records() (list []any, with func(list []any) []byte) {
	decoder := json.NewDecoder(bytes.NewReader(e.body))
	decoder.UseNumber()
	var whole any
	if decoder.Decode(&whole) != nil {
		return nil, nil
	}
	var set func([]any)
	if top, ok := whole.([]any); ok {
		list, set = top, func(l []any) { whole = l }
	} else {
		list, set = longest(whole, 4)
	}
	if len(list) == 0 || set == nil {
		return nil, nil
	}
	if _, object := list[0].(map[string]any); !object {
		return nil, nil
	}
	return list, func(l []any) []byte {
		set(l)
		text, _ := json.Marshal(whole)
		set(list)
		return text
	}
}

// longest finds the longest list of objects below a value, and how to replace it.
func longest(value any, depth int) (list []any, set func([]any)) {
	object, ok := value.(map[string]any)
	if !ok || depth == 0 {
		return nil, nil
	}
	for name, below := range object {
		found, replace := longest(below, depth-1)
		if l, ok := below.([]any); ok && len(l) > 0 {
			if _, ofObjects := l[0].(map[string]any); ofObjects {
				found, replace = l, func(l []any) { object[name] = l }
			}
		}
		if len(found) > len(list) {
			list, set = found, replace
		}
	}
	return list, set
}
