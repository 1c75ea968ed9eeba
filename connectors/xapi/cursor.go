package xapi

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"
)

// A store gives statements by `stored`, exclusive, and some write its times to the millisecond only: several statements may share one, and one may appear
// late, with an earlier time than those that were read. So the cursor stays behind what was read, and names what was read beyond it.

// cursor says from when on to ask, and which statements after that were brought. It holds hashes of ids, and times; no content.
type cursor struct {
	Since  time.Time `json:"since"`
	Beyond []byte    `json:"beyond,omitempty"` // 8 bytes of a hash for each statement
}

// maxBeyond bounds the cursor (44 kB in base64). What does not fit is brought again, and the hub finds it unchanged.
const maxBeyond = 4000

// grain is the coarsest time stamp of a store.
const grain = time.Millisecond

type seen struct {
	stored time.Time
	hash   uint64
	named  bool // by the cursor, and not met since: stored is not known
}

// position is where a read is.
type position struct {
	since  time.Time
	last   time.Time       // the latest stored of what was brought
	beyond []seen          // brought, in the order of storing; what lies before since is dropped
	known  map[uint64]bool // hashes of beyond, and of what the cursor named
}

func start(text []byte, since time.Time) *position {
	p := &position{since: since, known: map[uint64]bool{}}
	var c cursor
	if json.Unmarshal(text, &c) != nil || c.Since.IsZero() {
		return p
	}
	p.since, p.last = c.Since, c.Since
	for list := c.Beyond; len(list) >= 8; list = list[8:] {
		hash := binary.BigEndian.Uint64(list)
		p.known[hash] = true
		p.beyond = append(p.beyond, seen{hash: hash, named: true})
	}
	return p
}

func hashOf(id string) uint64 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:])
}

// meet notes a statement and tells whether it is new.
func (p *position) meet(id string, stored time.Time) bool {
	hash := hashOf(id)
	if stored.After(p.last) {
		p.last = stored
	}
	fresh := !p.known[hash]
	if !fresh {
		p.beyond = slices.DeleteFunc(p.beyond, func(s seen) bool { return s.hash == hash })
	}
	p.known[hash] = true
	p.beyond = append(p.beyond, seen{stored: stored, hash: hash})
	return fresh
}

// end says that everything after the cursor was listed: what it named and the store no longer lists was voided, or erased.
func (p *position) end() {
	p.beyond = slices.DeleteFunc(p.beyond, func(s seen) bool { return s.named })
}

// encode gives the cursor. consistent is up to when the store has told everything that it will ever tell.
func (p *position) encode(consistent time.Time) []byte {
	since := p.last.Add(-grain)
	if consistent.Before(since) {
		since = consistent
	}
	if since.Before(p.since) {
		since = p.since
	}
	p.since = since
	p.beyond = slices.DeleteFunc(p.beyond, func(s seen) bool {
		old := !s.named && !s.stored.After(since)
		if old {
			delete(p.known, s.hash)
		}
		return old
	})
	c := cursor{Since: since}
	for _, s := range p.beyond[max(0, len(p.beyond)-maxBeyond):] {
		c.Beyond = binary.BigEndian.AppendUint64(c.Beyond, s.hash)
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // a time and bytes
	}
	return text
}
