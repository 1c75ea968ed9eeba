package mapping

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/lrshub/lrshub/plugins/contract"
)

// place is where in the document something stands, for messages.
type place struct {
	line      int
	column    int // of the first character
	stream    string
	statement string
	path      string // in the document or in the template
}

// expression is a checked CEL expression. The two commonest kinds, a constant and a chain of fields, are evaluated without
// the interpreter: they are most of what templates hold.
type expression struct {
	place    place
	typ      *cel.Type
	use      *use
	program  cel.Program
	constant ref.Val
	variable string // of a chain of fields
	chain    []step
	names    map[string]bool // the variables it names
}

type step struct {
	place int
	name  string
	last  contract.Type
}

// want is what an expression's value must be at its place.
type want int

const (
	wantAny want = iota
	wantBool
	wantText
	wantKey  // a scalar that can be part of a record's key
	wantEach // a list or map
	wantScalar
	wantInstant // a time, or a text that says one
)

// compile checks an expression and makes it ready. What is wrong goes to c.errs, and then the result is nil.
func (c *compiler) compile(sc *scope, at place, source string, w want) (*expression, []origin) {
	at.stream, at.statement = sc.stream, sc.statement
	c.provider.missing = missingField{}
	checked, issues := sc.env.Compile(source)
	if issues.Err() != nil {
		c.explain(sc, at, source, issues)
		return nil, nil
	}
	e := &expression{place: at, typ: checked.OutputType(), use: sc.use, names: map[string]bool{}}
	if problem, remedy := w.refuses(e.typ); problem != "" {
		c.refuse(at, source, problem, remedy)
		return nil, nil
	}
	root := checked.NativeRep().Expr()
	if !c.allowed(at, source, root, e.names) {
		return nil, nil
	}
	walk := &analysis{fields: c.fields, scope: sc}
	origins := walk.value(root)
	if walk.whole {
		c.refuse(at, source, "a whole record is used", "name its fields: pruning keeps only what is named")
		return nil, nil
	}
	if !c.affordable(sc, at, source, checked) {
		return nil, nil
	}
	switch {
	case root.Kind() == ast.LiteralKind:
		e.constant = root.AsLiteral()
	case e.fieldChain(root, sc, c.provider.shapes):
	default:
		program, err := sc.env.Program(checked, append(orderedRanges(checked), c.programOptions...)...)
		if err != nil {
			c.refuse(at, source, "the expression cannot be prepared: "+err.Error(), "check the patterns and formats in it")
			return nil, nil
		}
		e.program = program
	}
	return e, origins
}

// result compiles an expression whose whole value is used.
func (c *compiler) result(sc *scope, at place, source string, w want) *expression {
	e, origins := c.compile(sc, at, source, w)
	if e == nil {
		return nil
	}
	walk := &analysis{fields: c.fields, scope: sc}
	walk.used(origins)
	if walk.whole {
		c.refuse(at, source, "a whole record is used", "name its fields: pruning keeps only what is named")
		return nil
	}
	return e
}

func (w want) refuses(t *cel.Type) (problem, remedy string) {
	ok := true
	switch w {
	case wantBool:
		ok, remedy = t.Kind() == types.BoolKind || t.Kind() == types.DynKind, "write a comparison or a truth value"
	case wantText:
		ok, remedy = t.Kind() == types.StringKind || t.Kind() == types.DynKind, "write an expression that gives a text"
	case wantKey:
		switch t.Kind() {
		case types.StringKind, types.IntKind, types.DoubleKind, types.BoolKind, types.TimestampKind, types.DynKind:
		default:
			ok = unwrapped(t) != t
		}
		remedy = "a key is a text, number or truth value"
	case wantScalar:
		switch unwrapped(t).Kind() {
		case types.StringKind, types.IntKind, types.DoubleKind, types.BoolKind, types.DynKind:
		default:
			ok = false
		}
		remedy = "write an expression that gives a text, number or truth value"
	case wantInstant:
		switch unwrapped(t).Kind() {
		case types.StringKind, types.TimestampKind, types.DynKind:
		default:
			ok = false
		}
		remedy = "write a time, or a text such as 2026-01-31 or 2026-01-31T08:00:00Z"
	case wantEach:
		inner := unwrapped(t)
		ok = inner.Kind() == types.ListKind || inner.Kind() == types.MapKind || inner.Kind() == types.DynKind
		remedy = "`for` goes through a list or a map"
	}
	if ok {
		return "", ""
	}
	return "the expression gives " + typeName(t), remedy
}

// unwrapped gives the type inside an optional one, and any other type as it is.
func unwrapped(t *cel.Type) *cel.Type {
	if t.Kind() == types.OpaqueKind && t.TypeName() == types.OptionalType.TypeName() {
		return t.Parameters()[0]
	}
	return t
}

// allowed checks what CEL's types cannot: the arguments of refuse must be constants, or values could get into errors.
// It also notes the variables that the expression names.
func (c *compiler) allowed(at place, source string, root ast.Expr, names map[string]bool) bool {
	ok := true
	ast.PostOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			names[e.AsIdent()] = true
		case ast.CallKind:
			call := e.AsCall()
			if call.FunctionName() != "refuse" {
				return
			}
			for i, arg := range call.Args() {
				text, constant := literalText(arg)
				if !constant || i == 0 && !reasonCode.MatchString(text) {
					c.refuse(at, source, "refuse() with something else than constant texts",
						"write the reason as a code of a-z, 0-9 and _, and the explanation as a plain text")
					ok = false
				}
			}
		}
	}))
	return ok
}

// affordable refuses an expression whose cost is certain to exceed the limit. Most expressions have no finite bound, because
// lists and texts have none: for those the limit works when they run.
func (c *compiler) affordable(sc *scope, at place, source string, checked *cel.Ast) bool {
	estimate, err := sc.env.EstimateCost(checked, unknownSizes{})
	if err != nil {
		c.refuse(at, source, "the expression's cost cannot be estimated: "+err.Error(), "write it more simply")
		return false
	}
	if estimate.Min > c.limit {
		c.refuse(at, source, "the expression always takes more work than a record may", "split it or do less")
		return false
	}
	if estimate.Max != cost.UnknownCostEstimate().Max {
		c.bounded++
		c.bound += estimate.Max
	} else {
		c.unbounded++
	}
	return true
}

type unknownSizes struct{}

func (unknownSizes) EstimateSize(cost.AstNode) *cost.SizeEstimate { return nil }
func (unknownSizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// fieldChain recognises variable.field.field and keeps it as places.
func (e *expression) fieldChain(root ast.Expr, sc *scope, shapes *shapes) bool {
	var names []string
	at := root
	for at.Kind() == ast.SelectKind && !at.AsSelect().IsTestOnly() {
		names = append(names, at.AsSelect().FieldName())
		at = at.AsSelect().Operand()
	}
	if at.Kind() != ast.IdentKind {
		return false
	}
	v, ok := sc.variable(at.AsIdent())
	if !ok {
		return false
	}
	chain := make([]step, 0, len(names))
	inside := shapes.byName[v.typ.TypeName()]
	for i := len(names) - 1; i >= 0; i-- {
		if inside == nil || inside.kind != contract.Object {
			return false
		}
		place := inside.index[names[i]]
		inside = inside.fields[place].shape
		chain = append(chain, step{place: place, name: names[i], last: inside.kind})
	}
	e.variable, e.chain = at.AsIdent(), chain
	return true
}

// explain turns CEL's complaints into ours.
func (c *compiler) explain(sc *scope, at place, source string, issues *cel.Issues) {
	for _, issue := range issues.Errors() {
		where := at
		where.line += max(issue.Location.Line()-1, 0)
		problem, remedy := c.translate(sc, issue.Message)
		c.refuse(where, source, problem, remedy)
		if strings.HasPrefix(issue.Message, "Syntax error") {
			return // what follows a syntax error is mostly noise
		}
	}
}

func (c *compiler) refuse(at place, source, problem, remedy string) {
	c.errs = append(c.errs, &Error{Line: at.line, Stream: at.stream, Statement: at.statement, Field: at.path,
		Expression: shorten(source), Problem: problem, Remedy: remedy})
}

func shorten(source string) string {
	source = strings.Join(strings.Fields(source), " ")
	if runes := []rune(source); len(runes) > 120 {
		return string(runes[:117]) + "..."
	}
	return source
}

// evaluate gives the expression's value. Errors are faults, without a place.
func (e *expression) evaluate(ev *Evaluation) (ref.Val, error) {
	if e.constant != nil {
		return e.constant, nil
	}
	if e.program == nil {
		return e.follow(ev)
	}
	return ev.run(e)
}

// follow reads a chain of fields.
func (e *expression) follow(ev *Evaluation) (ref.Val, error) {
	value, err := e.root(ev)
	if err != nil {
		return nil, err
	}
	for _, s := range e.chain {
		inside, ok := value.(fielder)
		if !ok {
			return nil, e.notAnObject(value, s)
		}
		inner, err := inside.field(s.place)
		if err != nil {
			return nil, err
		}
		value = inner.(ref.Val)
	}
	return value, nil
}

func (e *expression) notAnObject(value ref.Val, s step) error {
	if value == types.NullValue {
		return &fault{kind: KindMissingRecord, field: e.variable + "." + s.name}
	}
	return &fault{kind: KindType, field: s.name}
}

func (e *expression) root(ev *Evaluation) (ref.Val, error) {
	found, ok := ev.activation(e.use).ResolveName(e.variable)
	if !ok {
		return nil, &fault{kind: KindInternal}
	}
	if failed, isErr := found.(*types.Err); isErr {
		return nil, failed.Unwrap()
	}
	return found.(ref.Val), nil
}

// raw gives the JSON text of the last field of a chain as the record has it, so that numbers keep all their digits; nil
// where the value has to be evaluated.
func (e *expression) raw(ev *Evaluation) ([]byte, error) {
	if len(e.chain) == 0 {
		return nil, nil
	}
	last := e.chain[len(e.chain)-1]
	switch last.last {
	case contract.String, contract.Int, contract.Double, contract.Bool, contract.Any:
	default:
		return nil, nil
	}
	value, err := e.root(ev)
	if err != nil {
		return nil, err
	}
	for _, s := range e.chain[:len(e.chain)-1] {
		inside, ok := value.(fielder)
		if !ok {
			return nil, e.notAnObject(value, s)
		}
		inner, err := inside.field(s.place)
		if err != nil {
			return nil, err
		}
		value = inner.(ref.Val)
	}
	holder, ok := value.(*object)
	if !ok {
		return nil, e.notAnObject(value, last)
	}
	return holder.rawScalar(last.place)
}
