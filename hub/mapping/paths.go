package mapping

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/lrshub/lrshub/plugins/contract"
)

// origin says that a value came from this place of this stream's records. Finding them is how the hub knows which
// fields a mapping needs: a field counts as named when its value is used, and an object only when it is used whole.
type origin struct {
	stream string
	path   string // "" is the record itself
	shape  *shape
}

// fieldSet collects the paths that the expressions of a mapping name, by stream.
type fieldSet struct {
	used    map[string]map[string]bool
	present map[string]map[string]bool // objects, and lists of them, that are only asked whether they are there
}

func newFieldSet() *fieldSet {
	return &fieldSet{used: map[string]map[string]bool{}, present: map[string]map[string]bool{}}
}

func mark(set map[string]map[string]bool, o origin) {
	if set[o.stream] == nil {
		set[o.stream] = map[string]bool{}
	}
	set[o.stream][o.path] = true
}

// list gives the paths of a stream, sorted, without those that lie inside another. Pruning keeps the objects on the way to a
// field, so an object that is only tested for presence needs a path of its own just where no field inside it is named.
func (f *fieldSet) list(stream string) []string {
	all := make([]string, 0, len(f.used[stream]))
	for path := range f.used[stream] {
		all = append(all, path)
	}
	for path := range f.present[stream] {
		if !slices.ContainsFunc(all, func(p string) bool { return strings.HasPrefix(p, path+".") }) {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	kept := all[:0]
	for _, path := range all {
		if !slices.ContainsFunc(kept, func(k string) bool { return path == k || strings.HasPrefix(path, k+".") }) {
			kept = append(kept, path)
		}
	}
	return kept
}

// analysis walks one expression.
type analysis struct {
	fields *fieldSet
	scope  *scope
	locals map[string][]origin // variables of comprehensions
	whole  bool                // the whole record, or a whole looked-up record, is used
}

// value walks an expression and marks what it uses of what it does not pass on; it returns where the value came from.
func (a *analysis) value(e ast.Expr) []origin {
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		if local, ok := a.locals[name]; ok {
			return local
		}
		v, _ := a.scope.variable(name)
		return v.origins
	case ast.SelectKind:
		sel := e.AsSelect()
		inner := extend(a.value(sel.Operand()), sel.FieldName())
		if sel.IsTestOnly() {
			a.test(inner)
			return nil
		}
		return inner
	case ast.CallKind:
		return a.call(e.AsCall())
	case ast.ListKind:
		return a.list(e.AsList().Elements())
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			a.consume(entry.AsMapEntry().Key())
			a.consume(entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			a.consume(field.AsStructField().Value())
		}
	case ast.ComprehensionKind:
		return a.comprehension(e.AsComprehension())
	}
	return nil
}

// list covers list literals: filter() makes its result of them, so objects put into a list are not yet used.
func (a *analysis) list(items []ast.Expr) []origin {
	var kept []origin
	for _, item := range items {
		for _, o := range a.value(item) {
			if o.shape.kind == contract.Object {
				kept = append(kept, origin{o.stream, o.path, listOf(o.shape)})
				continue
			}
			a.used([]origin{o})
		}
	}
	return kept
}

// lists gives where the objects in a list came from, and marks anything else as used.
func (a *analysis) lists(e ast.Expr) []origin {
	var kept []origin
	for _, o := range a.value(e) {
		if o.shape.kind == contract.List && o.shape.elem.kind == contract.Object {
			kept = append(kept, o)
			continue
		}
		a.used([]origin{o})
	}
	return kept
}

// consume marks everything that the value of an expression holds as used.
func (a *analysis) consume(e ast.Expr) { a.used(a.value(e)) }

func (a *analysis) used(origins []origin) {
	for _, o := range origins {
		if o.path == "" {
			a.whole = true
			continue
		}
		mark(a.fields.used, o)
	}
}

// test marks what a presence test needs.
func (a *analysis) test(origins []origin) {
	for _, o := range origins {
		switch {
		case o.path == "": // a looked-up record is there or not, whatever its fields
		case o.shape.kind == contract.Object, o.shape.kind == contract.List && o.shape.elem.kind == contract.Object:
			mark(a.fields.present, o)
		default:
			mark(a.fields.used, o)
		}
	}
}

// extend goes one name further. Lists take no part of a path; below `any` the path stops.
func extend(origins []origin, name string) []origin {
	var inner []origin
	for _, o := range origins {
		switch o.shape.kind {
		case contract.Object:
			if place, ok := o.shape.index[name]; ok {
				inner = append(inner, origin{o.stream, joinPath(o.path, name), o.shape.fields[place].shape})
			}
		case contract.Map:
			inner = append(inner, origin{o.stream, joinPath(o.path, name), o.shape.elem})
		default:
			inner = append(inner, o)
		}
	}
	return inner
}

func joinPath(path, name string) string {
	name = contract.JoinPath(name)
	if path == "" {
		return name
	}
	return path + "." + name
}

func isNullLiteral(e ast.Expr) bool {
	return e.Kind() == ast.LiteralKind && e.AsLiteral() == types.NullValue
}

func literalText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}

func (a *analysis) call(call ast.CallExpr) []origin {
	args := call.Args()
	switch call.FunctionName() {
	case operators.OptSelect:
		name, _ := literalText(args[1])
		return extend(a.value(args[0]), name)
	case operators.Index, operators.OptIndex:
		return a.index(args[0], args[1])
	case operators.Add:
		return append(a.lists(args[0]), a.lists(args[1])...)
	case operators.Conditional:
		a.consume(args[0])
		return append(slices.Clone(a.value(args[1])), a.value(args[2])...)
	case operators.Equals, operators.NotEquals:
		if isNullLiteral(args[0]) || isNullLiteral(args[1]) {
			a.test(a.value(args[0]))
			a.test(a.value(args[1]))
			return nil
		}
	case "orValue", "or":
		if call.IsMemberFunction() && len(args) == 1 {
			return append(slices.Clone(a.value(call.Target())), a.value(args[0])...)
		}
	case "value":
		if call.IsMemberFunction() && len(args) == 0 {
			return a.value(call.Target())
		}
	case "hasValue":
		if call.IsMemberFunction() && len(args) == 0 {
			a.test(a.value(call.Target()))
			return nil
		}
	case "optional.of", "optional.ofNonZeroValue", "filled":
		if len(args) == 1 {
			return a.value(args[0])
		}
	}
	if call.IsMemberFunction() {
		a.consume(call.Target())
	}
	for _, arg := range args {
		a.consume(arg)
	}
	return nil
}

func (a *analysis) index(container, key ast.Expr) []origin {
	origins := a.value(container)
	name, constant := literalText(key)
	if !constant {
		a.consume(key)
	}
	var inner []origin
	for _, o := range origins {
		switch {
		case o.shape.kind == contract.List:
			inner = append(inner, origin{o.stream, o.path, o.shape.elem})
		case o.shape.kind == contract.Map && constant:
			inner = append(inner, extend([]origin{o}, name)...)
		default: // any key may be asked for: all of it is needed
			a.used([]origin{o})
		}
	}
	return inner
}

// comprehension covers the macros (all, exists, map, filter, transformMap, optMap) and cel.bind.
func (a *analysis) comprehension(c ast.ComprehensionExpr) []origin {
	ranged := a.value(c.IterRange())
	var elements []origin
	for _, o := range ranged {
		if o.shape.kind == contract.List && o.shape.elem.kind == contract.Object {
			elements = append(elements, origin{o.stream, o.path, o.shape.elem})
			a.test([]origin{o})
			continue
		}
		a.used([]origin{o}) // keys, scalars and unknown values: all of it is needed
	}
	outer := a.locals
	a.locals = make(map[string][]origin, len(outer)+3)
	for name, origins := range outer {
		a.locals[name] = origins
	}
	a.locals[c.AccuVar()] = a.value(c.AccuInit())
	a.locals[c.IterVar()] = elements
	if c.HasIterVar2() {
		a.locals[c.IterVar()], a.locals[c.IterVar2()] = nil, elements
	}
	a.consume(c.LoopCondition())
	a.locals[c.AccuVar()] = append(slices.Clone(a.locals[c.AccuVar()]), a.value(c.LoopStep())...)
	result := a.value(c.Result())
	a.locals = outer
	return result
}
