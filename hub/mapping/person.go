package mapping

import (
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// Person is what a record says of its subject, beside statements: facts, which hold from a day to a day, and claims, by which the same
// person is recognised elsewhere.
type Person struct {
	Facts  []Fact  `json:"facts,omitempty"`
	Claims []Claim `json:"claims,omitempty"`
}

// Fact is one thing that holds of a person from From until, but not at, Until.
type Fact struct {
	Kind  string         `json:"kind"`            // one of FactKinds, or a site's own: x_ and a name
	Value string         `json:"value,omitempty"` // as the source writes it; "" where Agent says it
	Agent jsontext.Value `json:"agent,omitempty"` // another person, as an xAPI agent: the manager
	From  *time.Time     `json:"from,omitempty"`  // nil: the source does not say since when
	Until *time.Time     `json:"until,omitempty"` // nil: until further notice
}

// Claim is an identifier that somebody is known by, in a form in which equal ones are equal bytes.
type Claim struct {
	Kind     string `json:"kind"` // one of ClaimKinds
	Value    string `json:"value"`
	Issuer   string `json:"issuer,omitempty"`   // whose number it is, where a tenant has several that number people; claims of two issuers are never equal
	Verified bool   `json:"verified,omitempty"` // of a mailbox: the source made sure that it is the person's own
}

// FactKinds are the kinds of fact that have a meaning to the hub. Their values are the site's.
var FactKinds = []string{"role", "unit", "location", "manager", "employment"}

// ClaimKinds are what people can be recognised by. A name is none, and never will be.
var ClaimKinds = []string{"employee_number", "student_number", "sourced_id", "external_id", "mailbox"}

const (
	factManager  = "manager"
	claimMailbox = "mailbox"
	maxValue     = 500 // bytes of a fact's value, or a claim's
	maxTold      = 200 // facts, and claims, of one record
)

var (
	ownKind = regexp.MustCompile(`^x_[a-z0-9_]{1,60}$`)
	words   = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
)

type personDoc struct {
	line   int
	when   *codeDoc
	facts  []*toldDoc
	claims []*toldDoc
}

// toldDoc is a fact or a claim as written.
type toldDoc struct {
	statementDoc
	path        string // "person.facts[0]."
	kind        string
	value       *codeDoc
	agent       *tree
	from, until *codeDoc
	issuer      *codeDoc
	verified    *codeDoc
}

func (r *reading) person(node *yaml.Node, where string) *personDoc {
	if node == nil {
		return nil
	}
	keys := r.known(node, where, "about", "when", "facts", "claims")
	r.text(keys["about"], where+".about")
	p := &personDoc{line: node.Line, when: r.code(keys["when"], where+".when")}
	for i, item := range r.items(keys["facts"], where+".facts") {
		p.facts = append(p.facts, r.fact(item, fmt.Sprintf("%s.facts[%d]", where, i), fmt.Sprintf("person.facts[%d].", i)))
	}
	for i, item := range r.items(keys["claims"], where+".claims") {
		p.claims = append(p.claims, r.claim(item, fmt.Sprintf("%s.claims[%d]", where, i), fmt.Sprintf("person.claims[%d].", i)))
	}
	if len(p.facts)+len(p.claims) == 0 {
		r.fail(node.Line, where, "a person without facts and claims", "write `facts:` or `claims:`, each with a list below it")
	}
	return p
}

func (r *reading) fact(node *yaml.Node, where, path string) *toldDoc {
	keys := r.known(node, where, "kind", "about", "value", "agent", "from", "until", "for", "as", "let", "when")
	t := r.told(node, keys, where, path)
	if !slices.Contains(FactKinds, t.kind) && !ownKind.MatchString(t.kind) {
		remedy := "one of your own begins with x_"
		if t.kind != "" {
			remedy = suggest(t.kind, FactKinds) + " " + remedy
		}
		r.fail(node.Line, where+".kind", fmt.Sprintf("there is no kind of fact %q", t.kind), remedy)
	}
	t.from, t.until = r.code(keys["from"], where+".from"), r.code(keys["until"], where+".until")
	if keys["agent"] != nil {
		t.agent = r.template(keys["agent"], where+".agent")
	}
	switch {
	case t.kind == factManager && t.agent == nil:
		r.fail(node.Line, where, "a manager is a person", "write `agent:` with the agent that the manager's own records have as their subject, instead of `value:`")
	case (t.value == nil) == (t.agent == nil):
		r.fail(node.Line, where, "a fact has a value, or an agent", "write `value:` with an expression, or `agent:` with a template where the value is another person")
	}
	return t
}

func (r *reading) claim(node *yaml.Node, where, path string) *toldDoc {
	keys := r.known(node, where, "kind", "about", "value", "issuer", "verified", "for", "as", "let", "when")
	t := r.told(node, keys, where, path)
	if !slices.Contains(ClaimKinds, t.kind) {
		r.fail(node.Line, where+".kind", fmt.Sprintf("nobody is recognised by %q", t.kind), suggest(t.kind, ClaimKinds))
	}
	t.issuer, t.verified = r.code(keys["issuer"], where+".issuer"), r.code(keys["verified"], where+".verified")
	if t.value == nil {
		r.fail(node.Line, where, "a claim without a value", "write `value:` with an expression")
	}
	if t.verified != nil && t.kind != claimMailbox {
		r.fail(t.verified.line, where+".verified", "only a mailbox is verified", "leave it out: numbers are given by whoever keeps them")
	}
	return t
}

func (r *reading) told(node *yaml.Node, keys map[string]*yaml.Node, where, path string) *toldDoc {
	t := &toldDoc{path: path, kind: r.text(keys["kind"], where+".kind"), value: r.code(keys["value"], where+".value")}
	t.line = node.Line
	r.text(keys["about"], where+".about")
	r.clauses(&t.statementDoc, node, keys, where)
	return t
}

// person is a stream's person section, compiled.
type person struct {
	when   *expression
	facts  []*told
	claims []*told
}

type told struct {
	statement
	kind        string
	value       *expression
	agent       node
	from, until *expression
	issuer      *expression
	verified    *expression
}

func (c *compiler) person(s *stream, outer *scope, sd *streamDoc) *person {
	d := sd.person
	if d == nil {
		return nil
	}
	if sd.subject == nil && s.source.Subject == "" {
		c.refuse(place{line: d.line, stream: s.name, path: "person"}, "", "nobody knows of whom this is said", "write `subject:` in the stream")
	}
	p := &person{when: c.optional(outer, d.when, "person.when", wantBool)}
	for _, f := range d.facts {
		t, sc := c.told(s, outer, f)
		if f.agent != nil {
			t.agent = c.template(sc, f.agent, f.path+"agent")
		}
		t.from, t.until = c.optional(sc, f.from, f.path+"from", wantInstant), c.optional(sc, f.until, f.path+"until", wantInstant)
		p.facts = append(p.facts, t)
	}
	for _, claim := range d.claims {
		t, sc := c.told(s, outer, claim)
		c.nameless(sc, claim, t.value)
		t.issuer, t.verified = c.optional(sc, claim.issuer, claim.path+"issuer", wantScalar), c.optional(sc, claim.verified, claim.path+"verified", wantBool)
		p.claims = append(p.claims, t)
	}
	return p
}

func (c *compiler) told(s *stream, outer *scope, d *toldDoc) (*told, *scope) {
	t := &told{kind: d.kind}
	t.line = d.line
	sc, _ := c.clauses(s, outer, outer, &t.statement, &d.statementDoc, d.path)
	t.value = c.optional(sc, d.value, d.path+"value", wantScalar)
	return t, sc
}

// nameFields are fields that hold people's names in the systems that there are.
var nameFields = []string{"name", "displayname", "fullname", "firstname", "lastname", "givenname", "familyname", "middlename", "surname", "nickname", "formatted", "commonname", "sortablename"}

// nameless refuses a claim that is made of a name: two people of one name are two people.
func (c *compiler) nameless(sc *scope, d *toldDoc, e *expression) {
	if e == nil {
		return
	}
	for _, word := range words.FindAllString(d.value.source, -1) {
		if slices.Contains(nameFields, strings.ToLower(strings.ReplaceAll(word, "_", ""))) {
			c.refuse(place{line: d.line, stream: sc.stream, path: d.path + "value"}, d.value.source, "nobody is recognised by a name ("+word+")",
				"take a number that the source gives to one person only, or a verified mailbox; a `let` can rename a field that holds no name")
			return
		}
	}
}

// Person gives what the stream's `person:` says of the record's subject. Like Statements it wants all lookups to be supplied, and gives nothing of a
// record that the stream's `when` leaves out. The error is an *EvalError.
func (e *Evaluation) Person() (Person, error) {
	var made Person
	p := e.stream.person
	if p == nil {
		return made, nil
	}
	for _, condition := range []*expression{e.stream.when, p.when} {
		if condition == nil {
			continue
		}
		if yes, err := e.truth(condition); err != nil || !yes {
			return made, err
		}
	}
	if err := e.refused(e.stream.refuse); err != nil {
		return made, err
	}
	for _, t := range p.facts {
		if err := e.each(&t.statement, func() error { return e.fact(t, &made) }); err != nil {
			return Person{}, err
		}
	}
	for _, t := range p.claims {
		if err := e.each(&t.statement, func() error { return e.claim(t, &made) }); err != nil {
			return Person{}, err
		}
	}
	return made, nil
}

func (e *Evaluation) fact(t *told, made *Person) error {
	f := Fact{Kind: t.kind}
	var err error
	if t.agent != nil {
		agent, present, err := t.agent.render(e, nil)
		if err != nil || !present {
			return err
		}
		f.Agent = agent
	} else if f.Value, err = e.scalar(t.value); err != nil || f.Value == "" {
		return err
	}
	if f.From, err = e.instant(t.from); err != nil {
		return err
	}
	if f.Until, err = e.instant(t.until); err != nil {
		return err
	}
	if f.From != nil && f.Until != nil && !f.From.Before(*f.Until) {
		return e.fail(t.until.place, &fault{kind: KindRange, field: "until, which is not after from"})
	}
	made.Facts = append(made.Facts, f)
	return e.bounded(t, len(made.Facts))
}

func (e *Evaluation) claim(t *told, made *Person) error {
	c := Claim{Kind: t.kind}
	var err error
	if c.Value, err = e.scalar(t.value); err != nil || c.Value == "" {
		return err
	}
	if t.issuer != nil {
		if c.Issuer, err = e.scalar(t.issuer); err != nil {
			return err
		}
	}
	if t.kind == claimMailbox {
		if c.Value = mailbox(c.Value); c.Value == "" {
			return e.fail(t.value.place, &fault{kind: KindValue})
		}
	}
	if t.verified != nil {
		if c.Verified, err = e.truth(t.verified); err != nil {
			return err
		}
	}
	made.Claims = append(made.Claims, c)
	return e.bounded(t, len(made.Claims))
}

func (e *Evaluation) bounded(t *told, n int) error {
	if n > maxTold {
		return e.fail(place{line: t.line, path: "person"}, &fault{kind: KindCost})
	}
	return nil
}

// scalar gives an expression's value as text without white space around it; "" where there is none.
func (e *Evaluation) scalar(expr *expression) (string, error) {
	value, err := expr.evaluate(e)
	if err != nil {
		return "", e.fail(expr.place, err)
	}
	if absent(value) {
		return "", nil
	}
	text, err := appendPlain(nil, value)
	if err != nil {
		return "", e.fail(expr.place, err)
	}
	plain := strings.TrimSpace(string(text))
	if len(plain) > maxValue {
		return "", e.fail(expr.place, &fault{kind: KindRange})
	}
	return plain, nil
}

// instant gives an expression's value as a time; nil where there is none. A day begins at midnight UTC.
func (e *Evaluation) instant(expr *expression) (*time.Time, error) {
	if expr == nil {
		return nil, nil
	}
	value, err := expr.evaluate(e)
	if err != nil {
		return nil, e.fail(expr.place, err)
	}
	if absent(value) {
		return nil, nil
	}
	if o, ok := value.(*types.Optional); ok {
		value = o.GetValue()
	}
	switch v := value.(type) {
	case types.Timestamp:
		at := v.Time.UTC().Truncate(time.Microsecond) // as exact as a column
		return &at, nil
	case types.String:
		if strings.TrimSpace(string(v)) == "" {
			return nil, nil
		}
		for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
			if at, err := time.Parse(layout, strings.TrimSpace(string(v))); err == nil && !at.Before(earliest) && !at.After(latest) {
				at = at.UTC().Truncate(time.Microsecond)
				return &at, nil
			}
		}
		return nil, e.fail(expr.place, &fault{kind: KindValue})
	}
	return nil, e.fail(expr.place, &fault{kind: KindType})
}

// mailbox gives an address in the form in which equal ones are equal: in lower case, as all mail systems that are used treat them. "" for what is no address.
func mailbox(text string) string {
	text = strings.TrimPrefix(strings.ToLower(text), "mailto:")
	if a, err := mail.ParseAddress(text); err != nil || a.Address != text || a.Name != "" {
		return ""
	}
	return text
}
