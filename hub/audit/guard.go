package audit

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// check holds the event against the format's rules, but for the values of Fields (appendValue does those).
func (e Event) check(now time.Time) error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrInvalidEvent}, args...)...)
	}
	if y := now.UTC().Year(); y < 1970 || y > 9999 {
		return invalid("its time is outside the years 1970 to 9999")
	}
	if !idAt(e.ID, now) {
		return invalid("id must be the UUIDv7 of the event's time: leave it zero or take it from NewID with the same time")
	}
	if !validKind(e.Kind) {
		return invalid("kind must be two or more lower-case words joined by dots, at most 64 bytes")
	}
	if e.Actor == "" {
		return invalid("actor is empty: give the id of the credential or workflow that acts")
	}
	if err := guard(e.Actor); err != nil {
		return invalid("actor %w", err)
	}
	if err := guard(e.Purpose); err != nil {
		return invalid("purpose %w", err)
	}
	if len(e.Subjects) > MaxSubjects {
		return invalid("%d subjects, at most %d: write several events", len(e.Subjects), MaxSubjects)
	}
	if len(e.Fields) > MaxFields {
		return invalid("%d fields, at most %d", len(e.Fields), MaxFields)
	}
	for name := range e.Fields {
		if !validName(name) {
			return invalid("a field's name must be snake_case, at most 64 bytes")
		}
	}
	return nil
}

// validName: a lower-case letter, then lower-case letters, digits and _.
func validName(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func validKind(s string) bool {
	if len(s) > 64 || !strings.Contains(s, ".") {
		return false
	}
	for word := range strings.SplitSeq(s, ".") {
		if !validName(word) {
			return false
		}
	}
	return true
}

var (
	errText  = errors.New("may hold personal data: only ids, digests and short enumerations of letters, digits and . _ - : + = / are allowed")
	errLong  = fmt.Errorf("is longer than %d bytes: the log holds ids and counts, no text", MaxText)
	errIRI   = errors.New("is an IRI, which may name a person: record its digest or the row's id")
	errBytes = errors.New("is longer than 64 bytes: record a digest or a commitment")
	errFloat = errors.New("is not a finite number")
	errList  = fmt.Errorf("has more than %d items: record a count or a digest", MaxListItems)
)

// guard refuses a string that does not look like an id, an enumeration or a digest.
func guard(s string) error {
	if len(s) > MaxText {
		return errLong
	}
	if strings.Contains(s, "://") {
		return errIRI
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			continue
		}
		if strings.IndexByte("._-:+=/", c) < 0 {
			return errText
		}
	}
	return nil
}

// appendValue writes one value of Fields.
func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case uuid.UUID:
		return append(appendUUID(append(b, '"'), v), '"'), nil
	case time.Time:
		return append(v.UTC().AppendFormat(append(b, '"'), timeFormat), '"'), nil
	case []byte:
		if len(v) > 64 {
			return nil, errBytes
		}
		return append(hex.AppendEncode(append(b, '"'), v), '"'), nil
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.String:
		if err := guard(r.String()); err != nil {
			return nil, err
		}
		return append(append(append(b, '"'), r.String()...), '"'), nil
	case reflect.Bool:
		return strconv.AppendBool(b, r.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, r.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, r.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		if math.IsNaN(r.Float()) || math.IsInf(r.Float(), 0) {
			return nil, errFloat
		}
		text, err := json.Marshal(r.Float())
		return append(b, text...), err
	case reflect.Slice:
		return appendList(b, r)
	}
	return nil, fmt.Errorf("has type %T: allowed are booleans, numbers, strings, times, UUIDs, bytes and lists of them", v)
}

func appendList(b []byte, r reflect.Value) ([]byte, error) {
	if r.Len() > MaxListItems {
		return nil, errList
	}
	b = append(b, '[')
	for i := range r.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		item := r.Index(i)
		if k := item.Kind(); k == reflect.Slice || k == reflect.Interface {
			return nil, fmt.Errorf("is a list of %s: allowed are lists of strings, numbers and UUIDs", k)
		}
		var err error
		if b, err = appendValue(b, item.Interface()); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}
