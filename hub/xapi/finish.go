package xapi

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ErrFinish says that Finish was given something it cannot make a whole statement of.
var ErrFinish = errors.New("cannot finish statement")

var errNotObject = fmt.Errorf("%w: not a JSON object", ErrFinish)

// Set is what a record store sets on a statement (Data 2.3.1, 2.4).
type Set struct {
	ID        uuid.UUID // kept if the statement has one
	Stored    time.Time // replaces the statement's own, unless that is the same instant
	Timestamp time.Time // kept if the statement has one; zero means Stored
	Authority []byte    // JSON of an agent or group; kept if the statement has one
	Version   string    // kept if the statement has one; see Version.StatementVersion
}

// Finish puts what the store sets into the JSON of a statement that Parse has accepted, and gives every
// context activity as an array (Data 2.4.6.2: an LRS returns single ones so). All other bytes stay
// as they are. It reads the statement once and shallowly; only JSON that is not an object of properties is refused.
func Finish(raw []byte, set Set) ([]byte, error) {
	if set.Stored.IsZero() {
		return nil, fmt.Errorf("%w: no stored time is given", ErrFinish)
	}
	f := finisher{raw: raw, set: set, out: make([]byte, 0, len(raw)+len(set.Authority)+256)}
	end, empty, err := eachMember(raw, 0, f.topLevel)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimLeft(raw[end:], " \t\r\n")) > 0 {
		return nil, fmt.Errorf("%w: more JSON follows after its end", ErrFinish)
	}
	f.out = append(f.out, raw[f.copied:end-1]...)
	f.first = empty
	if err := f.missing(); err != nil {
		return nil, err
	}
	return append(f.out, '}'), nil
}

// finisher copies raw to out with the changes; raw[:copied] is done.
type finisher struct {
	raw    []byte
	set    Set
	out    []byte
	copied int
	first  bool // nothing stands before the next property to be added

	hasID, hasStored, hasTimestamp, hasAuthority, hasVersion bool
}

// replace puts text in the place of raw[from:to].
func (f *finisher) replace(from, to int, text []byte) {
	f.out = append(append(f.out, f.raw[f.copied:from]...), text...)
	f.copied = to
}

func (f *finisher) topLevel(name []byte, start, end int) error {
	switch string(name) {
	case "id":
		f.hasID = true
	case "timestamp":
		f.hasTimestamp = true
	case "version":
		f.hasVersion = true
	case "stored":
		f.hasStored = true
		if t, err := ParseTime(string(unquoted(f.raw[start:end])), V2); err != nil || !t.Truncate(time.Microsecond).Equal(f.set.Stored) {
			f.replace(start, end, f.quotedTime(f.set.Stored))
		}
	case "authority":
		f.hasAuthority = true
	case "context":
		return f.context(start)
	case "object":
		// Only a sub-statement has a context; an activity or agent has no such property.
		if f.raw[start] == '{' {
			_, _, err := eachMember(f.raw, start, func(name []byte, start, end int) error {
				if string(name) == "context" {
					return f.context(start)
				}
				return nil
			})
			return err
		}
	}
	return nil
}

// context makes arrays of the single activities of contextActivities.
func (f *finisher) context(at int) error {
	if f.raw[at] != '{' {
		return nil
	}
	_, _, err := eachMember(f.raw, at, func(name []byte, start, end int) error {
		if string(name) != "contextActivities" || f.raw[start] != '{' {
			return nil
		}
		_, _, err := eachMember(f.raw, start, func(name []byte, start, end int) error {
			if f.raw[start] == '{' {
				f.replace(start, start, []byte{'['})
				f.replace(end, end, []byte{']'})
			}
			return nil
		})
		return err
	})
	return err
}

func (f *finisher) quotedTime(t time.Time) []byte {
	return append(AppendTime([]byte{'"'}, t), '"')
}

// add puts a property behind those that are there.
func (f *finisher) add(name string, value []byte) {
	if !f.first {
		f.out = append(f.out, ',')
	}
	f.first = false
	f.out = append(append(append(f.out, '"'), name...), '"', ':')
	f.out = append(f.out, value...)
}

func (f *finisher) missing() error {
	if !f.hasID {
		if f.set.ID == uuid.Nil {
			return fmt.Errorf("%w: it has no id and none is given", ErrFinish)
		}
		f.add("id", quotedUUID(f.set.ID))
	}
	if !f.hasTimestamp {
		t := f.set.Timestamp
		if t.IsZero() {
			t = f.set.Stored
		}
		f.add("timestamp", f.quotedTime(t))
	}
	if !f.hasStored {
		f.add("stored", f.quotedTime(f.set.Stored))
	}
	if !f.hasAuthority && f.set.Authority != nil {
		f.add("authority", f.set.Authority)
	}
	if !f.hasVersion {
		if f.set.Version == "" {
			return fmt.Errorf("%w: it has no version and none is given", ErrFinish)
		}
		f.add("version", appendQuoted(nil, []byte(f.set.Version)))
	}
	return nil
}

func quotedUUID(id uuid.UUID) []byte {
	var out [38]byte
	out[0], out[37] = '"', '"'
	hex.Encode(out[1:9], id[:4])
	hex.Encode(out[10:14], id[4:6])
	hex.Encode(out[15:19], id[6:8])
	hex.Encode(out[20:24], id[8:10])
	hex.Encode(out[25:37], id[10:])
	out[9], out[14], out[19], out[24] = '-', '-', '-', '-'
	return out[:]
}

// eachMember calls visit for every property of the object at raw[at]: its name and where its value starts
// and ends. It gives the end of the object and whether it is empty.
func eachMember(raw []byte, at int, visit func(name []byte, start, end int) error) (end int, empty bool, err error) {
	i := skipSpace(raw, at)
	if i >= len(raw) || raw[i] != '{' {
		return 0, false, errNotObject
	}
	if i = skipSpace(raw, i+1); i < len(raw) && raw[i] == '}' {
		return i + 1, true, nil
	}
	for i < len(raw) && raw[i] == '"' {
		nameEnd := stringEnd(raw, i)
		name := unquoted(raw[i:nameEnd])
		start := skipSpace(raw, nameEnd)
		if start >= len(raw) || raw[start] != ':' {
			break
		}
		start = skipSpace(raw, start+1)
		end := valueEnd(raw, start)
		if end < 0 {
			break
		}
		if err := visit(name, start, end); err != nil {
			return 0, false, err
		}
		if i = skipSpace(raw, end); i >= len(raw) {
			break
		}
		if raw[i] == '}' {
			return i + 1, false, nil
		}
		if raw[i] != ',' {
			break
		}
		i = skipSpace(raw, i+1)
	}
	return 0, false, errNotObject
}

func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\n' || raw[i] == '\r') {
		i++
	}
	return i
}

// valueEnd gives the end of the value at i by counting brackets, or -1 if there is none.
func valueEnd(raw []byte, i int) int {
	depth := 0
	for i < len(raw) {
		switch raw[i] {
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return -1
			}
			depth--
			i++
		case ' ', '\t', '\n', '\r', ',', ':':
			if depth == 0 {
				return -1
			}
			i++
			continue
		default:
			i = scalarEnd(raw, i)
		}
		if depth == 0 {
			return i
		}
	}
	return -1
}
