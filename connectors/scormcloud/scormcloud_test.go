package scormcloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

func TestMain(m *testing.M) { kit.Main(m, map[string]func() sdk.Connector{"scormcloud": New}) }

// cloud stands in for SCORM Cloud, by its API v2: registrations by time of update, and a token that allows no other parameter.
type cloud struct {
	*httptest.Server
	mu    sync.Mutex
	list  []string    // registrations
	times []time.Time // of their update
	most  int
}

var began = time.Date(2021, 5, 1, 8, 0, 0, 0, time.UTC)

func newCloud(t *testing.T) *cloud {
	c := &cloud{most: 4}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *cloud) add(n int, updated time.Time, more string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, fmt.Sprintf(`{"id":"reg-%d","instance":0,"updated":%q,"registrationCompletion":"COMPLETED","registrationSuccess":"PASSED","score":{"scaled":85.5},"totalSecondsTracked":61.5,
		"firstAccessDate":"2021-04-01T08:00:00.000Z","course":{"id":"course 1","title":"Safety"},"learner":{"id":"learner-%d","email":"zq@x.example","firstName":"zq","lastName":"zq"},
		"activityDetails":{"id":"root","title":"R","children":[{"id":"sco-1","title":"S","children":[],"runtime":{"runtimeInteractions":[
			{"id":"q1","type":"TRUE_FALSE","timestampUtc":"2021-04-01T08:01:00.000Z","correctResponses":["true"],"learnerResponse":"false","result":"INCORRECT","latency":"0000:00:12.5"},
			{"id":"q1","type":"TrueFalse","learnerResponse":"true","result":"correct","latency":"PT3S"}]}}]}%s}`,
		n, updated.Format("2006-01-02T15:04:05.000Z"), n, more))
	c.times = append(c.times, updated)
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := r.URL.Query()
	user, secret, _ := r.BasicAuth()
	switch {
	case user != "app-1" || secret != "s3cret-value":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case r.URL.Path != "/api/v2/registrations", q.Has("more") && len(q) > 1:
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	since, until, from := q.Get("since"), q.Get("until"), 0
	if q.Has("more") {
		parts := strings.Split(q.Get("more"), "|")
		since, until = parts[0], parts[1]
		from, _ = strconv.Atoi(parts[2])
	} else if q.Get("datetimeFilter") != "updated" || q.Get("includeInteractionsAndObjectives") != "true" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	after, _ := time.Parse(time.RFC3339, since)
	before, err := time.Parse(time.RFC3339, until)
	var list []string
	more := "null"
	for i := from; i < len(c.list); i++ {
		if c.times[i].Before(after) || err == nil && !c.times[i].Before(before) {
			continue
		}
		if len(list) == c.most {
			more = strconv.Quote(fmt.Sprintf("%s|%s|%d", since, until, i))
			break
		}
		list = append(list, c.list[i])
	}
	fmt.Fprintf(w, `{"registrations":[%s],"more":%s}`, strings.Join(list, ","), more)
}

func TestConformance(t *testing.T) {
	c := newCloud(t)
	for n := range 23 {
		c.add(n, time.Now().Add(-time.Duration(100-n)*time.Hour).Truncate(time.Millisecond), "")
	}
	kit.Run(t, kit.Subject{
		Name: "scormcloud", New: New, Config: fmt.Sprintf(`{"url":%q,"app":"app-1"}`, c.URL), Secrets: map[string]string{"secret": "s3cret-value"}, Slack: 8,
		Refused: map[string]string{"no url": `{"app":"a"}`, "no app": fmt.Sprintf(`{"url":%q}`, c.URL), "no JSON": `{`},
	})
}

type basic struct{}

func (basic) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth("app-1", "s3cret-value")
	return http.DefaultTransport.RoundTrip(r)
}

func read(t *testing.T, c *cloud, stream string, cursor []byte) *sdktest.Result {
	t.Helper()
	s := sdktest.Session(fmt.Sprintf(`{"url":%q,"app":"app-1"}`, c.URL), &http.Client{Transport: basic{}}, nil)
	got, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: stream, Cursor: cursor})
	if err != nil || len(got.Bad) > 0 {
		t.Fatalf("%v, bad %v", err, got.Bad)
	}
	return got
}

func TestRecords(t *testing.T) {
	c := newCloud(t)
	c.add(1, began, `,"xapiRegistrationId":"1096856b-28e8-54de-a770-59ffac1d77d2","completedDate":"2021-04-02T08:00:00"`)
	const registration = `"registration":"1096856b-28e8-54de-a770-59ffac1d77d2"`
	got := read(t, c, "registration", nil)
	want := `{"id":"reg-1","instance":0,"updated":"2021-05-01T08:00:00Z","learner":"learner-1","course":"course 1",` + registration + `,"title":"Safety","completion":"completed","success":"passed",` +
		`"score":85.5,"seconds":61.5,"first":"2021-04-01T08:00:00Z","completed":"2021-04-02T08:00:00Z"}`
	if len(got.Records) != 1 || got.Records[0] != want {
		t.Errorf("got  %v\nwant %s", got.Records, want)
	}
	got = read(t, c, "interaction", nil)
	want = `{"id":"reg-1","instance":0,"updated":"2021-05-01T08:00:00Z","learner":"learner-1","course":"course 1",` + registration + `,"activity":"sco-1","title":"S","index":0,"interaction":"q1",` +
		`"kind":"true-false","at":"2021-04-01T08:01:00Z","response":"false","result":"incorrect","latency":"PT0000H00M12.5S","correct":["true"]}`
	if len(got.Records) != 2 || got.Records[0] != want || !strings.Contains(got.Records[1], `"index":1`) || strings.Contains(fmt.Sprint(got.Records), "zq") {
		t.Errorf("got  %v\nwant %s", got.Records, want)
	}
}

func TestIncrements(t *testing.T) {
	c := newCloud(t)
	now := time.Now().Truncate(time.Millisecond)
	for n := range 10 {
		c.add(n, now.Add(-time.Duration(48-n)*time.Hour), "")
	}
	first := read(t, c, "registration", nil)
	if len(first.Records) != 10 {
		t.Fatalf("%d registrations", len(first.Records))
	}
	cursor := first.Cursors[len(first.Cursors)-1]
	c.add(3, now.Add(-time.Minute), "") // updated
	again := read(t, c, "registration", cursor)
	var rec struct{ ID string }
	if len(again.Records) != 1 || json.Unmarshal([]byte(again.Records[0]), &rec) != nil || rec.ID != "reg-3" {
		t.Errorf("%v", again.Records)
	}
}

func TestLatency(t *testing.T) {
	for text, want := range map[string]string{"PT1.5S": "PT1.5S", "0001:02:03.4": "PT0001H02M03.4S", "": "", "12": "", "a:b:c": "", "1:2": ""} {
		if got := latency(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}
