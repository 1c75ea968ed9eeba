package mapping

import (
	"encoding/json"
	"fmt"
	"slices"

	"cel.dev/cel-go/common/types"

	"github.com/lrshub/lrshub/plugins/contract"
)

// shape is a schema made ready for evaluation: one field type of a stream, of a parameter or of a table. Objects of the
// same fields share one shape, so that `has(record.data) ? record.data : record.event` has one type.
type shape struct {
	kind   contract.Type
	name   string // the CEL type's name, of objects only
	fields []member
	index  map[string]int // field name to place in fields
	elem   *shape         // of lists and maps
	cel    *types.Type
}

// member is one field of an object shape.
type member struct {
	name     string
	optional bool
	shape    *shape
}

// shapes builds shapes and remembers objects by their structure.
type shapes struct {
	byStructure map[string]*shape
	byName      map[string]*shape
}

func newShapes() *shapes {
	return &shapes{byStructure: map[string]*shape{}, byName: map[string]*shape{}}
}

var scalarTypes = map[contract.Type]*types.Type{
	contract.String: types.StringType, contract.Int: types.IntType, contract.Double: types.DoubleType,
	contract.Bool: types.BoolType, contract.Timestamp: types.TimestampType, contract.Any: types.DynType,
}

// object gives the shape of an object with these fields; where names it in messages ("event", "event.context").
func (s *shapes) object(where string, fields []contract.Field) (*shape, error) {
	structure, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", where, err)
	}
	if known := s.byStructure[string(structure)]; known != nil {
		return known, nil
	}
	// The space keeps the name from ever being an identifier that an expression could write.
	name := where + " object"
	for n := 2; s.byName[name] != nil; n++ {
		name = fmt.Sprintf("%s object %d", where, n)
	}
	made := &shape{kind: contract.Object, name: name, index: make(map[string]int, len(fields)), cel: types.NewObjectType(name)}
	s.byName[name] = made
	for i, field := range fields {
		if _, twice := made.index[field.Name]; twice {
			return nil, fmt.Errorf("schema of %s: the field %q is declared twice", where, field.Name)
		}
		inner, err := s.of(where+"."+field.Name, field)
		if err != nil {
			return nil, err
		}
		made.fields = append(made.fields, member{name: field.Name, optional: field.Optional, shape: inner})
		made.index[field.Name] = i
	}
	s.byStructure[string(structure)] = made
	return made, nil
}

// of gives the shape of one field's value.
func (s *shapes) of(where string, field contract.Field) (*shape, error) {
	if cel, ok := scalarTypes[field.Type]; ok {
		return &shape{kind: field.Type, cel: cel}, nil
	}
	switch field.Type {
	case contract.Object:
		return s.object(where, field.Fields)
	case contract.List, contract.Map:
		if field.Elem == nil {
			return nil, fmt.Errorf("schema of %s: a %s needs elem, the type of its values", where, field.Type)
		}
		elem, err := s.of(where, *field.Elem)
		if err != nil {
			return nil, err
		}
		cel := types.NewListType(elem.cel)
		if field.Type == contract.Map {
			cel = types.NewMapType(types.StringType, elem.cel)
		}
		return &shape{kind: field.Type, elem: elem, cel: cel}, nil
	}
	return nil, fmt.Errorf("schema of %s: unknown type %q", where, field.Type)
}

var (
	anyShape = &shape{kind: contract.Any, cel: types.DynType}
	anyMap   = &shape{kind: contract.Map, elem: anyShape, cel: types.NewMapType(types.StringType, types.DynType)}
	anyList  = &shape{kind: contract.List, elem: anyShape, cel: types.NewListType(types.DynType)}
)

// listOf gives the shape of a list of such values.
func listOf(elem *shape) *shape {
	return &shape{kind: contract.List, elem: elem, cel: types.NewListType(elem.cel)}
}

// at follows a dotted path through objects only; ok is false where it leads nowhere.
func (s *shape) at(path string) (found *shape, ok bool) {
	found = s
	for _, name := range contract.SplitPath(path) {
		if found.kind != contract.Object {
			return nil, false
		}
		i, known := found.index[name]
		if !known {
			return nil, false
		}
		found = found.fields[i].shape
	}
	return found, true
}

// names lists an object's fields in alphabetical order.
func (s *shape) names() []string {
	names := make([]string, 0, len(s.fields))
	for _, field := range s.fields {
		names = append(names, field.name)
	}
	slices.Sort(names)
	return names
}
