package mapping

import (
	"math"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/go-json-experiment/json/jsontext"
)

// absent says whether a value drops the key that would hold it: omit, null, or an empty optional.
func absent(v ref.Val) bool {
	switch v := v.(type) {
	case omitted, types.Null:
		return true
	case *types.Optional:
		return !v.HasValue() || absent(v.GetValue())
	}
	return false
}

// appendValue writes a CEL value as compact JSON. What came from a record as JSON is passed on as it was written there.
func appendValue(b []byte, v ref.Val) ([]byte, error) {
	switch v := v.(type) {
	case types.String:
		return appendText(b, string(v))
	case types.Int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case types.Uint:
		return strconv.AppendUint(b, uint64(v), 10), nil
	case types.Double:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return b, &fault{kind: KindRange}
		}
		return jsontext.AppendFloat(b, float64(v), 64), nil
	case types.Bool:
		return strconv.AppendBool(b, bool(v)), nil
	case types.Null:
		return append(b, "null"...), nil
	case types.Timestamp:
		return append(formatInstant(append(b, '"'), v.Time), '"'), nil
	case types.Duration:
		return append(append(append(b, '"'), formatDuration(v.Duration.Seconds())...), '"'), nil
	case *types.Optional:
		if v.HasValue() {
			return appendValue(b, v.GetValue())
		}
		return append(b, "null"...), nil
	case *object:
		return appendRaw(b, v.text)
	case *list:
		return appendRaw(b, v.text)
	case *ordered:
		if v.text != nil {
			return appendRaw(b, v.text)
		}
		return appendMap(b, v.keys, v.values)
	case traits.Lister:
		return appendList(b, v)
	case traits.Mapper:
		sorted := inOrder(v)
		return appendMap(b, sorted.keys, sorted.values)
	case *types.Err:
		return b, toFault(v)
	}
	return b, &fault{kind: KindType}
}

func appendText(b []byte, text string) ([]byte, error) {
	quoted, err := jsontext.AppendQuote(b, text)
	if err != nil {
		return b, &fault{kind: KindValue}
	}
	return quoted, nil
}

// appendRaw writes JSON text from a record without the white space between its tokens.
func appendRaw(b, text []byte) ([]byte, error) {
	for at := 0; at < len(text); {
		switch text[at] {
		case '"':
			end := skipString(text, at)
			b = append(b, text[at:end]...)
			at = end
			continue
		case ' ', '\n', '\t', '\r':
		default:
			b = append(b, text[at])
		}
		at++
	}
	return b, nil
}

func appendList(b []byte, l traits.Lister) ([]byte, error) {
	b = append(b, '[')
	var err error
	for it, first := l.Iterator(), true; it.HasNext() == types.True; {
		item := it.Next()
		if dropped(item) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		if b, err = appendValue(b, item); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// dropped is absent, but for null: inside a value that an expression made, null is meant.
func dropped(v ref.Val) bool {
	_, null := v.(types.Null)
	return !null && absent(v)
}

func appendMap(b []byte, keys, values []ref.Val) ([]byte, error) {
	b = append(b, '{')
	first := true
	for i, key := range keys {
		if dropped(values[i]) {
			continue
		}
		text, ok := key.(types.String)
		if !ok {
			return b, &fault{kind: KindType}
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		var err error
		if b, err = appendText(b, string(text)); err != nil {
			return b, err
		}
		if b, err = appendValue(append(b, ':'), values[i]); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// appendPlain writes a scalar as the text that `${...}` inside other text stands for.
func appendPlain(b []byte, v ref.Val) ([]byte, error) {
	switch v := v.(type) {
	case types.String:
		return append(b, v...), nil
	case types.Timestamp:
		return formatInstant(b, v.Time), nil
	case types.Duration:
		return append(b, formatDuration(v.Duration.Seconds())...), nil
	case types.Int, types.Uint, types.Double, types.Bool:
		return appendValue(b, v)
	case *types.Optional:
		if v.HasValue() {
			return appendPlain(b, v.GetValue())
		}
		return b, &fault{kind: KindMissing}
	case *types.Err:
		return b, toFault(v)
	case types.Null, omitted:
		return b, &fault{kind: KindMissing}
	}
	return b, &fault{kind: KindType}
}
