package oneroster_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lrshub/lrshub/connectors/oneroster"
	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

func TestMain(m *testing.M) {
	kit.Main(m, map[string]func() sdk.Connector{"oneroster": oneroster.New})
}

// provider answers as OneRoster 1.2 says, with made-up people; it gives 10 records at most, whatever limit is asked for.
type provider struct {
	*httptest.Server
	mu      sync.Mutex
	records map[string][]map[string]any
	before  func(n int) // before request n, from 1
	n       int
}

func newProvider(t *testing.T) *provider {
	p := &provider{records: map[string][]map[string]any{}}
	add := func(collection string, n int, make func(i int) map[string]any) {
		for i := 1; i <= n; i++ {
			r := map[string]any{"sourcedId": fmt.Sprintf("%s-%03d", collection, i), "status": "active", "dateLastModified": "2026-01-05T10:00:00.000Z"}
			maps.Copy(r, make(i))
			p.records[collection] = append(p.records[collection], r)
		}
	}
	ref := func(collection string, i int) map[string]any {
		return map[string]any{"href": "https://sis.example/" + collection, "sourcedId": fmt.Sprintf("%s-%03d", collection, i), "type": strings.TrimSuffix(collection, "s")}
	}
	add("users", 33, func(i int) map[string]any {
		return map[string]any{"username": fmt.Sprintf("u%d", i), "enabledUser": "true", "givenName": "Ann", "familyName": "Example", "email": "", "identifier": 1000 + i,
			"roles": []any{map[string]any{"roleType": "primary", "role": "student", "org": ref("orgs", 1)}}, "userIds": []any{map[string]any{"type": "LDAP", "identifier": "x"}}}
	})
	add("orgs", 2, func(i int) map[string]any { return map[string]any{"name": "Harbour School", "type": "school"} })
	add("academicSessions", 2, func(i int) map[string]any {
		return map[string]any{"title": "2026", "type": "term", "startDate": "2026-01-01", "endDate": "2026-06-30", "schoolYear": 2026}
	})
	add("courses", 3, func(i int) map[string]any {
		return map[string]any{"title": "Algebra", "courseCode": "M1", "org": ref("orgs", 1)}
	})
	add("classes", 4, func(i int) map[string]any {
		return map[string]any{"title": "Algebra 1a", "classType": "scheduled", "course": ref("courses", 1), "school": ref("orgs", 1), "terms": []any{ref("academicSessions", 1)}}
	})
	add("enrollments", 40, func(i int) map[string]any {
		return map[string]any{"role": "student", "primary": false, "beginDate": "2026-01-07", "user": ref("users", 1+i%33), "class": ref("classes", 1+i%4), "school": ref("orgs", 1)}
	})
	add("lineItems", 3, func(i int) map[string]any {
		return map[string]any{"title": "Test 1", "class": ref("classes", 1), "resultValueMax": "20.0", "resultValueMin": 0}
	})
	add("results", 12, func(i int) map[string]any {
		return map[string]any{"lineItem": ref("lineItems", 1), "student": ref("users", i), "score": float64(i), "scoreStatus": "fully graded", "scoreDate": "2026-02-01", "comment": "private"}
	})
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n++; p.before != nil {
		p.before(p.n)
	}
	path := strings.Split(r.URL.Path, "/")
	collection := path[len(path)-1]
	all, known := p.records[collection]
	q := r.URL.Query()
	switch {
	case r.Header.Get("Authorization") != "Bearer made-up-secret":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case !known || q.Get("sort") != "sourcedId" || !strings.HasPrefix(r.URL.Path, "/ims/oneroster/"):
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	offset, _ := strconv.Atoi(q.Get("offset"))
	asked := strings.Split(q.Get("fields"), ",")
	page := []map[string]any{}
	for _, record := range all[min(offset, len(all)):min(offset+10, len(all))] {
		chosen := maps.Clone(record)
		maps.DeleteFunc(chosen, func(name string, _ any) bool { return !slices.Contains(asked, name) })
		page = append(page, chosen)
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(len(all)))
	_ = json.NewEncoder(w).Encode(map[string]any{collection: page})
}

func (p *provider) config() string {
	return fmt.Sprintf(`{"url": "%s/ims/oneroster", "token_url": "%s/token", "client_id": "hub"}`, p.URL, p.URL)
}

type client struct{}

func (client) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer made-up-secret")
	return http.DefaultTransport.RoundTrip(r)
}

func (p *provider) read(t *testing.T, stream string) *sdktest.Result {
	t.Helper()
	got, err := sdktest.Read(t.Context(), oneroster.New(), sdktest.Session(p.config(), &http.Client{Transport: client{}}, nil), sdk.Request{Stream: stream})
	if err != nil {
		t.Fatalf("%s: %v", stream, err)
	}
	return got
}

func TestConformance(t *testing.T) {
	p := newProvider(t)
	kit.Run(t, kit.Subject{
		Name: "oneroster", New: oneroster.New, Config: p.config(), Secrets: map[string]string{"client_secret": "made-up-secret"},
		Streams: []string{"user", "class", "enrollment", "result"},
		Refused: map[string]string{"no url": `{}`, "no token": fmt.Sprintf(`{"url": %q}`, p.URL)},
	})
}

// TestRecords: values come in the standard's types, whichever way a provider writes them; names and comments do not come at all.
func TestRecords(t *testing.T) {
	p := newProvider(t)
	for stream, want := range map[string]string{
		"user": `{"dateLastModified":"2026-01-05T10:00:00.000Z","enabledUser":true,"identifier":"1001","roles":[{"org":{"sourcedId":"orgs-001"},"role":"student","roleType":"primary"}],` +
			`"sourcedId":"users-001","userIds":[{"identifier":"x","type":"LDAP"}],"username":"u1"}`,
		"academic_session": `{"dateLastModified":"2026-01-05T10:00:00.000Z","endDate":"2026-06-30","schoolYear":"2026","sourcedId":"academicSessions-001","startDate":"2026-01-01","title":"2026","type":"term"}`,
		"line_item":        `{"class":{"sourcedId":"classes-001"},"dateLastModified":"2026-01-05T10:00:00.000Z","resultValueMax":20.0,"resultValueMin":0,"sourcedId":"lineItems-001","title":"Test 1"}`,
		"result":           `{"dateLastModified":"2026-01-05T10:00:00.000Z","lineItem":{"sourcedId":"lineItems-001"},"score":1,"scoreDate":"2026-02-01","scoreStatus":"fully graded","sourcedId":"results-001","student":{"sourcedId":"users-001"}}`,
	} {
		if got := p.read(t, stream); len(got.Records) == 0 || got.Records[0] != want || !got.SnapshotComplete {
			t.Errorf("%s: %q", stream, got.Records[:min(1, len(got.Records))])
		}
	}
}

// TestGone: a record that is to be deleted does not come, and so is gone like one that a provider leaves out; what is removed while pages are read makes none be missed.
func TestGone(t *testing.T) {
	p := newProvider(t)
	p.records["users"][4]["status"] = "tobedeleted"
	p.before = func(n int) {
		if n == 3 {
			p.records["users"] = p.records["users"][2:]
		}
	}
	got := p.read(t, "user")
	all := strings.Join(got.Records, "\n")
	if len(got.Records) != 32 || strings.Contains(all, "users-005") || !strings.Contains(all, "users-033") || !got.SnapshotComplete {
		t.Errorf("%d records, complete %t", len(got.Records), got.SnapshotComplete)
	}
}

// TestTokenHost: tokens may come from another host, which is then one that the connection must be allowed to reach.
func TestTokenHost(t *testing.T) {
	d, err := oneroster.New().Describe([]byte(`{"url": "https://sis.example/ims/oneroster", "token_url": "https://id.example/token", "client_id": "hub"}`))
	if err == nil {
		err = d.Validate()
	}
	if err != nil || !slices.Equal(d.Hosts, []string{"https://sis.example", "https://id.example"}) || d.Auth[0].Host != "https://sis.example" || d.Auth[0].Scope == "" {
		t.Errorf("%v %+v", err, d)
	}
}
