package canvas

import "github.com/lrshub/lrshub/plugins/contract"

// Canvas writes null for what is not there, and leaves out what the token's user may not see: most fields are optional.
var (
	courseStream = contract.Stream{
		Name: "course", Key: []string{"id"}, Mode: contract.Snapshot, Deletes: contract.DeletesAbsence,
		Fields: []contract.Field{
			integer("id"), maybe("name", contract.String), maybe("course_code", contract.String), maybe("workflow_state", contract.String),
			maybe("account_id", contract.Int), maybe("enrollment_term_id", contract.Int), maybe("sis_course_id", contract.String),
			maybe("start_at", contract.Timestamp), maybe("end_at", contract.Timestamp), maybe("created_at", contract.Timestamp),
		},
	}
	userStream = contract.Stream{
		Name: "user", Key: []string{"id"}, Subject: "id", Mode: contract.Snapshot, Deletes: contract.DeletesAbsence,
		Fields: []contract.Field{
			integer("id"), maybe("name", contract.String), maybe("sortable_name", contract.String), maybe("login_id", contract.String),
			maybe("sis_user_id", contract.String), maybe("integration_id", contract.String), maybe("email", contract.String),
		},
	}
	enrolmentStream = contract.Stream{
		Name: "enrolment", Key: []string{"id"}, Subject: "user_id", Mode: contract.Snapshot, Deletes: contract.DeletesAbsence,
		Fields: []contract.Field{
			integer("id"), integer("course_id"), integer("user_id"), maybe("course_section_id", contract.Int), maybe("type", contract.String),
			maybe("role", contract.String), maybe("enrollment_state", contract.String), maybe("created_at", contract.Timestamp),
			maybe("updated_at", contract.Timestamp), maybe("start_at", contract.Timestamp), maybe("end_at", contract.Timestamp),
			maybe("sis_user_id", contract.String),
			object("user", maybe("name", contract.String), maybe("login_id", contract.String), maybe("sis_user_id", contract.String)),
		},
	}
	submissionStream = submissionsAs("submission")
	gradeStream      = submissionsAs("grade")
	answerStream     = contract.Stream{
		Name: "answer", Key: []string{"submission_id", "attempt", "question_id"}, Subject: "user_id", Mode: contract.Incremental,
		Fields: []contract.Field{
			integer("submission_id"), integer("attempt"), integer("question_id"), integer("user_id"), integer("assignment_id"),
			maybe("course_id", contract.Int), maybe("assignment_name", contract.String), maybe("submitted_at", contract.Timestamp),
			maybe("graded_at", contract.Timestamp), maybe("correct", contract.Any), maybe("points", contract.Double),
			maybe("text", contract.String), maybe("answer_id", contract.Any),
		},
	}
)

// submissionsAs describes submissions under a name: one record for each attempt, which changes when it is graded again.
func submissionsAs(name string) contract.Stream {
	return contract.Stream{
		Name: name, Key: []string{"id", "attempt"}, Subject: "user_id", Mode: contract.Incremental,
		Fields: []contract.Field{
			integer("id"), integer("attempt"), integer("user_id"), integer("assignment_id"), maybe("submitted_at", contract.Timestamp),
			maybe("graded_at", contract.Timestamp), maybe("score", contract.Double), maybe("grade", contract.String),
			maybe("grader_id", contract.Int), maybe("submission_type", contract.String), maybe("workflow_state", contract.String),
			maybe("late", contract.Bool), maybe("missing", contract.Bool), maybe("excused", contract.Bool),
			maybe("seconds_late", contract.Int), maybe("grade_matches_current_submission", contract.Bool),
			object("assignment", maybe("course_id", contract.Int), maybe("name", contract.String), maybe("points_possible", contract.Double),
				maybe("grading_type", contract.String), maybe("quiz_id", contract.Int), maybe("due_at", contract.Timestamp)),
		},
	}
}

func integer(name string) contract.Field { return contract.Field{Name: name, Type: contract.Int} }

func maybe(name string, t contract.Type) contract.Field {
	return contract.Field{Name: name, Type: t, Optional: true}
}

func object(name string, fields ...contract.Field) contract.Field {
	return contract.Field{Name: name, Type: contract.Object, Fields: fields, Optional: true}
}
