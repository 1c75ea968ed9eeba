package mapping

import (
	"bytes"
	"context"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/lrshub/lrshub/plugins/contract"
)

// Evaluation converts one record. Ask Needs and Supply until it needs nothing more, then Subject and Statements. It is
// not safe for concurrent use.
type Evaluation struct {
	mapping  *Mapping
	stream   *stream
	ctx      context.Context
	values   []ref.Val            // by slot
	pending  []*expression        // by slot: a let not yet evaluated
	supplied []bool               // by lookup
	used     []map[string]ref.Val // by use: the arguments' values during one statement
	steady   []rendered
	spent    uint64
	refs     []pendingOutputRef
	current  *statement
}

type pendingOutputRef struct {
	offset int
	name   string
	place  place
}

// LookupRequest asks for records of another stream.
type LookupRequest struct {
	Name   string
	Stream string
	By     []string // the fields that Key holds values of
	Key    []byte   // in the form of contract.Key
	Many   bool
}

// Begin starts the conversion of a record, a JSON object pruned to at least Fields(stream). The error is an *EvalError.
func (m *Mapping) Begin(stream string, record []byte) (*Evaluation, error) {
	s := m.streams[stream]
	if s == nil {
		return nil, fmt.Errorf("mapping %s: %w: it reads no stream %q", m.name, ErrDocument, stream)
	}
	e := &Evaluation{mapping: m, stream: s, values: make([]ref.Val, firstFreeSlot+len(s.slots)),
		pending: make([]*expression, firstFreeSlot+len(s.slots)), supplied: make([]bool, len(s.lookups))}
	text := bytes.TrimSpace(record)
	if len(text) == 0 || text[0] != '{' || !jsontext.Value(text).IsValid() {
		return nil, e.fail(place{stream: stream}, &fault{kind: KindRecord})
	}
	copy(e.values, m.globals[:])
	e.values[slotRecord] = &object{shape: s.shape, text: text}
	for _, b := range s.lets {
		e.pending[b.slot] = b.expr
	}
	return e, nil
}

// Interrupt makes the evaluation stop when the context ends. Without it only the cost limit ends an evaluation.
func (e *Evaluation) Interrupt(ctx context.Context) { e.ctx = ctx }

// Needs gives the lookups that can be asked for now and were not supplied. Call it again after supplying them, until it
// gives none. A lookup whose key has no value in this record asks for nothing and finds nothing.
func (e *Evaluation) Needs() ([]LookupRequest, error) {
	var all []LookupRequest
	for i, l := range e.stream.lookups {
		if e.supplied[i] || !e.ready(l) {
			continue
		}
		key, err := e.key(l)
		if err != nil {
			return nil, err
		}
		if key == nil {
			e.supply(i, nil)
			continue
		}
		all = append(all, LookupRequest{Name: l.name, Stream: l.stream, By: l.by, Key: key, Many: l.many})
	}
	return all, nil
}

func (e *Evaluation) ready(l *lookup) bool {
	for _, i := range l.needs {
		if !e.supplied[i] {
			return false
		}
	}
	return true
}

func (e *Evaluation) key(l *lookup) ([]byte, error) {
	values := make([]any, 0, len(l.on))
	for _, expr := range l.on {
		// As the record has it, so that the key has the form that the host gave the other record's.
		if text, err := expr.raw(e); err == nil && text != nil {
			values = append(values, jsontext.Value(text))
			continue
		}
		value, err := expr.evaluate(e)
		if err != nil {
			return nil, e.fail(expr.place, err)
		}
		if absent(value) {
			return nil, nil
		}
		if opt, ok := value.(*types.Optional); ok {
			value = opt.GetValue()
		}
		text, err := appendValue(nil, value)
		if err != nil {
			return nil, e.fail(expr.place, err)
		}
		values = append(values, jsontext.Value(text))
	}
	key, err := contract.Key(values...)
	if err != nil {
		return nil, e.fail(l.on[0].place, &fault{kind: KindType})
	}
	return key, nil
}

// Supply gives the records that a lookup found; none means that there is none. Each is a JSON object.
func (e *Evaluation) Supply(name string, records ...[]byte) error {
	for i, l := range e.stream.lookups {
		if l.name != name {
			continue
		}
		for _, record := range records {
			if text := bytes.TrimSpace(record); len(text) == 0 || text[0] != '{' || !jsontext.Value(text).IsValid() {
				return e.fail(place{stream: l.stream}, &fault{kind: KindRecord})
			}
		}
		e.supply(i, records)
		return nil
	}
	return fmt.Errorf("mapping %s, stream %s: %w: there is no lookup %q", e.mapping.name, e.stream.name, ErrDocument, name)
}

func (e *Evaluation) supply(i int, records [][]byte) {
	l := e.stream.lookups[i]
	e.supplied[i] = true
	var found []ref.Val
	for _, record := range records {
		found = append(found, &object{shape: l.shape, text: bytes.TrimSpace(record)})
	}
	switch {
	case l.many:
		e.values[l.slot] = types.NewRefValList(types.DefaultTypeAdapter, found)
	case len(found) == 0:
		e.values[l.slot] = types.NullValue
	default:
		e.values[l.slot] = found[0]
	}
}

// ResolveName gives CEL the value of a variable; lets are evaluated when first named.
func (e *Evaluation) ResolveName(name string) (any, bool) {
	slot, known := e.stream.slots[name]
	if !known {
		return nil, false
	}
	if value := e.values[slot]; value != nil {
		return value, true
	}
	expr := e.pending[slot]
	if expr == nil {
		return nil, false
	}
	value, err := expr.evaluate(e)
	if err != nil {
		value = types.WrapErr(toFault(err))
	}
	e.values[slot] = value
	return value, true
}

// Parent is part of CEL's activation.
func (e *Evaluation) Parent() cel.Activation { return nil }

// activation gives the names that an expression sees: those of the evaluation, and a fragment's arguments.
func (e *Evaluation) activation(u *use) cel.Activation {
	if u == nil {
		return e
	}
	return &useActivation{evaluation: e, use: u}
}

type useActivation struct {
	evaluation *Evaluation
	use        *use
}

func (a *useActivation) Parent() cel.Activation { return nil }

func (a *useActivation) ResolveName(name string) (any, bool) {
	e := a.evaluation
	for u := a.use; u != nil; u = u.parent {
		expr, ok := u.arguments[name]
		if !ok {
			continue
		}
		if e.used == nil {
			e.used = make([]map[string]ref.Val, e.stream.uses)
		}
		if value := e.used[u.id][name]; value != nil {
			return value, true
		}
		value, err := expr.evaluate(e)
		if err != nil {
			value = types.WrapErr(toFault(err))
		}
		if e.used[u.id] == nil {
			e.used[u.id] = map[string]ref.Val{}
		}
		e.used[u.id][name] = value
		return value, true
	}
	return e.ResolveName(name)
}

// run evaluates an expression that needs CEL's interpreter.
func (e *Evaluation) run(expr *expression) (ref.Val, error) {
	var value ref.Val
	var details *cel.EvalDetails
	var err error
	if e.ctx != nil {
		value, details, err = expr.program.ContextEval(e.ctx, e.activation(expr.use))
	} else {
		value, details, err = expr.program.Eval(e.activation(expr.use))
	}
	if cost := details.ActualCost(); cost != nil {
		if e.spent += *cost; e.spent > e.mapping.limit {
			return nil, &fault{kind: KindCost}
		}
	}
	if err != nil {
		return nil, toFault(err)
	}
	return value, nil
}

// truth evaluates a condition.
func (e *Evaluation) truth(expr *expression) (bool, error) {
	value, err := expr.evaluate(e)
	if err != nil {
		return false, e.fail(expr.place, err)
	}
	yes, ok := value.(types.Bool)
	if !ok {
		return false, e.fail(expr.place, &fault{kind: KindType})
	}
	return bool(yes), nil
}

// fail puts the place to a fault.
func (e *Evaluation) fail(at place, err error) error {
	if done, ok := err.(*EvalError); ok {
		return done
	}
	f := toFault(err)
	made := &EvalError{Kind: f.kind, Mapping: e.mapping.name + " " + e.mapping.version, Stream: e.stream.name,
		Path: at.path, Line: at.line, Field: f.field, Reason: f.reason, Say: f.say, Statement: at.statement}
	if made.Statement == "" && e.current != nil {
		made.Statement = e.current.name
	}
	return made
}

var _ traits.Lister = (*list)(nil)
