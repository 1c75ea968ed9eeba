package receive

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/lrshub/lrshub/hub/pace"
)

const (
	maxBody     = 8 << 20         // bytes of a push
	maxMade     = 4 * maxBody     // bytes of the records that a connector makes of one
	smallBody   = 64 << 10        // bytes that a push may have without waiting for a place
	maxSmall    = 256             // pushes at a time, however small
	maxBodies   = 64 << 20        // bytes of the larger ones at a time
	crowded     = 5 * time.Second // how long a push waits for others
	pushRate    = 50              // a second and connection
	pushBurst   = 200             //
	pushesOnce  = 4               // pushes of one connection that are stored at a time
	pushTime    = 2 * time.Minute // for all that a push takes, once it has arrived
	maxGates    = 20_000          // connections whose rate is remembered
	maxHeader   = 64 << 10        // bytes of header that a connector is shown
	overtakings = 8               // times that a push is made anew because something else changed
)

// bodies bounds the memory that pushes hold.
type bodies struct {
	count *semaphore.Weighted
	large *semaphore.Weighted
}

func newBodies() *bodies {
	return &bodies{count: semaphore.NewWeighted(maxSmall), large: semaphore.NewWeighted(maxBodies)}
}

var errCrowded = later(http.StatusServiceUnavailable, "crowded", "too many pushes at once: send it again", 2*time.Second)

// take takes a place for a push; giveBack gives back what it and read took.
func (b *bodies) take(ctx context.Context) (*room, error) {
	ctx, cancel := context.WithTimeout(ctx, crowded)
	defer cancel()
	if b.count.Acquire(ctx, 1) != nil {
		return nil, errCrowded
	}
	return &room{of: b}, nil
}

// room is what one push holds.
type room struct {
	of    *bodies
	large int64
}

func (m *room) giveBack() {
	m.of.count.Release(1)
	m.of.large.Release(m.large)
}

// read reads a body to its end: at first what is small, then, with a place for as much as it may become, the rest.
func (m *room) read(ctx context.Context, w http.ResponseWriter, r *http.Request, patience time.Duration) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "" {
		w.Header().Set("Accept-Encoding", "identity")
		return nil, problem{Status: http.StatusUnsupportedMediaType, Reason: "encoding", Detail: "send the body as it is: this hub takes none with a Content-Encoding"}
	}
	tooLarge := problem{Status: http.StatusRequestEntityTooLarge, Reason: "too_large", Detail: "a push has at most 8 MiB: send it in smaller parts"}
	if r.ContentLength > maxBody {
		return nil, tooLarge
	}
	in := pace.New(w, r, maxBody, patience)
	body, err := io.ReadAll(io.LimitReader(in, smallBody))
	if err == nil && len(body) == smallBody {
		if err = m.grow(ctx, r.ContentLength); err != nil {
			return nil, err
		}
		var rest []byte
		rest, err = io.ReadAll(in)
		body = append(body, rest...)
	}
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close") // the rest of it is not waited for
		return nil, problem{Status: http.StatusRequestTimeout, Reason: "slow", Detail: "the push stopped arriving, or came too slowly"}
	case err != nil:
		return nil, problem{Status: http.StatusBadRequest, Reason: "broken_off", Detail: "the push ended before all of it had arrived"}
	}
	in.Arrived()
	return body, nil
}

func (m *room) grow(ctx context.Context, length int64) error {
	if length < 0 {
		length = maxBody
	}
	ctx, cancel := context.WithTimeout(ctx, crowded)
	defer cancel()
	if m.of.large.Acquire(ctx, length) != nil {
		return errCrowded
	}
	m.large += length
	return nil
}

// gates bounds how often and how many at a time one connection is pushed to. Only connections that exist have one.
type gates struct {
	mu sync.Mutex
	of map[uuid.UUID]*gate
}

type gate struct {
	pace  *rate.Limiter
	slots *semaphore.Weighted
}

func newGates() *gates { return &gates{of: map[uuid.UUID]*gate{}} }

func (g *gates) get(id uuid.UUID) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	one := g.of[id]
	if one == nil {
		if len(g.of) >= maxGates {
			clear(g.of)
		}
		one = &gate{pace: rate.NewLimiter(pushRate, pushBurst), slots: semaphore.NewWeighted(pushesOnce)}
		g.of[id] = one
	}
	return one
}

// allow counts a request against the connection's rate, before its body is read.
func (g *gate) allow(now time.Time) error {
	if !g.pace.AllowN(now, 1) {
		return later(http.StatusTooManyRequests, "rate", "more pushes than this connection may have: send it again, and more in one push", 2*time.Second)
	}
	return nil
}

// enter waits for a place, not for long.
func (g *gate) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, crowded)
	defer cancel()
	if g.slots.Acquire(ctx, 1) != nil {
		return errCrowded
	}
	return nil
}

func (g *gate) leave() { g.slots.Release(1) }
