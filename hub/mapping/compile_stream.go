package mapping

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/lrshub/lrshub/plugins/contract"
)

// lookups compiles a stream's lookups in their order; each can name the ones before it.
func (c *compiler) lookups(s *stream, sc *scope, d *streamDoc) *scope {
	for _, ld := range d.lookups {
		l := &lookup{name: ld.name, stream: ld.stream, many: ld.many, shape: c.records[ld.stream]}
		at := place{line: ld.line, stream: s.name, path: "lookups." + ld.name}
		if l.shape == nil {
			c.refuse(at, "", "the connector has no stream "+ld.stream, suggest(ld.stream, keysOf(c.sources)))
			continue
		}
		c.on(s, sc, l, ld, at)
		v := variable{typ: l.shape.cel, origins: []origin{{stream: l.stream, shape: l.shape}}}
		if l.many {
			for _, path := range l.by { // the hub finds the rows by these fields, so they must survive pruning
				mark(c.fields.used, origin{stream: l.stream, path: path})
			}
			all := listOf(l.shape)
			v = variable{typ: all.cel, origins: []origin{{stream: l.stream, shape: all}}}
		}
		sc, l.slot = c.declare(s, sc, ld.name, ld.line, v)
		s.lookups = append(s.lookups, l)
	}
	return sc
}

// on compiles the fields and expressions of a lookup. A lookup of one record names exactly the key of its stream.
func (c *compiler) on(s *stream, sc *scope, l *lookup, ld lookupDoc, at place) {
	source := c.sources[l.stream]
	wanted := source.Key
	if l.many {
		wanted = nil
		for _, code := range ld.on {
			wanted = append(wanted, code.name)
		}
	}
	for _, code := range ld.on {
		if !slices.Contains(wanted, code.name) {
			c.refuse(at, "", code.name+" is not in the key of the stream "+l.stream,
				"a lookup of one record goes by its key ("+strings.Join(source.Key, ", ")+"); write `many: true` to go by other fields")
			return
		}
	}
	for _, field := range wanted {
		i := slices.IndexFunc(ld.on, func(code codeDoc) bool { return code.name == field })
		if i < 0 {
			c.refuse(at, "", "the key field "+field+" of the stream "+l.stream+" is missing under on", "a lookup of one record goes by its whole key")
			return
		}
		target, ok := l.shape.at(field)
		if !ok || scalarTypes[target.kind] == nil || target.kind == contract.Any {
			c.refuse(at, "", l.stream+" has no field "+field+" that could be a key", suggest(field, l.shape.names()))
			return
		}
		code := ld.on[i]
		e := c.result(sc, place{line: code.line, column: code.column, path: at.path + ".on." + field}, code.source, wantKey)
		if e == nil {
			return
		}
		if !keyType(e.typ, target) {
			c.refuse(at, code.source, fmt.Sprintf("%s of %s is %s, and the expression gives %s", field, l.stream,
				target.kind, typeName(e.typ)), "convert it: string(…), int(…)")
			return
		}
		l.by, l.on = append(l.by, field), append(l.on, e)
		for j, earlier := range s.lookups {
			if e.names[earlier.name] && !slices.Contains(l.needs, j) {
				l.needs = append(l.needs, j)
			}
		}
	}
}

// keyType says whether an expression's type can give values of a key field. Text "7" and number 7 are different keys.
func keyType(t *cel.Type, target *shape) bool {
	t = unwrapped(t)
	return t.Kind() == types.DynKind || t.Kind() == target.cel.Kind()
}

func (c *compiler) statement(s *stream, outer *scope, sd *streamDoc, d *statementDoc) *statement {
	st := &statement{name: d.name, line: d.line, is: d.is}
	at := place{line: d.line, stream: s.name, statement: d.name}
	if len(d.is) > 0 && sd.match == nil {
		c.refuse(at, "", "`is` without a `match` in the stream", "write `match: EXPRESSION` beside `statements`")
	}
	sc, changing := c.clauses(s, outer.within(d.name), outer, st, d, "")
	st.refuse = c.refusals(sc, d.refuse)
	if d.body == nil {
		return st
	}
	st.body = c.template(sc, d.body, "")
	body, isObject := st.body.(*objectNode)
	if !isObject {
		c.refuse(at, "", "a statement is an object", "write actor, verb, object and the rest as keys")
		return st
	}
	st.isActor = body.has("actor")
	switch {
	case !st.isActor && s.subject == nil:
		c.refuse(at, "", "the statement has no actor", "write `subject:` in the stream, or `actor:` in the statement")
	case !body.has("verb"):
		c.refuse(at, "", "the statement has no verb", "write `verb:` with its id")
	case !body.has("object"):
		c.refuse(at, "", "the statement has no object", "write `object:` with its id")
	}
	for _, name := range []string{"id", "stored", "authority"} {
		if body.has(name) {
			c.refuse(at, "", "the template sets "+name, "leave it out: the hub gives every statement its id, stored and authority")
		}
	}
	if d.each != nil {
		st.body = c.steady(body, changing)
	}
	return st
}

// clauses compiles what statements, facts and claims have in common, under a path of the document, and gives the scope for what stands
// beside it, and the names that change from element to element.
func (c *compiler) clauses(s *stream, sc, outer *scope, st *statement, d *statementDoc, path string) (inner *scope, changing map[string]bool) {
	if d.each != nil {
		sc = c.each(s, sc, st, d, path)
	}
	sc, st.lets = c.lets(s, sc, d.let, path+"let")
	st.when = c.optional(sc, d.when, path+"when", wantBool)
	st.early = st.when != nil
	changing = declaredSince(sc, outer)
	for name := range changing {
		if st.when != nil && st.when.names[name] {
			st.early = false
		}
	}
	return sc, changing
}

func (n *objectNode) has(name string) bool {
	return n.plain(appendLiteral(nil, name))
}

// declaredSince lists the names that sc knows and outer does not.
func declaredSince(sc, outer *scope) map[string]bool {
	names := map[string]bool{}
	for at := sc; at != nil && at != outer; at = at.parent {
		for name := range at.vars {
			names[name] = true
		}
	}
	return names
}

// each compiles `for` and declares what `as` names.
func (c *compiler) each(s *stream, sc *scope, st *statement, d *statementDoc, path string) *scope {
	e, origins := c.compile(sc, place{line: d.each.line, column: d.each.column, path: path + "for"}, d.each.source, wantEach)
	st.each = e
	first, second := variable{typ: cel.DynType}, variable{typ: cel.DynType}
	if e != nil {
		first, second = c.eachTypes(sc, e, origins)
	}
	switch len(d.as) {
	case 1:
		if e == nil || first.typ.Kind() != types.StringKind { // of a list: the value; of a map: the key
			first = second
		}
		var slot int
		sc, slot = c.declare(s, sc, d.as[0], d.line, first)
		st.as = []int{slot}
	case 2:
		var one, two int
		sc, one = c.declare(s, sc, d.as[0], d.line, first)
		sc, two = c.declare(s, sc, d.as[1], d.line, second)
		st.as = []int{one, two}
	}
	return sc
}

// eachTypes gives the variables for the index or key, and for the value.
func (c *compiler) eachTypes(sc *scope, e *expression, origins []origin) (first, second variable) {
	t := unwrapped(e.typ)
	walk := &analysis{fields: c.fields, scope: sc}
	switch t.Kind() {
	case types.ListKind:
		first, second = variable{typ: cel.IntType}, variable{typ: t.Parameters()[0]}
		for _, o := range origins {
			if o.shape.kind == contract.List && o.shape.elem.kind == contract.Object {
				walk.test([]origin{o})
				second.origins = append(second.origins, origin{o.stream, o.path, o.shape.elem})
				continue
			}
			walk.used([]origin{o})
		}
	case types.MapKind:
		first, second = variable{typ: t.Parameters()[0]}, variable{typ: t.Parameters()[1]}
		walk.used(origins)
	default:
		first, second = variable{typ: cel.DynType}, variable{typ: cel.DynType}
		walk.used(origins)
	}
	if walk.whole {
		c.refuse(e.place, "", "a whole record is used", "name its fields")
	}
	return first, second
}
