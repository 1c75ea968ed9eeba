package lrs

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/xapi"
)

func edition(second bool) xapi.Version {
	if second {
		return xapi.V2
	}
	return xapi.V1
}

// read reads a query string as a request for several statements does.
func read(text string, version xapi.Version) (q disclose.Query, f form, err error) {
	r := request{Request: &http.Request{URL: &url.URL{RawQuery: text}}, version: version}
	query, err := r.parameters()
	if err == nil {
		err = onlyKnown(query, filters...)
	}
	if err != nil {
		return q, f, err
	}
	if q, err = readQuery(query, version); err != nil {
		return q, f, err
	}
	f, err = readForm(query, http.Header{})
	return q, f, err
}

// written is a query as a query string.
func written(q disclose.Query, f form) string {
	v := url.Values{"limit": {strconv.Itoa(q.Limit)}, "format": {f.name}}
	if q.Agent != nil {
		v.Set("agent", string(q.Agent.JSON()))
	}
	for name, text := range map[string]string{"verb": q.Verb, "activity": q.Activity} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if q.Registration != uuid.Nil {
		v.Set("registration", q.Registration.String())
	}
	for name, set := range map[string]bool{"related_agents": q.RelatedAgents, "related_activities": q.RelatedActivities, "ascending": q.Ascending, "attachments": f.attachments} {
		v.Set(name, strconv.FormatBool(set))
	}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			v.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	return v.Encode()
}

// wantProper: a refusal says what is wrong, in words of ours, and is the client's fault.
func wantProper(t *testing.T, err error) {
	t.Helper()
	var ours problem
	var invalid *xapi.Error
	if !errors.As(err, &invalid) && !(errors.As(err, &ours) && ours.status/100 == 4 && ours.text != "") {
		t.Fatalf("an error of its own kind: %#v", err)
	}
}

// Whatever is asked is refused in our words or understood, and what is understood means the same when it is written out and read again.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "limit=10&ascending=true", "agent=" + escape(`{"mbox":"mailto:ann@example.org","name":"Ann"}`), "verb=http://x.example/v&activity=http://x.example/a&related_activities=true",
		"registration=5B1FA8A5-04fa-4b46-9b8d-2c53a4ee4f21&related_agents=false", "since=2026-01-02T03:04:05.123456789%2B01:00&until=20260102T030405Z", "format=canonical&attachments=true",
		"agent=" + escape(`{"objectType":"Group","member":[{"openid":"http://x.example/o"}]}`), "agent=" + escape(`{"objectType":"Group","account":{"homePage":"http://x.example","name":"n"}}`),
		"limit=1&limit=2", "limit=-1", "%zz", "a;b", "since=9999-12-31T23:59:59-23:00", "until=0000-01-01T00:00:00%2B14:00", "agent=" + strings.Repeat("[", 100),
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, second bool) {
		q, form, err := read(text, edition(second))
		if err != nil {
			wantProper(t, err)
			return
		}
		again, formAgain, err := read(written(q, form), edition(second))
		if err != nil || !reflect.DeepEqual(again, q) || !reflect.DeepEqual(formAgain, form) {
			t.Fatalf("%q is taken, and written out it is %q: %v", text, written(q, form), err)
		}
	})
}

// Whatever form comes in the alternate syntax is refused in our words, or stands for a request that no more is one in the alternate syntax.
func FuzzAlternate(f *testing.F) {
	for _, seed := range [][2]string{
		{"method=PUT", "statementId=5b1fa8a5-04fa-4b46-9b8d-2c53a4ee4f21&content=" + escape(said("ann", "tried", "a", "")) + "&Authorization=Basic+YTpi&X-Experience-API-Version=1.0.3&Content-Type=application/json"},
		{"method=GET", "agent=" + escape(`{"mbox":"mailto:ann@example.org"}`) + "&limit=3"}, {"method=POST", "content=%5B%5D&content=%5B%5D"}, {"method=DELETE", "If-Match=a&If-Match=b"},
		{"method=HEAD", ""}, {"method=get", ""}, {"method=GET&limit=1", ""}, {"method=GET", "X-Experience-API-Version=2.0.0"}, {"method=POST", "%"}, {"method=GET", "content="},
	} {
		f.Add(seed[0], seed[1], "application/x-www-form-urlencoded")
	}
	f.Add("method=GET", "limit=1", "text/plain")
	budget := newBudget(formsMemory, smallMemory)
	f.Fuzz(func(t *testing.T, text, body, kind string) {
		r := &http.Request{Method: "POST", URL: &url.URL{Path: "/xapi/statements", RawQuery: text}, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body))}
		query, err := url.ParseQuery(text)
		if err != nil || !query.Has("method") {
			return
		}
		memory := budget.share(t.Context(), "")
		defer memory.giveBack()
		meant, err := unfold(httptest.NewRecorder(), r, new(face).paced(httptest.NewRecorder(), r, maxForm), query, memory)
		if err != nil {
			wantProper(t, err)
			return
		}
		content, err := io.ReadAll(meant.Body)
		if err != nil || int64(len(content)) != meant.ContentLength || len(content) > len(body) {
			t.Fatalf("the content has %d bytes, announced are %d: %v", len(content), meant.ContentLength, err)
		}
		if meant.Method != query.Get("method") || r.Method != "POST" || r.URL.RawQuery != text {
			t.Fatal("another method is meant, or the request was changed")
		}
		values, err := url.ParseQuery(meant.URL.RawQuery)
		if err != nil {
			t.Fatalf("the query that is meant is malformed: %v", err)
		}
		for _, name := range append(formHeaders, "content") {
			if values.Has(name) {
				t.Fatalf("%s is in the query that is meant", name)
			}
		}
	})
}
