package disclose_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// odd is a statement whose bytes any rewriting would change.
const odd = `{ "actor" : {"objectType":"Group","name":"Jos\u00e9 \/ class","mbox":"mailto:class@example.org","member":[{"mbox":"mailto:ann@example.org" ,"name":"Ann"},` +
	`{"account":{"name":"b","homePage":"https://b.example"}}]},"verb":{"display":{"en":"d"},"id":"http://adlnet.gov/expapi/verbs/met"},` +
	`"object":{"objectType":"SubStatement","actor":{"openid":"https://o.example/1"},"verb":{"id":"http://adlnet.gov/expapi/verbs/tried"},"object":{"id":"https://school.example/odd"}},` +
	`"result":{"score":{"raw":1.50e1,"scaled":0.10},"duration":"PT1M0.10S","extensions":{"https://x.example/n":9007199254740993}},` +
	`"context":{"registration":"6B2B9E8A-4F3C-4B1D-9D5F-0A1B2C3D4E5F","instructor":{"mbox":"mailto:teacher@example.org"},"contextActivities":{"parent":[{"id":"https://school.example/p"}]},` +
	`"contextAgents":[{"objectType":"contextAgent","agent":{"mbox_sha1sum":"ebd31e95054c018b10727ccffd2ef2ec3a016ee9"}}]},"timestamp":"2024-01-02T03:04:05.123456789+01:00"   `

func TestIdentifiedIsAsSent(t *testing.T) {
	w := newWorld(t)
	id := w.post(writer, odd+"}")[0]
	st, err := w.out.Statement(t.Context(), reader, id, false)
	if err != nil {
		t.Fatal(err)
	}
	added, same := strings.CutPrefix(string(st.JSON), odd)
	if !same {
		t.Fatalf("got  %s\nwant %s", st.JSON, odd)
	}
	stored := w.read(st.JSON).Stored
	want := `,"id":"` + id.String() + `","stored":"` + xapi.FormatTime(stored) + `","authority":{"objectType":"Agent","account":{"homePage":"` + home + `","name":"client/` +
		writer.Client.String() + `"}},"version":"2.0.0"}`
	equal(t, "what the store sets", added, want)
	equal(t, "Stored", st.Stored, stored)
	page := w.page(reader, disclose.Query{})
	if len(page.Statements) != 1 || string(page.Statements[0]) != string(st.JSON) {
		t.Errorf("in a page: %s", page.Statements)
	}
	if page.ConsistentThrough.Before(stored) {
		t.Errorf("consistent through %v, but it shows %v", page.ConsistentThrough, stored)
	}
	ids := []uuid.UUID{w.subject("class"), w.subject("ann"), w.subject("teacher")}
	for i, e := range w.events() {
		equal(t, "event", e.Kind+" "+e.Actor+" "+e.Purpose, "statement.read "+reader.Client.String()+" learning-records")
		if !slices.Contains(e.Subjects, ids[0]) || !slices.Contains(e.Subjects, ids[1]) || !slices.Contains(e.Subjects, ids[2]) || len(e.Subjects) != 6 {
			t.Errorf("event %d names %d subjects", i, len(e.Subjects))
		}
	}
	if n := len(w.events()); n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestFilters(t *testing.T) {
	w := newWorld(t)
	registration := uuid.New()
	ids := w.post(writer,
		said("ann", "tried", "a", ""),
		said("ann", "met", "b", `,"context":{"registration":"`+registration.String()+`"}`),
		`{"actor":`+mbox("bob")+`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"objectType":"Agent","mbox":"mailto:ann@example.org"}}`,
		`{"actor":{"objectType":"Group","member":[`+mbox("ann")+`]},"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"id":"https://school.example/c"}}`,
		said("bob", "tried", "d", `,"context":{"instructor":`+mbox("ann")+`,"contextActivities":{"grouping":[{"id":"https://school.example/a"}]}}`),
		`{"actor":`+mbox("bob")+`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"objectType":"SubStatement","actor":`+mbox("ann")+
			`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"id":"https://school.example/a"}}}`,
		said("eve", "tried", "e", ""),
	)
	stored := make([]time.Time, len(ids))
	for i, id := range ids {
		st, err := w.out.Statement(t.Context(), reader, id, false)
		if err != nil {
			t.Fatal(err)
		}
		stored[i] = st.Stored
	}
	pick := func(order ...int) []uuid.UUID {
		list := []uuid.UUID{}
		for _, i := range order {
			list = append(list, ids[i])
		}
		return list
	}
	sum, _ := agent("ann").Identifier.MboxSHA1()
	for name, c := range map[string]struct {
		query disclose.Query
		want  []int
	}{
		"all":                       {disclose.Query{}, []int{6, 5, 4, 3, 2, 1, 0}},
		"ascending":                 {disclose.Query{Ascending: true}, []int{0, 1, 2, 3, 4, 5, 6}},
		"agent":                     {disclose.Query{Agent: agent("ann")}, []int{3, 2, 1, 0}},
		"agent by sha1":             {disclose.Query{Agent: &xapi.Agent{Identifier: sum}}, []int{3, 2, 1, 0}},
		"agent, related":            {disclose.Query{Agent: agent("ann"), RelatedAgents: true}, []int{5, 4, 3, 2, 1, 0}},
		"agent, ascending":          {disclose.Query{Agent: agent("ann"), Ascending: true}, []int{0, 1, 2, 3}},
		"agent and verb":            {disclose.Query{Agent: agent("ann"), Verb: "http://adlnet.gov/expapi/verbs/met"}, []int{3, 2, 1}},
		"nobody":                    {disclose.Query{Agent: agent("zoe")}, nil},
		"nobody, related":           {disclose.Query{Agent: agent("zoe"), RelatedAgents: true}, nil},
		"verb":                      {disclose.Query{Verb: "http://adlnet.gov/expapi/verbs/tried"}, []int{6, 4, 0}},
		"a verb nobody used":        {disclose.Query{Verb: "http://adlnet.gov/expapi/verbs/slept"}, nil},
		"activity":                  {disclose.Query{Activity: "https://school.example/a"}, []int{0}},
		"activity, related":         {disclose.Query{Activity: "https://school.example/a", RelatedActivities: true}, []int{5, 4, 0}},
		"an activity nobody used":   {disclose.Query{Activity: "https://school.example/z", RelatedActivities: true}, nil},
		"registration":              {disclose.Query{Registration: registration}, []int{1}},
		"no such registration":      {disclose.Query{Registration: uuid.New()}, nil},
		"since is exclusive":        {disclose.Query{Since: stored[3]}, []int{6, 5, 4}},
		"until is inclusive":        {disclose.Query{Until: stored[3]}, []int{3, 2, 1, 0}},
		"since and until":           {disclose.Query{Since: stored[1], Until: stored[3]}, []int{3, 2}},
		"since the end":             {disclose.Query{Since: stored[6]}, nil},
		"limit":                     {disclose.Query{Limit: 2}, []int{6, 5}},
		"limit, ascending":          {disclose.Query{Limit: 2, Ascending: true}, []int{0, 1}},
		"authority":                 {disclose.Query{Agent: hubAgent("client/" + writer.Client.String())}, nil},
		"authority, related agents": {disclose.Query{Agent: hubAgent("client/" + writer.Client.String()), RelatedAgents: true}, []int{6, 5, 4, 3, 2, 1, 0}},
	} {
		if diff := cmp.Diff(pick(c.want...), w.ids(w.page(reader, c.query))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	bot := hubAgent("client/bot") // with the hub's own home page, and no authority
	account := `{"account":{"homePage":"` + home + `","name":"client/bot"}}`
	mentioned := w.post(writer, `{"actor":`+account+`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"id":"https://school.example/a"}}`,
		`{"actor":`+mbox("bob")+`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"objectType":"Agent",`+account[1:]+`}`, said("bob", "met", "a", `,"context":{"instructor":`+account+`}`))
	w.finds("an account of the hub", reader, disclose.Query{Agent: bot}, mentioned[1], mentioned[0])
	w.finds("an account of the hub, related", reader, disclose.Query{Agent: bot, RelatedAgents: true}, mentioned[2], mentioned[1], mentioned[0])
	w.finds("another tenant", stranger, disclose.Query{})
	w.finds("another tenant, agent", stranger, disclose.Query{Agent: agent("ann")})
	if _, err := w.out.Statement(t.Context(), stranger, ids[0], false); !errors.Is(err, records.ErrNotFound) {
		t.Errorf("another tenant, by id: %v", err)
	}
	w.post(stranger2, said("ann", "tried", "a", ""))
	equal(t, "its own", len(w.page(stranger, disclose.Query{}).Statements), 1)
	accreditor := reader
	accreditor.Purpose = "accreditation"
	w.finds("another purpose", accreditor, disclose.Query{})
	if _, err := w.out.Page(t.Context(), writer, disclose.Query{}); !errors.Is(err, access.ErrDenied) {
		t.Errorf("a writer reads: %v", err)
	}
	events := w.events()
	if e := events[len(events)-1]; e.Kind != "statement.refused" || e.Fields["reason"] != "denied" || e.Actor != writer.Client.String() {
		t.Errorf("the refusal's event: %+v", e)
	}
}

func hubAgent(name string) *xapi.Agent {
	return &xapi.Agent{Identifier: xapi.Identifier{Kind: xapi.Account, HomePage: home, Name: name}}
}

func TestVoiding(t *testing.T) {
	w := newWorld(t)
	target := w.post(writer, said("ann", "tried", "a", ""), said("bob", "tried", "a", ""))
	void := func(id uuid.UUID) string {
		return `{"actor":` + mbox("teacher") + `,"verb":{"id":"` + xapi.VerbVoided + `"},"object":{"objectType":"StatementRef","id":"` + id.String() + `"}}`
	}
	voiding := w.post(writer, void(target[0]))[0]
	w.finds("the voided is not listed, the voiding is", reader, disclose.Query{}, voiding, target[1])
	w.finds("what holds", reader, disclose.Query{EffectiveOnly: true}, target[1])
	if _, err := w.out.Statement(t.Context(), reader, target[0], false); !errors.Is(err, records.ErrNotFound) {
		t.Errorf("statementId of a voided one: %v", err)
	}
	if st, err := w.out.Statement(t.Context(), reader, target[0], true); err != nil || w.read(st.JSON).ID != target[0] {
		t.Errorf("voidedStatementId: %v", err)
	}
	if _, err := w.out.Statement(t.Context(), reader, target[1], true); !errors.Is(err, records.ErrNotFound) {
		t.Errorf("voidedStatementId of one that holds: %v", err)
	}
	second := w.post(writer, void(voiding))[0] // a voiding statement cannot be voided
	w.finds("voiding the voiding", reader, disclose.Query{}, second, voiding, target[1])
	foreign := writer
	foreign.Purpose = "accreditation"
	w.post(foreign, void(target[1])) // knows the id, but writes for another purpose
	w.finds("voided for another purpose", reader, disclose.Query{}, second, voiding, target[1])
	if _, err := w.out.Statement(t.Context(), reader, target[1], true); !errors.Is(err, records.ErrNotFound) {
		t.Errorf("voidedStatementId of one that was voided for another purpose: %v", err)
	}
	if _, err := w.out.Statement(t.Context(), reader, target[1], false); err != nil {
		t.Errorf("statementId of one that was voided for another purpose: %v", err)
	}
}

func TestMore(t *testing.T) {
	w := newWorld(t)
	var texts []string
	for range 7 {
		texts = append(texts, said("ann", "tried", "a", ""), said("bob", "tried", "a", ""))
	}
	ids := w.post(writer, texts...)
	for _, c := range []access.Caller{reader, analyst} {
		var shown []string
		page := w.page(c, disclose.Query{Limit: 4, Ascending: true})
		for pages := 1; ; pages++ {
			for _, text := range page.Statements {
				shown = append(shown, w.read(text).ID.String())
			}
			if page.More == "" {
				equal(t, "pages", pages, 4)
				break
			}
			var err error
			if page, err = w.road().More(t.Context(), c, page.More); err != nil { // each page by another process
				t.Fatal(err)
			}
		}
		slices.Sort(shown)
		equal(t, "each statement once", len(slices.Compact(shown)), 14)
	}
	page := w.page(reader, disclose.Query{Limit: 3, Agent: agent("ann")})
	w.post(writer, said("ann", "tried", "a", "")) // a newer one does not shift the next page
	next, err := w.out.More(t.Context(), reader, page.More)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uuid.UUID{ids[6], ids[4], ids[2]}, w.ids(next)); diff != "" {
		t.Error(diff)
	}
	whole := w.page(reader, disclose.Query{Limit: 15})
	equal(t, "nothing more", whole.More, "")
	if strings.Contains(page.More, "ann") || len(page.More) > 1000 {
		t.Errorf("the continuation is %s", page.More)
	}
	flipped := []byte(page.More)
	flipped[len(flipped)/2] ^= 1
	sameClient := stranger
	sameClient.Client = reader.Client
	for name, c := range map[string]struct {
		caller access.Caller
		more   string
	}{
		"another client": {analyst, page.More}, "another tenant": {sameClient, page.More}, "tampered": {reader, string(flipped)},
		"cut": {reader, page.More[:len(page.More)-4]}, "empty": {reader, ""}, "not base64": {reader, "%%%"}, "padded": {reader, page.More + "=="},
	} {
		if _, err := w.out.More(t.Context(), c.caller, c.more); !errors.Is(err, disclose.ErrMore) {
			t.Errorf("%s: %v", name, err)
		}
		events := w.events()
		if e := events[len(events)-1]; e.Kind != "statement.refused" || e.Fields["reason"] != "continuation" {
			t.Errorf("%s: event %+v", name, e)
		}
	}
	revoked := reader
	revoked.Scopes = nil
	if _, err := w.out.More(t.Context(), revoked, page.More); !errors.Is(err, access.ErrDenied) {
		t.Errorf("a continuation grants nothing: %v", err)
	}
}

func TestMineSeesItsOwn(t *testing.T) {
	w := newWorld(t)
	own := client(one, 8, "statements/write", "statements/read/mine")
	w.finds("before anything was written", own, disclose.Query{})
	w.post(writer, said("ann", "tried", "a", ""))
	w.finds("others'", own, disclose.Query{})
	ids := w.post(own, said("ann", "met", "a", ""), said("bob", "met", "a", ""))
	w.post(writer, said("ann", "tried", "b", ""))
	w.finds("its own", own, disclose.Query{}, ids[1], ids[0])
	w.finds("its own of ann", own, disclose.Query{Agent: agent("ann")}, ids[0])
	if st, err := w.out.Statement(t.Context(), own, ids[0], false); err != nil || w.read(st.JSON).Actor.Mbox != "mailto:ann@example.org" {
		t.Errorf("its own by id: %v", err)
	}
	others := w.ids(w.page(reader, disclose.Query{Verb: "http://adlnet.gov/expapi/verbs/tried"}))
	if _, err := w.out.Statement(t.Context(), own, others[0], false); !errors.Is(err, records.ErrNotFound) {
		t.Errorf("another's by id: %v", err)
	}
	if _, err := w.out.Export(t.Context(), own, disclose.Query{}, func([]byte) error { return nil }); !errors.Is(err, access.ErrDenied) {
		t.Errorf("export: %v", err)
	}
	same := own
	same.Tenant = two
	w.finds("the same id in another tenant", same, disclose.Query{})
}

func TestErased(t *testing.T) {
	w := newWorld(t)
	group := func(name string) string { return `{"objectType":"Group","mbox":"mailto:` + name + `@example.org"}` }
	ids := w.post(writer,
		said("ann", "tried", "a", ""),
		said("bob", "tried", "a", `,"context":{"instructor":`+mbox("ann")+`,"team":`+group("team")+`,"contextGroups":[{"objectType":"contextGroup","group":`+group("helpers")+`}]}`),
		`{"actor":`+mbox("bob")+`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"objectType":"Agent","mbox":"mailto:ann@example.org"}}`,
		`{"actor":{"objectType":"Group","mbox":"mailto:class@example.org","member":[`+mbox("ann")+`,`+mbox("bob")+`]},"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"id":"https://school.example/a"}}`,
	)
	for _, name := range []string{"ann", "team", "helpers"} {
		w.shred(name)
	}
	for _, c := range []access.Caller{reader, analyst} {
		equal(t, "the erased actor's statement", len(w.page(c, disclose.Query{}).Statements), 3)
	}
	if _, err := w.out.Statement(t.Context(), reader, ids[0], false); !errors.Is(err, records.ErrNotFound) {
		t.Errorf("by id: %v", err)
	}
	w.finds("by the erased agent", reader, disclose.Query{Agent: agent("ann")})
	var names []string
	for _, text := range w.page(reader, disclose.Query{}).Statements {
		if contains(text, "mailto:ann") || contains(text, "mailto:team") {
			t.Errorf("an erased person is shown: %s", text)
		}
		if _, err := xapi.Parse(text, xapi.V2); err != nil {
			t.Errorf("with tombstones it is no valid statement: %v: %s", err, text)
		}
		if contains(text, home+"/tombstones") {
			names = append(names, w.read(text).ID.String())
		}
	}
	equal(t, "statements with tombstones", len(names), 3)
	count, err := w.out.Export(t.Context(), reader, disclose.Query{}, func([]byte) error { return nil })
	if err != nil || count != 3 {
		t.Errorf("export gives %d, %v", count, err)
	}
}

// While a write is open whose place in the order may come before others', no answer claims to be complete beyond it, and none shows what came after.
func TestConsistentThroughIsTrue(t *testing.T) {
	w := newWorld(t)
	before := w.post(writer, said("ann", "tried", "a", ""))[0]
	var place time.Time
	w.tx(one, func(ctx context.Context, tx *database.Tx) error {
		first, err := records.Clock(ctx, tx, 1)
		if err != nil {
			return err
		}
		place = records.StoredAt(first)
		batch, err := xapi.ParseBatch([]byte("["+said("bob", "tried", "a", "")+"]"), xapi.V2, 1)
		if err != nil {
			return err
		}
		if _, err := w.in.Statements(ctx, writer, false, batch); err != nil { // commits first, though its place is later
			return err
		}
		page := w.page(reader, disclose.Query{})
		if !page.ConsistentThrough.Before(place) {
			t.Errorf("complete through %v, but %v is still open", page.ConsistentThrough, place)
		}
		if diff := cmp.Diff([]uuid.UUID{before}, w.ids(page)); diff != "" {
			t.Errorf("shown meanwhile: %s", diff)
		}
		return nil
	})
	databasetest.Settle(t, w.db)
	page := w.page(reader, disclose.Query{})
	if !page.ConsistentThrough.After(place) || len(page.Statements) != 2 {
		t.Errorf("afterwards: complete through %v, %d statements", page.ConsistentThrough, len(page.Statements))
	}
}
