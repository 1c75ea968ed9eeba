package disclose_test

import (
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/policies"
)

// found lists what a search finds, in pages of two, newest first.
func (w *world) found(c access.Caller, q disclose.Search) []uuid.UUID {
	w.Helper()
	q.Limit = 2
	page, err := w.out.Search(w.Context(), c, q)
	ids := []uuid.UUID{}
	for {
		if err != nil {
			w.Fatal(err)
		}
		if ids = append(ids, w.ids(page)...); page.More == "" {
			return ids
		}
		page, err = w.road().More(w.Context(), c, page.More) // on another node
	}
}

const verbs = "http://adlnet.gov/expapi/verbs/"

func ptr[T any](v T) *T { return &v }

func TestSearch(t *testing.T) {
	w := newWorld(t)
	one, two := uuid.New(), uuid.New()
	course := func(name string) string {
		return `{"id":"https://school.example/` + name + `","definition":{"type":"https://types.example/course"}}`
	}
	with := func(who, verb, object, rest string) string {
		return `{"actor":` + mbox(who) + `,"verb":{"id":"` + verbs + verb + `"},"object":` + object + rest + `}`
	}
	ids := w.postDefining(writer, true,
		with("ann", "passed", course("a"), `,"result":{"score":{"scaled":0.9,"raw":9},"success":true,"duration":"PT1M"},"context":{"registration":"`+one.String()+`"},"timestamp":"2024-01-01T12:00:00Z"`),
		with("bob", "failed", course("a"), `,"result":{"score":{"scaled":0.2},"success":false,"duration":"PT9M"},"context":{"registration":"`+two.String()+`"},"timestamp":"2024-01-02T00:00:00Z"`),
		with("eve", "met", `{"id":"https://school.example/b","definition":{"type":"https://types.example/meeting"}}`, `,"result":{"completion":true},"timestamp":"2024-01-03T12:00:00Z"`),
		with("eve", "tried", `{"id":"https://school.example/c"}`, `,"context":{"contextActivities":{"parent":[{"id":"https://school.example/a"}]},"instructor":`+mbox("ann")+`},"timestamp":"2024-01-04T12:00:00Z"`))
	sealed := w.post(writer, with("eve", "tried", course("d"), `,"timestamp":"2024-01-05T12:00:00Z"`))[0] // no activity of the catalogue
	reference := w.post(writer, with("eve", "met", `{"objectType":"StatementRef","id":"`+ids[0].String()+`"}`, `,"timestamp":"2024-01-06T12:00:00Z"`))[0]
	gone := w.post(writer, with("ann", "failed", course("a"), ""))[0]
	void := w.post(writer, with("eve", "voided", `{"objectType":"StatementRef","id":"`+gone.String()+`"}`, ""))[0]
	day := func(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		q    disclose.Search
		want []uuid.UUID
	}{
		"all":                      {disclose.Search{}, []uuid.UUID{void, reference, sealed, ids[3], ids[2], ids[1], ids[0]}},
		"verbs":                    {disclose.Search{Verbs: []string{verbs + "passed", verbs + "failed", "x:unknown"}}, []uuid.UUID{ids[1], ids[0]}},
		"oldest first":             {disclose.Search{Verbs: []string{verbs + "passed", verbs + "failed"}, Ascending: true}, ids[:2]},
		"voided":                   {disclose.Search{Verbs: []string{verbs + "passed", verbs + "failed"}, Voided: true}, []uuid.UUID{gone}},
		"activities":               {disclose.Search{Activities: []string{"https://school.example/b", "https://school.example/c"}}, []uuid.UUID{ids[3], ids[2]}},
		"a sealed activity":        {disclose.Search{Activities: []string{"https://school.example/d"}}, []uuid.UUID{sealed}},
		"activities in any place":  {disclose.Search{Activities: []string{"https://school.example/a"}, RelatedActivities: true}, []uuid.UUID{ids[3], ids[1], ids[0]}},
		"types":                    {disclose.Search{Types: []string{"https://types.example/course"}}, []uuid.UUID{ids[1], ids[0]}},
		"types or":                 {disclose.Search{Types: []string{"https://types.example/course", "https://types.example/meeting"}, Verbs: []string{verbs + "met", verbs + "failed"}}, []uuid.UUID{ids[2], ids[1]}},
		"agent":                    {disclose.Search{Agent: agent("ann")}, []uuid.UUID{ids[0]}},
		"agent in any place":       {disclose.Search{Agent: agent("ann"), RelatedAgents: true}, []uuid.UUID{ids[3], ids[0]}},
		"agent and verbs":          {disclose.Search{Agent: agent("eve"), Verbs: []string{verbs + "tried", verbs + "passed"}}, []uuid.UUID{sealed, ids[3]}},
		"an unknown agent":         {disclose.Search{Agent: agent("zoe")}, []uuid.UUID{}},
		"registrations":            {disclose.Search{Registrations: []uuid.UUID{one, two, uuid.New()}}, []uuid.UUID{ids[1], ids[0]}},
		"success":                  {disclose.Search{Success: ptr(true)}, []uuid.UUID{ids[0]}},
		"no success":               {disclose.Search{Success: ptr(false)}, []uuid.UUID{ids[1]}},
		"completion":               {disclose.Search{Completion: ptr(true)}, []uuid.UUID{ids[2]}},
		"scaled":                   {disclose.Search{Scaled: disclose.Range{Min: ptr(0.2), Max: ptr(0.2)}}, []uuid.UUID{ids[1]}},
		"raw":                      {disclose.Search{Raw: disclose.Range{Min: ptr(8.5)}}, []uuid.UUID{ids[0]}},
		"duration":                 {disclose.Search{Duration: disclose.Range{Min: ptr(61.0), Max: ptr(540.0)}}, []uuid.UUID{ids[1]}},
		"timestamp":                {disclose.Search{From: day(2), To: day(4)}, []uuid.UUID{ids[2], ids[1]}},
		"stored":                   {disclose.Search{Since: time.Now()}, []uuid.UUID{}},
		"nothing by what it means": {disclose.Search{Registrations: []uuid.UUID{one}, Verbs: []string{verbs + "met"}}, []uuid.UUID{}},
	} {
		if diff := cmp.Diff(c.want, w.found(reader, c.q)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		before := len(w.events())
		n, err := w.out.Count(t.Context(), reader, c.q)
		if err != nil || n.Statements != int64(len(c.want)) || n.ConsistentThrough.IsZero() {
			t.Errorf("%s: counted %+v, %v", name, n, err)
		}
		if e := w.events()[before:]; len(e) != 1 || e[0].Kind != "statement.read" || e[0].Fields["counted"] != float64(len(c.want)) || len(e[0].Subjects) > 0 != (c.q.Agent != nil && len(c.want) > 0) {
			t.Errorf("%s: told %+v", name, e)
		}
	}
	if ids := w.found(stranger, disclose.Search{}); len(ids) > 0 {
		t.Errorf("another tenant: %v", ids)
	}
	if _, err := w.out.Search(t.Context(), writer, disclose.Search{}); !errors.Is(err, access.ErrDenied) {
		t.Errorf("a writer: %v", err)
	}
}

func TestRegistrationsOfALearner(t *testing.T) {
	w := newWorld(t)
	one, two := uuid.New(), uuid.New()
	in := func(who string, r uuid.UUID) string {
		return said(who, "tried", "a", `,"context":{"registration":"`+r.String()+`"}`)
	}
	ids := w.post(writer, in("ann", one), in("ann", two), in("bob", two), in("ann", one), said("ann", "tried", "a", ""), in("ann", uuid.New()))
	w.post(writer, `{"actor":`+mbox("bob")+`,"verb":{"id":"`+xapi.VerbVoided+`"},"object":{"objectType":"StatementRef","id":"`+ids[5].String()+`"}}`)
	list, err := w.out.Registrations(t.Context(), reader, *agent("ann"))
	if err != nil || len(list) != 2 || list[0].Registration != one || list[0].Statements != 2 || list[1].Registration != two || list[1].Statements != 1 || !list[0].First.Before(list[0].Last) {
		t.Errorf("%+v, %v", list, err)
	}
	events := w.events()
	if e := events[len(events)-1]; e.Kind != "statement.read" || !slices.Equal(e.Subjects, []uuid.UUID{w.subject("ann")}) || e.Fields["registrations"] != 2.0 {
		t.Errorf("told %+v", e)
	}
	for _, c := range []access.Caller{reader, stranger} {
		if list, err = w.out.Registrations(t.Context(), c, *agent("zoe")); err != nil || len(list) > 0 {
			t.Errorf("of nobody: %v, %v", list, err)
		}
	}
	pseudonymous := w.read(w.page(analyst, disclose.Query{Ascending: true}).Statements[0])
	for _, who := range []*xapi.Agent{agent("ann"), agent("zoe"), pseudonym(pseudonymous.Actor.Account)} {
		if list, err := w.out.Registrations(t.Context(), analyst, *who); !errors.Is(err, disclose.ErrRefused) || list != nil {
			t.Errorf("to a reader of pseudonyms: %v, %v", list, err)
		}
	}
}

func TestSearchOfPseudonyms(t *testing.T) {
	w := newWorld(t)
	w.post(writer, telling, said("bob", "tried", "b", ""), said("ann", "tried", "b", `,"timestamp":"2024-01-03T00:00:00Z"`))
	w.postDefining(writer, true, `{"actor":`+mbox("bob")+`,"verb":{"id":"`+verbs+`met"},"object":{"id":"https://school.example/shown","definition":{"type":"https://types.example/course"}}}`)
	all := w.page(analyst, disclose.Query{Ascending: true})
	ids, ann, other := w.ids(all), w.read(all.Statements[0]), w.read(w.page(analyst2, disclose.Query{Ascending: true}).Statements[0])
	day := func(n int) time.Time { return time.Date(2024, 1, n, 15, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		q    disclose.Search
		want []uuid.UUID
	}{
		"verbs":         {disclose.Search{Verbs: []string{verbs + "met", verbs + "unknown"}}, []uuid.UUID{ids[3], ids[0]}},
		"agent":         {disclose.Search{Agent: pseudonym(ann.Actor.Account), Verbs: []string{verbs + "met", verbs + "tried"}}, []uuid.UUID{ids[2], ids[0]}},
		"registrations": {disclose.Search{Registrations: []uuid.UUID{ann.Context.Registration}}, []uuid.UUID{ids[0]}},
		"activities":    {disclose.Search{Activities: []string{"https://school.example/shown"}}, []uuid.UUID{ids[3]}},
		"result":        {disclose.Search{Success: ptr(true), Completion: ptr(false), Scaled: disclose.Range{Min: ptr(0.5)}, Raw: disclose.Range{Max: ptr(7.0)}}, []uuid.UUID{ids[0]}},
		"stored today":  {disclose.Search{Since: time.Now()}, []uuid.UUID{ids[3], ids[2], ids[1], ids[0]}},
		"by days":       {disclose.Search{From: day(2), To: day(3)}, []uuid.UUID{ids[0]}}, // the third day's first instant is of the third day
	} {
		if diff := cmp.Diff(c.want, w.found(analyst, c.q)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if n, err := w.out.Count(t.Context(), analyst, c.q); !errors.Is(err, disclose.ErrRefused) || n != (disclose.Counted{}) {
			t.Errorf("%s: counted %v, %v", name, n, err)
		}
	}
	known := uuid.MustParse("6b2b9e8a-4f3c-4b1d-9d5f-0a1b2c3d4e5f")
	var texts []string
	for name, q := range map[string]disclose.Search{
		"a mailbox":                      {Agent: agent("ann"), Verbs: []string{verbs + "met"}},
		"another audience's pseudonym":   {Agent: pseudonym(other.Actor.Account)},
		"related agents":                 {Agent: pseudonym(ann.Actor.Account), RelatedAgents: true},
		"a known registration":           {Registrations: []uuid.UUID{known}},
		"one among pseudonyms":           {Registrations: []uuid.UUID{ann.Context.Registration, known}},
		"an unknown one among them":      {Registrations: []uuid.UUID{ann.Context.Registration, uuid.New()}},
		"another audience's":             {Registrations: []uuid.UUID{other.Context.Registration}},
		"no registration":                {Registrations: []uuid.UUID{uuid.Nil}},
		"an activity that is not shown":  {Activities: []string{"https://school.example/wordobject"}},
		"one beside one that is":         {Activities: []string{"https://school.example/shown", "https://school.example/wordobject"}},
		"an unknown one":                 {Activities: []string{"https://school.example/shown", "https://school.example/nothing"}},
		"related activities":             {Activities: []string{"https://school.example/shown"}, RelatedActivities: true},
		"a type":                         {Types: []string{"https://types.example/course"}},
		"an unknown type":                {Types: []string{"https://types.example/nothing"}},
		"a duration, which is not shown": {Duration: disclose.Range{Min: ptr(77.0)}},
		"a bound that excludes nothing":  {Duration: disclose.Range{Max: ptr(1e9)}},
		"voided":                         {Voided: true},
	} {
		before := len(w.events())
		page, err := w.out.Search(t.Context(), analyst, q)
		if !errors.Is(err, disclose.ErrRefused) || len(page.Statements) > 0 || page.More != "" || !page.ConsistentThrough.IsZero() {
			t.Errorf("%s: %v, %v", name, page, err)
			continue
		}
		texts = append(texts, err.Error())
		if e := w.events()[before:]; len(e) != 1 || e[0].Kind != "statement.refused" || e[0].Fields["reason"] != "not_a_pseudonym" || len(e[0].Subjects) > 0 {
			t.Errorf("%s: told %+v", name, e)
		}
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(texts)))); n != 1 {
		t.Errorf("%d texts of refusals: %q", n, texts)
	}
}

// A policy that shows less may be asked less: each column that it hides is refused as a filter, in a page that goes on too.
func TestSearchAsksOnlyWhatIsShown(t *testing.T) {
	w := newWorld(t)
	w.post(writer, telling, telling, said("bob", "tried", "b", ""))
	w.postDefining(writer, true, said("bob", "met", "shown", ""))
	first := w.read(w.page(analyst, disclose.Query{Ascending: true}).Statements[0])
	day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	bySearch := map[string]disclose.Search{
		"verb": {Verbs: []string{verbs + "met"}}, "object": {Activities: []string{"https://school.example/shown"}}, "actor": {Agent: pseudonym(first.Actor.Account)},
		"registration": {Registrations: []uuid.UUID{first.Context.Registration}}, "success": {Success: ptr(true)}, "completion": {Completion: ptr(false)},
		"score_scaled": {Scaled: disclose.Range{Min: ptr(0.1)}}, "score_raw": {Raw: disclose.Range{Min: ptr(0.1)}}, "timestamp": {From: day}, "stored": {Since: day},
	}
	more, pages := map[string]string{}, 0
	for column, q := range bySearch {
		q.Limit = 1
		page, err := w.out.Search(t.Context(), analyst, q)
		if err != nil || len(page.Statements) != 1 {
			t.Fatalf("%s while it is shown: %v", column, err)
		}
		if more[column] = page.More; page.More != "" {
			pages++
		}
	}
	if pages < 5 {
		t.Errorf("only %d searches have a page that goes on", pages)
	}
	for column, q := range bySearch {
		w.hide(column)
		if page, err := w.out.Search(t.Context(), analyst, q); !errors.Is(err, disclose.ErrRefused) || len(page.Statements) > 0 {
			t.Errorf("%s while it is hidden: %d statements, %v", column, len(page.Statements), err)
		}
		if page, err := w.out.More(t.Context(), analyst, more[column]); more[column] != "" && (!errors.Is(err, disclose.ErrMore) || len(page.Statements) > 0) {
			t.Errorf("%s while it is hidden, a page that goes on: %d statements, %v", column, len(page.Statements), err)
		}
	}
}

// hide puts the policy in force that shows all columns but one.
func (w *world) hide(column string) {
	w.Helper()
	whole, err := fs.ReadFile(policies.Bundle(), "statements.rego")
	if err != nil {
		w.Fatal(err)
	}
	head, tail, _ := strings.Cut(string(whole), "pseudonymised_columns := {")
	shown, tail, _ := strings.Cut(tail, "}")
	part := regexp.MustCompile(`"` + column + `",`)
	if !part.MatchString(shown) {
		w.Fatalf("the policy does not show %s", column)
	}
	bundle := fstest.MapFS{}
	err = fs.WalkDir(policies.Bundle(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(policies.Bundle(), path)
		bundle[path] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	bundle["statements.rego"].Data = []byte(head + "pseudonymised_columns := {" + part.ReplaceAllString(shown, "") + "}" + tail)
	if err := w.gate.Load(w.Context(), bundle); err != nil {
		w.Fatal(err)
	}
}
