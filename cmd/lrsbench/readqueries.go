package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"time"

	"github.com/lrshub/lrshub/hub/xapi"
)

// reader is a client that asks, with what it can ask for at one size: it only knows what it was shown.
type reader struct {
	name string
	*store
	stage    stage
	members  []seen // of the newest stage, of whom it sees a statement
	frequent seen
	windows  [][2]time.Time // of stored, each a fifth of the newest stage; exact to the day for a reader of pseudonyms
}

// seen is a statement as a reader saw it.
type seen struct {
	member       member
	id           string
	actor        string // JSON
	registration string
	stored       time.Time
}

// readers of a corpus, and which of its clients each is.
var readers = []struct{ name, client, sees string }{
	{"all", writesMost, "nine of ten statements: those of its purpose"},
	{"purpose", writesOther, "one of ten: those of its purpose"},
	{"mine", writesMine, "one of ten: those that it wrote"},
	{"pseudonymised", readsPseudonyms, "nine of ten, pseudonymised"},
	{"few", writesFew, fmt.Sprintf("%d statements, the oldest: those of its purpose", fewSize)},
}

// meet lets a reader find out what it may ask for.
func (r *reader) meet(ctx context.Context) error {
	for n := range r.stage.members() {
		who := r.stage.member(n)
		list, err := r.look(ctx, page("activity", who.quiz))
		if err != nil {
			return err
		}
		if len(list) == 0 {
			continue
		}
		list[0].member = who
		r.members = append(r.members, list[0])
		if newest, oldest := len(list)/5, len(list)*2/5; newest < oldest {
			r.windows = append(r.windows, [2]time.Time{list[oldest].stored, list[newest].stored})
		}
	}
	if r.name == "pseudonymised" {
		r.windows = [][2]time.Time{{time.Now().Add(-10 * 365 * day), time.Now().Add(day)}}
	}
	list, err := r.look(ctx, page("activity", frequentLearnersQuiz, "limit", "1"))
	if err == nil && len(list) > 0 {
		r.frequent = list[0]
	}
	return err
}

const day = 24 * time.Hour

// look reads a page.
func (r *reader) look(ctx context.Context, parameters url.Values) ([]seen, error) {
	body, err := r.get(ctx, parameters)
	if err != nil {
		return nil, err
	}
	var result struct {
		Statements []struct {
			ID      string
			Actor   json.RawMessage
			Stored  time.Time
			Context struct{ Registration string }
		}
	}
	if err := json.Unmarshal(body, &result); err != nil {
		return nil, fmt.Errorf("the answer is no StatementResult: %w", err)
	}
	list := make([]seen, len(result.Statements))
	for i, s := range result.Statements {
		list[i] = seen{id: s.ID, actor: string(s.Actor), registration: s.Context.Registration, stored: s.Stored}
	}
	return list, nil
}

// readQuery is a query of a reader, another each time.
type readQuery struct {
	name    string
	related bool // no reader of pseudonyms may ask it
	bare    bool // it has no index of its own for what a reader may see: the few ask it too
	// of gives the parameters; nil: the reader sees nothing that it could ask for.
	of func(r *reader, random *rand.Rand) url.Values
}

var readQueries = []readQuery{
	{name: "agent of 100", of: ofMembers(func(s seen) url.Values { return page("agent", s.actor) })},
	{name: "agent of 1 in 100", of: ofFrequent(func(s seen) url.Values { return page("agent", s.actor) })},
	{name: "agent of 100, verb", of: ofMembers(func(s seen) url.Values { return page("agent", s.actor, "verb", verbIRI("passed")) })},
	{name: "agent of 1 in 100, verb", of: ofFrequent(func(s seen) url.Values { return page("agent", s.actor, "verb", verbIRI("passed")) })},
	{name: "activity of 100", of: ofMembers(func(s seen) url.Values { return page("activity", s.member.quiz) })},
	{name: "activity of 1 in 10", bare: true, of: always("activity", frequentQuiz)},
	{name: "related activity of 100", related: true, of: ofMembers(func(s seen) url.Values { return page("activity", s.member.course, "related_activities", "true") })},
	{name: "related activity of 1 in 10", related: true, of: always("activity", frequentCourse, "related_activities", "true")},
	{name: "related agent of 100", related: true, of: ofMembers(func(s seen) url.Values { return page("agent", s.member.instructor, "related_agents", "true") })},
	{name: "related agent of 1 in 100", related: true, of: always("agent", frequentInstructor, "related_agents", "true")},
	{name: "verb of 100", of: func(r *reader, _ *rand.Rand) url.Values { return page("verb", verbIRI(r.stage.rareVerb())) }},
	{name: "verb of 6 in 10", bare: true, of: always("verb", verbIRI("passed"))},
	{name: "verb, since and until", of: func(r *reader, random *rand.Rand) url.Values {
		if len(r.windows) == 0 {
			return nil
		}
		w := r.windows[random.IntN(len(r.windows))]
		return page("verb", verbIRI("passed"), "since", xapi.FormatTime(w[0]), "until", xapi.FormatTime(w[1]))
	}},
	{name: "registration of 100", of: ofMembers(func(s seen) url.Values { return page("registration", s.registration) })},
	{name: "newest", bare: true, of: always()},
	{name: "one by id", of: ofMembers(func(s seen) url.Values { return url.Values{"statementId": {s.id}} })},
}

func always(pairs ...string) func(*reader, *rand.Rand) url.Values {
	return func(*reader, *rand.Rand) url.Values { return page(pairs...) }
}

func ofMembers(of func(seen) url.Values) func(*reader, *rand.Rand) url.Values {
	return func(r *reader, random *rand.Rand) url.Values {
		if len(r.members) == 0 {
			return nil
		}
		return of(r.members[random.IntN(len(r.members))])
	}
}

func ofFrequent(of func(seen) url.Values) func(*reader, *rand.Rand) url.Values {
	return func(r *reader, _ *rand.Rand) url.Values {
		if r.frequent.id == "" {
			return nil
		}
		return of(r.frequent)
	}
}

// asks says whether a reader asks a query at all.
func (r *reader) asks(q readQuery) bool {
	switch r.name {
	case "pseudonymised":
		return !q.related
	case "few":
		return q.bare
	}
	return true
}

// errNothing: a reader sees nothing that it could ask for.
var errNothing = errors.New("sees nothing to ask for")

// measure asks a query again and again: first until the pages that it can ask for have all been read, probably, and nothing is counted; then in earnest.
func (r *reader) measure(ctx context.Context, q readQuery, b bounds) (readTimes, error) {
	random := rand.New(rand.NewPCG(31, 37))
	ask := func(ctx context.Context, _ int) (int, time.Duration, error) {
		parameters := q.of(r, random)
		if parameters == nil {
			return 0, 0, errNothing
		}
		begun := time.Now()
		body, err := r.get(ctx, parameters)
		took := time.Since(begun)
		if err != nil || parameters.Has("statementId") {
			return 1, took, err
		}
		n, err := countStatements(body)
		return n, took, err
	}
	warm := b
	warm.requests = min(2*len(r.members)+1, b.requests)
	t, err := closedLoop(ctx, 1, warm, ask)
	if err == nil {
		t, err = closedLoop(ctx, 1, b, ask)
	}
	if err == nil && len(t.failures) > 0 {
		err = t.first
	}
	if err != nil {
		return readTimes{Failed: err.Error()}, ctx.Err()
	}
	return readTimes{P50: milliseconds(t.percentile(50)), P95: milliseconds(t.percentile(95)), Page: float64(t.statements) / float64(len(t.times)), Requests: len(t.times)}, nil
}

// meetAll gives the readers of a corpus at one size.
func meetAll(ctx context.Context, f *filled, s stage, endpoint string) ([]*reader, error) {
	var list []*reader
	for _, who := range readers {
		c := f.Clients[who.client]
		r := &reader{name: who.name, store: newStore(endpoint, c.Key, c.Secret, "1.0.3", 1), stage: s}
		if err := r.meet(ctx); err != nil {
			return nil, fmt.Errorf("reader %s: %w", who.name, err)
		}
		list = append(list, r)
	}
	return slices.Clip(list), nil
}
