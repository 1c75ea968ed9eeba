package mapping

import (
	"fmt"
	"slices"
	"strings"
)

// node is a part of a template, compiled. It appends its JSON and says whether there was anything to append: a value that
// is absent drops the key or element that would hold it.
type node interface {
	render(ev *Evaluation, b []byte) (out []byte, present bool, err error)
}

// maxParts is how many parts the templates of a mapping can have once their fragments are put in. Fragments that use
// fragments multiply.
const maxParts = 20_000

// layer is a template together with the names it can use. A `$use` puts the fragment's layer below its own.
type layer struct {
	tree  *tree
	scope *scope
}

// template compiles a template with its fragments put in.
func (c *compiler) template(sc *scope, t *tree, path string) node {
	return c.layers([]layer{{t, sc}}, path)
}

// layers compiles what several layers say about one place: the last wins, and objects are merged key by key.
func (c *compiler) layers(all []layer, path string) node {
	top := all[len(all)-1]
	if c.parts++; c.parts > maxParts {
		if c.parts == maxParts+1 {
			c.refuse(place{line: top.tree.line, path: path, stream: top.scope.stream, statement: top.scope.statement}, "",
				fmt.Sprintf("the templates have more than %d parts, fragments put in", maxParts), "use fragments less often inside one another")
		}
		return literalNode("null")
	}
	if !top.tree.object || top.tree.ref != "" {
		return c.leaf(top, path)
	}
	var flat []layer
	for _, l := range all {
		if !l.tree.object || l.tree.ref != "" {
			flat = nil // an object written over something else replaces it
			continue
		}
		flat = append(flat, c.unfold(l, path)...)
	}
	if len(flat) > 0 && !flat[len(flat)-1].tree.object {
		return c.leaf(flat[len(flat)-1], path) // `$use` of a fragment that is no object
	}
	return c.object(flat, path)
}

// unfold puts the fragments that a template uses below it.
func (c *compiler) unfold(l layer, path string) []layer {
	var below []layer
	for i := range l.tree.use {
		u := &l.tree.use[i]
		at := place{line: u.line, path: path, stream: l.scope.stream, statement: l.scope.statement}
		f := c.doc.fragments[u.fragment]
		switch {
		case f == nil:
			c.refuse(at, "", "there is no fragment "+u.fragment, suggest(u.fragment, keysOf(c.doc.fragments)))
			continue
		case slices.Contains(l.scope.expanding, u.fragment):
			c.refuse(at, "", "the fragment "+u.fragment+" uses itself", "take the circle apart")
			continue
		case !f.body.object && (len(l.tree.keys) > 0 || len(l.tree.use) > 1):
			c.refuse(at, "", "the fragment "+u.fragment+" is no object and stands beside other keys", "use it alone")
			continue
		}
		inner := c.bindArguments(l.scope, f, u, at)
		if inner == nil {
			continue
		}
		if !f.body.object {
			return []layer{{f.body, inner}}
		}
		below = append(below, c.unfold(layer{f.body, inner}, path)...)
	}
	return append(below, l)
}

// bindArguments gives the scope inside a fragment: what the place of use can name, and the arguments.
func (c *compiler) bindArguments(sc *scope, f *fragmentDoc, u *useDoc, at place) *scope {
	inner := *sc
	inner.parent, inner.vars = sc, nil
	inner.expanding = append(slices.Clone(sc.expanding), f.name)
	given := map[string]bool{}
	for _, arg := range u.with {
		given[arg.name] = true
		if !slices.Contains(f.arguments, arg.name) {
			c.refuse(at, "", "the fragment "+f.name+" takes no argument "+arg.name, suggest(arg.name, f.arguments))
			return nil
		}
	}
	for _, name := range f.arguments {
		if !given[name] {
			c.refuse(at, "", "the fragment "+f.name+" needs the argument "+name, "give it under $with")
			return nil
		}
	}
	if len(u.with) == 0 {
		return &inner
	}
	bound := &use{parent: sc.use, id: c.uses, arguments: map[string]*expression{}}
	c.uses++
	made := &inner
	for _, arg := range u.with {
		e, origins := c.compile(sc, place{line: arg.line, column: arg.column, path: at.path + ".$with." + arg.name}, arg.source, wantAny)
		if e == nil {
			return nil
		}
		bound.arguments[arg.name] = e
		next, err := made.with(arg.name, variable{typ: e.typ, origins: origins})
		if err != nil {
			c.refuse(at, arg.source, err.Error(), "choose another name")
			return nil
		}
		made = next
	}
	made.use = bound
	return made
}

func (c *compiler) leaf(l layer, path string) node {
	t := l.tree
	at := place{line: t.line, column: t.column, path: path, stream: l.scope.stream, statement: l.scope.statement}
	switch {
	case t.ref != "":
		c.refs = append(c.refs, pendingRef{name: t.ref, at: at})
		return &refNode{name: t.ref, place: at}
	case t.list:
		made := &listNode{}
		for i, item := range t.values {
			made.items = append(made.items, c.template(l.scope, item, fmt.Sprintf("%s[%d]", path, i)))
		}
		return made
	}
	text, isText := t.scalar.(string)
	if !isText {
		return literalNode(appendLiteral(nil, t.scalar))
	}
	pieces, problem := split(text)
	if problem != "" {
		c.refuse(at, text, problem, "write $${ where ${ is meant as it stands")
		return literalNode(`""`)
	}
	if !slices.ContainsFunc(pieces, func(p piece) bool { return p.code }) {
		plain := ""
		for _, p := range pieces {
			plain += p.text
		}
		return literalNode(appendLiteral(nil, plain))
	}
	if len(pieces) == 1 {
		if e := c.result(l.scope, at, pieces[0].text, wantAny); e != nil {
			return &valueNode{e}
		}
		return literalNode(`""`)
	}
	return c.mixed(l, at, text, pieces)
}

// mixed compiles a text with expressions inside it.
func (c *compiler) mixed(l layer, at place, text string, pieces []piece) node {
	made := &textNode{place: at}
	for _, p := range pieces {
		if !p.code {
			made.parts = append(made.parts, textPart{text: p.text})
			continue
		}
		where := at
		where.line += strings.Count(text[:p.at], "\n")
		e := c.result(l.scope, where, p.text, wantAny)
		if e == nil {
			return literalNode(`""`)
		}
		made.parts = append(made.parts, textPart{expression: e})
	}
	return made
}

// object merges the keys of several layers, in the order in which they first appear.
func (c *compiler) object(layers []layer, path string) node {
	made := &objectNode{}
	byKey := map[string][]layer{}
	keyOf := map[string]layer{}
	var order []string
	lines := map[string]int{}
	for _, l := range layers {
		for i, key := range l.tree.keys {
			if byKey[key.text] == nil {
				order = append(order, key.text)
			}
			byKey[key.text] = append(byKey[key.text], layer{l.tree.values[i], l.scope})
			keyOf[key.text], lines[key.text] = l, key.line
		}
	}
	for _, key := range order {
		m := memberNode{value: c.layers(byKey[key], joinPath(path, key))}
		if strings.Contains(key, "${") {
			m.key = c.leaf(layer{&tree{line: lines[key], scalar: key}, keyOf[key].scope}, path+" key")
		} else {
			m.name = append(appendLiteral(nil, key), ':')
		}
		made.members = append(made.members, m)
	}
	return made
}

func keysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
