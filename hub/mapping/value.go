package mapping

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/lrshub/lrshub/plugins/contract"
)

// decode gives the CEL value of a JSON value of this shape. Objects read their fields only when asked for them. Numbers
// never pass through float64 unless the schema (or a fraction in them) says so. The error is a fault without a field.
func decode(s *shape, text []byte) (ref.Val, error) {
	switch s.kind {
	case contract.Any:
		return decodeAny(text)
	case contract.String:
		if text[0] == '"' {
			return types.String(unquote(text)), nil
		}
	case contract.Int:
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return types.Int(n), nil
		} else if isNumber(text) {
			return nil, &fault{kind: KindRange}
		}
	case contract.Double:
		if isNumber(text) {
			n, err := strconv.ParseFloat(string(text), 64)
			if err != nil {
				return nil, &fault{kind: KindRange}
			}
			return types.Double(n), nil
		}
	case contract.Bool:
		if text[0] == 't' || text[0] == 'f' {
			return types.Bool(text[0] == 't'), nil
		}
	case contract.Timestamp:
		if text[0] == '"' {
			instant, err := time.Parse(time.RFC3339Nano, unquote(text))
			if err != nil {
				return nil, &fault{kind: KindValue}
			}
			return types.Timestamp{Time: instant}, nil
		}
	case contract.Object:
		if inner := container(text, '{'); inner != nil {
			return &object{shape: s, text: inner}, nil
		}
	case contract.Map:
		if inner := container(text, '{'); inner != nil {
			return decodeMap(s, inner)
		}
	case contract.List:
		if inner := container(text, '['); inner != nil {
			return decodeList(s, inner)
		}
	}
	return nil, &fault{kind: KindType}
}

func isNumber(text []byte) bool { return text[0] == '-' || text[0] >= '0' && text[0] <= '9' }

// container gives the object or array that text is, or that it holds as text: some sources (Open edX browser events,
// columns of databases) put JSON into a string. nil if it is neither.
func container(text []byte, open byte) []byte {
	if text[0] == open {
		return text
	}
	if text[0] != '"' {
		return nil
	}
	inner := bytes.TrimSpace([]byte(unquote(text)))
	if len(inner) == 0 || inner[0] != open || !jsontext.Value(inner).IsValid() {
		return nil
	}
	return inner
}

func decodeAny(text []byte) (ref.Val, error) {
	switch text[0] {
	case '"':
		return types.String(unquote(text)), nil
	case '{':
		return decodeMap(anyMap, text)
	case '[':
		return decodeList(anyList, text)
	case 't', 'f':
		return types.Bool(text[0] == 't'), nil
	case 'n':
		return types.NullValue, nil
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return types.Int(n), nil
	}
	if n, err := strconv.ParseUint(string(text), 10, 64); err == nil {
		return types.Uint(n), nil
	}
	if !bytes.ContainsAny(text, ".eE") {
		return nil, &fault{kind: KindRange} // an integer that no CEL number can hold
	}
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return nil, &fault{kind: KindRange}
	}
	return types.Double(n), nil
}

// list is a JSON array with the text it came from, so that it can be passed on as it was.
type list struct {
	traits.Lister
	text []byte
}

func decodeList(s *shape, text []byte) (ref.Val, error) {
	var values []ref.Val
	var failed error
	eachElement(text, func(element []byte) {
		if failed != nil {
			return
		}
		if isNull(element) {
			values = append(values, types.NullValue)
			return
		}
		value, err := decode(s.elem, element)
		if err != nil {
			failed = err
			return
		}
		values = append(values, value)
	})
	if failed != nil {
		return nil, failed
	}
	return &list{Lister: types.NewRefValList(types.DefaultTypeAdapter, values), text: text}, nil
}

// object is a record, or an object inside one. It implements fielder.
type object struct {
	shape  *shape
	text   []byte
	spans  [][]byte  // by place; nil: absent or null
	values []ref.Val // by place, once read
}

func (o *object) scan() {
	if o.spans != nil {
		return
	}
	o.spans = make([][]byte, len(o.shape.fields))
	eachMember(o.text, func(name, value []byte) {
		if isNull(value) {
			return
		}
		place, known := o.shape.index[string(name[1:len(name)-1])]
		if !known && bytes.IndexByte(name, '\\') >= 0 {
			place, known = o.shape.index[unquote(name)]
		}
		if known {
			o.spans[place] = value
		}
	})
}

// raw gives a field's JSON text, nil if it is absent or null.
func (o *object) raw(place int) []byte {
	o.scan()
	return o.spans[place]
}

// isSet says whether the field has a value. An object, map or list field that holds something else counts as absent, so
// that `?.` and has() can tell sources' variants apart; a scalar of the wrong type is an error when it is read.
func (o *object) isSet(place int) bool {
	text := o.raw(place)
	if text == nil {
		return false
	}
	switch o.shape.fields[place].shape.kind {
	case contract.Object, contract.Map:
		return container(text, '{') != nil
	case contract.List:
		return container(text, '[') != nil
	}
	return true
}

func (o *object) field(place int) (any, error) {
	value, err := o.read(place)
	if err != nil {
		return nil, err
	}
	return value, nil
}

func (o *object) read(place int) (ref.Val, error) {
	text := o.raw(place)
	if text == nil {
		return nil, &fault{kind: KindMissing, field: o.shape.fields[place].name}
	}
	if o.values == nil {
		o.values = make([]ref.Val, len(o.spans))
	}
	if value := o.values[place]; value != nil {
		return value, nil
	}
	value, err := decode(o.shape.fields[place].shape, text)
	if err != nil {
		if f, ok := err.(*fault); ok && f.field == "" {
			return nil, &fault{kind: f.kind, field: o.shape.fields[place].name}
		}
		return nil, err
	}
	o.values[place] = value
	return value, nil
}

// warm reads everything in a value, so that several evaluations can share it: reading an object's fields changes it.
func warm(value ref.Val) {
	switch v := value.(type) {
	case *object:
		v.scan()
		v.values = make([]ref.Val, len(v.spans))
		for place := range v.spans {
			if inner, err := v.read(place); err == nil {
				warm(inner)
			}
		}
	case *ordered:
		for _, inner := range v.values {
			warm(inner)
		}
	case *list:
		for it := v.Iterator(); it.HasNext() == types.True; {
			warm(it.Next())
		}
	}
}

func (o *object) Type() ref.Type { return o.shape.cel }
func (o *object) Value() any     { return o }

func (o *object) Equal(other ref.Val) ref.Val {
	that, ok := other.(*object)
	return types.Bool(ok && (that == o || equalJSON(o.text, that.text)))
}

func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s is not a %s", o.shape.name, t)
}

func (o *object) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return o.shape.cel
	}
	return types.WrapErr(&fault{kind: KindType})
}

// equalJSON compares two JSON texts in canonical form (RFC 8785).
func equalJSON(a, b []byte) bool {
	x, y := jsontext.Value(bytes.Clone(a)), jsontext.Value(bytes.Clone(b))
	return x.Canonicalize() == nil && y.Canonicalize() == nil && bytes.Equal(x, y)
}

// rawScalar gives the text of a scalar field after checking that it has the declared type.
func (o *object) rawScalar(place int) ([]byte, error) {
	text := o.raw(place)
	field := o.shape.fields[place]
	if text == nil {
		return nil, &fault{kind: KindMissing, field: field.name}
	}
	ok := true
	switch field.shape.kind {
	case contract.String:
		ok = text[0] == '"'
	case contract.Int:
		ok = isNumber(text) && !bytes.ContainsAny(text, ".eE") && (len(text) < 19 || fitsInt(text))
	case contract.Double:
		ok = isNumber(text)
	case contract.Bool:
		ok = text[0] == 't' || text[0] == 'f'
	}
	if !ok {
		_, err := o.read(place) // gives the right kind of error
		if err == nil {
			err = &fault{kind: KindType, field: field.name}
		}
		return nil, err
	}
	return text, nil
}

func fitsInt(text []byte) bool {
	_, err := strconv.ParseInt(string(text), 10, 64)
	return err == nil
}
