package xapi

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrNotObject: bytes that are not one JSON object (RFC 8259, UTF-8, no name twice, at most 10,000 levels deep).
var ErrNotObject = errors.New("not a JSON object")

// entry is a property of an object: its name as written, with quotes, and its value as written.
type entry struct{ name, value jsontext.Value }

// MergeObjects puts the properties of one JSON object into another, replacing those of the same name, not deeper (Communication 2.2). Values keep the bytes
// that they have. The error is ErrNotObject.
func MergeObjects(old, fresh []byte) ([]byte, error) {
	return mergeWith(old, fresh, func(_ string, _, value jsontext.Value) (jsontext.Value, error) { return value, nil })
}

// MergeDefinition puts what a later statement says of an activity into what is known of it (Data 2.4.4.1, Communication 2.5): languages and extensions are added to
// those there are, everything else is replaced. Both must be definitions of valid statements.
func MergeDefinition(old, fresh []byte) ([]byte, error) {
	return mergeWith(old, fresh, func(name string, old, value jsontext.Value) (jsontext.Value, error) {
		switch name {
		case "name", "description", "extensions":
			return MergeObjects(old, value)
		}
		return value, nil
	})
}

// mergeWith merges two objects; both gives the value of a property that both have.
func mergeWith(old, fresh []byte, both func(name string, old, fresh jsontext.Value) (jsontext.Value, error)) ([]byte, error) {
	have, err := properties(old)
	if err != nil {
		return nil, err
	}
	come, err := properties(fresh)
	if err != nil {
		return nil, err
	}
	at := make(map[string]int, len(have))
	for i, m := range have {
		at[unquote(m.name)] = i
	}
	for _, m := range come {
		name := unquote(m.name)
		i, known := at[name]
		if !known {
			have = append(have, m)
			continue
		}
		if have[i].value, err = both(name, have[i].value, m.value); err != nil {
			return nil, err
		}
	}
	out := make([]byte, 0, len(old)+len(fresh))
	out = append(out, '{')
	for i, m := range have {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, m.name...), ':'), m.value...)
	}
	return append(out, '}'), nil
}

// unquote reads a name that the decoder has accepted.
func unquote(name jsontext.Value) string {
	text, _ := jsontext.AppendUnquote(nil, name)
	return string(text)
}

// properties reads an object's in order.
func properties(object []byte) ([]entry, error) {
	d := jsontext.NewDecoder(bytes.NewReader(object))
	if start, err := d.ReadToken(); err != nil || start.Kind() != kindObject {
		return nil, ErrNotObject
	}
	var list []entry
	for d.PeekKind() == kindString {
		name, err := d.ReadValue()
		if err != nil {
			return nil, ErrNotObject
		}
		m := entry{name: slices.Clone(name)}
		value, err := d.ReadValue()
		if err != nil {
			return nil, ErrNotObject
		}
		m.value = slices.Clone(value)
		list = append(list, m)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, ErrNotObject
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, ErrNotObject
	}
	return list, nil
}
