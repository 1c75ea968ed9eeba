package mapping

import (
	"regexp"

	"go.yaml.in/yaml/v3"
)

// document is a mapping as written, before any expression is looked at.
type document struct {
	name      string
	version   string
	catalogue []*tree
	params    []paramDoc
	constants *orderedMap
	tables    []tableDoc
	fragments map[string]*fragmentDoc
	streams   []*streamDoc
}

type paramDoc struct {
	name        string
	line        int
	kind        string // string, int, double, bool, list, map
	value       any    // the default, nil if it must be set
	environment string // the name under which fixture sets give it
}

type tableDoc struct {
	name string
	line int
	rows *orderedMap
}

type fragmentDoc struct {
	name      string
	line      int
	arguments []string
	body      *tree
}

type streamDoc struct {
	name       string
	line       int
	subject    *tree
	lookups    []lookupDoc
	let        []codeDoc
	when       *codeDoc
	match      *codeDoc
	refuse     []refuseDoc
	person     *personDoc
	statements []*statementDoc
}

type lookupDoc struct {
	name   string
	line   int
	stream string
	on     []codeDoc // named by the looked-up stream's fields
	many   bool
}

type refuseDoc struct {
	when   codeDoc
	reason string
	say    string
}

type statementDoc struct {
	name   string
	line   int
	is     []string
	each   *codeDoc // for
	as     []string
	let    []codeDoc
	when   *codeDoc
	refuse []refuseDoc
	body   *tree
}

// codeDoc is a CEL expression that stands alone, without the marks that templates need.
type codeDoc struct {
	name   string // what it is the value of
	line   int    // of the expression's first line
	column int
	source string
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	reasonCode = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// readDocument reads the YAML. What is wrong is in reading.errs.
func (r *reading) readDocument(text []byte) *document {
	root := r.parseYAML(text)
	if root == nil {
		return nil
	}
	top := r.known(root, "", "name", "version", "about", "catalogue", "params", "constants", "tables", "fragments", "streams")
	doc := &document{name: r.text(top["name"], "name"), version: r.text(top["version"], "version"),
		constants: &orderedMap{}, fragments: map[string]*fragmentDoc{}}
	if doc.name == "" || doc.version == "" {
		r.fail(root.Line, "", "a mapping has a name and a version", "begin with `name: …` and `version: …`")
	}
	r.text(top["about"], "about")
	for _, item := range r.items(top["catalogue"], "catalogue") {
		doc.catalogue = append(doc.catalogue, r.template(item, "catalogue"))
	}
	if node := top["params"]; node != nil {
		for _, e := range r.entries(node, "params") {
			doc.params = append(doc.params, r.param(e))
		}
	}
	if node := top["constants"]; node != nil {
		if constants, ok := r.literal(node, "constants").(*orderedMap); ok {
			doc.constants = constants
		}
	}
	if node := top["tables"]; node != nil {
		for _, e := range r.entries(node, "tables") {
			if rows, ok := r.literal(e.value, "tables."+e.key).(*orderedMap); ok {
				doc.tables = append(doc.tables, tableDoc{name: e.key, line: e.line, rows: rows})
			} else {
				r.fail(e.line, "tables."+e.key, "a table is an object", "write one key for each row")
			}
		}
	}
	if node := top["fragments"]; node != nil {
		for _, e := range r.entries(node, "fragments") {
			doc.fragments[e.key] = r.fragment(e)
		}
	}
	if top["streams"] == nil {
		r.fail(root.Line, "", "a mapping has streams", "write `streams:` with one key for each stream that it reads")
		return doc
	}
	for _, e := range r.entries(top["streams"], "streams") {
		doc.streams = append(doc.streams, r.stream(e))
	}
	return doc
}

func (r *reading) param(e entry) paramDoc {
	where := "params." + e.key
	r.name(e.key, e.line, where)
	keys := r.known(e.value, where, "type", "default", "about", "environment")
	p := paramDoc{name: e.key, line: e.line, kind: r.text(keys["type"], where+".type"),
		environment: r.text(keys["environment"], where+".environment")}
	r.text(keys["about"], where+".about")
	if p.kind == "" {
		p.kind = "string"
	}
	if node := keys["default"]; node != nil {
		p.value = r.literal(node, where+".default")
	}
	return p
}

func (r *reading) name(name string, line int, where string) {
	if !identifier.MatchString(name) {
		r.fail(line, where, "a name that expressions cannot write", "use letters, digits and _, no digit first")
	}
}

func (r *reading) fragment(e entry) *fragmentDoc {
	made := &fragmentDoc{name: e.key, line: e.line}
	made.body = r.templateOf(e.value, "fragments."+e.key, e.key, &made.arguments)
	return made
}

func (r *reading) stream(e entry) *streamDoc {
	where := "streams." + e.key
	s := &streamDoc{name: e.key, line: e.line}
	if e.value.Kind == yaml.ScalarNode && e.value.Tag == "!!null" {
		return s // a lookup-only stream that says nothing
	}
	keys := r.known(e.value, where, "about", "subject", "lookups", "let", "when", "match", "refuse", "person", "statements")
	r.text(keys["about"], where+".about")
	if node := keys["subject"]; node != nil {
		s.subject = r.template(node, where+".subject")
	}
	if node := keys["lookups"]; node != nil {
		for _, l := range r.entries(node, where+".lookups") {
			s.lookups = append(s.lookups, r.lookup(l, where+".lookups."+l.key))
		}
	}
	s.let = r.lets(keys["let"], where+".let")
	s.when = r.code(keys["when"], where+".when")
	s.match = r.code(keys["match"], where+".match")
	s.refuse = r.refusals(keys["refuse"], where+".refuse")
	s.person = r.person(keys["person"], where+".person")
	for _, item := range r.items(keys["statements"], where+".statements") {
		s.statements = append(s.statements, r.statement(item, where+".statements"))
	}
	return s
}

func (r *reading) lookup(e entry, where string) lookupDoc {
	r.name(e.key, e.line, where)
	keys := r.known(e.value, where, "stream", "on", "many")
	l := lookupDoc{name: e.key, line: e.line, stream: r.text(keys["stream"], where+".stream")}
	if l.stream == "" {
		l.stream = e.key
	}
	if node := keys["many"]; node != nil {
		l.many, _ = r.literal(node, where+".many").(bool)
	}
	if keys["on"] == nil {
		r.fail(e.line, where, "a lookup says on which fields", "write `on:` with the looked-up stream's fields and an expression for each")
		return l
	}
	for _, f := range r.entries(keys["on"], where+".on") {
		if code := r.code(f.value, where+".on."+f.key); code != nil {
			code.name = f.key
			l.on = append(l.on, *code)
		}
	}
	return l
}

func (r *reading) lets(node *yaml.Node, where string) []codeDoc {
	if node == nil {
		return nil
	}
	var all []codeDoc
	for _, e := range r.entries(node, where) {
		r.name(e.key, e.line, where+"."+e.key)
		if code := r.code(e.value, where+"."+e.key); code != nil {
			code.name = e.key
			all = append(all, *code)
		}
	}
	return all
}

// code reads a bare expression.
func (r *reading) code(node *yaml.Node, where string) *codeDoc {
	if node == nil {
		return nil
	}
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		r.fail(node.Line, where, "here stands "+describe(node), "write an expression, in quotes or a block (|) if YAML misreads it")
		return nil
	}
	if len(node.Value) > 3 && node.Value[:2] == "${" {
		r.fail(node.Line, where, "an expression with ${ } around it", "write it without: only templates need the marks")
		return nil
	}
	line, column := firstLine(node)
	return &codeDoc{line: line, column: column, source: node.Value}
}

// firstLine gives the place of a scalar's first character: blocks begin on the line after their mark.
func firstLine(node *yaml.Node) (line, column int) {
	switch node.Style {
	case yaml.LiteralStyle, yaml.FoldedStyle:
		return node.Line + 1, 0
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		return node.Line, node.Column + 1
	}
	return node.Line, node.Column
}

func (r *reading) refusals(node *yaml.Node, where string) []refuseDoc {
	var all []refuseDoc
	for _, item := range r.items(node, where) {
		keys := r.known(item, where, "when", "reason", "say")
		code := r.code(keys["when"], where+".when")
		refusal := refuseDoc{reason: r.text(keys["reason"], where+".reason"), say: r.text(keys["say"], where+".say")}
		if code == nil || !reasonCode.MatchString(refusal.reason) {
			r.fail(item.Line, where, "a refusal says when and for which reason", "write `when:` and `reason:` (a code of a-z, 0-9 and _)")
			continue
		}
		refusal.when = *code
		all = append(all, refusal)
	}
	return all
}

func (r *reading) statement(node *yaml.Node, where string) *statementDoc {
	keys := r.known(node, where, "name", "about", "is", "for", "as", "let", "when", "refuse", "statement")
	s := &statementDoc{line: node.Line, name: r.text(keys["name"], where+".name")}
	if s.name == "" {
		r.fail(node.Line, where, "a statement without a name", "write `name: …`: messages and $ref name it")
	}
	where += "." + s.name
	r.text(keys["about"], where+".about")
	s.is = r.texts(keys["is"], where+".is")
	r.clauses(s, node, keys, where)
	s.refuse = r.refusals(keys["refuse"], where+".refuse")
	if keys["statement"] == nil {
		r.fail(node.Line, where, "no `statement:`", "write the statement's template under it")
		return s
	}
	s.body = r.template(keys["statement"], where+".statement")
	return s
}

// clauses reads what statements, facts and claims have in common.
func (r *reading) clauses(s *statementDoc, node *yaml.Node, keys map[string]*yaml.Node, where string) {
	s.each = r.code(keys["for"], where+".for")
	s.as = r.texts(keys["as"], where+".as")
	s.let = r.lets(keys["let"], where+".let")
	s.when = r.code(keys["when"], where+".when")
	switch {
	case s.each == nil && s.as != nil, s.each != nil && (len(s.as) == 0 || len(s.as) > 2):
		r.fail(node.Line, where, "`for` and `as` belong together", "write `for: LIST` and `as: name`, or `as: [index, value]`, for a map `as: [key, value]`")
	}
	for _, name := range s.as {
		r.name(name, node.Line, where+".as")
	}
}
