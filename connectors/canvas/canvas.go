// Package canvas is the connector for Canvas LMS, read by its REST API. Start reading at New; schema.go has the streams' fields, convert.go
// what is done to submissions before they are records.
package canvas

import (
	_ "embed"
	"net/http"
	"strings"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/rest"
)

//go:embed config.schema.json
var configSchema string

// pages are as large as Canvas gives them; its links are opaque and are followed as they come.
var pages = rest.Link{Size: "per_page", Limit: 100}

// courses lists the courses of the account, of one term if the configuration names one.
const courses = "/accounts/{account}/courses?enrollment_term_id={term}"

// submissions are those of all students of a course. Canvas excludes what has no time of the kind that is asked for, so submissions
// and grades are streams of their own.
const submissions = "/courses/{part}/students/submissions?student_ids[]=all&include[]=assignment"

// New makes the connector.
func New() sdk.Connector {
	ofCourse := rest.Part(courses, "", pages, "id")
	return rest.Connector{
		About: sdk.Description{
			Name: "canvas", Version: "1.0.0", Summary: "Canvas LMS: courses, people, enrolments, submissions and grades down to the question",
			ConfigSchema: configSchema, Auth: []sdk.Auth{{Kind: contract.AuthBearer, Secret: "token"}},
			Rate: 10, // one after the other Canvas hardly ever refuses; its quota is spent by cost and refills all the time
		},
		Base:  "{url}/api/v1",
		Fault: fault,
		Streams: []rest.Stream{
			{Stream: courseStream, Path: courses, Paging: pages},
			{Stream: userStream, Path: "/accounts/{account}/users?include[]=email", Paging: pages},
			{Stream: enrolmentStream, Path: "/courses/{part}/enrollments?state[]=active&state[]=invited&state[]=inactive&state[]=completed",
				Paging: pages, Parts: ofCourse},
			{Stream: submissionStream, Path: submissions, Paging: pages, Parts: ofCourse, Convert: attempts,
				Window: &rest.Window{Since: "submitted_since", Updated: "submitted_at", From: "from"}},
			{Stream: gradeStream, Path: submissions, Paging: pages, Parts: ofCourse, Convert: attempts,
				Window: &rest.Window{Since: "graded_since", Updated: "graded_at", From: "from"}},
			{Stream: answerStream, Path: submissions + "&include[]=submission_history", Paging: pages, Parts: ofCourse, Convert: answers,
				Window: &rest.Window{Since: "graded_since", Updated: "graded_at", From: "from"}},
		},
	}
}

// fault tells Canvas's two kinds of 401 apart: a token that is none, and one that may not read this.
func fault(a rest.Answer) error {
	if a.Status != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") != "" {
		return nil
	}
	if status, _ := a.Is("status"); strings.EqualFold(status, "unauthorized") {
		return &sdk.Error{Class: sdk.ClassPermission, Err: rest.Status(a.Status),
			Message: "the token's user may not read this: give it a role of the account with the permissions that the connector's README lists"}
	}
	return nil
}
