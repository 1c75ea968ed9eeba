package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// item is a record of the made-up source.
type item struct {
	ID      int       `json:"id"`
	Who     string    `json:"who"`
	Note    string    `json:"note,omitempty"`
	Updated time.Time `json:"updated"`
}

// source is a made-up API with every kind of paging, below /KIND. It has its own clock.
type source struct {
	*httptest.Server
	mu       sync.Mutex
	items    []item
	clock    time.Time                                    // zero: no Date of its own
	before   func(s *source, n int)                       // before request n, from 1, with the lock held
	answer   func(w http.ResponseWriter, n int) (ok bool) // instead of the source
	requests []url.URL
}

const pageSize = 4

var epoch = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// newSource has n items, one updated each minute.
func newSource(t *testing.T, n int) *source {
	s := &source{}
	for i := 1; i <= n; i++ {
		s.items = append(s.items, item{ID: i, Who: fmt.Sprintf("learner%d", i%5), Updated: epoch.Add(time.Duration(i) * time.Minute)})
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, *r.URL)
	n := len(s.requests)
	if s.before != nil {
		s.before(s, n)
	}
	if !s.clock.IsZero() {
		w.Header().Set("Date", s.clock.Format(http.TimeFormat))
	}
	if s.answer != nil && !s.answer(w, n) {
		return
	}
	q := r.URL.Query()
	items := s.between(q.Get("since"), q.Get("until"))
	switch q.Get("part") {
	case "20":
		items = slices.DeleteFunc(items, func(i item) bool { return i.ID%2 == 0 })
	case "3":
		items = slices.DeleteFunc(items, func(i item) bool { return i.ID%2 == 1 })
	}
	number := func(name string) int { n, _ := strconv.Atoi(q.Get(name)); return n }
	size := pageSize
	if asked := number("limit") + number("per_page"); asked > 0 {
		size = min(asked, pageSize)
	}
	from := map[string]int{"offset": number("offset"), "page": (number("page") - 1) * size, "link": number("at"), "token": number("cursor"), "address": number("at")}[r.URL.Path[1:]]
	if r.URL.Path == "/after" {
		from = slices.IndexFunc(items, func(i item) bool { return i.ID > number("after") })
		if from < 0 {
			from = len(items)
		}
	}
	if r.URL.Path == "/whole" {
		from, size = 0, len(items)
	}
	from = min(max(0, from), len(items))
	page := items[from:min(from+size, len(items))]
	next := ""
	if end := from + len(page); end < len(items) {
		next = strconv.Itoa(end)
	}
	s.write(w, r, page, next, len(items))
}

func (s *source) write(w http.ResponseWriter, r *http.Request, page []item, next string, total int) {
	body := map[string]any{"data": map[string]any{"items": page}, "total": total}
	switch r.URL.Path {
	case "/link":
		if next != "" {
			w.Header().Set("Link", fmt.Sprintf(`<%s/link>; rel="first", <%s/link?at=%s&key=s3cret&%s>; title="a, b"; rel="next"`, s.URL, s.URL, next, r.URL.Query().Encode()))
		}
		_ = json.NewEncoder(w).Encode(page)
		return
	case "/token":
		body["meta"] = map[string]any{"next": next}
	case "/address":
		body["next"] = nil
		if next != "" {
			body["next"] = s.URL + "/address?at=" + next
		}
	}
	_ = json.NewEncoder(w).Encode(body)
}

func (s *source) between(since, until string) []item {
	var list []item
	from, _ := time.Parse(time.RFC3339, since)
	to, err := time.Parse(time.RFC3339, until)
	for _, i := range s.items {
		if !i.Updated.Before(from) && (err != nil || i.Updated.Before(to)) {
			list = append(list, i)
		}
	}
	return list
}

// remove takes an item out, as somebody at the source does.
func (s *source) remove(id int) {
	s.items = slices.DeleteFunc(s.items, func(i item) bool { return i.ID == id })
}

// change updates an item at a time.
func (s *source) change(id int, at time.Time, note string) {
	for i := range s.items {
		if s.items[i].ID == id {
			s.items[i].Updated, s.items[i].Note = at, note
		}
	}
}

func encoded(i item) string {
	text, _ := json.Marshal(i)
	return string(text)
}

func idOf(record string) int {
	var i item
	_ = json.Unmarshal([]byte(record), &i)
	return i.ID
}
