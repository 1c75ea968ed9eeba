package caliper

import "github.com/lrshub/lrshub/plugins/contract"

// The streams.
const (
	eventStream  = "event"
	entityStream = "entity"
)

// entities describes what sensors say once of things that events then only name: courses, assessments, resources, tools. No people.
func entities() contract.Stream {
	return contract.Stream{
		Name: entityStream, Key: []string{"id"}, Mode: contract.Incremental, Deletes: contract.DeletesNone,
		Fields: []contract.Field{
			{Name: "id", Type: contract.String}, text("type"), text("name"), text("description"), text("courseNumber"), text("mediaType"),
			number("maxScore"), object("isPartOf", text("id"), text("type"), text("name")),
		},
	}
}

// events describes the events of all profiles. What a vendor adds (extensions), addresses of clients and credentials of sessions are left out: no mapping can
// name them.
func events() contract.Stream {
	return contract.Stream{
		Name: eventStream, Key: []string{"id"}, Subject: "learner", Mode: contract.Incremental, Deletes: contract.DeletesNone,
		Fields: []contract.Field{
			{Name: "id", Type: contract.String}, {Name: "type", Type: contract.String}, {Name: "action", Type: contract.String},
			{Name: "eventTime", Type: contract.Timestamp}, text("profile"),
			text("learner"), // whose learning it is about; made by the connector
			{Name: "actor", Type: contract.Object, Fields: []contract.Field{{Name: "id", Type: contract.String}, text("type")}},
			{Name: "object", Type: contract.Object, Fields: append(known(),
				object("assignable", thing()...), object("assignee", text("id")), text("duration"), text("value"), number("maxScore"))},
			object("generated", append(thing(),
				number("scoreGiven"), number("maxScore"), number("normalScore"), number("totalScore"), number("resultScore"), text("value"), list("values"), list("selections"),
				text("duration"), anything("count"), object("attempt", append(thing(), object("assignable", thing()...), object("assignee", text("id")), text("duration"))...),
				object("assignable", thing()...))...),
			object("target", append(thing(), text("currentTime"))...),
			object("edApp", text("id"), text("type"), text("name")),
			object("group", append(thing(), text("courseNumber"))...),
			object("referrer", text("id"), text("type")),
		},
	}
}

// known is a thing that has an id.
func known() []contract.Field {
	fields := thing()
	fields[0].Optional = false
	return fields
}

// thing is what every entity may say of itself.
func thing() []contract.Field {
	return []contract.Field{text("id"), text("type"), text("name"), object("isPartOf", text("id"), text("type"), text("name"), object("isPartOf", text("id"), text("type"), text("name")))}
}

func text(name string) contract.Field {
	return contract.Field{Name: name, Type: contract.String, Optional: true}
}

func number(name string) contract.Field {
	return contract.Field{Name: name, Type: contract.Double, Optional: true}
}

func anything(name string) contract.Field {
	return contract.Field{Name: name, Type: contract.Any, Optional: true}
}

// list is of texts, or of whatever a sensor sends in their place.
func list(name string) contract.Field {
	return contract.Field{Name: name, Type: contract.List, Elem: &contract.Field{Type: contract.Any}, Optional: true}
}

func object(name string, fields ...contract.Field) contract.Field {
	return contract.Field{Name: name, Type: contract.Object, Fields: fields, Optional: true}
}
