package disclose_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/disclose"
)

// refers is a statement about another one.
func refers(name, verb string, target uuid.UUID) string {
	return fmt.Sprintf(`{"actor":%s,"verb":{"id":"http://adlnet.gov/expapi/verbs/%s"},"object":{"objectType":"StatementRef","id":"%s"}}`, mbox(name), verb, target)
}

// xAPI 1.0.3 Communication 2.1.3 and 2.1.4: a statement is found by what it targets too, also when the target is voided, which itself is not shown.
func TestReferencesAreFoundByTheirTarget(t *testing.T) {
	w := newWorld(t)
	target := w.post(writer, said("ben", "passed", "explosives", `,"context":{"registration":"8a2f1c1e-6f0e-4c2e-9b1a-0d6c9b1f3a55"}`))[0]
	confirmed := w.post(writer, refers("andrew", "confirmed", target))[0]
	doubted := w.post(writer, refers("carla", "doubted", confirmed))[0]
	passed := "http://adlnet.gov/expapi/verbs/passed"
	queries := map[string]disclose.Query{
		"agent": {Agent: agent("ben")}, "related agent": {Agent: agent("ben"), RelatedAgents: true}, "verb": {Verb: passed},
		"activity": {Activity: "https://school.example/explosives"}, "related activity": {Activity: "https://school.example/explosives", RelatedActivities: true},
		"registration": {Registration: uuid.MustParse("8a2f1c1e-6f0e-4c2e-9b1a-0d6c9b1f3a55")}, "all": {Agent: agent("ben"), Verb: passed, Activity: "https://school.example/explosives"},
	}
	for what, q := range queries {
		w.finds(what, reader, q, doubted, confirmed, target)
	}
	w.finds("the reference's agent", reader, disclose.Query{Agent: agent("andrew")}, doubted, confirmed)
	w.finds("one filter by the reference, one by its target", reader, disclose.Query{Agent: agent("ben"), Verb: "http://adlnet.gov/expapi/verbs/confirmed"})

	first := w.page(reader, disclose.Query{Agent: agent("ben"), Limit: 2})
	rest, err := w.out.More(t.Context(), reader, first.More)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the page after two references", fmt.Sprint(w.ids(rest)), fmt.Sprint([]uuid.UUID{target}))

	voiding := w.post(writer, refers("admin", "voided", target))[0]
	for what, q := range queries {
		w.finds(what+", voided", reader, q, voiding, doubted, confirmed)
	}
}

// A filter must not tell of a statement that the reader may not see: neither by what policy hides, nor by what the pseudonymised form would not show.
func TestReferencesTellNothingOfHiddenTargets(t *testing.T) {
	w := newWorld(t)
	both := client(one, 9, "statements/write", "statements/read/mine")
	theirs := w.post(writer, said("ben", "passed", "explosives", ""))[0]
	mine := w.post(both, refers("andrew", "confirmed", theirs))[0]
	w.finds("all of one's own", both, disclose.Query{}, mine)
	w.finds("one's own by somebody else's target", both, disclose.Query{Agent: agent("ben")})
	w.finds("one's own by somebody else's verb", both, disclose.Query{Verb: "http://adlnet.gov/expapi/verbs/passed"})
	own := w.post(both, said("ben", "passed", "explosives", ""))[0]
	onOwn := w.post(both, refers("andrew", "confirmed", own))[0]
	w.finds("one's own by one's own target", both, disclose.Query{Agent: agent("ben")}, onOwn, own)

	q := disclose.Query{Verb: "http://adlnet.gov/expapi/verbs/passed"}
	equal(t, "statements as sent", len(w.page(reader, q).Statements), 4)
	equal(t, "statements in the pseudonymised form", len(w.page(analyst, q).Statements), 2)
	w.post(writer, refers("admin", "voided", theirs))
	equal(t, "statements in the pseudonymised form, one voided", len(w.page(analyst, q).Statements), 1)
}

// A page ends before its limit where the statements are large, and goes on from there.
func TestPageOfLargeStatements(t *testing.T) {
	w := newWorld(t)
	text := strings.Repeat("x", 900<<10)
	var want []uuid.UUID
	for i := range 12 {
		want = append(want, w.post(writer, said("ben", "wrote", fmt.Sprint(i), `,"result":{"response":"`+text+`"}`))...)
	}
	page := w.page(reader, disclose.Query{Agent: agent("ben"), Ascending: true})
	equal(t, "statements of the first page", len(page.Statements), 10)
	rest, err := w.out.More(t.Context(), reader, page.More)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "all statements", fmt.Sprint(append(w.ids(page), w.ids(rest)...)), fmt.Sprint(want))
	equal(t, "continuation of the last page", rest.More, "")
}
