package lrs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/text/language"
)

// form is how statements are written in an answer (Communication 2.1.3, format).
type form struct {
	name        string         // exact, ids, canonical
	languages   []language.Tag // that the reader prefers, best first
	attachments bool           // the answer is to be in parts, with the attachments

	definitions map[string]json.RawMessage // of the catalogue, for the canonical form
}

// readForm reads format and Accept-Language. A header that is no list of languages is as good as none (RFC 9110 section 12.5.4).
func readForm(query url.Values, header http.Header) (form, error) {
	f := form{name: "exact"}
	if query.Has("format") {
		f.name = query.Get("format")
	}
	var err error
	if f.attachments, err = boolean(query, "attachments"); err != nil {
		return f, err
	}
	switch f.name {
	case "exact", "ids":
		return f, nil
	case "canonical":
		if tags, _, err := language.ParseAcceptLanguage(header.Get("Accept-Language")); err == nil {
			f.languages = tags
		}
		return f, nil
	}
	return f, bad("format must be exact, ids or canonical")
}

// query asks a continuation for the same form. Whether there are attachments the continuation says itself.
func (f form) query() (text string) {
	if f.name != "exact" {
		text += "&format=" + f.name
	}
	if f.attachments {
		text += "&attachments=true"
	}
	return text
}

// apply writes statements in the form. The canonical one shows activities as the catalogue has them, where it does.
func (f form) apply(ctx context.Context, statements [][]byte, catalogue catalogue) ([][]byte, error) {
	if f.name == "exact" {
		return statements, nil
	}
	list := make([]map[string]any, len(statements))
	for i, text := range statements {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber() // digits stay as they are
		if err := d.Decode(&list[i]); err != nil {
			return nil, fmt.Errorf("lrs: a stored statement is not JSON")
		}
	}
	if f.name == "canonical" {
		seen := collector{}
		for _, st := range list {
			visit(st, seen)
		}
		definitions, err := catalogue(ctx, slices.Sorted(maps.Keys(seen)))
		if err != nil {
			return nil, err
		}
		f.definitions = definitions
	}
	out := make([][]byte, len(list))
	for i, st := range list {
		visit(st, f)
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		if err := e.Encode(st); err != nil {
			return nil, fmt.Errorf("lrs: write a statement: %w", err)
		}
		out[i] = bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	}
	return out, nil
}

// catalogue gives the definitions of those activities that it has, by IRI.
type catalogue func(ctx context.Context, iris []string) (map[string]json.RawMessage, error)

// visitor is shown what stands in a statement.
type visitor interface {
	agent(value any)
	verb(value any)
	activity(value any)
}

// collector collects the IRIs of activities.
type collector map[string]bool

func (collector) agent(any) {}
func (collector) verb(any)  {}
func (c collector) activity(value any) {
	if activity, ok := value.(map[string]any); ok {
		if iri, ok := activity["id"].(string); ok {
			c[iri] = true
		}
	}
}

// visit shows everything in a statement, and in its sub-statement, to v, which may change it in place.
func visit(st map[string]any, v visitor) {
	v.agent(st["actor"])
	v.agent(st["authority"])
	v.verb(st["verb"])
	if object, ok := st["object"].(map[string]any); ok {
		switch object["objectType"] {
		case "Agent", "Group":
			v.agent(object)
		case "SubStatement":
			visit(object, v)
		case "StatementRef":
		default:
			v.activity(object)
		}
	}
	context, _ := st["context"].(map[string]any)
	v.agent(context["instructor"])
	v.agent(context["team"])
	activities, _ := context["contextActivities"].(map[string]any)
	for _, list := range activities {
		for _, a := range asList(list) {
			v.activity(a)
		}
	}
	for _, place := range [][2]string{{"contextAgents", "agent"}, {"contextGroups", "group"}} {
		for _, entry := range asList(context[place[0]]) {
			if entry, ok := entry.(map[string]any); ok {
				v.agent(entry[place[1]])
			}
		}
	}
}

func asList(value any) []any {
	if list, ok := value.([]any); ok {
		return list
	}
	return []any{value}
}

// identifying are the properties of an agent that say who it is. An anonymous group is its members.
var identifying = []string{"objectType", "mbox", "mbox_sha1sum", "openid", "account"}

func (f form) agent(value any) {
	agent, ok := value.(map[string]any)
	if !ok || f.name != "ids" {
		return
	}
	keep := identifying
	if agent["mbox"] == nil && agent["mbox_sha1sum"] == nil && agent["openid"] == nil && agent["account"] == nil {
		keep = []string{"objectType", "member"}
		for _, member := range asList(agent["member"]) {
			f.agent(member)
		}
	}
	only(agent, keep)
}

// only drops the other properties.
func only(object map[string]any, keep []string) {
	for name := range object {
		if !slices.Contains(keep, name) {
			delete(object, name)
		}
	}
}

func (f form) verb(value any) {
	verb, ok := value.(map[string]any)
	if !ok {
		return
	}
	if f.name == "ids" {
		only(verb, []string{"id"})
		return
	}
	f.choose(verb, "display")
}

func (f form) activity(value any) {
	activity, ok := value.(map[string]any)
	if !ok {
		return
	}
	if f.name == "ids" {
		only(activity, []string{"id"}) // what has no objectType is an activity
		return
	}
	if iri, ok := activity["id"].(string); ok && f.definitions[iri] != nil {
		d := json.NewDecoder(bytes.NewReader(f.definitions[iri]))
		d.UseNumber()
		var known map[string]any
		if d.Decode(&known) == nil {
			activity["definition"] = known
		}
	}
	definition, ok := activity["definition"].(map[string]any)
	if !ok {
		return
	}
	f.choose(definition, "name")
	f.choose(definition, "description")
	for _, components := range []string{"choices", "scale", "source", "target", "steps"} {
		for _, c := range asList(definition[components]) {
			if c, ok := c.(map[string]any); ok {
				f.choose(c, "description")
			}
		}
	}
}

// choose leaves the one language of a language map that the reader likes best.
func (f form) choose(object map[string]any, property string) {
	texts, ok := object[property].(map[string]any)
	if !ok || len(texts) < 2 {
		return
	}
	names := make([]string, 0, len(texts))
	for name := range texts {
		names = append(names, name)
	}
	slices.Sort(names)
	tags := make([]language.Tag, len(names)) // one that cannot be read is language.Und, as good as any
	for i, name := range names {
		tags[i], _ = language.Parse(name)
	}
	_, best, _ := language.NewMatcher(tags).Match(f.languages...)
	object[property] = map[string]any{names[best]: texts[names[best]]}
}
