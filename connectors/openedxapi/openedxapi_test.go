package openedxapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

func TestMain(m *testing.M) { kit.Main(m, map[string]func() sdk.Connector{"openedxapi": New}) }

// lms stands in for Open edX: Django REST framework's pages by cursor. The suite's access token is the secret itself.
type lms struct {
	*httptest.Server
	mu    sync.Mutex
	lists map[string][]string // by path and course
}

func newLMS(t *testing.T) *lms {
	l := &lms{lists: map[string][]string{}}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	for _, id := range []string{"course-v1:Brook+SOIL101+2031", "course-v1:Brook+RAIN+2031", "course-v1:Brook+EMPTY+2031"} {
		l.lists["/api/courses/v1/courses/"] = append(l.lists["/api/courses/v1/courses/"], fmt.Sprintf(`{"course_id":%q,"name":"zq"}`, id))
	}
	return l
}

func (l *lms) enrol(course, user string, active bool) {
	key := "/api/enrollment/v1/enrollments?" + course
	l.lists[key] = append(l.lists[key], fmt.Sprintf(`{"created":"2031-02-03T04:05:06.789Z","mode":"audit","is_active":%t,"user":%q,"course_id":%q}`, active, user, course))
	key = "/api/grades/v1/courses/" + course + "/"
	l.lists[key] = append(l.lists[key], fmt.Sprintf(`{"username":%q,"email":"zq@learn.example","course_id":%q,"passed":true,"percent":0.82,"letter_grade":"B"}`, user, course))
}

func (l *lms) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer s3cret-value" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	q := r.URL.Query()
	key := r.URL.Path
	if q.Has("course_id") {
		key += "?" + q.Get("course_id")
	}
	list, at := l.lists[key], 0
	at, _ = strconv.Atoi(q.Get("cursor"))
	end, next := min(at+3, len(list)), "null"
	if end < len(list) {
		q.Set("cursor", strconv.Itoa(end))
		next = fmt.Sprintf("%q", l.URL+r.URL.EscapedPath()+"?"+q.Encode())
	}
	page := strings.Join(list[min(at, len(list)):end], ",")
	if r.URL.Path == "/api/courses/v1/courses/" {
		fmt.Fprintf(w, `{"results":[%s],"pagination":{"next":%s,"previous":null,"count":%d,"num_pages":1}}`, page, next, len(list))
		return
	}
	fmt.Fprintf(w, `{"next":%s,"previous":null,"results":[%s]}`, next, page)
}

func TestConformance(t *testing.T) {
	l := newLMS(t)
	for n := range 11 {
		l.enrol("course-v1:Brook+SOIL101+2031", fmt.Sprintf("learner-%d", n), n%3 > 0)
		l.enrol("course-v1:Brook+RAIN+2031", fmt.Sprintf("learner-%d", n), true)
	}
	kit.Run(t, kit.Subject{
		Name: "openedxapi", New: New, Config: fmt.Sprintf(`{"url":%q,"client":"app-1"}`, l.URL), Secrets: map[string]string{"secret": "s3cret-value"}, Slack: 3,
		Refused: map[string]string{"no url": `{"client":"a"}`, "no client": fmt.Sprintf(`{"url":%q}`, l.URL), "no JSON": `{`},
	})
}

type bearer struct{}

func (bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer s3cret-value")
	return http.DefaultTransport.RoundTrip(r)
}

func TestRecords(t *testing.T) {
	l := newLMS(t)
	l.enrol("course-v1:Brook+SOIL101+2031", "ann", true)
	for stream, want := range map[string]string{"enrolment": `"created":"2031-02-03T04:05:06.789Z"`, "grade": `"percent":0.82`} {
		s := sdktest.Session(fmt.Sprintf(`{"url":%q,"client":"app-1"}`, l.URL), &http.Client{Transport: bearer{}}, nil)
		got, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: stream})
		if err != nil || len(got.Records) != 1 || !strings.Contains(got.Records[0], want) || !got.SnapshotComplete {
			t.Errorf("%s: %v, %v", stream, err, got.Records)
		}
	}
}
