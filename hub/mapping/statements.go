package mapping

import (
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Output is one statement.
type Output struct {
	JSON     []byte // compact; without id, which WithIDs puts in
	Template string // the name of its template
	Position int    // among the statements of the record, from 0
	refs     []outputRef
}

type outputRef struct {
	offset   int // of the 36 bytes of the id
	position int // of the statement that is meant
}

// WithIDs gives the statement with its id, and with the ids of the statements of the same record that it refers to.
// id gives the id (36 characters) of the statement at a position.
func (o Output) WithIDs(id func(position int) string) []byte {
	own := `"id":"` + id(o.Position) + `",`
	made := make([]byte, 0, len(o.JSON)+len(own))
	made = append(append(made, '{'), own...)
	made = append(made, o.JSON[1:]...)
	for _, r := range o.refs {
		copy(made[r.offset+len(own):], id(r.position))
	}
	return made
}

// References lists the positions of the statements of the same record that this one refers to.
func (o Output) References() []int {
	var all []int
	for _, r := range o.refs {
		all = append(all, r.position)
	}
	return all
}

// Subject gives the agent that the stream's `subject:` makes of the record, as JSON; nil if the stream has none or the
// template gives nothing. The error is an *EvalError.
func (e *Evaluation) Subject() ([]byte, error) {
	if e.stream.subject == nil {
		return nil, nil
	}
	b, present, err := e.stream.subject.render(e, nil)
	if err != nil || !present {
		return nil, err
	}
	return b, nil
}

// Statements gives the statements of the record in the document's order. None means that the mapping deliberately makes
// nothing of it. The error is an *EvalError; then there are no statements at all.
func (e *Evaluation) Statements() ([]Output, error) {
	for i, done := range e.supplied {
		if !done {
			return nil, e.fail(place{path: "lookups." + e.stream.lookups[i].name}, &fault{kind: KindMissingRecord, field: e.stream.lookups[i].name})
		}
	}
	chosen, err := e.chosen()
	if err != nil || len(chosen) == 0 {
		return nil, err
	}
	if err := e.refused(e.stream.refuse); err != nil {
		return nil, err
	}
	subject, unknown := e.Subject() // an error only where a statement applies
	made := &outputs{subject: subject, unknown: unknown, first: map[string]int{}}
	for _, st := range chosen {
		e.current = st
		if err := e.each(st, func() error { return e.one(st, made) }); err != nil {
			return nil, err
		}
	}
	e.current = nil
	if unknown != nil && len(made.all) > 0 {
		return nil, unknown
	}
	return made.resolve(e)
}

// outputs collects the statements of one record.
type outputs struct {
	subject []byte
	unknown error // why there is no subject
	all     []Output
	pending [][]pendingOutputRef // by statement
	first   map[string]int       // template name to the position of its first statement
}

// resolve puts positions to the references.
func (o *outputs) resolve(e *Evaluation) ([]Output, error) {
	for i, refs := range o.pending {
		for _, r := range refs {
			position, ok := o.first[r.name]
			if !ok {
				return nil, e.fail(r.place, &fault{kind: KindReference, field: r.name})
			}
			o.all[i].refs = append(o.all[i].refs, outputRef{offset: r.offset, position: position})
		}
	}
	return o.all, nil
}

// chosen gives the statements that this record is for: none if the stream's `when` says no, else those whose `is` has
// what `match` gives, and those without `is`.
func (e *Evaluation) chosen() ([]*statement, error) {
	if e.stream.when != nil {
		if yes, err := e.truth(e.stream.when); err != nil || !yes {
			return nil, err
		}
	}
	if e.stream.match == nil {
		return e.stream.statements, nil
	}
	value, err := e.stream.match.evaluate(e)
	if err != nil {
		return nil, e.fail(e.stream.match.place, err)
	}
	text, ok := value.(types.String)
	if !ok {
		return nil, e.fail(e.stream.match.place, &fault{kind: KindType})
	}
	var chosen []*statement
	for i, st := range e.stream.statements {
		if len(st.is) == 0 || slices.Contains(e.stream.cases[string(text)], i) {
			chosen = append(chosen, st)
		}
	}
	return chosen, nil
}

func (e *Evaluation) refused(all []refusal) error {
	for i := range all {
		yes, err := e.truth(all[i].when)
		if err != nil {
			return err
		}
		if yes {
			return e.fail(all[i].when.place, &all[i].fault)
		}
	}
	return nil
}

// each does something for one template: once, or once for each element of its `for`, unless its `when` says no.
func (e *Evaluation) each(st *statement, do func() error) error {
	if st.early {
		if yes, err := e.truth(st.when); err != nil || !yes {
			return err
		}
	}
	if st.each == nil {
		return e.enter(st, nil, nil, do)
	}
	value, err := st.each.evaluate(e)
	if err != nil {
		return e.fail(st.each.place, err)
	}
	if absent(value) {
		return nil
	}
	if opt, ok := value.(*types.Optional); ok {
		value = opt.GetValue()
	}
	if m, ok := value.(traits.Mapper); ok {
		value = inOrder(m)
	}
	switch items := value.(type) {
	case *ordered:
		for it := items.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			if err := e.enter(st, key, items.Get(key), do); err != nil {
				return err
			}
		}
	case traits.Lister:
		index := types.Int(0)
		for it := items.Iterator(); it.HasNext() == types.True; index++ {
			item := it.Next()
			first := ref.Val(index)
			if len(st.as) == 1 {
				first = item
			}
			if err := e.enter(st, first, item, do); err != nil {
				return err
			}
		}
	default:
		return e.fail(st.each.place, &fault{kind: KindType})
	}
	return nil
}

// enter does something for one element. first and second are what `as` names.
func (e *Evaluation) enter(st *statement, first, second ref.Val, do func() error) error {
	for i, slot := range st.as {
		e.values[slot] = first
		if i == 1 {
			e.values[slot] = second
		}
	}
	for _, b := range st.lets {
		e.values[b.slot], e.pending[b.slot] = nil, b.expr
	}
	clear(e.used)
	if st.when != nil && !st.early {
		if yes, err := e.truth(st.when); err != nil || !yes {
			return err
		}
	}
	return do()
}

// one makes one statement.
func (e *Evaluation) one(st *statement, made *outputs) error {
	if err := e.refused(st.refuse); err != nil {
		return err
	}
	e.refs = nil
	b := make([]byte, 0, 1024)
	if !st.isActor {
		if made.unknown != nil {
			return made.unknown
		}
		if made.subject == nil {
			return e.fail(place{line: st.line, path: "subject"}, &fault{kind: KindMissing, field: "subject"})
		}
		b = append(append(append(b, `{"actor":`...), made.subject...), ',')
	}
	rendered, present, err := st.body.render(e, b)
	if err != nil {
		return err
	}
	if !present {
		return e.fail(place{line: st.line}, &fault{kind: KindMissing})
	}
	// The template's own opening brace gives way to the actor put before it.
	if len(b) > 0 {
		rendered = append(rendered[:len(b)], rendered[len(b)+1:]...)
		for i := range e.refs {
			e.refs[i].offset--
		}
	}
	if e.spent += uint64(10 + len(rendered)/10); e.spent > e.mapping.limit {
		return e.fail(place{line: st.line}, &fault{kind: KindCost})
	}
	position := len(made.all)
	if _, seen := made.first[st.name]; !seen {
		made.first[st.name] = position
	}
	made.all = append(made.all, Output{JSON: rendered, Template: st.name, Position: position})
	made.pending = append(made.pending, e.refs)
	return nil
}
