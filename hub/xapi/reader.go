package xapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
)

// reader walks over JSON with jsontext's decoder, which refuses duplicate names and invalid UTF-8 and
// reads straight from the given bytes (it aliases a bytes.Buffer's content). jsontext gives offsets as
// "the byte after the last token", so a value's start is its end less its length.
type reader struct {
	dec    *jsontext.Decoder
	buf    *bytes.Buffer
	input  []byte
	text   string // copy of input; strings without escapes are slices of it
	limits Limits
	v      Version
	names  []byte // scratch for names written with escapes
	nameAt int    // offset of the last property name's opening quote
	base   int    // StackDepth at which a statement stands: 0, or 1 in a batch
}

// kind is the first byte of a value as jsontext normalises it: { [ " 0 t f n; 0 if the JSON is broken.
type kind = jsontext.Kind

const (
	kindObject kind = '{'
	kindArray  kind = '['
	kindString kind = '"'
	kindNumber kind = '0'
)

var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

func newReader(input []byte, v Version, limits Limits) *reader {
	r := &reader{dec: decoders.Get().(*jsontext.Decoder), buf: bytes.NewBuffer(input), input: input, limits: limits, v: v}
	r.dec.Reset(r.buf)
	return r
}

// release gives the decoder back without a hold on the input.
func (r *reader) release() {
	r.dec.Reset(bytes.NewBuffer(nil))
	decoders.Put(r.dec)
	r.dec = nil
}

// copied gives the copy of the input whose parts become the statement's strings.
func (r *reader) copied() string {
	if r.text == "" {
		r.text = string(r.input)
	}
	return r.text
}

func (r *reader) offset() int { return int(r.dec.InputOffset()) }

// broken turns the decoder's error into one that repeats nothing of the input.
func (r *reader) broken(err error) *Error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return invalid(ruleFormat, "a property occurs more than once")
	}
	var syntactic *jsontext.SyntacticError
	at := r.offset()
	if errors.As(err, &syntactic) {
		at = int(syntactic.ByteOffset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return invalid(ruleNone, fmt.Sprintf("the JSON ends early, at byte %d", at))
	}
	return invalid(ruleNone, fmt.Sprintf("not valid JSON (RFC 8259, UTF-8) at byte %d", at))
}

// expect makes sure that the next value is of the wanted kind.
func (r *reader) expect(want kind, rl rule) *Error {
	got := r.dec.PeekKind()
	if got == want {
		return nil
	}
	if got == jsontext.KindInvalid {
		_, err := r.dec.ReadToken()
		return r.broken(err)
	}
	return invalid(rl, "must be "+kindNames[want]+", not "+kindNames[got])
}

var kindNames = map[kind]string{
	'{': "an object", '[': "an array", '"': "a string", '0': "a number", 't': "true", 'f': "false", 'n': "null",
	'}': "the end of the object", ']': "the end of the array",
}

// open reads the { or [ of a value and gives its offset.
func (r *reader) open(want kind, rl rule) (start int, e *Error) {
	if e := r.expect(want, rl); e != nil {
		return 0, e
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return 0, r.broken(err)
	}
	if r.dec.StackDepth()-r.base > r.limits.MaxDepth {
		return 0, tooLarge("nested deeper than " + strconv.Itoa(r.limits.MaxDepth) + " levels")
	}
	return r.offset() - 1, nil
}

// next tells whether the open object or array goes on; if not it reads its end.
func (r *reader) next() (more bool, e *Error) {
	switch r.dec.PeekKind() {
	case '}', ']', jsontext.KindInvalid:
		if _, err := r.dec.ReadToken(); err != nil {
			return false, r.broken(err)
		}
		return false, nil
	}
	return true, nil
}

// name reads the next property's name; nil at the end of the object. It is good until the next read.
func (r *reader) name() ([]byte, *Error) {
	if more, e := r.next(); !more {
		return nil, e
	}
	quoted, err := r.dec.ReadValue()
	if err != nil {
		return nil, r.broken(err)
	}
	r.nameAt = r.offset() - len(quoted)
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1 : len(quoted)-1], nil
	}
	if r.names, err = jsontext.AppendUnquote(r.names[:0], quoted); err != nil {
		return nil, r.broken(err)
	}
	if r.names == nil {
		r.names = []byte{}
	}
	return r.names, nil
}

// bytes reads a string; the result is good until the next read and must not be changed.
func (r *reader) bytes(rl rule) ([]byte, *Error) {
	if e := r.expect(kindString, rl); e != nil {
		return nil, e
	}
	quoted, err := r.dec.ReadValue()
	if err != nil {
		return nil, r.broken(err)
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	plain, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return nil, r.broken(err)
	}
	return plain, nil
}

// string reads a string that is kept.
func (r *reader) string(rl rule) (string, *Error) {
	plain, e := r.bytes(rl)
	if e != nil {
		return "", e
	}
	end := r.offset() - 1
	if start := end - len(plain); start >= 0 && len(plain) > 0 && &plain[0] == &r.input[start] {
		return r.copied()[start:end], nil
	}
	return string(plain), nil
}

// skipString reads a string that only has to be one.
func (r *reader) skipString(rl rule) *Error {
	if e := r.expect(kindString, rl); e != nil {
		return e
	}
	if _, err := r.dec.ReadValue(); err != nil {
		return r.broken(err)
	}
	return nil
}

// number reads a number that a float64 can hold.
func (r *reader) number(rl rule) (float64, *Error) {
	if e := r.expect(kindNumber, rl); e != nil {
		return 0, e
	}
	digits, err := r.dec.ReadValue()
	if err != nil {
		return 0, r.broken(err)
	}
	f, err := strconv.ParseFloat(view(digits), 64)
	if err != nil {
		return 0, invalid(rl, "is out of the range of a 64-bit floating point number")
	}
	return f, nil
}

// boolean reads true or false.
func (r *reader) boolean(rl rule) (bool, *Error) {
	switch r.dec.PeekKind() {
	case 't', 'f':
		token, err := r.dec.ReadToken()
		if err != nil {
			return false, r.broken(err)
		}
		return token.Bool(), nil
	case jsontext.KindInvalid:
		_, err := r.dec.ReadToken()
		return false, r.broken(err)
	}
	return false, invalid(rl, "must be true or false, not "+kindNames[r.dec.PeekKind()])
}

// skipAny reads any JSON value within the limit of depth.
func (r *reader) skipAny() *Error {
	switch k := r.dec.PeekKind(); k {
	case '{', '[':
		depth := r.dec.StackDepth()
		for {
			token, err := r.dec.ReadToken()
			if err != nil {
				return r.broken(err)
			}
			now := r.dec.StackDepth()
			if k := token.Kind(); (k == '{' || k == '[') && now-r.base > r.limits.MaxDepth {
				return tooLarge("nested deeper than " + strconv.Itoa(r.limits.MaxDepth) + " levels")
			}
			if now == depth {
				return nil
			}
		}
	default:
		if _, err := r.dec.ReadValue(); err != nil {
			return r.broken(err)
		}
		return nil
	}
}

// end makes sure that nothing but white space follows.
func (r *reader) end() *Error {
	if _, err := r.dec.ReadToken(); err == nil {
		return invalid(ruleNone, "more JSON follows after the end of the value")
	} else if !errors.Is(err, io.EOF) {
		return r.broken(err)
	}
	return nil
}

// view gives bytes as a string without a copy, for a call that does not keep it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
