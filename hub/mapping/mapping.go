package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types/ref"

	"github.com/lrshub/lrshub/plugins/contract"
)

// Mapping converts records of a connector's streams to xAPI statements. It is immutable and safe for concurrent use.
type Mapping struct {
	name      string
	version   string
	catalogue []string
	streams   map[string]*stream
	order     []string
	fields    map[string][]string
	globals   [firstFreeSlot]ref.Val
	limit     uint64
	params    []Param
	estimate  Estimate
}

// Param is a setting that a connection can give to a mapping.
type Param struct {
	Name        string
	Type        string // string, int, double, bool, list, map
	Required    bool   // there is no default
	Environment string // the name under which a fixture set gives it, "" if it does not
}

// Lookup says which records of another stream a stream's records need.
type Lookup struct {
	Name   string
	Stream string
	By     []string // field paths of Stream; for a lookup of one record, its key
	Many   bool
}

// Estimate is what the mapping is known on load to cost at most, for one evaluation of each expression, in CEL cost units.
type Estimate struct {
	Bounded   int    // expressions with a finite bound
	Unbounded int    // expressions whose cost grows with the record
	Cost      uint64 // sum of the finite bounds
	Limit     uint64 // what one record may cost
}

// DefaultCostLimit is what one record may cost, in CEL cost units: some 100 times what the largest example mapping takes.
const DefaultCostLimit = 1_000_000

type options struct {
	params map[string]any
	limit  uint64
}

// Option changes how Load works.
type Option func(*options)

// WithParams sets parameters of the mapping, as decoded from JSON or YAML.
func WithParams(params map[string]any) Option { return func(o *options) { o.params = params } }

// WithCostLimit sets what one record may cost instead of DefaultCostLimit.
func WithCostLimit(limit uint64) Option { return func(o *options) { o.limit = limit } }

// Load reads a mapping document and checks it against the streams that its connector describes. Every complaint is an
// *Error; where there are several they come joined, in the document's order, and errors.As finds the first.
func Load(document []byte, streams []contract.Stream, opts ...Option) (*Mapping, error) {
	set := options{limit: DefaultCostLimit}
	for _, opt := range opts {
		opt(&set)
	}
	c, err := newCompiler(streams, set.limit)
	if err != nil {
		return nil, err
	}
	c.doc = c.readDocument(document)
	if len(c.errs) > 0 {
		return nil, c.problems()
	}
	m := &Mapping{name: c.doc.name, version: c.doc.version, streams: map[string]*stream{}, limit: set.limit,
		fields: map[string][]string{}}
	for slot, value := range c.globals(set.params) {
		if value != nil {
			m.globals[slot] = value
		}
	}
	if len(c.errs) > 0 {
		return nil, c.problems()
	}
	for _, d := range c.doc.streams {
		if s := c.stream(d); s != nil {
			m.streams[d.name] = s
		}
	}
	m.catalogue = c.catalogue(m)
	if len(c.errs) == 0 {
		m.order = c.order()
	}
	if len(c.errs) > 0 {
		return nil, c.problems()
	}
	for _, name := range m.order {
		m.fields[name] = c.fields.list(name)
	}
	for _, p := range c.doc.params {
		m.params = append(m.params, Param{Name: p.name, Type: p.kind, Required: p.value == nil, Environment: p.environment})
	}
	m.estimate = Estimate{Bounded: c.bounded, Unbounded: c.unbounded, Cost: c.bound, Limit: set.limit}
	return m, nil
}

// maxProblems is how many complaints one Load gives.
const maxProblems = 50

// problems gives what was found wrong, by line.
func (r *reading) problems() error {
	slices.SortStableFunc(r.errs, func(a, b *Error) int { return a.Line - b.Line })
	if len(r.errs) == 1 {
		return r.errs[0]
	}
	all := make([]error, 0, len(r.errs))
	seen := map[string]bool{}
	for _, e := range r.errs {
		if text := e.Error(); !seen[text] && len(all) < maxProblems {
			seen[text] = true
			all = append(all, e)
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	return errors.Join(all...)
}

// order gives the streams to read, lookups before their users.
func (c *compiler) order() []string {
	needs := map[string][]string{}
	lines := map[string]int{}
	var names []string
	add := func(name string, line int) {
		if _, known := lines[name]; !known {
			names, lines[name] = append(names, name), line
		}
	}
	for _, d := range c.doc.streams {
		add(d.name, d.line)
		for _, l := range d.lookups {
			needs[d.name] = append(needs[d.name], l.stream)
		}
	}
	for _, d := range c.doc.streams {
		for _, l := range d.lookups {
			add(l.stream, l.line)
		}
	}
	var order []string
	state := map[string]int{} // 1: being placed, 2: placed
	var visit func(name string, trail []string)
	visit = func(name string, trail []string) {
		if state[name] == 1 {
			c.fail(lines[name], "streams."+name, "streams look each other up in a circle: "+strings.Join(append(trail, name), " -> "),
				"a stream can be looked up only after it was read: take one lookup out")
			return
		}
		if state[name] == 2 {
			return
		}
		state[name] = 1
		for _, other := range needs[name] {
			visit(other, append(slices.Clone(trail), name))
		}
		state[name] = 2
		order = append(order, name)
	}
	for _, name := range names {
		visit(name, nil)
	}
	return order
}

// catalogue gives the IRI prefixes; they may name params and constants.
func (c *compiler) catalogue(m *Mapping) []string {
	var prefixes []string
	for i, t := range c.doc.catalogue {
		n := c.template(c.base, t, fmt.Sprintf("catalogue[%d]", i))
		if len(c.errs) > 0 {
			continue
		}
		ev := &Evaluation{mapping: m, stream: &stream{name: "catalogue", slots: globalSlots}, values: m.globals[:]}
		prefix, present, err := renderText(ev, n)
		if err != nil || !present || !strings.Contains(prefix, ":") {
			c.fail(t.line, "catalogue", "a catalogue prefix is the beginning of an IRI", "write for example https://lms.example/course/")
			continue
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes
}

// Name and Version identify the profile that the mapping is.
func (m *Mapping) Name() string { return m.name }

// Version is the version as the document writes it.
func (m *Mapping) Version() string { return m.version }

// Params lists what a connection can set.
func (m *Mapping) Params() []Param { return slices.Clone(m.params) }

// Estimate says what is known of the cost.
func (m *Mapping) Estimate() Estimate { return m.estimate }

// Streams lists the streams to read, each after those that it looks up.
func (m *Mapping) Streams() []string { return slices.Clone(m.order) }

// Fields lists the paths (contract.SplitPath) of a stream's fields that an expression of the mapping names: what the host
// must keep. Key and subject fields that no expression names are not in it: the host takes those before pruning.
func (m *Mapping) Fields(stream string) []string { return slices.Clone(m.fields[stream]) }

// Lookups lists what a stream's records look up, in order.
func (m *Mapping) Lookups(stream string) []Lookup {
	s := m.streams[stream]
	if s == nil {
		return nil
	}
	var all []Lookup
	for _, l := range s.lookups {
		all = append(all, Lookup{Name: l.name, Stream: l.stream, By: slices.Clone(l.by), Many: l.many})
	}
	return all
}

// Converts says whether a stream's records give statements; those of a lookup-only stream do not.
func (m *Mapping) Converts(stream string) bool {
	s := m.streams[stream]
	return s != nil && len(s.statements) > 0
}

// Tells says whether a stream's records say who somebody is: facts or claims (Evaluation.Person).
func (m *Mapping) Tells(stream string) bool {
	s := m.streams[stream]
	return s != nil && s.person != nil
}

// Catalogue says whether an activity's IRI is one that names no person, so that it may stand in clear.
func (m *Mapping) Catalogue(iri string) bool {
	return slices.ContainsFunc(m.catalogue, func(prefix string) bool { return strings.HasPrefix(iri, prefix) })
}
