package canvas

import (
	"encoding/json"
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

func TestMain(m *testing.M) { kit.Main(m, map[string]func() sdk.Connector{"canvas": New}) }

func TestConformance(t *testing.T) {
	s := newSchool(t)
	kit.Run(t, kit.Subject{
		Name: "canvas", New: New, Config: fmt.Sprintf(`{"url":%q,"account":"1"}`, s.URL), Secrets: map[string]string{"token": token},
		Refused: map[string]string{"no url": `{"account":"1"}`, "no account": fmt.Sprintf(`{"url":%q}`, s.URL), "no address": `{"url":"canvas","account":"1"}`},
		Slack:   s.page * 3,
	})
}

// signed is a client with the token, as the hub signs.
type signed struct{ token string }

func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+s.token)
	return http.DefaultTransport.RoundTrip(r)
}

func read(t *testing.T, url, stream string, cursor []byte, set ...string) (*sdktest.Result, error) {
	t.Helper()
	config := map[string]string{"url": url, "account": "1"}
	for i := 0; i+1 < len(set); i += 2 {
		config[set[i]] = set[i+1]
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	session := sdktest.Session(string(text), &http.Client{Transport: signed{token}}, nil)
	return sdktest.Read(t.Context(), New(), session, sdk.Request{Stream: stream, Cursor: cursor})
}

// ids gives what identifies the records.
func ids(t *testing.T, r *sdktest.Result, fields ...string) (all []string) {
	t.Helper()
	for _, text := range r.Records {
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		var parts []string
		for _, f := range fields {
			parts = append(parts, fmt.Sprint(m[f]))
		}
		all = append(all, strings.Join(parts, "/"))
	}
	slices.Sort(all)
	return all
}

// TestRecorded reads what a real Canvas answered, over its pages.
func TestRecorded(t *testing.T) {
	server := recorded(t)
	for stream, want := range map[string][]string{"course": {"1", "2", "3", "4"}, "user": {"1", "2", "3", "4"}} {
		got, err := read(t, server.URL, stream, nil)
		if err != nil || !slices.Equal(ids(t, got, "id"), want) || !got.SnapshotComplete {
			t.Errorf("%s: %v, %v", stream, ids(t, got, "id"), err)
		}
	}
	// Of the four courses only one has recordings of enrolments: the others are as if they had gone meanwhile, and nothing is called complete.
	got, err := read(t, server.URL, "enrolment", nil)
	if err != nil || got.SnapshotComplete || !slices.Equal(ids(t, got, "id"), []string{"1", "2", "3", "4"}) {
		t.Errorf("enrolments: %v, %v", ids(t, got, "id"), err)
	}
}

// TestSubmissions: what is handed in and what is graded come apart, each since the last time only, and corrections come again.
func TestSubmissions(t *testing.T) {
	s := newSchool(t)
	got, err := read(t, s.URL, "submission", nil, "from", "2026-01-01")
	want := []string{"9001/1", "9002/2", "9003/1", "9004/2", "9006/2", "9007/1", "9008/2", "9009/1", "9011/1", "9012/2"}
	if err != nil || !slices.Equal(ids(t, got, "id", "attempt"), want) {
		t.Fatalf("handed in: %v, %v", ids(t, got, "id", "attempt"), err)
	}
	graded, err := read(t, s.URL, "grade", nil, "from", "2026-01-01")
	want = []string{"9001/1", "9002/2", "9003/1", "9005/0", "9006/2", "9007/1", "9009/1", "9010/0", "9011/1"}
	if err != nil || !slices.Equal(ids(t, graded, "id", "attempt"), want) {
		t.Fatalf("graded: %v, %v", ids(t, graded, "id", "attempt"), err)
	}
	later := s.submission(50, 102, 1)
	s.submissions = append(s.submissions, later)
	s.submissions[0]["score"], s.submissions[0]["graded_at"] = 9.75, noon.Add(80*time.Hour).Format(time.RFC3339)
	s.asked = nil
	again, err := read(t, s.URL, "grade", graded.Cursors[len(graded.Cursors)-1], "from", "2026-01-01")
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(t, again, "id", "score"); !slices.Contains(got, "9001/9.75") || !slices.Contains(got, "9050/1.5") || len(got) > 3 {
		t.Errorf("corrected and new: %v", got)
	}
	if !strings.Contains(strings.Join(s.asked, " "), "graded_since=2026-03-0") {
		t.Errorf("asked %v", s.asked)
	}
}

// TestAnswers: each question of each attempt at a quiz is a record, the last time that the attempt was graded counts.
func TestAnswers(t *testing.T) {
	s := newSchool(t)
	got, err := read(t, s.URL, "answer", nil, "from", "2026-01-01")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"9003/1/1/false", "9003/2/1/true", "9003/2/2/partial", "9006/1/1/false", "9006/2/1/true", "9006/2/2/partial", "9009/1/1/false", "9009/2/1/true", "9009/2/2/partial"}
	if got := ids(t, got, "submission_id", "attempt", "question_id", "correct"); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// TestErrors: each refusal is what it is.
func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		header [2]string
		body   string
		class  sdk.Class
	}{
		"no token":         {401, [2]string{"WWW-Authenticate", `Bearer realm="canvas-lms"`}, `{"errors":[{"message":"Invalid access token."}]}`, sdk.ClassAuth},
		"not allowed":      {401, [2]string{}, `{"status":"unauthorized","errors":[{"message":"user not authorized to perform that action"}]}`, sdk.ClassPermission},
		"forbidden":        {403, [2]string{}, `{"status":"unauthorized"}`, sdk.ClassPermission},
		"limit, as before": {403, [2]string{"X-Request-Cost", "1.5"}, `403 Forbidden (Rate Limit Exceeded)`, sdk.ClassRateLimit},
		"limit":            {429, [2]string{"X-Rate-Limit-Remaining", "-3.5"}, `429 Too Many Requests (Rate Limit Exceeded)`, sdk.ClassRateLimit},
		"not there":        {404, [2]string{}, `{}`, sdk.ClassConfig},
		"down":             {503, [2]string{"Retry-After", "7"}, `<html>`, sdk.ClassTransient},
		"a login page":     {200, [2]string{"Content-Type", "text/html"}, `<html><body>Log in`, sdk.ClassConfig},
	} {
		s := newSchool(t)
		s.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set(test.header[0], test.header[1])
			w.WriteHeader(test.status)
			fmt.Fprint(w, test.body)
			return true
		}
		_, err := read(t, s.URL, "submission", nil)
		var e *sdk.Error
		if !errors.As(err, &e) || e.Class != test.class {
			t.Errorf("%s: %v", name, err)
		}
	}
}
