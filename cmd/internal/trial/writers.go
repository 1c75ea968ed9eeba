package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// Writers proves that a record store stays whole when many clients write the same things at once: they send overlapping batches of equal statements, conflicting ones,
// voidings and references of each other's statements, with shared activities and agents, with attachments, by POST and by PUT, invalid batches between, and merge
// documents. What each request was told must then be what the store shows: writers_statements.go says what is sent, writers_check.go what is checked.
type Writers struct {
	Nodes       []string // URLs of the hubs that have one database; requests take them in turn
	Key, Secret string   // of a client with the scopes all and define
	Clients     int
	Time        time.Duration
	Seed        uint64
	Killed      bool // something is killed meanwhile: of a request without answer, or with 503, nobody knows whether it was stored
}

// WritersReport counts what was sent and found.
type WritersReport struct {
	Acknowledged, Conflicts, Invalid, Unknown int           // requests with statements, by answer
	Committed                                 int           // of the unknown ones: those that were stored
	Stored, Voided, Voidings, References      int           // statements found
	Attachments, Keys                         int           // attachments read back, keys of merged documents
	Slowest                                   time.Duration // request
}

func (r *WritersReport) add(o WritersReport) {
	r.Acknowledged, r.Conflicts, r.Invalid, r.Unknown = r.Acknowledged+o.Acknowledged, r.Conflicts+o.Conflicts, r.Invalid+o.Invalid, r.Unknown+o.Unknown
	r.Committed, r.Stored, r.Voided, r.Voidings = r.Committed+o.Committed, r.Stored+o.Stored, r.Voided+o.Voided, r.Voidings+o.Voidings
	r.References, r.Attachments, r.Keys = r.References+o.References, r.Attachments+o.Attachments, r.Keys+o.Keys
	r.Slowest = max(r.Slowest, o.Slowest)
}

func (r WritersReport) String() string {
	return fmt.Sprintf("%d requests acknowledged, %d conflicts, %d invalid, %d without answer (%d of them stored); %d statements stored, %d of them voided; %d voidings, %d references, %d attachments, %d keys in documents; slowest request %v",
		r.Acknowledged, r.Conflicts, r.Invalid, r.Unknown, r.Committed, r.Stored, r.Voided, r.Voidings, r.References, r.Attachments, r.Keys, r.Slowest.Round(time.Millisecond))
}

// outcome is what a request was told.
type outcome int

const (
	unknown outcome = iota
	acknowledged
	conflict
	invalid
)

func (o outcome) String() string {
	return [...]string{"not answered", "acknowledged", "refused as a conflict", "refused as invalid"}[o]
}

// sent is a request with statements. Its marks are statements that no other request has: they tell whether it was stored.
type sent struct {
	statements []said // without the marks
	marks      []int
	broken     bool // one of its statements is invalid
	outcome    outcome
}

// merged is a property that a client added to a document.
type merged struct {
	document, key string
	value         int
	outcome       outcome
}

// writers is one run.
type writers struct {
	Writers
	http      *http.Client
	namespace uuid.UUID    // of the statements' ids
	turn      atomic.Int64 // of requests
	marks     atomic.Int64 // given away
	mu        sync.Mutex
	sent      []*sent
	merged    []*merged
	report    WritersReport
}

// firstMark is the number of the first mark; shared statements have numbers below.
const firstMark = 1 << 30

// Run writes for Time, calls meanwhile (if it is not nil) beside, and checks.
func (c Writers) Run(ctx context.Context, meanwhile func(ctx context.Context) error) (WritersReport, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: c.Clients, MaxIdleConns: len(c.Nodes) * c.Clients}
	defer transport.CloseIdleConnections()
	w := &writers{Writers: c, http: &http.Client{Transport: transport, Timeout: time.Minute}, namespace: uuid.New()}
	var group errgroup.Group
	end := time.Now().Add(c.Time)
	for i := range c.Clients {
		random := rand.New(rand.NewPCG(c.Seed, uint64(i)))
		group.Go(func() error {
			for time.Now().Before(end) {
				if err := w.write(ctx, i, random); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if meanwhile != nil {
		group.Go(func() error { return meanwhile(ctx) })
	}
	if err := group.Wait(); err != nil {
		return w.report, err
	}
	return w.report, w.check(ctx)
}

// write sends one request, and now and then, when its answer is lost, the same once more.
func (w *writers) write(ctx context.Context, client int, random *rand.Rand) error {
	if random.IntN(10) == 0 {
		return w.merge(ctx, client, random)
	}
	s := w.choose(random)
	w.mu.Lock()
	w.sent = append(w.sent, s)
	w.mu.Unlock()
	method, path, kind, body := w.request(s, client)
	again := random.IntN(2) == 0
	for {
		status, text, err := w.do(ctx, method, path, kind, body)
		switch {
		case err == nil && (status == http.StatusOK || status == http.StatusNoContent) && !s.broken:
			s.outcome = acknowledged
		case err == nil && status == http.StatusConflict && !s.broken:
			s.outcome = conflict
		case err == nil && status == http.StatusBadRequest && s.broken:
			s.outcome = invalid
		case w.Killed && ctx.Err() == nil && (err != nil || status == http.StatusServiceUnavailable || status == http.StatusUnauthorized):
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
			if again {
				continue
			}
		case err != nil:
			return fmt.Errorf("%s statements: %w", method, err)
		default:
			return fmt.Errorf("%s statements (broken: %t): %d %s", method, s.broken, status, text)
		}
		return nil
	}
}

// merge adds a property to a document that others change too.
func (w *writers) merge(ctx context.Context, client int, random *rand.Rand) error {
	m := &merged{document: documents[random.IntN(len(documents))], key: fmt.Sprintf("client-%d", client), value: int(w.turn.Load())}
	m.key += fmt.Sprint("-", m.value, "-", random.IntN(1<<30))
	w.mu.Lock()
	w.merged = append(w.merged, m)
	w.mu.Unlock()
	status, text, err := w.do(ctx, http.MethodPost, w.document(m.document), "application/json", []byte(fmt.Sprintf(`{%q:%d}`, m.key, m.value)))
	switch {
	case err == nil && status == http.StatusNoContent:
		m.outcome = acknowledged
	case w.Killed && ctx.Err() == nil && (err != nil || status == http.StatusServiceUnavailable):
		time.Sleep(100 * time.Millisecond)
	case err != nil:
		return fmt.Errorf("POST of a document: %w", err)
	default:
		return fmt.Errorf("POST of a document: %d %s", status, text)
	}
	return nil
}

// do sends a request to the next node. Its error does not name the URL, which names agents.
func (w *writers) do(ctx context.Context, method, path, kind string, body []byte) (status int, text []byte, err error) {
	node := w.Nodes[int(w.turn.Add(1))%len(w.Nodes)]
	r, err := http.NewRequestWithContext(ctx, method, node+path, strings.NewReader(string(body)))
	if err != nil {
		return 0, nil, err
	}
	r.SetBasicAuth(w.Key, w.Secret)
	r.Header.Set("X-Experience-API-Version", "1.0.3")
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	began := time.Now()
	response, err := w.http.Do(r)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = readAll(response)
	w.mu.Lock()
	w.report.Slowest = max(w.report.Slowest, time.Since(began))
	w.mu.Unlock()
	return response.StatusCode, text, err
}
