package mapping

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/lrshub/lrshub/plugins/contract"
)

var paramTypes = map[string]contract.Field{
	"string": {Type: contract.String}, "int": {Type: contract.Int}, "double": {Type: contract.Double}, "bool": {Type: contract.Bool},
	"list": {Type: contract.List, Elem: &contract.Field{Type: contract.String}},
	"map":  {Type: contract.Map, Elem: &contract.Field{Type: contract.String}},
}

// params gives the shape and the values of the parameters: those given, else the defaults.
func (c *compiler) params(given map[string]any) (*shape, []byte) {
	var fields []contract.Field
	text := []byte{'{'}
	var names []string
	for _, p := range c.doc.params {
		names = append(names, p.name)
		where := "params." + p.name
		field, ok := paramTypes[p.kind]
		if !ok {
			c.fail(p.line, where, "unknown type "+p.kind, suggest(p.kind, keysOf(paramTypes)))
			continue
		}
		field.Name = p.name
		var value []byte
		switch set, isSet := given[p.name]; {
		case isSet:
			value = c.given(where, set)
		case p.value != nil:
			value = appendLiteral(nil, p.value)
		default:
			c.fail(p.line, where, "the parameter has no value", "set it in the connection's config: it has no default")
			continue
		}
		if value == nil || !fits(field, value) {
			c.fail(p.line, where, fmt.Sprintf("the parameter's value is not a %s", p.kind),
				"a list holds texts; a map holds texts by name")
			continue
		}
		fields = append(fields, field)
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(appendLiteral(text, p.name), ':'), value...)
	}
	for name := range given {
		if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" ") {
			c.fail(0, "params", "the mapping has no parameter "+name, suggest(name, names))
		}
	}
	made, err := c.provider.shapes.object("params", fields)
	if err != nil {
		c.fail(0, "params", err.Error(), "rename one")
		made, _ = c.provider.shapes.object("params", nil)
	}
	return made, append(text, '}')
}

func (c *compiler) given(where string, value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		c.fail(0, where, "the parameter's value cannot be written as JSON", "give a text, number, truth value, list or map")
		return nil
	}
	if compact := jsontext.Value(text); compact.Compact() == nil {
		return compact
	}
	return nil
}

// fits checks a parameter's value against its type.
func fits(field contract.Field, text []byte) bool {
	shapes := newShapes()
	s, err := shapes.of("", field)
	if err != nil || isNull(text) {
		return false
	}
	if s.kind == contract.List && text[0] != '[' || s.kind == contract.Map && text[0] != '{' {
		return false // not a list or map inside a text
	}
	_, err = decode(s, text)
	return err == nil
}
