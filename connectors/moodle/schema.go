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

var (
	courseStream = contract.Stream{
		Name: "course", Key: []string{"id"}, Mode: contract.Snapshot, Deletes: contract.DeletesAbsence,
		Fields: []contract.Field{
			integer("id"), maybe("fullname", contract.String), maybe("shortname", contract.String), maybe("idnumber", contract.String),
			maybe("lang", contract.String), maybe("categoryid", contract.Int), maybe("visible", contract.Int), maybe("format", contract.String),
			maybe("startdate", contract.Int), maybe("enddate", contract.Int), maybe("timemodified", contract.Int),
		},
	}
	enrolmentStream = contract.Stream{
		Name: "enrolment", Key: []string{"courseid", "id"}, Subject: "id", Mode: contract.Snapshot, Deletes: contract.DeletesAbsence,
		Fields: []contract.Field{
			integer("courseid"), integer("id"), maybe("username", contract.String), maybe("firstname", contract.String), maybe("lastname", contract.String),
			maybe("fullname", contract.String), maybe("email", contract.String), maybe("idnumber", contract.String),
			list("roles", maybe("roleid", contract.Int), maybe("shortname", contract.String)),
		},
	}
	gradeStream = contract.Stream{
		Name: "grade", Key: []string{"itemid", "userid"}, Subject: "userid", Mode: contract.Snapshot, Deletes: contract.DeletesAbsence,
		Fields: []contract.Field{
			integer("itemid"), integer("userid"), integer("courseid"), maybe("itemname", contract.String), maybe("itemtype", contract.String),
			maybe("itemmodule", contract.String), maybe("iteminstance", contract.Int), maybe("cmid", contract.Int),
			maybe("graderaw", contract.Double), maybe("grademin", contract.Double), maybe("grademax", contract.Double),
			maybe("gradedatesubmitted", contract.Int), maybe("gradedategraded", contract.Int),
		},
	}
	completionStream = contract.Stream{
		Name: "completion", Key: []string{"courseid", "userid"}, Subject: "userid", Mode: contract.Incremental,
		Fields: []contract.Field{
			integer("courseid"), integer("userid"),
			object("status", maybe("completed", contract.Bool), maybe("aggregation", contract.Int),
				list("completions", maybe("type", contract.Int), maybe("title", contract.String), maybe("status", contract.String),
					maybe("complete", contract.Bool), maybe("timecompleted", contract.Int),
					object("details", maybe("type", contract.String), maybe("criteria", contract.String), maybe("status", contract.String)))),
		},
	}
	attemptStream = contract.Stream{
		Name: "attempt", Key: []string{"id"}, Subject: "userid", Mode: contract.Incremental,
		Fields: []contract.Field{
			integer("id"), integer("userid"), integer("courseid"), integer("quizid"), maybe("cmid", contract.Int), maybe("quizname", contract.String),
			maybe("grademax", contract.Double), maybe("attempt", contract.Int), maybe("state", contract.String), maybe("timestart", contract.Int),
			maybe("timefinish", contract.Int), maybe("timemodified", contract.Int), maybe("sumgrades", contract.Double), anything("grade"),
			list("questions", maybe("slot", contract.Int), maybe("type", contract.String), maybe("number", contract.Int),
				maybe("questionnumber", contract.String), maybe("state", contract.String), anything("mark"), maybe("maxmark", contract.Double)),
		},
	}
)

func integer(name string) contract.Field { return contract.Field{Name: name, Type: contract.Int} }

func maybe(name string, t contract.Type) contract.Field {
	return contract.Field{Name: name, Type: t, Optional: true}
}

func object(name string, fields ...contract.Field) contract.Field {
	return contract.Field{Name: name, Type: contract.Object, Fields: fields, Optional: true}
}

func list(name string, fields ...contract.Field) contract.Field {
	return contract.Field{Name: name, Type: contract.List, Elem: &contract.Field{Type: contract.Object, Fields: fields}, Optional: true}
}

func anything(name string) contract.Field {
	return contract.Field{Name: name, Type: contract.Any, Optional: true}
}
