package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrKey says that values cannot be a record's key.
var ErrKey = errors.New("invalid record key")

// Key writes key values in the one form in which keys are compared everywhere: a compact JSON array. Strings are
// written with the fewest escapes (RFC 8785, section 3.2.2.2), integers as decimal digits, floats in their shortest
// form, a json.Number or jsontext.Value number as its own text. Values are strings, numbers and bools; nothing else identifies a record.
func Key(values ...any) ([]byte, error) {
	key := append(make([]byte, 0, 32), '[')
	for i, value := range values {
		if i > 0 {
			key = append(key, ',')
		}
		var err error
		if key, err = appendKeyValue(key, value); err != nil {
			return nil, fmt.Errorf("%w: value %d: %v", ErrKey, i+1, err)
		}
	}
	return append(key, ']'), nil
}

func appendKeyValue(key []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return jsontext.AppendQuote(key, v)
	case int:
		return strconv.AppendInt(key, int64(v), 10), nil
	case int32:
		return strconv.AppendInt(key, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(key, v, 10), nil
	case uint32:
		return strconv.AppendUint(key, uint64(v), 10), nil
	case uint64:
		return strconv.AppendUint(key, v, 10), nil
	case bool:
		return strconv.AppendBool(key, v), nil
	case float64:
		text, err := json.Marshal(v)
		return append(key, text...), err
	case json.Number:
		return AppendKeyJSON(key, jsontext.Value(v))
	case jsontext.Value:
		return AppendKeyJSON(key, v)
	}
	return nil, fmt.Errorf("a %T is not a string, number or bool", value)
}

// AppendKeyJSON appends one JSON value in the form of Key. The error names the value's kind, never the value.
func AppendKeyJSON(key []byte, value jsontext.Value) ([]byte, error) {
	switch kind := value.Kind(); kind {
	case '"':
		for _, c := range value {
			if c == '\\' {
				return jsontext.AppendFormat(key, value, jsontext.CanonicalizeRawInts(false), jsontext.PreserveRawStrings(false))
			}
		}
		return append(key, value...), nil
	case '0', 't', 'f':
		if !value.IsValid() {
			return nil, errors.New("not valid JSON")
		}
		return append(key, value...), nil
	case 'n':
		return nil, errors.New("null does not identify a record")
	default:
		return nil, fmt.Errorf("a value of kind %s does not identify a record", kind)
	}
}
