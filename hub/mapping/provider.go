package mapping

import (
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/lrshub/lrshub/plugins/contract"
)

// provider tells the CEL type checker which objects there are and which fields they have, and the evaluator how to read
// them. All else (timestamps, durations) it leaves to CEL's own registry. It also keeps the last field that was asked
// for and not found, because CEL's message about it does not say of which object.
type provider struct {
	*types.Registry
	shapes  *shapes
	missing missingField
}

type missingField struct {
	shape *shape
	field string
}

func newProvider(shapes *shapes) (*provider, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("CEL type registry: %w", err)
	}
	return &provider{Registry: registry, shapes: shapes}, nil
}

func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if known := p.shapes.byName[name]; known != nil {
		return types.NewTypeTypeWithParam(known.cel), true
	}
	return p.Registry.FindStructType(name)
}

func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if known := p.shapes.byName[name]; known != nil {
		return known.names(), true
	}
	return p.Registry.FindStructFieldNames(name)
}

func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	known := p.shapes.byName[name]
	if known == nil {
		return p.Registry.FindStructFieldType(name, field)
	}
	place, ok := known.index[field]
	if !ok {
		p.missing = missingField{shape: known, field: field}
		return nil, false
	}
	return &types.FieldType{
		Type: known.fields[place].shape.cel,
		IsSet: func(target any) bool {
			o, ok := target.(fielder)
			return ok && o.isSet(place)
		},
		GetFrom: func(target any) (any, error) {
			o, ok := target.(fielder)
			if !ok {
				return nil, &fault{kind: KindType, field: field}
			}
			return o.field(place)
		},
	}, true
}

// NewValue refuses: records are read, never made.
func (p *provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if p.shapes.byName[name] != nil {
		return types.WrapErr(&fault{kind: KindType})
	}
	return p.Registry.NewValue(name, fields)
}

// fielder is an object with fields by place: a record, a part of one, or a looked-up record that is missing.
type fielder interface {
	isSet(place int) bool
	field(place int) (any, error)
}

// literalShape derives the shape of a value written in the document (a constant, a table's row).
func (s *shapes) literalShape(where string, values []any) (*shape, error) {
	field, err := literalField(where, values)
	if err != nil {
		return nil, err
	}
	return s.of(where, field)
}

// literalField finds the one type that all values share; objects share the union of their fields.
func literalField(where string, values []any) (contract.Field, error) {
	var all []contract.Field
	for _, value := range values {
		field, err := literalType(where, value)
		if err != nil {
			return contract.Field{}, err
		}
		if !slices.ContainsFunc(all, func(f contract.Field) bool { return f.Type == field.Type }) {
			all = append(all, field)
		}
	}
	switch {
	case len(all) == 0:
		return contract.Field{Type: contract.Any}, nil
	case len(all) == 2 && numeric(all[0]) && numeric(all[1]):
		return contract.Field{Type: contract.Double}, nil
	case len(all) > 1:
		return contract.Field{}, fmt.Errorf("%s: values of different types (%s and %s)", where, all[0].Type, all[1].Type)
	case all[0].Type == contract.Object:
		return literalObject(where, values)
	case all[0].Type == contract.List:
		var items []any
		for _, value := range values {
			items = append(items, value.([]any)...)
		}
		elem, err := literalField(where, items)
		return contract.Field{Type: contract.List, Elem: &elem}, err
	}
	return all[0], nil
}

func numeric(f contract.Field) bool { return f.Type == contract.Int || f.Type == contract.Double }

func literalType(where string, value any) (contract.Field, error) {
	switch value.(type) {
	case string:
		return contract.Field{Type: contract.String}, nil
	case int64:
		return contract.Field{Type: contract.Int}, nil
	case float64:
		return contract.Field{Type: contract.Double}, nil
	case bool:
		return contract.Field{Type: contract.Bool}, nil
	case []any:
		return contract.Field{Type: contract.List}, nil
	case *orderedMap:
		return contract.Field{Type: contract.Object}, nil
	}
	return contract.Field{}, fmt.Errorf("%s: write a text, number, truth value, list or object", where)
}

func literalObject(where string, values []any) (contract.Field, error) {
	byName := map[string][]any{}
	var names []string
	for _, value := range values {
		object := value.(*orderedMap)
		for i, name := range object.keys {
			if byName[name] == nil {
				names = append(names, name)
			}
			byName[name] = append(byName[name], object.values[i])
		}
	}
	made := contract.Field{Type: contract.Object}
	for _, name := range names {
		field, err := literalField(where+"."+name, byName[name])
		if err != nil {
			return made, err
		}
		field.Name, field.Optional = name, len(byName[name]) < len(values)
		made.Fields = append(made.Fields, field)
	}
	return made, nil
}

var _ types.Provider = (*provider)(nil)
var _ cel.Library = (*library)(nil)
