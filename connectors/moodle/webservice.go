package moodle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/rest"
)

// server is where Moodle's web services are; each has a name.
const server = "/webservice/rest/server.php?moodlewsrestformat=json&wsfunction="

// services are the functions that the token's service must allow.
const (
	courseList  = server + "core_course_get_courses"
	enrolled    = server + "core_enrol_get_enrolled_users&courseid={part}&options[0][name]=limitfrom&options[1][name]=limitnumber&options[2][name]=sortby&options[2][value]=id"
	gradeReport = server + "gradereport_user_get_grade_items&courseid={part}"
	completions = server + "core_completion_get_course_completion_status"
	attemptList = server + "mod_quiz_get_user_attempts"
	reviewOf    = server + "mod_quiz_get_attempt_review"
)

// people are paged by two of the options that Moodle takes as a list of pairs.
var people = rest.Offset{Offset: "options[0][value]", Limit: "options[1][value]", Size: 500}

// web is the part of the connector that a value describes: courses, people and grades. Completions and attempts are in changed.go.
var web = rest.Connector{
	About: sdk.Description{
		Name: "moodle", Version: "1.0.0", Summary: "Moodle: grades, completions and quiz attempts by its web services, or exports of its log store",
		ConfigSchema: configSchema, Auth: []sdk.Auth{{Kind: contract.AuthQuery, Name: "wstoken", Secret: "token"}}, Rate: 10,
	},
	Base:  "{url}",
	Fault: fault,
	Streams: []rest.Stream{
		{Stream: courseStream, Path: courseList, Convert: realCourse},
		{Stream: enrolmentStream, Path: enrolled, Paging: people, Parts: courses, PartAs: "courseid", Convert: person},
		{Stream: gradeStream, Path: gradeReport, Records: "usergrades", Parts: courses, Convert: grades},
	},
}

// courses tells the ids of all courses but the site's own.
func courses(ctx context.Context, c *rest.Client, each func(string) error) error {
	return c.Each(ctx, courseList, "", nil, func(course []byte) error {
		id := rest.Text(course, "id")
		if id == "" {
			return sdk.Errorf(sdk.ClassSourceBug, "a course has no id")
		}
		if isSite(course) {
			return nil
		}
		return each(id)
	})
}

// isSite says that a course is the front page, which Moodle keeps among the courses.
func isSite(course []byte) bool {
	return rest.Text(course, "format") == "site" || rest.Text(course, "id") == "1"
}

func realCourse(course []byte, each func([]byte) error) error {
	if isSite(course) {
		return nil
	}
	return each(course)
}

// person keeps of somebody's enrolment what does not change with each visit.
func person(element []byte, each func([]byte) error) error {
	return keep(element, each, "courseid", "id", "username", "firstname", "lastname", "fullname", "email", "idnumber", "roles")
}

func keep(element []byte, each func([]byte) error, names ...string) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(element, &all); err != nil {
		return each(element) // the hub says what is wrong with it
	}
	kept := make(map[string]json.RawMessage, len(names))
	for _, name := range names {
		if value, there := all[name]; there {
			kept[name] = value
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return sdk.Errorf(sdk.ClassSourceBug, "what Moodle gave cannot be written as JSON")
	}
	return each(text)
}

// userGrades is what the grade report says of one person in one course. Items are passed on as they are.
type userGrades struct {
	Course int64             `json:"courseid"`
	User   int64             `json:"userid"`
	Items  []json.RawMessage `json:"gradeitems"`
}

// grades makes a record of each item that somebody has a grade in.
func grades(element []byte, each func([]byte) error) error {
	var g userGrades
	if err := json.Unmarshal(element, &g); err != nil {
		return sdk.Errorf(sdk.ClassSourceBug, "the grade report is not what Moodle documents")
	}
	for _, raw := range g.Items {
		var item map[string]json.RawMessage
		if json.Unmarshal(raw, &item) != nil {
			return sdk.Errorf(sdk.ClassSourceBug, "an item of the grade report is no object")
		}
		if value := string(item["graderaw"]); value == "" || value == "null" {
			continue
		}
		item["courseid"], item["userid"] = fmt.Append(nil, g.Course), fmt.Append(nil, g.User)
		item["itemid"] = item["id"]
		text, err := json.Marshal(item)
		if err != nil {
			return sdk.Errorf(sdk.ClassSourceBug, "what Moodle gave cannot be written as JSON")
		}
		err = keep(text, each, "courseid", "userid", "itemid", "itemname", "itemtype", "itemmodule", "iteminstance", "cmid", "graderaw", "grademin",
			"grademax", "gradedatesubmitted", "gradedategraded")
		if err != nil {
			return err
		}
	}
	return nil
}

// refusal is an answer that Moodle gives with status 200 and that is an error. Its message may name people and is left out.
type refusal string

func (r refusal) Error() string { return "Moodle answered with the error " + string(r) }

var errorCode = regexp.MustCompile(`^[A-Za-z0-9_/-]{1,80}$`)

// classes of Moodle's error codes; others are taken for a bug of either side.
var classes = map[string]sdk.Class{
	"invalidtoken": sdk.ClassAuth, "usernotfullysetup": sdk.ClassAuth, "suspended": sdk.ClassAuth,
	"accessexception": sdk.ClassPermission, "nopermissions": sdk.ClassPermission, "required_capability_exception": sdk.ClassPermission,
	"requireloginerror": sdk.ClassPermission, "notingroup": sdk.ClassPermission, "cannotviewreport": sdk.ClassPermission, "noviewreports": sdk.ClassPermission,
	"servicenotavailable": sdk.ClassConfig, "enablewsdescription": sdk.ClassConfig, "webservicesnotenabled": sdk.ClassConfig,
	"restrestprotocolnotenabled": sdk.ClassConfig, "invalidextparam": sdk.ClassSourceBug,
	"sitemaintenance": sdk.ClassTransient, "upgraderunning": sdk.ClassTransient, "dmlreadexception": sdk.ClassTransient,
	"dmlwriteexception": sdk.ClassTransient, "dbconnectionfailed": sdk.ClassTransient, "locktimeout": sdk.ClassTransient, "ddlexecuteerror": sdk.ClassTransient,
}

// advice says what to do about the commonest.
var advice = map[sdk.Class]string{
	sdk.ClassAuth:       "make a new token: Site administration > Server > Web services > Manage tokens",
	sdk.ClassPermission: "give the token's user the capabilities, and its service the functions, that the connector's README lists",
	sdk.ClassConfig:     "enable web services and the REST protocol: Site administration > Server > Web services > Overview",
	sdk.ClassTransient:  "it is tried again",
	sdk.ClassSourceBug:  "look for it in Moodle's log of web services",
}

// fault finds the error in an answer of status 200.
func fault(a rest.Answer) error {
	if _, there := a.Is("exception"); !there || a.Status != http.StatusOK {
		return nil
	}
	code, _ := a.Is("errorcode")
	if !errorCode.MatchString(code) {
		code = "unknown"
	}
	class, known := classes[code]
	if !known {
		class = sdk.ClassSourceBug
	}
	return &sdk.Error{Class: class, Err: refusal(code), Message: fmt.Sprintf("moodle: the web service answered with the error %s; %s", code, advice[class])}
}

// refused says that an error is one of these of Moodle's.
func refused(err error, codes ...string) bool {
	var r refusal
	return errors.As(err, &r) && slices.Contains(codes, string(r))
}
