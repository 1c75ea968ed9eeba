package moodle

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

const token = "t0kenofmoodle"

// school stands in for a Moodle site, by the shapes that its web services declare: lists without pages, errors with status 200.
type school struct {
	*httptest.Server
	t       *testing.T
	courses []int
	people  int // of each course
	now     time.Time
	changed map[int]int64 // by user: when a grade was given, Unix time
	refuse  map[string]string
	asked   map[string]int
}

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func newSchool(t *testing.T) *school {
	s := &school{t: t, courses: []int{20, 30, 40}, people: 7, now: start.Add(24 * time.Hour), changed: map[int]int64{}, refuse: map[string]string{}, asked: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

func (s *school) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Date", s.now.Format(http.TimeFormat))
	query := r.URL.Query()
	function := query.Get("wsfunction")
	s.asked[function]++
	number := func(name string) int {
		n, _ := strconv.Atoi(query.Get(name))
		return n
	}
	var answer any
	switch {
	case r.URL.Path != "/webservice/rest/server.php" || query.Get("moodlewsrestformat") != "json":
		w.WriteHeader(http.StatusNotFound)
		return
	case query.Get("wstoken") != token:
		answer = failure("core\\exception\\moodle_exception", "invalidtoken", "Invalid token - token not found")
	case s.refuse[function] != "":
		answer = failure("moodle_exception", s.refuse[function], "Ada Berg may not do that")
	case function == "core_course_get_courses":
		list := []any{map[string]any{"id": 1, "fullname": "Front page", "format": "site"}}
		for _, id := range s.courses {
			list = append(list, map[string]any{"id": id, "fullname": fmt.Sprint("Course ", id), "lang": "sv", "format": "topics", "visible": 1, "summary": "<p>long</p>"})
		}
		answer = list
	case function == "core_enrol_get_enrolled_users":
		list := []any{}
		for u := number("options[0][value]"); u < s.people && len(list) < number("options[1][value]"); u++ {
			list = append(list, map[string]any{"id": 100 + u, "fullname": fmt.Sprint("Person ", u), "username": fmt.Sprint("p", u), "email": fmt.Sprintf("p%d@school.example", u),
				"lastcourseaccess": 0, "roles": []any{map[string]any{"roleid": 5}}, "profileimageurl": "https://x/"})
		}
		answer = list
	case function == "gradereport_user_get_grade_items":
		answer = s.grades(number("courseid"))
	case function == "core_completion_get_course_completion_status":
		if number("courseid") == 40 {
			answer = failure("moodle_exception", "nocriteriaset", "No completion criteria")
			break
		}
		answer = map[string]any{"completionstatus": map[string]any{"completed": number("userid")%2 == 0, "aggregation": 1, "completions": []any{
			map[string]any{"type": 8, "title": "Grade", "status": "90", "complete": true, "timecompleted": start.Unix(), "details": map[string]any{"type": "Course grade", "criteria": "50", "requirement": "", "status": ""}}}},
			"warnings": []any{}}
	case function == "mod_quiz_get_user_attempts":
		id := number("quizid")*1000 + number("userid")
		answer = map[string]any{"attempts": []any{
			map[string]any{"id": id, "quiz": number("quizid"), "userid": number("userid"), "attempt": 1, "state": "finished", "timestart": start.Unix(), "timefinish": start.Unix() + 600, "timemodified": start.Unix() + 600, "sumgrades": 3.5, "layout": "1,0"},
			map[string]any{"id": id + 500, "quiz": number("quizid"), "userid": number("userid"), "attempt": 2, "state": "inprogress", "timestart": start.Unix() + 700, "timefinish": 0, "timemodified": start.Unix() + 700, "sumgrades": nil}},
			"warnings": []any{}}
	case function == "mod_quiz_get_attempt_review":
		if number("attemptid")%1000 == 103 {
			answer = failure("moodle_exception", "noreview", "not allowed")
			break
		}
		answer = map[string]any{"grade": "7.00", "attempt": map[string]any{}, "questions": []any{
			map[string]any{"slot": 1, "type": "truefalse", "number": 1, "questionnumber": "1", "state": "gradedright", "mark": "1.00", "maxmark": 1, "html": "<div>secret</div>"},
			map[string]any{"slot": 2, "type": "essay", "number": 2, "state": "needsgrading", "mark": "", "maxmark": 4}}}
	default:
		answer = failure("dml_missing_record_exception", "invalidrecord", "Can't find data record in database table external_functions.")
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.t.Error(err)
	}
}

func failure(exception, code, message string) map[string]any {
	return map[string]any{"exception": exception, "errorcode": code, "message": message}
}

// grades is the report of a course: a quiz, an assignment that nobody has a grade in, and the course's total.
func (s *school) grades(course int) any {
	list := []any{}
	for u := range s.people {
		at := start.Unix()
		if later := s.changed[100+u]; later != 0 && course == 20 {
			at = later
		}
		list = append(list, map[string]any{"courseid": course, "userid": 100 + u, "userfullname": fmt.Sprint("Person ", u), "maxdepth": 2, "gradeitems": []any{
			map[string]any{"id": course*10 + 1, "itemname": "Quiz", "itemtype": "mod", "itemmodule": "quiz", "iteminstance": course * 10, "cmid": course * 100, "graderaw": 7.5, "grademin": 0, "grademax": 10, "gradedatesubmitted": at, "gradedategraded": at, "feedback": "secret"},
			map[string]any{"id": course*10 + 2, "itemname": "Essay", "itemtype": "mod", "itemmodule": "assign", "iteminstance": 3, "cmid": 4, "graderaw": nil, "grademin": 0, "grademax": 100, "gradedatesubmitted": nil, "gradedategraded": nil},
			map[string]any{"id": course*10 + 3, "itemname": nil, "itemtype": "course", "itemmodule": nil, "iteminstance": 5, "graderaw": 75, "grademin": 0, "grademax": 100, "gradedatesubmitted": nil, "gradedategraded": at}}})
	}
	return map[string]any{"usergrades": list, "warnings": []any{}}
}
