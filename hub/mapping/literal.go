package mapping

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// orderedMap is an object written in the document, in its order.
type orderedMap struct {
	keys   []string
	values []any
}

// literal reads a YAML value without expressions: text, int64, float64, bool, []any or *orderedMap.
func (r *reading) literal(node *yaml.Node, where string) any {
	switch node.Kind {
	case yaml.MappingNode:
		made := &orderedMap{}
		for _, e := range r.entries(node, where) {
			made.keys = append(made.keys, e.key)
			made.values = append(made.values, r.literal(e.value, where+"."+e.key))
		}
		return made
	case yaml.SequenceNode:
		made := []any{}
		for i, item := range node.Content {
			made = append(made, r.literal(item, fmt.Sprintf("%s[%d]", where, i)))
		}
		return made
	}
	value, problem := scalar(node)
	if problem != "" {
		r.fail(node.Line, where, problem, "write plain JSON-like values, in quotes where they are texts")
		return ""
	}
	if value == nil {
		r.fail(node.Line, where, "nothing stands here", "write a value")
		return ""
	}
	return value
}

// scalar gives the value of a YAML scalar: nil for null. Dates are texts.
func scalar(node *yaml.Node) (value any, problem string) {
	switch node.Tag {
	case "!!null":
		return nil, ""
	case "!!bool":
		return node.Value == "true" || node.Value == "True" || node.Value == "TRUE", ""
	case "!!int":
		n, err := strconv.ParseInt(node.Value, 10, 64)
		if err != nil {
			return nil, fmt.Sprintf("%s is not a decimal integer of at most 64 bits", node.Value)
		}
		return n, ""
	case "!!float":
		n, err := strconv.ParseFloat(node.Value, 64)
		if err != nil || !jsontext.Value(strconv.FormatFloat(n, 'g', -1, 64)).IsValid() {
			return nil, fmt.Sprintf("%s is not a number that JSON can say", node.Value)
		}
		return n, ""
	case "!!str", "!!timestamp":
		return node.Value, ""
	}
	return nil, fmt.Sprintf("a value of the kind %s", node.Tag)
}

// appendLiteral writes a literal as JSON text.
func appendLiteral(b []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		quoted, err := jsontext.AppendQuote(b, v)
		if err != nil { // text that is not UTF-8: YAML has refused it before
			return append(b, `""`...)
		}
		return quoted
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		return jsontext.AppendFloat(b, v, 64)
	case bool:
		return strconv.AppendBool(b, v)
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendLiteral(b, item)
		}
		return append(b, ']')
	case *orderedMap:
		b = append(b, '{')
		for i, key := range v.keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendLiteral(append(appendLiteral(b, key), ':'), v.values[i])
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}
