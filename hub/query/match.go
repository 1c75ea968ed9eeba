package query

import (
	"cmp"
	"fmt"
	"strings"
)

// Row is a row as Match sees it: column name to value, as Compare takes values. A column that is
// missing or nil is NULL.
type Row map[string]any

// Match evaluates n on a row in Go. It refuses what SQL refuses, and otherwise answers what Postgres
// answers for the same row. A value of the row that does not fit its column is an error.
func Match(n Node, columns Columns, row Row) (bool, error) {
	// The whole filter is checked first, so that a bad condition is an error on every row alike.
	if _, _, err := SQL(n, columns, 1); err != nil {
		return false, err
	}
	return match(n, columns, row)
}

func match(n Node, columns Columns, row Row) (bool, error) {
	switch n := n.(type) {
	case True:
		return true, nil
	case False:
		return false, nil
	case And:
		for _, below := range n {
			if ok, err := match(below, columns, row); err != nil || !ok {
				return false, err
			}
		}
		return true, nil
	case Or:
		for _, below := range n {
			if ok, err := match(below, columns, row); err != nil || ok {
				return ok, err
			}
		}
		return false, nil
	case Not:
		ok, err := match(n.Node, columns, row)
		return !ok && err == nil, err
	case IsNull:
		return row[n.Column] == nil, nil
	case Compare:
		return compare(n, columns[n.Column], row)
	case In:
		for _, v := range n.Values {
			if ok, err := compare(Compare{n.Column, Equal, v}, columns[n.Column], row); err != nil || ok {
				return ok, err
			}
		}
		return false, nil
	}
	return false, fmt.Errorf("%w: %T", ErrSyntax, n)
}

func compare(n Compare, c Column, row Row) (bool, error) {
	if row[n.Column] == nil {
		return false, nil
	}
	have, err := c.value(n.Column, row[n.Column])
	if err != nil {
		return false, fmt.Errorf("row: %w", err)
	}
	want, err := c.value(n.Column, n.Value)
	if err != nil {
		return false, err
	}
	if n.Op.onlyText() {
		text, part := have.(string), want.(string)
		switch n.Op {
		case StartsWith:
			return strings.HasPrefix(text, part), nil
		case EndsWith:
			return strings.HasSuffix(text, part), nil
		default:
			return strings.Contains(text, part), nil
		}
	}
	order := 0
	switch have := have.(type) {
	case string: // a uuid's and a timestamp's text have the order of what they stand for
		order = cmp.Compare(have, want.(string))
	case int64:
		order = cmp.Compare(have, want.(int64))
	case float64:
		order = cmp.Compare(have, want.(float64))
	case bool:
		order = rank(have) - rank(want.(bool))
	}
	switch n.Op {
	case Equal:
		return order == 0, nil
	case NotEqual:
		return order != 0, nil
	case Less:
		return order < 0, nil
	case LessOrEqual:
		return order <= 0, nil
	case Greater:
		return order > 0, nil
	default:
		return order >= 0, nil
	}
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}
