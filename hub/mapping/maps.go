package mapping

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// ordered is a map whose entries keep one order: that of the source for JSON objects, that of the keys for what an
// expression makes. CEL's own maps iterate in random order, and then equal records would give different statements.
type ordered struct {
	adapter types.Adapter
	keys    []ref.Val
	values  []ref.Val
	index   map[string]int // of text keys, once there are many
	text    []byte         // the JSON it came from, nil if an expression made it
}

func decodeMap(s *shape, text []byte) (ref.Val, error) {
	made := &ordered{adapter: types.DefaultTypeAdapter, text: text}
	var failed error
	eachMember(text, func(name, value []byte) {
		if failed != nil || isNull(value) && s != anyMap {
			return
		}
		v, err := decode(s.elem, value)
		if err != nil {
			failed = err
			return
		}
		made.keys, made.values = append(made.keys, types.String(unquote(name))), append(made.values, v)
	})
	if failed != nil {
		return nil, failed
	}
	return made.indexed(), nil
}

func newSortedMap(adapter types.Adapter, entries map[ref.Val]ref.Val) *ordered {
	made := &ordered{adapter: adapter, keys: make([]ref.Val, 0, len(entries)), values: make([]ref.Val, 0, len(entries))}
	for key := range entries {
		made.keys = append(made.keys, key)
	}
	slices.SortFunc(made.keys, compareKeys)
	for _, key := range made.keys {
		made.values = append(made.values, entries[key])
	}
	return made.indexed()
}

// inOrder gives a map whose entries have an order: its own if it has one, else that of the keys.
func inOrder(m traits.Mapper) *ordered {
	if o, ok := m.(*ordered); ok {
		return o
	}
	entries := map[ref.Val]ref.Val{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		entries[key] = m.Get(key)
	}
	return newSortedMap(types.DefaultTypeAdapter, entries)
}

// compareKeys orders keys of one type by value and keys of different types by their type's name.
func compareKeys(a, b ref.Val) int {
	if a.Type() == b.Type() {
		if c, ok := a.(traits.Comparer); ok {
			if order, ok := c.Compare(b).(types.Int); ok {
				return int(order)
			}
		}
	}
	return cmp.Compare(a.Type().TypeName(), b.Type().TypeName())
}

const indexFrom = 9

func (m *ordered) indexed() *ordered {
	if len(m.keys) < indexFrom {
		return m
	}
	m.index = make(map[string]int, len(m.keys))
	for i, key := range m.keys {
		if text, ok := key.(types.String); ok {
			m.index[string(text)] = i
		}
	}
	return m
}

func (m *ordered) Find(key ref.Val) (ref.Val, bool) {
	if text, ok := key.(types.String); ok && m.index != nil {
		i, found := m.index[string(text)]
		if !found {
			return nil, false
		}
		return m.values[i], true
	}
	for i, k := range m.keys {
		if types.Equal(k, key) == types.True {
			return m.values[i], true
		}
	}
	return nil, false
}

func (m *ordered) Get(key ref.Val) ref.Val {
	if value, found := m.Find(key); found {
		return value
	}
	return types.WrapErr(&fault{kind: KindMissing})
}

func (m *ordered) Contains(key ref.Val) ref.Val {
	_, found := m.Find(key)
	return types.Bool(found)
}

func (m *ordered) Size() ref.Val { return types.Int(len(m.keys)) }

func (m *ordered) IsZeroValue() bool { return len(m.keys) == 0 }

func (m *ordered) Iterator() traits.Iterator {
	return types.NewRefValList(m.adapter, m.keys).Iterator()
}

func (m *ordered) Fold(f traits.Folder) {
	for i, key := range m.keys {
		if !f.FoldEntry(key, m.values[i]) {
			return
		}
	}
}

func (m *ordered) Equal(other ref.Val) ref.Val {
	that, ok := other.(traits.Mapper)
	if !ok || that.Size() != m.Size() {
		return types.False
	}
	for i, key := range m.keys {
		value, found := that.Find(key)
		if !found || types.Equal(m.values[i], value) != types.True {
			return types.False
		}
	}
	return types.True
}

func (m *ordered) Type() ref.Type { return types.MapType }
func (m *ordered) Value() any     { return m }

func (m *ordered) plain() traits.Mapper {
	entries := make(map[ref.Val]ref.Val, len(m.keys))
	for i, key := range m.keys {
		entries[key] = m.values[i]
	}
	return types.NewRefValMap(m.adapter, entries)
}

func (m *ordered) ConvertToNative(t reflect.Type) (any, error) {
	return m.plain().ConvertToNative(t)
}

func (m *ordered) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.MapType:
		return m
	case types.TypeType:
		return types.MapType
	}
	return types.WrapErr(&fault{kind: KindType})
}

func (m *ordered) String() string { return fmt.Sprintf("a map of %d entries", len(m.keys)) }

var (
	_ traits.Mapper   = (*ordered)(nil)
	_ traits.Foldable = (*ordered)(nil)
	_ traits.Zeroer   = (*ordered)(nil)
	_ fielder         = (*object)(nil)
)
