package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const quizMapping = `
mapping:
  name: quiz
  version: 1
  streams:
    results:
      subject: {objectType: Agent, account: {homePage: "https://quiz.example", name: "${record.user}"}}
      when: has(record.score)
      statements:
        - name: result
          statement:
            verb: {id: "http://adlnet.gov/expapi/verbs/scored", display: {en: scored}}
            object: {id: "https://quiz.example/quiz", objectType: Activity}
            result: {score: {raw: "${record.score}"}}
`

// The story of a third party's connector: installed, used, upgraded where that breaks nothing, and removed.
func TestInstalledConnector(t *testing.T) {
	t.Parallel()
	admin, dir := tenantOf(t, "installs"), folder(t)
	first := buildConnector(t, dir, "quiz-1")
	better := buildConnector(t, dir, "quiz-2", `Version: "1.0.0"`, `Version: "1.1.0"`, `{Name: "score", Type: contract.Double, Optional: true},`,
		`{Name: "score", Type: contract.Double, Optional: true}, {Name: "tries", Type: contract.Int, Optional: true},`)
	worse := buildConnector(t, dir, "quiz-3", `Version: "1.0.0"`, `Version: "2.0.0"`, `Name: "score"`, `Name: "points"`, `Key: []string{"id"}`, `Key: []string{"id", "user"}`,
		`"required":["url"]`, `"required":["url","site"]`, `"url":{"type":"string"},`, `"url":{"type":"string"},"site":{"type":"string"},`)
	results := 7
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		var list []string
		for id := after + 1; id <= min(after+4, results); id++ {
			list = append(list, fmt.Sprintf(`{"id":%d,"user":"u%d","score":%d.5}`, id, id%3, id))
		}
		fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
	}))
	defer server.Close()

	admin.fails(1, []string{"checksum is wrong", "found " + sumOf(t, first)}, "connector", "install", first, "--sha256", strings.Repeat("0", 64))
	admin.fails(2, []string{"--as"}, "connector", "install", first, "--sha256", sumOf(t, first), "--as", "csv")
	install := func(program string, more ...string) string {
		r := admin.run(append([]string{"connector", "install", program, "--sha256", sumOf(t, program), "--as", "their-quiz"}, more...)...)
		if r.Code != 0 {
			t.Fatalf("install: exit code %d: %s%s", r.Code, r.Out, r.Err)
		}
		return r.Err
	}
	install(first)
	if list := admin.must("connector", "list"); !strings.Contains(list, "their-quiz") || !strings.Contains(list, "sha256 "+sumOf(t, first)[:12]) || !strings.Contains(list, "built in") {
		t.Errorf("the list: %s", list)
	}
	config := write(t, dir, "quiz.yaml", "%s", "connector: their-quiz\nconfig: {url: \""+server.URL+"\", token: t0ken}\n"+quizMapping)
	admin.must("connection", "add", "quiz", "--config", config)
	admin.sync("quiz").stored(t, "with the first version", 7, 0)

	if said := install(worse, "--dry-run"); !strings.Contains(said, "config site: new: string, required") || !strings.Contains(said, "Nothing was installed") {
		t.Errorf("a dry run says: %s", said)
	}
	admin.fails(0, nil, "connector", "upgrade", "their-quiz", "--dry-run") // it was not installed: nothing would change
	install(worse)
	admin.fails(0, []string{"field results.score: gone", "key results: id -> id, user", "breaks: configuration", "breaks: mapping", "stream results needs re-read"},
		"connector", "upgrade", "their-quiz", "--dry-run")
	admin.fails(6, []string{"keep theirs"}, "connector", "upgrade", "their-quiz", "--yes")
	results = 9
	admin.sync("quiz").stored(t, "pinned to the first version still", 2, 0)

	install(better)
	if out := admin.must("connector", "upgrade", "their-quiz", "--dry-run"); !strings.Contains(out, "can be upgraded") {
		t.Errorf("a dry run of a harmless upgrade: %s", out)
	}
	admin.must("connector", "upgrade", "their-quiz", "--yes")
	admin.must("connector", "remove", "their-quiz", "--sha256", sumOf(t, first), "--yes")
	results = 12
	admin.sync("quiz").stored(t, "with the better version, from where the first one was", 3, 0)
	if log := admin.must("audit", "list", "--kind", "connection.changed", "-o", "json"); !strings.Contains(log, sumOf(t, better)) {
		t.Errorf("the audit log does not name the new program: %s", log)
	}

	program := filepath.Join(admin.hub.Data, "connectors", "their-quiz", sumOf(t, worse))
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(program), filepath.Base(program), "%s", "something else")
	if out, _, _ := lrshub(t, "check", "--data", admin.hub.Data); !strings.Contains(out, "find out who exchanged it") || !strings.Contains(out, "is as it was installed") {
		t.Errorf("check says nothing of an exchanged program: %s", out)
	}

	admin.fails(2, []string{"--yes"}, "connector", "remove", "their-quiz")
	admin.must("connector", "remove", "their-quiz", "--yes")
	if c := admin.sync("quiz"); c.State == "succeeded" || !strings.Contains(c.Error, "connector install") {
		t.Errorf("a sync without its connector's program: %+v", c)
	}
	admin.fails(3, nil, "connector", "upgrade", "their-quiz", "--dry-run")
	admin.fails(3, nil, "connector", "remove", "their-quiz", "--yes")
}

func sumOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
