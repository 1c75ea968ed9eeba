package cassette

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync"
)

// Player is an http.RoundTripper that answers from a recording. A request that was recorded several times is given its answers in turn, and then the
// last one again. One that was not recorded as it is gets the answer of one that differs by times only, since a connector asks for "until now".
type Player struct {
	ignore []string // query parameters that requests were not recorded with: the hub adds secrets there

	mu     sync.Mutex
	exact  map[string][]*Exchange
	alike  map[string][]*Exchange
	told   map[string]int
	missed []string
}

// NewPlayer makes a player. ignore lists the query parameters that hold secrets.
func NewPlayer(r *Recording, ignore ...string) (*Player, error) {
	p := &Player{ignore: ignore, exact: make(map[string][]*Exchange), alike: make(map[string][]*Exchange), told: make(map[string]int)}
	for i := range r.Exchanges {
		e := &r.Exchanges[i]
		u, err := url.Parse(e.Request.URL)
		if err != nil {
			return nil, fmt.Errorf("%w: the URL of exchange %d cannot be read", ErrFormat, i+1)
		}
		body := e.Request.Bytes()
		p.exact[key(e.Request.Method, u, body, ignore)] = append(p.exact[key(e.Request.Method, u, body, ignore)], e)
		kind := mask(key(e.Request.Method, u, body, ignore))
		p.alike[kind] = append(p.alike[kind], e)
	}
	return p, nil
}

// Rewind begins anew: the next request is given the first answer that was recorded for it.
func (p *Player) Rewind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.told)
}

// Missed lists what was asked and is not in the recording: method, host and path, without queries.
func (p *Player) Missed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.missed)
}

func (p *Player) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil && r.Body != http.NoBody {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, maxLine)); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	e := p.find(key(r.Method, r.URL, body, p.ignore))
	if e == nil {
		what := r.Method + " " + r.URL.Host + r.URL.Path
		p.mu.Lock()
		defer p.mu.Unlock()
		if !slices.Contains(p.missed, what) && len(p.missed) < 100 {
			p.missed = append(p.missed, what)
		}
		return nil, fmt.Errorf("the recording has no answer to %s; record anew", what)
	}
	content := e.Response.Bytes()
	header := e.Response.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	return &http.Response{
		Status: fmt.Sprint(e.Response.Status, " ", http.StatusText(e.Response.Status)), StatusCode: e.Response.Status, Proto: "HTTP/1.1", ProtoMajor: 1,
		ProtoMinor: 1, Header: header, Body: io.NopCloser(bytes.NewReader(content)), ContentLength: int64(len(content)), Request: r,
	}, nil
}

func (p *Player) find(asked string) *Exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.exact[asked]
	if list == nil {
		asked = mask(asked)
		list = p.alike[asked]
	}
	if list == nil {
		return nil
	}
	n := min(p.told[asked], len(list)-1)
	p.told[asked]++
	return list[n]
}

// Kind names a request by all but the times in it: two requests of a kind differ at most by those.
func Kind(method string, u *url.URL, body []byte) string { return mask(key(method, u, body, nil)) }

// key names a request: method, address, parameters in the order of their names, body.
func key(method string, u *url.URL, body []byte, ignore []string) string {
	query := u.Query()
	for _, name := range ignore {
		query.Del(name)
	}
	if form, err := url.ParseQuery(string(body)); err == nil && len(form) > 0 && !bytes.ContainsAny(body, "{<\n") {
		for _, name := range ignore {
			form.Del(name)
		}
		body = []byte(form.Encode())
	}
	return method + " " + u.Scheme + "://" + u.Host + u.EscapedPath() + "?" + query.Encode() + "\n" + string(body)
}

// times are what a clock says: dates with or without a time of day, as in a query too, and seconds or milliseconds since 1970 of these decades.
var times = regexp.MustCompile(`\b(19|20)\d\d-\d\d-\d\d([T+ ]\d\d(:|%3A)\d\d((:|%3A)\d\d(\.\d+)?)?(Z|(\+|-|%2B)\d\d(:|%3A)?\d\d)?)?|\b1[4-9]\d{8}(\d{3})?\b`)

func mask(key string) string { return times.ReplaceAllString(key, "TIME") }
