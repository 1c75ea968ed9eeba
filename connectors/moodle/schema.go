package moodle

import "github.com/lrshub/lrshub/plugins/contract"

// logStream describes a row of the log store together with the rows of other tables that it refers to (joined by the reader
// from the exported tables: logstore/join.go says which columns come along). config is what published pairs of events and
// statements bring as the converter's settings; the reader makes none. Leaves are of type any because exports write numbers
// now as such and now as text.
func logStream() contract.Stream {
	return contract.Stream{
		Name: "log",
		Key:  []string{"event.id"},
		Fields: []contract.Field{
			{Name: "event", Type: contract.Object, Fields: []contract.Field{
				{Name: "id", Type: contract.Int}, {Name: "eventname", Type: contract.String}, anything("timecreated"),
				{Name: "userid", Type: contract.Int, Optional: true}, anything("relateduserid"), anything("courseid"),
				anything("contextinstanceid"), anything("objectid"), anything("objecttable"), anything("other"),
				anything("component"), anything("action"), anything("target"),
			}},
			{Name: "data", Type: contract.Map, Elem: &contract.Field{Type: contract.List, Elem: &contract.Field{Type: contract.Any}}},
			{Name: "config", Type: contract.Object, Optional: true, Fields: []contract.Field{
				anything("app_url"), anything("account_homepage"), anything("context_platform"), anything("send_name"),
				anything("send_username"), anything("send_mbox"), anything("send_response_choices"), anything("send_short_course_id"),
				anything("send_course_and_module_idnumber"), anything("session_id"), anything("source_lang"), anything("source_url"),
				anything("source_version"), anything("plugin_url"), anything("plugin_version"),
			}},
		},
		Subject: "event.userid",
		Mode:    contract.Incremental,
	}
}

func anything(name string) contract.Field {
	return contract.Field{Name: name, Type: contract.Any, Optional: true}
}
