package auth

import (
	"net/netip"
	"sync"
	"time"

	"github.com/lrshub/lrshub/hub/access"
)

const (
	// recentLife is how long a good credential is taken as good: a revocation holds within a second.
	recentLife = 800 * time.Millisecond
	// maxRecent bounds what is remembered; beyond it all is forgotten.
	maxRecent = 10_000
)

// recent remembers good credentials for a moment, by their digest.
type recent struct {
	mu   sync.Mutex
	good map[digest]remembered
}

// remembered is what a good credential stands for.
type remembered struct {
	caller   access.Caller
	networks []netip.Prefix // from which it is good; none: from anywhere
	ends     time.Time      // of the client, the key or the token, whichever is first; zero: none of them
	until    time.Time      // how long it is remembered
}

func (r *recent) find(mac digest, now time.Time) (remembered, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.good[mac]
	// A clock that was set back must not lengthen a life.
	if !ok || !now.Before(known.until) || now.Before(known.until.Add(-recentLife)) {
		delete(r.good, mac)
		return remembered{}, false
	}
	return known, true
}

func (r *recent) keep(mac digest, what remembered, now time.Time) {
	what.until = earlier(now.Add(recentLife), what.ends)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.good) >= maxRecent {
		clear(r.good)
	}
	r.good[mac] = what
}

// earlier gives the first of two times; a zero one never comes.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// whose gives a copy of the caller, which is the one who asks for its to keep.
func (r remembered) whose() access.Caller {
	c := r.caller
	c.Scopes = append([]string(nil), c.Scopes...)
	return c
}
