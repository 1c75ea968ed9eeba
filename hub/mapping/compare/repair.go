package compare

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

var (
	scheme   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
	bareUUID = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
)

// Repair mends what is not valid xAPI in a published answer, so that a converter is never asked to repeat it: the
// objectType GroupActivity becomes Activity, and an activity id that is a bare UUID becomes its urn:uuid IRI. unnamed is
// set where the statement's object has no id at all: then there is no right answer but to refuse the record or to make
// an id up.
func Repair(statement json.RawMessage) (mended json.RawMessage, unnamed bool, err error) {
	all, err := decodeAll([]json.RawMessage{statement})
	if err != nil {
		return nil, false, err
	}
	s, ok := all[0].(map[string]any)
	if !ok {
		return nil, false, fmt.Errorf("a statement is an object")
	}
	object, _ := s["object"].(map[string]any)
	if object != nil && object["objectType"] != "StatementRef" && object["objectType"] != "Agent" {
		repairActivity(object)
		_, named := object["id"].(string)
		unnamed = !named
	}
	context, _ := s["context"].(map[string]any)
	activities, _ := context["contextActivities"].(map[string]any)
	for _, kind := range activities {
		for _, a := range set(kind) {
			if activity, ok := a.(map[string]any); ok {
				repairActivity(activity)
			}
		}
	}
	return json.RawMessage(text(s)), unnamed, nil
}

func repairActivity(a map[string]any) {
	if a["objectType"] == "GroupActivity" {
		a["objectType"] = "Activity"
	}
	if id, ok := a["id"].(string); ok && !scheme.MatchString(id) && bareUUID.MatchString(id) {
		a["id"] = "urn:uuid:" + strings.TrimSpace(id)
	}
}
