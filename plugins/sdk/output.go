package sdk

import (
	"fmt"
	"strings"
	"sync"

	"github.com/lrshub/lrshub/plugins/contract"
)

// Limits of what an Output takes.
const (
	MaxRecord   = contract.MaxRecord   // bytes of a record, unless the request says otherwise
	MaxCursor   = contract.MaxCursor   // bytes of a cursor
	MaxRaw      = contract.MaxRaw      // bytes kept of what could not be read as a record
	MaxPosition = contract.MaxPosition // bytes of a position
	PageRecords = 1000                 // records between checkpoints, unless the request says otherwise
	pageBytes   = 4 << 20              // bytes of records between checkpoints after which Due says so
)

// Codes of records that never become statements.
const (
	BadRecord = contract.CodeBadRecord // cannot be read
	TooLarge  = contract.CodeTooLarge  // larger than Request.MaxRecord
)

// Output takes what a Read brings. Its methods may be called from several goroutines; they keep no slice they are given.
// An error from any of them ends the read: return it.
type Output struct {
	mu      sync.Mutex
	emit    func(Event) error
	max     int // bytes of a record
	page    int // records of a page
	records int // since the last checkpoint
	bytes   int // since the last checkpoint
	err     error
}

// Event is one thing that an Output was given; sdktest shows them to tests.
type Event = contract.Event

// The kinds of events.
const (
	EventRecord           = contract.EventRecord
	EventDelete           = contract.EventDelete
	EventBad              = contract.EventBad
	EventCheckpoint       = contract.EventCheckpoint
	EventProgress         = contract.EventProgress
	EventSnapshotComplete = contract.EventSnapshotComplete
)

// NewOutput makes an Output that hands each event to emit, one at a time. Connectors' tests use sdktest instead.
func NewOutput(r Request, emit func(Event) error) *Output {
	o := &Output{emit: emit, max: r.MaxRecord, page: r.PageRecords}
	if o.max <= 0 {
		o.max = MaxRecord
	}
	if o.page <= 0 {
		o.page = PageRecords
	}
	return o
}

// Record brings one record, a JSON object. Position says where in the source it stood ("results.csv:17", "offset 8812"), never a value.
// A record above Request.MaxRecord is reported as Bad with code too_large instead.
func (o *Output) Record(json []byte, position string) error {
	if len(json) > o.max {
		return o.Bad(TooLarge, position, fmt.Sprintf("the record has %d bytes; the limit is %d", len(json), o.max), nil)
	}
	if !looksLikeObject(json) {
		return o.Bad(contract.CodeUnfit, position, "the record is not a JSON object", json)
	}
	return o.send(Event{Kind: EventRecord, JSON: json, Position: clip(position, MaxPosition)})
}

// Delete says that the record with this key is gone at the source (streams with deletes "tombstone"). The values are those of Stream.Key, in its order.
func (o *Output) Delete(key []any) error {
	text, err := contract.Key(key...)
	if err != nil {
		return Errorf(ClassSourceBug, "a deleted record's key: %w", err)
	}
	return o.send(Event{Kind: EventDelete, JSON: text})
}

// Bad reports something that cannot be read as a record. It is kept apart as a dead letter, sealed; reading goes on. Code is BadRecord or TooLarge;
// reason names field, position and kind, never a value; raw is what was found (may be nil, cut at MaxRaw).
func (o *Output) Bad(code, position, reason string, raw []byte) error {
	if len(raw) > MaxRaw {
		raw = raw[:MaxRaw]
	}
	return o.send(Event{Kind: EventBad, JSON: raw, Position: clip(position, MaxPosition), Code: clip(code, 64), Reason: clip(reason, MaxPosition)})
}

// Due says that a page is full and that a checkpoint should follow.
func (o *Output) Due() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.records >= o.page || o.bytes >= pageBytes
}

// Checkpoint says that everything before it is complete, and that a later read with this cursor brings the rest. It
// blocks until the hub has taken the page. The cursor is the author's, at most 64 KiB, without secrets and without personal data.
func (o *Output) Checkpoint(cursor []byte) error {
	if len(cursor) > MaxCursor {
		return Errorf(ClassSourceBug, "a cursor has %d bytes; the limit is %d: keep positions in it, not data", len(cursor), MaxCursor)
	}
	return o.send(Event{Kind: EventCheckpoint, Cursor: cursor})
}

// Progress tells how far the read is, in any unit; total 0 if unknown. Call it also while nothing else happens for long: a
// read that shows no sign of life for a minute is taken for hung.
func (o *Output) Progress(done, total int64) {
	_ = o.send(Event{Kind: EventProgress, Done: done, Total: total}) // a failure is kept and met by the next call
}

// SnapshotComplete says that every record that exists was brought since the snapshot began (streams with deletes "absence"):
// what was not seen is gone. It belongs to the page that the next checkpoint, or the end of Read, closes.
func (o *Output) SnapshotComplete() error {
	return o.send(Event{Kind: EventSnapshotComplete})
}

func (o *Output) send(e Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	switch e.Kind {
	case EventRecord, EventDelete, EventBad:
		o.records++
		o.bytes += len(e.JSON)
	case EventCheckpoint:
		o.records, o.bytes = 0, 0
	}
	o.err = o.emit(e)
	return o.err
}

// looksLikeObject is a cheap look at both ends; the host reads the whole.
func looksLikeObject(json []byte) bool {
	first, last := 0, len(json)-1
	for first < last && blank(json[first]) {
		first++
	}
	for last > first && blank(json[last]) {
		last--
	}
	return first < last && json[first] == '{' && json[last] == '}'
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func clip(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
