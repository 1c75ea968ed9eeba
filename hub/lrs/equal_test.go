package lrs

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/policies"
)

// Statements come back equal to what was sent, each number with its digits and each agent with the name that it had, to a reader of either version; and
// once more when the hub is opened anew on the same database.
func TestStatementsComeBackEqual(t *testing.T) {
	w := newWorld(t)
	readers := []caller{w.client(databasetest.Default, "1.0.3", "all", "define"), w.client(databasetest.Default, "2.0.0", "all", "define")}
	sentTexts := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		second := rapid.Bool().Draw(t, "2.0")
		writer, other := readers[0], readers[1]
		if second {
			writer, other = other, writer
		}
		g := teller{T: t, second: second}
		batch := make([]string, rapid.IntRange(1, 4).Draw(t, "statements"))
		ids := make([]string, len(batch))
		for i := range batch {
			ids[i] = uuid.NewString()
			batch[i] = g.statement(ids[i])
		}
		if a := writer.do("POST", statements, "["+strings.Join(batch, ",")+"]"); a.status != 200 {
			t.Fatalf("%d %s\n%s", a.status, a.body, batch)
		}
		for i, id := range ids {
			sentTexts[id] = batch[i]
			for _, reader := range []caller{writer, other} {
				a := reader.do("GET", statements+"?statementId="+id, "")
				if a.status != 200 {
					t.Fatalf("%d %s", a.status, a.body)
				}
				wantEqual(t, batch[i], a.body, edition(second))
			}
		}
	})
	databasetest.Settle(t, w.db)
	w.reopen()
	seen := 0
	for path := statements + "?limit=200"; path != ""; {
		_, page := readers[1].get(path)
		for _, text := range page.Statements {
			var st struct{ ID, Version string }
			if err := json.Unmarshal(text, &st); err != nil {
				t.Fatal(err)
			}
			wantEqual(t, sentTexts[st.ID], string(text), edition(st.Version == "2.0.0"))
			seen++
		}
		path = *page.More
	}
	if seen != len(sentTexts) || seen < 10 {
		t.Errorf("%d statements came back, %d were sent", seen, len(sentTexts))
	}
}

// reopen puts another face, of rooms that know nothing yet, in the place of this one.
func (w *world) reopen() {
	w.Helper()
	master, err := vault.MasterKey(make([]byte, 32))
	if err != nil {
		w.Fatal(err)
	}
	keys, err := vault.OpenKeys(w.keys, master)
	if err != nil {
		w.Fatal(err)
	}
	gate, err := access.New(w.Context(), w.db, policies.Bundle(), access.Options{})
	if err != nil {
		w.Fatal(err)
	}
	sealed, dictionary := vault.New(keys), records.NewDictionary(w.db)
	w.face = newFace(authenticator{w}, gate,
		ingest.New(w.db, sealed, dictionary, "https://hub.example", time.Now), disclose.New(w.db, sealed, dictionary, gate, "https://hub.example", time.Now))
	w.server.Close()
	w.server = httptest.NewServer(w.face.handler())
	w.Cleanup(w.server.Close)
}

// wantEqual compares what was sent with what came back: by the rules of the standard, and besides everything that they leave out, to the digits of each number.
func wantEqual(t rapid.TB, sent, back string, v xapi.Version) {
	t.Helper()
	one, err := xapi.Parse([]byte(sent), v)
	if err != nil {
		t.Fatalf("sent: %v", err)
	}
	two, err := xapi.Parse([]byte(back), v)
	if err != nil {
		t.Fatalf("came back: %v\n%s", err, back)
	}
	if string(one.CanonicalUntimed()) != string(two.CanonicalUntimed()) {
		t.Fatalf("by the rules of the standard not equal: %s", cmp.Diff(sent, back))
	}
	values := [2]map[string]any{}
	for i, text := range []string{sent, back} {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&values[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, set := range []string{"stored", "authority", "version"} {
		if values[1][set] == nil {
			t.Fatalf("came back without %s", set)
		}
		delete(values[0], set)
		delete(values[1], set)
	}
	if _, timed := values[0]["timestamp"]; !timed {
		delete(values[1], "timestamp")
	}
	listed(values[0])
	if diff := cmp.Diff(values[0], values[1]); diff != "" {
		t.Fatalf("not equal: %s", diff)
	}
}

// listed writes a single context activity as a list, as a store must (Data 2.4.6.2).
func listed(st map[string]any) {
	if context, there := st["context"].(map[string]any); there {
		activities, _ := context["contextActivities"].(map[string]any)
		for name, value := range activities {
			if _, single := value.(map[string]any); single {
				activities[name] = []any{value}
			}
		}
	}
	if object, there := st["object"].(map[string]any); there {
		listed(object)
	}
}

// teller draws statements as JSON, in spellings that a careless store would lose.
type teller struct {
	*rapid.T
	second bool
	serial int
}

func (g *teller) one(n int) bool { return rapid.IntRange(0, n-1).Draw(g.T, "one") == 0 }

func (g *teller) next() int { g.serial++; return g.serial }

// text is of every plane, with escapes here and there.
func (g *teller) text() string {
	var b strings.Builder
	b.WriteByte('"')
	if g.one(20) {
		b.WriteString(strings.Repeat("lang ", 1+rapid.IntRange(0, 20_000).Draw(g.T, "length")))
	}
	for range rapid.IntRange(0, 8).Draw(g.T, "characters") {
		switch plane := rapid.IntRange(-3, 16).Draw(g.T, "plane"); {
		case plane == -3:
			b.WriteString(rapid.SampledFrom([]string{`\u0000`, `\"`, `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t`, `\ud83d\ude00`, `\u00e9`, `\uFFFF`, "\u2028", "\u202e", "\x7f", "e\u0301"}).Draw(g.T, "escape"))
		case plane < 0:
			b.WriteRune(rapid.RuneFrom([]rune("abc xyz'&<>{}[]:,$")).Draw(g.T, "plain"))
		case plane == 0:
			b.WriteRune(rune(rapid.SampledFrom([]int{0xa0, 0x3b1, 0x5d0, 0x4e2d, 0xac00, 0xe000, 0xfeff, 0xfffd, 0xffff}).Draw(g.T, "rune")))
		default:
			b.WriteRune(rune(plane<<16 + rapid.IntRange(0, 0xffff).Draw(g.T, "rune")))
		}
	}
	b.WriteByte('"')
	return b.String()
}

func (g *teller) number() string {
	return rapid.SampledFrom([]string{
		"0", "-0", "-0.0", "1", "1.0", "1.00", "100", "1e2", "1E+2", "10e-1", "0.1", "0.30000000000000004", "0.1000000000000000000000000000000000001", "12345678901234567890123456789",
		"9007199254740993", "-9223372036854775809", "1e400", "1e-400", "-1.5E-007", "3.14159265358979323846264338327950288", "1e999999",
	}).Draw(g.T, "number")
}

func (g *teller) iri() string { return fmt.Sprintf("https://x.example/%d/ü/%%20?q=(a)#é", g.next()) }

// object writes members, each one time in two if its name ends in a question mark.
func (g *teller) object(members ...any) string {
	var parts []string
	for i := 0; i < len(members); i += 2 {
		name := members[i].(string)
		if rest, optional := strings.CutSuffix(name, "?"); optional {
			if !g.one(2) {
				continue
			}
			name = rest
		}
		text, ready := members[i+1].(string)
		if !ready {
			text = members[i+1].(func() string)()
		}
		parts = append(parts, fmt.Sprintf("%q:%s", name, text))
	}
	return "{" + strings.Join(rapid.Permutation(parts).Draw(g.T, "order"), ",") + "}"
}

func (g *teller) languages() string {
	return g.object("en", g.text, "de-CH?", g.text, "zh-Hans?", g.text, "x-klingon?", g.text)
}

func (g *teller) value(depth int) string {
	switch k := rapid.IntRange(0, 6).Draw(g.T, "value"); {
	case k == 0:
		return rapid.SampledFrom([]string{"true", "false", "null", "[]", "{}", `""`}).Draw(g.T, "literal")
	case k <= 2:
		return g.number()
	case k == 3 && depth < 4:
		return "[" + g.value(depth+1) + " ,\n" + g.value(depth+1) + "]"
	case k == 4 && depth < 4:
		inner := func() string { return g.value(depth + 1) }
		return g.object("", inner, "b?", inner, "ключ?", inner, "id?", inner, "actor?", g.agent)
	}
	return g.text()
}

func (g *teller) extensions() string {
	value := func() string { return g.value(0) }
	return g.object(g.iri(), value, g.iri()+"?", value, "http://x.example/mailto?", `"mailto:ann@example.org"`)
}

func (g *teller) identifier() (name, value string) {
	switch rapid.IntRange(0, 3).Draw(g.T, "identifier") {
	case 0:
		return "mbox", fmt.Sprintf(`"mailto:Person.%d+x@Campus.example"`, g.next()%5)
	case 1:
		return "mbox_sha1sum", fmt.Sprintf(`"%040X"`, g.next()%5)
	case 2:
		return "openid", fmt.Sprintf(`"https://openid.example/%d"`, g.next()%5)
	}
	return "account", g.object("homePage", `"https://x.example/home"`, "name", func() string { return `"` + fmt.Sprint(g.next()%5) + g.text()[1:] })
}

func (g *teller) agent() string {
	name, value := g.identifier()
	return g.object("objectType?", `"Agent"`, name, value, "name?", g.text)
}

func (g *teller) typedAgent() string {
	name, value := g.identifier()
	return g.object("objectType", `"Agent"`, name, value, "name?", g.text)
}

func (g *teller) group() string {
	members := func() string { return "[" + g.agent() + "," + g.agent() + "]" }
	if g.one(2) {
		return g.object("objectType", `"Group"`, "member", members, "name?", g.text)
	}
	name, value := g.identifier()
	return g.object("objectType", `"Group"`, name, value, "member?", members, "name?", g.text)
}

func (g *teller) anybody() string {
	if g.one(2) {
		return g.group()
	}
	return g.agent()
}

func (g *teller) quoted() string { return `"` + g.iri() + `"` }

func (g *teller) activity() string {
	return g.object("objectType?", `"Activity"`, "id", g.quoted, "definition?", func() string {
		return g.object("name?", g.languages, "description?", g.languages, "type?", g.quoted, "moreInfo?", g.quoted, "extensions?", g.extensions)
	})
}

func (g *teller) context(ofActivity bool) string {
	activities := func() string {
		if g.one(2) && !g.second {
			return g.activity()
		}
		return "[" + g.activity() + "," + g.activity() + "]"
	}
	members := []any{
		"registration?", `"` + strings.ToUpper(uuid.NewString()) + `"`, "instructor?", g.anybody, "team?", g.group, "language?", `"de-CH"`,
		"statement?", `{"objectType":"StatementRef","id":"` + uuid.NewString() + `"}`, "extensions?", g.extensions,
		"contextActivities?", func() string {
			return g.object("parent?", activities, "grouping?", activities, "category?", activities, "other?", activities)
		},
	}
	if ofActivity {
		members = append(members, "platform?", g.text, "revision?", g.text)
	}
	if g.second {
		members = append(members, "contextAgents?", func() string {
			return "[" + g.object("objectType", `"contextAgent"`, "agent", g.agent, "relevantTypes?", func() string { return "[" + g.quoted() + "]" }) + "]"
		}, "contextGroups?", func() string { return "[" + g.object("objectType", `"contextGroup"`, "group", g.group) + "]" })
	}
	return g.object(members...)
}

func (g *teller) result() string {
	return g.object("success?", "true", "completion?", "false", "response?", g.text, "duration?", `"P1DT1H2M3.4567S"`, "extensions?", g.extensions, "score?", func() string {
		spelling := rapid.SampledFrom([]string{"0.5", "0.50", "5e-1", "0.500000000000000000001", "-0", "1.0"}).Draw(g.T, "score")
		return g.object("scaled?", spelling, "raw?", spelling, "min?", "-1e1", "max?", "1E2")
	})
}

// core draws what statements and sub-statements have.
func (g *teller) core(sub bool, more ...any) string {
	object, ofActivity := "", false
	switch k := rapid.IntRange(0, 6).Draw(g.T, "object"); {
	case k == 0:
		object = g.typedAgent()
	case k == 1:
		object = g.group()
	case k == 2:
		object = `{"objectType":"StatementRef","id":"` + uuid.NewString() + `"}`
	case k <= 4 && !sub:
		object = g.core(true, "objectType", `"SubStatement"`)
	default:
		object, ofActivity = g.activity(), true
	}
	verb := func() string { return g.object("id", g.quoted, "display?", g.languages) }
	context := func() string { return g.context(ofActivity) }
	time := rapid.SampledFrom([]string{`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05.123456789+05:30"`, `"1969-12-31T23:59:59.999Z"`}).Draw(g.T, "timestamp")
	return g.object(append([]any{"actor", g.anybody, "verb", verb, "object", object, "result?", g.result, "context?", context, "timestamp?", time}, more...)...)
}

func (g *teller) statement(id string) string {
	return g.core(false, "id", `"`+id+`"`, "authority?", g.typedAgent)
}
