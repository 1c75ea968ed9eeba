package mapping

import (
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"

	"github.com/lrshub/lrshub/plugins/contract"
)

// compiler makes a Mapping of a document.
type compiler struct {
	reading
	doc            *document
	provider       *provider
	base           *scope
	programOptions []cel.ProgramOption
	sources        map[string]contract.Stream
	records        map[string]*shape // of the sources
	fields         *fieldSet
	limit          uint64
	bound          uint64 // sum of the static estimates that are finite
	bounded        int
	unbounded      int
	parts          int // of all templates

	uses     int // of the stream in work
	steadies int
	refs     []pendingRef
}

type pendingRef struct {
	name string
	at   place
}

// stream is one stream of the mapping, compiled.
type stream struct {
	name       string
	source     contract.Stream
	shape      *shape
	slots      map[string]int // variable name to its place in an evaluation
	uses       int            // places that use fragments with arguments
	steady     int            // parts of templates that are rendered once a record
	lookups    []*lookup
	lets       []binding
	subject    node
	when       *expression
	match      *expression
	cases      map[string][]int // what match gives, to the statements that are for it
	refuse     []refusal
	person     *person
	statements []*statement
}

type binding struct {
	slot int
	expr *expression
}

type lookup struct {
	name   string
	slot   int
	stream string
	shape  *shape
	by     []string // fields of the looked-up stream, in the order of the key
	on     []*expression
	many   bool
	needs  []int // places of earlier lookups that the expressions name
}

type refusal struct {
	when *expression
	fault
}

type statement struct {
	name    string
	line    int
	is      []string
	each    *expression
	as      []int // slots
	lets    []binding
	when    *expression
	early   bool // when does not name what each and let give, so it comes first
	refuse  []refusal
	body    node
	isActor bool // the template names an actor itself
}

// Names that every expression knows.
const (
	slotRecord = iota
	slotParams
	slotConstants
	slotTables
	firstFreeSlot
)

var globalSlots = map[string]int{"record": slotRecord, "params": slotParams, "constants": slotConstants, "tables": slotTables}

func newCompiler(sources []contract.Stream, limit uint64) (*compiler, error) {
	shapes := newShapes()
	p, err := newProvider(shapes)
	if err != nil {
		return nil, err
	}
	c := &compiler{provider: p, sources: map[string]contract.Stream{}, records: map[string]*shape{}, fields: newFieldSet(),
		limit: limit, programOptions: []cel.ProgramOption{cel.CostLimit(limit), cel.InterruptCheckFrequency(1000)}}
	for _, s := range sources {
		if err := s.Validate(); err != nil {
			return nil, err
		}
		record, err := shapes.object(s.Name, s.Fields)
		if err != nil {
			return nil, err
		}
		c.sources[s.Name], c.records[s.Name] = s, record
	}
	return c, nil
}

// globals declares params, constants and tables and gives their values as objects.
func (c *compiler) globals(params map[string]any) (values [firstFreeSlot]*object) {
	paramShape, paramText := c.params(params)
	constants, err := c.provider.shapes.literalShape("constants", []any{c.doc.constants})
	if err != nil {
		c.fail(0, "constants", err.Error(), "write values of one type")
		constants, _ = c.provider.shapes.object("constants", nil)
	}
	tables, tableText := c.tables()
	values[slotParams] = &object{shape: paramShape, text: paramText}
	values[slotConstants] = &object{shape: constants, text: appendLiteral(nil, c.doc.constants)}
	values[slotTables] = &object{shape: tables, text: tableText}
	for _, value := range values[slotParams:] {
		warm(value)
	}
	env, err := cel.NewCustomEnv(cel.StdLib(), cel.CustomTypeProvider(c.provider), cel.CustomTypeAdapter(c.provider), cel.Lib(&library{}),
		cel.DefaultUTCTimeZone(true), cel.CrossTypeNumericComparisons(true), cel.EnableIdentifierEscapeSyntax(),
		cel.ParserRecursionLimit(64), cel.ParserExpressionSizeLimit(20_000), cel.ASTValidators(cel.ValidateRegexLiterals(),
			cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals()),
		cel.Variable("params", paramShape.cel), cel.Variable("constants", constants.cel), cel.Variable("tables", tables.cel))
	if err != nil {
		c.fail(0, "", "the expression environment cannot be made: "+err.Error(), "report this as a bug")
		return values
	}
	c.base = &scope{env: env, vars: map[string]variable{
		"params": {typ: paramShape.cel}, "constants": {typ: constants.cel}, "tables": {typ: tables.cel}}}
	return values
}

func (c *compiler) tables() (*shape, []byte) {
	var fields []contract.Field
	text := []byte{'{'}
	for i, t := range c.doc.tables {
		c.name(t.name, t.line, "tables."+t.name)
		row, err := literalField("tables."+t.name, t.rows.values)
		if err != nil {
			c.fail(t.line, "tables."+t.name, err.Error(), "give every row of a table the same type")
			row = contract.Field{Type: contract.Any}
		}
		fields = append(fields, contract.Field{Name: t.name, Type: contract.Map, Elem: &row})
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(appendLiteral(text, t.name), ':'), appendLiteral(nil, t.rows)...)
	}
	made, err := c.provider.shapes.object("tables", fields)
	if err != nil {
		c.fail(0, "tables", err.Error(), "rename one")
		made, _ = c.provider.shapes.object("tables", nil)
	}
	return made, append(text, '}')
}

// streamScope declares the record of a stream.
func (c *compiler) streamScope(s *stream) *scope {
	v := variable{typ: s.shape.cel, origins: []origin{{stream: s.name, shape: s.shape}}}
	inner, err := c.base.with("record", v)
	if err != nil {
		c.fail(0, "streams."+s.name, err.Error(), "report this as a bug")
		return nil
	}
	inner.stream = s.name
	return inner
}

// declare gives a name a slot and a scope that knows it.
func (c *compiler) declare(s *stream, sc *scope, name string, line int, v variable) (*scope, int) {
	at := place{line: line, stream: sc.stream, statement: sc.statement, path: name}
	if _, taken := sc.variable(name); taken || name == "omit" {
		c.refuse(at, "", "the name "+name+" is taken", "choose another name")
		return sc, firstFreeSlot
	}
	inner, err := sc.with(name, v)
	if err != nil {
		c.refuse(at, "", err.Error(), "choose another name: this one means something in CEL")
		return sc, firstFreeSlot
	}
	slot, known := s.slots[name]
	if !known {
		slot = firstFreeSlot + len(s.slots) - len(globalSlots)
		s.slots[name] = slot
	}
	return inner, slot
}

func (c *compiler) stream(d *streamDoc) *stream {
	source, known := c.sources[d.name]
	if !known {
		c.fail(d.line, "streams."+d.name, "the connector has no stream "+d.name, suggest(d.name, keysOf(c.sources)))
		return nil
	}
	s := &stream{name: d.name, source: source, shape: c.records[d.name], slots: map[string]int{}}
	for name, slot := range globalSlots {
		s.slots[name] = slot
	}
	c.uses, c.steadies, c.refs = 0, 0, nil
	sc := c.streamScope(s)
	if sc == nil {
		return nil
	}
	sc = c.lookups(s, sc, d)
	sc, s.lets = c.lets(s, sc, d.let, "let")
	s.when = c.optional(sc, d.when, "when", wantBool)
	s.match = c.optional(sc, d.match, "match", wantText)
	s.refuse = c.refusals(sc, d.refuse)
	if d.subject != nil {
		s.subject = c.template(sc, d.subject, "subject")
	}
	s.person = c.person(s, sc, d)
	for _, st := range d.statements {
		if slices.ContainsFunc(s.statements, func(o *statement) bool { return o.name == st.name }) {
			c.fail(st.line, "streams."+d.name, "two statements named "+st.name, "rename one: messages and $ref name them")
		}
		s.statements = append(s.statements, c.statement(s, sc, d, st))
	}
	s.cases = map[string][]int{}
	for i, st := range s.statements {
		for _, name := range st.is {
			s.cases[name] = append(s.cases[name], i)
		}
	}
	for _, ref := range c.refs {
		if !slices.ContainsFunc(s.statements, func(o *statement) bool { return o.name == ref.name }) {
			c.refuse(ref.at, "", "$ref names the statement "+ref.name+", which this stream has not", "name another statement of the same stream")
		}
	}
	s.uses, s.steady = c.uses, c.steadies
	return s
}

func (c *compiler) optional(sc *scope, d *codeDoc, path string, w want) *expression {
	if d == nil {
		return nil
	}
	return c.result(sc, place{line: d.line, column: d.column, path: path}, d.source, w)
}

func (c *compiler) lets(s *stream, sc *scope, docs []codeDoc, path string) (*scope, []binding) {
	var all []binding
	for _, d := range docs {
		e, origins := c.compile(sc, place{line: d.line, column: d.column, path: path + "." + d.name}, d.source, wantAny)
		if e == nil {
			// Declared as anything, so that one mistake gives one message.
			sc, _ = c.declare(s, sc, d.name, d.line, variable{typ: cel.DynType})
			continue
		}
		var slot int
		sc, slot = c.declare(s, sc, d.name, d.line, variable{typ: e.typ, origins: origins})
		all = append(all, binding{slot: slot, expr: e})
	}
	return sc, all
}

func (c *compiler) refusals(sc *scope, docs []refuseDoc) []refusal {
	var all []refusal
	for i, d := range docs {
		e := c.optional(sc, &d.when, fmt.Sprintf("refuse[%d].when", i), wantBool)
		all = append(all, refusal{when: e, fault: fault{kind: KindRefused, reason: d.reason, say: d.say}})
	}
	return all
}
