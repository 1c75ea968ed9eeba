package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/hub/entry"
)

// Records that no system holds: entered one by one and as a sheet, corrected, taken back; by the command line and in the console.
func TestRecords(t *testing.T) {
	t.Parallel()
	admin := tenantOf(t, "records")
	reader := admin.client("reader", "statements/read")
	clerk := admin.client("clerk", "records/enter")
	mapping, err := filepath.Abs("../../connectors/manual/mapping.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	file := write(t, dir, "on-the-job.yaml", "connector: manual\nconfig: {}\nmapping: %s\nparams: {home_page: \"https://people.brook.example/\"}\n", mapping)
	admin.must("connection", "add", "on-the-job", "--config", file)

	enter := func(want entry.Result, args ...string) {
		t.Helper()
		var got entry.Result
		clerk.json(&got, append([]string{"record"}, args...)...)
		if got.Delivery = want.Delivery; got != want {
			t.Errorf("record %s: %+v, want %+v", strings.Join(args, " "), got, want)
		}
	}
	forklift := []string{"add", "on-the-job", "--id", "f-1", "--kind", "training", "--learner", "ada@brook.example", "--activity", "https://example.org/training/forklift",
		"--date", "2026-05-06", "--minutes", "90", "--vouched-by", "bo@brook.example"}
	enter(entry.Result{Records: 1, Changed: 1}, append(forklift, "--outcome", "failed")...)
	enter(entry.Result{Records: 1, Unchanged: 1}, append(forklift, "--outcome", "failed")...)
	enter(entry.Result{Records: 1, Changed: 1}, append(forklift, "--outcome", "passed")...)
	verbs := func(want string) {
		t.Helper()
		got := map[string]int{}
		for _, line := range strings.Split(strings.TrimSpace(reader.must("statement", "export", "-o", "jsonl")), "\n") {
			var s struct {
				Verb    struct{ ID string }
				Context struct{ Instructor struct{ Mbox string } }
			}
			if err := json.Unmarshal([]byte(line), &s); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			name := s.Verb.ID[strings.LastIndex(s.Verb.ID, "/")+1:]
			if got[name]++; name != "voided" && s.Context.Instructor.Mbox != "mailto:bo@brook.example" {
				t.Errorf("who vouches: %s", line)
			}
		}
		if text := fmt.Sprint(got); text != want {
			t.Errorf("statements: %s, want %s", text, want)
		}
	}
	verbs("map[passed:1]")

	const rows = "kind;learner;activity;date;vouched_by;id\nattendance;p-%d;https://example.org/training/briefing;2026-05-06;bo@brook.example;a-%[1]d\n"
	wrong := write(t, dir, "wrong.csv", "%s", fmt.Sprintf(rows, 1)+"attendance;;https://example.org/training/briefing;2026-05-06;bo@brook.example;a-2\n")
	r := clerk.run("record", "import", "on-the-job", wrong)
	if r.Code != 2 || !strings.Contains(r.Err, "nothing was stored") || !strings.Contains(r.Err, "line 3: learner is missing") {
		t.Errorf("a wrong sheet: %d %s", r.Code, r.Err)
	}
	right := write(t, dir, "right.csv", rows, 1)
	enter(entry.Result{Records: 1}, "import", "on-the-job", right, "--dry-run")
	verbs("map[passed:1]")
	enter(entry.Result{Records: 1, Changed: 1}, "import", "on-the-job", right)
	enter(entry.Result{Records: 1, Unchanged: 1}, "import", "on-the-job", right)
	verbs("map[attended:1 passed:1]")
	enter(entry.Result{Records: 1, Changed: 1}, "remove", "on-the-job", "a-1")
	enter(entry.Result{Records: 1, Unchanged: 1}, "remove", "on-the-job", "never-entered")
	verbs("map[passed:1]")

	if r := reader.run(append([]string{"record"}, forklift...)...); r.Code != 4 {
		t.Errorf("a reader enters records: %d %s", r.Code, r.Err)
	}
	if events := admin.must("audit", "list", "-o", "jsonl"); strings.Count(events, `"records.entered"`) < 5 || strings.Contains(events, "ada@brook") {
		t.Errorf("audit: %s", events)
	}
	if status, text := clerk.ask("POST", "/hooks/"+admin.connectionID("on-the-job"), `{"records":[]}`, "", ""); status/100 == 2 {
		t.Errorf("whoever has not signed in enters records: %d %s", status, text)
	}
	clerk.form(t)
	admin.must("connection", "pause", "on-the-job")
	for path, want := range map[string]string{"on-the-job": "resume it first", "never-added": "There is no connection of that name"} {
		if text := clerk.page(t, path, "POST"); !strings.Contains(text, want) {
			t.Errorf("%s: %s, want %q", path, text, want)
		}
	}
	if text := reader.page(t, "on-the-job", "GET"); !strings.Contains(text, "--scope records/enter") {
		t.Errorf("a reader is shown %s", text)
	}
	verbs("map[completed:1 passed:1]")
}

// connectionID looks a connection up.
func (p person) connectionID(name string) string {
	p.t.Helper()
	var list []struct{ ID, Name string }
	p.json(&list, "connection", "list")
	for _, c := range list {
		if c.Name == name {
			return c.ID
		}
	}
	p.t.Fatalf("no connection %s in %v", name, list)
	return ""
}

// page gives a console's page of records.
func (p person) page(t *testing.T, connection, method string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.hub.URL()+"/console/connections/"+connection+"/records", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if method == "POST" {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		_ = w.WriteField("kind", "training")
		_ = w.Close()
		r.Body = io.NopCloser(&body)
		r.Header.Set("Content-Type", w.FormDataContentType())
	}
	r.SetBasicAuth("x", p.token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// form enters a record in the console, wrongly at first, and from another site.
func (p person) form(t *testing.T) {
	t.Helper()
	send := func(fields map[string]string, site string) (int, string) {
		t.Helper()
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for name, value := range fields {
			_ = w.WriteField(name, value)
		}
		_ = w.Close()
		r, err := http.NewRequestWithContext(t.Context(), "POST", p.hub.URL()+"/console/connections/on-the-job/records", &body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", w.FormDataContentType())
		r.Header.Set("Sec-Fetch-Site", site)
		r.SetBasicAuth("x", p.token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var text bytes.Buffer
		_, _ = text.ReadFrom(response.Body)
		return response.StatusCode, text.String()
	}
	fields := map[string]string{"kind": "training", "learner": "<b>cy@brook.example", "activity": "https://example.org/training/ladder", "date": "2026-05-07"}
	if status, text := send(fields, "same-origin"); status != 422 || !strings.Contains(text, "record 1: vouched_by is missing") || !strings.Contains(text, `value="&lt;b&gt;cy@brook.example"`) {
		t.Errorf("without who vouches: %d %s", status, text)
	}
	fields["learner"], fields["vouched_by"] = "cy@brook.example", "bo@brook.example"
	if status, text := send(fields, "cross-site"); status != 403 {
		t.Errorf("from another site: %d %s", status, text)
	}
	if status, text := send(fields, "same-origin"); status != 200 || !strings.Contains(text, "1 record entered: 1 new or corrected") || strings.Contains(text, "cy@brook") {
		t.Errorf("entered: %d %s", status, text)
	}
}
