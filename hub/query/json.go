package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// The JSON of a filter: true, false, {"and": [...]}, {"or": [...]}, {"not": ...},
// {"column": "verb", "op": "eq", "value": "..."}, {"column": "verb", "in": [...]},
// {"column": "score_scaled", "null": true}.

// MarshalJSON writes {"and": [...]}.
func (n And) MarshalJSON() ([]byte, error) { return json.Marshal(map[string][]Node{"and": listed(n)}) }

// MarshalJSON writes {"or": [...]}.
func (n Or) MarshalJSON() ([]byte, error) { return json.Marshal(map[string][]Node{"or": listed(n)}) }

// MarshalJSON writes {"not": ...}.
func (n Not) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]Node{"not": n.Node}) }

// MarshalJSON writes true.
func (True) MarshalJSON() ([]byte, error) { return []byte("true"), nil }

// MarshalJSON writes false.
func (False) MarshalJSON() ([]byte, error) { return []byte("false"), nil }

// MarshalJSON writes {"column": ..., "op": ..., "value": ...}.
func (n Compare) MarshalJSON() ([]byte, error) {
	v, err := plain(n.Value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Column string `json:"column"`
		Op     Op     `json:"op"`
		Value  any    `json:"value"`
	}{n.Column, n.Op, v})
}

// MarshalJSON writes {"column": ..., "in": [...]}.
func (n In) MarshalJSON() ([]byte, error) {
	values := make([]any, len(n.Values))
	for i := range n.Values {
		v, err := plain(n.Values[i])
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return json.Marshal(struct {
		Column string `json:"column"`
		In     []any  `json:"in"`
	}{n.Column, values})
}

// MarshalJSON writes {"column": ..., "null": true}.
func (n IsNull) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Column string `json:"column"`
		Null   bool   `json:"null"`
	}{n.Column, true})
}

// listed makes an empty list of a nil one, so that it is written as [] and not null.
func listed(nodes []Node) []Node {
	if nodes == nil {
		return []Node{}
	}
	return nodes
}

// Parse reads the JSON of a filter. Members that it does not know are errors; column names and types
// are checked later, by SQL or Match, which know the columns.
func Parse(document []byte) (Node, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber() // 2^53+1 must stay itself
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%w: it is no JSON", ErrSyntax)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows it", ErrSyntax)
	}
	n, err := parse(v, 1)
	if err != nil {
		return nil, err
	}
	return n, measure(n)
}

func parse(v any, depth int) (Node, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("%w: more than %d levels deep", ErrTooLarge, MaxDepth)
	}
	switch v := v.(type) {
	case bool:
		if v {
			return True{}, nil
		}
		return False{}, nil
	case map[string]any:
		if v["column"] != nil {
			return parseCondition(v)
		}
		if len(v) == 1 {
			for name, below := range v {
				return parseGroup(name, below, depth)
			}
		}
	}
	return nil, fmt.Errorf("%w: want true, false, or an object with and, or, not or column", ErrSyntax)
}

func parseGroup(name string, below any, depth int) (Node, error) {
	if name == "not" {
		n, err := parse(below, depth+1)
		return Not{n}, err
	}
	list, ok := below.([]any)
	if !ok || name != "and" && name != "or" {
		return nil, fmt.Errorf("%w: want an object with and (a list), or (a list), not or column", ErrSyntax)
	}
	nodes := make([]Node, len(list))
	for i := range list {
		n, err := parse(list[i], depth+1)
		if err != nil {
			return nil, err
		}
		nodes[i] = n
	}
	if name == "and" {
		return And(nodes), nil
	}
	return Or(nodes), nil
}

func parseCondition(v map[string]any) (Node, error) {
	column, ok := v["column"].(string)
	if !ok {
		return nil, fmt.Errorf("%w: column is not a text", ErrSyntax)
	}
	_, compares := v["op"]
	list, lists := v["in"].([]any)
	switch {
	case compares && len(v) == 3:
		op, _ := v["op"].(string)
		if !Op(op).known() {
			return nil, fmt.Errorf("column %q: %w", column, ErrUnknownOp)
		}
		value, err := scalar(v["value"])
		return Compare{column, Op(op), value}, err
	case lists && len(v) == 2:
		values := make([]any, len(list))
		for i := range list {
			value, err := scalar(list[i])
			if err != nil {
				return nil, err
			}
			values[i] = value
		}
		return In{column, values}, nil
	case len(v) == 2 && v["null"] == true:
		return IsNull{column}, nil
	}
	return nil, fmt.Errorf("column %q: %w: want op and value, or in, or null: true", column, ErrSyntax)
}

func scalar(v any) (any, error) {
	number, ok := v.(json.Number)
	if !ok {
		return plain(v)
	}
	if n, err := number.Int64(); err == nil {
		return n, nil
	}
	f, err := number.Float64()
	if err != nil {
		return nil, fmt.Errorf("%w: a number is out of range", ErrType)
	}
	return plain(f)
}
