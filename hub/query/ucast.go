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
//
// The filter finds the rows that the policy would include if it were given each of them, with null for a
// column that has no value. Null is a value in Rego: != holds for it, and it sorts before all others, so
// that < and <= hold for it. (If a column were left out instead, Rego's `not` would mean one thing for ==
// and another for other operators, and UCAST no longer tells which.)
//
// Whatever is not understood is an error, which the caller must take for a denial: fields of other
// tables, columns that there are not, comparisons between two fields, null with an operator other than
// == and !=, startswith and its like where the column may be null, and whole numbers of 2^53 and above,
// which OPA has rounded on the way (policies hold big numbers as texts).
func FromUCAST(v any, table string, columns Columns) (Node, error) {
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
	n, err := fromUCAST(m, table, columns, 1)
	if err != nil {
		return nil, err
	}
	return n, measure(n)
}

func fromUCAST(v any, table string, columns Columns, depth int) (Node, error) {
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
		return compound(m, op, table, columns, depth)
	case "field":
		field, _ := m["field"].(string)
		column, ok := strings.CutPrefix(field, table+".")
		if !ok {
			return nil, fmt.Errorf("%w %q: want %s.column", ErrUnknownColumn, field, table)
		}
		c, err := columns.find(column)
		if err != nil {
			return nil, err
		}
		return onField(column, c.Nullable, op, m["value"])
	}
	return nil, fmt.Errorf("%w: UCAST type %q", ErrSyntax, m["type"])
}

func compound(m map[string]any, op, table string, columns Columns, depth int) (Node, error) {
	list, ok := m["value"].([]any)
	if !ok || len(list) == 0 || m["field"] != nil {
		return nil, fmt.Errorf("%w: UCAST %s without a list of nodes", ErrSyntax, op)
	}
	nodes := make([]Node, len(list))
	for i := range list {
		n, err := fromUCAST(list[i], table, columns, depth+1)
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

func onField(column string, nullable bool, op string, value any) (Node, error) {
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
		switch op {
		case "eq":
			return IsNull{column}, nil
		case "ne":
			return Not{IsNull{column}}, nil
		}
		return nil, fmt.Errorf("column %s: %w: %s null; only == and != compare with null", column, ErrSyntax, op)
	}
	switch op { // UCAST has two spellings of these
	case "ge":
		op = string(GreaterOrEqual)
	case "le":
		op = string(LessOrEqual)
	}
	v, err := constant(column, value)
	if err != nil {
		return nil, err
	}
	return compareAsRego(Compare{column, Op(op), v}, nullable)
}

// compareAsRego adds the rows without a value where Rego finds null to hold.
func compareAsRego(n Compare, nullable bool) (Node, error) {
	switch {
	case !n.Op.known():
		return nil, fmt.Errorf("column %s: %w %q", n.Column, ErrUnknownOp, n.Op)
	case !nullable:
		return n, nil
	case n.Op.onlyText():
		return nil, fmt.Errorf("column %s: %w %q: the column may be null", n.Column, ErrUnknownOp, n.Op)
	case n.Op == NotEqual || n.Op == Less || n.Op == LessOrEqual:
		return Or{IsNull{n.Column}, n}, nil
	}
	return n, nil
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
