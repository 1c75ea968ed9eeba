package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// store is a record store as any program meets it: an endpoint, a key and a secret. Nothing of the hub is behind it.
type store struct {
	http                           *http.Client
	endpoint, key, secret, version string // endpoint without a slash at its end
}

// requestTime bounds one request.
const requestTime = 2 * time.Minute

// newStore gives a store that so many clients use at a time, each on a connection of its own.
func newStore(endpoint, key, secret, version string, clients int) *store {
	transport := &http.Transport{MaxIdleConnsPerHost: clients, MaxIdleConns: clients, DisableCompression: true}
	return &store{http: &http.Client{Transport: transport, Timeout: requestTime}, endpoint: strings.TrimRight(endpoint, "/"), key: key, secret: secret, version: version}
}

// post sends statements and wants them stored.
func (s *store) post(ctx context.Context, body []byte) error {
	_, err := s.do(ctx, http.MethodPost, s.endpoint+"/statements", bytes.NewReader(body))
	return err
}

// get asks for statements and gives the answer's body.
func (s *store) get(ctx context.Context, parameters url.Values) ([]byte, error) {
	return s.do(ctx, http.MethodGet, s.endpoint+"/statements?"+parameters.Encode(), nil)
}

// close closes the connections.
func (s *store) close() { s.http.CloseIdleConnections() }

// refused is an answer other than 200.
type refused struct {
	method string
	status int
	said   string // the beginning of the body
}

func (r *refused) Error() string {
	return fmt.Sprintf("%s statements: %d %s: %s", r.method, r.status, http.StatusText(r.status), r.said)
}

// do errors are a *refused, or those of the connection, without the URL: it names agents.
func (s *store) do(ctx context.Context, method, target string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, withoutURL(err)
	}
	request.SetBasicAuth(s.key, s.secret)
	request.Header.Set("X-Experience-API-Version", s.version)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := s.http.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = &refused{method, response.StatusCode, string(answer[:min(len(answer), 200)])}
	}
	return answer, err
}

func withoutURL(err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// failure names an error for counting: the status, or what became of the connection.
func failure(err error) string {
	var r *refused
	var network net.Error
	switch {
	case errors.As(err, &r):
		return fmt.Sprint(r.status)
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	}
	return "connection"
}

// request is one piece of a closed loop: it gives how many statements it stored or got, and how long that took.
type request func(ctx context.Context, client int) (statements int, took time.Duration, err error)

// tally is what a closed loop found.
type tally struct {
	clients    int
	wall       time.Duration
	times      []time.Duration // of the requests that went well, shortest first
	statements int
	failures   map[string]int
	first      error // that was met
}

// bounds of a closed loop; the one that is reached first ends it. 0: none.
type bounds struct {
	requests int
	time     time.Duration
}

// closedLoop has clients send one request after another, each client its next when the last is answered.
func closedLoop(ctx context.Context, clients int, b bounds, do request) (tally, error) {
	t := tally{clients: clients, failures: map[string]int{}}
	var mu sync.Mutex
	var group sync.WaitGroup
	left, begun := b.requests, time.Now()
	take := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil || b.time > 0 && time.Since(begun) >= b.time || b.requests > 0 && left == 0 {
			return false
		}
		left--
		return true
	}
	for client := range clients {
		group.Go(func() {
			for take() {
				n, took, err := do(ctx, client)
				mu.Lock()
				if err != nil {
					t.failures[failure(err)]++
					if t.first == nil {
						t.first = err
					}
				} else {
					t.times, t.statements = append(t.times, took), t.statements+n
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	t.wall = time.Since(begun)
	slices.Sort(t.times)
	if err := ctx.Err(); err != nil {
		return t, err
	}
	if len(t.times) == 0 {
		return t, fmt.Errorf("no request went well: %w", t.first)
	}
	return t, nil
}

// percentile gives the time within which so many of a hundred requests were answered.
func (t *tally) percentile(p int) time.Duration {
	return t.times[min(len(t.times)*p/100, len(t.times)-1)]
}

// perSecond gives a rate over the loop.
func (t *tally) perSecond(n int) float64 { return float64(n) / t.wall.Seconds() }

// milliseconds, for reports.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
