// Package compare says where two xAPI statements differ, by meaning and not by bytes: key order does not matter, numbers
// are compared by value, timestamps as instants, durations as ISO 8601 values, context activities as sets. It serves the
// tests of mappings, so it compares any JSON and judges none. Start reading at Statements.
package compare

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Difference is one place at which two statements differ.
type Difference struct {
	Path string `json:"path"`           // "context.contextActivities.parent[0].id"
	Want string `json:"want,omitempty"` // JSON, "" where nothing is expected
	Got  string `json:"got,omitempty"`  // JSON, "" where nothing is there
	// Cosmetic is set where the difference says nothing about what happened: id, version where one side has none, the
	// verb's display, and extensions that name the converter. A semantic comparison passes over it.
	Cosmetic bool `json:"cosmetic,omitempty"`
}

func (d Difference) String() string {
	switch {
	case d.Got == "":
		return fmt.Sprintf("- %s: %s is missing", d.Path, d.Want)
	case d.Want == "":
		return fmt.Sprintf("+ %s: %s is not expected", d.Path, d.Got)
	}
	return fmt.Sprintf("~ %s: want %s, got %s", d.Path, d.Want, d.Got)
}

// Semantic drops what is cosmetic.
func Semantic(all []Difference) []Difference {
	return slices.DeleteFunc(slices.Clone(all), func(d Difference) bool { return d.Cosmetic })
}

// OnlyIDs says whether nothing but statement ids differs: a hub gives its own.
func OnlyIDs(all []Difference) bool {
	return !slices.ContainsFunc(all, func(d Difference) bool {
		return d.Path != "id" && !strings.HasSuffix(d.Path, "].id") || strings.Contains(d.Path, "contextActivities")
	})
}

// Statements compares two lists of statements. Their order does not matter: each expected statement is compared with
// the one nearest to it. Paths begin with the expected statement's position where there are several.
func Statements(want, got []json.RawMessage) ([]Difference, error) {
	wanted, err := decodeAll(want)
	if err != nil {
		return nil, fmt.Errorf("expected statements: %w", err)
	}
	given, err := decodeAll(got)
	if err != nil {
		return nil, fmt.Errorf("statements: %w", err)
	}
	siblings(wanted)
	siblings(given)
	var all []Difference
	taken := make([]bool, len(given))
	for i, w := range wanted {
		prefix := ""
		if len(wanted) > 1 {
			prefix = fmt.Sprintf("[%d]", i)
		}
		best, fewest := -1, []Difference(nil)
		for j, g := range given {
			if taken[j] {
				continue
			}
			c := &comparison{}
			c.statement(prefix, w, g)
			if best < 0 || weight(c.all) < weight(fewest) {
				best, fewest = j, c.all
			}
		}
		if best < 0 {
			all = append(all, Difference{Path: prefix, Want: text(w)})
			continue
		}
		taken[best] = true
		all = append(all, fewest...)
	}
	for j, g := range given {
		if !taken[j] {
			all = append(all, Difference{Path: fmt.Sprintf("[%d]", j), Got: text(g)})
		}
	}
	return all, nil
}

func weight(all []Difference) int { return len(all) + 1000*len(Semantic(all)) }

func decodeAll(raw []json.RawMessage) ([]any, error) {
	all := make([]any, len(raw))
	for i, r := range raw {
		d := json.NewDecoder(strings.NewReader(string(r)))
		d.UseNumber()
		if err := d.Decode(&all[i]); err != nil {
			return nil, fmt.Errorf("statement %d: %w", i, err)
		}
	}
	return all, nil
}

// siblings replaces references between the statements of one list by the object of the statement that is meant: ids are
// the converter's own.
func siblings(all []any) {
	objects := map[string]string{}
	for _, s := range all {
		statement, _ := s.(map[string]any)
		object, _ := statement["object"].(map[string]any)
		id, hasID := statement["id"].(string)
		if objectID, ok := object["id"].(string); ok && hasID {
			objects[id] = "the statement about " + objectID
		}
	}
	for _, s := range all {
		statement, _ := s.(map[string]any)
		for _, holder := range []any{statement["context"], statement} {
			for _, key := range []string{"statement", "object"} {
				inner, _ := holder.(map[string]any)
				ref, _ := inner[key].(map[string]any)
				if id, ok := ref["id"].(string); ok && ref["objectType"] == "StatementRef" && objects[id] != "" {
					ref["id"] = objects[id]
				}
			}
		}
	}
}

type comparison struct{ all []Difference }

func (c *comparison) differ(path string, want, got any, cosmetic bool) {
	d := Difference{Path: path, Cosmetic: cosmetic}
	if want != absent {
		d.Want = text(want)
	}
	if got != absent {
		d.Got = text(got)
	}
	c.all = append(c.all, d)
}

type nothing struct{}

var absent any = nothing{}

func text(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "?"
	}
	return strings.TrimSpace(b.String())
}

// statement compares two statements, a level at which some keys mean something special.
func (c *comparison) statement(prefix string, want, got any) {
	w, okWant := want.(map[string]any)
	g, okGot := got.(map[string]any)
	if !okWant || !okGot {
		c.differ(prefix, want, got, false)
		return
	}
	for _, key := range keys(w, g) {
		x, inWant := w[key]
		y, inGot := g[key]
		path := join(prefix, key)
		switch {
		case key == "stored" || key == "authority":
		case key == "version" && (!inWant || !inGot):
		case !inWant:
			c.differ(path, absent, y, key == "id")
		case !inGot:
			c.differ(path, x, absent, key == "id")
		case key == "id":
			if x != y {
				c.differ(path, x, y, true)
			}
		case key == "timestamp":
			if !sameInstant(x, y) {
				c.differ(path, x, y, false)
			}
		default:
			c.value(path, x, y)
		}
	}
}

func keys(w, g map[string]any) []string {
	var all []string
	for key := range w {
		all = append(all, key)
	}
	for key := range g {
		if _, both := w[key]; !both {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func sameInstant(a, b any) bool {
	x, okX := a.(string)
	y, okY := b.(string)
	if !okX || !okY {
		return false
	}
	s, errS := time.Parse(time.RFC3339Nano, x)
	t, errT := time.Parse(time.RFC3339Nano, y)
	return x == y || errS == nil && errT == nil && s.Equal(t)
}
