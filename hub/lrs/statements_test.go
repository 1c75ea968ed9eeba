package lrs

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

const statements = "/xapi/statements"

func TestPost(t *testing.T) {
	w := newWorld(t)
	for _, version := range []string{"1.0.3", "2.0.0", "1.0", "2.0"} {
		c := w.client(databasetest.Default, version, "all")
		a := c.do("POST", statements, said("ann", "tried", "a", ""), "Content-Type", "application/json; charset=utf-8")
		if a.status != 200 || !strings.HasPrefix(a.body, `["`) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: one: %d %s", version, a.status, a.body)
		}
		equal(t, "version", a.header.Get("X-Experience-API-Version"), map[byte]string{'1': "1.0.3", '2': "2.0.0"}[version[0]])
		one, two := uuid.NewString(), uuid.NewString()
		ids := c.post(said("ann", "tried", "a", `,"id":"`+two+`"`), said("bob", "tried", "a", `,"id":"`+one+`"`))
		if diff := cmp.Diff([]string{two, one}, ids); diff != "" {
			t.Errorf("%s: a batch: %s", version, diff)
		}
		equal(t, "a repeat", c.do("POST", statements, said("ann", "tried", "a", `,"id":"`+two+`"`)).status, 200)
		fresh := uuid.NewString()
		conflict := "[" + said("ann", "tried", "a", `,"id":"`+fresh+`"`) + "," + said("eve", "tried", "a", `,"id":"`+one+`"`) + "]"
		equal(t, "a conflict", c.do("POST", statements, conflict).status, 409)
		equal(t, "nothing of its batch", c.do("GET", statements+"?statementId="+fresh, "").status, 404)
		twice := "[" + said("ann", "tried", "a", `,"id":"`+fresh+`"`) + "," + said("ann", "tried", "a", `,"id":"`+fresh+`"`) + "]"
		equal(t, "an id twice", c.do("POST", statements, twice).status, 400)
		a = c.do("POST", statements, "[]")
		equal(t, "no statements", fmt.Sprint(a.status, strings.TrimSpace(a.body)), "200[]")
	}
}

func TestPut(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "2.0.0", "all")
	id, other := uuid.NewString(), uuid.NewString()
	at := func(id string) string { return statements + "?statementId=" + id }
	a := c.do("PUT", at(id), said("ann", "tried", "a", `,"authority":{"mbox":"mailto:boss@example.org"}`))
	equal(t, "without id, with authority", fmt.Sprint(a.status, a.body), "204")
	got := c.do("GET", at(id), "")
	if got.status != 200 || !strings.Contains(got.body, `"id":"`+id+`"`) || strings.Contains(got.body, "boss") {
		t.Errorf("it comes back as %d %s", got.status, got.body)
	}
	equal(t, "sent back as read", c.do("PUT", at(id), got.body).status, 204)
	equal(t, "again", c.do("PUT", at(id), said("ann", "tried", "a", `,"id":"`+strings.ToUpper(id)+`"`)).status, 204)
	equal(t, "conflict", c.do("PUT", at(id), said("bob", "tried", "a", "")).status, 409)
	equal(t, "another id", c.do("PUT", at(id), said("ann", "tried", "a", `,"id":"`+other+`"`)).status, 400)
	equal(t, "no id", c.do("PUT", statements, said("ann", "tried", "a", "")).status, 400)
	equal(t, "not an id", c.do("PUT", at("ann"), said("ann", "tried", "a", "")).status, 400)
	equal(t, "a batch", c.do("PUT", at(other), "["+said("ann", "tried", "a", "")+"]").status, 400)
	equal(t, "and more", c.do("PUT", at(other)+"&x=1", said("ann", "tried", "a", "")).status, 400)
	equal(t, "none of these", c.do("GET", at(other), "").status, 404)
}

func TestGet(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "1.0.3", "all")
	registration := uuid.NewString()
	ids := c.post(
		said("ann", "tried", "a", ""),
		said("bob", "met", "b", `,"context":{"registration":"`+registration+`","instructor":{"mbox":"mailto:ann@example.org"},"contextActivities":{"parent":{"id":"https://school.example/a"}}}`),
		said("eve", "met", "c", ""),
	)
	stored := func(id string) string {
		a := c.do("GET", statements+"?statementId="+id, "")
		_, after, _ := strings.Cut(a.body, `"stored":"`)
		text, _, _ := strings.Cut(after, `"`)
		if at, err := time.Parse(time.RFC3339Nano, text); err != nil || a.header.Get("Last-Modified") != at.Format(http.TimeFormat) {
			t.Errorf("Last-Modified %s, stored %s", a.header.Get("Last-Modified"), text)
		}
		return text
	}
	finer := func(id string) string { return strings.TrimSuffix(stored(id), "Z") + "999Z" } // not yet the next one's time
	ann := escape(`{"mbox":"mailto:ann@example.org"}`)
	for query, want := range map[string][]int{
		"":                                      {2, 1, 0},
		"ascending=true":                        {0, 1, 2},
		"ascending=false&limit=0":               {2, 1, 0},
		"agent=" + ann:                          {0},
		"agent=" + ann + "&related_agents=true": {1, 0},
		"verb=" + escape("http://adlnet.gov/expapi/verbs/met"):                        {2, 1},
		"activity=" + escape("https://school.example/a"):                              {0},
		"activity=" + escape("https://school.example/a") + "&related_activities=true": {1, 0},
		"registration=" + strings.ToUpper(registration):                               {1},
		"since=" + escape(stored(ids[1])):                                             {2},
		"until=" + escape(stored(ids[1])):                                             {1, 0},
		"since=" + escape(stored(ids[0])) + "&until=" + escape(stored(ids[1])):        {1},
		"since=" + escape(finer(ids[1])):                                              {2},
		"until=" + escape(finer(ids[1])):                                              {1, 0},
		"since=" + escape(finer(ids[0])) + "&until=" + escape(finer(ids[0])):          nil,
		"format=exact&attachments=false":                                              {2, 1, 0},
		"agent=" + escape(`{"mbox":"mailto:zoe@example.org"}`):                        nil,
	} {
		var list []string
		for _, i := range want {
			list = append(list, ids[i])
		}
		if diff := cmp.Diff(list, c.finds(query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	a, r := c.get("")
	through, err := time.Parse(time.RFC3339Nano, a.header.Get("X-Experience-API-Consistent-Through"))
	if last, _ := time.Parse(time.RFC3339Nano, stored(ids[2])); err != nil || through.Before(last) || through.After(time.Now().Add(time.Minute)) {
		t.Errorf("consistent through %v, the last was stored %v: %v", through, last, err)
	}
	equal(t, "more", *r.More, "")
	head := c.do("HEAD", statements, "")
	equal(t, "HEAD", fmt.Sprint(head.status, head.body, head.header.Get("Content-Length")), fmt.Sprint("200", "", len(a.body)))
	equal(t, "HEAD of one", c.do("HEAD", statements+"?statementId="+ids[0], "").status, 200)
	for _, query := range []string{
		"unknown=1", "Agent=" + ann, "agent=ann", "agent=" + ann + "&agent=" + ann, "agent=" + escape(`{"objectType":"Group","member":[]}`), "verb=met", "activity=a", "registration=1",
		"since=yesterday", "until=1", "limit=-1", "limit=many", "limit=99999999999999999999", "ascending=1", "ascending=", "related_agents=yes", "format=short", "attachments=", "attachments=no",
		"statementId=1", "statementId=" + ids[0] + "&voidedStatementId=" + ids[0], "statementId=" + ids[0] + "&limit=1", "voidedStatementId=" + ids[0] + "&agent=" + ann,
		"agent=%zz", "agent=" + ann + ";limit=1", "more=abc", "more=", "more=abc&limit=1",
	} {
		a := c.do("GET", statements+"?"+query, "")
		if a.status != 400 || !strings.HasPrefix(a.body, `{"error":"`) || strings.Contains(a.body, "ann@") || strings.Contains(a.body, "yesterday") || a.header.Get("X-Experience-API-Consistent-Through") == "" {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	equal(t, "an unknown statement", c.do("GET", statements+"?statementId="+uuid.NewString(), "").status, 404)
	if a := c.do("GET", statements+"?statementId="+uuid.NewString(), ""); a.header.Get("X-Experience-API-Consistent-Through") == "" {
		t.Error("no Consistent-Through beside a 404")
	}
	equal(t, "another method", c.do("DELETE", statements, "").status, 405)
	c.post(`{"actor":{"mbox":"mailto:ann@example.org"},"verb":{"id":"http://adlnet.gov/expapi/verbs/voided"},"object":{"objectType":"StatementRef","id":"` + ids[0] + `"}}`)
	equal(t, "voided", c.do("GET", statements+"?statementId="+ids[0], "").status, 404)
	equal(t, "voidedStatementId", c.do("GET", statements+"?voidedStatementId="+ids[0], "").status, 200)
	equal(t, "voidedStatementId of another", c.do("GET", statements+"?voidedStatementId="+ids[1], "").status, 404)
	other := w.client(databasetest.Other, "1.0.3", "all")
	if found := other.finds(""); len(found) != 0 || other.do("GET", statements+"?statementId="+ids[1], "").status != 404 {
		t.Errorf("another tenant finds %v", found)
	}
}

func TestMoreLeadsToTheEnd(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "2.0.0", "all")
	var batch []string
	for i := range 1203 {
		batch = append(batch, said(fmt.Sprint("p", i%7), "tried", "a", ""))
	}
	ids := c.post(batch...)
	for _, query := range []string{"", "limit=100", "limit=100&ascending=true", "limit=601", "limit=7&format=ids&agent=" + escape(`{"mbox":"mailto:p3@example.org"}`)} {
		var found []string
		pages, path := 0, query
		for {
			_, r := c.get(path)
			found = append(found, c.finds(path)...)
			if pages++; *r.More == "" {
				break
			}
			if path = *r.More; !strings.HasPrefix(path, "/xapi/statements?more=") || strings.Contains(path, "mbox") {
				t.Fatalf("more is %s", path)
			}
		}
		want := slices.Clone(ids)
		if strings.Contains(query, "agent") {
			want = nil
			for i := 3; i < len(ids); i += 7 {
				want = append(want, ids[i])
			}
		}
		if !strings.Contains(query, "ascending") {
			slices.Reverse(want)
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("%q: each statement once, in order: %d of %d", query, len(found), len(want))
		}
		if query == "" {
			equal(t, "pages of 500", pages, 3)
		}
	}
	_, r := c.get("limit=1")
	stranger := w.client(databasetest.Default, "2.0.0", "all")
	equal(t, "another client's continuation", stranger.do("GET", *r.More, "").status, 400)
}

func TestFormats(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "2.0.0", "all")
	text := `{"id":"5b1fa8a5-04fa-4b46-9b8d-2c53a4ee4f21","actor":{"objectType":"Group","name":"g","member":[{"mbox":"mailto:ann@example.org","name":"Ann"}]},"verb":{"id":"http://adlnet.gov/expapi/verbs/met","display":{"en-US":"met","de":"traf"}},` +
		`"object":{"id":"https://school.example/a","definition":{"name":{"en":"A","fr":"Un"},"type":"https://school.example/t","interactionType":"choice","choices":[{"id":"c","description":{"en":"c","de":"C"}}]}},` +
		`"result":{"score":{"raw":1.50},"extensions":{"https://x.example/":{"<&>":9007199254740993}}},"context":{"instructor":{"account":{"homePage":"https://h.example","name":"t"},"name":"T"},` +
		`"contextActivities":{"parent":[{"objectType":"Activity","id":"https://school.example/p","definition":{"name":{"en":"P"}}}]},"contextAgents":[{"objectType":"contextAgent","agent":{"openid":"https://o.example/","name":"O"}}]},` +
		`"timestamp":"2024-01-02T03:04:05Z"}`
	c.post(text)
	read := func(query string, headers ...string) string {
		t.Helper()
		a := c.do("GET", statements+"?statementId=5b1fa8a5-04fa-4b46-9b8d-2c53a4ee4f21&"+query, "", headers...)
		if a.status != 200 {
			t.Fatalf("%s: %d %s", query, a.status, a.body)
		}
		return a.body
	}
	if got := read("format=exact"); !strings.HasPrefix(got, text[:len(text)-1]) {
		t.Errorf("exact: %s", got)
	}
	for name, c := range map[string]struct {
		got  string
		want []string
		not  []string
	}{
		"ids": {read("format=ids"), []string{
			`"actor":{"member":[{"mbox":"mailto:ann@example.org"}],"objectType":"Group"}`, `"verb":{"id":"http://adlnet.gov/expapi/verbs/met"}`, `"object":{"id":"https://school.example/a"}`,
			`"instructor":{"account":{"homePage":"https://h.example","name":"t"}}`, `"parent":[{"id":"https://school.example/p"}]`, `"agent":{"openid":"https://o.example/"}`,
			`{"raw":1.50}`, `{"<&>":9007199254740993}`,
		}, []string{"definition", "display", "Ann"}},
		"canonical, German": {read("format=canonical", "Accept-Language", "de-AT, en;q=0.5"), []string{`"display":{"de":"traf"}`, `"name":{"en":"A"}`, `"description":{"de":"C"}`, `"name":"Ann"`}, []string{"Un", "en-US"}},
		"canonical, French": {read("format=canonical", "Accept-Language", "fr"), []string{`"name":{"fr":"Un"}`}, []string{`"en":"A"`}},
		"canonical, any":    {read("format=canonical", "Accept-Language", "nonsense;;"), nil, []string{`"en-US":"met","de"`, `"en":"A","fr"`}},
	} {
		for _, part := range c.want {
			if !strings.Contains(c.got, part) {
				t.Errorf("%s: no %s in %s", name, part, c.got)
			}
		}
		for _, part := range c.not {
			if strings.Contains(c.got, part) {
				t.Errorf("%s: %s in %s", name, part, c.got)
			}
		}
	}
}

func TestAttachmentsAsked(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "1.0.3", "all")
	id := c.post(said("ann", "tried", "a", ""), said("ann", "tried", "a", ""))[0]
	for _, query := range []string{"attachments=true&statementId=" + id, "attachments=true&limit=1"} {
		a := c.do("GET", statements+"?"+query, "")
		kind, parameters, err := mime.ParseMediaType(a.header.Get("Content-Type"))
		if a.status != 200 || kind != "multipart/mixed" || err != nil {
			t.Fatalf("%s: %d %s", query, a.status, a.header.Get("Content-Type"))
		}
		parts := multipart.NewReader(strings.NewReader(a.body), parameters["boundary"])
		part, err := parts.NextPart()
		if err != nil || part.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s: first part: %v", query, err)
		}
		var value map[string]any
		if err := json.NewDecoder(part).Decode(&value); err != nil {
			t.Error(err)
		}
		if more, _ := value["more"].(string); value["statements"] != nil && !strings.HasSuffix(more, "&attachments=true") {
			t.Errorf("more is %s", more)
		}
		if _, err := parts.NextPart(); err != io.EOF {
			t.Errorf("%s: another part: %v", query, err)
		}
	}
}
