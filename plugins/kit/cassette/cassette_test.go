package cassette

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func exchange(method, address, asked, answered string) Exchange {
	return Exchange{
		Request:  Request{Method: method, URL: address, Body: NewBody([]byte(asked))},
		Response: Response{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: NewBody([]byte(answered))},
	}
}

// TestScrub: nothing that identifies a person or a site, and no secret, is left; what refers to each other still does.
func TestScrub(t *testing.T) {
	const secret = "S3cr+t/value"
	first := exchange("GET", "https://lms.brook.example/api/users?key="+url.QueryEscape(secret)+"&page=1", "",
		`{"users":[{"id":123456,"login":"vole","name":"Water Vole","sortable_name":"Vole, Water","email":"w.vole@brook.example","born":"1999-01-01","dob":"1999-01-01",
		"phone":"+44 1632 960000","ip":"203.0.113.9","bio":"I like Water Vole and reeds","score":5,"url":"https://lms.brook.example/users/vole/profile",
		"next_token":"tok-2","access_token":"abcdef","nested":{"123456":{"firstName":"Water"}}}],"next":"/api/users?page=2&user=vole"}`)
	first.Response.Header.Set("Link", `<https://lms.brook.example/api/users?page=2&user=vole>; rel="next"`)
	second := exchange("GET", "https://lms.brook.example/api/users?page=2&user=vole", "", `[{"user_id":123456,"score":123456.5,"said":"mail w.vole@brook.example, or vole-123456"}]`)
	third := exchange("POST", "https://lms.brook.example/users/vole/grades", "wstoken="+url.QueryEscape(secret)+"&userid=123456", `<user>w.vole@brook.example</user>`)
	s := Scrub{Secrets: map[string]string{"key": secret}, Subjects: []string{"login"}, Known: []string{"vole", "123456", "77"}}
	done, err := s.Scrub([]byte(`{"url":"https://lms.brook.example","account":123456}`), []Exchange{first, second, third})
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(done)
	all := string(text) + string(done.Config)
	for _, leak := range []string{secret, url.QueryEscape(secret), "vole\"", "Vole", "Water", "w.vole", "brook.example", "123456,", "123456&", "960000", "203.0.113", "1999-01-01\",\"phone", "abcdef", "user=vole", "/vole/"} {
		if strings.Contains(all, leak) {
			t.Errorf("%q is left in %s", leak, all)
		}
	}
	for _, stays := range []string{`"next_token":"tok-2"`, `"score":5,`, `"score":123456.5`, `page=2`} {
		if !strings.Contains(all, stays) {
			t.Errorf("%q is gone from %s", stays, all)
		}
	}
	var page struct {
		Users []struct {
			ID    json.Number
			Login string
			Email string
		}
		Next string
	}
	if err := json.Unmarshal(done.Exchanges[0].Response.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	user := page.Users[0]
	if want := "/api/users?page=2&user=" + user.Login; page.Next != want || !strings.Contains(done.Exchanges[0].Response.Header.Get("Link"), want) ||
		!strings.HasSuffix(done.Exchanges[1].Request.URL, want) {
		t.Errorf("references broke: %q, %v, %q", page.Next, done.Exchanges[0].Response.Header, done.Exchanges[1].Request.URL)
	}
	if body := string(done.Exchanges[1].Response.Bytes()); !strings.Contains(body, `"user_id":`+user.ID.String()) || !strings.Contains(body, user.Email) {
		t.Errorf("references broke: %s", body)
	}
	if form := done.Exchanges[2].Request.Text; !strings.Contains(form, "userid="+user.ID.String()) || !strings.Contains(form, "wstoken="+Secret("key")) {
		t.Errorf("a form: %q", form)
	}
	if done.Kept != 1 || done.Counts["mailbox"] == 0 {
		t.Errorf("kept %d, counts %v", done.Kept, done.Counts)
	}
}

// TestPlayer: answers come in turn, a request that differs by times only is known, and a foreign one is missed without its query.
func TestPlayer(t *testing.T) {
	r := &Recording{Exchanges: []Exchange{
		exchange("GET", "https://a.example/x?since=2026-11-24T10:00:00Z&b=1", "", `[1]`),
		exchange("GET", "https://a.example/x?b=1&since=2026-11-24T10:00:00Z", "", `[2]`),
		exchange("POST", "https://a.example/y", `{"from":1764000000}`, `{"ok":true}`),
	}}
	p, err := NewPlayer(r, "key")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, address, body string) string {
		t.Helper()
		request, _ := http.NewRequest(method, address, strings.NewReader(body))
		response, err := p.RoundTrip(request)
		if err != nil {
			return err.Error()
		}
		text, _ := io.ReadAll(response.Body)
		return string(text)
	}
	same := "https://a.example/x?b=1&key=secret&since=2026-11-24T10:00:00Z"
	got := []string{ask("GET", same, ""), ask("GET", same, ""), ask("GET", same, "")}
	p.Rewind()
	got = append(got, ask("GET", same, ""), ask("GET", "https://a.example/x?b=1&since=2027-01-01T00:00:00%2B01:00", ""), ask("POST", "https://a.example/y", `{"from":1765432100}`))
	if want := "[1] [2] [2] [1] [1] {\"ok\":true}"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %s", got, want)
	}
	if missed := ask("GET", "https://a.example/z?who=ann", ""); !strings.Contains(missed, "record anew") || strings.Contains(missed, "ann") {
		t.Errorf("missed: %s", missed)
	}
	if m := p.Missed(); len(m) != 1 || m[0] != "GET a.example/z" {
		t.Errorf("missed: %v", m)
	}
}

func TestReadRefuses(t *testing.T) {
	const head = `{"cassette":1,"connector":"x","made":"2026-11-24T00:00:00Z"}` + "\n"
	for want, files := range map[string]map[string]string{
		"has no config.json": {"a.jsonl": head},
		"is not JSON":        {"config.json": "{"},
		"has format 2":       {"config.json": "{}", "a.jsonl": `{"cassette":2}`},
		"a.jsonl, line 2":    {"config.json": "{}", "a.jsonl": head + `{"request":{"method":"GET","url":"/","typo":1}}`},
		"request.method":     {"config.json": "{}", "a.jsonl": head + `{"request":{},"response":{"status":200}}`},
	} {
		folder := fstest.MapFS{}
		for name, text := range files {
			folder[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if _, err := Read(folder); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	folder := fstest.MapFS{"config.json": {Data: []byte(`{"folder":"${dir}"}`)}, "notes.jsonl": {Data: []byte("{\"no\":\"head\"}\n")}}
	if r, err := Read(folder); err != nil || len(r.Exchanges) != 0 || r.At(`C:\x`) != `{"folder":"C:\\x"}` {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestWriteReads: what is written is read back, byte for byte, whatever a body holds.
func TestWriteReads(t *testing.T) {
	dir := t.TempDir()
	bodies := []string{"", `{"a":1.50,"b":"<é>"}`, "text\nlines", "\xff\x00binary", "<xml/>"}
	made := &Scrubbed{Config: []byte(`{"url":"x"}`)}
	for _, body := range bodies {
		made.Exchanges = append(made.Exchanges, exchange("POST", "https://a.example/", body, body))
	}
	if err := Write(dir, Head{Connector: "x"}, made); err != nil {
		t.Fatal(err)
	}
	back, err := Read(os.DirFS(dir))
	if err != nil || len(back.Exchanges) != len(bodies) || back.Connector != "x" {
		t.Fatalf("%+v, %v", back, err)
	}
	for i, body := range bodies {
		if got := string(back.Exchanges[i].Response.Bytes()); got != body {
			t.Errorf("got %q, want %q", got, body)
		}
	}
	if err := Write(dir, Head{}, made); err == nil {
		t.Error("a recording was overwritten")
	}
}
