package query

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/lib/pq"
)

func TestSQL(t *testing.T) {
	id := "0190a1b2-0000-7000-8000-000000000001"
	verb := "SELECT d.id FROM verb AS d WHERE d.tenant_id = current_setting('lrshub.tenant')::integer AND "
	for name, test := range map[string]struct {
		node Node
		text string
		args []any
	}{
		"everything":                {True{}, "TRUE", nil},
		"nothing":                   {False{}, "FALSE", nil},
		"and of none":               {And{}, "TRUE", nil},
		"or of none":                {Or{}, "FALSE", nil},
		"a group of one":            {And{IsNull{"success"}}, "s.success IS NULL", nil},
		"uuid":                      {Compare{"actor", Equal, uuid.MustParse(id)}, "s.actor = $3::uuid", []any{id}},
		"quoted column":             {Compare{"timestamp", Less, time.Unix(0, 0)}, `s."timestamp" < $3::timestamptz`, []any{"1970-01-01T00:00:00.000000Z"}},
		"not is two-valued":         {Not{Compare{"success", Equal, true}}, "(s.success = $3::boolean) IS NOT TRUE", []any{true}},
		"whole number for a double": {Compare{"score_raw", GreaterOrEqual, 40}, "s.score_raw >= $3::double precision", []any{40.0}},
		"verb by its key":           {Compare{"verb", Equal, "urn:v"}, "s.verb = (" + verb + "d.iri = $3::text)", []any{"urn:v"}},
		"verb prefix":               {Compare{"verb", StartsWith, "urn:"}, "s.verb = ANY (ARRAY(" + verb + "starts_with(d.iri, $3::text)))", []any{"urn:"}},
		"text in byte order":        {Compare{"verb", Less, "b"}, "s.verb = ANY (ARRAY(" + verb + `d.iri < $3::text COLLATE "C"))`, []any{"b"}},
		"in":                        {In{"registration", []any{id}}, "s.registration = ANY ($3::uuid[])", []any{pq.StringArray{id}}},
		"arguments in order": {
			Or{And{Compare{"success", Equal, true}, Not{IsNull{"score_raw"}}}, Compare{"completion", NotEqual, false}},
			"((s.success = $3::boolean AND (s.score_raw IS NULL) IS NOT TRUE) OR s.completion <> $4::boolean)",
			[]any{true, false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, args, err := SQL(test.node, Statements, 3)
			if err != nil || text != test.text || !cmp.Equal(args, test.args) {
				t.Errorf("SQL = %s\n%v, %v; want\n%s\n%v", text, args, err, test.text, test.args)
			}
		})
	}
}

func TestValuesNeverReachTheText(t *testing.T) {
	hostile := `'; DROP TABLE statement; --`
	for _, op := range []Op{Equal, NotEqual, Less, StartsWith, EndsWith, Contains} {
		text, args, err := SQL(Compare{"verb", op, hostile}, Statements, 1)
		if err != nil || strings.Contains(text, "DROP") || args[0] != hostile {
			t.Errorf("%s: %s %v %v", op, text, args, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	deep := Node(True{})
	for range MaxDepth {
		deep = Not{deep}
	}
	for name, test := range map[string]struct {
		node Node
		want error
	}{
		"nil":                    {nil, ErrSyntax},
		"nil inside":             {Not{}, ErrSyntax},
		"unknown column":         {IsNull{"frame"}, ErrUnknownColumn},
		"column as SQL":          {Compare{"id = id OR s.id", Equal, "x"}, ErrUnknownColumn},
		"unknown column of in":   {In{"frame", nil}, ErrUnknownColumn},
		"unknown operator":       {Compare{"verb", "like", "x"}, ErrUnknownOp},
		"prefix of a number":     {Compare{"score_raw", StartsWith, 4}, ErrUnknownOp},
		"number for text":        {Compare{"verb", Equal, 5}, ErrType},
		"text for number":        {Compare{"score_raw", Equal, "5"}, ErrType},
		"fraction for integer":   {Compare{"object_kind", Less, 2.5}, ErrType},
		"integer too large":      {Compare{"object_kind", Less, int64(1) << 40}, ErrType},
		"not a number":           {Compare{"score_raw", Equal, math.NaN()}, ErrType},
		"nil value":              {Compare{"verb", Equal, nil}, ErrType},
		"uuid in capitals":       {Compare{"id", Equal, "0190A1B2-0000-7000-8000-000000000001"}, ErrType},
		"uuid as urn":            {Compare{"id", Equal, "urn:uuid:0190a1b2-0000-7000-8000-000000000001"}, ErrType},
		"time of another zone":   {Compare{"stored", Less, "2026-01-01T00:00:00.000000+01:00"}, ErrType},
		"time without decimals":  {Compare{"stored", Less, "2026-01-01T00:00:00Z"}, ErrType},
		"time of year 0":         {Compare{"stored", Less, "0000-01-01T00:00:00.000000Z"}, ErrType},
		"character U+0000":       {Compare{"verb", Equal, "a\x00b"}, ErrType},
		"invalid UTF-8":          {Compare{"verb", Equal, "\xff"}, ErrType},
		"wrong type within in":   {In{"success", []any{true, "true"}}, ErrType},
		"a list":                 {Compare{"verb", Equal, []string{"x"}}, ErrType},
		"too deep":               {deep, ErrTooLarge},
		"too many":               {Or(slices.Repeat([]Node{True{}}, MaxNodes)), ErrTooLarge},
		"too many values":        {In{"verb", make([]any, MaxNodes)}, ErrTooLarge},
		"bad after what decides": {Or{True{}, IsNull{"frame"}}, ErrUnknownColumn},
	} {
		t.Run(name, func(t *testing.T) {
			text, args, err := SQL(test.node, Statements, 1)
			if !errors.Is(err, test.want) || text != "" || args != nil {
				t.Errorf("SQL = %q, %v, %v; want %v", text, args, err, test.want)
			}
			if ok, err := Match(test.node, Statements, Row{}); ok || !errors.Is(err, test.want) {
				t.Errorf("Match = %v, %v; want %v", ok, err, test.want)
			}
		})
	}
	if ok, err := Match(Not{Compare{"success", Equal, true}}, Statements, Row{"success": "yes"}); ok || !errors.Is(err, ErrType) {
		t.Errorf("Match on an ill-typed row = %v, %v", ok, err)
	}
}

func TestParse(t *testing.T) {
	for name, document := range map[string]string{
		"all":         `{"and":[{"or":[true,false,{"not":{"column":"success","null":true}}]},{"column":"verb","op":"eq","value":"urn:é"},{"column":"object_kind","in":[1,2]}]}`,
		"empty":       `{"or":[]}`,
		"big integer": `{"column":"seq","op":"eq","value":9007199254740993}`,
		"fraction":    `{"column":"score_scaled","op":"lt","value":0.5}`,
	} {
		t.Run(name, func(t *testing.T) {
			n, err := Parse([]byte(document))
			if err != nil {
				t.Fatal(err)
			}
			if again, err := json.Marshal(n); err != nil || string(again) != document {
				t.Errorf("round trip: %s, %v; want %s", again, err, document)
			}
		})
	}
	for name, document := range map[string]string{
		"no JSON":          `{`,
		"nothing":          ``,
		"two":              `true false`,
		"null":             `null`,
		"text":             `"true"`,
		"no member":        `{}`,
		"two members":      `{"and":[],"or":[]}`,
		"unknown member":   `{"xor":[]}`,
		"and of no list":   `{"and":true}`,
		"null node":        `{"not":null}`,
		"unknown operator": `{"column":"verb","op":"like","value":"x"}`,
		"no value":         `{"column":"verb","op":"eq"}`,
		"null value":       `{"column":"verb","op":"eq","value":null}`,
		"list value":       `{"column":"verb","op":"eq","value":["a"]}`,
		"surplus member":   `{"column":"verb","op":"eq","value":"a","in":[]}`,
		"null false":       `{"column":"verb","null":false}`,
		"column number":    `{"column":1,"null":true}`,
		"huge number":      `{"column":"score_raw","op":"eq","value":1e999}`,
		"depth":            strings.Repeat(`{"not":`, 40) + `true` + strings.Repeat(`}`, 40),
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			if n, err := Parse([]byte(document)); err == nil {
				t.Errorf("Parse = %#v", n)
			}
		})
	}
}

func TestFromUCAST(t *testing.T) {
	field := func(op, field string, value any) map[string]any {
		return map[string]any{"type": "field", "operator": op, "field": field, "value": value}
	}
	group := func(op string, nodes ...any) map[string]any {
		return map[string]any{"type": "compound", "operator": op, "value": nodes}
	}
	for name, test := range map[string]struct {
		ucast any
		want  Node
	}{
		"deny is no row":          {nil, False{}},
		"allow is every row":      {map[string]any{}, True{}},
		"comparison":              {field("eq", "statement.purpose", "p"), Compare{"purpose", Equal, "p"}},
		"the other spelling":      {field("ge", "statement.score_raw", 40.0), Compare{"score_raw", GreaterOrEqual, int64(40)}},
		"in":                      {field("in", "statement.purpose", []any{"p", "q"}), In{"purpose", []any{"p", "q"}}},
		"is null":                 {field("eq", "statement.success", nil), IsNull{"success"}},
		"null is not a value":     {field("ne", "statement.score_raw", 5.0), Or{IsNull{"score_raw"}, Compare{"score_raw", NotEqual, int64(5)}}},
		"null sorts first":        {field("lte", "statement.score_raw", 5.0), Or{IsNull{"score_raw"}, Compare{"score_raw", LessOrEqual, int64(5)}}},
		"and not last":            {field("gt", "statement.score_raw", 5.0), Compare{"score_raw", Greater, int64(5)}},
		"never null":              {field("ne", "statement.verb", "v"), Compare{"verb", NotEqual, "v"}},
		"exists":                  {field("ne", "statement.success", nil), Not{IsNull{"success"}}},
		"groups":                  {group("or", group("and", field("eq", "statement.success", true)), group("not", field("gte", "statement.score_raw", 0.5))), Or{And{Compare{"success", Equal, true}}, Not{Compare{"score_raw", GreaterOrEqual, 0.5}}}},
		"a text that is a number": {field("eq", "statement.verb", "9007199254740993"), Compare{"verb", Equal, "9007199254740993"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := FromUCAST(test.ucast, "statement", Statements); err != nil || !cmp.Equal(got, test.want) {
				t.Errorf("FromUCAST = %#v, %v; want %#v", got, err, test.want)
			}
		})
	}
	for name, ucast := range map[string]any{
		"a text":              "", // what the SQL target says for every row
		"another table":       field("eq", "person.id", "x"),
		"no table":            field("eq", "id", "x"),
		"no column":           field("eq", "statement.", "x"),
		"unknown operator":    field("regex", "statement.verb", ".*"),
		"another field":       field("eq", "statement.actor", map[string]any{"field": "statement.authority"}),
		"unknown column":      field("eq", "statement.frame", "x"),
		"prefix of null":      field("startswith", "statement.registration", "x"),
		"less than null":      field("lt", "statement.success", nil),
		"in null":             field("in", "statement.success", nil),
		"in an object":        field("in", "statement.success", map[string]any{"a": 1}),
		"null among values":   field("in", "statement.success", []any{nil}),
		"rounded number":      field("eq", "statement.object_kind", 9007199254740992.0),
		"unknown type":        map[string]any{"type": "document", "operator": "exists", "value": "x"},
		"unknown group":       group("nor", field("eq", "statement.verb", "x")),
		"empty group":         group("and"),
		"not of two":          group("not", field("eq", "statement.verb", "x"), field("eq", "statement.verb", "y")),
		"group without nodes": map[string]any{"type": "compound", "operator": "and"},
		"node is no map":      group("and", "x"),
		"node is null":        group("and", nil),
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			if n, err := FromUCAST(ucast, "statement", Statements); err == nil || n != nil {
				t.Errorf("FromUCAST = %#v, %v", n, err)
			}
		})
	}
}

func TestMatchOnMissingValues(t *testing.T) {
	for name, test := range map[string]struct {
		node Node
		want bool
	}{
		"equal":            {Compare{"success", Equal, true}, false},
		"not equal":        {Compare{"success", NotEqual, true}, false},
		"less":             {Compare{"score_raw", Less, 50}, false},
		"in":               {In{"success", []any{true, false}}, false},
		"not of equal":     {Not{Compare{"success", Equal, true}}, true},
		"not of not equal": {Not{Compare{"success", NotEqual, true}}, true},
		"is null":          {IsNull{"success"}, true},
		"exists":           {Not{IsNull{"success"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Match(test.node, Statements, Row{}); err != nil || got != test.want {
				t.Errorf("Match = %v, %v", got, err)
			}
		})
	}
}

func TestMap(t *testing.T) {
	n := And{Or{Compare{"verb", Equal, "a"}, Not{In{"verb", []any{"b"}}}}, IsNull{"object"}, True{}}
	seen := 0
	got := Map(n, func(n Node) Node {
		seen++
		if c, ok := n.(Compare); ok {
			c.Value = "z"
			return c
		}
		return n
	})
	want := And{Or{Compare{"verb", Equal, "z"}, Not{In{"verb", []any{"b"}}}}, IsNull{"object"}, True{}}
	if diff := cmp.Diff(Node(want), got); diff != "" || seen != 4 {
		t.Errorf("%d conditions: %s", seen, diff)
	}
	if n[0].(Or)[0].(Compare).Value != "a" {
		t.Error("the filter itself was changed")
	}
}
