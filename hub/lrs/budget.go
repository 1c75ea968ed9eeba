package lrs

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Memory that the bodies of all requests take together, in bytes. What comes before anybody is asked who sent it has a budget of its own, so that
// strangers cannot keep clients out. Each of the two budgets has smallMemory besides, so that large bodies cannot keep small ones out.
const (
	bodiesMemory = 256 << 20
	formsMemory  = 64 << 20
	smallMemory  = 64 << 20
)

// What a request holds beside that, in bytes of memory.
const (
	smallShare = 1 << 20  // of smallMemory at most: a body of 256 KiB needs no more
	unmetered  = 64 << 10 // of no budget: its header may be larger than that
)

// How many bytes of memory a byte of a body takes while its request lasts: the body, and what is made of it.
const (
	statementsWeight = 3 // the strings of the statements, what is sealed of them
	documentWeight   = 3 // the document that it is merged with, what is sealed
	formWeight       = 4 // its values, and content once more
)

// crowdedPatience is how long a request waits, on average, for others to give memory back.
const crowdedPatience = 5 * time.Second

// errCrowded: the other requests hold all the memory that there is for bodies.
var errCrowded = errors.New("lrs: other requests hold all the memory that there is for bodies")

// budget bounds the memory that requests hold at the same time. Bytes count as they arrive: a length that a client claims holds nothing. One sender holds a quarter of
// what is common at most, or one request.
type budget struct {
	common, small *semaphore.Weighted
	quarter       int64 // of common
	unmetered     int64
	patience      time.Duration

	mu      sync.Mutex
	senders map[any]*sender // of those who hold, or wait for, what is common
}

// sender is the quarter that one sender may hold.
type sender struct {
	part     *semaphore.Weighted
	requests int
}

func newBudget(common, small int64) *budget {
	return &budget{
		common: semaphore.NewWeighted(common), small: semaphore.NewWeighted(small), quarter: common / 4, unmetered: unmetered, patience: crowdedPatience,
		senders: map[any]*sender{},
	}
}

// share is what one request holds of a budget, until giveBack. It is for one goroutine.
type share struct {
	ctx  context.Context // of the request
	of   *budget
	who  any // sent it; comparable
	from *sender

	unmetered, small, part, common int64 // bytes that it holds
}

func (b *budget) share(ctx context.Context, who any) *share { return &share{ctx: ctx, of: b, who: who} }

// take takes memory. What is common it waits for, in the order in which requests came, and not for long. Requests that wait for each other do not all give up at the
// same moment: the first that does makes room for the rest.
func (s *share) take(bytes int64) error {
	free := min(bytes, s.of.unmetered-s.unmetered)
	s.unmetered += free
	if bytes -= free; bytes == 0 {
		return nil
	}
	if s.small+bytes <= smallShare && s.of.small.TryAcquire(bytes) {
		s.small += bytes
		return nil
	}
	if s.from == nil {
		s.from = s.of.enter(s.who)
	}
	bounded, cancel := context.WithTimeout(s.ctx, s.of.patience/2+rand.N(s.of.patience))
	defer cancel()
	part := min(bytes, s.of.quarter-s.part)
	err := s.from.part.Acquire(bounded, part)
	if err == nil {
		s.part += part
		err = s.of.common.Acquire(bounded, bytes)
	}
	switch {
	case err == nil:
		s.common += bytes
		return nil
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	}
	return errCrowded
}

// giveBack ends the use of all that was taken.
func (s *share) giveBack() {
	s.of.small.Release(s.small)
	s.of.common.Release(s.common)
	if s.from != nil {
		s.from.part.Release(s.part)
		s.of.leave(s.who)
	}
	*s = share{ctx: s.ctx, of: s.of, who: s.who}
}

func (b *budget) enter(who any) *sender {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := b.senders[who]
	if from == nil {
		from = &sender{part: semaphore.NewWeighted(b.quarter)}
		b.senders[who] = from
	}
	from.requests++
	return from
}

func (b *budget) leave(who any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if from := b.senders[who]; from.requests > 1 {
		from.requests--
	} else {
		delete(b.senders, who)
	}
}

// smallest is where the buffer of a body of unknown length begins.
const smallest = 4 << 10

// read reads a body of at most limit bytes to its end, and takes the memory for it while it comes. claim is its length as announced, -1 if it was not: it is believed
// only for how far the buffer need not grow. Errors: http.MaxBytesError, errCrowded, and those of body.
func (s *share) read(body io.Reader, limit, claim int64, weight int) ([]byte, error) {
	var read []byte
	for {
		if len(read) == cap(read) {
			size := min(int64(max(smallest, 2*cap(read))), limit+1) // one more, for the end to show itself
			if claim >= int64(len(read)) {
				size = min(max(size, 16*smallest), claim+1, limit+1)
			}
			if err := s.take(int64(weight) * (size - int64(cap(read)))); err != nil {
				return nil, err
			}
			read = append(make([]byte, 0, size), read...)
		}
		n, err := body.Read(read[len(read):cap(read)])
		switch read = read[:len(read)+n]; {
		case int64(len(read)) > limit:
			return nil, &http.MaxBytesError{Limit: limit}
		case err == io.EOF:
			return read, nil
		case err != nil:
			return nil, err
		}
	}
}

// watch gives a reader whose bytes are taken as they come, up to a limit: of the rest no more is kept in memory.
func (s *share) watch(body io.Reader, left *int64) io.Reader {
	return &watchedPart{body, s, left}
}

type watchedPart struct {
	body  io.Reader
	share *share
	left  *int64
}

func (p *watchedPart) Read(b []byte) (int, error) {
	n, err := p.body.Read(b)
	if take := min(int64(n), *p.left); take > 0 {
		if crowded := p.share.take(take); crowded != nil {
			return 0, crowded
		}
		*p.left -= take
	}
	return n, err
}
