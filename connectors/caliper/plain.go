package caliper

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// entityNames are the properties whose value is an entity, or only its id: a mapping sees an object in either case.
var entityNames = []string{
	"actor", "object", "generated", "target", "edApp", "group", "session", "federatedSession", "membership", "referrer", "assignee", "assignable", "isPartOf",
	"attempt", "member", "organization", "scoredBy", "rater", "rated", "question",
}

// personal are types of entities that the connector does not bring: they say who people are, and what is needed of that stands in the events.
var personal = []string{"Person", "Membership", "Session", "LtiSession", "Group", "Attempt", "Result", "Score"}

// maxDepth bounds how deep an item may nest.
const maxDepth = 16

// plain gives an item in one form: entities as objects, terms without the address of their vocabulary, nothing of a vendor's own. kind is the stream that it belongs
// to, "" if the connector does not bring it. reason says why it cannot be read.
func plain(item json.RawMessage) (record []byte, kind, reason string) {
	decoder := json.NewDecoder(bytes.NewReader(item))
	decoder.UseNumber() // numbers keep their digits
	var members map[string]any
	if err := decoder.Decode(&members); err != nil || members == nil {
		return nil, "", "the item is not a JSON object"
	}
	if !tidy(members, 1) {
		return nil, "", "the item nests too deeply"
	}
	kindOf, _ := members["type"].(string)
	if kindOf == "" {
		return nil, "", "the item has no type, so it is neither event nor entity"
	}
	if !strings.HasSuffix(kindOf, "Event") && members["eventTime"] == nil {
		if slices.Contains(personal, kindOf) {
			return nil, "", ""
		}
		kind = entityStream
	} else {
		kind = eventStream
		for _, name := range []string{"id", "actor", "action", "object", "eventTime"} {
			if members[name] == nil {
				return nil, "", "the event has no " + name
			}
		}
		if learner := learner(members); learner != "" {
			members["learner"] = learner
		}
	}
	record, err := json.Marshal(members)
	if err != nil {
		return nil, "", "the item cannot be written as JSON again"
	}
	return record, kind, ""
}

// tidy brings an object, and all below it, into the one form.
func tidy(members map[string]any, depth int) bool {
	if depth > maxDepth {
		return false
	}
	delete(members, "extensions") // a vendor's own
	delete(members, "@context")
	for name, value := range members {
		switch v := value.(type) {
		case string:
			switch {
			case name == "type" || name == "action":
				members[name] = v[strings.LastIndexAny(v, "#/")+1:] // older sensors send the whole IRI
			case slices.Contains(entityNames, name):
				members[name] = map[string]any{"id": v}
			}
		case map[string]any:
			if !tidy(v, depth+1) {
				return false
			}
		case []any:
			for _, element := range v {
				if below, ok := element.(map[string]any); ok && !tidy(below, depth+1) {
					return false
				}
			}
		case nil:
			delete(members, name)
		}
	}
	return true
}

// learner is the id of the person whose learning an event is about: the actor, or whose attempt is graded.
func learner(event map[string]any) string {
	if event["type"] != "GradeEvent" {
		if actor, _ := event["actor"].(map[string]any); actor["type"] != nil && actor["type"] != "Person" {
			return "" // a program did it
		}
		return id(event, "actor")
	}
	for _, path := range [][]string{{"object", "assignee"}, {"generated", "attempt", "assignee"}, {"object", "attempt", "assignee"}, {"generated", "assignee"}} {
		if one := id(event, path...); one != "" {
			return one
		}
	}
	return ""
}

// id is the id of the entity at a path.
func id(at map[string]any, path ...string) string {
	for _, name := range path {
		next, ok := at[name].(map[string]any)
		if !ok {
			return ""
		}
		at = next
	}
	text, _ := at["id"].(string)
	return text
}
