package lrs

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

func TestVersionHeader(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "", "all")
	for _, version := range []string{"", "0.9", "1.1", "3.0.0", "1.0.x", "two"} {
		for _, a := range []answer{
			c.do("GET", statements, "", "X-Experience-API-Version", version), c.do("POST", statements, said("ann", "tried", "a", ""), "X-Experience-API-Version", version),
		} {
			if a.status != 400 || a.header.Get("X-Experience-API-Version") != "0.95" {
				t.Errorf("version %q: %d, %s", version, a.status, a.header.Get("X-Experience-API-Version"))
			}
		}
	}
	about := c.do("GET", "/xapi/about", "", "Authorization", "")
	equal(t, "about", fmt.Sprint(about.status, strings.TrimSpace(about.body)), `200{"version":["2.0.0","1.0.3"]}`)
}

func TestWhoMay(t *testing.T) {
	w := newWorld(t)
	body := said("ann", "tried", "a", "")
	put := statements + "?statementId=5b1fa8a5-04fa-4b46-9b8d-2c53a4ee4f21"
	for scope, want := range map[string][3]int{ // POST, PUT, GET
		"statements/write": {200, 204, 403}, "statements/read": {403, 403, 200}, "statements/read/pseudonymised": {403, 403, 200}, "statements/read/mine": {403, 403, 200},
		"all/read": {403, 403, 200}, "all": {200, 204, 200}, "admin": {403, 403, 403}, "define": {403, 403, 403}, "audit/read": {403, 403, 403},
	} {
		c := w.client(databasetest.Default, "1.0.3", scope)
		got := [3]int{c.do("POST", statements, body).status, c.do("PUT", put, body).status, c.do("GET", statements, "").status}
		equal(t, scope, got, want)
	}
	c := w.client(databasetest.Default, "1.0.3", "all")
	for name, header := range map[string]string{
		"none": "", "wrong secret": "Basic " + base64.StdEncoding.EncodeToString([]byte(c.key+":"+strings.Repeat("a", 43))), "garbage": "Basic ???", "unknown": "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:secret")),
	} {
		a := c.do("GET", statements, "", "Authorization", header)
		if a.status != 401 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic") || a.header.Get("X-Experience-API-Version") != "1.0.3" {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
	}
	equal(t, "a credential in the URL", c.do("GET", statements+"?api_key="+c.key, "").status, 401)
	var refused int
	if err := w.owner.QueryRow("SELECT count(*) FROM audit_event WHERE kind = 'ingest.refused'").Scan(&refused); err != nil {
		t.Fatal(err)
	}
	equal(t, "refused writes are told", refused, 14)
}

// The scope define alone lets activities stand in clear.
func TestDefineScope(t *testing.T) {
	w := newWorld(t)
	for i, scopes := range []string{"statements/write", "statements/write define"} {
		w.client(databasetest.Default, "1.0.3", strings.Fields(scopes)...).post(said("ann", "tried", "a", ""))
		var n int
		if err := w.owner.QueryRow("SELECT count(*) FROM activity WHERE iri = 'https://school.example/a'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		equal(t, scopes, n, i)
	}
}

// What is wrong with a body is told by its place, never by what it says.
func TestBadBodies(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "2.0.0", "all")
	for name, body := range map[string]string{
		"no JSON": `secretvalue`, "cut off": `{"actor":{"mbox":"mailto:secretvalue@example.org"}`, "two": said("secretvalue", "tried", "a", "") + said("secretvalue", "tried", "a", ""),
		"no verb": `{"actor":{"mbox":"mailto:secretvalue@example.org"},"object":{"id":"https://school.example/a"}}`, "bad mailbox": strings.Replace(said("ann", "tried", "a", ""), "mailto:ann", "secretvalue", 1),
		"unknown property": said("ann", "tried", "a", `,"secretvalue":1`), "bad UTF-8": said("ann\xffsecretvalue", "tried", "a", ""), "a number": "7", "null": "null", "in a batch": "[" + said("ann", "tried", "a", "") + `,{"secretvalue":1}]`,
		"a property twice": said("ann", "tried", "a", `,"verb":{"id":"http://secretvalue.example/"}`), "deep": strings.Repeat("[", 10_000),
	} {
		a := c.do("POST", statements, body)
		if a.status != 400 || strings.Contains(a.body, "secretvalue") || a.header.Get("X-Experience-API-Version") != "2.0.0" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for name, kind := range map[string]string{"none": "", "text": "text/plain", "form": "application/x-www-form-urlencoded", "parts": "multipart/mixed; boundary=x", "malformed": "application/"} {
		if a := c.do("POST", statements, said("ann", "tried", "a", ""), "Content-Type", kind); a.status != 400 {
			t.Errorf("Content-Type %s: %d", name, a.status)
		}
	}
	equal(t, "a parameter", c.do("POST", statements+"?x=1", said("ann", "tried", "a", "")).status, 400)
	attached := func(more string) int {
		return c.do("POST", statements, said("ann", "tried", "a", fmt.Sprintf(`,"attachments":[{"usageType":"https://a.example/u","display":{"en":"d"},"contentType":"text/plain","length":1,"sha2":"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"%s}]`, more))).status
	}
	equal(t, "an attachment that is nowhere", attached(""), 400)
	equal(t, "nothing was stored", len(c.finds("")), 0)
	equal(t, "an attachment that is elsewhere", attached(`,"fileUrl":"https://a.example/f"`), 200)
}

func TestLargeBodies(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "2.0.0", "all")
	equal(t, "a large statement", c.do("POST", statements, said("ann", "tried", "a", `,"result":{"response":"`+strings.Repeat("x", 1<<20)+`"}`)).status, 413)
	equal(t, "many statements", c.do("POST", statements, "["+strings.Repeat(said("ann", "tried", "a", "")+",", 10_000)+said("ann", "tried", "a", "")+"]").status, 413)
	equal(t, "a long claim", c.raw(fmt.Sprintf("Content-Length: %d\r\n\r\n", 65<<20)), 413)
	if testing.Short() {
		return
	}
	equal(t, "a long body of unknown length", c.raw("Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat("100000\r\n"+strings.Repeat(" ", 1<<20)+"\r\n", 65)), 413)
}

// raw sends a POST by hand, headers and body, and gives the status.
func (c caller) raw(rest string) int {
	c.Helper()
	conn, err := net.Dial("tcp", c.server.Listener.Addr().String())
	if err != nil {
		c.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	written := make(chan struct{})
	go func() { // the server may answer before it has read all
		defer close(written)
		credential := base64.StdEncoding.EncodeToString([]byte(c.key + ":" + c.secret))
		fmt.Fprintf(conn, "POST /xapi/statements HTTP/1.1\r\nHost: x\r\nX-Experience-API-Version: 2.0.0\r\nContent-Type: application/json\r\nAuthorization: Basic %s\r\n%s", credential, rest)
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		c.Fatal(err)
	}
	conn.Close()
	<-written
	return response.StatusCode
}

// Nothing that is compressed is inflated, and none is stored for what it is not.
func TestContentEncoding(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "1.0.3", "all")
	state := "/xapi/activities/state?stateId=s&activityId=http://x.example/a&agent=" + escape(`{"mbox":"mailto:ann@example.org"}`)
	form := url.Values{"content": {"[]"}, "X-Experience-API-Version": {"1.0.3"}}.Encode()
	for encoding, want := range map[string][3]int{"gzip": {415, 415, 415}, "identity": {200, 204, 200}, "": {200, 204, 200}, "br, gzip": {415, 415, 415}} {
		a := c.do("POST", statements, "[]", "Content-Encoding", encoding)
		got := [3]int{a.status, c.do("PUT", state, "{}", "Content-Encoding", encoding).status,
			c.do("POST", statements+"?method=POST", form, "Content-Encoding", encoding, "Content-Type", "application/x-www-form-urlencoded").status}
		equal(t, encoding, got, want)
		if a.status == 415 && a.header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%s: %v", encoding, a.header)
		}
	}
}

func TestSlowAndBrokenBodies(t *testing.T) {
	w := newWorld(t)
	w.face.bodyTime, w.face.patience = time.Second, time.Second
	c := w.client(databasetest.Default, "2.0.0", "all")
	began := time.Now()
	equal(t, "a body that never ends", c.raw("Content-Length: 100\r\n\r\n{"), 408)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	began = time.Now()
	stranger := caller{world: w, key: "x", secret: "y"}
	equal(t, "one of a stranger", stranger.raw("Content-Length: 100\r\n\r\n{"), 401)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	equal(t, "a body that ends", c.do("POST", statements, said("ann", "tried", "a", "")).status, 200)
	time.Sleep(1200 * time.Millisecond) // a connection that is kept has its time anew
	equal(t, "the next on the same connection", c.do("POST", statements, said("ann", "tried", "a", "")).status, 200)
}

func TestAlternateSyntax(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "1.0.3", "all")
	id := "5b1fa8a5-04fa-4b46-9b8d-2c53a4ee4f21"
	form := func(query string, values url.Values, headers ...string) answer {
		t.Helper()
		return c.do("POST", statements+query, values.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
	}
	content := said("ann", "tried", "a", "")
	credential := "Basic " + base64.StdEncoding.EncodeToString([]byte(c.key+":"+c.secret))
	a := form("?method=PUT", url.Values{"statementId": {id}, "content": {content}, "Authorization": {credential}, "X-Experience-API-Version": {"1.0.3"}}, "Authorization", "", "X-Experience-API-Version", "")
	equal(t, "PUT with all headers in the form", fmt.Sprint(a.status, a.body), "204")
	a = form("?method=GET", url.Values{"statementId": {id}})
	if a.status != 200 || !strings.Contains(a.body, id) {
		t.Errorf("GET: %d %s", a.status, a.body)
	}
	equal(t, "POST", form("?method=POST", url.Values{"content": {"[" + content + "]"}}).status, 200)
	for name, a := range map[string]answer{
		"more in the query":     form("?method=PUT&statementId="+id, url.Values{"content": {content}}),
		"no content":            form("?method=PUT", url.Values{"statementId": {id}}),
		"content twice":         form("?method=PUT", url.Values{"statementId": {id}, "content": {content, content}}),
		"content of a GET":      form("?method=GET", url.Values{"content": {content}}),
		"an unknown method":     form("?method=PATCH", url.Values{"content": {content}}),
		"an unknown version":    form("?method=GET", url.Values{"X-Experience-API-Version": {"0.8"}}),
		"2.0":                   form("?method=GET", url.Values{}, "X-Experience-API-Version", "2.0.0"),
		"an unknown parameter":  form("?method=GET", url.Values{"unknown": {"1"}}),
		"two credentials":       form("?method=GET", url.Values{"Authorization": {credential, credential}}),
		"not a form":            c.do("POST", statements+"?method=GET", content),
		"not issued as a POST":  c.do("PUT", statements+"?method=POST", content),
		"a malformed form":      c.do("POST", statements+"?method=GET", "a=%zz", "Content-Type", "application/x-www-form-urlencoded"),
		"a content of no JSON":  form("?method=PUT", url.Values{"statementId": {id}, "content": {"a=b"}}),
		"a content of its kind": form("?method=PUT", url.Values{"statementId": {id}, "content": {content}, "Content-Type": {"text/plain"}}),
	} {
		equal(t, name, a.status, 400)
	}
	wrong := form("?method=GET", url.Values{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("x:y"))}})
	equal(t, "the form's credential counts", wrong.status, 401)
	equal(t, "a form beyond its limit", form("?method=PUT", url.Values{"content": {strings.Repeat("x", 5<<20)}}).status, 413)
}

// Who asks which versions there are need not say who asks, but must ask for just that.
func TestAbout(t *testing.T) {
	w := newWorld(t)
	stranger := caller{world: w}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		a := stranger.do(method, "/xapi/about", "")
		equal(t, method, fmt.Sprint(a.status, a.header.Get("Allow"), a.header.Get("X-Experience-API-Version")), "405GET, HEAD2.0.0")
	}
	for query, want := range map[string]int{"": 200, "?x=1": 400, "?x=%ff": 400, "?%zz": 400} {
		for _, method := range []string{"GET", "HEAD"} {
			equal(t, method+query, stranger.do(method, "/xapi/about"+query, "").status, want)
		}
	}
}

func TestOtherResources(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "1.0.3", "all")
	for _, path := range []string{"/xapi/", "/xapi/activities/nothing", "/xapi/nothing/here"} {
		equal(t, path, c.do("GET", path, "").status, 404)
		equal(t, path+" without a version", c.do("GET", path, "", "X-Experience-API-Version", "").status, 400)
		equal(t, path+" without a credential", c.do("GET", path, "", "Authorization", "").status, 401)
	}
	equal(t, "DELETE", c.do("DELETE", statements, "").header.Get("Allow"), "GET, HEAD, POST, PUT")
}

// Over HTTP too, a reader of pseudonyms cannot tell somebody who is there from somebody who is not: not a byte of the answers differs.
func TestOneRefusalOverHTTP(t *testing.T) {
	w := newWorld(t)
	w.client(databasetest.Default, "1.0.3", "statements/write").post(said("ann", "tried", "a", `,"context":{"registration":"6b2b9e8a-4f3c-4b1d-9d5f-0a1b2c3d4e5f"}`))
	analyst := w.client(databasetest.Default, "1.0.3", "statements/read/pseudonymised")
	var first answer
	for i, query := range []string{
		"agent=" + escape(`{"mbox":"mailto:ann@example.org"}`), "agent=" + escape(`{"mbox":"mailto:zoe@example.org"}`), "registration=6b2b9e8a-4f3c-4b1d-9d5f-0a1b2c3d4e5f",
		"registration=6b2b9e8a-4f3c-4b1d-9d5f-0a1b2c3d4e5e", "activity=" + escape("https://school.example/a"), "activity=" + escape("https://school.example/z"),
		"agent=" + escape(`{"account":{"homePage":"https://hub.example/pseudonyms","name":"6b2b9e8a-4f3c-4b1d-9d5f-0a1b2c3d4e5f"}}`),
	} {
		a := analyst.do("GET", statements+"?"+query, "")
		a.header.Del("Date")
		if i == 0 {
			first = a
			equal(t, "status", a.status, 403)
		}
		if diff := cmp.Diff(fmt.Sprint(first), fmt.Sprint(a)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}
