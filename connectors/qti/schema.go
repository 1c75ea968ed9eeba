package qti

import (
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

func field(name string, t contract.Type) contract.Field { return contract.Field{Name: name, Type: t} }

func optional(name string, t contract.Type) contract.Field {
	return contract.Field{Name: name, Type: t, Optional: true}
}

func list(name string, of contract.Field) contract.Field {
	return contract.Field{Name: name, Type: contract.List, Elem: &of, Optional: true}
}

// common are the fields that both streams have. See the types in result.go, which write them.
func common() []contract.Field {
	return []contract.Field{
		field("candidate", contract.String), field("session", contract.String), field("test", contract.String), field("stamp", contract.String),
		optional("at", contract.Timestamp), optional("duration", contract.Double),
		optional("score", contract.Double), optional("min", contract.Double), optional("max", contract.Double), optional("mastery", contract.Double),
		list("outcomes", contract.Field{Type: contract.Object, Fields: []contract.Field{
			field("id", contract.String), optional("base", contract.String), optional("cardinality", contract.String), list("values", field("", contract.String))}}),
	}
}

// testStream holds one record for each testResult.
func testStream() sdk.Stream {
	return sdk.Stream{Name: "test", Key: []string{"candidate", "session", "test", "stamp"}, Subject: "candidate", Mode: contract.Incremental, Fields: common()}
}

// itemStream holds one record for each itemResult, that is, for each attempt at an item that the delivery system reports.
func itemStream() sdk.Stream {
	texts := func(name string) contract.Field { return list(name, field("", contract.String)) }
	return sdk.Stream{
		Name: "item", Key: []string{"candidate", "session", "test", "item", "attempt", "stamp"}, Subject: "candidate", Mode: contract.Incremental,
		Fields: append(common(),
			field("item", contract.String), field("attempt", contract.Int), field("status", contract.String),
			optional("sequence", contract.Int), optional("completion", contract.String), optional("correct", contract.Bool),
			list("responses", contract.Field{Type: contract.Object, Fields: []contract.Field{
				field("id", contract.String), optional("base", contract.String), optional("cardinality", contract.String),
				texts("values"), texts("correct"), texts("choices")}})),
	}
}
