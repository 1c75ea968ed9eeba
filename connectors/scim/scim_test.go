package scim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/scim"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

func TestMain(m *testing.M) {
	kit.Main(m, map[string]func() sdk.Connector{"scim": New})
}

const token = "zq-scim-token-0001"

// provider stands in for an identity provider: it pages by index or by cursor, and wants the token.
type provider struct {
	mu        sync.Mutex
	resources map[string][]string // by path
	cursors   bool                // it pages by cursor
	drift     func(path string, start int)
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/scim+json")
	if r.Header.Get("Authorization") != "Bearer "+token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.URL.Path == "/scim/v2/ServiceProviderConfig" {
		fmt.Fprintf(w, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],"pagination":{"cursor":%t,"index":true}}`, p.cursors)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/scim/v2")
	all, known := p.resources[path]
	if !known {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	q := r.URL.Query()
	count, _ := strconv.Atoi(q.Get("count"))
	start, _ := strconv.Atoi(q.Get("startIndex"))
	if q.Has("cursor") {
		start = 1
		if c := q.Get("cursor"); c != "" {
			if _, err := fmt.Sscanf(c, "at-%d", &start); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"scimType":"invalidCursor","status":"400"}`)
				return
			}
		}
	}
	if p.drift != nil {
		p.drift(path, start)
		all = p.resources[path]
	}
	end := min(start-1+count, len(all))
	page := all[min(start-1, len(all)):end]
	next := ""
	if q.Has("cursor") && end < len(all) {
		next = fmt.Sprintf(`,"nextCursor":"at-%d"`, end+1)
	}
	fmt.Fprintf(w, `{"schemas":["%s"],"totalResults":%d,"startIndex":%d,"itemsPerPage":%d,"Resources":[%s]%s}`, scim.ListMessage, len(all), start, len(page), strings.Join(page, ","), next)
}

// serve starts a provider with some made-up users and groups.
func serve(t *testing.T, cursors bool) (*provider, string) {
	t.Helper()
	p := &provider{cursors: cursors, resources: map[string][]string{}}
	for i := range 23 {
		p.resources["/Users"] = append(p.resources["/Users"], fmt.Sprintf(`{"schemas":["%s"],"id":"u%d","userName":"user%d@example.org","active":%t,"password":"zq-password",
			"%s":{"employeeNumber":"%d","manager":{"value":"u0"}},"meta":{"created":"2026-01-02T03:04:05Z"}}`, scim.UserSchema, i, i, i%2 == 0, scim.EnterpriseSchema, 1000+i))
	}
	for i := range 7 {
		p.resources["/Groups"] = append(p.resources["/Groups"], fmt.Sprintf(`{"id":"g%d","displayName":"Group %d","members":[{"value":"u%d"}]}`, i, i, i))
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return p, server.URL + "/scim/v2"
}

func TestConformance(t *testing.T) {
	for name, cursors := range map[string]bool{"index": false, "cursor": true} {
		t.Run(name, func(t *testing.T) {
			p, address := serve(t, cursors)
			kit.Run(t, kit.Subject{
				Name: "scim", New: New, Config: fmt.Sprintf(`{"url":%q,"page":4}`, address), Secrets: map[string]string{"token": token}, Slack: 3,
				Refused: map[string]string{
					"no address": `{"url":"id.example.org"}`, "address with a password": `{"url":"https://a:b@id.example.org"}`,
					"page": `{"page":0}`, "paging": `{"paging":"random"}`, "not texts": `{"url":7}`,
				},
				Failure: `{"schemas":["` + scim.ErrorMessage + `"],"status":"500"}`,
				Expired: kit.Answer{Status: 400, Body: `{"schemas":["` + scim.ErrorMessage + `"],"scimType":"expiredCursor","status":"400"}`},
				Remove: func(stream string) []any {
					p.mu.Lock()
					defer p.mu.Unlock()
					path, prefix := "/Users", "u"
					if stream == scim.GroupStream {
						path, prefix = "/Groups", "g"
					}
					p.resources[path] = p.resources[path][:len(p.resources[path])-1]
					return []any{fmt.Sprint(prefix, len(p.resources[path]))}
				},
			})
		})
	}
}

func session(address string) *sdk.Session {
	return sdktest.Session(fmt.Sprintf(`{"url":%q,"page":4}`, address), &http.Client{Transport: signed{}}, nil)
}

// signed adds the token, as the hub does.
type signed struct{}

func (signed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return http.DefaultTransport.RoundTrip(r)
}

func TestRecords(t *testing.T) {
	_, address := serve(t, false)
	got, err := sdktest.Read(t.Context(), New(), session(address), sdk.Request{Stream: scim.UserStream})
	if err != nil || len(got.Records) != 23 || !got.SnapshotComplete {
		t.Fatalf("%d users, complete %t, %v", len(got.Records), got.SnapshotComplete, err)
	}
	want := `{"active":false,"enterprise":{"employeeNumber":"1001","manager":{"value":"u0"}},"id":"u1","meta":{"created":"2026-01-02T03:04:05Z"},"userName":"user1@example.org"}`
	if got.Records[1] != want {
		t.Errorf("got  %s\nwant %s", got.Records[1], want)
	}
}

// A source that changes while it is read does not have what was not seen taken back.
func TestDrift(t *testing.T) {
	p, address := serve(t, false)
	p.drift = func(path string, start int) {
		if start == 9 { // the first user is deleted: the ninth comes to stand where the eighth was, and is not seen
			p.resources[path] = p.resources[path][1:]
		}
	}
	got, err := sdktest.Read(t.Context(), New(), session(address), sdk.Request{Stream: scim.UserStream})
	if err != nil || got.SnapshotComplete {
		t.Errorf("complete %t, %v", got.SnapshotComplete, err)
	}
}

func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		header string
		body   string
		class  contract.Class
	}{
		"no token":       {401, "", ``, contract.ClassAuth},
		"not allowed":    {403, "", ``, contract.ClassPermission},
		"elsewhere":      {404, "", ``, contract.ClassConfig},
		"limited":        {429, "7", ``, contract.ClassRateLimit},
		"down":           {503, "", ``, contract.ClassTransient},
		"no list":        {200, "", `<html>zq-page</html>`, contract.ClassSourceBug},
		"an error":       {200, "", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":"zq-detail"}`, contract.ClassSourceBug},
		"expired cursor": {400, "", `{"scimType":"expiredCursor","detail":"zq-detail"}`, contract.ClassCursorExpired},
		"bad filter":     {400, "", `{"scimType":"invalidFilter","detail":"zq-detail"}`, contract.ClassConfig},
		"no total":       {200, "", `{"Resources":[]}`, contract.ClassSourceBug},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if test.header != "" {
				w.Header().Set("Retry-After", test.header)
			}
			w.WriteHeader(test.status)
			fmt.Fprint(w, test.body)
		}))
		s := sdktest.Session(fmt.Sprintf(`{"url":%q,"paging":"index"}`, server.URL), nil, nil)
		_, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: scim.UserStream})
		var told *sdk.Error
		if !errors.As(err, &told) || told.Class != test.class || strings.Contains(err.Error(), "zq-") || (test.header != "") != (told.RetryAfter > 0) {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
	err := New().Read(t.Context(), sdktest.Session(`{}`, nil, nil), sdk.Request{Stream: scim.UserStream}, nil)
	var told *sdk.Error
	if !errors.As(err, &told) || told.Class != contract.ClassUnsupported {
		t.Errorf("a connection that is pushed to: %v", err)
	}
}

// The samples of the RFCs, as a provider would list them.
func TestRFCSamples(t *testing.T) {
	folder := filepath.Join("..", "..", "..", "shared", "data", "replay", "scim")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("needs ../shared/data/replay/scim beside the repository")
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	p := &provider{resources: map[string][]string{
		"/Users":  {read("rfc7643-8.1-user-minimal.json"), strings.ReplaceAll(read("rfc7643-8.2-user-full.json"), "2819c223-7f76-453a-919d-413861904646", "full"), strings.ReplaceAll(read("rfc7643-8.3-enterprise_user.json"), "2819c223-7f76-453a-919d-413861904646", "enterprise")},
		"/Groups": {read("rfc7643-8.4-group.json")},
	}}
	server := httptest.NewServer(p)
	defer server.Close()
	got, err := sdktest.Read(t.Context(), New(), session(server.URL+"/scim/v2"), sdk.Request{Stream: scim.UserStream})
	if err != nil || len(got.Records) != 3 || !got.SnapshotComplete || len(got.Bad) > 0 {
		t.Fatalf("%d users, %v", len(got.Records), err)
	}
	var user struct {
		ID         string
		ExternalID string
		Title      string
		Enterprise struct {
			EmployeeNumber, Department string
			Manager                    struct{ Value string }
		}
		Groups []struct{ Value string }
	}
	if err := json.Unmarshal([]byte(got.Records[2]), &user); err != nil || user.ExternalID != "701984" || user.Enterprise.EmployeeNumber != "701984" || user.Enterprise.Manager.Value == "" || len(user.Groups) != 3 {
		t.Errorf("%+v, %v", user, err)
	}
	for _, never := range []string{"password", "photos", "x509", "ims", "phoneNumbers", "t1meMa$heen"} {
		if strings.Contains(strings.Join(got.Records, ""), never) {
			t.Errorf("%s was brought", never)
		}
	}
	groups, err := sdktest.Read(t.Context(), New(), session(server.URL+"/scim/v2"), sdk.Request{Stream: scim.GroupStream})
	if err != nil || len(groups.Records) != 1 || !strings.Contains(groups.Records[0], `"members":[{`) {
		t.Errorf("groups: %v, %v", groups.Records, err)
	}
}
