package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// ErrFull says that a recording has become larger than it may.
var ErrFull = errors.New("the recording is full")

// Limits of a recording.
const (
	maxExchanges = 2000
	maxBytes     = 256 << 20
)

// Recorder is an http.RoundTripper that keeps what goes by, secrets and all: Scrub what it has before anybody sees it.
type Recorder struct {
	Out http.RoundTripper // the way to the source

	mu    sync.Mutex
	kept  []Exchange
	count map[string]int // how often a request was kept
	now   map[string]int // how often it came since Begin
	bytes int
}

// headers are those of answers that are kept; the others are of no use to a connector, or tell too much.
var headers = []string{"Content-Type", "Link", "Retry-After", "Etag", "Last-Modified", "Location", "Date", "X-Total-Count", "X-Request-Cost",
	"X-Rate-Limit-Remaining", "X-Ratelimit-Remaining", "X-Ratelimit-Limit", "X-Ratelimit-Reset", "X-Experience-Api-Consistent-Through", "X-Experience-Api-Version"}

// Begin says that a new read begins: requests that were recorded are not kept a second time, unless they come more often in one read.
func (r *Recorder) Begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = make(map[string]int)
}

// Exchanges gives what was kept so far.
func (r *Recorder) Exchanges() []Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Exchange(nil), r.kept...)
}

func (r *Recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	var asked []byte
	if request.Body != nil && request.Body != http.NoBody {
		var err error
		if asked, err = io.ReadAll(io.LimitReader(request.Body, maxLine)); err != nil {
			return nil, err
		}
		request = request.Clone(request.Context())
		request.Body = io.NopCloser(bytes.NewReader(asked))
	}
	response, err := r.Out.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxLine+1))
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if retried(response.StatusCode) {
		return response, nil // the host tries again; recorded, it would come first in each replay
	}
	e := Exchange{
		Request:  Request{Method: request.Method, URL: request.URL.String(), Body: NewBody(asked)},
		Response: Response{Status: response.StatusCode, Header: make(http.Header), Body: NewBody(body)},
	}
	for _, name := range headers {
		if values := response.Header.Values(name); len(values) > 0 {
			e.Response.Header[name] = values
		}
	}
	return response, r.keep(key(request.Method, request.URL, asked, nil), e, len(asked)+len(body))
}

func retried(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || status == http.StatusBadGateway || status == http.StatusGatewayTimeout
}

func (r *Recorder) keep(key string, e Exchange, size int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == nil {
		r.count = make(map[string]int)
	}
	if r.now == nil {
		r.now = make(map[string]int)
	}
	if r.now[key]++; r.now[key] <= r.count[key] {
		return nil
	}
	r.count[key]++
	if r.bytes += size; len(r.kept) >= maxExchanges || r.bytes > maxBytes {
		return fmt.Errorf("%w: more than %d exchanges or %d MiB; choose a smaller source, or narrow the configuration", ErrFull, maxExchanges, maxBytes>>20)
	}
	r.kept = append(r.kept, e)
	return nil
}
