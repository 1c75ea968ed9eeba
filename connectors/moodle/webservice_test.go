package moodle

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

func TestWebServicesConformance(t *testing.T) {
	s := newSchool(t)
	kit.Run(t, kit.Subject{
		Name: "moodle", New: New, Config: fmt.Sprintf(`{"url":%q}`, s.URL), Secrets: map[string]string{"token": token},
		Refused: map[string]string{"both": fmt.Sprintf(`{"url":%q,"folder":"/"}`, s.URL), "no address": `{"url":"moodle"}`},
		Slack:   3,
	})
}

// signed adds the token as the hub does.
type signed struct{ token string }

func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	query := r.URL.Query()
	query.Set("wstoken", s.token)
	r.URL.RawQuery = query.Encode()
	return http.DefaultTransport.RoundTrip(r)
}

func read(t *testing.T, s *school, stream, token string, cursor []byte) (*sdktest.Result, error) {
	t.Helper()
	session := sdktest.Session(fmt.Sprintf(`{"url":%q}`, s.URL), &http.Client{Transport: signed{token}}, nil)
	return sdktest.Read(t.Context(), New(), session, sdk.Request{Stream: stream, Cursor: cursor, PageRecords: 4})
}

// TestWhole: what is read whole comes without the front page, grades that are none, and what nobody needs.
func TestWhole(t *testing.T) {
	s := newSchool(t)
	for stream, want := range map[string]int{"course": 3, "enrolment": 21, "grade": 3 * 7 * 2} {
		got, err := read(t, s, stream, token, nil)
		distinct := slices.Compact(slices.Sorted(slices.Values(got.Records)))
		if err != nil || len(distinct) != want || !got.SnapshotComplete {
			t.Errorf("%s: %d records, %v", stream, len(distinct), err)
		}
		for _, secret := range []string{"secret", "profileimageurl", "Front page"} {
			if strings.Contains(strings.Join(got.Records, ""), secret) {
				t.Errorf("%s: %s was brought", stream, secret)
			}
		}
	}
}

// TestChanged: at first everybody is asked about, then only those with something new, and those ten minutes before.
func TestChanged(t *testing.T) {
	s := newSchool(t)
	got, err := read(t, s, "completion", token, nil)
	if err != nil || len(got.Records) != 14 || s.asked["core_completion_get_course_completion_status"] != 21 {
		t.Fatalf("%d records, %v asked, %v", len(got.Records), s.asked, err)
	}
	const want = `{"courseid":20,"status":{"aggregation":1,"completed":true,"completions":[{"complete":true,"details":{"criteria":"50","requirement":"","status":"","type":"Course grade"},` +
		`"status":"90","timecompleted":1772452800,"title":"Grade","type":8}]},"userid":102}`
	if !slices.Contains(got.Records, want) {
		t.Errorf("no %s in %s", want, got.Records)
	}
	s.asked = map[string]int{}
	attempts, err := read(t, s, "attempt", token, nil)
	if err != nil || len(attempts.Records) != 42 || s.asked["mod_quiz_get_attempt_review"] != 21 {
		t.Fatalf("%d attempts, %v asked, %v", len(attempts.Records), s.asked, err)
	}
	joined := strings.Join(attempts.Records, "\n")
	if !strings.Contains(joined, `"questions":[{"mark":"1.00","maxmark":1,"number":1,"questionnumber":"1","slot":1,"state":"gradedright","type":"truefalse"}`) ||
		strings.Contains(joined, "secret") || strings.Count(joined, `"questions"`) != 18 {
		t.Errorf("%s", joined)
	}

	s.changed[104], s.now = start.Add(25*time.Hour).Unix(), start.Add(26*time.Hour)
	s.asked = map[string]int{}
	again, err := read(t, s, "attempt", token, attempts.Cursors[len(attempts.Cursors)-1])
	if err != nil || len(again.Records) != 2 || s.asked["mod_quiz_get_user_attempts"] != 1 || s.asked["gradereport_user_get_grade_items"] != 3 {
		t.Errorf("%d attempts, %v asked, %v", len(again.Records), s.asked, err)
	}
	for _, cursor := range append(got.Cursors, attempts.Cursors...) {
		if len(cursor) > 200 {
			t.Errorf("a cursor of %d bytes: %s", len(cursor), cursor)
		}
	}
}

// TestRefusals: errors come with status 200. Each is of a class, and none passes on what Moodle says of people.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		function, code, stream, token string
		class                         sdk.Class
	}{
		"token":         {"", "", "course", "other", sdk.ClassAuth},
		"no capability": {"gradereport_user_get_grade_items", "nopermissions", "grade", token, sdk.ClassPermission},
		"no function":   {"core_course_get_courses", "accessexception", "completion", token, sdk.ClassPermission},
		"maintenance":   {"core_course_get_courses", "sitemaintenance", "course", token, sdk.ClassTransient},
		"no REST":       {"core_course_get_courses", "servicenotavailable", "course", token, sdk.ClassConfig},
		"unknown":       {"core_completion_get_course_completion_status", "what is this? Ada", "completion", token, sdk.ClassSourceBug},
		"attempts":      {"mod_quiz_get_user_attempts", "invalidrecord", "attempt", token, sdk.ClassSourceBug},
	} {
		s := newSchool(t)
		if test.function != "" {
			s.refuse[test.function] = test.code
		}
		_, err := read(t, s, test.stream, test.token, nil)
		var e *sdk.Error
		if !errors.As(err, &e) || e.Class != test.class || strings.Contains(err.Error(), "Ada") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := newSchool(t)
	if _, err := read(t, s, "attempt", token, []byte(`{"v":2}`)); err == nil {
		t.Error("a cursor of another version was taken")
	}
}
