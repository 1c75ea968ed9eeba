package mapping

import (
	"bytes"
)

// literalNode is JSON text known on load.
type literalNode []byte

func (n literalNode) render(_ *Evaluation, b []byte) ([]byte, bool, error) {
	return append(b, n...), true, nil
}

// valueNode is `${expression}` alone: the value keeps its type.
type valueNode struct{ *expression }

func (n *valueNode) render(ev *Evaluation, b []byte) ([]byte, bool, error) {
	text, err := n.raw(ev)
	if err != nil {
		return b, false, ev.fail(n.place, err)
	}
	if text != nil {
		b, err = appendRaw(b, text)
		return b, true, err
	}
	value, err := n.evaluate(ev)
	if err != nil {
		return b, false, ev.fail(n.place, err)
	}
	if absent(value) {
		return b, false, nil
	}
	if b, err = appendValue(b, value); err != nil {
		return b, false, ev.fail(n.place, err)
	}
	return b, true, nil
}

// textNode is a text with expressions inside.
type textNode struct {
	place place
	parts []textPart
}

type textPart struct {
	text       string
	expression *expression
}

func (n *textNode) render(ev *Evaluation, b []byte) ([]byte, bool, error) {
	var plain []byte
	for _, part := range n.parts {
		if part.expression == nil {
			plain = append(plain, part.text...)
			continue
		}
		value, err := part.expression.evaluate(ev)
		if err == nil {
			plain, err = appendPlain(plain, value)
		}
		if err != nil {
			return b, false, ev.fail(part.expression.place, err)
		}
	}
	b, err := appendText(b, string(plain))
	if err != nil {
		return b, false, ev.fail(n.place, err)
	}
	return b, true, nil
}

type memberNode struct {
	name  []byte // `"key":`, for a plain key
	key   node   // for a computed key
	value node
}

// objectNode drops the keys of absent values. When all keys are dropped the object is absent too; `{}` stays.
type objectNode struct{ members []memberNode }

func (n *objectNode) render(ev *Evaluation, b []byte) ([]byte, bool, error) {
	start := len(b)
	b = append(b, '{')
	any := len(n.members) == 0
	var computed map[string]bool
	for _, m := range n.members {
		mark := len(b)
		if any {
			b = append(b, ',')
		}
		if m.key == nil {
			b = append(b, m.name...)
		} else {
			from := len(b)
			var present bool
			var err error
			if b, present, err = m.key.render(ev, b); err != nil {
				return b, false, err
			}
			if !present {
				b = b[:mark]
				continue
			}
			if computed == nil {
				computed = map[string]bool{}
			}
			if b[from] != '"' || computed[string(b[from:])] || n.plain(b[from:]) {
				return b, false, ev.fail(ev.placeOf(m.key), &fault{kind: KindType})
			}
			computed[string(b[from:])] = true
			b = append(b, ':')
		}
		var present bool
		var err error
		if b, present, err = m.value.render(ev, b); err != nil {
			return b, false, err
		}
		if !present {
			b = b[:mark]
			continue
		}
		any = true
	}
	if !any {
		return b[:start], false, nil
	}
	return append(b, '}'), true, nil
}

// plain says whether the template already has this key as it stands.
func (n *objectNode) plain(quoted []byte) bool {
	for _, m := range n.members {
		if len(m.name) == len(quoted)+1 && bytes.Equal(m.name[:len(quoted)], quoted) {
			return true
		}
	}
	return false
}

// listNode drops absent elements. When all are dropped the list is absent too; `[]` stays.
type listNode struct{ items []node }

func (n *listNode) render(ev *Evaluation, b []byte) ([]byte, bool, error) {
	start := len(b)
	b = append(b, '[')
	any := len(n.items) == 0
	first := true
	for _, item := range n.items {
		mark := len(b)
		if !first {
			b = append(b, ',')
		}
		var present bool
		var err error
		if b, present, err = item.render(ev, b); err != nil {
			return b, false, err
		}
		if !present {
			b = b[:mark]
			continue
		}
		any, first = true, false
	}
	if !any {
		return b[:start], false, nil
	}
	return append(b, ']'), true, nil
}

// refNode is `$ref`: a StatementRef to another statement of the same record. Its id is not known yet; a blank stands in
// its place, and Output.WithIDs fills it.
type refNode struct {
	name  string
	place place
}

const blankID = "00000000-0000-0000-0000-000000000000"

func (n *refNode) render(ev *Evaluation, b []byte) ([]byte, bool, error) {
	b = append(b, `{"objectType":"StatementRef","id":"`...)
	ev.refs = append(ev.refs, pendingOutputRef{offset: len(b), name: n.name, place: n.place})
	return append(append(b, blankID...), `"}`...), true, nil
}

// text renders a node that must give a JSON string and returns the plain text.
func renderText(ev *Evaluation, n node) (string, bool, error) {
	b, present, err := n.render(ev, nil)
	if err != nil || !present {
		return "", present, err
	}
	if len(b) == 0 || b[0] != '"' {
		return "", false, ev.fail(ev.placeOf(n), &fault{kind: KindType})
	}
	return unquote(b), true, nil
}

// placeOf gives the place of a node for a message about it.
func (ev *Evaluation) placeOf(n node) place {
	switch n := n.(type) {
	case *valueNode:
		return n.place
	case *textNode:
		return n.place
	case *refNode:
		return n.place
	}
	return place{stream: ev.stream.name}
}
