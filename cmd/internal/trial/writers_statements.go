package trial

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// said is a statement: its number says what it is, and its variant which of two contents it has under the one id.
type said struct{ number, variant int }

// kind of statement.
type kind int

const (
	experience kind = iota
	voiding
	reference
	withAttachment
)

func (s said) kind() kind {
	switch {
	case s.number >= firstMark:
		return experience
	case s.number%8 == 0:
		return voiding
	case s.number%8 == 1:
		return reference
	case s.number%8 == 2:
		return withAttachment
	}
	return experience
}

// target is the number of the statement that a voiding or a reference is about: one that is written at about the same time, of any kind; another one in each variant.
func (s said) target() int {
	return max(0, s.number-30) + (s.number*7+s.variant*13)%60
}

// id is that of a number.
func (w *writers) id(number int) string {
	return uuid.NewSHA1(w.namespace, fmt.Appendf(nil, "%d", number)).String()
}

// registration is one that only this statement has.
func (w *writers) registration(number int) string {
	return uuid.NewSHA1(w.namespace, fmt.Appendf(nil, "registration %d", number)).String()
}

// run is an activity that all statements of this run have in their context.
func (w *writers) run() string { return "https://writers.example/runs/" + w.namespace.String() }

var languages = []string{"en", "de-CH", "fr", "pt-BR", "ja", "ar"}

// choose makes up a request: of statements that others send at the same time.
func (w *writers) choose(random *rand.Rand) *sent {
	const window, pace = 96, 2 // the window moves on by one for every so many requests
	first := int(w.turn.Load()) / pace
	s := &sent{broken: random.IntN(20) == 0}
	variant := func() int {
		if random.IntN(12) == 0 {
			return 1
		}
		return 0
	}
	if random.IntN(6) == 0 { // a PUT
		s.broken = false
		s.statements = []said{{first + random.IntN(window), variant()}}
		return s
	}
	for _, n := range random.Perm(window)[:random.IntN(12)] {
		s.statements = append(s.statements, said{first + n, variant()})
	}
	for range 2 {
		s.marks = append(s.marks, firstMark+int(w.marks.Add(1)))
	}
	return s
}

// request writes a request: a PUT of one statement without marks, else a POST.
func (w *writers) request(s *sent, client int) (method, path, kind string, body []byte) {
	var texts [][]byte
	var contents []int
	add := func(one said) {
		texts = append(texts, w.text(one, client))
		if one.kind() == withAttachment {
			contents = append(contents, one.number)
		}
	}
	for i, mark := range s.marks {
		if add(said{number: mark}); i == 0 { // one before the others, one behind
			for _, one := range s.statements {
				add(one)
			}
		}
	}
	method, path = http.MethodPost, "/xapi/statements"
	if s.marks == nil {
		add(s.statements[0])
		method, path = http.MethodPut, path+"?statementId="+w.id(s.statements[0].number)
		body = texts[0]
	} else {
		if s.broken {
			texts = append(texts, []byte(`{"actor":{"mbox":"mailto:nobody@writers.example"},"verb":{"id":"https://writers.example/verbs/did"}}`))
		}
		body = append(append([]byte("["), bytes.Join(texts, []byte(","))...), ']')
	}
	if len(contents) == 0 {
		return method, path, "application/json", body
	}
	const edge = "a-boundary-that-is-in-no-content"
	var parts bytes.Buffer
	fmt.Fprintf(&parts, "--%s\r\nContent-Type: application/json\r\n\r\n%s\r\n", edge, body)
	for _, number := range contents {
		content := w.content(number)
		fmt.Fprintf(&parts, "--%s\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: %x\r\n\r\n%s\r\n", edge, sha256.Sum256([]byte(content)), content)
	}
	fmt.Fprintf(&parts, "--%s--\r\n", edge)
	return method, path, "multipart/mixed; boundary=" + edge, parts.Bytes()
}

// content is an attachment's: some small, some too large for a row.
func (w *writers) content(number int) string {
	return strings.Repeat(fmt.Sprintf("attachment %d of %s\n", number, w.namespace), 1+number%5*1000)
}

type node = map[string]any

// text writes a statement. Only the definitions depend on the client, which do not count when statements are compared.
func (w *writers) text(s said, client int) []byte {
	st := w.statement(s)
	define := func(activity any) {
		language := languages[client%len(languages)]
		name := "an activity in " + language
		if s.number%16 == 3 { // now and then a definition changes
			name += fmt.Sprint(", says client ", client)
		}
		activity.(node)["definition"] = node{"name": node{language: name}, "type": "https://writers.example/types/lesson"}
	}
	if s.kind() != voiding && s.kind() != reference {
		define(st["object"])
	}
	define(st["context"].(node)["contextActivities"].(node)["category"].([]any)[0])
	text, err := json.Marshal(st)
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	return text
}

// statement is the content without definitions.
func (w *writers) statement(s said) node {
	agent := func(n int) node {
		return node{"objectType": "Agent", "name": fmt.Sprint("as named in ", s.number), "account": node{"homePage": "https://writers.example/", "name": fmt.Sprint("learner-", n%10)}}
	}
	activity := func(n int) node {
		return node{"objectType": "Activity", "id": fmt.Sprint("https://writers.example/lessons/", n%10)}
	}
	n := s.number
	st := node{
		"id": w.id(n), "actor": agent(n), "verb": node{"id": fmt.Sprint("https://writers.example/verbs/", n%5)}, "object": activity(n),
		"timestamp": "2026-05-06T07:08:09Z", "result": node{"response": fmt.Sprint("statement ", n, ", variant ", s.variant), "score": node{"raw": n % 100}},
		"context": node{
			"registration": w.registration(n), "instructor": agent(n + 1),
			"team":              node{"objectType": "Group", "name": "those of " + fmt.Sprint(n%3), "member": []any{agent(n + 2), agent(n + 3)}},
			"contextActivities": node{"category": []any{node{"objectType": "Activity", "id": fmt.Sprint("https://writers.example/courses/", n%3)}}, "grouping": []any{node{"objectType": "Activity", "id": w.run()}}},
		},
	}
	switch s.kind() {
	case voiding:
		st["verb"] = node{"id": "http://adlnet.gov/expapi/verbs/voided"}
		fallthrough
	case reference:
		st["object"] = node{"objectType": "StatementRef", "id": w.id(s.target())}
	case withAttachment:
		content := w.content(n)
		st["attachments"] = []any{node{"usageType": "https://writers.example/usages/essay", "display": node{"en": "essay"}, "contentType": "text/plain", "length": len(content),
			"sha2": fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}}
	}
	return st
}

// documents are the names of those that all clients change.
var documents = []string{"state", "state of a registration", "agent profile", "activity profile"}

// document gives the path of a document of this run.
func (w *writers) document(name string) string {
	agent := `{"account":{"homePage":"https://writers.example/","name":"learner-of-` + w.namespace.String() + `"}}`
	query := url.Values{}
	switch name {
	case "activity profile":
		query.Set("activityId", w.run())
		query.Set("profileId", name)
		return "/xapi/activities/profile?" + query.Encode()
	case "agent profile":
		query.Set("agent", agent)
		query.Set("profileId", name)
		return "/xapi/agents/profile?" + query.Encode()
	case "state of a registration":
		query.Set("registration", w.registration(0))
	}
	query.Set("agent", agent)
	query.Set("activityId", w.run())
	query.Set("stateId", name)
	return "/xapi/activities/state?" + query.Encode()
}

func readAll(response *http.Response) ([]byte, error) {
	return io.ReadAll(io.LimitReader(response.Body, 64<<20))
}
