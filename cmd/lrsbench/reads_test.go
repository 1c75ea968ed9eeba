package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

func TestCorpusIsWhatItSays(t *testing.T) {
	for _, s := range []stage{{number: 0, statements: 10_000, batch: 500}, {number: 2, statements: 7_300, batch: 300}} {
		of, first, last, total := map[string]int{}, map[string]int{}, map[string]int{}, 0
		for batch := range s.batches() {
			list, err := s.make(batch)
			if err != nil {
				t.Fatal(err)
			}
			for i, st := range list {
				raw := string(st.Raw)
				for n := range s.members() {
					if who := s.member(n); strings.Contains(raw, who.actor) {
						if !strings.Contains(raw, who.quiz+`"`) || !strings.Contains(raw, who.course+`"`) || !strings.Contains(raw, who.instructor) {
							t.Fatalf("member %d: %s", n, raw)
						}
						if _, there := first[who.actor]; !there {
							first[who.actor] = total + i
						}
						of[who.actor]++
						last[who.actor] = total + i
					}
				}
				for _, what := range []string{frequentQuiz, frequentLearner, verbIRI(s.rareVerb())} {
					if strings.Contains(raw, what) {
						of[what]++
					}
				}
			}
			total += len(list)
		}
		if total != s.statements {
			t.Errorf("stage %d has %d statements", s.number, total)
		}
		for n := range s.members() {
			who := s.member(n).actor
			if of[who] != ofMember || first[who] > s.statements/10 || last[who] < s.statements*8/10 {
				t.Errorf("stage %d, member %d: %d statements from %d to %d", s.number, n, of[who], first[who], last[who])
			}
		}
		if n := of[verbIRI(s.rareVerb())]; n != ofRareVerb*s.members() {
			t.Errorf("stage %d: %d statements of the rare verb", s.number, n)
		}
		quiz, learner := of[frequentQuiz]*100/total, of[frequentLearner]*1000/total
		if quiz < ofFrequentQuiz-4 || quiz > ofFrequentQuiz+1 || learner < 5 || learner > 12 {
			t.Errorf("stage %d: %d of 100 are of the frequent quiz, %d of 1000 of the frequent learner", s.number, quiz, learner)
		}
	}
}

func TestReadsAsksAtEachSize(t *testing.T) {
	var r readsReport
	reported(t, &r, "reads", "--sizes", "3000,6000", "--requests", "3", "--batch", "100", "--database-owner-url", databasetest.NewEmpty(t))
	if len(r.Sizes) != 2 || r.Sizes[1].Statements != 6000 || r.Sizes[1].Stage != 3000 || r.Sizes[0].Filled <= 0 || r.Sizes[0].About <= 0 {
		t.Fatalf("sizes: %+v", r.Sizes)
	}
	statement := r.Sizes[1].Tables[slices.IndexFunc(r.Sizes[1].Tables, func(s size) bool { return s.Table == "statement" })]
	if statement.Heap < 500 || statement.Indexes < 100 || statement.Bytes < statement.Heap+statement.Indexes+statement.Toast-2 {
		t.Errorf("%+v", statement)
	}
	asked := map[string]readsQuery{}
	for _, q := range r.Queries {
		asked[q.Reader+" "+q.Query] = q
		if len(q.At) != 2 || q.At[0].Failed != "" || q.At[1].Failed != "" || q.Growth <= 0 || q.Within != (q.Growth < readsGoal) {
			t.Errorf("%+v", q)
		}
	}
	all, pseudonyms, few := len(readQueries), 0, 0
	for _, q := range readQueries {
		if !q.related {
			pseudonyms++
		}
		if q.bare {
			few++
		}
	}
	if len(asked) != 3*all+pseudonyms+few {
		t.Errorf("%d queries were asked", len(asked))
	}
	for name, least := range map[string]float64{
		"all newest": 100, "all activity of 1 in 10": 100, "all verb of 6 in 10": 100, "all verb, since and until": 100, "all one by id": 1, "all agent of 100": 60,
		"all registration of 100": 60, "all related agent of 100": 60, "all related activity of 100": 60, "pseudonymised agent of 100": 60, "pseudonymised registration of 100": 60,
		"few newest": 100, "mine newest": 100, "purpose newest": 100, "mine agent of 100": 3,
	} {
		if q := asked[name]; len(q.At) != 2 || q.At[1].Page < least {
			t.Errorf("%s: %+v, want %v statements a page", name, q.At, least)
		}
	}
	// A member's statements are shared out among the readers by who wrote them.
	if q := asked["mine agent of 100"]; q.At[1].Page > 40 {
		t.Errorf("a reader of its own statements sees those of others: %+v", q)
	}
	var table strings.Builder
	if err := r.print(&table, "table"); err != nil || !strings.Contains(table.String(), "related activity of 1 in 10") {
		t.Errorf("%v: %s", err, table.String())
	}
}

// A Postgres of its own, in a folder that stays: what is there is used again, and what is too small is refused.
func TestReadsKeepsWhatItFilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	for parent := filepath.Dir(dir); parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o711); err != nil { // Postgres may run as another user
			t.Fatal(err)
		}
	}
	var first, second readsReport
	reported(t, &first, "reads", "--sizes", "1000", "--requests", "1", "--batch", "250", "--keep", dir)
	reported(t, &second, "reads", "--sizes", "1000,2000", "--requests", "1", "--keep", dir)
	if first.Sizes[0].Filled <= 0 || second.Sizes[0].Filled != 0 || second.Sizes[1].Filled <= 0 {
		t.Errorf("%+v\n%+v", first.Sizes, second.Sizes)
	}
	if q := first.Queries[0]; q.Growth != 0 || q.Within {
		t.Errorf("one size grew: %+v", q)
	}
	for args, want := range map[string]string{
		"--sizes 1000,3000":                        "holds 2000 statements already",
		"--sizes 2500":                             "holds 2000 statements already",
		"--sizes 100000000000":                     "take a larger disk",
		"--sizes 500":                              "must grow",
		"--sizes 2000,2000":                        "must grow",
		"--sizes 2000 --requests 0":                "must be more than 0",
		"--sizes 2000 --database-owner-url x":      "leave --database-owner-url out",
		"--sizes 2000 --database-owner-url x -o x": "table or json",
	} {
		if _, err := lrsbench(t, append([]string{"reads", "--keep", dir}, strings.Fields(args)...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// What a stopped fill left is of no whole size.
func TestReadsRefusesWhatIsHalfFilled(t *testing.T) {
	r := reads{common: &common{}, sizes: []int{1000, 5000}, filled: &filled{Sizes: []int{1000}, Next: 5000, Done: 1}}
	if err := r.fits(t.TempDir()); err == nil || !strings.Contains(err.Error(), "half filled to 5000") {
		t.Error(err)
	}
	r.sizes = []int{5000}
	if err := r.fits(t.TempDir()); err != nil {
		t.Error(err)
	}
}

// A fill that was stopped goes on where it was, and the statements are there once.
func TestFillGoesOn(t *testing.T) {
	h, _ := served(t)
	f, err := openFilled(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f.Batch = 100
	if err := f.clients(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	s, _ := f.stage(1000)
	caller, err := h.authenticate(t.Context(), f.Clients[s.writer(3)])
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.make(3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.road.Statements(t.Context(), caller, true, list); err != nil { // stored, and not known to be
		t.Fatal(err)
	}
	f.Next, f.Done = 1000, 2
	if _, err := f.fill(t.Context(), h, 1000, 3); err != nil {
		t.Fatal(err)
	}
	again, err := openFilled(filepath.Dir(f.path))
	if err != nil || again.size() != 1000 || again.Next != 0 || len(again.Clients) != len(corpusClients) {
		t.Errorf("%+v, %v", again, err)
	}
	if n := stored(t, h); n != 800 { // the first two batches were never sent
		t.Errorf("%d statements", n)
	}
	if took, err := again.fill(t.Context(), h, 1000, 1); err != nil || took != 0 {
		t.Errorf("a whole stage is filled again: %v, %v", took, err)
	}
}

// stored counts a hub's statements.
func stored(t *testing.T, h *hub) (n int) {
	t.Helper()
	db, err := sql.Open("postgres", h.owner)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM statement").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestInOrderKnowsWhatIsDone(t *testing.T) {
	o := &inOrder{next: 5, batches: 9}
	var taken []int
	for batch, more := o.take(); more; batch, more = o.take() {
		taken = append(taken, batch)
	}
	if !slices.Equal(taken, []int{5, 6, 7, 8}) || o.before() != 5 {
		t.Errorf("%v, before %d", taken, o.before())
	}
	for _, c := range []struct{ finished, before int }{{6, 5}, {5, 7}, {8, 7}, {7, 9}} {
		if o.finish(c.finished); o.before() != c.before {
			t.Errorf("after %d: before %d, want %d", c.finished, o.before(), c.before)
		}
	}
}
