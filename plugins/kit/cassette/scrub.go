package cassette

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Scrub is what must not stand in a recording, beside what the rules find by names and form (rules.go).
type Scrub struct {
	Secrets  map[string]string // by name; each is replaced by Secret(name)
	Subjects []string          // names of the members that identify a person, as streams declare them
	Known    []string          // identifiers of persons that were met
}

// Scrubbed is a recording without secrets and names, and what was done for it.
type Scrubbed struct {
	Config    []byte
	Exchanges []Exchange
	Counts    map[string]int // how many values were replaced, by kind
	// Kept counts identifiers that are numbers below 10,000. They stay, since the same number may be a score or a page.
	Kept int
	// Binary counts bodies that are neither JSON nor text. They stay as they are.
	Binary int
}

// scrubber replaces values. It goes over everything twice: to learn what is to be replaced everywhere, and to replace it.
type scrubber struct {
	Scrub
	secrets  *strings.Replacer
	hosts    map[string]string
	subjects map[string]bool
	values   map[string]string // replaced wherever they stand
	local    map[string]string // by rule and value: replaced where a rule says so
	numbers  map[string]int    // of made-up values, by prefix
	inText   *regexp.Regexp    // the longer of values, within texts
	kept     map[string]bool
	counts   map[string]int
	learning bool
}

// leastNumber is the smallest number that is replaced as an identifier.
const leastNumber = 10_000

// Scrub takes secrets, names and hosts out of a recording. The same value is always replaced by the same made-up one, so references keep.
func (s Scrub) Scrub(config []byte, exchanges []Exchange) (*Scrubbed, error) {
	w := &scrubber{Scrub: s, hosts: map[string]string{}, subjects: map[string]bool{}, values: map[string]string{}, local: map[string]string{},
		numbers: map[string]int{}, kept: map[string]bool{}, counts: map[string]int{}}
	w.secrets = w.replacer()
	for _, name := range s.Subjects {
		w.subjects[name] = true
	}
	w.learnHosts(string(config), exchanges)
	w.learning = true
	for _, known := range s.Known {
		w.identifier(known)
	}
	for _, e := range exchanges {
		w.exchange(e)
	}
	w.learning = false
	w.compile()
	clear(w.counts)
	done := &Scrubbed{Counts: w.counts}
	for _, e := range exchanges {
		done.Exchanges = append(done.Exchanges, w.exchange(e))
		if e.Response.Base64 != nil || e.Request.Base64 != nil {
			done.Binary++
		}
	}
	done.Config = w.json(config, false)
	done.Kept = len(w.kept)
	return done, nil
}

// replacer replaces secrets in every form in which they may stand in a text.
func (w *scrubber) replacer() *strings.Replacer {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(w.Secrets)) {
		value := w.Secrets[name]
		if len(value) < 4 {
			continue // would replace half of everything; such a secret stands in no answer
		}
		for _, form := range []func(string) string{func(s string) string { return s }, url.QueryEscape, url.PathEscape,
			func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }} {
			pairs = append(pairs, form(value), form(Secret(name)))
		}
	}
	return strings.NewReplacer(pairs...)
}

// learnHosts makes up names for those hosts of requests that the configuration names: which site it is nobody needs to know.
func (w *scrubber) learnHosts(config string, exchanges []Exchange) {
	for _, e := range exchanges {
		u, err := url.Parse(e.Request.URL)
		if err != nil || w.hosts[u.Host] != "" || !strings.Contains(config, u.Hostname()) {
			continue
		}
		madeUp := fmt.Sprintf("source%d.example", len(w.hosts)+1)
		w.hosts[u.Host] = madeUp
	}
}

// compile makes the pattern for what is replaced within longer texts. Short values would be met by chance.
func (w *scrubber) compile() {
	var long []string
	for value := range w.values {
		if len(value) >= 5 {
			long = append(long, regexp.QuoteMeta(value))
		}
	}
	slices.SortFunc(long, func(a, b string) int { return len(b) - len(a) })
	if len(long) > 0 {
		w.inText = regexp.MustCompile(`(^|[^\pL\pN])(` + strings.Join(long, "|") + `)`)
	}
}

// exchange scrubs one exchange.
func (w *scrubber) exchange(e Exchange) Exchange {
	e.Request.URL = w.address(e.Request.URL)
	e.Request.Body = w.body(e.Request.Body)
	e.Response.Body = w.body(e.Response.Body)
	header := e.Response.Header.Clone()
	for name, values := range header {
		for i, value := range values {
			if name == "Link" || name == "Location" {
				header[name][i] = links.ReplaceAllStringFunc(value, w.address)
				continue
			}
			header[name][i] = w.text(value)
		}
	}
	e.Response.Header = header
	return e
}

var links = regexp.MustCompile(`https?://[^\s<>"']+`)

func (w *scrubber) body(b Body) Body {
	switch {
	case b.JSON != nil:
		return Body{JSON: w.json(b.JSON, true)}
	case b.Text != "" && !strings.ContainsAny(b.Text, "<{\n"):
		if form, err := url.ParseQuery(b.Text); err == nil && strings.Contains(b.Text, "=") {
			w.query(form)
			return Body{Text: w.secrets.Replace(form.Encode())}
		}
	}
	return Body{Text: w.text(b.Text), Base64: b.Base64}
}

// json scrubs a document; byRules says whether names of members mean something. What cannot be read is scrubbed as a text.
func (w *scrubber) json(document []byte, byRules bool) []byte {
	decoder := jsontext.NewDecoder(bytes.NewReader(document), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var out bytes.Buffer
	encoder := jsontext.NewEncoder(&out, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsontext.Multiline(false))
	if err := w.value(decoder, encoder, "", byRules); err != nil {
		return []byte(w.text(string(document)))
	}
	return bytes.TrimSpace(out.Bytes())
}

func (w *scrubber) value(from *jsontext.Decoder, to *jsontext.Encoder, name string, byRules bool) error {
	switch kind := from.PeekKind(); kind {
	case '{', '[':
		if _, err := from.ReadToken(); err != nil {
			return err
		}
		open, end := jsontext.BeginObject, jsontext.EndObject
		if kind == '[' {
			open, end = jsontext.BeginArray, jsontext.EndArray
		}
		if err := to.WriteToken(open); err != nil {
			return err
		}
		for from.PeekKind() != end.Kind() {
			if from.PeekKind() == 0 {
				_, err := from.ReadToken()
				return err
			}
			if kind == '{' {
				member, err := from.ReadToken()
				if err != nil {
					return err
				}
				name = member.String()
				if err := to.WriteToken(jsontext.String(w.member(name))); err != nil {
					return err
				}
			}
			if err := w.value(from, to, name, byRules); err != nil {
				return err
			}
		}
		if _, err := from.ReadToken(); err != nil {
			return err
		}
		return to.WriteToken(end)
	case '"':
		token, err := from.ReadToken()
		if err != nil {
			return err
		}
		return to.WriteToken(jsontext.String(w.string(name, token.String(), byRules)))
	case '0':
		number, err := from.ReadValue()
		if err != nil {
			return err
		}
		return to.WriteValue(jsontext.Value(w.number(name, string(number), byRules)))
	default:
		value, err := from.ReadValue()
		if err != nil {
			return err
		}
		return to.WriteValue(value)
	}
}

// member is an object's member's name, which may be an identifier.
func (w *scrubber) member(name string) string {
	if madeUp, ok := w.values[name]; ok && (len(name) >= 5 || mailbox.MatchString(name)) {
		return madeUp
	}
	return w.mailboxes(name)
}

func (w *scrubber) string(name, text string, byRules bool) string {
	if text == "" || strings.HasPrefix(text, Secret("")) {
		return text
	}
	if byRules {
		if w.subjects[name] {
			w.identifier(text)
		}
		if r, ok := ruleFor(name); ok && !w.subjects[name] {
			return w.byRule(r, text)
		}
	}
	if madeUp, ok := w.values[text]; ok && !mailbox.MatchString(text) {
		w.counts["identifier"]++
		return madeUp
	}
	if strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "/") {
		return w.address(text)
	}
	return w.text(text)
}

// byRule gives the value that stands for another under a rule.
func (w *scrubber) byRule(r rule, text string) string {
	w.counts[r.what]++
	switch {
	case mailbox.MatchString(text):
		return w.mailboxes(text)
	case r.same != "":
		return r.same
	case r.global:
		return w.person(r.prefix, text)
	}
	at := r.what + "|" + text
	if w.local[at] == "" {
		w.numbers[r.prefix]++
		w.local[at] = r.prefix + strconv.Itoa(w.numbers[r.prefix])
	}
	return w.local[at]
}

// person gives the made-up value of what identifies a person.
func (w *scrubber) person(prefix, text string) string {
	if madeUp, ok := w.values[text]; ok {
		return madeUp
	}
	w.numbers[prefix]++
	madeUp := prefix + strconv.Itoa(w.numbers[prefix])
	if number, err := strconv.ParseUint(text, 10, 64); err == nil { // a number stays one
		if number < leastNumber {
			w.kept[text] = true
			return text
		}
		madeUp = strconv.Itoa(9_000_000 + w.numbers[prefix])
	}
	w.values[text] = madeUp
	return madeUp
}

// identifier learns a subject's value.
func (w *scrubber) identifier(text string) {
	if text != "" && !mailbox.MatchString(text) {
		w.person("person-", text)
	}
}

func (w *scrubber) number(name, text string, byRules bool) string {
	if r, ok := ruleFor(name); byRules && (w.subjects[name] || ok && r.global) && !strings.ContainsAny(text, ".eE-") {
		w.identifier(text)
	}
	if madeUp, ok := w.values[text]; ok && len(text) >= 5 {
		w.counts["identifier"]++
		return madeUp
	}
	return text
}
