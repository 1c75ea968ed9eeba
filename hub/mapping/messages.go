package mapping

import (
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

var (
	undefinedField = regexp.MustCompile(`^undefined field '(.*)'$`)
	undeclared     = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	noOverload     = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'$`)
	objectType     = regexp.MustCompile(`([^' (,]+(?:\.[^' (,]+)*) object( \d+)?`)
)

// translate gives our words for one of CEL's type errors, with the nearest right name where a name is wrong.
func (c *compiler) translate(sc *scope, message string) (problem, remedy string) {
	if m := undefinedField.FindStringSubmatch(message); m != nil {
		if of := c.provider.missing.shape; of != nil && c.provider.missing.field == m[1] {
			where := strings.TrimSuffix(of.name, " object")
			return where + " has no field " + m[1], suggest(m[1], of.names())
		}
		return message, ""
	}
	if m := undeclared.FindStringSubmatch(message); m != nil {
		return "the name " + m[1] + " is not known here", suggest(m[1], c.knownNames(sc))
	}
	if m := noOverload.FindStringSubmatch(message); m != nil {
		return c.translateOverload(sc, m[1], m[2])
	}
	if strings.HasPrefix(message, "type '") && strings.Contains(message, "does not support field selection") {
		return readable(message), "only objects and maps have fields"
	}
	if strings.HasPrefix(message, "Syntax error") {
		return "not a CEL expression: " + message, "texts stand in quotes, `==` compares, `&&` is and, `||` is or"
	}
	return readable(message), ""
}

func (c *compiler) translateOverload(sc *scope, function, arguments string) (problem, remedy string) {
	switch function {
	case "_[_]", "_[?_]":
		if strings.Contains(arguments, " object") {
			return "a record is read by a computed key",
				"write the field's name after a dot: pruning must know which fields are needed"
		}
	case "_?_:_":
		return "the two sides of ? : have different types, " + readable(arguments),
			"write `omit` for a side that gives nothing, or dyn(…) around both"
	case "_==_", "_!=_", "_<_", "_>_", "_<=_", "_>=_", "_in_", "@in":
		return "values of different types are compared, " + readable(arguments), "convert one: int(…), double(…), string(…)"
	case "_+_", "_-_", "_*_", "_/_", "_%_":
		return "the operator does not take " + readable(arguments), "convert one side: int(…), double(…), string(…)"
	}
	return function + " does not take " + readable(arguments), "see the package's documentation for its arguments"
}

// readable writes our object types without the word that CEL needs.
func readable(message string) string {
	return objectType.ReplaceAllString(message, "$1")
}

func typeName(t *cel.Type) string {
	switch t.Kind() {
	case types.StringKind:
		return "a text"
	case types.IntKind, types.UintKind, types.DoubleKind:
		return "a number"
	case types.BoolKind:
		return "a truth value"
	case types.ListKind:
		return "a list"
	case types.MapKind:
		return "a map"
	}
	return readable(t.String())
}

func (c *compiler) knownNames(sc *scope) []string {
	names := sc.names()
	for name := range sc.env.Functions() {
		if identifier.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
