package disclose_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// telling is a statement that says all that a statement can say, with a word of its own in each place of text.
const telling = `{"actor":{"mbox":"mailto:ann@example.org","name":"wordname"},"verb":{"id":"http://adlnet.gov/expapi/verbs/met","display":{"en":"worddisplay"}},` +
	`"object":{"id":"https://school.example/wordobject","definition":{"name":{"en":"worddefinition"}}},` +
	`"result":{"score":{"raw":7,"min":1,"max":9,"scaled":0.5},"success":true,"completion":false,"response":"wordresponse","duration":"PT77S","extensions":{"https://x.example/wordkey":"wordextension"}},` +
	`"context":{"registration":"6b2b9e8a-4f3c-4b1d-9d5f-0a1b2c3d4e5f","instructor":{"mbox":"mailto:wordteacher@example.org"},"team":{"objectType":"Group","mbox":"mailto:wordteam@example.org"},` +
	`"platform":"wordplatform","contextActivities":{"parent":[{"id":"https://school.example/wordparent"}]}},"timestamp":"2024-01-02T03:04:05.678Z"}`

func TestPseudonymisedShowsNamedColumnsOnly(t *testing.T) {
	w := newWorld(t)
	id := w.post(writer, telling)[0]
	w.postDefining(writer, true, said("ann", "tried", "shown", ""))
	page := w.page(analyst, disclose.Query{Ascending: true})
	text := page.Statements[0]
	for _, secret := range []string{"word", "ann", "mailto", "PT77S", "version", "authority", "03:04", id.String(), "6b2b9e8a", w.subject("ann").String(), "example.org"} {
		if contains(text, secret) {
			t.Errorf("shows %q: %s", secret, text)
		}
	}
	stored := time.Now().UTC().Truncate(24 * time.Hour)
	st := w.read(text)
	want := fmt.Sprintf(`{"id":%q,"actor":{"objectType":"Agent","account":{"homePage":"https://hub.example/pseudonyms","name":%q}},"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},`+
		`"object":{"objectType":"Activity","id":%q},"result":{"score":{"scaled":0.5,"raw":7,"min":1,"max":9},"success":true,"completion":false},"context":{"registration":%q},`+
		`"timestamp":"2024-01-02T00:00:00.000000Z","stored":"%s"}`, st.ID, st.Actor.Account.Name, st.Object.ID, st.Context.Registration, xapi.FormatTime(stored))
	if diff := cmp.Diff(canonical(t, []byte(want)), canonical(t, text)); diff != "" {
		t.Error(diff)
	}
	if _, err := xapi.Parse(text, xapi.V1); err != nil {
		t.Errorf("it is no valid statement: %v", err)
	}
	equal(t, "an activity of the catalogue", w.read(page.Statements[1]).Object.ID, "https://school.example/shown")
	by, err := w.out.Statement(t.Context(), analyst, st.ID, false)
	if err != nil || string(by.JSON) != string(text) || !by.Stored.Equal(stored) {
		t.Errorf("by its pseudonym: %s, %v, %v", by.JSON, by.Stored, err)
	}
	for _, other := range []uuid.UUID{id, uuid.New(), uuid.Nil, uuid.Max} {
		if _, err := w.out.Statement(t.Context(), analyst, other, false); !errors.Is(err, records.ErrNotFound) {
			t.Errorf("by %s: %v", other, err)
		}
	}
}

func canonical(t *testing.T, text []byte) (value any) {
	t.Helper()
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

var anyUUID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func TestAudiencesShareNoIdentifier(t *testing.T) {
	w := newWorld(t)
	target := w.post(writer, telling, said("bob", "tried", "b", ""))
	w.post(writer,
		`{"actor":`+mbox("ann")+`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"objectType":"Agent","mbox":"mailto:bob@example.org"}}`,
		`{"actor":`+mbox("bob")+`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"objectType":"StatementRef","id":"`+target[0].String()+`"}}`,
		`{"actor":`+mbox("bob")+`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"objectType":"Group","mbox":"mailto:class@example.org"}}`,
		`{"actor":`+mbox("bob")+`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"objectType":"SubStatement","actor":`+mbox("ann")+`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"id":"https://a.example/"}}}`,
	)
	seen := map[string]string{}
	for name, c := range map[string]access.Caller{"analyst": analyst, "another analyst": analyst2, "reader": reader} {
		texts := strings.Join(asStrings(w.page(c, disclose.Query{}).Statements), "\n")
		for _, id := range slices.Compact(slices.Sorted(slices.Values(anyUUID.FindAllString(texts, -1)))) {
			if other, twice := seen[id]; twice {
				t.Errorf("%s and %s both see %s", name, other, id)
			}
			seen[id] = name
		}
	}
	if len(seen) < 25 {
		t.Errorf("only %d identifiers", len(seen))
	}
	// Within an audience one person is one pseudonym, and a reference names the statement that it refers to.
	page := w.page(analyst, disclose.Query{Ascending: true})
	first, object := w.read(page.Statements[0]), w.read(page.Statements[2])
	equal(t, "ann twice", first.Actor.Account.Name, object.Actor.Account.Name)
	if !contains(page.Statements[3], `"object":{"objectType":"StatementRef","id":"`+first.ID.String()+`"}`) {
		t.Errorf("the reference: %s", page.Statements[3])
	}
	if !contains(page.Statements[2], w.read(page.Statements[1]).Actor.Account.Name) {
		t.Errorf("bob as object: %s", page.Statements[2])
	}
}

func asStrings(list [][]byte) (texts []string) {
	for _, text := range list {
		texts = append(texts, string(text))
	}
	return texts
}

func pseudonym(account struct{ HomePage, Name string }) *xapi.Agent {
	return &xapi.Agent{Identifier: xapi.Identifier{Kind: xapi.Account, HomePage: account.HomePage, Name: account.Name}}
}

func TestPseudonymsFilter(t *testing.T) {
	w := newWorld(t)
	w.post(writer, telling, said("bob", "tried", "b", ""), said("ann", "tried", "b", ""))
	w.postDefining(writer, true, said("bob", "met", "shown", ""))
	all := w.page(analyst, disclose.Query{Ascending: true})
	ids := w.ids(all)
	ann := w.read(all.Statements[0])
	w.finds("agent", analyst, disclose.Query{Agent: pseudonym(ann.Actor.Account)}, ids[2], ids[0])
	w.finds("agent and verb", analyst, disclose.Query{Agent: pseudonym(ann.Actor.Account), Verb: "http://adlnet.gov/expapi/verbs/tried"}, ids[2])
	w.finds("registration", analyst, disclose.Query{Registration: ann.Context.Registration}, ids[0])
	w.finds("an activity of the catalogue", analyst, disclose.Query{Activity: "https://school.example/shown"}, ids[3])
	w.finds("times as truncated as those shown", analyst, disclose.Query{Since: time.Now()}, ids[3], ids[2], ids[1], ids[0])
	w.finds("until today's beginning", analyst, disclose.Query{Until: time.Now()})
}

// Where the form shows no agent it finds none: else a pseudonym's groups would be known.
func TestPseudonymsDoNotFindMembers(t *testing.T) {
	w := newWorld(t)
	own := w.post(writer, said("ann", "tried", "a", ""))[0]
	group := `"objectType":"Group","mbox":"mailto:class@example.org","member":[` + mbox("ann") + `]`
	rest := `"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":`
	met := w.post(writer,
		`{"actor":{`+group+`},`+rest+`{"id":"https://school.example/a"}}`,
		`{"actor":`+mbox("bob")+`,`+rest+`{`+group+`}}`,
		`{"actor":`+mbox("bob")+`,`+rest+`{"objectType":"Agent","mbox":"mailto:ann@example.org"}}`)
	w.finds("identified: actor, object, and member of either", reader, disclose.Query{Agent: agent("ann")}, met[2], met[1], met[0], own)
	all := w.page(analyst, disclose.Query{Ascending: true})
	ids := w.ids(all)
	w.finds("pseudonymised: actor and object", analyst, disclose.Query{Agent: pseudonym(w.read(all.Statements[0]).Actor.Account)}, ids[3], ids[0])
}

func TestConsistentThroughIsAsTruncatedAsTheForm(t *testing.T) {
	w := newWorld(t)
	w.post(writer, said("ann", "tried", "a", ""))
	for _, c := range []access.Caller{reader, analyst} {
		through := w.page(c, disclose.Query{}).ConsistentThrough
		if day := through.Truncate(24 * time.Hour); through.IsZero() || through.Equal(day) != (c.Client == analyst.Client) {
			t.Errorf("%v: consistent through %v", c.Scopes, through)
		}
	}
}

// What a reader of pseudonyms is not given it cannot ask for, and cannot find out whether it exists.
func TestOneRefusal(t *testing.T) {
	w := newWorld(t)
	w.post(writer, telling, said("bob", "tried", "b", ""))
	w.post(stranger2, said("eve", "tried", "b", ""))
	mine := w.read(w.page(analyst, disclose.Query{Ascending: true}).Statements[0])
	theirs := w.read(w.page(analyst2, disclose.Query{Ascending: true}).Statements[0])
	account := func(homePage, name string) *xapi.Agent {
		return &xapi.Agent{Identifier: xapi.Identifier{Kind: xapi.Account, HomePage: homePage, Name: name}}
	}
	pseudonyms := home + "/pseudonyms"
	sum, _ := agent("ann").Identifier.MboxSHA1()
	foreign := analyst
	foreign.Tenant = two
	var texts []string
	for name, q := range map[string]disclose.Query{
		"a known mailbox":               {Agent: agent("ann")},
		"an unknown mailbox":            {Agent: agent("zoe")},
		"another tenant's mailbox":      {Agent: agent("eve")},
		"a known mailbox by its sum":    {Agent: &xapi.Agent{Identifier: sum}},
		"a random pseudonym":            {Agent: account(pseudonyms, uuid.NewString())},
		"another audience's pseudonym":  {Agent: pseudonym(theirs.Actor.Account)},
		"the subject's own id":          {Agent: account(pseudonyms, w.subject("ann").String())},
		"a pseudonym in capitals":       {Agent: account(pseudonyms, strings.ToUpper(mine.Actor.Account.Name))},
		"a pseudonym elsewhere":         {Agent: account("https://elsewhere.example", mine.Actor.Account.Name)},
		"no pseudonym":                  {Agent: account(pseudonyms, "ann")},
		"related agents":                {Agent: pseudonym(mine.Actor.Account), RelatedAgents: true},
		"a known registration":          {Registration: uuid.MustParse("6b2b9e8a-4f3c-4b1d-9d5f-0a1b2c3d4e5f")},
		"an unknown registration":       {Registration: uuid.New()},
		"another audience's":            {Registration: theirs.Context.Registration},
		"an activity that is not shown": {Activity: "https://school.example/wordobject"},
		"an unknown activity":           {Activity: "https://school.example/nothing"},
		"an activity's pseudonym":       {Activity: mine.Object.ID},
		"related activities":            {Activity: "https://school.example/wordparent", RelatedActivities: true},
	} {
		before := len(w.events())
		page, err := w.out.Page(t.Context(), analyst, q)
		if !errors.Is(err, disclose.ErrRefused) || len(page.Statements) > 0 || page.More != "" || !page.ConsistentThrough.IsZero() {
			t.Errorf("%s: %v, %v", name, page, err)
			continue
		}
		texts = append(texts, err.Error())
		if _, err := w.out.Export(t.Context(), analyst, q, func([]byte) error { t.Errorf("%s: exported", name); return nil }); !errors.Is(err, disclose.ErrRefused) {
			t.Errorf("%s: export: %v", name, err)
		}
		events := w.events()[before:]
		for i := range events {
			if diff := cmp.Diff(events[0], events[i]); diff != "" || events[i].Kind != "statement.refused" || events[i].Fields["reason"] != "not_a_pseudonym" || len(events[i].Subjects) > 0 {
				t.Errorf("%s: event %+v", name, events[i])
			}
		}
		equal(t, "events", len(events), 2)
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(texts)))); n != 1 {
		t.Errorf("%d texts of refusals: %q", n, texts)
	}
	if _, err := w.out.Page(t.Context(), foreign, disclose.Query{Agent: pseudonym(mine.Actor.Account)}); !errors.Is(err, disclose.ErrRefused) {
		t.Errorf("in another tenant: %v", err)
	}
}

// An answer that shows nothing tells no more exact a time than one that shows something.
func TestConsistentThroughOfARefusal(t *testing.T) {
	w := newWorld(t)
	w.post(writer, said("ann", "tried", "a", ""))
	for c, exact := range map[*access.Caller]bool{&reader: true, &analyst: false, &writer: false} {
		through, err := w.out.ConsistentThrough(t.Context(), *c)
		if day := through.Equal(through.Truncate(24 * time.Hour)); err != nil || day == exact || time.Since(through) > 48*time.Hour {
			t.Errorf("%v: %v, %v", c.Scopes, through, err)
		}
	}
}

// What stands only in statements of another purpose is refused as what stands nowhere: an activity of the catalogue, too.
func TestRefusalsDoNotTellOfAnotherPurpose(t *testing.T) {
	w := newWorld(t)
	other := client(one, 30, "statements/write", "define")
	other.Purpose = "accreditation"
	w.postDefining(other, true, said("ann", "tried", "theirs", ""))
	w.postDefining(client(one, 31, "statements/write", "define"), true, said("ann", "tried", "ours", ""))
	for activity, want := range map[string]error{"ours": nil, "theirs": disclose.ErrRefused, "nobodys": disclose.ErrRefused} {
		_, err := w.out.Page(t.Context(), analyst, disclose.Query{Activity: "https://school.example/" + activity})
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v", activity, err)
		}
		_, err = w.out.Search(t.Context(), analyst, disclose.Search{Activities: []string{"https://school.example/" + activity}})
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("search %s: %v", activity, err)
		}
	}
}
