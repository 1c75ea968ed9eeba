package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/lrshub/lrshub/plugins/contract"
)

// pruned is what remains of a record. The slices are the walker's, until its next record.
type pruned struct {
	json    []byte
	key     []byte
	subject string
}

// walker goes through one record after another, once each, and needs no memory of its own for it.
type walker struct {
	decoder jsontext.Decoder
	input   bytes.Buffer
	out     []byte   // the pruned record
	parts   []span   // of the key, in values
	values  []byte   // key values, in the order in which they came
	key     []byte   // the key put together
	seen    []uint64 // bits of the children seen, of all objects that are open
	subject string
}

type span struct{ from, to int }

func (w *walker) reset(keys int) { w.parts = make([]span, keys) }

// mismatch says that a record does not fit its stream's schema: where, and what was expected and found. Never the value.
type mismatch struct {
	path    string
	trouble string
}

func (m *mismatch) Error() string {
	if m.path == "" {
		return "the record " + m.trouble
	}
	return "field " + m.path + " " + m.trouble
}

// below puts a field's name before the path of what went wrong below it.
func below(name string, err error) error {
	if m, ok := err.(*mismatch); ok {
		switch {
		case m.path == "":
			m.path = name
		case m.path[0] == '[':
			m.path = name + m.path
		default:
			m.path = name + "." + m.path
		}
	}
	return err
}

// Prune makes a record of what came to the hub by another way than a connector: checked against the stream, its key and subject taken, and pruned to fields as in Read. The error
// names field and types, no value.
func Prune(s contract.Stream, fields []string, record []byte) (Record, error) {
	p, err := newPlan(s, fields)
	if err != nil {
		return Record{}, err
	}
	pruned, err := p.prune(record)
	if err != nil {
		return Record{}, err
	}
	return Record{Key: pruned.key, Subject: pruned.subject, JSON: pruned.json}, nil
}

// prune takes key and subject from a record and keeps what the plan says.
func (p *plan) prune(record []byte) (pruned, error) {
	w := &p.walker
	w.out, w.values, w.seen, w.subject = w.out[:0], w.values[:0], w.seen[:0], ""
	for i := range w.parts {
		w.parts[i] = span{}
	}
	w.input = *bytes.NewBuffer(record)
	w.decoder.Reset(&w.input, jsontext.AllowDuplicateNames(true)) // duplicates among the fields we look at are found by walk
	if err := w.object(p.root, true); err != nil {
		return pruned{}, reason(err)
	}
	if _, err := w.decoder.ReadToken(); err == nil {
		return pruned{}, errors.New("there is something after the record's end")
	}
	var err error
	if w.key, err = p.identify(w.key[:0], record); err != nil {
		return pruned{}, err
	}
	return pruned{json: w.out, key: w.key, subject: w.subject}, nil
}

// reason gives a text without values: syntax errors of the JSON library can quote what they met.
func reason(err error) error {
	var m *mismatch
	if errors.As(err, &m) {
		return m
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not valid JSON at byte %d", syntax.ByteOffset)
	}
	return errors.New("not valid JSON: it ends too soon")
}

// identify puts the key together.
func (p *plan) identify(key, record []byte) ([]byte, error) {
	if len(p.stream.Key) == 0 {
		return contentKey(key, record)
	}
	w := &p.walker
	key = append(key, '[')
	for i, part := range w.parts {
		if part.to == 0 {
			return key, &mismatch{path: p.stream.Key[i], trouble: "is part of the key and so must have a value"}
		}
		if i > 0 {
			key = append(key, ',')
		}
		key = append(key, w.values[part.from:part.to]...)
	}
	return append(key, ']'), nil
}

// contentKey identifies a record by its content: members sorted, strings in their shortest form, numbers as they are.
func contentKey(key, record []byte) ([]byte, error) {
	canonical := jsontext.Value(bytes.Clone(record))
	if err := canonical.Format(jsontext.ReorderRawObjects(true)); err != nil {
		return key, reason(err)
	}
	sum := sha256.Sum256(canonical)
	key = append(key, '[', '"')
	key = hex.AppendEncode(key, sum[:])
	return append(key, '"', ']'), nil
}

// deleted checks the key of a record that is gone.
func (p *plan) deleted(key []byte) ([]byte, error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(key))
	if token, err := decoder.ReadToken(); err != nil || token.Kind() != '[' {
		return nil, errors.New("a deleted record's key is not a JSON array")
	}
	out, n := []byte{'['}, 0
	for ; decoder.PeekKind() != ']'; n++ {
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, errors.New("a deleted record's key is not valid JSON")
		}
		if n > 0 {
			out = append(out, ',')
		}
		if out, err = contract.AppendKeyJSON(out, value); err != nil {
			return nil, fmt.Errorf("a deleted record's key, value %d: %w", n+1, err)
		}
	}
	if n != len(p.stream.Key) {
		return nil, fmt.Errorf("a deleted record's key has %d values, the stream's has %d", n, len(p.stream.Key))
	}
	return append(out, ']'), nil
}

// value reads the next value along n; if keep, what remains of it goes to w.out.
func (w *walker) value(n *node, keep bool) error {
	kind := w.decoder.PeekKind()
	if kind == 'n' {
		return w.null(n, keep)
	}
	switch n.kind {
	case contract.Object:
		return w.object(n, keep)
	case contract.Map:
		return w.members(n, keep)
	case contract.List:
		return w.list(n, n.elem, keep)
	case contract.Any:
		return w.any(n, kind, keep)
	}
	raw, err := w.decoder.ReadValue()
	if err != nil {
		return err
	}
	if !fits(n.kind, kind, raw) {
		return &mismatch{trouble: "is " + describe(kind, n.kind) + ", not of type " + string(n.kind)}
	}
	return w.scalar(n, kind, raw, keep)
}

func (w *walker) scalar(n *node, kind jsontext.Kind, raw jsontext.Value, keep bool) error {
	if keep {
		w.out = append(w.out, raw...)
	}
	if n.key >= 0 {
		from := len(w.values)
		var err error
		if w.values, err = contract.AppendKeyJSON(w.values, raw); err != nil {
			return &mismatch{trouble: "cannot be part of the key"}
		}
		w.parts[n.key] = span{from, len(w.values)}
	}
	if n.subject {
		switch {
		case kind != '"':
			w.subject = string(raw)
		case bytes.IndexByte(raw, '\\') < 0:
			w.subject = string(raw[1 : len(raw)-1])
		default:
			text, err := jsontext.AppendUnquote(nil, raw)
			if err != nil {
				return err
			}
			w.subject = string(text)
		}
	}
	return nil
}

func (w *walker) null(n *node, keep bool) error {
	if _, err := w.decoder.ReadToken(); err != nil {
		return err
	}
	if !n.optional && n.kind != contract.Any {
		return &mismatch{trouble: "is null, but not optional"}
	}
	if keep {
		w.out = append(w.out, "null"...)
	}
	return nil
}

// object reads an object along its declared fields; what is not declared, or neither kept nor looked at, is skipped.
func (w *walker) object(n *node, keep bool) error {
	if token, err := w.decoder.ReadToken(); err != nil {
		return err
	} else if kind := token.Kind(); kind != '{' {
		return &mismatch{trouble: "is " + describe(kind, n.kind) + ", not an object"}
	}
	base, words := len(w.seen), (len(n.children)+63)/64
	for range words {
		w.seen = append(w.seen, 0)
	}
	if keep {
		w.out = append(w.out, '{')
	}
	for first := true; w.decoder.PeekKind() != '}'; {
		name, err := w.decoder.ReadValue()
		if err != nil {
			return err
		}
		child := n.lookup(name)
		if child == nil {
			if err := w.decoder.SkipValue(); err != nil {
				return err
			}
			continue
		}
		word, bit := base+child.order/64, uint64(1)<<(child.order%64)
		if w.seen[word]&bit != 0 {
			return &mismatch{path: child.name, trouble: "stands there twice"}
		}
		w.seen[word] |= bit
		if keep && child.keep {
			w.member(name, first)
			first = false
		}
		if err := w.value(child, keep && child.keep); err != nil {
			return below(child.name, err)
		}
	}
	if keep {
		w.out = append(w.out, '}')
	}
	err := n.complete(w.seen[base : base+words])
	w.seen = w.seen[:base]
	if err != nil {
		return err
	}
	_, err = w.decoder.ReadToken()
	return err
}

// member writes the name of a member that is kept.
func (w *walker) member(quoted jsontext.Value, first bool) {
	if !first {
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, quoted...)
	w.out = append(w.out, ':')
}

// lookup finds the child with a name as it stands in the record.
func (n *node) lookup(quoted jsontext.Value) *node {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return n.children[string(quoted[1:len(quoted)-1])]
	}
	name, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return nil
	}
	return n.children[string(name)]
}

// complete looks for required children that were not seen.
func (n *node) complete(seen []uint64) error {
	found := 0
	for _, word := range seen {
		found += bits.OnesCount64(word)
	}
	if found == len(n.children) {
		return nil
	}
	for _, child := range n.required {
		if seen[child.order/64]&(1<<(child.order%64)) == 0 {
			return &mismatch{path: child.name, trouble: "is missing"}
		}
	}
	return nil
}

// fits says whether a scalar is of a type.
func fits(want contract.Type, kind jsontext.Kind, raw jsontext.Value) bool {
	switch want {
	case contract.String:
		return kind == '"'
	case contract.Timestamp:
		var t time.Time
		return kind == '"' && t.UnmarshalJSON(raw) == nil
	case contract.Bool:
		return kind == 't' || kind == 'f'
	case contract.Double:
		return kind == '0'
	case contract.Int:
		if kind != '0' || bytes.ContainsAny(raw, ".eE") {
			return false
		}
		if len(raw) < 19 {
			return true
		}
		_, err := strconv.ParseInt(string(raw), 10, 64)
		return err == nil
	}
	return false
}

func describe(kind jsontext.Kind, want contract.Type) string {
	switch kind {
	case '"':
		if want == contract.Timestamp {
			return "a string that is no RFC 3339 time"
		}
		return "a string"
	case '0':
		if want == contract.Int {
			return "a number that is no 64-bit integer"
		}
		return "a number"
	case 't', 'f':
		return "a bool"
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return "null"
}
