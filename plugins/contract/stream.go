// Package contract holds what both sides of the connector protocol agree on: the plain Go types that describe a
// stream of records (this file), paths into records (path.go), the one text form of a record's key (key.go), and, in
// connectorv1, the gRPC messages generated from connector.proto. Start reading at Stream.
//
// The plain types have no dependency on gRPC, so that a mapping can be checked against a stream without linking it.
package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrSchema is wrapped by every complaint about a stream's description.
var ErrSchema = errors.New("invalid stream")

// Type is the type of one field's JSON value.
type Type string

const (
	String    Type = "string"    // a JSON string
	Int       Type = "int"       // a JSON number without fraction or exponent, within 64 bits
	Double    Type = "double"    // any JSON number
	Bool      Type = "bool"      // true or false
	Timestamp Type = "timestamp" // a JSON string holding an RFC 3339 instant
	Object    Type = "object"    // an object with the named Fields
	List      Type = "list"      // an array whose elements are Elem
	Map       Type = "map"       // an object with any names whose values are Elem
	Any       Type = "any"       // anything; expressions see it untyped
)

// Field is one named value of a record.
type Field struct {
	Name     string  `json:"name"`
	Type     Type    `json:"type"`
	Fields   []Field `json:"fields,omitempty"`   // of an object
	Elem     *Field  `json:"elem,omitempty"`     // of a list or a map; its Name is not used
	Optional bool    `json:"optional,omitempty"` // may be absent or null
}

// Deletes says how a source tells that a record is gone.
type Deletes string

const (
	DeletesNone      Deletes = "none"      // it never tells
	DeletesTombstone Deletes = "tombstone" // it names the key of what is gone
	DeletesAbsence   Deletes = "absence"   // what a complete snapshot does not hold is gone
)

// Mode says what a read without a cursor and one with a cursor bring.
type Mode string

const (
	Incremental Mode = "incremental" // only what is new since the cursor
	Snapshot    Mode = "snapshot"    // everything each time; a cursor resumes an unfinished snapshot (and see Compares)
)

// Stream describes one kind of record of a source: a table, a log, a resource.
type Stream struct {
	Name   string  `json:"name"`
	Fields []Field `json:"fields"`
	// Key holds the paths of the fields that together identify a record. Empty: the hash of the record's content does.
	Key []string `json:"key,omitempty"`
	// Subject is the path of the field that identifies the person the record is about, "" if none does.
	Subject string  `json:"subject,omitempty"`
	Deletes Deletes `json:"deletes,omitempty"` // "" means none
	Mode    Mode    `json:"mode,omitempty"`    // "" means snapshot
	// Compares says of a snapshot that its connector, given the cursor of a finished one, compares the source with it: unchanged, it brings nothing and
	// does not say SnapshotComplete; changed, it brings everything. Others are never given such a cursor: one that took it for the place to go
	// on from would bring nothing, call the snapshot complete, and have every record taken back.
	Compares bool `json:"compares,omitempty"`
	// Ranges says of an incremental stream that it can be read for a range of time (a backfill), whatever its cursor is.
	Ranges bool `json:"ranges,omitempty"`
	// Statements says that the records are xAPI statements (StatementRecord), which the hub keeps as they are: no mapping converts them, and
	// no field of them is left out. Such a stream is incremental and has no deletes: voiding statements say what is gone.
	Statements bool `json:"statements,omitempty"`
}

// StatementStream is a stream of statements.
func StatementStream(name string) Stream {
	text := func(name string) Field { return Field{Name: name, Type: String} }
	return Stream{
		Name: name, Key: []string{"id"}, Mode: Incremental, Statements: true,
		Fields: []Field{
			text("id"), {Name: "version", Type: String, Optional: true}, {Name: "statement", Type: Any},
			{Name: "attachments", Type: List, Optional: true, Elem: &Field{Type: Object, Fields: []Field{
				text("sha2"), {Name: "contentType", Type: String, Optional: true}, text("data")}}},
		},
	}
}

// StatementRecord is a record of a StatementStream.
type StatementRecord struct {
	ID        string          `json:"id"`                // the statement's
	Version   string          `json:"version,omitempty"` // of xAPI, as in X-Experience-API-Version; "": 1.0.3
	Statement json.RawMessage `json:"statement"`         // as the source gave it
	// Attachments hold the contents of the statement's attachments; nil: the source was not asked for them. All that have no fileUrl must be there.
	Attachments []Attachment `json:"attachments,omitzero"`
}

// Attachment is the content of one attachment.
type Attachment struct {
	SHA2        string `json:"sha2"`
	ContentType string `json:"contentType,omitempty"`
	Data        []byte `json:"data"` // base64 in JSON
}

// Validate says whether the stream's description makes sense; the error wraps ErrSchema and names the field.
func (s Stream) Validate() error {
	if s.Name == "" || len(s.Name) > 200 {
		return fmt.Errorf("%w: a stream's name has 1 to 200 bytes, not %d", ErrSchema, len(s.Name))
	}
	if err := validateFields(s.Name, s.Fields, 1); err != nil {
		return err
	}
	for _, path := range s.Key {
		if err := s.identifies("key", path); err != nil {
			return err
		}
	}
	if s.Subject != "" {
		if err := s.identifies("subject", s.Subject); err != nil {
			return err
		}
	}
	switch s.Deletes {
	case "", DeletesNone:
	case DeletesTombstone, DeletesAbsence:
		if len(s.Key) == 0 {
			return fmt.Errorf("%w: stream %q reports deletes and so needs a key", ErrSchema, s.Name)
		}
	default:
		return fmt.Errorf("%w: stream %q: deletes is none, tombstone or absence, not %q", ErrSchema, s.Name, s.Deletes)
	}
	if s.Statements && (s.Mode != Incremental || s.Deletes != "" && s.Deletes != DeletesNone) {
		return fmt.Errorf("%w: stream %q: statements are incremental and have no deletes", ErrSchema, s.Name)
	}
	if s.Ranges && s.Mode != Incremental {
		return fmt.Errorf("%w: stream %q: only an incremental stream is read for a range of time", ErrSchema, s.Name)
	}
	if s.Compares && s.Mode == Incremental {
		return fmt.Errorf("%w: stream %q: only a snapshot compares", ErrSchema, s.Name)
	}
	switch s.Mode {
	case "", Incremental, Snapshot:
		return nil
	}
	return fmt.Errorf("%w: stream %q: mode is incremental or snapshot, not %q", ErrSchema, s.Name, s.Mode)
}

// identifies checks that a key's or subject's path ends at a single value of a scalar type.
func (s Stream) identifies(what, path string) error {
	fields, parts := s.Fields, SplitPath(path)
	for i, part := range parts {
		field, ok := find(fields, part)
		switch {
		case !ok:
			return fmt.Errorf("%w: stream %q: %s field %q is not among its fields", ErrSchema, s.Name, what, path)
		case i < len(parts)-1 && field.Type == Object:
			fields = field.Fields
		case i < len(parts)-1 || !field.scalar():
			return fmt.Errorf("%w: stream %q: %s field %q must be a string, number, bool or timestamp reached through objects only",
				ErrSchema, s.Name, what, path)
		}
	}
	return nil
}

func (f Field) scalar() bool {
	switch f.Type {
	case String, Int, Double, Bool, Timestamp:
		return true
	}
	return false
}

// Lookup finds the field a path leads to, through objects, lists and maps. Below a field of type any everything is any.
func (s Stream) Lookup(path string) (Field, bool) {
	at := Field{Type: Object, Fields: s.Fields}
	for _, part := range SplitPath(path) {
		for at.Type == List && at.Elem != nil {
			at = *at.Elem
		}
		switch at.Type {
		case Object:
			next, ok := find(at.Fields, part)
			if !ok {
				return Field{}, false
			}
			at = next
		case Map:
			at = *at.Elem
			at.Name, at.Optional = part, true
		case Any:
			at = Field{Name: part, Type: Any, Optional: true}
		default:
			return Field{}, false
		}
	}
	return at, true
}

func find(fields []Field, name string) (Field, bool) {
	for _, f := range fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

const maxDepth = 32

func validateFields(where string, fields []Field, depth int) error {
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		at := where + "." + f.Name
		switch {
		case f.Name == "":
			return fmt.Errorf("%w: %s has a field without a name", ErrSchema, where)
		case seen[f.Name]:
			return fmt.Errorf("%w: %s has two fields named %q", ErrSchema, where, f.Name)
		}
		seen[f.Name] = true
		if err := validateType(at, f, depth); err != nil {
			return err
		}
	}
	return nil
}

func validateType(at string, f Field, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: %s lies deeper than %d levels", ErrSchema, at, maxDepth)
	}
	switch f.Type {
	case String, Int, Double, Bool, Timestamp, Any:
	case Object:
		if f.Elem != nil {
			return fmt.Errorf("%w: %s: an object has fields, not elem", ErrSchema, at)
		}
		return validateFields(at, f.Fields, depth+1)
	case List, Map:
		if f.Elem == nil || len(f.Fields) > 0 {
			return fmt.Errorf("%w: %s: a %s has elem (and no fields)", ErrSchema, at, f.Type)
		}
		return validateType(at+"[]", *f.Elem, depth+1)
	default:
		return fmt.Errorf("%w: %s: type is string, int, double, bool, timestamp, object, list, map or any, not %q", ErrSchema, at, f.Type)
	}
	if len(f.Fields) > 0 || f.Elem != nil {
		return fmt.Errorf("%w: %s: only object, list and map have parts", ErrSchema, at)
	}
	return nil
}

// String names the stream and its key, for logs.
func (s Stream) String() string { return s.Name + "(" + strings.Join(s.Key, ",") + ")" }

// MethodEnter stands for the method of a push that no HTTP request to a hook brought: a person entered it through the hub, which knows who that is.
const MethodEnter = "ENTER"
