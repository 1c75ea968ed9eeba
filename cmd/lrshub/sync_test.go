package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// stored says what a run must have done.
func (c counts) stored(t *testing.T, what string, statements, voided int) {
	t.Helper()
	if c.State != "succeeded" || c.Total.Statements != statements || c.Total.Voided != voided || c.Total.Dead != 0 {
		t.Errorf("%s: %+v, want %d statements stored, %d of them voiding, and no dead letters", what, c, statements, voided)
	}
}

// holds compares the hub's results with the tables, statement by statement.
func holds(t *testing.T, p person, tables *trial.Tables) {
	t.Helper()
	var results []string
	for _, line := range p.export() {
		if strings.Contains(line, "/assessment/") {
			results = append(results, line)
		}
	}
	got, err := trial.Facts(strings.Join(results, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, tables.Facts()) {
		t.Errorf("the hub tells of %d results, the source of %d, or of others", len(got), len(tables.Facts()))
	}
}

// The story of a source: read, read again, changed, changed back, and rows gone.
func TestSyncStory(t *testing.T) {
	t.Parallel()
	admin := tenantOf(t, "story")
	reader := admin.client("reader", "statements/read")
	tables := tablesFor(t, 400)
	admin.add("registrations", example("registrations"), tables.Folder)
	admin.add("results", example("results"), tables.Folder)
	registered, unregistered := tables.Registrations()
	passed, failed, skipped := tables.Marks()

	admin.sync("registrations").stored(t, "first reading of the registrations", registered+unregistered, 0)
	first := admin.sync("results")
	first.stored(t, "first reading of the results", passed+failed, 0)
	if first.Total.Skipped != skipped {
		t.Errorf("%d results without a score are counted, want %d", first.Total.Skipped, skipped)
	}
	total := registered + unregistered + passed + failed
	for verb, want := range map[string]int{
		"http://adlnet.gov/expapi/verbs/registered": registered, "http://id.tincanapi.com/verb/unregistered": unregistered,
		"http://adlnet.gov/expapi/verbs/passed": passed, "http://adlnet.gov/expapi/verbs/failed": failed,
	} {
		if got := len(reader.export("--verb", verb)); got != want {
			t.Errorf("%d statements with %s, want %d", got, verb, want)
		}
	}
	sameInBoth(t, reader, total)
	holds(t, reader, tables)

	admin.sync("registrations").stored(t, "second reading of the registrations", 0, 0)
	admin.sync("results").stored(t, "second reading of the results", 0, 0)
	admin.sync("results", "--full").stored(t, "full reading of the results", 0, 0)

	was := tables.Results[3].Score
	for _, change := range []struct {
		what  string
		score int
	}{{"one changed cell", (was + 1) % 101}, {"the cell changed back", was}} {
		tables.Results[3].Score = change.score
		rewrite(t, tables)
		admin.sync("results").stored(t, change.what, 2, 1)
		holds(t, reader, tables)
		if got := len(reader.export()); got != total {
			t.Errorf("after %s %d statements are exported, want %d as before", change.what, got, total)
		}
	}

	for i, r := range tables.Results {
		if r.Score >= 0 && i > 100 {
			tables.Results = slices.Delete(tables.Results, i, i+1)
			break
		}
	}
	rewrite(t, tables)
	admin.sync("results").stored(t, "a row that is gone", 1, 1)
	holds(t, reader, tables)
	sameInBoth(t, reader, total-1)
	if out := admin.must("audit", "verify"); !strings.Contains(out, "proved") {
		t.Errorf("the audit log: %s", out)
	}
}

// sameInBoth holds the export against what xAPI gives, page by page. xAPI gives voiding statements too.
func sameInBoth(t *testing.T, p person, total int) {
	t.Helper()
	exported := p.export()
	if len(exported) != total {
		t.Errorf("%d statements are exported, want %d", len(exported), total)
	}
	ids := map[string]bool{}
	for _, line := range exported {
		ids[id(t, []byte(line))] = true
	}
	got := 0
	for _, statement := range p.pages("?limit=500&ascending=true") {
		if strings.Contains(string(statement), `"http://adlnet.gov/expapi/verbs/voided"`) {
			continue
		}
		got++
		if !ids[id(t, statement)] {
			t.Fatal("xAPI gives a statement that the export does not have")
		}
	}
	if got != total || len(ids) != total {
		t.Errorf("xAPI gives %d statements, the export %d with %d ids, want %d", got, len(exported), len(ids), total)
	}
}

func id(t *testing.T, statement []byte) string {
	t.Helper()
	var s struct{ ID string }
	if err := json.Unmarshal(statement, &s); err != nil || s.ID == "" {
		t.Fatalf("no id in %s: %v", statement, err)
	}
	return s.ID
}

// Records that cannot be mapped wait as dead letters, and become statements when the mapping is mended.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	admin := tenantOf(t, "letters")
	reader := admin.client("reader", "statements/read")
	tables := tablesFor(t, 60)
	good, err := os.ReadFile(example("results"))
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	// The broken mapping divides by what is zero for every assessment but one.
	broken := write(t, dir, "broken.yaml", "%s", strings.Replace(string(good), `scaled: "${record.score / 100.0}"`, `scaled: "${double(100 / (record.id_assessment - 1703)) * 0.0 + record.score / 100.0}"`, 1))
	mended := write(t, dir, "mended.yaml", "%s", strings.Replace(string(good), "version: 1", "version: 2", 1))
	zero := 0
	for _, r := range tables.Results {
		if r.Assessment == 1703 && r.Score >= 0 {
			zero++
		}
	}
	passed, failed, _ := tables.Marks()
	admin.add("results", broken, tables.Folder)
	if c := admin.sync("results"); c.State != "succeeded" || c.Total.Dead != zero || c.Total.Statements != passed+failed-zero {
		t.Fatalf("%+v, want %d dead letters and %d statements", c, zero, passed+failed-zero)
	}
	var letters []struct{ Stream, Position, Code, Reason string }
	admin.json(&letters, "dead-letter", "list", "results")
	if len(letters) != zero {
		t.Errorf("%d dead letters are listed, want %d", len(letters), zero)
	}
	for _, l := range letters {
		if l.Stream != "result" || l.Code != "mapping" || !strings.HasPrefix(l.Position, "student_assessment.csv:") || !strings.Contains(l.Reason, "scaled") {
			t.Fatalf("a dead letter does not say where and why: %+v", l)
		}
	}
	var diff struct {
		Unread  map[string][]string
		Streams []struct {
			Stream                          string
			Records, Unchanged, New, Failed int64
		}
	}
	admin.json(&diff, "mapping", "diff", "results", mended)
	if len(diff.Unread) != 0 {
		t.Errorf("the mended mapping names nothing new, yet must be read again: %v", diff.Unread)
	}
	admin.must("mapping", "apply", "results", mended)
	admin.must("dead-letter", "replay", "results", "--wait")
	admin.json(&letters, "dead-letter", "list", "results")
	if len(letters) != 0 {
		t.Errorf("%d dead letters are left", len(letters))
	}
	holds(t, reader, tables)
	admin.sync("results", "--full").stored(t, "reading all again under the mended mapping", 0, 0)

	wider := write(t, dir, "wider.yaml", "%s", strings.NewReplacer("version: 1", "version: 3", "when: has(record.score)", "when: has(record.score) && has(record.date_submitted) && record.?is_banked.orValue(false) == false",
		`weight": "${assessment.?weight}"`, `weight": "${assessment.?weight}", "https://oulad.example/extension/kind": "${assessment.assessment_type}"`).Replace(string(good)))
	if r := admin.run("mapping", "diff", "results", wider); r.Code != 0 {
		t.Errorf("mapping diff: %s", r.Err)
	}
}

// What was pruned is not there: a mapping that names it says that the source must be read again.
func TestMappingNeedsReread(t *testing.T) {
	t.Parallel()
	admin := tenantOf(t, "pruned")
	reader := admin.client("reader", "statements/read")
	tables := tablesFor(t, 20)
	good, err := os.ReadFile(example("registrations"))
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	less := strings.NewReplacer(`"${student != null ? student.?studied_credits : optional.none()}"`, `"${student != null ? student.?id_student : optional.none()}"`).Replace(string(good))
	admin.add("registrations", write(t, dir, "less.yaml", "%s", less), tables.Folder)
	registered, unregistered := tables.Registrations()
	admin.sync("registrations").stored(t, "first reading", registered+unregistered, 0)
	more := write(t, dir, "more.yaml", "%s", strings.Replace(string(good), "version: 1", "version: 2", 1))
	if r := admin.run("mapping", "diff", "registrations", more); r.Code != 0 || !strings.Contains(r.Err, "needs re-read") || !strings.Contains(r.Err, "studied_credits") {
		t.Errorf("mapping diff does not say that studied_credits must be read again: %s", r.Err)
	}
	admin.must("mapping", "apply", "registrations", more)
	admin.sync("registrations", "--full").stored(t, "reading again", 2*(registered+unregistered), registered+unregistered)
	if lines := reader.export(); len(lines) != registered+unregistered || !strings.Contains(lines[0], fmt.Sprintf(`studied-credits":%d`, tables.Students[0].Credits)) {
		t.Errorf("%d statements, the first is %.600s", len(lines), lines[0])
	}
}

// Who may see what, by the command line and by xAPI alike.
func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	admin, other := tenantOf(t, "seen"), tenantOf(t, "unseen")
	tables := tablesFor(t, 30)
	admin.add("results", example("results"), tables.Folder)
	admin.sync("results")
	passed, failed, _ := tables.Marks()

	research := admin.client("research", "statements/read/pseudonymised")
	shown := research.export()
	if len(shown) != passed+failed {
		t.Errorf("a pseudonymised export has %d statements, want %d", len(shown), passed+failed)
	}
	ids := map[string]bool{}
	for _, line := range admin.client("reader", "statements/read").export() {
		ids[id(t, []byte(line))] = true
	}
	for _, statement := range append(shown, texts(research.pages(""))...) {
		if strings.Contains(statement, "oulad-") || strings.Contains(statement, "studied") || ids[id(t, []byte(statement))] {
			t.Fatalf("the pseudonymised form tells who it is: %s", statement)
		}
	}
	agent := `?agent=` + `%7B%22account%22%3A%7B%22homePage%22%3A%22https%3A%2F%2Foulad.example%22%2C%22name%22%3A%22oulad-100001%22%7D%7D`
	nobody := strings.Replace(agent, "oulad-100001", "oulad-999999", 1)
	known, said := research.xapi(http.MethodGet, "/xapi/statements"+agent, "")
	unknown, saidOfNobody := research.xapi(http.MethodGet, "/xapi/statements"+nobody, "")
	if known != unknown || said != saidOfNobody || known < 400 {
		t.Errorf("whether a person exists shows: %d %s, %d %s", known, said, unknown, saidOfNobody)
	}

	writer := admin.client("writer", "statements/write")
	writer.fails(4, []string{"denied"}, "statement", "export")
	writer.fails(4, []string{"denied"}, "connection", "list")
	if status, _ := writer.xapi(http.MethodGet, "/xapi/statements", ""); status != http.StatusForbidden {
		t.Errorf("a writer that reads gets %d", status)
	}
	person{t, admin.hub, "lrshub_nobody_nothing"}.fails(4, nil, "statement", "export")
	admin.fails(3, []string{"nothing-there"}, "sync", "run", "nothing-there")
	admin.fails(3, nil, "sync", "status", "nothing-there")
	admin.fails(2, nil, "sync", "run")
	admin.fails(5, []string{"results"}, "connection", "add", "results", "--config", example("results"), "--set", "folder="+tables.Folder)

	if lines := other.client("reader", "statements/read").export(); len(lines) != 0 {
		t.Errorf("another tenant sees %d statements", len(lines))
	}
	other.fails(3, nil, "sync", "status", "results")
	var events []struct{ Kind string }
	other.json(&events, "audit", "list", "--limit", "1000")
	for _, e := range events {
		if strings.HasPrefix(e.Kind, "sync") || strings.HasPrefix(e.Kind, "connection") {
			t.Errorf("another tenant's log tells of %s", e.Kind)
		}
	}
}

func texts(list []json.RawMessage) []string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = string(m)
	}
	return out
}
