package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is one thing that two versions of a connector say differently of themselves.
type Change struct {
	What   string `json:"what"`             // version, config, hosts, auth, secrets, rate, abilities, stream, field, key, subject, deletes, mode
	Where  string `json:"where,omitempty"`  // the stream, field or property
	Was    string `json:"was,omitempty"`    // "" if it is new
	Is     string `json:"is,omitempty"`     // "" if it is gone
	Weighs string `json:"weighs,omitempty"` // why somebody should look at it; "" if it does no harm
}

// Differences compares what two versions of a connector say of themselves for the same configuration.
func Differences(was, is Description) []Change {
	var d differences
	d.value("version", "", was.Version, is.Version, "")
	d.config(was.ConfigSchema, is.ConfigSchema)
	d.set("hosts", was.Hosts, is.Hosts, "the new version reaches more hosts")
	d.set("secrets", was.Secrets, is.Secrets, "the new version sees this secret itself")
	d.set("auth", authTexts(was.Auth), authTexts(is.Auth), "secrets are sent another way")
	d.value("rate", "", rateText(was.Rate), rateText(is.Rate), "")
	d.set("abilities", texts(was.Abilities), texts(is.Abilities), "")
	for _, s := range was.Streams {
		if now, there := is.Stream(s.Name); there {
			d.stream(s, now)
		} else {
			d.add(Change{What: "stream", Where: s.Name, Was: "is there", Weighs: "what was read of it stays, and nothing more comes"})
		}
	}
	for _, s := range is.Streams {
		if _, there := was.Stream(s.Name); !there {
			d.add(Change{What: "stream", Where: s.Name, Is: "is new"})
		}
	}
	return d
}

type differences []Change

func (d *differences) add(c Change) { *d = append(*d, c) }

func (d *differences) value(what, where, was, is, weighs string) {
	if was != is {
		d.add(Change{What: what, Where: where, Was: was, Is: is, Weighs: weighs})
	}
}

// set compares lists whose order means nothing; more is why something new should be looked at.
func (d *differences) set(what string, was, is []string, more string) {
	for _, entry := range was {
		if !slices.Contains(is, entry) {
			d.add(Change{What: what, Was: entry})
		}
	}
	for _, entry := range is {
		if !slices.Contains(was, entry) {
			d.add(Change{What: what, Is: entry, Weighs: more})
		}
	}
}

func (d *differences) stream(was, is Stream) {
	const anew = "needs re-read: records are told apart in another way, so what was read before is another record"
	d.value("key", was.Name, strings.Join(was.Key, ", "), strings.Join(is.Key, ", "), anew)
	d.value("subject", was.Name, was.Subject, is.Subject, "needs re-read: records are about whom another field names")
	d.value("deletes", was.Name, string(orNone(was.Deletes)), string(orNone(is.Deletes)), "what is gone at the source is told in another way")
	d.value("mode", was.Name, string(orSnapshot(was.Mode)), string(orSnapshot(is.Mode)), "needs re-read: the stored cursor means something else")
	before, after := make(map[string]string), make(map[string]string)
	fieldTexts(before, was.Name, was.Fields)
	fieldTexts(after, is.Name, is.Fields)
	for _, path := range slices.Sorted(maps.Keys(before)) {
		now, there := after[path]
		switch {
		case !there:
			d.add(Change{What: "field", Where: path, Was: before[path], Weighs: "a mapping that names it no longer loads"})
		case now != before[path]:
			d.add(Change{What: "field", Where: path, Was: before[path], Is: now, Weighs: "a mapping that names it may no longer load"})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if _, there := before[path]; !there {
			d.add(Change{What: "field", Where: path, Is: after[path]})
		}
	}
}

func orNone(d Deletes) Deletes {
	if d == "" {
		return DeletesNone
	}
	return d
}

func orSnapshot(m Mode) Mode {
	if m == "" {
		return Snapshot
	}
	return m
}

// fieldTexts describes fields by their path.
func fieldTexts(into map[string]string, above string, fields []Field) {
	for _, f := range fields {
		path, text := above+"."+f.Name, string(f.Type)
		if f.Optional {
			text += ", optional"
		}
		fieldTexts(into, path, f.Fields)
		if f.Elem != nil {
			text += " of " + string(f.Elem.Type)
			fieldTexts(into, path+"[]", f.Elem.Fields)
		}
		into[path] = text
	}
}

// config compares the schemas of the configuration by their properties.
func (d *differences) config(was, is string) {
	before, after := make(map[string]string), make(map[string]string)
	properties(before, "", []byte(was))
	properties(after, "", []byte(is))
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if now, there := after[name]; !there {
			d.add(Change{What: "config", Where: name, Was: before[name], Weighs: "a configuration that names it may be refused"})
		} else if now != before[name] {
			d.add(Change{What: "config", Where: name, Was: before[name], Is: now, Weighs: "a configuration may be refused"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, there := before[name]; !there {
			weighs := ""
			if strings.Contains(after[name], "required") {
				weighs = "a configuration without it is refused"
			}
			d.add(Change{What: "config", Where: name, Is: after[name], Weighs: weighs})
		}
	}
}

// properties describes the properties of a JSON Schema by their dotted path.
func properties(into map[string]string, above string, schema []byte) {
	var node struct {
		Required   []string
		Properties map[string]json.RawMessage
	}
	if json.Unmarshal(schema, &node) != nil {
		return
	}
	for name, text := range node.Properties {
		var property struct {
			Type   any
			Secret bool `json:"x-secret"`
		}
		_ = json.Unmarshal(text, &property) // what is not an object has no type
		path, says := strings.TrimPrefix(above+"."+name, "."), "any"
		if property.Type != nil {
			says = fmt.Sprint(property.Type)
		}
		if property.Secret {
			says += ", secret"
		}
		if slices.Contains(node.Required, name) {
			says += ", required"
		}
		into[path] = says
		properties(into, path, text)
	}
}

func authTexts(list []Auth) (texts []string) {
	for _, a := range list {
		texts = append(texts, strings.TrimSpace(fmt.Sprintf("%s %s with %s to %s", a.Kind, a.Name, a.Secret, a.Host)))
	}
	return texts
}

func rateText(rate float64) string {
	if rate == 0 {
		return ""
	}
	return fmt.Sprintf("%g requests a second", rate)
}

func texts(abilities []Ability) (list []string) {
	for _, a := range abilities {
		list = append(list, string(a))
	}
	return list
}
