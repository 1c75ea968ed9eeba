package xapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestParseCollects(t *testing.T) {
	st, err := Parse([]byte("\n "+full+"\t"), V1)
	if err != nil {
		t.Fatal(err)
	}
	f := func(v float64) *float64 { return &v }
	yes, no := true, false
	want := Statement{
		Version: V1, ID: uuid.MustParse("9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"), HasID: true,
		Verb: "https://verbs.example/answered", Object: ObjectActivity, ObjectActivity: "https://campus.example/quiz/1",
		Timestamp: time.Date(2026, 1, 2, 2, 4, 5, 678e6, time.UTC), Stored: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
		Result:       Result{ScoreScaled: f(0.5), ScoreRaw: f(5), ScoreMin: f(0), ScoreMax: f(10), Success: &yes, Completion: &no, Duration: "PT1M30.5S"},
		Registration: uuid.MustParse("9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a02"), HasRegistration: true, VersionText: "1.0.3",
		Agents: []Occurrence{
			{Role: RoleActor, Parent: -1, Agent: Agent{Group: true, Name: "Table 4", Identifier: Identifier{Kind: Account, HomePage: "https://campus.example", Name: "table-4"}}},
			{Role: RoleMember, Parent: 0, Agent: Agent{Name: "Ada", Identifier: Identifier{Kind: Mbox, Value: "mailto:ada@campus.example"}}},
			{Role: RoleMember, Parent: 0, Agent: Agent{Identifier: Identifier{Kind: MboxSHA1Sum, Value: "0123456789abcdef0123456789abcdef01234567"}}},
			{Role: RoleMember, Parent: 0, Agent: Agent{Identifier: Identifier{Kind: OpenID, Value: "https://id.example/bo"}}},
			{Role: RoleInstructor, Parent: -1, Agent: Agent{Identifier: Identifier{Kind: Mbox, Value: "mailto:tutor@campus.example"}}},
			{Role: RoleTeam, Parent: -1, Agent: Agent{Group: true}},
			{Role: RoleMember, Parent: 5, Agent: Agent{Identifier: Identifier{Kind: Mbox, Value: "mailto:cy@campus.example"}}},
			{Role: RoleAuthority, Parent: -1, Agent: Agent{Identifier: Identifier{Kind: Account, HomePage: "https://hub.example", Name: "client"}}},
		},
		Activities: []ActivityUse{
			{Role: ActivityObject, ID: "https://campus.example/quiz/1"},
			{Role: ActivityParent, ID: "https://campus.example/course/1"},
			{Role: ActivityGrouping, ID: "https://campus.example/term/1"},
			{Role: ActivityOther, ID: "https://campus.example/x"},
		},
		Attachments: []Attachment{{SHA2: "495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a", FileURL: "https://files.example/1.pdf",
			ContentType: "application/pdf", Length: 1024, UsageType: "https://usage.example/certificate"}},
	}
	if string(st.Raw) != full {
		t.Error("Raw is not the object without the space around it")
	}
	spans := map[string]string{
		"authority": part(st, st.Authority), "id": part(st, st.IDSpan), "stored": part(st, st.StoredSpan),
		"timestamp": part(st, st.TimestampSpan), "version": part(st, st.VersionSpan),
		"actor":      string(st.Raw[st.Agents[0].Start:st.Agents[0].End]),
		"instructor": string(st.Raw[st.Agents[4].Start:st.Agents[4].End]),
		"definition": string(st.Raw[st.Activities[3].DefStart:st.Activities[3].DefEnd]),
	}
	for name, want := range map[string]string{
		"authority":  `"authority":{"account":{"homePage":"https://hub.example","name":"client"}}`,
		"id":         `"id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"`,
		"stored":     `"stored":"2026-01-02T03:04:06Z"`,
		"timestamp":  `"timestamp":"2026-01-02T03:04:05.678+01:00"`,
		"version":    `"version":"1.0.3"`,
		"instructor": `{"mbox":"mailto:tutor@campus.example"}`,
		"definition": `{"name":{"en":"X"}}`,
	} {
		if spans[name] != want {
			t.Errorf("span of %s: %q, want %q", name, spans[name], want)
		}
	}
	if !strings.HasPrefix(spans["actor"], `{"objectType":"Group"`) || !strings.HasSuffix(spans["actor"], `"https://id.example/bo"}]}`) {
		t.Errorf("span of actor: %q", spans["actor"])
	}
	if diff := cmp.Diff(want, withoutSpans(*st)); diff != "" {
		t.Error(diff)
	}
}

func part(st *Statement, s Span) string { return string(st.Raw[s.Start:s.End]) }

func withoutSpans(st Statement) Statement {
	st.Raw, st.Authority, st.IDSpan, st.StoredSpan, st.TimestampSpan, st.VersionSpan = nil, Span{}, Span{}, Span{}, Span{}, Span{}
	for i := range st.Agents {
		st.Agents[i].Start, st.Agents[i].End = 0, 0
	}
	for i := range st.Activities {
		st.Activities[i].DefStart, st.Activities[i].DefEnd = 0, 0
	}
	return st
}

func TestParseCollectsSubStatement(t *testing.T) {
	const sub = `{"actor":{"mbox":"mailto:a@x.example"},"verb":{"id":"https://verbs.example/planned"},
		"object":{"object":{"mbox":"mailto:b@x.example","objectType":"Agent"},"verb":{"id":"http://adlnet.gov/expapi/verbs/tried"},
		"context":{"registration":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a02","contextActivities":{"other":{"id":"https://x.example/o"}}},
		"result":{"success":true},"timestamp":"2026-01-02T03:04:05Z","actor":{"objectType":"Group","member":[{"mbox":"mailto:c@x.example"}]},"objectType":"SubStatement"}}`
	st, err := Parse([]byte(sub), V2)
	if err != nil {
		t.Fatal(err)
	}
	want := Statement{Version: V2, Verb: "https://verbs.example/planned", Object: ObjectSubStatement,
		Agents: []Occurrence{
			{Role: RoleActor, Parent: -1, Agent: Agent{Identifier: Identifier{Kind: Mbox, Value: "mailto:a@x.example"}}},
			{Role: RoleObject, Parent: -1, Sub: true, Agent: Agent{Identifier: Identifier{Kind: Mbox, Value: "mailto:b@x.example"}}},
			{Role: RoleActor, Parent: -1, Sub: true, Agent: Agent{Group: true}},
			{Role: RoleMember, Parent: 2, Sub: true, Agent: Agent{Identifier: Identifier{Kind: Mbox, Value: "mailto:c@x.example"}}},
		},
		Activities: []ActivityUse{{Role: ActivityOther, ID: "https://x.example/o", Sub: true}},
	}
	if diff := cmp.Diff(want, withoutSpans(*st)); diff != "" {
		t.Error(diff)
	}
}

func TestParseVoiding(t *testing.T) {
	st, err := Parse(edited(t, bare, `/verb/id="http://adlnet.gov/expapi/verbs/voided"`, `/object={"objectType":"StatementRef","id":"9B1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"}`), V1)
	if err != nil || !st.Voiding || st.Object != ObjectStatementRef || st.Ref != uuid.MustParse("9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01") {
		t.Errorf("%+v, %v", st, err)
	}
}

// Names may be written with escapes; a span starts at the quote all the same.
func TestParseEscapedNames(t *testing.T) {
	raw := `{"\u0061ctor":{"mbo\u0078":"mailto:a@x.example"},"verb":{"id":"https:\/\/verbs.example\/read"},"object":{"id":"https://x.example/1"},"\u0069d":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"}`
	st, err := Parse([]byte(raw), V1)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := part(st, st.IDSpan), `"\u0069d":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if st.Verb != "https://verbs.example/read" || st.Agents[0].Agent.Identifier.Value != "mailto:a@x.example" {
		t.Errorf("escapes are not read: %+v", st)
	}
}

func TestParseRefusesBrokenJSON(t *testing.T) {
	for _, c := range []struct{ raw, reason string }{
		{"", "ends early"},
		{" ", "ends early"},
		{bare[:len(bare)-1], "ends early"},
		{bare[:40], "ends early"},
		{bare + "x", "not valid JSON"},
		{bare + bare, "more JSON follows"},
		{"null", "must be an object, not null"},
		{"[" + bare + "]", "must be an object, not an array"},
		{strings.Replace(bare, `"verb"`, `"actor"`, 1), "more than once"},
		{strings.Replace(bare, `"verb"`, `"\u0061ctor"`, 1), "more than once"},
		{strings.Replace(bare, `"verb"`, `"result":{"extensions":{"https://x.example/e":{"a":1,"a":2}}},"verb"`, 1), "more than once"},
		{strings.Replace(bare, "ada", "a\xffa", 1), "not valid JSON"},
		{strings.Replace(bare, "ada", `a\ud800a`, 1), "not valid JSON"},
		{strings.Replace(bare, "ada", "a\na", 1), "not valid JSON"},
		{strings.Replace(bare, `}`, `,}`, 1), "not valid JSON"},
		{"\ufeff" + bare, "not valid JSON"},
		{strings.Replace(bare, `{`, `{/**/`, 1), "not valid JSON"},
		{strings.Replace(bare, `"`, `'`, -1), "not valid JSON"},
	} {
		_, err := Parse([]byte(c.raw), V1)
		wantReason(t, err, c.reason)
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%v does not wrap ErrInvalid", err)
		}
	}
}

func TestLimits(t *testing.T) {
	deep := func(n int) []byte {
		text := string(edited(t, bare, `/result={"extensions":{"https://x.example/e":"@@"}}`))
		return []byte(strings.Replace(text, `"@@"`, strings.Repeat("[", n)+strings.Repeat("]", n), 1))
	}
	limits := Limits{MaxBytes: 1000, MaxDepth: 10, MaxAgents: 3, MaxActivities: 4, MaxTogether: 9}
	activities := func(n int) []byte {
		return edited(t, bare, `/context={"contextActivities":{"other":[`+strings.TrimSuffix(strings.Repeat(`{"id":"a:b"},`, n), ",")+`]}}`)
	}
	members := func(n int) []byte {
		return edited(t, bare, `/actor={"objectType":"Group","member":[`+strings.TrimSuffix(strings.Repeat(`{"mbox":"mailto:a@x.example"},`, n), ",")+`]}`)
	}
	for _, c := range []struct {
		name   string
		raw    []byte
		reason string
	}{
		{"just deep enough", deep(7), ""},
		{"too deep", deep(8), "deeper than 10 levels"},
		{"two members", members(2), ""},
		{"three members", members(3), "more than 3 agents"},
		{"three context activities", activities(3), ""},
		{"four context activities", activities(4), "more than 4 activities"},
		{"too long", edited(t, bare, `/result={"response":"`+strings.Repeat("x", 1000)+`"}`), "longer than 1000 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := limits.Parse(c.raw, V1)
			wantReason(t, err, c.reason)
			if c.reason != "" && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%v does not wrap ErrTooLarge", err)
			}
			batch := "[" + string(c.raw) + "]"
			_, err = limits.ParseBatch([]byte(batch), V1, 10)
			wantReason(t, err, c.reason)
		})
	}
	batch := func(n int) []byte { // four agents and activities each
		text := strings.Repeat(string(members(2))+",", n)
		return []byte("[" + text[:len(text)-1] + "]")
	}
	if list, err := limits.ParseBatch(batch(2), V1, 10); err != nil || len(list) != 2 {
		t.Error(err)
	}
	_, err := limits.ParseBatch(batch(3), V1, 10)
	if wantReason(t, err, "more than 9 agents and activities"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v does not wrap ErrTooLarge", err)
	}
	if _, err := Parse(deep(60), V1); err != nil {
		t.Error(err)
	}
	if _, err := Parse(deep(100_000), V1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestParseBatch(t *testing.T) {
	id := func(n int) []byte {
		return edited(t, bare, fmt.Sprintf(`/id="9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a%02d"`, n))
	}
	array := func(parts ...[]byte) string {
		var texts []string
		for _, part := range parts {
			texts = append(texts, string(part))
		}
		return "[ " + strings.Join(texts, "\n, ") + " ]"
	}
	bad := edited(t, bare, `/actor/mbox="x"`)
	for _, c := range []struct {
		name, raw    string
		want         int
		path, reason string
		index        int
	}{
		{name: "one object", raw: bare, want: 1},
		{name: "empty", raw: "[]"},
		{name: "array of one", raw: array([]byte(bare)), want: 1},
		{name: "three", raw: array(id(1), id(2), []byte(bare)), want: 3},
		{name: "two without id", raw: array([]byte(bare), []byte(bare)), want: 2},
		{name: "one id twice", raw: array(id(1), id(2), id(1)), path: "/2/id", reason: "position 0", index: 2},
		{name: "too many", raw: array(id(1), id(2), id(3), id(4)), path: "/3", reason: "more than 3 statements", index: 3},
		{name: "bad second", raw: array(id(1), bad), path: "/1/actor/mbox", reason: "mailto:", index: 1},
		{name: "bad alone", raw: string(bad), path: "/actor/mbox", reason: "mailto:"},
		{name: "not a statement", raw: "[1]", path: "/0", reason: "must be an object"},
		{name: "nested", raw: "[[" + bare + "]]", path: "/0", reason: "must be an object"},
		{name: "unfinished", raw: "[" + bare, reason: "ends early"},
		{name: "more", raw: "[" + bare + "]]", reason: "not valid JSON"},
		{name: "empty input", raw: "", reason: "ends early"},
	} {
		for _, v := range []Version{V1, V2} {
			t.Run(fmt.Sprint(c.name, "/", v), func(t *testing.T) {
				batch, err := ParseBatch([]byte(c.raw), v, 3)
				wantReason(t, err, c.reason)
				if len(batch) != c.want {
					t.Errorf("%d statements, want %d", len(batch), c.want)
				}
				var e *Error
				if errors.As(err, &e) && (e.Path != c.path || e.Index != c.index) {
					t.Errorf("at %q, index %d, want %q, %d", e.Path, e.Index, c.path, c.index)
				}
				for i, st := range batch {
					alone, err := Parse(st.Raw, v)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(alone, st); diff != "" {
						t.Errorf("statement %d is not what it is alone: %s", i, diff)
					}
				}
			})
		}
	}
}

// Whatever is wrong, and wherever, the error says nothing that the sender wrote.
func TestErrorsAreSilent(t *testing.T) {
	const secret = "Zyzzyva"
	positions := []string{"/actor/mbox", "/actor/name", "/actor/objectType", "/actor/member/0/openid", "/actor/account/homePage", "/actor/account/name", "/verb/id",
		"/verb/display/en", "/object/id", "/object/objectType", "/object/definition/type", "/object/definition/interactionType", "/object/definition/choices/0/id",
		"/result/duration", "/result/success", "/result/score/raw", "/context/registration", "/context/language", "/context/contextActivities/parent/id",
		"/context/statement/id", "/timestamp", "/stored", "/version", "/id", "/attachments/0/contentType", "/attachments/0/sha2", "/attachments/0/length",
		"/" + secret, "/actor/" + secret, "/actor/account/" + secret, "/verb/display/" + secret + "_x", "/object/" + secret, "/object/definition/" + secret,
		"/object/definition/extensions/" + secret, "/result/extensions/" + secret, "/context/contextActivities/" + secret, "/attachments/0/" + secret}
	refused := 0
	for _, position := range positions {
		for _, value := range []string{`"` + secret + `"`, `{"` + secret + `":1}`, `["` + secret + `"]`, `{"a":"` + secret + `","a":1}`, `"` + secret + "\xff\"", `"` + secret} {
			raw := edited(t, full, position+`="@@"`)
			raw = []byte(strings.Replace(string(raw), `"@@"`, value, 1))
			if _, err := Parse(raw, V1); err != nil {
				refused++
				if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(secret)) {
					t.Errorf("%s: %v", position, err)
				}
			}
		}
	}
	if refused < 150 {
		t.Errorf("only %d were refused", refused)
	}
}
