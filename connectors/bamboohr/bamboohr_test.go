package bamboohr_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/lrshub/lrshub/connectors/bamboohr"
	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

func TestMain(m *testing.M) {
	kit.Main(m, map[string]func() sdk.Connector{"bamboohr": bamboohr.New})
}

// company answers as the API's description says (its OpenAPI document, 1.0), with made-up people.
type company struct {
	*httptest.Server
	mu       sync.Mutex
	people   map[int]*employee
	requests []string
}

type employee struct {
	changed time.Time
	action  string
	fields  map[string]any
	jobs    []map[string]any
	records map[string]any
}

var epoch = time.Date(2026, 2, 2, 9, 0, 0, 0, time.UTC)

func newCompany(t *testing.T, people int) *company {
	c := &company{people: map[int]*employee{}}
	for id := 100; id < 100+people; id++ {
		e := &employee{changed: epoch.Add(time.Duration(id) * time.Hour), action: "Updated", records: map[string]any{}}
		e.fields = map[string]any{"id": strconv.Itoa(id), "employeeNumber": fmt.Sprintf("E-%d", id), "status": "Active", "hireDate": "2024-03-01", "terminationDate": "0000-00-00",
			"jobTitle": "Nurse", "department": "Ward 3", "location": nil, "supervisorEId": "100", "workEmail": ""}
		e.jobs = []map[string]any{
			{"id": fmt.Sprint(2 * id), "employeeId": fmt.Sprint(id), "date": "2025-07-01", "jobTitle": "Senior nurse", "department": "Ward 3", "reportsTo": "Ann Example"},
			{"id": fmt.Sprint(2*id + 1), "employeeId": fmt.Sprint(id), "date": "2024-03-01", "jobTitle": "Nurse", "department": "Ward 3", "reportsTo": "Ann Example"},
		}
		if id%2 == 0 {
			e.records[fmt.Sprint(id*10)] = map[string]any{"id": id * 10, "employeeId": fmt.Sprint(id), "completed": "2026-01-15", "notes": "private", "instructor": "Ann Example", "type": "18", "credits": nil, "cost": ""}
		}
		c.people[id] = e
	}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *company) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r.URL.Path)
	if user, _, _ := r.BasicAuth(); user != "made-up-key" || r.Header.Get("Accept") != "application/json" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/api/v1/"), "/")
	id, _ := strconv.Atoi(path[len(path)-1])
	e := c.people[id]
	var answer any
	switch {
	case r.URL.Path == "/api/v1/employees/changed":
		answer = c.changed(w, r.URL.Query().Get("since"))
	case r.URL.Path == "/api/v1/employees/all/tables/jobInfo", r.URL.Path == "/api/v1/employees/all/tables/employmentStatus":
		answer = c.table(path[3])
	case r.URL.Path == "/api/v1/training/type":
		answer = map[string]any{"18": map[string]any{"id": 18, "name": "Hand hygiene", "required": true, "category": []any{}}, "19": map[string]any{"id": 19, "name": "Fire safety", "required": nil, "category": map[string]any{"id": 3, "name": "Safety"}}}
	case e == nil || e.action == "Deleted":
		w.WriteHeader(http.StatusNotFound)
		return
	case path[0] == "training" && len(e.records) == 0:
		answer = []any{} // as PHP writes an empty object
	case path[0] == "training":
		answer = e.records
	default:
		answer = e.fields
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (c *company) changed(w http.ResponseWriter, since string) any {
	from, err := time.Parse(time.RFC3339, since)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return nil
	}
	list, latest := map[string]any{}, from
	for id, e := range c.people {
		if !e.changed.Before(from) {
			list[fmt.Sprint(id)] = map[string]any{"id": fmt.Sprint(id), "action": e.action, "lastChanged": e.changed}
			latest = e.changed
		}
	}
	if len(list) == 0 {
		return map[string]any{"latest": latest, "employees": []any{}}
	}
	return map[string]any{"latest": latest, "employees": list}
}

func (c *company) table(name string) any {
	rows := []map[string]any{}
	for id := 100; id < 200; id++ {
		e := c.people[id]
		switch {
		case e == nil || e.action == "Deleted":
		case name == "jobInfo":
			rows = append(rows, e.jobs...)
		default:
			rows = append(rows, map[string]any{"id": fmt.Sprint(id), "employeeId": fmt.Sprint(id), "date": "2024-03-01", "employmentStatus": "Full-Time"})
		}
	}
	return rows
}

func (c *company) config() string { return fmt.Sprintf(`{"url": %q}`, c.URL) }

// client signs as the hub does.
type client struct{}

func (client) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth("made-up-key", "x")
	return http.DefaultTransport.RoundTrip(r)
}

func (c *company) read(t *testing.T, stream string, cursor []byte) *sdktest.Result {
	t.Helper()
	got, err := sdktest.Read(t.Context(), bamboohr.New(), sdktest.Session(c.config(), &http.Client{Transport: client{}}, nil), sdk.Request{Stream: stream, Cursor: cursor})
	if err != nil {
		t.Fatalf("%s: %v", stream, err)
	}
	slices.Sort(got.Records)
	return got
}

func TestConformance(t *testing.T) {
	c := newCompany(t, 12)
	kit.Run(t, kit.Subject{
		Name: "bamboohr", New: bamboohr.New, Config: c.config(), Secrets: map[string]string{"key": "made-up-key"},
		Refused: map[string]string{"no url": `{}`, "not an address": `{"url": "acme"}`},
	})
}

// TestEmployees: the feed names who changed, and each is asked for; a deletion is passed on; who did not change costs nothing.
func TestEmployees(t *testing.T) {
	c := newCompany(t, 5)
	first := c.read(t, "employee", nil)
	if len(first.Records) != 5 || first.Records[1] != `{"changed":"2026-02-06T14:00:00Z","department":"Ward 3","hired":"2024-03-01","id":"101","manager":"100","number":"E-101","status":"Active","title":"Nurse"}` {
		t.Fatalf("%q", first.Records)
	}
	now := time.Now().UTC().Truncate(time.Second)
	c.people[102].fields["status"], c.people[102].fields["terminationDate"], c.people[102].changed = "Inactive", "2026-05-31", now
	c.people[103].action, c.people[103].changed = "Deleted", now
	c.people[104].changed = now
	c.people[104].fields = nil // it cannot be seen any more, but is not deleted
	c.requests = nil
	second := c.read(t, "employee", first.Cursors[len(first.Cursors)-1])
	if len(second.Records) != 2 || !strings.Contains(strings.Join(second.Records, ""), `"left":"2026-05-31"`) || !slices.Equal(second.Deleted, []string{`["103"]`}) {
		t.Errorf("%q, deleted %q", second.Records, second.Deleted)
	}
	if slices.Contains(c.requests, "/api/v1/employees/101") {
		t.Errorf("who did not change was asked for: %q", c.requests)
	}
}

// TestHistory: rows come in any order; each gets its end, and what was before it. The manager's name stays at the source.
func TestHistory(t *testing.T) {
	c := newCompany(t, 2)
	got := c.read(t, "job", nil)
	want := []string{
		`{"department":"Ward 3","employee":"101","first":false,"from":"2025-07-01","previous_department":"Ward 3","previous_title":"Nurse","row":"202","title":"Senior nurse"}`,
		`{"department":"Ward 3","employee":"101","first":true,"from":"2024-03-01","row":"203","title":"Nurse","until":"2025-07-01"}`,
	}
	if !slices.Equal(slices.DeleteFunc(got.Records, func(r string) bool { return !strings.Contains(r, `"101"`) }), want) || !got.SnapshotComplete {
		t.Errorf("%s", strings.Join(got.Records, "\n"))
	}
}

// TestTraining: who has no record has an empty list in the place of an object; what nobody needs stays at the source.
func TestTraining(t *testing.T) {
	c := newCompany(t, 4)
	got := c.read(t, "training", nil)
	if len(got.Records) != 2 || got.Records[0] != `{"completed":"2026-01-15","employee":"100","id":"1000","type":"18"}` || !got.SnapshotComplete {
		t.Errorf("%q, complete %t", got.Records, got.SnapshotComplete)
	}
	types := c.read(t, "training_type", nil)
	if want := []string{`{"category":"Safety","id":"19","name":"Fire safety"}`, `{"id":"18","name":"Hand hygiene","required":true}`}; !slices.Equal(types.Records, want) {
		t.Errorf("%q", types.Records)
	}
}

// TestPaths: everything that is asked for stands in the API's own description.
func TestPaths(t *testing.T) {
	text, err := os.ReadFile("../../../shared/data/replay/bamboohr/public.yaml")
	if err != nil {
		t.Skip("shared/data/replay/bamboohr is not here: the paths are not compared with the API's description")
	}
	var api struct {
		Paths map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &api); err != nil {
		t.Fatal(err)
	}
	c := newCompany(t, 2)
	for _, stream := range []string{"employee", "job", "employment", "training", "training_type"} {
		c.read(t, stream, nil)
	}
	for _, path := range c.requests {
		known := false
		for described := range api.Paths {
			known = known || matches(described, path)
		}
		if !known {
			t.Errorf("%s is not described", path)
		}
	}
}

func matches(described, path string) bool {
	a, b := strings.Split(described, "/"), strings.Split(path, "/")
	for i := range a {
		if len(a) != len(b) || a[i] != b[i] && !strings.HasPrefix(a[i], "{") {
			return false
		}
	}
	return true
}
