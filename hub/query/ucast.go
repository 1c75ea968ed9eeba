package query

import (
	"fmt"
	"math"
	"strings"
)

// FromUCAST makes a filter of what OPA's partial evaluation gives for its target ucast/all: a nested
// map of type, operator, field and value. A field is table.column; only the given table is accepted.
//
// OPA says "no row" by nil and "every row" by an empty map: nil becomes False and the empty map True.
// Whatever is not understood is an error, which the caller must take for a denial: fields of other
// tables, comparisons between two fields, == null (a missing column is undefined in a row, so it
// could never hold: write `not input.table.column != null`), and whole numbers of 2^53 and above,
// which OPA has rounded on the way (policies hold big numbers as texts).
func FromUCAST(v any, table string) (Node, error) {
	if v == nil {
		return False{}, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: UCAST is a %T", ErrSyntax, v)
	}
	if len(m) == 0 {
		return True{}, nil
	}
	n, err := fromUCAST(m, table, 1)
	if err != nil {
		return nil, err
	}
	return n, measure(n)
}

func fromUCAST(v any, table string, depth int) (Node, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("%w: more than %d levels deep", ErrTooLarge, MaxDepth)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: a UCAST node is a %T", ErrSyntax, v)
	}
	op, _ := m["operator"].(string)
	switch m["type"] {
	case "compound":
		return compound(m, op, table, depth)
	case "field":
		field, _ := m["field"].(string)
		column, ok := strings.CutPrefix(field, table+".")
		if !ok || column == "" {
			return nil, fmt.Errorf("%w %q: want %s.column", ErrUnknownColumn, field, table)
		}
		return onField(column, op, m["value"])
	}
	return nil, fmt.Errorf("%w: UCAST type %q", ErrSyntax, m["type"])
}

func compound(m map[string]any, op, table string, depth int) (Node, error) {
	list, ok := m["value"].([]any)
	if !ok || len(list) == 0 || m["field"] != nil {
		return nil, fmt.Errorf("%w: UCAST %s without a list of nodes", ErrSyntax, op)
	}
	nodes := make([]Node, len(list))
	for i := range list {
		n, err := fromUCAST(list[i], table, depth+1)
		if err != nil {
			return nil, err
		}
		nodes[i] = n
	}
	switch {
	case op == "and":
		return And(nodes), nil
	case op == "or":
		return Or(nodes), nil
	case op == "not" && len(nodes) == 1:
		return Not{nodes[0]}, nil
	}
	return nil, fmt.Errorf("%w %q of a UCAST compound with %d nodes", ErrUnknownOp, op, len(nodes))
}

func onField(column, op string, value any) (Node, error) {
	if op == "in" {
		list, ok := value.([]any)
		if !ok {
			return nil, fmt.Errorf("column %s: %w: in wants a list", column, ErrSyntax)
		}
		values := make([]any, len(list))
		for i := range list {
			v, err := constant(column, list[i])
			if err != nil {
				return nil, err
			}
			values[i] = v
		}
		return In{column, values}, nil
	}
	if value == nil {
		if op == "ne" {
			return Not{IsNull{column}}, nil
		}
		return nil, fmt.Errorf("column %s: %w: %s null never holds; write: not input.….%s != null", column, ErrSyntax, op, column)
	}
	switch op { // UCAST has two spellings of these
	case "ge":
		op = string(GreaterOrEqual)
	case "le":
		op = string(LessOrEqual)
	}
	if !Op(op).known() {
		return nil, fmt.Errorf("column %s: %w %q", column, ErrUnknownOp, op)
	}
	v, err := constant(column, value)
	return Compare{column, Op(op), v}, err
}

func constant(column string, v any) (any, error) {
	if f, ok := v.(float64); ok && math.Abs(f) >= 1<<53 {
		return nil, fmt.Errorf("column %s: %w: numbers of 2^53 and above are texts in a policy", column, ErrType)
	}
	p, err := plain(v)
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", column, err)
	}
	return p, nil
}
