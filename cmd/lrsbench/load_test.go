package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// served is a hub of a test and the address of its xAPI face.
func served(t *testing.T) (*hub, string) {
	t.Helper()
	s, err := start(t.Context(), common{ownerURL: databasetest.NewEmpty(t)})
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.open(t.Context(), "hub", true)
	if err != nil {
		t.Fatal(err)
	}
	url, end, err := serve(h.handler())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end()
		h.db.Close()
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return h, url + "/xapi"
}

// lrsbench runs the command line and gives what it prints.
func lrsbench(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := command()
	root.SetArgs(args)
	root.SetOut(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// visible waits until other tests, on the same Postgres, no longer keep a hub's statements from readers.
func visible(t *testing.T, h *hub) {
	t.Helper()
	db, err := sql.Open("postgres", h.owner)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := awaitVisible(t.Context(), db); err != nil {
		t.Fatal(err)
	}
}

// reported runs the command line with -o json and decodes what it prints.
func reported(t *testing.T, into any, args ...string) {
	t.Helper()
	out, err := lrsbench(t, append(args, "-o", "json")...)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
}

func TestLoadCountsWhatTheStoreHas(t *testing.T) {
	h, endpoint := served(t)
	client, err := h.newClient(t.Context(), "load", purpose, "all")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"load", "--endpoint", endpoint, "--key", client.Key, "--secret", client.Secret}
	var r loadReport
	reported(t, &r, append(args, "--statements", "300", "--batch", "20", "--clients", "4", "--learners", "2")...)
	if r.Posts == nil || r.Posts.Statements != 300 || r.Posts.Requests != 15 || len(r.Posts.Failures) > 0 || r.Posts.P50 <= 0 || r.Posts.P99 < r.Posts.P50 {
		t.Errorf("posts: %+v", r.Posts)
	}
	visible(t, h)
	reported(t, &r, append(args, "--statements", "0", "--clients", "4", "--learners", "2", "--gets", "--requests", "10")...)
	body, err := newStore(endpoint, client.Key, client.Secret, "1.0.3", 1).get(t.Context(), page("limit", "500"))
	if n, counting := countStatements(body); err != nil || counting != nil || n != 300 {
		t.Errorf("the store has %d statements: %v %v", n, err, counting)
	}
	if len(r.Gets) != 6 {
		t.Fatalf("gets: %+v", r.Gets)
	}
	for _, g := range r.Gets {
		want := 0.1 // of an activity there are one or two, or sometimes none
		if g.Query == "agent" || g.Query == "verb" || g.Query == "since, ascending" {
			want = pageSize
		}
		if g.Statements < want || g.P50 <= 0 || g.PerSecond <= 0 || len(g.Failures) > 0 {
			t.Errorf("%+v", g)
		}
	}
}

func TestLoadCountsFailures(t *testing.T) {
	n := 0
	url, end, err := serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n++; n%4 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	var r loadReport
	reported(t, &r, "load", "--endpoint", url, "--statements", "80", "--batch", "10", "--clients", "1")
	if r.Posts.Failures["503"] != 2 || r.Posts.Statements != 60 {
		t.Errorf("%+v", r.Posts)
	}
	if _, err := lrsbench(t, "load", "--endpoint", "http://127.0.0.1:1", "--statements", "10"); err == nil || !strings.Contains(err.Error(), "no request went well") {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--endpoint http://192.0.2.1/xapi":                               "--allow-remote",
		"--endpoint http://lrs.example/xapi":                             "--allow-remote",
		"--endpoint http://127.0.0.1.example/xapi":                       "--allow-remote",
		"--endpoint localhost:8080":                                      "must look like",
		"--endpoint http://127.0.0.1/xapi --statements 0":                "nothing to do",
		"--endpoint http://127.0.0.1/xapi --clients 0":                   "at least 1",
		"--endpoint http://127.0.0.1/xapi --version 3":                   "--version",
		"--endpoint http://127.0.0.1/xapi -o xml":                        "-o must be",
		"--endpoint http://key:secret@127.0.0.1/xapi --statements 10":    "must look like",
		"--endpoint http://127.0.0.1/xapi?statementId=1 --statements 10": "must look like",
	} {
		if _, err := lrsbench(t, append([]string{"load"}, strings.Fields(args)...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
