package openedx

import "github.com/lrshub/lrshub/plugins/contract"

// stream describes the events of tracking logs, in both of the forms in which Open edX writes them: as lines of a
// tracking log (event, time, session and username at the top) and as the event-tracking library hands them on (data,
// timestamp, and the rest in context). Every field is optional because the form decides which are there.
//
// What an event type says of itself stands in event or data: an object, for browser events often a text that holds one,
// for submitted forms a text in form encoding, for some a list. Hence those two are of type any. Addresses, browsers and
// hosts (ip, agent, host, accept_language) are left out: no mapping can name them, so they never leave the connector's page.
func stream() contract.Stream {
	return contract.Stream{
		Name: "event",
		Fields: []contract.Field{
			text("name"), text("event_type"), text("event_source"),
			text("time"), text("timestamp"),
			text("username"), text("session"), text("page"), text("referer"),
			anything("event"), anything("data"),
			object("context",
				text("course_id"), text("org_id"), text("enterprise_uuid"),
				anything("user_id"), text("username"), text("session"),
				text("event_source"), text("page"), text("path"), text("referer"),
				object("module", text("display_name"), text("usage_key"))),
		},
		Subject: "username",
		Deletes: contract.DeletesNone,
		Mode:    contract.Incremental,
	}
}

func text(name string) contract.Field {
	return contract.Field{Name: name, Type: contract.String, Optional: true}
}

// anything is for what differs from event to event: user_id is a number, a text of digits or an empty text.
func anything(name string) contract.Field {
	return contract.Field{Name: name, Type: contract.Any, Optional: true}
}

func object(name string, fields ...contract.Field) contract.Field {
	return contract.Field{Name: name, Type: contract.Object, Fields: fields, Optional: true}
}
