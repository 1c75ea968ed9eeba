package ingest_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/plugins/contract"
)

// withLookups maps attempts by what is known of their quiz and of the quiz's course.
const withLookups = head + `
  course:
  quiz:
  attempt:
    lookups:
      quiz: {on: {id: record.quiz}}
      course: {on: {code: quiz.course}}
    subject: {$use: pupil}
    statements:
      - name: tried
        statement:
          verb: {id: "http://adlnet.gov/expapi/verbs/attempted"}
          object: {id: "https://school.example/quiz/${quiz.title}"}
          result: {score: {raw: "${record.?score.orValue(0)}"}}
          context: {platform: "${course == null ? 'no course' : course.name}"}
`

func quiz(id int, title, course string) contract.Record {
	return record(`{"id":`+strconv.Itoa(id)+`,"title":"`+title+`","course":"`+course+`"}`, id)
}

func taken(id, quiz int) contract.Record {
	return record(`{"id":`+strconv.Itoa(id)+`,"pupil":"ann","score":7,"quiz":`+strconv.Itoa(quiz)+`}`, id)
}

func TestLookups(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", withLookups)
	strange := w.connect(one, "strange", withLookups) // has the same keys with other content
	strange.page("quiz", quiz(3, "theirs", "c"))
	equal(t, "courses give no statements", s.last("course", record(`{"code":"c","name":"Art"}`, "c")), ingest.Counts{Records: 1, Changed: 1})
	s.last("quiz", quiz(1, "one", "c"), quiz(2, "two", "unknown"))
	counts := s.last("attempt", taken(1, 1), taken(2, 2), taken(3, 3), taken(4, 1))
	equal(t, "two levels, and one that is missing", counts, ingest.Counts{Records: 4, Changed: 3, Dead: 1, Statements: 3})
	if diff := cmp.Diff(map[string]int{"missing_lookup": 1}, s.letters()); diff != "" {
		t.Error(diff)
	}
	platforms := map[bool]int{}
	for _, id := range s.live() {
		platforms[strings.Contains(string(s.frame(id)), `"platform":"Art"`)]++
	}
	if diff := cmp.Diff(map[bool]int{true: 2, false: 1}, platforms); diff != "" {
		t.Errorf("what the second level gave: %s", diff)
	}
	s.next("quiz")
	equal(t, "a quiz comes, one changes", s.last("quiz", quiz(1, "uno", "c"), quiz(2, "two", "unknown"), quiz(3, "three", "c")),
		ingest.Counts{Records: 3, Changed: 2, Unchanged: 1})
	s.next("attempt")
	equal(t, "its attempts follow", s.last("attempt", taken(1, 1), taken(2, 2), taken(3, 3), taken(4, 1)),
		ingest.Counts{Records: 4, Changed: 3, Unchanged: 1, Statements: 3, Voided: 2})
	s.want(totals{Statements: 8, Voidings: 2, Live: 4})
	if len(s.letters()) != 0 {
		t.Errorf("letters are left: %v", s.letters())
	}
	s.next("quiz")
	s.last("quiz", quiz(1, "uno", "c"), quiz(2, "two", "unknown"))
	s.next("attempt")
	equal(t, "what is gone is not found", s.last("attempt", taken(1, 1), taken(2, 2), taken(3, 3), taken(4, 1)), ingest.Counts{Records: 4, Unchanged: 3, Dead: 1})
	s.want(totals{Statements: 8, Voidings: 2, Live: 4}) // what it gave before stands
}

// next begins the next run, with a new snapshot of the stream.
func (s *source) next(stream string) {
	s.Helper()
	s.complete(stream)
	s.begin()
}

func TestDeadLetterKeepsWhatWasGiven(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	s.whole("attempt", attempt(1, "ann", 50), attempt(2, "bob", 10))
	broken := record(`{"id":1,"pupil":"ann","score":60,"verb":"not an IRI"}`, 1)
	for range 2 {
		equal(t, "broken", s.whole("attempt", broken, attempt(2, "bob", 10)), ingest.Counts{Records: 2, Unchanged: 1, Dead: 1})
	}
	s.page("attempt", broken) // the answer to its commit was lost
	s.want(totals{Statements: 3, Live: 3})
	if diff := cmp.Diff(map[string]int{"invalid_statement": 1}, s.letters()); diff != "" {
		t.Error(diff)
	}
	equal(t, "mended", s.whole("attempt", attempt(1, "ann", 60), attempt(2, "bob", 10)), ingest.Counts{Records: 2, Unchanged: 1, Changed: 1, Statements: 1, Voided: 1})
	s.want(totals{Statements: 5, Voidings: 1, Live: 3})
	if len(s.letters()) != 0 {
		t.Errorf("letters are left: %v", s.letters())
	}
	s.whole("attempt", record(`{"id":1,"score":1}`, 1), attempt(2, "bob", 10)) // without the pupil
	if diff := cmp.Diff(map[string]int{"mapping": 1}, s.letters()); diff != "" {
		t.Error(diff)
	}
	s.whole("attempt", attempt(2, "bob", 10))
	s.want(totals{Statements: 7, Voidings: 3, Live: 1})
	if len(s.letters()) != 0 {
		t.Errorf("a letter of a record that is gone is left: %v", s.letters())
	}
	equal(t, "content of closed letters", w.count("SELECT count(*) FROM dead_letter WHERE state <> 'open' AND length(sealed) > 0"), 0)
}

func TestBadRecordsAndHalfGoodOnes(t *testing.T) {
	w := newWorld(t)
	// The first statement is good, the second is not: nothing of the record may be stored.
	s := w.connect(one, "school", strings.Replace(head+streamText("attempt"), `verb: {id: "http://adlnet.gov/expapi/verbs/passed"}`, `verb: {id: "not an IRI"}`, 1))
	page := contract.Page{Cursor: []byte("c"), Records: []contract.Record{attempt(1, "ann", 50), attempt(2, "bob", 10)}, Bad: []contract.Bad{
		{Code: "bad_record", Position: "file:9", Reason: "a row has 3 cells", Raw: []byte("secret cells")},
		{Code: "too_large", Position: "file:10", Reason: "larger than 16 MiB", Key: []byte("[9]")},
	}}
	for range 2 {
		equal(t, "page", s.send("attempt", page).Dead, 3)
	}
	s.want(totals{Statements: 1, Live: 1})
	if diff := cmp.Diff(map[string]int{"bad_record": 1, "too_large": 1, "invalid_statement": 1}, s.letters()); diff != "" {
		t.Error(diff)
	}
	equal(t, "sealed for ann", w.count("SELECT count(*) FROM dead_letter WHERE subject_id IS NOT NULL AND epoch = 0"), 1)
	equal(t, "quarantine", w.count("SELECT count(*) FROM dead_letter WHERE subject_id IS NULL AND epoch > 202600"), 2)
	equal(t, "reasons with values", w.count("SELECT count(*) FROM dead_letter WHERE reason LIKE '%not an IRI%' OR reason LIKE '%ann%'"), 0)
	s.next("attempt")
	s.last("attempt", attempt(1, "ann", 5), attempt(2, "bob", 10))
	if len(s.letters()) != 0 {
		t.Errorf("the source was mended: %v", s.letters())
	}
}

// A snapshot with a record that does not fit its schema takes nothing back: nobody can tell which one that is. The next one, mended, does.
func TestUnfitRecordTakesNothingBack(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	s.whole("attempt", attempt(1, "ann", 10), attempt(2, "bob", 10), attempt(3, "eve", 10))
	s.next("attempt")
	s.send("attempt", contract.Page{Cursor: []byte("a"), Records: []contract.Record{attempt(1, "ann", 10)},
		Bad: []contract.Bad{{Code: contract.CodeUnfit, Position: "file:2", Reason: "id is a string, not an int", Raw: []byte("{}")}}})
	s.last("attempt")
	s.want(totals{Statements: 3, Live: 3})
	s.next("attempt")
	s.last("attempt", attempt(1, "ann", 10), attempt(2, "bob", 10))
	s.want(totals{Statements: 4, Voidings: 1, Live: 2})
	if len(s.letters()) != 0 {
		t.Errorf("the source was mended: %v", s.letters())
	}
}

func TestReplay(t *testing.T) {
	w := newWorld(t)
	broken := strings.Replace(head+streamText("attempt"), `verb: {id: "http://adlnet.gov/expapi/verbs/passed"}`, `verb: {id: "not an IRI"}`, 1)
	s := w.connect(one, "school", broken)
	page := contract.Page{Cursor: []byte("c"), SnapshotComplete: true, Records: []contract.Record{attempt(1, "ann", 50), attempt(2, "bob", 10), attempt(3, "eve", 60)},
		Bad: []contract.Bad{{Code: "bad_record", Position: "file:9", Reason: "a row has 3 cells", Raw: []byte("cells")}}}
	s.send("attempt", page)
	s.want(totals{Statements: 1, Live: 1})
	replay := func() ingest.Counts {
		t.Helper()
		counts, err := s.road.Replay(t.Context(), s.of("attempt"))
		if err != nil {
			t.Fatal(err)
		}
		return counts
	}
	equal(t, "with the same mapping", replay(), ingest.Counts{Records: 2, Dead: 2})
	s.want(totals{Statements: 1, Live: 1})
	s.remap(head + streamText("attempt"))
	equal(t, "with the mended mapping", replay(), ingest.Counts{Records: 2, Changed: 2, Statements: 4})
	s.want(totals{Statements: 5, Live: 5})
	if diff := cmp.Diff(map[string]int{"bad_record": 1}, s.letters()); diff != "" {
		t.Error(diff)
	}
	equal(t, "again", replay(), ingest.Counts{})
	equal(t, "the next snapshot has nothing new", s.whole("attempt", page.Records...), ingest.Counts{Records: 3, Unchanged: 3})
	s.want(totals{Statements: 5, Live: 5})
}

func TestCompareStoresNothing(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	s.last("attempt", attempt(1, "ann", 50), attempt(2, "bob", 10), attempt(3, "eve", 40))
	before := w.fingerprint()
	compare := func(document string) ingest.Comparison {
		t.Helper()
		s.remap(document)
		c, err := s.road.Compare(t.Context(), s.of("attempt"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	same := compare(head + streamText("attempt"))
	if diff := cmp.Diff(ingest.Comparison{Stream: "attempt", Records: 3, Unchanged: 3}, same); diff != "" {
		t.Error(diff)
	}
	stricter := compare(strings.Replace(head+streamText("attempt"), ">= 40", ">= 45", 1))
	if diff := cmp.Diff(ingest.Comparison{Stream: "attempt", Records: 3, Unchanged: 2, Changed: 1, Voided: 1}, stricter); diff != "" {
		t.Error(diff)
	}
	other := compare(strings.Replace(head+streamText("attempt"), "verbs/passed", "verbs/completed", 1))
	if diff := cmp.Diff(ingest.Comparison{Stream: "attempt", Records: 3, Unchanged: 1, Changed: 2, New: 2, Voided: 2}, other); diff != "" {
		t.Error(diff)
	}
	wrong := compare(strings.Replace(head+streamText("attempt"), `{id: "http://adlnet.gov/expapi/verbs/passed"}`, `{id: "passed"}`, 1))
	equal(t, "failed", [3]int64{wrong.Unchanged, wrong.Failed, int64(len(wrong.Failures))}, [3]int64{1, 2, 1})
	if strings.Contains(wrong.Failures[0].Reason, "ann") || wrong.Failures[0].Count != 2 {
		t.Errorf("failures: %+v", wrong.Failures)
	}
	equal(t, "the database", w.fingerprint(), before)
}

// TestNoStatementNeedsNoSubject: a record that the mapping passes over is no dead letter because nobody can tell whose it is.
func TestNoStatementNeedsNoSubject(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+`
  attempt:
    subject: {objectType: Agent, account: {homePage: "https://school.example", name: "${record.pupil}-${1 / record.score}"}}
    statements:
      - name: tried
        when: record.?quiz.orValue(0) > 0
        statement:
          actor: {$use: pupil}
          verb: {id: "http://adlnet.gov/expapi/verbs/attempted"}
          object: {id: "https://school.example/catalogue/${record.id}"}
`)
	counts := s.last("attempt", record(`{"id":1,"pupil":"ann","score":0}`, 1), record(`{"id":2,"pupil":"ann","score":0,"quiz":1}`, 2), record(`{"id":3,"pupil":"ann","score":1,"quiz":1}`, 3))
	equal(t, "passed over, not to be told whose, stored", counts, ingest.Counts{Records: 3, Skipped: 1, Changed: 1, Dead: 1, Statements: 1})
}
