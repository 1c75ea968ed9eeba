package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// Paging asks for one page after another. A place is what a cursor keeps: short text, without secrets and personal data.
type Paging interface {
	// Ask makes a request ask for the page at a place, "" for the first one.
	Ask(r *http.Request, at string) error
	// Next gives the place of the page after p, "" if p is the last. What cannot be is an *sdk.Error.
	Next(p Page) (at string, err error)
}

// Page is an answer that was read to its end.
type Page struct {
	At     string // its place
	Count  int    // elements of its list
	Last   []byte // the last of them
	Header http.Header
	Values Values
	URL    *url.URL // where it was asked for
	Done   int64    // elements of this page and of those before it

	hide []string // query parameters that the hub adds: what a link repeats of them is a secret
}

// total gives the number that a header or a value of an answer has; -1 if there is none.
func (p Page) total(header, path string) int64 {
	text := ""
	if header != "" {
		text = p.Header.Get(header)
	} else if path != "" {
		text = p.Values[path]
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// steady are kinds of paging whose places keep their meaning: an incremental stream without window goes on from the last one in the next run.
type steady interface {
	ends(p Page) bool // nothing comes after p for now
}

// counted are kinds of paging by position, whose pages shift when something is added or removed meanwhile.
type counted interface {
	overlap() int                     // records that a page has in common with the one before
	back(at string, pages int) string // the place some pages before
	of(p Page) (total int64)          // records of all pages, -1 if the source does not say
}

// Link follows the Link header with rel="next" (RFC 8288): Canvas, GitHub, many others.
type Link struct {
	Size  string // query parameter of the page's size in the first request, such as "per_page"; "" if there is none
	Limit int    // its value
}

// Ask takes the link as it was given, on the base's host only.
func (l Link) Ask(r *http.Request, at string) error {
	if at == "" {
		ask(r, l.Size, l.Limit)
		return nil
	}
	next, err := url.Parse(at)
	if err != nil || next.Host != "" || !strings.HasPrefix(next.Path, "/") {
		return sdk.Errorf(sdk.ClassCursorExpired, "the cursor holds no link")
	}
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = next.Path, next.RawPath, next.RawQuery
	return nil
}

// Next finds the link.
func (Link) Next(p Page) (string, error) {
	target := linked(p.Header, "next")
	if target == "" {
		return "", nil
	}
	return p.relative(target)
}

// maxPlace bounds a place, in bytes.
const maxPlace = 8 << 10

// relative gives path and query of a link on the host that was asked.
func (p Page) relative(target string) (string, error) {
	next, err := p.URL.Parse(target)
	switch {
	case err != nil || len(target) > maxPlace:
		return "", sdk.Errorf(sdk.ClassSourceBug, "the source's link to the next page is none, or has more than %d bytes", maxPlace)
	case next.Scheme != p.URL.Scheme || !strings.EqualFold(next.Host, p.URL.Host):
		return "", sdk.Errorf(sdk.ClassSourceBug, "the source's link to the next page leads to another host; if that is one and the same server, write its address in the configuration as it calls itself")
	}
	query := next.Query()
	for _, name := range p.hide {
		if query.Has(name) {
			query.Del(name)
			next.RawQuery = query.Encode()
		}
	}
	return (&url.URL{Path: next.Path, RawPath: next.RawPath, RawQuery: next.RawQuery}).String(), nil
}

// linked finds the target of a relation in Link headers.
func linked(h http.Header, relation string) string {
	for _, line := range h.Values("Link") {
		for line != "" {
			_, after, found := strings.Cut(line, "<")
			target, parameters, closed := strings.Cut(after, ">")
			if !found || !closed {
				break
			}
			var link string
			link, line = unquotedCut(parameters, ',')
			for parameter := ""; link != ""; {
				parameter, link = unquotedCut(link, ';')
				name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
				if strings.EqualFold(strings.TrimSpace(name), "rel") && hasWord(strings.Trim(strings.TrimSpace(value), `"`), relation) {
					return target
				}
			}
		}
	}
	return ""
}

// unquotedCut cuts at the first separator outside of quotes.
func unquotedCut(text string, separator rune) (before, after string) {
	quoted := false
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

func hasWord(list, word string) bool {
	for _, w := range strings.Fields(list) {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}

// Offset counts records: offset=0&limit=100, offset=99&limit=100 ... Each page is asked for with the last record of the one before, so
// that what was removed meanwhile does not make it skip others.
type Offset struct {
	Offset, Limit string // query parameters; "" are "offset" and "limit"
	First         int    // of the first record: 0, or 1 as SCIM counts
	Size          int    // records to ask for; 0: 100
	// Total is the path of the number of all records in an answer, TotalHeader the header that has it. Neither: pages are read until one is empty.
	Total, TotalHeader string
}

func (o Offset) size() int {
	if o.Size > 0 {
		return o.Size
	}
	return 100
}

// Ask puts offset and limit into the query.
func (o Offset) Ask(r *http.Request, at string) error {
	n, err := place(at, o.First)
	if err != nil {
		return err
	}
	ask(r, or(o.Offset, "offset"), n)
	ask(r, or(o.Limit, "limit"), o.size())
	return nil
}

// Next ends at the total, or at a page with nothing but the record before it.
func (o Offset) Next(p Page) (string, error) {
	n, err := place(p.At, o.First)
	if err != nil {
		return "", err
	}
	end := n + p.Count
	total := o.of(p)
	if p.Count <= o.overlap() && (p.At != "" || p.Count == 0) || total >= 0 && int64(end-o.First) >= total {
		return "", nil
	}
	return strconv.Itoa(end - o.overlap()), nil
}

func (o Offset) overlap() int    { return min(1, o.size()-1) }
func (o Offset) of(p Page) int64 { return p.total(o.TotalHeader, o.Total) }
func (o Offset) back(at string, pages int) string {
	n, _ := place(at, o.First)
	if n -= pages * o.size(); n <= o.First {
		return ""
	}
	return strconv.Itoa(n)
}

// PageNumber counts pages: page=1&per_page=100. Prefer any other kind where the source has one: what is removed while it is read makes it skip records,
// which shows only where the source gives a total.
type PageNumber struct {
	Page, Limit        string // query parameters; "" are "page" and "per_page"
	First              int    // number of the first page; 0 is 1, -1 is 0
	Size               int    // records to ask for; 0: 100
	Total, TotalHeader string // as in Offset
	Pages              string // path of the number of pages, where there is one
}

func (n PageNumber) first() int {
	switch n.First {
	case 0:
		return 1
	case -1:
		return 0
	}
	return n.First
}

// Ask puts page and size into the query.
func (n PageNumber) Ask(r *http.Request, at string) error {
	number, err := place(at, n.first())
	if err != nil {
		return err
	}
	ask(r, or(n.Page, "page"), number)
	ask(r, or(n.Limit, "per_page"), Offset{Size: n.Size}.size())
	return nil
}

// Next ends at the number of pages or of records, or at an empty page.
func (n PageNumber) Next(p Page) (string, error) {
	number, err := place(p.At, n.first())
	if err != nil {
		return "", err
	}
	pages, total := p.total("", n.Pages), n.of(p)
	if pages >= 0 && int64(number-n.first()+1) >= pages || total >= 0 && p.Done >= total || pages < 0 && p.Count == 0 {
		return "", nil
	}
	return strconv.Itoa(number + 1), nil
}

func (n PageNumber) overlap() int            { return 0 }
func (n PageNumber) of(p Page) int64         { return p.total(n.TotalHeader, n.Total) }
func (n PageNumber) back(string, int) string { return "" }

// Token passes on what the answer says: a cursor, a bookmark, or the address of the next page.
type Token struct {
	Value  string // path of the token in the answer, such as "meta.next"; "" if a header has it
	Header string // the header that has it
	Param  string // query parameter that takes it. "": the token is an address, on the base's host
	Size   string // query parameter of the page's size; "" if there is none
	Limit  int    // its value
	Alone  bool   // with a token no other query parameter is allowed
	More   string // path of a truth value that says whether there is another page, where the token is there on the last page, too
	// Lasts says that the token of the last page is also where to go on in the next run: an incremental stream without window.
	Lasts bool
}

// Ask puts the token into the query.
func (t Token) Ask(r *http.Request, at string) error {
	switch {
	case at == "":
	case t.Param == "":
		return Link{}.Ask(r, at)
	case t.Alone:
		r.URL.RawQuery = url.Values{t.Param: {at}}.Encode()
		return nil
	default:
		query := r.URL.Query()
		query.Set(t.Param, at)
		r.URL.RawQuery = query.Encode()
	}
	ask(r, t.Size, t.Limit)
	return nil
}

// Next finds the token.
func (t Token) Next(p Page) (string, error) {
	token := p.Values[t.Value]
	if t.Header != "" {
		token = p.Header.Get(t.Header)
	}
	if token == "" || t.More != "" && p.Values[t.More] != "true" && !t.Lasts {
		return "", nil
	}
	if len(token) > maxPlace {
		return "", sdk.Errorf(sdk.ClassSourceBug, "the source's token of the next page has more than %d bytes", maxPlace)
	}
	if t.Param == "" {
		return p.relative(token)
	}
	return token, nil
}

func (t Token) ends(p Page) bool {
	return t.Lasts && (p.Count == 0 || t.More != "" && p.Values[t.More] != "true")
}

// After asks for the records after the last one, in the order of a field that only grows, such as a number that the source gives. An incremental stream
// without window goes on from there in the next run.
type After struct {
	Param string // query parameter: "after", "since_id"
	Field string // path of the field in an element: "id"
	First string // its value in the first request; "": the parameter is left out
	Size  string // query parameter of the page's size; "" if there is none
	Limit int    // its value
}

// Ask puts the last record's field into the query.
func (a After) Ask(r *http.Request, at string) error {
	if at = or(at, a.First); at != "" {
		query := r.URL.Query()
		query.Set(a.Param, at)
		r.URL.RawQuery = query.Encode()
	}
	ask(r, a.Size, a.Limit)
	return nil
}

// Next ends at an empty page.
func (a After) Next(p Page) (string, error) {
	if p.Count == 0 {
		return "", nil
	}
	last := Text(p.Last, a.Field)
	switch {
	case last == "" || len(last) > maxPlace:
		return "", sdk.Errorf(sdk.ClassSourceBug, "the last record of a page has no %s to go on from", a.Field)
	case last == p.At:
		return "", sdk.Errorf(sdk.ClassSourceBug, "the records after a %s end with it again: does the source know the parameter %q?", a.Field, a.Param)
	}
	return last, nil
}

func (After) ends(p Page) bool { return p.Count == 0 }

// place reads a place that is a number.
func place(at string, first int) (int, error) {
	if at == "" {
		return first, nil
	}
	n, err := strconv.Atoi(at)
	if err != nil || n < first {
		return 0, sdk.Errorf(sdk.ClassCursorExpired, "the cursor holds no number of a page")
	}
	return n, nil
}

// ask puts a number into the query, where it has a name.
func ask(r *http.Request, name string, value int) {
	if name == "" {
		return
	}
	query := r.URL.Query()
	query.Set(name, strconv.Itoa(value))
	r.URL.RawQuery = query.Encode()
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
