package main_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// imported is what an import prints.
type imported struct {
	Statements, New, Existing, Rejected, Documents, DocumentsExisting int64
	Verified                                                          bool
}

// manifest is the part of an export's that tests hold against another.
type manifest struct {
	Complete    bool
	Statements  struct{ Count, Digest any }
	Attachments int64
	Documents   struct{ Count any }
}

func manifestOf(t *testing.T, dir string) (m manifest) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// One store's everything goes out, into another, out again, and is the same to the byte: statements with stored and authority, voided ones and what voids them,
// attachments small and large, documents.
func TestExportAndImport(t *testing.T) {
	t.Parallel()
	one, two := tenantOf(t, "import-from"), tenantOf(t, "import-into")
	writer := one.client("tool", "all")
	voided := fill(t, writer)
	source, target := one.client("exporter", "all/read"), two.client("importer", "statements/import", "all/read", "state", "profile")
	first, second := filepath.Join(folder(t), "first"), filepath.Join(folder(t), "second")
	source.must("statement", "export", "--archive", first)
	m := manifestOf(t, first)
	if fmt.Sprint(m.Complete, m.Statements.Count, m.Attachments, m.Documents.Count) != "true 33 2 3" {
		t.Errorf("%+v", m)
	}
	var done imported
	target.json(&done, "statement", "import", first)
	if want := (imported{Statements: 33, New: 33, Documents: 3, Verified: true}); done != want {
		t.Errorf("import: %+v", done)
	}
	target.must("statement", "export", "--archive", second)
	if again := manifestOf(t, second); again != m {
		t.Errorf("%+v, was %+v", again, m)
	}
	status, text := target.xapi(http.MethodGet, "/xapi/statements?voidedStatementId="+voided, "")
	if status != http.StatusOK || !strings.Contains(text, voided) {
		t.Errorf("the voided one: %d %s", status, text)
	}
	if status, _ := target.xapi(http.MethodGet, "/xapi/statements?statementId="+voided, ""); status != http.StatusNotFound {
		t.Errorf("the voided one is not voided: %d", status)
	}
	target.json(&done, "statement", "import", first)
	if want := (imported{Statements: 33, Existing: 33, DocumentsExisting: 3, Verified: true}); done != want {
		t.Errorf("again: %+v", done)
	}
	source.fails(1, []string{"whole export already"}, "statement", "export", "--archive", first)
	writer.fails(4, nil, "statement", "import", first)
}

// fill stores 33 statements, two attachments and three documents, and gives the id of a statement that was voided.
func fill(t *testing.T, tool person) (voided string) {
	t.Helper()
	var batch []string
	for i := range 29 {
		batch = append(batch, fmt.Sprintf(`{"id":"%s","actor":{"mbox":"mailto:p%d@example.org","name":"P \u00e9 %d"},"verb":{"id":"https://verbs.example/did","display":{"en":"did"}},`+
			`"object":{"id":"https://school.example/%d"},"result":{"score":{"raw":1.50e1},"extensions":{"https://x.example/e":[1.0,12345678901234567890,"\ud83d\ude00"]}},`+
			`"context":{"contextActivities":{"parent":{"id":"https://school.example"}},"instructor":{"account":{"homePage":"https://sis.example","name":"i"}}}}`, uuid.New(), i%5, i, i))
	}
	voided = uuid.NewString()
	batch = append(batch, `{"id":"`+voided+`","actor":{"mbox":"mailto:p1@example.org"},"verb":{"id":"https://verbs.example/erred"},"object":{"id":"https://school.example/1"}}`,
		`{"actor":{"mbox":"mailto:p1@example.org"},"verb":{"id":"http://adlnet.gov/expapi/verbs/voided"},"object":{"objectType":"StatementRef","id":"`+voided+`"}}`)
	if status, text := tool.xapi(http.MethodPost, "/xapi/statements", "["+strings.Join(batch, ",")+"]"); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	for _, content := range []string{"small", strings.Repeat("large", 100_000)} {
		hash := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
		statement := fmt.Sprintf(`{"actor":{"mbox":"mailto:p2@example.org"},"verb":{"id":"https://verbs.example/wrote"},"object":{"id":"https://school.example/essay"},`+
			`"attachments":[{"usageType":"https://school.example/essay","display":{"en":"essay"},"contentType":"text/plain","length":%d,"sha2":"%s"}]}`, len(content), hash)
		body := "--edge\r\nContent-Type: application/json\r\n\r\n" + statement + "\r\n--edge\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: " +
			hash + "\r\n\r\n" + content + "\r\n--edge--\r\n"
		if status, text := tool.xapi(http.MethodPost, "/xapi/statements", body); status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
	}
	agent, activity := url.QueryEscape(`{"mbox":"mailto:p3@example.org"}`), url.QueryEscape("https://school.example/1")
	for _, path := range []string{
		"/xapi/activities/state?stateId=s&agent=" + agent + "&activityId=" + activity + "&registration=" + uuid.NewString(), "/xapi/agents/profile?profileId=p&agent=" + agent,
		"/xapi/activities/profile?profileId=p&activityId=" + activity,
	} {
		if status, text := tool.xapi(http.MethodPost, path, `{"page":3}`); status != http.StatusNoContent {
			t.Fatalf("%s: %d %s", path, status, text)
		}
	}
	return voided
}

// NDJSON from elsewhere, with and without ids, both versions, and what no store takes: it says which, goes on when told to, and does nothing twice.
func TestImportOfForeignLines(t *testing.T) {
	t.Parallel()
	p := tenantOf(t, "import-lines").client("importer", "statements/import", "all/read")
	dir := folder(t)
	var lines []string
	for i := range 1200 {
		lines = append(lines, fmt.Sprintf(`{"id":"%s","actor":{"mbox":"mailto:p%d@example.org"},"verb":{"id":"https://verbs.example/did"},"object":{"id":"https://a.example/%d"},`+
			`"stored":"2020-01-01T00:%02d:%02dZ","timestamp":"2019-01-01T00:00:00Z","version":"%s","authority":{"mbox":"mailto:old@lrs.example"}}`,
			uuid.New(), i%7, i, i/60%60, i%60, []string{"1.0.0", "2.0.0"}[i/100%2]))
	}
	bad := `{"id":"` + uuid.NewString() + `","actor":{"mbox":"ann"},"verb":{"id":"https://verbs.example/did"},"object":{"id":"https://a.example/x"}}`
	all := slices.Insert(slices.Clone(lines), 777, bad)
	path := filepath.Join(dir, "foreign.ndjson")
	if err := os.WriteFile(path, []byte(strings.Join(all, "\n\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.fails(2, []string{"statement 778", "actor"}, "statement", "import", path)
	var done imported
	rejected := filepath.Join(dir, "rejected.ndjson")
	r := p.run("statement", "import", path, "--rejected", rejected, "-o", "json")
	if err := json.Unmarshal([]byte(r.Out), &done); err != nil || r.Code != 6 {
		t.Fatalf("%d %s%s", r.Code, r.Out, r.Err)
	}
	if done.Statements != 1201 || done.Rejected != 1 || !done.Verified || done.New != 1200 {
		t.Errorf("%+v", done)
	}
	if text, err := os.ReadFile(rejected); err != nil || strings.TrimSpace(string(text)) != bad {
		t.Errorf("%s %v", text, err)
	}
	if _, err := os.Stat(path + ".import.json"); !os.IsNotExist(err) {
		t.Errorf("a checkpoint is left: %v", err)
	}
	conflict := strings.Replace(lines[5], "https://a.example/5", "https://a.example/6", 1)
	if err := os.WriteFile(path, []byte(conflict), 0o600); err != nil {
		t.Fatal(err)
	}
	p.fails(5, []string{"statement 1"}, "statement", "import", path)
	p.fails(3, nil, "statement", "import", filepath.Join(dir, "nothing"))
	p.fails(1, nil, "statement", "import", dir)
}

// The statements of a real MOOC go in, out, into another store and out of it, and are equal.
func TestRealStatementsGoRound(t *testing.T) {
	t.Parallel()
	path := filepath.Join(root, "..", "shared", "data", "statements", "fun-mooc-video.ndjson.gz")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the statements of the MOOC are not at ../shared/data/statements: %v", err)
	}
	if testing.Short() {
		t.Skip("takes a minute")
	}
	one, two := tenantOf(t, "mooc-one").client("importer", "statements/import", "all/read"), tenantOf(t, "mooc-two").client("importer", "statements/import", "all/read")
	copied := filepath.Join(folder(t), "mooc.ndjson.gz") // the checkpoint is kept beside it
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	var done imported
	one.json(&done, "statement", "import", copied)
	if done.New != 22_000 || !done.Verified {
		t.Fatalf("%+v", done)
	}
	first, second := filepath.Join(folder(t), "first"), filepath.Join(folder(t), "second")
	one.must("statement", "export", "--archive", first)
	two.json(&done, "statement", "import", first)
	if done.New != 22_000 || !done.Verified {
		t.Fatalf("%+v", done)
	}
	two.must("statement", "export", "--archive", second)
	if m, again := manifestOf(t, first), manifestOf(t, second); m != again {
		t.Errorf("%+v, %+v", m, again)
	}
	sent, back := gzipLines(t, bytes.NewReader(raw)), map[string]map[string]any{}
	for _, file := range []string{"statements-000001.ndjson.gz"} {
		f, err := os.Open(filepath.Join(second, file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, st := range gzipLines(t, f) {
			back[st["id"].(string)] = st
		}
	}
	for _, st := range sent {
		got := back[st["id"].(string)]
		for name, value := range st {
			want, _ := json.Marshal(value)
			if shown, _ := json.Marshal(got[name]); !bytes.Equal(shown, want) {
				t.Fatalf("%s is %s, was %s", name, shown, want)
			}
		}
	}
}

func gzipLines(t *testing.T, in io.Reader) (list []map[string]any) {
	t.Helper()
	zip, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(zip)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.UseNumber()
		var st map[string]any
		if err := d.Decode(&st); err != nil {
			t.Fatal(err)
		}
		list = append(list, st)
	}
	return list
}
