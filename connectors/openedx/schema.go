package openedx

import "github.com/lrshub/lrshub/plugins/contract"

// stream describes the events of a tracking log. What differs from event type to event type is of type any.
func stream() contract.Stream {
	text := func(name string) contract.Field {
		return contract.Field{Name: name, Type: contract.String, Optional: true}
	}
	anything := func(name string) contract.Field {
		return contract.Field{Name: name, Type: contract.Any, Optional: true}
	}
	return contract.Stream{
		Name: "event",
		Fields: []contract.Field{
			text("name"), text("event_type"), text("event_source"), text("time"), text("timestamp"), text("username"), text("session"), text("page"),
			anything("context"), anything("event"), anything("data"),
		},
		Subject: "username",
		Deletes: contract.DeletesNone,
		Mode:    contract.Incremental,
	}
}
