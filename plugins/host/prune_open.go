package host

import (
	"github.com/go-json-experiment/json/jsontext"
)

// Values whose names or types the schema leaves open: lists, maps, any.

func (w *walker) list(n, elem *node, keep bool) error {
	if token, err := w.decoder.ReadToken(); err != nil {
		return err
	} else if kind := token.Kind(); kind != '[' {
		return &mismatch{trouble: "is " + describe(kind, n.kind) + ", not a list"}
	}
	if keep {
		w.out = append(w.out, '[')
	}
	for first := true; w.decoder.PeekKind() != ']'; first = false {
		if keep && !first {
			w.out = append(w.out, ',')
		}
		if elem == nil { // nothing of the elements is looked at
			if err := w.decoder.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if err := w.value(elem, keep); err != nil {
			return below("[]", err)
		}
	}
	if keep {
		w.out = append(w.out, ']')
	}
	_, err := w.decoder.ReadToken()
	return err
}

// members reads a map: all of it if elem says so, else the named ones. Its names may be anybody's data, so no error tells them.
func (w *walker) members(n *node, keep bool) error {
	if token, err := w.decoder.ReadToken(); err != nil {
		return err
	} else if kind := token.Kind(); kind != '{' {
		return &mismatch{trouble: "is " + describe(kind, n.kind) + ", not an object"}
	}
	if keep {
		w.out = append(w.out, '{')
	}
	var met map[string]bool
	for w.decoder.PeekKind() != '}' {
		name, err := w.decoder.ReadValue()
		if err != nil {
			return err
		}
		child := n.lookup(name)
		if child == nil {
			child = n.elem
		}
		if child == nil || !keep {
			if err := w.decoder.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if met[string(name)] {
			return &mismatch{trouble: "has one name twice"}
		}
		if met == nil {
			met = make(map[string]bool)
		}
		met[string(name)] = true
		w.member(name, len(met) == 1)
		if err := w.value(child, keep); err != nil {
			return below("[]", err)
		}
	}
	if keep {
		w.out = append(w.out, '}')
	}
	_, err := w.decoder.ReadToken()
	return err
}

// any keeps a value of any type: as a whole, or of objects in it the named members.
func (w *walker) any(n *node, kind jsontext.Kind, keep bool) error {
	switch {
	case !keep:
		return w.decoder.SkipValue()
	case n.elem != nil && (kind == '{' || kind == '['):
		raw, err := w.decoder.ReadValue()
		if err != nil {
			return err
		}
		start := len(w.out)
		w.out = append(w.out, raw...)
		compact := jsontext.Value(w.out[start:])
		if err := compact.Compact(jsontext.AllowDuplicateNames(false)); err != nil {
			return &mismatch{trouble: "is not valid JSON or has one name twice"}
		}
		w.out = append(w.out[:start], compact...)
		return nil
	case n.elem != nil:
		raw, err := w.decoder.ReadValue()
		w.out = append(w.out, raw...)
		return err
	case kind == '{':
		return w.members(n, keep)
	case kind == '[':
		return w.list(n, n, keep)
	}
	w.out = append(w.out, "null"...) // a scalar has none of the named members
	return w.decoder.SkipValue()
}
