package rest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/rest"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// A range asks for what was updated in it and for nothing after it, however far the stream was read.
func TestRange(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked = append(asked, q.Get("since")+" "+q.Get("until"))
		since, _ := time.Parse(time.RFC3339, q.Get("since"))
		until, _ := time.Parse(time.RFC3339, q.Get("until"))
		var list []string
		for n := 1; n <= 28; n++ {
			if at := day(n); !at.Before(since) && at.Before(until) {
				list = append(list, fmt.Sprintf(`{"id":%d,"updated":%q}`, n, at.Format(time.RFC3339)))
			}
		}
		fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
	}))
	defer server.Close()
	c := rest.Connector{
		Base: "{url}", About: sdk.Description{Name: "days", Version: "1.0.0", ConfigSchema: `{"type":"object"}`},
		Streams: []rest.Stream{{
			Stream: contract.Stream{Name: "day", Key: []string{"id"}, Mode: contract.Incremental, Fields: []contract.Field{{Name: "id", Type: contract.Int}, {Name: "updated", Type: contract.Timestamp}}},
			Path:   "/days", Window: &rest.Window{Since: "since", Until: "until", Updated: "updated", Step: 5 * 24 * time.Hour},
		}},
	}
	config := fmt.Sprintf(`{"url":%q}`, server.URL)
	d, err := c.Describe([]byte(config))
	if err != nil || !d.Streams[0].Ranges {
		t.Fatalf("%+v, %v", d.Streams, err)
	}
	got, err := sdktest.Read(context.Background(), c, sdktest.Session(config, nil, nil), sdk.Request{Stream: "day", Since: day(3), Until: day(20)})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, r := range got.Records {
		ids[r] = true
	}
	if len(ids) != 17 {
		t.Errorf("%d days of 17: %v", len(ids), got.Records)
	}
	for _, a := range asked {
		since, until, _ := strings.Cut(a, " ")
		if since < day(2).Format(time.RFC3339) || until > day(20).Format(time.RFC3339) || until == "" {
			t.Errorf("asked for %s", a)
		}
	}
}
