package rest

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// Limits of what is kept of an answer beside its records.
const (
	maxValues  = 256
	maxValue   = 8 << 10  // bytes
	maxElement = 64 << 20 // bytes of one record; a larger one ends the read, since it cannot be passed over without holding it
)

// JSON reads the list at a path (see Stream.Records), of any length, one element at a time.
func JSON(path string) Decode {
	var parts []string
	if path != "" {
		parts = contract.SplitPath(path)
	}
	return func(body io.Reader, each func([]byte) error) (Values, error) {
		in := &bounded{r: body}
		w := &walker{values: Values{}, in: in, dec: newDecoder(in), each: each}
		if err := w.walk(parts, ""); err != nil {
			return nil, w.failure(err)
		}
		if !w.found {
			return nil, sdk.Errorf(sdk.ClassSourceBug, "the answer has no list at %q%s", path, w.hint())
		}
		return w.values, nil
	}
}

func newDecoder(r io.Reader) *jsontext.Decoder {
	return jsontext.NewDecoder(r, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// walker goes once through an answer.
type walker struct {
	dec    *jsontext.Decoder
	in     *bounded
	each   func([]byte) error
	values Values
	found  bool
	n      int   // elements so far
	own    error // what each gave
}

// walk goes into the value that comes next: path is what lies before the list, at where it stands.
func (w *walker) walk(path []string, at string) error {
	kind := w.dec.PeekKind()
	switch {
	case len(path) == 0 && kind == '[', len(path) == 1 && path[0] == "*" && kind == '[':
		return w.list(len(path) == 1)
	case len(path) == 0 && kind == 'n', len(path) == 1 && path[0] == "*" && kind == 'n':
		w.found = true
		return w.dec.SkipValue()
	case len(path) == 1 && path[0] == "*" && kind == '{':
		w.found = true
		return w.object(w.member)
	case kind == '{':
		return w.object(func(name string) error {
			if len(path) > 0 && name == path[0] {
				return w.walk(path[1:], join(at, name))
			}
			return w.keep(at, name)
		})
	}
	return w.dec.SkipValue()
}

// object gives each member's name; the value comes next.
func (w *walker) object(member func(name string) error) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	for w.dec.PeekKind() == '"' {
		name, err := w.dec.ReadToken()
		if err != nil {
			return err
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := w.dec.ReadToken()
	return err
}

// list gives the elements. Of an object that PHP wrote as a list (it was empty, or its names were 0, 1, 2) their numbers are the names.
func (w *walker) list(named bool) error {
	w.found = true
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	for i := 0; w.dec.PeekKind() != ']'; i++ {
		var err error
		if named {
			err = w.member(strconv.Itoa(i))
		} else {
			err = w.element(nil)
		}
		if err != nil {
			return err
		}
	}
	_, err := w.dec.ReadToken()
	return err
}

// member gives the value that comes next with its name.
func (w *walker) member(name string) error {
	key, err := jsontext.AppendQuote(nil, name)
	if err != nil {
		return err
	}
	return w.element(key)
}

func (w *walker) element(key []byte) error {
	w.in.left = maxElement
	value, err := w.dec.ReadValue()
	w.in.left = 0
	if err != nil {
		return err
	}
	w.n++
	if key != nil {
		value = bytes.Join([][]byte{[]byte(`{"key":`), key, []byte(`,"value":`), value, []byte("}")}, nil)
	}
	w.own = w.each(value)
	return w.own
}

// keep notes a single value, and those of an object.
func (w *walker) keep(at, name string) error {
	name = join(at, name)
	switch kind := w.dec.PeekKind(); kind {
	case '{':
		if strings.Count(name, ".") > 8 {
			return w.dec.SkipValue()
		}
		return w.object(func(below string) error { return w.keep(name, below) })
	case '"', '0', 't', 'f':
		w.in.left = maxElement
		token, err := w.dec.ReadToken()
		w.in.left = 0
		if err != nil {
			return err
		}
		if text := token.String(); len(w.values) < maxValues && len(text) <= maxValue {
			w.values[name] = text
		}
		return nil
	}
	return w.dec.SkipValue()
}

func join(at, name string) string {
	if at == "" {
		return contract.JoinPath(name)
	}
	return at + "." + contract.JoinPath(name)
}

// failure says what a broken answer is. The decoder's own text may quote the source.
func (w *walker) failure(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case w.own != nil:
		return w.own
	case w.in.err != nil && w.in.err != io.EOF:
		return broken(w.in.err)
	case errors.Is(err, errElement):
		return sdk.Errorf(sdk.ClassData, "record %d of an answer has more than %d bytes", w.n+1, maxElement)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return broken(io.ErrUnexpectedEOF)
	case errors.As(err, &syntax):
		return sdk.Errorf(sdk.ClassSourceBug, "the answer is not JSON from byte %d on, after %d records", syntax.ByteOffset, w.n)
	}
	return err
}

// hint names what an answer without the list has, where that looks like an error's code and not like a text.
func (w *walker) hint() string {
	for _, name := range []string{"errorcode", "error", "code", "exception", "error.code", "error.type", "type"} {
		if text := w.values[name]; text != "" && len(text) <= 64 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == "" {
			return "; it says " + name + " " + text
		}
	}
	return ""
}

// readTop gives the single values at the top of an object of which only the start is there.
func readTop(start []byte) (Values, error) {
	in := &bounded{r: bytes.NewReader(start)}
	w := &walker{values: Values{}, in: in, dec: newDecoder(in)}
	if w.dec.PeekKind() != '{' {
		return nil, nil
	}
	err := w.object(func(name string) error { return w.keep("", name) })
	return w.values, err
}

// Find gives the value at a dotted path of a JSON object, through objects only; nil if it is not there.
func Find(object []byte, path string) jsontext.Value {
	dec := newDecoder(bytes.NewReader(object))
	return find(dec, contract.SplitPath(path))
}

func find(dec *jsontext.Decoder, path []string) jsontext.Value {
	if len(path) == 0 {
		value, err := dec.ReadValue()
		if err != nil || value.Kind() == 'n' {
			return nil
		}
		return bytes.Clone(value)
	}
	if dec.PeekKind() != '{' {
		return nil
	}
	_, _ = dec.ReadToken()
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil
		}
		if name.String() == path[0] {
			return find(dec, path[1:])
		}
		if dec.SkipValue() != nil {
			return nil
		}
	}
	return nil
}

// Text gives the single value at a dotted path of a JSON object as text, "" if it is not there.
func Text(object []byte, path string) string {
	value := Find(object, path)
	switch value.Kind() {
	case '"':
		text, _ := jsontext.AppendUnquote(nil, value)
		return string(text)
	case '0', 't', 'f':
		return string(value)
	}
	return ""
}

// bounded passes a body on and fails when one record is too large. left 0: nothing is bounded.
type bounded struct {
	r    io.Reader
	left int
	err  error // of the body
}

var errElement = errors.New("the record is too large")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errElement
	}
	n, err := b.r.Read(p)
	if b.left > 0 {
		if b.left -= n; b.left <= 0 {
			b.left = -1
		}
	}
	b.err = err
	return n, err
}
