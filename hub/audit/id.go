package audit

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// eventsMade tells events of one process and one instant apart, in the order in which they were made.
var eventsMade atomic.Uint32

// NewID returns the id of an event that happens now: a UUIDv7 (RFC 9562 section 5.7) whose rand_a is the fraction of
// the millisecond (method 3) and whose rand_b is a 22-bit counter of this process and 40 random bits. It depends on
// now alone, so a clock that goes back makes lower ids and nothing else.
func NewID(now time.Time) (uuid.UUID, error) { return newID(now, eventsMade.Add(1), rand.Reader) }

func newID(now time.Time, counter uint32, random io.Reader) (uuid.UUID, error) {
	id := idFloor(now)
	if _, err := io.ReadFull(random, id[11:]); err != nil {
		return uuid.Nil, err
	}
	id[8] = 0x80 | byte(counter>>16)&0x3f
	binary.BigEndian.PutUint16(id[9:], uint16(counter))
	return id, nil
}

// idFloor is the lowest id of an event at that microsecond or later.
func idFloor(at time.Time) uuid.UUID {
	var id uuid.UUID
	us := at.UnixMicro()
	binary.BigEndian.PutUint64(id[:], uint64(us/1000)<<16)
	binary.BigEndian.PutUint16(id[6:], 0x7000|uint16(us%1000*4096/1000))
	id[8] = 0x80
	return id
}

// idAt says whether the id was made for that instant.
func idAt(id uuid.UUID, at time.Time) bool {
	floor := idFloor(at)
	return [8]byte(id[:8]) == [8]byte(floor[:8]) && id[8]&0xc0 == 0x80
}
