package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// span is a range as the API takes it.
type span struct {
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
}

// search is a query as the API takes it.
type search struct {
	Verbs         []string        `json:"verbs,omitempty"`
	Activities    []string        `json:"activities,omitempty"`
	Related       bool            `json:"related,omitempty"`
	ActivityTypes []string        `json:"activityTypes,omitempty"`
	Agent         json.RawMessage `json:"agent,omitempty"`
	RelatedAgents bool            `json:"relatedAgents,omitempty"`
	Registrations []string        `json:"registrations,omitempty"`
	Success       *bool           `json:"success,omitempty"`
	Completion    *bool           `json:"completion,omitempty"`
	Scaled        span            `json:"scaled,omitzero"`
	Raw           span            `json:"raw,omitzero"`
	Duration      span            `json:"duration,omitzero"`
	Since         string          `json:"since,omitempty"`
	Until         string          `json:"until,omitempty"`
	From          string          `json:"from,omitempty"`
	To            string          `json:"to,omitempty"`
	Voided        bool            `json:"voided,omitempty"`
	Ascending     bool            `json:"ascending,omitempty"`
	Limit         int             `json:"limit,omitempty"`
	Count         bool            `json:"count,omitempty"`
	More          string          `json:"more,omitempty"`
}

func statementQuery(r *remote) *cobra.Command {
	q := search{}
	texts := map[string]*string{}
	c := &cobra.Command{
		Use:   "query",
		Short: "Find statements by several verbs, activities, types or registrations, by results and by times, or count them",
		Long: `Find statements, newest first: those that meet all flags, and one value of a flag that is repeated. What a statement refers to does not count. By --activity-type only
activities of the catalogue are found: the types of others are sealed, like their ids. A reader of pseudonyms asks by those, by nothing that it is not shown, and
does not count.`,
		Example: `  lrshub statement query --verb http://adlnet.gov/expapi/verbs/passed --verb http://adlnet.gov/expapi/verbs/failed --since 2026-01-01T00:00:00Z --count
  lrshub statement query --activity-type http://adlnet.gov/expapi/activities/course --success true --scaled 0.8.. -o jsonl
  lrshub statement query --agent mailto:ann@example.org --limit 20`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := q.read(texts); err != nil {
				return err
			}
			if q.Limit < 1 {
				return usage("--limit is a number of statements, 1 or more, not %d", q.Limit)
			}
			if q.Count {
				return countStatements(c.Context(), r, q)
			}
			list, err := q.all(c.Context(), r)
			if err != nil {
				return err
			}
			return show(r, list, statementColumns...)
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&q.Verbs, "verb", nil, "with this verb (IRI); repeat it for one of several")
	flags.StringArrayVar(&q.Activities, "activity", nil, "with this object (IRI); repeat it for one of several")
	flags.BoolVar(&q.Related, "related", false, "the activity in any place")
	flags.StringArrayVar(&q.ActivityTypes, "activity-type", nil, "with an object of this type (IRI); repeat it for one of several")
	flags.BoolVar(&q.RelatedAgents, "related-agents", false, "the agent in any place")
	flags.StringArrayVar(&q.Registrations, "registration", nil, "of this registration (UUID); repeat it for one of several")
	flags.BoolVar(&q.Voided, "voided", false, "those that were voided")
	flags.BoolVar(&q.Ascending, "ascending", false, "oldest first")
	flags.IntVar(&q.Limit, "limit", 100, "at most so many")
	flags.BoolVar(&q.Count, "count", false, "only how many there are")
	for _, f := range [][2]string{
		{"agent", "with this agent: JSON, or mailto: and an address"}, {"success", "true or false"}, {"completion", "true or false"},
		{"scaled", "score.scaled: MIN..MAX, either of which may be left out"}, {"raw", "score.raw: MIN..MAX"}, {"duration", "seconds: MIN..MAX"},
		{"since", "stored after (RFC 3339)"}, {"until", "stored at or before (RFC 3339)"}, {"from", "timestamp at or after (RFC 3339)"}, {"to", "timestamp before (RFC 3339)"},
	} {
		texts[f[0]] = flags.String(f[0], "", f[1])
	}
	return c
}

// read fills in what flags give as text.
func (q *search) read(texts map[string]*string) (err error) {
	for name, into := range map[string]**bool{"success": &q.Success, "completion": &q.Completion} {
		if text := *texts[name]; text != "" {
			flag, err := strconv.ParseBool(text)
			if err != nil {
				return usage("--%s is true or false, not %q", name, text)
			}
			*into = &flag
		}
	}
	for name, into := range map[string]*span{"scaled": &q.Scaled, "raw": &q.Raw, "duration": &q.Duration} {
		if text := *texts[name]; text != "" {
			if *into, err = parseSpan(text); err != nil {
				return usage("--%s is MIN..MAX, such as 0.5..1 or 0.5.., not %q", name, text)
			}
		}
	}
	for name, into := range map[string]*string{"since": &q.Since, "until": &q.Until, "from": &q.From, "to": &q.To} {
		if *into = *texts[name]; *into != "" {
			if _, err := time.Parse(time.RFC3339Nano, *into); err != nil {
				return usage("--%s is a time such as 2026-01-31T00:00:00Z, not %q", name, *into)
			}
		}
	}
	q.Agent, err = parseAgent(*texts["agent"])
	return err
}

// parseAgent reads the flag --agent: nil if it is empty.
func parseAgent(text string) (json.RawMessage, error) {
	switch {
	case strings.HasPrefix(text, "mailto:"):
		return json.Marshal(map[string]string{"mbox": text})
	case text != "" && !json.Valid([]byte(text)):
		return nil, usage(`--agent is JSON such as {"account":{"homePage":"https://school.example","name":"ann"}}, or mailto: and an address`)
	case text != "":
		return json.RawMessage(text), nil
	}
	return nil, nil
}

func parseSpan(text string) (s span, err error) {
	low, high, both := strings.Cut(text, "..")
	if !both {
		high = low
	}
	for _, end := range []struct {
		text string
		into **float64
	}{{low, &s.Min}, {high, &s.Max}} {
		if end.text == "" {
			continue
		}
		n, err := strconv.ParseFloat(end.text, 64)
		if err != nil {
			return s, err
		}
		*end.into = &n
	}
	return s, nil
}

// all reads page after page, until the limit.
func (q search) all(ctx context.Context, r *remote) (list []json.RawMessage, err error) {
	limit := q.Limit
	for {
		if q.More == "" {
			q.Limit = min(limit, 500)
		}
		var page struct {
			Statements []json.RawMessage `json:"statements"`
			More       string            `json:"more"`
		}
		if err := r.call(ctx, http.MethodPost, "/statements/query", q, &page); err != nil {
			return nil, err
		}
		list = append(list, page.Statements...)
		if len(list) >= limit || page.More == "" {
			return list[:min(limit, len(list))], nil
		}
		q = search{More: page.More}
	}
}

// counted is how many statements a query finds.
type counted struct {
	Count             int64     `json:"count"`
	ConsistentThrough time.Time `json:"consistentThrough"`
}

func countStatements(ctx context.Context, r *remote, q search) error {
	q.Limit = 0
	var n counted
	if err := r.call(ctx, http.MethodPost, "/statements/query", q, &n); err != nil {
		return err
	}
	return showOne(r, n, column[counted]{"count", func(c counted) string { return strconv.FormatInt(c.Count, 10) }},
		column[counted]{"as of", func(c counted) string { return when(&c.ConsistentThrough) }})
}

// statementColumns are what a table shows of a statement, in either form.
var statementColumns = []column[json.RawMessage]{
	{"stored", func(s json.RawMessage) string { return part(s, "stored") }}, {"actor", func(s json.RawMessage) string { return who(s, "actor") }},
	{"verb", func(s json.RawMessage) string { return part(s, "verb", "id") }}, {"object", func(s json.RawMessage) string {
		if id := part(s, "object", "id"); id != "" {
			return id
		}
		return who(s, "object")
	}}, {"id", func(s json.RawMessage) string { return part(s, "id") }},
}

// part is a text inside a statement; "" if it has none there.
func part(text json.RawMessage, path ...string) string {
	for _, name := range path {
		var members map[string]json.RawMessage
		if json.Unmarshal(text, &members) != nil {
			return ""
		}
		text = members[name]
	}
	var s string
	_ = json.Unmarshal(text, &s)
	return s
}

// who is an agent's identifier.
func who(statement json.RawMessage, place string) string {
	for _, path := range [][]string{{"mbox"}, {"account", "name"}, {"openid"}, {"mbox_sha1sum"}} {
		if id := part(statement, append([]string{place}, path...)...); id != "" {
			return id
		}
	}
	return ""
}
