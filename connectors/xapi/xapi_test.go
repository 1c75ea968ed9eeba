package xapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

func TestMain(m *testing.M) { kit.Main(m, map[string]func() sdk.Connector{"xapi": New}) }

// store stands in for another store, by xAPI 1.0.3 (Communication 2.1): since, ascending, limit, more, voided statements, attachments.
type store struct {
	*httptest.Server
	t  *testing.T
	mu sync.Mutex

	statements []kept
	consistent time.Time // zero: it does not say
	now        time.Time // as its Date header says
	most       int       // statements of a page, whatever is asked; 0: 50
	fault      func(w http.ResponseWriter, r *http.Request) bool
	moreAt     string // where more leads instead; "" to this server, as a path
	asked      []string
}

type kept struct {
	id, text string
	stored   time.Time
	voided   bool
	content  string
}

var began = time.Date(2025, 3, 1, 8, 0, 0, 0, time.UTC)

func newStore(t *testing.T) *store {
	s := &store{t: t, now: began.Add(24 * time.Hour), consistent: began.Add(24 * time.Hour)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// add stores a statement at so long after began, with more members at its end.
func (s *store) add(n int, after time.Duration, more string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := began.Add(after)
	text := fmt.Sprintf(`{"id":%q,"actor":{"mbox":"mailto:zq-anna@old.example"},"verb":{"id":"http://adlnet.gov/expapi/verbs/passed"},"object":{"id":"https://old.example/quiz"},"stored":%q%s}`,
		id(n), stored.Format(time.RFC3339Nano), more)
	s.statements = append(s.statements, kept{id: id(n), text: text, stored: stored})
	slices.SortStableFunc(s.statements, func(a, b kept) int { return a.stored.Compare(b.stored) })
}

func (s *store) void(n, target int, after time.Duration) {
	s.add(n, after, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.statements {
		k := &s.statements[i]
		if k.id == id(target) {
			k.voided = true
		}
		if k.id == id(n) {
			k.text = strings.Replace(k.text, "verbs/passed", "verbs/voided", 1)
			k.text = strings.Replace(k.text, `{"id":"https://old.example/quiz"}`, fmt.Sprintf(`{"objectType":"StatementRef","id":%q}`, id(target)), 1)
		}
	}
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.String())
	if s.fault != nil && s.fault(w, r) {
		return
	}
	w.Header().Set("X-Experience-API-Version", "1.0.3")
	w.Header().Set("Date", s.now.Format(http.TimeFormat))
	if !s.consistent.IsZero() {
		w.Header().Set("X-Experience-API-Consistent-Through", s.consistent.Format(time.RFC3339Nano))
	}
	key, secret, _ := r.BasicAuth()
	q := r.URL.Query()
	switch {
	case key != "k" || secret != "s3cret-value":
		w.WriteHeader(http.StatusUnauthorized)
	case r.Header.Get("X-Experience-API-Version") == "" || r.URL.Path != "/xapi/statements":
		w.WriteHeader(http.StatusBadRequest)
	case q.Has("statementId") || q.Has("voidedStatementId"):
		s.single(w, q.Get("statementId"), q.Get("voidedStatementId"), q.Get("attachments") == "true")
	default:
		s.list(w, r)
	}
}

func (s *store) single(w http.ResponseWriter, id, voided string, attachments bool) {
	for _, k := range s.statements {
		if k.id != id+voided || k.voided != (voided != "") {
			continue
		}
		if attachments && k.content != "" {
			w.Header().Set("Content-Type", `multipart/mixed; boundary=edge`)
			fmt.Fprintf(w, "--edge\r\nContent-Type: application/json\r\n\r\n%s\r\n--edge\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: abc\r\n\r\n%s\r\n--edge--\r\n", k.text, k.content)
			return
		}
		fmt.Fprint(w, k.text)
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

func (s *store) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	since, _ := time.Parse(time.RFC3339Nano, q.Get("since"))
	from, _ := strconv.Atoi(q.Get("from"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	if s.most > 0 {
		limit = min(limit, s.most)
	}
	var list []string
	more := ""
	for i, k := range s.statements {
		if i < from || !k.stored.After(since) || k.voided {
			continue
		}
		if len(list) == limit {
			q.Set("from", strconv.Itoa(i))
			more = s.moreAt + "/xapi/statements?" + q.Encode()
			break
		}
		list = append(list, k.text)
	}
	fmt.Fprintf(w, `{"statements":[%s],"more":%q}`, strings.Join(list, ","), more)
}

func (s *store) session(settings string) *sdk.Session {
	return sdktest.Session(fmt.Sprintf(`{"endpoint":%q,"key":"k"%s}`, s.URL+"/xapi", settings), &http.Client{Transport: basic{}}, nil)
}

// basic signs as the hub does.
type basic struct{}

func (basic) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth("k", "s3cret-value")
	return http.DefaultTransport.RoundTrip(r)
}

// read gives the ids that a read brought, and the last cursor.
func (s *store) read(settings string, cursor []byte) (ids []string, last []byte) {
	s.t.Helper()
	got, err := sdktest.Read(s.t.Context(), New(), s.session(settings), sdk.Request{Stream: streamName, Cursor: cursor})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(got.Bad) > 0 {
		s.t.Fatalf("bad %v", got.Bad)
	}
	for _, text := range got.Records {
		var rec sdk.StatementRecord
		if err := json.Unmarshal([]byte(text), &rec); err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, rec.ID)
	}
	if last = cursor; len(got.Cursors) > 0 {
		last = got.Cursors[len(got.Cursors)-1]
	}
	return ids, last
}

func (s *store) wants(what string, got []string, want ...int) {
	s.t.Helper()
	var ids []string
	for _, n := range want {
		ids = append(ids, id(n))
	}
	if !slices.Equal(got, ids) {
		s.t.Errorf("%s: %q, want %q", what, got, ids)
	}
}

func TestConformance(t *testing.T) {
	s := newStore(t)
	for n := range 43 {
		s.add(n, time.Duration(n/4)*time.Second, "") // four share each stored
	}
	s.void(100, 7, time.Hour)
	refused := map[string]string{"no endpoint": `{}`, "no address": `{"endpoint":"lrs"}`, "version": fmt.Sprintf(`{"endpoint":%q,"version":"0.9"}`, s.URL),
		"since": fmt.Sprintf(`{"endpoint":%q,"since":"yesterday"}`, s.URL), "misspelt": fmt.Sprintf(`{"endpoint":%q,"keys":"k"}`, s.URL), "page": fmt.Sprintf(`{"endpoint":%q,"page":0}`, s.URL)}
	kit.Run(t, kit.Subject{Name: "xapi", New: New, Config: fmt.Sprintf(`{"endpoint":%q,"key":"k"}`, s.URL+"/xapi"),
		Secrets: map[string]string{"secret": "s3cret-value"}, Refused: refused, Slack: 5})
}

func TestAsItIs(t *testing.T) {
	s := newStore(t)
	s.add(1, 0, `,"result":{"score":{"raw":1.50}},"authority":{"mbox":"mailto:a@old.example"}`)
	got, err := sdktest.Read(t.Context(), New(), s.session(""), sdk.Request{Stream: streamName})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"id":"` + id(1) + `","version":"1.0.3","statement":` + s.statements[0].text + `}`; len(got.Records) != 1 || got.Records[0] != want {
		t.Errorf("got  %v\nwant %s", got.Records, want)
	}
}

// TestFollowing: whatever a store says of its times, everything is brought once.
func TestFollowing(t *testing.T) {
	for name, says := range map[string]bool{"consistent through": true, "by looking back": false} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			at := func(now time.Duration) {
				s.now, s.consistent = began.Add(now), time.Time{}
				if says {
					s.consistent = began.Add(now - 2*time.Minute)
				}
			}
			at(time.Hour)
			s.most = 2
			for n := range 5 {
				s.add(n, time.Second, "")
			}
			s.add(10, 59*time.Minute, "") // lately
			ids, cursor := s.read("", nil)
			s.wants("at first", ids, 0, 1, 2, 3, 4, 10)
			ids, cursor = s.read("", cursor)
			s.wants("nothing new", ids)
			s.add(11, 59*time.Minute, "")
			s.add(12, 59*time.Minute-30*time.Second, "") // it appears late, with an earlier time
			ids, cursor = s.read("", cursor)
			s.wants("late ones", ids, 12, 11)
			at(10 * time.Hour)
			s.add(13, 9*time.Hour, "")
			ids, cursor = s.read("", cursor)
			s.wants("much later", ids, 13)
			ids, cursor = s.read("", cursor)
			s.wants("nothing new again", ids)
			if len(cursor) > 200 {
				t.Errorf("the cursor does not forget: %s", cursor)
			}
		})
	}
}

func TestVoided(t *testing.T) {
	s := newStore(t)
	for n := range 3 {
		s.add(n, time.Second, "")
	}
	ids, cursor := s.read("", nil)
	s.wants("before", ids, 0, 1, 2)
	s.void(3, 1, time.Minute)
	ids, _ = s.read("", cursor)
	s.wants("what was read comes again, before what voids it", ids, 1, 3)
	ids, _ = s.read("", nil)
	s.wants("from the start", ids, 0, 2, 1, 3)
	s.void(4, 99, 2*time.Minute) // nobody knows what
	ids, _ = s.read("", nil)
	s.wants("one that voids nothing", ids, 0, 2, 1, 3, 4)
}

func TestAttachments(t *testing.T) {
	s := newStore(t)
	const object = `,"attachments":[{"usageType":"https://old.example/a","display":{"en":"a"},"contentType":"text/plain","length":5,"sha2":"abc"}]`
	s.add(1, time.Second, object)
	s.add(2, time.Second, object) // of which it has no content
	s.statements[0].content = "hello"
	read := func(settings string) []string {
		got, err := sdktest.Read(t.Context(), New(), s.session(settings), sdk.Request{Stream: streamName, MaxRecord: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return append(got.Records, fmt.Sprint(len(got.Bad)))
	}
	got := read("")
	if !strings.HasSuffix(got[0], `,"attachments":[{"sha2":"abc","contentType":"text/plain","data":"aGVsbG8="}]}`) || !strings.HasSuffix(got[1], `,"attachments":[]}`) {
		t.Errorf("%v", got)
	}
	if got := read(`,"attachments":false`); strings.Contains(got[0], "data") || !strings.HasSuffix(got[0], `}]}}`) {
		t.Errorf("%v", got)
	}
	s.statements[0].content = strings.Repeat("x", 2000)
	if got := read(""); len(got) != 2 || got[1] != "1" {
		t.Errorf("too large: %d records, %s bad", len(got)-1, got[len(got)-1])
	}
}

func TestFaults(t *testing.T) {
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
	}
	say := func(text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, text); return true }
	}
	tests := []struct {
		name  string
		fault func(http.ResponseWriter, *http.Request) bool
		more  string
		class sdk.Class
		want  string
	}{
		{"denied", status(401), "", sdk.ClassAuth, "401"},
		{"forbidden", status(403), "", sdk.ClassPermission, "403"},
		{"wrong address", status(404), "", sdk.ClassConfig, "404"},
		{"busy", status(503), "", sdk.ClassTransient, "503"},
		{"a page of HTML", say("<html>PRIVATE"), "", sdk.ClassSourceBug, "no StatementResult"},
		{"another JSON", say(`{"about":"PRIVATE"}`), "", sdk.ClassSourceBug, "no StatementResult"},
		{"round and round", func(w http.ResponseWriter, r *http.Request) bool {
			fmt.Fprintf(w, `{"statements":[],"more":"/xapi/statements?n=%d"}`, time.Now().UnixNano())
			return true
		}, "", sdk.ClassSourceBug, "pages in a row"},
		{"more leads to itself", func(w http.ResponseWriter, r *http.Request) bool {
			fmt.Fprintf(w, `{"statements":[],"more":%q}`, r.URL.String())
			return true
		}, "", sdk.ClassSourceBug, "same page"},
		{"more leads away", nil, "https://elsewhere.example", sdk.ClassSourceBug, "another host"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t)
			s.most = 1
			s.add(1, 0, "")
			s.add(2, 0, "")
			s.fault, s.moreAt = test.fault, test.more
			_, err := sdktest.Read(t.Context(), New(), s.session(""), sdk.Request{Stream: streamName})
			var known *sdk.Error
			if !errors.As(err, &known) || known.Class != test.class || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("got  %v\nwant %s: %s", err, test.class, test.want)
			}
		})
	}
}

// TestBadStatements: what is none is set aside, and reading goes on.
func TestBadStatements(t *testing.T) {
	s := newStore(t)
	s.fault = func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprintf(w, `{"statements":[{"id":"zq"},{"id":5},"zq",{"id":%q,"stored":"2025-03-01T08:00:00Z","verb":{"id":"v:v"}}],"more":""}`, id(1))
		return true
	}
	got, err := sdktest.Read(t.Context(), New(), s.session(""), sdk.Request{Stream: streamName})
	if err != nil || len(got.Records) != 1 || len(got.Bad) != 3 || strings.Contains(fmt.Sprint(got.Bad[0].Reason, got.Bad[0].Position), "zq") {
		t.Errorf("%v: %v, bad %v", err, got.Records, got.Bad)
	}
}

// TestCursorIsBounded: very many statements at one time have a cursor that fits.
func TestCursorIsBounded(t *testing.T) {
	p := start(nil, time.Time{})
	for n := range 20_000 {
		p.meet(id(n), began)
	}
	if text := p.encode(began.Add(time.Hour)); len(text) > sdk.MaxCursor {
		t.Errorf("%d bytes", len(text))
	}
}
