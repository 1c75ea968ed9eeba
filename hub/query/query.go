// Package query holds a row filter as a value: a tree of conditions over named columns, which can be
// kept as JSON, built from a policy (FromUCAST), turned into parameterised SQL (SQL) and evaluated in
// Go (Match). It is pure: no database, no clock.
//
// Start with Node and SQL. Statements is the allow-list of columns of the statement table.
//
// # Missing values
//
// A condition on a column that is NULL in a row is false, whatever its operator, NotEqual included; Not of
// it is therefore true. SQL differs below NOT, where NULL stays NULL and drops the row; the text that
// SQL writes is two-valued, so that it and Match agree. Rego differs too: there a missing value is null,
// a value like others. FromUCAST writes that out with IsNull, so that a filter made of a policy
// finds the rows that Rego finds when it is given each of them.
package query

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Limits of a filter. A filter beyond them is refused (ErrTooLarge), never cut.
const (
	MaxDepth = 32   // levels of And, Or and Not
	MaxNodes = 4096 // conditions, And, Or, Not and the values of In together
)

// Errors of this package. Each is wrapped with the column, operator or place that it is about, and
// never with a value.
var (
	ErrUnknownColumn = errors.New("unknown column")
	ErrUnknownOp     = errors.New("unknown operator")
	ErrType          = errors.New("value does not fit the column's type")
	ErrTooLarge      = errors.New("filter is too large")
	ErrSyntax        = errors.New("not a filter")
)

// Node is a filter: And, Or, Not, Compare, In, IsNull, True or False. A nil Node is not a filter, and
// every function here refuses it.
type Node interface{ node() }

type (
	// And is true when all of its nodes are; with none it is true.
	And []Node
	// Or is true when one of its nodes is; with none it is false.
	Or []Node
	// Not is true when its node is not true.
	Not struct{ Node Node }
	// Compare holds a column against one value. Value is a string, bool, int64, float64, time.Time,
	// uuid.UUID or another integer type; its JSON form is what a column of its type takes (see Type).
	Compare struct {
		Column string
		Op     Op
		Value  any
	}
	// In is true when the column equals one of the values; with none it is false.
	In struct {
		Column string
		Values []any
	}
	// IsNull is true when the row has no value in the column.
	IsNull struct{ Column string }
	// True matches every row.
	True struct{}
	// False matches no row.
	False struct{}
)

func (And) node()     {}
func (Or) node()      {}
func (Not) node()     {}
func (Compare) node() {}
func (In) node()      {}
func (IsNull) node()  {}
func (True) node()    {}
func (False) node()   {}

// Op is a comparison. Its text is that of UCAST.
type Op string

// The comparisons. StartsWith, EndsWith and Contains are for text columns only.
const (
	Equal          Op = "eq"
	NotEqual       Op = "ne"
	Less           Op = "lt"
	LessOrEqual    Op = "lte"
	Greater        Op = "gt"
	GreaterOrEqual Op = "gte"
	StartsWith     Op = "startswith"
	EndsWith       Op = "endswith"
	Contains       Op = "contains"
)

func (o Op) known() bool {
	switch o {
	case Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, StartsWith, EndsWith, Contains:
		return true
	}
	return false
}

func (o Op) onlyText() bool { return o == StartsWith || o == EndsWith || o == Contains }

// TimestampFormat is the one form of a timestamp's text: UTC and microseconds. Its order as text is
// the order in time, so a policy may compare it as the string that it is.
const TimestampFormat = "2006-01-02T15:04:05.000000Z"

// Timestamp writes t in TimestampFormat.
func Timestamp(t time.Time) string {
	return t.UTC().Truncate(time.Microsecond).Format(TimestampFormat)
}

// plain brings a value to one of string, bool, int64 and float64. A whole number below 2^53 is always
// an int64, so that a value is the same after a round trip through JSON.
func plain(v any) (any, error) {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			return nil, fmt.Errorf("%w: text must be UTF-8 without the character U+0000", ErrType)
		}
		return v, nil
	case bool:
		return v, nil
	case int64:
		return v, nil
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int16:
		return int64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%w: a number must be finite", ErrType)
		}
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), nil
		}
		return v, nil
	case time.Time:
		return Timestamp(v), nil
	case uuid.UUID:
		return v.String(), nil
	}
	return nil, fmt.Errorf("%w: a value is a text, a truth value or a number, not %T", ErrType, v)
}

// measure refuses what is no filter or exceeds the limits.
func measure(n Node) error {
	nodes := 0
	return walk(n, 1, &nodes)
}

func walk(n Node, depth int, nodes *int) error {
	if depth > MaxDepth {
		return fmt.Errorf("%w: more than %d levels deep", ErrTooLarge, MaxDepth)
	}
	*nodes++
	var below []Node
	switch n := n.(type) {
	case nil:
		return fmt.Errorf("%w: a node is missing", ErrSyntax)
	case And:
		below = n
	case Or:
		below = n
	case Not:
		below = []Node{n.Node}
	case In:
		*nodes += len(n.Values)
	}
	if *nodes > MaxNodes {
		return fmt.Errorf("%w: more than %d conditions and values", ErrTooLarge, MaxNodes)
	}
	for _, b := range below {
		if err := walk(b, depth+1, nodes); err != nil {
			return err
		}
	}
	return nil
}

// Map gives the filter in which do has replaced each condition (each node but And, Or and Not).
func Map(n Node, do func(Node) Node) Node {
	all := func(nodes []Node) []Node {
		list := make([]Node, len(nodes))
		for i, below := range nodes {
			list[i] = Map(below, do)
		}
		return list
	}
	switch n := n.(type) {
	case And:
		return And(all(n))
	case Or:
		return Or(all(n))
	case Not:
		return Not{Map(n.Node, do)}
	}
	return do(n)
}
