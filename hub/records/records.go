// Package records keeps statements in Postgres: clear columns that carry the index, the counting and the policy, and
// sealed bytes for all that may identify a person. It seals and opens nothing itself: ingest gives it
// sealed rows, disclose opens what it reads.
//
// Start with Statement (this file), the row; Insert (insert.go) writes a batch and says what was a repeat or a
// conflict; Select (select.go) reads by a query.Filter in the order of stored, and misses no late committer;
// Dictionary (dictionary.go) numbers verbs and keeps the catalogue of activities.
package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/xapi"
)

// ErrConflict: a statement with that id and other content is stored (xAPI answers 409).
var ErrConflict = errors.New("records: a statement with this id and other content is already stored")

// ErrNotFound: no such statement.
var ErrNotFound = errors.New("records: no such statement")

// Statement is a stored statement. Subjects are ids of the vault; times are UTC, microseconds.
type Statement struct {
	ID           uuid.UUID
	Seq          int64 // position in the store, from Clock; set with At
	Stored       time.Time
	Imported     bool // Stored is another store's, and not the position's
	Timestamp    time.Time
	Actor        uuid.UUID // subject
	Authority    uuid.UUID // subject
	Verb         int32     // Dictionary's number
	ObjectKind   xapi.ObjectKind
	Object       uuid.UUID // activity: its blind key; agent or group: its subject; StatementRef: its target; Nil otherwise
	Registration uuid.UUID // Nil if absent
	Scaled       *float64
	Raw          *float64
	Min          *float64
	Max          *float64
	Success      *bool
	Completion   *bool
	Duration     *float64 // seconds
	Version      xapi.Version
	Purpose      int32
	Connection   uuid.UUID // that made it; Nil for an xAPI client's
	Frame        []byte    // sealed under the actor's learning key with FrameContext
	Digest       Digest
	Agents       []Agent
	Activities   []ActivityUse // other than the object
	Attachments  []Attachment  // those whose content was sent
	Voids        uuid.UUID     // the statement that this one voids, or Nil
}

// At gives the statement its position, and the stored time that goes with it unless it is imported. One without a timestamp has that of its storing (Data 2.4.7).
func (s *Statement) At(position int64) {
	s.Seq = position
	if !s.Imported {
		s.Stored = StoredAt(position)
	}
	if s.Timestamp.IsZero() {
		s.Timestamp = s.Stored
	}
}

// Agent is an agent other than the frame's owner, in the slot where it was cut out of the frame.
type Agent struct {
	Slot    int
	Subject uuid.UUID
	Role    xapi.Role
	Direct  bool   // matches xAPI's agent parameter without related_agents
	Sealed  []byte // the agent as sent, under its own learning key with AgentContext
}

// ActivityUse is an activity in the context of a statement.
type ActivityUse struct {
	Key  uuid.UUID
	Role xapi.ActivityRole
}

// Digest is what is kept of a statement's content to know it again: 16 bytes of a keyed digest of its canonical form without the timestamp, then 16
// of one of its timestamp, or zeros where it was sent without.
type Digest []byte

// NewDigest makes a Digest of two keyed digests of at least 16 bytes; at is nil for a statement without timestamp.
func NewDigest(untimed, at []byte) Digest {
	d := make(Digest, 32)
	copy(d[:16], untimed)
	copy(d[16:], at)
	return d
}

// Same tells whether a statement with this digest is the one with the other. A timestamp that one of them lacks is no difference: the store
// sets it, and gives it out as if it had been sent (Data 2.3.1).
func (d Digest) Same(other Digest) bool {
	if len(d) != 32 || len(other) != 32 || !bytes.Equal(d[:16], other[:16]) {
		return false
	}
	var unset [16]byte
	return bytes.Equal(d[16:], other[16:]) || bytes.Equal(d[16:], unset[:]) || bytes.Equal(other[16:], unset[:])
}

// FrameContext binds a sealed frame to its statement.
func FrameContext(id uuid.UUID) string { return "frame|" + id.String() }

// AgentContext binds a sealed agent to its slot.
func AgentContext(id uuid.UUID, slot int) string { return fmt.Sprintf("agent|%s|%d", id, slot) }

// Clock reserves n positions for the transaction's statements and gives the first; a position is the stored time in microseconds
// since 1970. It must be the transaction's first write: see statement_clock in the migrations.
func Clock(ctx context.Context, tx *database.Tx, n int) (int64, error) {
	var first int64
	if err := tx.GetContext(ctx, &first, `SELECT statement_clock($1)`, n); err != nil {
		return 0, fmt.Errorf("records: clock: %w", err)
	}
	return first, nil
}

// StoredAt is the stored time of a position.
func StoredAt(seq int64) time.Time { return time.UnixMicro(seq).UTC() }
