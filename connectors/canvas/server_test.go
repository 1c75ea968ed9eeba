package canvas

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const token = "t0ken-of-canvas"

// school stands in for a Canvas site, by the shapes that its documentation gives: Link headers with opaque places, times by which
// submissions are left out, errors, costs.
type school struct {
	*httptest.Server
	t           *testing.T
	page        int
	courses     []int
	people      int // students of each course
	submissions []map[string]any
	refuse      func(w http.ResponseWriter, r *http.Request) bool
	asked       []string
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func newSchool(t *testing.T) *school {
	s := &school{t: t, page: 4, courses: []int{101, 102, 103}, people: 5}
	id := 0
	for _, course := range []int{101, 103} {
		for n := range 6 {
			id++
			s.submissions = append(s.submissions, s.submission(id, course, n))
		}
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

// submission is one of an assignment; every third one is of a quiz, every fourth is not graded, every fifth was graded without being handed in.
func (s *school) submission(id, course, n int) map[string]any {
	at := noon.Add(time.Duration(id) * time.Hour)
	m := map[string]any{
		"id": 9000 + id, "user_id": 500 + n%s.people, "assignment_id": 70 + n%2, "attempt": 1 + n%2, "score": float64(n) + 0.5, "grade": fmt.Sprint(n),
		"submitted_at": at.Format(time.RFC3339), "graded_at": at.Add(24 * time.Hour).Format(time.RFC3339), "workflow_state": "graded",
		"submission_type": "online_text_entry", "body": "secret essay", "late": false, "preview_url": "https://x/",
		"assignment": map[string]any{"id": 70 + n%2, "course_id": course, "name": "Essay", "points_possible": 10.0, "description": "long"},
	}
	if id%3 == 0 {
		m["submission_history"] = []any{map[string]any{"attempt": 1, "submitted_at": at.Add(-time.Hour).Format(time.RFC3339), "submission_data": []any{
			map[string]any{"question_id": 1, "correct": false, "points": 0, "text": "<p>No</p>"}}},
			map[string]any{"attempt": 2, "submitted_at": at.Format(time.RFC3339), "submission_data": []any{
				map[string]any{"question_id": 1, "correct": "undefined", "points": 0.0, "text": "old"}}},
			map[string]any{"attempt": 2, "submitted_at": at.Format(time.RFC3339), "submission_data": []any{
				map[string]any{"question_id": 1, "correct": true, "points": 1.5, "text": "<p>Yes</p>", "answer_id": 7},
				map[string]any{"question_id": 2, "correct": "partial", "points": 0.5, "text": ""}}}}
	} else {
		m["submission_history"] = []any{map[string]any{"attempt": 1, "submitted_at": at.Format(time.RFC3339)}}
	}
	if id%4 == 0 {
		m["graded_at"], m["score"], m["grade"], m["workflow_state"] = nil, nil, nil, "submitted"
	}
	if id%5 == 0 {
		m["submitted_at"], m["attempt"] = nil, nil
	}
	return m
}

func (s *school) answer(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.URL.String())
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Request-Cost", "0.5")
	w.Header().Set("X-Rate-Limit-Remaining", "650.25")
	if s.refuse != nil && s.refuse(w, r) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+token {
		w.Header().Set("WWW-Authenticate", `Bearer realm="canvas-lms"`)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"message":"Invalid access token."}]}`)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/")
	query := r.URL.Query()
	var course int
	var all []any
	switch {
	case path == "accounts/1/courses":
		for _, id := range s.courses {
			all = append(all, map[string]any{"id": id, "name": fmt.Sprint("Course ", id), "course_code": "C", "workflow_state": "available", "calendar": map[string]any{"ics": "https://x/"}})
		}
	case path == "accounts/1/users":
		for n := range s.people {
			all = append(all, map[string]any{"id": 500 + n, "name": fmt.Sprint("Student ", n), "login_id": fmt.Sprint("s", n), "email": fmt.Sprintf("s%d@school.example", n), "avatar_url": "https://x/"})
		}
	case scan(path, "courses/%d/enrollments", &course):
		for n := range s.people {
			all = append(all, map[string]any{"id": course*10 + n, "course_id": course, "user_id": 500 + n, "type": "StudentEnrollment", "enrollment_state": "active",
				"created_at": noon.Format(time.RFC3339), "last_activity_at": noon.Format(time.RFC3339), "user": map[string]any{"id": 500 + n, "name": fmt.Sprint("Student ", n)}})
		}
	case scan(path, "courses/%d/students/submissions", &course) && query.Get("student_ids[]") == "all":
		all = s.since(course, query.Get("submitted_since"), query.Get("graded_since"))
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"message":"The specified resource does not exist."}]}`)
		return
	}
	s.write(w, r, all)
}

func scan(path, format string, course *int) bool {
	n, err := fmt.Sscanf(path, format, course)
	return err == nil && n == 1 && path == fmt.Sprintf(format, *course)
}

// since leaves out what has no time of a kind that is asked for, or an earlier one.
func (s *school) since(course int, submitted, graded string) (all []any) {
	for _, m := range s.submissions {
		keep := m["assignment"].(map[string]any)["course_id"] == course
		for name, since := range map[string]string{"submitted_at": submitted, "graded_at": graded} {
			at, _ := m[name].(string)
			if since != "" && (at == "" || at < since) {
				keep = false
			}
		}
		if keep {
			all = append(all, m)
		}
	}
	return all
}

// write gives a page. Where it goes on stands in the Link header only.
func (s *school) write(w http.ResponseWriter, r *http.Request, all []any) {
	from, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("page"), "opaque:"))
	size := min(s.page, 100)
	if to := from + size; to < len(all) {
		next := *r.URL
		query := next.Query()
		query.Set("page", fmt.Sprint("opaque:", to))
		next.RawQuery = query.Encode()
		w.Header().Set("Link", fmt.Sprintf(`<%s%s>; rel="current",<%s%s>; rel="next"`, s.URL, r.URL, s.URL, next.String()))
		all = all[:to]
	}
	if from < len(all) {
		all = all[from:]
	} else {
		all = []any{}
	}
	if err := json.NewEncoder(w).Encode(all); err != nil {
		s.t.Error(err)
	}
}

// recorded serves the recordings of the canvasapi project, whose links lead to their own host.
func recorded(t *testing.T) *httptest.Server {
	t.Helper()
	folder := filepath.Join("..", "..", "..", "shared", "data", "replay", "canvas")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("needs ../shared/data/replay/canvas beside the repository")
	}
	type exchange struct {
		Method   string
		Endpoint string
		Data     json.RawMessage
		Headers  map[string]string
		Status   int `json:"status_code"`
	}
	answers := map[string]exchange{}
	for _, name := range []string{"account.json", "course.json", "requests.json"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]exchange
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if e.Method == http.MethodGet || e.Method == "ANY" {
				if _, there := answers[e.Endpoint]; !there || len(e.Headers) > 0 {
					answers[e.Endpoint] = e
				}
			}
		}
	}
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		endpoint := strings.TrimPrefix(r.URL.Path, "/api/v1/")
		if page := r.URL.Query().Get("page"); page != "" {
			endpoint += "?page=" + page + "&per_page=" + r.URL.Query().Get("per_page")
		}
		e, ok := answers[endpoint]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		for name, value := range e.Headers {
			w.Header().Set(name, strings.ReplaceAll(value, "https://example.com", server.URL))
		}
		if e.Status != 0 {
			w.WriteHeader(e.Status)
		}
		w.Write(e.Data)
	}))
	t.Cleanup(server.Close)
	return server
}
