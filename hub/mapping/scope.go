package mapping

import (
	"fmt"

	"cel.dev/cel-go/cel"
)

// scope is what an expression can name at one place of the document.
type scope struct {
	parent    *scope
	env       *cel.Env
	vars      map[string]variable
	stream    string
	statement string
	use       *use     // the fragment's arguments, where this is inside a fragment that takes some
	expanding []string // the fragments around this place, to find those that use themselves
}

// variable is a name with where its value comes from.
type variable struct {
	typ     *cel.Type
	origins []origin
}

// use is one `$use` with arguments: a place in the document, not a moment of evaluation.
type use struct {
	parent    *use
	id        int // counts through a stream, to remember the arguments' values during one statement
	arguments map[string]*expression
}

func (sc *scope) variable(name string) (variable, bool) {
	for at := sc; at != nil; at = at.parent {
		if v, ok := at.vars[name]; ok {
			return v, true
		}
	}
	return variable{}, false
}

func (sc *scope) names() []string {
	var names []string
	for at := sc; at != nil; at = at.parent {
		for name := range at.vars {
			names = append(names, name)
		}
	}
	return names
}

// with gives a scope that knows one more name.
func (sc *scope) with(name string, v variable) (*scope, error) {
	env, err := sc.env.Extend(cel.Variable(name, v.typ))
	if err != nil {
		return nil, fmt.Errorf("declare %s: %w", name, err)
	}
	inner := *sc
	inner.parent, inner.env, inner.vars = sc, env, map[string]variable{name: v}
	return &inner, nil
}

// within gives the same names under another statement.
func (sc *scope) within(statement string) *scope {
	inner := *sc
	inner.parent, inner.vars, inner.statement = sc, nil, statement
	return &inner
}
