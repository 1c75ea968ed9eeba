package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

var (
	// ErrInvalidEvent: the event cannot be written as it is. The message names the field, never its value.
	ErrInvalidEvent = errors.New("audit event not valid")
	// ErrNotCanonical: bytes that are no event of this format.
	ErrNotCanonical = errors.New("not the canonical bytes of an audit event")
)

// Limits of one event. A writer with more to tell writes several events.
const (
	MaxFields    = 64
	MaxListItems = 1000    // of a list in Fields
	MaxSubjects  = 100_000 // about 4 MB of canonical bytes
	MaxText      = 128     // bytes of a string
)

// Event is one thing that happened.
//
// Fields may hold booleans, numbers, times, UUIDs, []byte (written as hex: digests, commitments; at most 64 bytes),
// strings, and lists of UUIDs, strings or integers. Names are snake_case. Every string (Actor and Purpose too) passes
// a guard, so that personal data does not slip into a log that cannot forget: letters, digits and . _ - : + = / only,
// no "://" (an IRI may name a person), at most 128 bytes. The guard stops names with spaces, mail addresses,
// IRIs and free text; it cannot know that a bare number is someone's: give subject ids, never identifiers.
type Event struct {
	ID       uuid.UUID      // UUIDv7 of the instant; zero: Record makes one (NewID)
	Kind     string         // one of the constants in kinds.go
	Actor    string         // id of the credential or workflow that acted, never a name
	Purpose  string         // the purpose acted for; "" for the hub's own work
	Subjects []uuid.UUID    // subject ids shown or changed, in any order
	Fields   map[string]any // what else there is to tell
}

// formatVersion is the "version" of canonical bytes. Verify knows every version ever written.
const formatVersion = 1

// timeFormat writes UTC microseconds, always six digits.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// Encode returns the event's canonical bytes: one JSON object in ASCII without white space, with the members version,
// tenant, id, at, kind, actor, purpose, subjects (sorted, each once) and fields (sorted by name), in that order. These
// bytes are what the tree's leaf hashes; nothing ever makes them anew from the parts. now is cut to
// microseconds, which is what Postgres keeps. ID must be set.
func (e Event) Encode(tenant database.TenantID, now time.Time) ([]byte, error) {
	if err := e.check(now); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 256+39*len(e.Subjects))
	b = append(b, `{"version":`...)
	b = strconv.AppendInt(b, formatVersion, 10)
	b = append(b, `,"tenant":`...)
	b = strconv.AppendInt(b, int64(tenant), 10)
	b = append(b, `,"id":"`...)
	b = appendUUID(b, e.ID)
	b = append(b, `","at":"`...)
	b = now.UTC().AppendFormat(b, timeFormat)
	b = append(b, `","kind":"`...)
	b = append(b, e.Kind...)
	b = append(b, `","actor":"`...)
	b = append(b, e.Actor...)
	b = append(b, `","purpose":"`...)
	b = append(b, e.Purpose...)
	b = append(b, `","subjects":[`...)
	for i, s := range sortedSubjects(e.Subjects) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = appendUUID(b, s)
		b = append(b, '"')
	}
	b = append(b, `],"fields":{`...)
	for i, name := range slices.Sorted(maps.Keys(e.Fields)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, `":`...)
		var err error
		if b, err = appendValue(b, e.Fields[name]); err != nil {
			return nil, fmt.Errorf("%w: field %q %w", ErrInvalidEvent, name, err)
		}
	}
	return append(b, "}}"...), nil
}

// sortedSubjects returns the subjects in order, each once. The argument stays as it is.
func sortedSubjects(ids []uuid.UUID) []uuid.UUID {
	sorted := slices.Clone(ids)
	slices.SortFunc(sorted, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(sorted)
}

func appendUUID(b []byte, id uuid.UUID) []byte {
	text, _ := id.MarshalText() // cannot fail
	return append(b, text...)
}

// Written is an event as the log holds it.
type Written struct {
	Tenant   database.TenantID `json:"tenant"`
	ID       uuid.UUID         `json:"id"`
	At       time.Time         `json:"at"` // UTC, microseconds
	Kind     string            `json:"kind"`
	Actor    string            `json:"actor"`
	Purpose  string            `json:"purpose"`
	Subjects []uuid.UUID       `json:"subjects"`
	Fields   json.RawMessage   `json:"fields"` // a JSON object
}

// Decode reads canonical bytes.
func Decode(canonical []byte) (Written, error) {
	var doc struct {
		Version int `json:"version"`
		Written
	}
	d := json.NewDecoder(bytes.NewReader(canonical))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return Written{}, ErrNotCanonical // the decoder's message may quote the bytes
	}
	if doc.Version != formatVersion {
		return Written{}, fmt.Errorf("%w: format version %d, known is %d", ErrNotCanonical, doc.Version, formatVersion)
	}
	return doc.Written, nil
}
