package host

import (
	"fmt"
	"sort"

	"github.com/lrshub/lrshub/plugins/contract"
)

// plan says what becomes of each value of a stream's records: kept or thrown away, part of the key, the subject. It is a tree
// made once per read; prune.go walks records along it.
type plan struct {
	stream contract.Stream
	root   *node
	walker walker
}

// node is what a plan says of the values at one path. A value without node is skipped.
type node struct {
	name     string // as the schema has it; "" for elements
	kind     contract.Type
	optional bool
	keep     bool             // stands in the pruned record
	key      int              // position in the key, -1 if it is no part of it
	subject  bool             //
	children map[string]*node // of an object; of a map or any: those that are named
	elem     *node            // of a list; of a map kept as a whole
	order    int              // position among its parent's children
	required []*node          // children that must be there
}

// newPlan makes the plan for keeping the paths in fields (nil: all that is declared). A path that the stream does not have is an error.
func newPlan(s contract.Stream, fields []string) (*plan, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Statements {
		fields = nil // a statement is kept as it is
	}
	p := &plan{stream: s, root: &node{kind: contract.Object, key: -1, keep: true}}
	root := contract.Field{Type: contract.Object, Fields: s.Fields}
	if fields == nil {
		for _, f := range s.Fields {
			whole(p.root.child(f), f)
		}
	}
	for _, path := range fields {
		if _, ok := s.Lookup(path); !ok {
			return nil, fmt.Errorf("%w: stream %q has no field %q to keep", contract.ErrSchema, s.Name, path)
		}
		along(p.root, root, contract.SplitPath(path))
	}
	for i, path := range s.Key {
		p.root.reach(root, contract.SplitPath(path)).key = i
	}
	if s.Subject != "" {
		p.root.reach(root, contract.SplitPath(s.Subject)).subject = true
	}
	p.root.finish()
	p.walker.reset(len(s.Key))
	return p, nil
}

// child gives the node of a field, making it if need be.
func (n *node) child(f contract.Field) *node {
	if n.children == nil {
		n.children = make(map[string]*node)
	}
	c := n.children[f.Name]
	if c == nil {
		c = &node{name: f.Name, kind: f.Type, optional: f.Optional, key: -1}
		n.children[f.Name] = c
	}
	return c
}

func (n *node) element(f contract.Field) *node {
	if n.elem == nil {
		n.elem = &node{kind: f.Type, optional: f.Optional, key: -1}
	}
	return n.elem
}

// along keeps the values at the end of a path and marks the way to them.
func along(n *node, f contract.Field, parts []string) {
	n.keep = true
	if f.Type == contract.List {
		along(n.element(*f.Elem), *f.Elem, parts)
		return
	}
	if len(parts) == 0 {
		whole(n, f)
		return
	}
	var next contract.Field
	switch f.Type {
	case contract.Object:
		for _, field := range f.Fields {
			if field.Name == parts[0] {
				next = field
			}
		}
	case contract.Map:
		next = *f.Elem
		next.Name, next.Optional = parts[0], true
	default: // any
		next = contract.Field{Name: parts[0], Type: contract.Any, Optional: true}
	}
	along(n.child(next), next, parts[1:])
}

// whole keeps a value with all that the schema declares of it.
func whole(n *node, f contract.Field) {
	n.keep = true
	switch f.Type {
	case contract.Object:
		for _, field := range f.Fields {
			whole(n.child(field), field)
		}
	case contract.List, contract.Map:
		whole(n.element(*f.Elem), *f.Elem)
	case contract.Any:
		n.elem = &node{kind: contract.Any, keep: true, key: -1} // a sign that all of it is kept
	}
}

// reach gives the node at a path through objects without keeping it.
func (n *node) reach(f contract.Field, parts []string) *node {
	for _, part := range parts {
		for _, field := range f.Fields {
			if field.Name == part {
				n, f = n.child(field), field
				break
			}
		}
	}
	return n
}

// finish numbers the children and lists those that must be there. A field on the way to a key or subject is checked, too.
func (n *node) finish() {
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		c := n.children[name]
		c.order = i
		if !c.optional {
			n.required = append(n.required, c)
		}
		c.finish()
	}
	if n.elem != nil && n.elem != n {
		n.elem.finish()
	}
}
