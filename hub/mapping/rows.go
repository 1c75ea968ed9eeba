package mapping

import (
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// rows gives those of a list of objects whose fields have the given values, in their order. No list has no rows. Values are
// compared as texts: an export of a database writes a key now as 7 and now as "7".
func rows(table, by ref.Val) ref.Val {
	found := []ref.Val{}
	if opt, ok := table.(*types.Optional); ok {
		if !opt.HasValue() {
			return types.NewRefValList(types.DefaultTypeAdapter, found)
		}
		table = opt.GetValue()
	}
	all, okTable := table.(traits.Lister)
	wanted, okWanted := by.(traits.Mapper)
	if !okTable || !okWanted {
		return failed(KindType)
	}
	for it := all.Iterator(); it.HasNext() == types.True; {
		item := it.Next()
		if row, ok := item.(traits.Mapper); ok && rowHas(row, wanted) {
			found = append(found, item)
		}
	}
	return types.NewRefValList(types.DefaultTypeAdapter, found)
}

func rowHas(row, wanted traits.Mapper) bool {
	for it := wanted.Iterator(); it.HasNext() == types.True; {
		field := it.Next()
		want, ok := keyText(wanted.Get(field))
		if !ok {
			return false
		}
		value, there := row.Find(field)
		if !there {
			return false
		}
		if got, ok := keyText(value); !ok || got != want {
			return false
		}
	}
	return true
}

// keyText is the text of a value that can be a key; null, lists and objects cannot.
func keyText(v ref.Val) (string, bool) {
	switch v := v.(type) {
	case types.String:
		return string(v), true
	case types.Int:
		return strconv.FormatInt(int64(v), 10), true
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), true
	case types.Double:
		return strconv.FormatFloat(float64(v), 'f', -1, 64), true
	case types.Bool:
		return strconv.FormatBool(bool(v)), true
	case *types.Optional:
		if v.HasValue() {
			return keyText(v.GetValue())
		}
	}
	return "", false
}

// sum adds the numbers of a list; an overflow is an error.
func sum(total traits.Adder, list ref.Val) ref.Val {
	all, ok := list.(traits.Lister)
	if !ok {
		return failed(KindType)
	}
	for it := all.Iterator(); it.HasNext() == types.True; {
		next := total.Add(it.Next())
		if total, ok = next.(traits.Adder); !ok {
			return next
		}
	}
	return total.(ref.Val)
}
