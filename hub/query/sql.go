package query

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lib/pq"
)

// SQL writes n as a condition on the columns, with its values as parameters numbered from firstArg.
// The text is the same for equal filters and holds nothing of their values. It is in parentheses
// where it needs them, so that it may stand after AND. It says nothing of the tenant: the query
// around it does.
func SQL(n Node, columns Columns, firstArg int) (text string, args []any, err error) {
	if err := measure(n); err != nil {
		return "", nil, err
	}
	w := writer{columns: columns, next: firstArg}
	text, err = w.node(n)
	if err != nil {
		return "", nil, err
	}
	return text, w.args, nil
}

type writer struct {
	columns Columns
	next    int
	args    []any
}

// arg adds a parameter and gives its placeholder, cast to the type.
func (w *writer) arg(v any, t string) string {
	w.args = append(w.args, v)
	w.next++
	return "$" + strconv.Itoa(w.next-1) + "::" + t
}

func (w *writer) node(n Node) (string, error) {
	switch n := n.(type) {
	case True:
		return "TRUE", nil
	case False:
		return "FALSE", nil
	case And:
		return w.join(n, " AND ", "TRUE")
	case Or:
		return w.join(n, " OR ", "FALSE")
	case Not:
		inner, err := w.node(n.Node)
		// IS NOT TRUE and not NOT: a NULL below must come out as true. See the package comment.
		return "(" + inner + ") IS NOT TRUE", err
	case Compare:
		return w.compare(n)
	case In:
		return w.in(n)
	case IsNull:
		c, err := w.columns.find(n.Column)
		return c.Expr + " IS NULL", err
	}
	return "", fmt.Errorf("%w: %T", ErrSyntax, n)
}

func (w *writer) join(nodes []Node, by, empty string) (string, error) {
	if len(nodes) == 0 {
		return empty, nil
	}
	parts := make([]string, len(nodes))
	for i, n := range nodes {
		part, err := w.node(n)
		if err != nil {
			return "", err
		}
		parts[i] = part
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return "(" + strings.Join(parts, by) + ")", nil
}

func (w *writer) compare(n Compare) (string, error) {
	c, err := w.columns.find(n.Column)
	if err != nil {
		return "", err
	}
	if err := c.check(n.Column, n.Op); err != nil {
		return "", err
	}
	v, err := c.value(n.Column, n.Value)
	if err != nil {
		return "", err
	}
	arg := w.arg(v, string(c.Type))
	switch {
	case c.Lookup == nil:
		return condition(c.Expr, c.Type, n.Op, arg), nil
	case n.Op == Equal:
		// One key, not an array of one: only so does Postgres keep the order of an index on (key, stored).
		return c.Expr + " = (" + c.Lookup.keys(condition("d."+c.Lookup.Value, c.Type, n.Op, arg)) + ")", nil
	}
	return c.Expr + " = ANY (ARRAY(" + c.Lookup.keys(condition("d."+c.Lookup.Value, c.Type, n.Op, arg)) + "))", nil
}

func (w *writer) in(n In) (string, error) {
	c, err := w.columns.find(n.Column)
	if err != nil {
		return "", err
	}
	values := make([]string, len(n.Values))
	for i, v := range n.Values {
		p, err := c.value(n.Column, v)
		if err != nil {
			return "", err
		}
		values[i] = fmt.Sprint(p)
		if f, ok := p.(float64); ok {
			values[i] = strconv.FormatFloat(f, 'g', -1, 64)
		}
	}
	arg := w.arg(pq.StringArray(values), string(c.Type)+"[]")
	if c.Lookup == nil {
		return c.Expr + " = ANY (" + arg + ")", nil
	}
	return c.Expr + " = ANY (ARRAY(" + c.Lookup.keys("d."+c.Lookup.Value+" = ANY ("+arg+")") + "))", nil
}

// keys selects the keys of the dictionary rows of the transaction's tenant that meet the condition.
func (l *Lookup) keys(condition string) string {
	return "SELECT d." + l.Key + " FROM " + l.Table + " AS d WHERE d.tenant_id = " + tenant + " AND " + condition
}

var symbols = map[Op]string{
	Equal: " = ", NotEqual: " <> ", Less: " < ", LessOrEqual: " <= ", Greater: " > ", GreaterOrEqual: " >= ",
}

func condition(expr string, t Type, op Op, arg string) string {
	switch op {
	case StartsWith:
		return "starts_with(" + expr + ", " + arg + ")"
	case EndsWith:
		return "right(" + expr + ", length(" + arg + ")) = " + arg
	case Contains:
		return "strpos(" + expr + ", " + arg + ") > 0"
	case Less, LessOrEqual, Greater, GreaterOrEqual:
		if t == Text { // the order of Go and Rego: by bytes, whatever the database's locale
			return expr + symbols[op] + arg + ` COLLATE "C"`
		}
	}
	return expr + symbols[op] + arg
}
