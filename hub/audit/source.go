package audit

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"
)

// Source gives one tenant's log to Verify and Export: a Store reads it from Postgres, an ExportFile from an export.
type Source interface {
	// Log says how large the log is. It is called first, and once.
	Log(ctx context.Context) (LogSize, error)
	// Entries yields the log's rows in the order of the tree: for each leaf its row, then the stored hashes that it completes, then
	// the checkpoint of that size; after the last leaf whatever rows do not fit, and the events that are in no tree. Rows
	// of the tree that Log did not count are left out. An error ends it.
	Entries(ctx context.Context) iter.Seq2[Entry, error]
}

// LogSize is what a log says of itself: three numbers that agree unless rows were removed or altered.
type LogSize struct {
	Version int   `json:"version"` // of the export format
	Tenant  int   `json:"tenant"`
	Head    int64 `json:"head"`   // audit_head: events in the tree
	Leaves  int64 `json:"leaves"` // highest leaf index and one
	Hashes  int64 `json:"hashes"` // highest index of a stored hash and one
	// VerifierKey is the one that the exporting hub used. Verify does not trust it.
	VerifierKey string `json:"verifier_key,omitempty"`
}

// Entry is one row of the log. Exactly one member is set.
type Entry struct {
	Leaf       *LeafRow       `json:"leaf,omitempty"`
	Hash       *HashRow       `json:"hash,omitempty"`
	Checkpoint *CheckpointRow `json:"checkpoint,omitempty"`
	Loose      *LooseRow      `json:"loose,omitempty"`
	Damage     *Damage        `json:"-"`
}

// Damage is a line of an export that cannot be what the hub wrote.
type Damage struct {
	Line int64 // from 1
	Text string
}

// LeafRow is a leaf with its event; Event is nil if there is no such event.
type LeafRow struct {
	Index   int64     `json:"index"`
	EventID uuid.UUID `json:"event_id"`
	Event   *EventRow `json:"event"`
}

// EventRow is a row of audit_event. Canonical holds the bytes that are hashed; the columns repeat parts of it.
type EventRow struct {
	ID        uuid.UUID   `json:"id"`
	At        time.Time   `json:"at"`
	Kind      string      `json:"kind"`
	Actor     string      `json:"actor"`
	Purpose   string      `json:"purpose"`
	Subjects  []uuid.UUID `json:"subjects"`
	Canonical []byte      `json:"canonical"` // base64 in JSON
	// Unreadable names a column whose value is no value of its type, such as a null among the subjects.
	Unreadable string `json:"unreadable,omitempty"`
}

// HashRow is a stored hash of the tree; Index is tlog.StoredHashIndex.
type HashRow struct {
	Index int64  `json:"index"`
	Hash  []byte `json:"hash"` // 32 bytes, base64 in JSON
}

// CheckpointRow is a row of audit_checkpoint.
type CheckpointRow struct {
	Size int64  `json:"size"`
	Note string `json:"note"`
}

// LooseRow is an event that has no leaf (it waits for one if Pending), or a pending row that should not be there.
type LooseRow struct {
	EventID   uuid.UUID `json:"event_id"`
	Event     *EventRow `json:"event"`               // nil: a pending row without its event
	Pending   []byte    `json:"pending"`             // the leaf hash that waits, 32 bytes; nil: no pending row
	Sequenced bool      `json:"sequenced,omitempty"` // a pending row whose event has a leaf already
}

// expected is the size that two of the three numbers give: one altered row does not mislead the reader.
func (s LogSize) expected() int64 {
	n := []int64{s.Head, s.Leaves, 0}
	if s.Hashes > 0 {
		n[2] = leafOf(s.Hashes-1) + 1
	}
	slices.Sort(n)
	return max(0, n[1])
}

// impossible is an index that no log reaches: beyond it, tlog's arithmetic overflows.
const impossible = 1 << 60

// leafOf returns the leaf that completes the stored hash of that index: -1 or impossible if there is none.
func leafOf(index int64) int64 {
	if index < 0 {
		return -1
	}
	if index >= impossible {
		return impossible
	}
	level, n := tlog.SplitStoredHashIndex(index)
	return (n+1)<<level - 1
}
