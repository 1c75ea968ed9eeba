package lrs

import (
	"crypto/sha1"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

var (
	ann    = `{"mbox":"mailto:ann@example.org","name":"Ann"}`
	course = "https://school.example/course"
)

// at makes a path of one of the three resources.
func at(resource string, parameters ...string) string {
	query := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		query.Set(parameters[i], parameters[i+1])
	}
	return "/xapi/" + resource + "?" + query.Encode()
}

// places are one document of each resource, and the list it is in.
func places(id string) map[string][2]string {
	return map[string][2]string{
		"state":            {at("activities/state", "activityId", course, "agent", ann, "stateId", id), at("activities/state", "activityId", course, "agent", ann)},
		"agent profile":    {at("agents/profile", "agent", ann, "profileId", id), at("agents/profile", "agent", ann)},
		"activity profile": {at("activities/profile", "activityId", course, "profileId", id), at("activities/profile", "activityId", course)},
	}
}

func TestDocuments(t *testing.T) {
	w := newWorld(t)
	for _, version := range []string{"1.0.3", "2.0.0"} {
		c, other := w.client(databasetest.Default, version, "all"), w.client(databasetest.Other, version, "all")
		id := "a b/ü " + version
		for name, place := range places(id) {
			equal(t, name+" nothing yet", c.do("GET", place[0], "").status, 404)
			content := "\x00\xff binary \n"
			equal(t, name+" PUT", c.do("PUT", place[0], content, "Content-Type", "image/x; a=b", "If-None-Match", "*").status, 204)
			got := c.do("GET", place[0], "")
			equal(t, name+" GET", fmt.Sprint(got.status, got.body, got.header.Get("Content-Type")), "200"+content+"image/x; a=b")
			if changed, err := http.ParseTime(got.header.Get("Last-Modified")); err != nil || time.Since(changed) > time.Minute {
				t.Errorf("Last-Modified: %v", err)
			}
			head := c.do("HEAD", place[0], "")
			equal(t, name+" HEAD", fmt.Sprint(head.status, head.body, head.header.Get("ETag"), head.header.Get("Content-Length")), "200"+got.header.Get("ETag")+fmt.Sprint(len(content)))
			equal(t, name+" ids", strings.TrimSpace(c.do("GET", place[1], "").body), `["`+id+`"]`)
			equal(t, name+" ids of then", strings.TrimSpace(c.do("GET", place[1]+"&since="+escape(time.Now().Add(time.Hour).Format(time.RFC3339)), "").body), `[]`)
			equal(t, name+" ids since then", strings.TrimSpace(c.do("GET", place[1]+"&since="+escape(time.Now().Add(-time.Hour).Format(time.RFC3339)), "").body), `["`+id+`"]`)
			equal(t, name+" another tenant", other.do("GET", place[0], "").status, 404)
			equal(t, name+" and its ids", strings.TrimSpace(other.do("GET", place[1], "").body), `[]`)
			equal(t, name+" DELETE", c.do("DELETE", place[0], "").status, 204)
			equal(t, name+" gone", c.do("GET", place[0], "").status, 404)
			equal(t, name+" DELETE again", c.do("DELETE", place[0], "").status, 204)
		}
	}
}

func TestDocumentConcurrency(t *testing.T) {
	w := newWorld(t)
	for _, version := range []string{"1.0.3", "2.0.0"} {
		c := w.client(databasetest.Default, version, "all")
		for name, place := range places("c" + version) {
			path, asked := place[0], name != "state" || version == "2.0.0"
			unstated := map[bool]int{true: 400, false: 204}[name != "state" && version == "1.0.3"]
			equal(t, name+version+" nothing, unconditional", c.do("PUT", path, "1").status, unstated)
			equal(t, "away with it", c.do("DELETE", path, "").status, 204)
			equal(t, "If-Match of nothing", c.do("PUT", path, "1", "If-Match", "*").status, 412)
			equal(t, "only if new", c.do("PUT", path, "1", "If-None-Match", "*").status, 204)
			equal(t, "only if new, again", c.do("PUT", path, "2", "If-None-Match", "*").status, 412)
			etag := c.do("GET", path, "").header.Get("ETag")
			equal(t, "its ETag is the SHA-1 of 1", etag, `"356a192b7913b04c54574d18c28d46e6395428ab"`)
			equal(t, name+version+" unconditional", c.do("PUT", path, "1", "If-None-Match", "").status, map[bool]int{true: 409, false: 204}[asked])
			equal(t, "another ETag", c.do("PUT", path, "2", "If-Match", `"356a192b7913b04c54574d18c28d46e6395428ac"`).status, 412)
			equal(t, "another ETag, POST", c.do("POST", path, "{}", "If-Match", `"x"`).status, 412)
			equal(t, "another ETag, DELETE", c.do("DELETE", path, "", "If-Match", `"x"`).status, 412)
			equal(t, "nothing changed", c.do("GET", path, "").body, "1")
			equal(t, "the same ETag", c.do("PUT", path, "2", "If-Match", etag).status, 204)
			equal(t, "used up", c.do("PUT", path, "3", "If-Match", etag).status, 412)
			equal(t, "one of several", c.do("PUT", path, "3", "If-Match", etag+`, "da4b9237bacccdf19c0760cab7aec4a8359010b0"`).status, 204)
			equal(t, "none of them", c.do("PUT", path, "4", "If-None-Match", `"77de68daecd823babbb58edb1c8e14d7106e83bb"`).status, 412)
			equal(t, "DELETE with its ETag", c.do("DELETE", path, "", "If-Match", `"77de68daecd823babbb58edb1c8e14d7106e83bb"`).status, 204)
		}
	}
}

// Of writers who all add their own property to what they have read, none is lost.
func TestDocumentWriters(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "2.0.0", "state")
	path := places("w")["state"][0]
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			if a := c.do("POST", path, fmt.Sprintf(`{"p%d":%d}`, i, i)); a.status != 204 {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	body := c.do("GET", path, "").body
	for i := range 16 {
		if !strings.Contains(body, fmt.Sprintf(`"p%d":%d`, i, i)) {
			t.Errorf("p%d is lost: %s", i, body)
		}
	}
	var first sync.WaitGroup
	var stored sync.Map
	for i := range 8 {
		first.Go(func() {
			if a := c.do("PUT", places("first")["state"][0], fmt.Sprint(i), "If-None-Match", "*"); a.status == 204 {
				stored.Store(i, true)
			} else if a.status != 412 {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	first.Wait()
	n := 0
	stored.Range(func(any, any) bool { n++; return true })
	equal(t, "one of them was first", n, 1)
}

func TestDocumentMerge(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "1.0.3", "all")
	for name, place := range places("m") {
		path := place[0]
		equal(t, name+" into nothing", c.do("POST", path, `{"a":1.50,"b":{"x":1}}`).status, 204)
		equal(t, "merge", c.do("POST", path, `{"b":{"y":2},"c":12345678901234567890}`, "Content-Type", "application/json; charset=utf-8").status, 204)
		equal(t, "merged", c.do("GET", path, "").body, `{"a":1.50,"b":{"y":2},"c":12345678901234567890}`)
		for what, a := range map[string]answer{
			"an array": c.do("POST", path, `[1]`), "no JSON": c.do("POST", path, `{"a"`), "text": c.do("POST", path, `{}`, "Content-Type", "text/plain"),
		} {
			equal(t, what, a.status, 400)
		}
		equal(t, "as it was", c.do("GET", path, "").body, `{"a":1.50,"b":{"y":2},"c":12345678901234567890}`)
	}
	equal(t, "no JSON into nothing", c.do("POST", places("new")["state"][0], `{}[`).status, 400)
	path := places("text")["state"][0]
	equal(t, "text", c.do("POST", path, "text", "Content-Type", "text/plain").status, 204)
	equal(t, "JSON into text", c.do("POST", path, "{}").status, 400)
}

func TestStates(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "1.0.3", "all")
	one, two := uuid.NewString(), uuid.NewString()
	state := func(id, registration string) string {
		if registration == "" {
			return at("activities/state", "activityId", course, "agent", ann, "stateId", id)
		}
		return at("activities/state", "activityId", course, "agent", ann, "stateId", id, "registration", registration)
	}
	list := at("activities/state", "activityId", course, "agent", ann)
	for _, path := range []string{state("a", ""), state("a", one), state("b", one), state("c", two)} {
		equal(t, "PUT", c.do("PUT", path, path).status, 204)
	}
	equal(t, "each registration has its own", c.do("GET", state("a", one), "").body, state("a", one))
	equal(t, "and so has none", c.do("GET", state("a", ""), "").body, state("a", ""))
	equal(t, "of one registration", strings.TrimSpace(c.do("GET", list+"&registration="+one, "").body), `["a","b"]`)
	equal(t, "of all", strings.TrimSpace(c.do("GET", list, "").body), `["a","b","c"]`)
	equal(t, "delete one registration", c.do("DELETE", list+"&registration="+one, "").status, 204)
	equal(t, "the others stay", strings.TrimSpace(c.do("GET", list, "").body), `["a","c"]`)
	equal(t, "delete all", c.do("DELETE", list, "").status, 204)
	equal(t, "none is left", strings.TrimSpace(c.do("GET", list, "").body), `[]`)
	equal(t, "of nobody", strings.TrimSpace(c.do("GET", at("activities/state", "activityId", course, "agent", `{"mbox":"mailto:nobody@example.org"}`), "").body), `[]`)
	equal(t, "delete one of nobody's", c.do("DELETE", at("activities/state", "activityId", course, "agent", `{"mbox":"mailto:nobody@example.org"}`, "stateId", "a"), "").status, 204)
	equal(t, "if it is there", c.do("DELETE", at("activities/state", "activityId", course, "agent", `{"mbox":"mailto:nobody@example.org"}`, "stateId", "a"), "", "If-Match", "*").status, 412)
	var subjects int
	if err := w.owner.QueryRow(`SELECT count(*) FROM subject WHERE tenant_id = 1`).Scan(&subjects); err != nil || subjects != 1 {
		t.Errorf("%d subjects, %v: only ann has documents", subjects, err)
	}
	equal(t, "delete nobody's", c.do("DELETE", at("activities/state", "activityId", course, "agent", `{"mbox":"mailto:nobody@example.org"}`), "").status, 204)
	sha := at("activities/state", "activityId", course, "agent", `{"mbox_sha1sum":"`+"5a8d9fd5a5d5dc5b5d5d5c5b5a5f5e5d5c5b5a59"+`"}`, "stateId", "a")
	equal(t, "an unknown hash", c.do("GET", sha, "").status, 404)
}

// A reader who has a document already is sent none (RFC 9110 section 13).
func TestDocumentConditionalReads(t *testing.T) {
	w := newWorld(t)
	for _, version := range []string{"1.0.3", "2.0.0"} {
		c := w.client(databasetest.Default, version, "all")
		for name, place := range places("r" + version) {
			equal(t, name+" of nothing", c.do("GET", place[0], "", "If-None-Match", "*").status, 404)
			equal(t, name+" of nothing, If-Match", c.do("GET", place[0], "", "If-Match", "*").status, 404)
			equal(t, "PUT", c.do("PUT", place[0], "1", "If-None-Match", "*").status, 204)
			const etag, other = `"356a192b7913b04c54574d18c28d46e6395428ab"`, `"da4b9237bacccdf19c0760cab7aec4a8359010b0"`
			for _, r := range []struct {
				header, value string
				status        int
			}{
				{"If-None-Match", etag, 304}, {"If-None-Match", other + ", W/" + etag, 304}, {"If-None-Match", "*", 304}, {"If-None-Match", other, 200},
				{"If-Match", etag, 200}, {"If-Match", "*", 200}, {"If-Match", other, 412},
			} {
				for _, method := range []string{"GET", "HEAD"} {
					a := c.do(method, place[0], "", r.header, r.value)
					body := map[bool]string{true: "1"}[r.status == 200 && method == "GET"]
					if a.status != r.status || r.status != 412 && (a.header.Get("ETag") != etag || a.body != body) {
						t.Errorf("%s %s: %s: %s: %d %v %s", name, method, r.header, r.value, a.status, a.header, a.body)
					}
				}
			}
			equal(t, "If-Match goes first", c.do("GET", place[0], "", "If-Match", other, "If-None-Match", etag).status, 412)
		}
	}
}

// A condition on the deletion of several is refused: none of them would be held against it.
func TestDeleteStatesUnconditionally(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "2.0.0", "all")
	place := places("d")["state"]
	equal(t, "PUT", c.do("PUT", place[0], "1", "If-None-Match", "*").status, 204)
	for _, header := range []string{"If-Match", "If-None-Match"} {
		for _, tag := range []string{"*", `"x"`} {
			equal(t, header+tag, c.do("DELETE", place[1], "", header, tag).status, 400)
		}
	}
	equal(t, "it is there", c.do("GET", place[0], "").body, "1")
	equal(t, "without", c.do("DELETE", place[1], "").status, 204)
	equal(t, "gone", c.do("GET", place[0], "").status, 404)
}

func TestDocumentRequests(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "2.0.0", "all")
	agent := `{"mbox":"mailto:ann@example.org"}`
	for path, methods := range map[string]string{
		at("activities/state", "activityId", course, "agent", agent):                                                  "PUT POST",
		at("activities/state", "activityId", "course", "agent", agent, "stateId", "a"):                                "GET PUT POST DELETE",
		at("activities/state", "activityId", course, "stateId", "a"):                                                  "GET PUT POST DELETE",
		at("activities/state", "agent", agent, "stateId", "a"):                                                        "GET PUT POST DELETE",
		at("activities/state", "activityId", course, "agent", "ann", "stateId", "a"):                                  "GET PUT POST DELETE",
		at("activities/state", "activityId", course, "agent", `{"objectType":"Group","member":[]}`, "stateId", "a"):   "GET PUT POST DELETE",
		at("activities/state", "activityId", course, "agent", agent, "stateId", "a", "registration", "1"):             "GET PUT POST DELETE",
		at("activities/state", "activityId", course, "agent", agent, "stateId", ""):                                   "GET PUT POST DELETE",
		at("activities/state", "activityId", course, "agent", agent, "stateId", "a", "x", "1"):                        "GET PUT POST DELETE",
		at("activities/state", "activityId", course, "agent", agent, "since", "yesterday"):                            "GET DELETE",
		at("activities/state", "activityId", course, "agent", agent, "stateId", "a", "since", "2026-01-01T00:00:00Z"): "PUT POST DELETE",
		at("activities/state", "activityId", course, "agent", agent, "stateId", "a") + "&stateId=b":                   "GET PUT POST DELETE",
		at("agents/profile", "agent", agent):                                                                          "PUT POST DELETE",
		at("agents/profile", "profileId", "a"):                                                                        "GET PUT POST DELETE",
		at("agents/profile", "agent", agent, "profileId", "a", "activityId", course):                                  "GET PUT POST DELETE",
		at("activities/profile", "activityId", course):                                                                "PUT POST DELETE",
		at("activities/profile", "activityId", course, "profileId", "a", "registration", uuid.NewString()):            "GET PUT POST DELETE",
		at("activities/profile", "profileId", "a"):                                                                    "GET PUT POST DELETE",
		at("activities/state", "activityId", course, "agent", agent, "stateId", "\xff"):                               "GET PUT POST DELETE",
		at("activities/state", "activityId", course+"\xff", "agent", agent, "stateId", "a"):                           "GET PUT POST DELETE",
		at("agents/profile", "agent", `{"mbox":"mailto:ann@example.org","name":"`+"\xff"+`"}`, "profileId", "a"):      "GET PUT POST DELETE",
		at("activities/profile", "activityId", course, "profileId", "a\xc3"):                                          "GET PUT POST DELETE",
		at("agents", "agent", `{"mbox":"mailto:ann@example.org","name":"`+"\xff"+`"}`):                                "GET",
		at("activities", "activityId", course+"\xff"):                                                                 "GET",
		at("statements", "verb", "http://a.example/\xff"):                                                             "GET", at("statements", "more", "\xff"): "GET",
		at("agents"): "GET", at("agents", "agent", "{}"): "GET", at("agents", "agent", agent, "x", "y"): "GET",
		at("activities"): "GET", at("activities", "activityId", "x"): "GET", at("activities", "activityId", course, "x", "y"): "GET",
	} {
		for method := range strings.FieldsSeq(methods) {
			body := ""
			if method == "PUT" || method == "POST" {
				body = "{}"
			}
			if a := c.do(method, path, body); a.status != 400 || !strings.Contains(a.body, `"error"`) {
				t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
			}
		}
	}
	for _, path := range []string{"/xapi/activities/state", "/xapi/agents/profile", "/xapi/activities/profile", "/xapi/agents", "/xapi/activities"} {
		equal(t, path, c.do("PATCH", path, "").status, 405)
	}
	large := places("large")["state"][0]
	equal(t, "10 MiB", c.do("PUT", large, strings.Repeat("x", 10<<20)).status, 204)
	equal(t, "it comes back", len(c.do("GET", large, "").body), 10<<20)
	equal(t, "more", c.do("PUT", places("larger")["state"][0], strings.Repeat("x", 10<<20+1)).status, 413)
}

func TestDocumentScopes(t *testing.T) {
	w := newWorld(t)
	can := map[string]string{ // resource and methods
		"all": "state=GET,PUT agent=GET,PUT activity=GET,PUT agents=GET activities=GET", "all/read": "state=GET agent=GET activity=GET agents=GET activities=GET",
		"state": "state=GET,PUT", "state/read": "state=GET", "profile": "agent=GET,PUT activity=GET,PUT",
		"agents_profile": "agent=GET,PUT", "agents_profile/read": "agent=GET", "activities_profile": "activity=GET,PUT", "activities_profile/read": "activity=GET",
		"statements/write": "", "statements/read": "agents=GET activities=GET", "statements/read/mine": "", "statements/read/pseudonymised": "", "define": "",
	}
	p := places("s")
	paths := map[string]string{"state": p["state"][0], "agent": p["agent profile"][0], "activity": p["activity profile"][0], "agents": at("agents", "agent", ann), "activities": at("activities", "activityId", course)}
	w.client(databasetest.Default, "1.0.3", "all").do("PUT", paths["state"], "1")
	for scope, may := range can {
		c := w.client(databasetest.Default, "1.0.3", scope)
		for resource, path := range paths {
			_, methods, _ := strings.Cut(" "+may+" ", " "+resource+"=")
			methods, _, _ = strings.Cut(methods, " ")
			for _, method := range []string{"GET", "PUT"} {
				if method == "PUT" && !strings.Contains(path, "rofile") && resource != "state" {
					continue
				}
				a := c.do(method, path, map[string]string{"PUT": "1"}[method], "If-Match", "*")
				if allowed := a.status != 403; allowed != strings.Contains(methods, method) {
					t.Errorf("%s: %s %s: %d", scope, method, resource, a.status)
				}
			}
		}
	}
}

func TestAgents(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "2.0.0", "all")
	c.post(
		`{"actor":`+ann+`,"verb":{"id":"http://a.example/v"},"object":{"id":"https://a.example/a"}}`,
		`{"actor":{"mbox":"mailto:bob@example.org"},"verb":{"id":"http://a.example/v"},"object":{"id":"https://a.example/a"},"context":{"instructor":{"mbox":"mailto:ann@example.org","name":"Dr Ann"}}}`,
		`{"actor":{"account":{"homePage":"https://sis.example","name":"u1"},"name":"A. N."},"verb":{"id":"http://a.example/v"},"object":{"id":"https://a.example/a"}}`,
	)
	agents := at("agents", "agent", `{"mbox":"mailto:ann@example.org"}`)
	equal(t, "her names", strings.TrimSpace(c.do("GET", agents, "").body), `{"objectType":"Person","name":["Ann","Dr Ann"],"mbox":["mailto:ann@example.org"],"mbox_sha1sum":["`+sha1Of("mailto:ann@example.org")+`"]}`)
	_, err := w.owner.Exec(`UPDATE subject SET person_id = '6b2b9e8a-4f3c-4b1d-9d5f-0a1b2c3d4e5f'
WHERE id IN (SELECT actor FROM statement WHERE tenant_id = 1) AND id NOT IN (SELECT s.actor FROM statement s JOIN statement_agent o ON o.statement_id = s.id)`)
	if err != nil {
		t.Fatal(err)
	}
	linked := c.do("GET", agents, "").body
	for _, part := range []string{`"name":["A. N.","Ann","Dr Ann"]`, `"mbox":["mailto:ann@example.org"]`, `"account":[{"homePage":"https://sis.example","name":"u1"}]`} {
		if !strings.Contains(linked, part) {
			t.Errorf("%s is not in %s", part, linked)
		}
	}
	unknown := `{"objectType":"Person","mbox":["mailto:zoe@example.org"],"mbox_sha1sum":["` + sha1Of("mailto:zoe@example.org") + `"]}`
	equal(t, "an unknown one", strings.TrimSpace(c.do("GET", at("agents", "agent", `{"mbox":"mailto:zoe@example.org","name":"Z"}`), "").body), unknown)
	equal(t, "another tenant's", strings.TrimSpace(w.client(databasetest.Other, "2.0.0", "all").do("GET", agents, "").body), `{"objectType":"Person","mbox":["mailto:ann@example.org"],"mbox_sha1sum":["`+sha1Of("mailto:ann@example.org")+`"]}`)
	equal(t, "by her hash", c.do("GET", at("agents", "agent", `{"mbox_sha1sum":"`+sha1Of("mailto:ann@example.org")+`"}`), "").body, linked)
}

func sha1Of(text string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(text))) }

func TestActivities(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "1.0.3", "all")
	with := func(definition string) string {
		return `{"actor":` + ann + `,"verb":{"id":"http://a.example/v"},"object":{"id":"` + course + `","definition":` + definition + `}}`
	}
	path := at("activities", "activityId", course)
	equal(t, "unknown", strings.TrimSpace(c.do("GET", path, "").body), `{"objectType":"Activity","id":"`+course+`"}`)
	c.post(with(`{"name":{"en":"Course"}}`), with(`{"name":{"de":"Kurs"},"type":"http://a.example/t"}`))
	c.post(with(`{"name":{"en":"The course"}}`))
	want := `{"objectType":"Activity","id":"` + course + `","definition":{"name":{"en":"The course","de":"Kurs"},"type":"http://a.example/t"}}`
	equal(t, "merged", strings.TrimSpace(c.do("GET", path, "").body), want)
	w.client(databasetest.Default, "1.0.3", "statements/write").post(with(`{"name":{"en":"Not defined by me"}}`))
	equal(t, "by one who may not define", strings.TrimSpace(c.do("GET", path, "").body), want)
}

// The canonical form shows an activity as all its statements together have defined it, in the reader's language.
func TestCanonicalDefinition(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "2.0.0", "all")
	with := func(definition string) string {
		return `{"actor":` + ann + `,"verb":{"id":"http://a.example/v"},"object":{"id":"https://a.example/a"},"context":{"contextActivities":{"parent":{"id":"` + course + `"` + definition + `}}}}`
	}
	first := c.post(with(`,"definition":{"name":{"en":"Course"},"extensions":{"http://a.example/x":1.50}}`))[0]
	c.post(with(`,"definition":{"name":{"de":"Kurs"}}`))
	bare := c.post(with(``))[0]
	for _, id := range []string{first, bare} {
		got := c.do("GET", "/xapi/statements?format=canonical&statementId="+id, "", "Accept-Language", "de-AT, en;q=0.5").body
		if !strings.Contains(got, `"definition":{"extensions":{"http://a.example/x":1.50},"name":{"de":"Kurs"}}`) {
			t.Error(got)
		}
	}
	mine := w.client(databasetest.Default, "2.0.0", "statements/write", "statements/read/mine")
	own := mine.post(with(`,"definition":{"name":{"en":"Mine"}}`))[0]
	got := mine.do("GET", "/xapi/statements?format=canonical&statementId="+own, "").body
	if !strings.Contains(got, `"definition":{"name":{"en":"Mine"}}`) {
		t.Errorf("a reader without the catalogue: %s", got)
	}
	if got := c.do("GET", "/xapi/statements?format=exact&statementId="+own, "").body; !strings.Contains(got, `"Mine"`) {
		t.Errorf("exact: %s", got)
	}
}
