package compare

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const base = `{"id": "3744fa95-27e3-5c44-9573-98db43406f0a", "actor": {"objectType": "Agent", "account": {"name": "a", "homePage": "https://x.example"}},
	"verb": {"id": "urn:verb", "display": {"en": "did"}}, "version": "1.0.3", "timestamp": "2024-05-01T10:00:00.250+02:00",
	"object": {"id": "urn:object", "objectType": "Activity", "definition": {"name": {"en": "x"}, "correctResponsesPattern": ["a", "b"], "choices": [{"id": "1"}, {"id": "2"}]}},
	"result": {"score": {"raw": 1, "scaled": 0.3333333333333333}, "duration": "PT03M15S", "response": "5", "success": true},
	"context": {"contextActivities": {"parent": [{"id": "urn:p1"}, {"id": "urn:p2", "objectType": "Activity"}], "grouping": [{"id": "urn:g"}]},
		"extensions": {"urn:transformer-version": "x@1", "urn:n": 9007199254740993, "urn:o": {"objectType": "Activity"}}}}`

func changed(t *testing.T, replace ...string) []Difference {
	t.Helper()
	got := strings.NewReplacer(replace...).Replace(base)
	if len(replace) > 0 && got == base {
		t.Fatalf("%q is not in the statement", replace[0])
	}
	all, err := Statements([]json.RawMessage{json.RawMessage(base)}, []json.RawMessage{json.RawMessage(got)})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSame(t *testing.T) {
	for name, replace := range map[string][]string{
		"nothing":              nil,
		"instant":              {`2024-05-01T10:00:00.250+02:00`, `2024-05-01T08:00:00.25Z`},
		"number":               {`"raw": 1`, `"raw": 1.0`},
		"nearly":               {`0.3333333333333333`, `0.33333333333`},
		"duration":             {`PT03M15S`, `PT195S`},
		"order of activities":  {`[{"id": "urn:p1"}, {"id": "urn:p2", "objectType": "Activity"}]`, `[{"id": "urn:p2"}, {"objectType": "Activity", "id": "urn:p1"}]`},
		"one activity":         {`[{"id": "urn:g"}]`, `{"id": "urn:g"}`},
		"object type":          {`"id": "urn:object", "objectType": "Activity"`, `"id": "urn:object"`},
		"version on one side":  {`"version": "1.0.3", `, ``},
		"stored and authority": {`"version"`, `"stored": "x", "authority": {}, "version"`},
	} {
		if all := changed(t, replace...); len(all) > 0 {
			t.Errorf("%s: %v", name, all)
		}
	}
}

func TestCosmetic(t *testing.T) {
	for name, replace := range map[string][]string{
		"id":         {`3744fa95`, `00000000`},
		"no id":      {`"id": "3744fa95-27e3-5c44-9573-98db43406f0a", `, ``},
		"display":    {`{"en": "did"}`, `{"en-US": "did"}`},
		"no display": {`, "display": {"en": "did"}`, ``},
		"converter":  {`x@1`, `y@2`},
	} {
		all := changed(t, replace...)
		if len(all) == 0 || len(Semantic(all)) > 0 {
			t.Errorf("%s: %v", name, all)
		}
		if OnlyIDs(all) != strings.Contains(name, "id") {
			t.Errorf("%s: only ids %v: %v", name, OnlyIDs(all), all)
		}
	}
}

func TestDifferent(t *testing.T) {
	for path, replace := range map[string][]string{
		"actor.account.name":           {`"name": "a"`, `"name": "b"`},
		"actor.objectType":             {`"objectType": "Agent", `, ``},
		"verb.id":                      {`urn:verb`, `urn:verb2`},
		"version":                      {`1.0.3`, `1.0.1`},
		"timestamp":                    {`10:00:00.250`, `10:00:00.251`},
		"object.id":                    {`urn:object`, `urn:object2`},
		"object.objectType":            {`"id": "urn:object", "objectType": "Activity"`, `"id": "urn:object", "objectType": "GroupActivity"`},
		"object.definition.name.en-US": {`{"en": "x"}`, `{"en-US": "x"}`},
		"object.definition.correctResponsesPattern[0]": {`["a", "b"]`, `["b", "a"]`},
		"object.definition.choices[0].id":              {`[{"id": "1"}, {"id": "2"}]`, `[{"id": "2"}, {"id": "1"}]`},
		"result.score.raw":                             {`"raw": 1`, `"raw": 1.00001`},
		"result.score.max":                             {`"raw": 1`, `"raw": 1, "max": 2`},
		"result.duration":                              {`PT03M15S`, `PT03M15.5S`},
		"result.response":                              {`"response": "5"`, `"response": 5`},
		"result.success":                               {`, "success": true`, ``},
		"context.contextActivities.parent[0]":          {`urn:p1`, `urn:p3`},
		"context.contextActivities.parent":             {`{"id": "urn:p1"}, `, `{"id": "urn:p1"}, {"id": "urn:p0"}, `},
		"context.contextActivities.grouping[0]":        {`, "grouping": [{"id": "urn:g"}]`, ``},
		"context.extensions.urn:n":                     {`9007199254740993`, `9007199254740992`},
		"context.extensions.urn:o.objectType":          {`"urn:o": {"objectType": "Activity"}`, `"urn:o": {}`},
	} {
		found := false
		for _, d := range Semantic(changed(t, replace...)) {
			found = found || d.Path == path
		}
		if !found {
			t.Errorf("%s: the change was not found: %v", path, changed(t, replace...))
		}
	}
}

func TestSeveral(t *testing.T) {
	statement := func(id, object, ref string) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"id": %q, "verb": {"id": "urn:v"}, "object": {"id": %q}, "context": {"statement": {"objectType": "StatementRef", "id": %q}}}`, id, object, ref))
	}
	want := []json.RawMessage{statement("1", "urn:a", "2"), statement("2", "urn:b", "elsewhere")}
	for name, c := range map[string]struct {
		got  []json.RawMessage
		same bool
	}{
		"other ids":       {[]json.RawMessage{statement("8", "urn:a", "9"), statement("9", "urn:b", "elsewhere")}, true},
		"other order":     {[]json.RawMessage{statement("9", "urn:b", "elsewhere"), statement("8", "urn:a", "9")}, true},
		"other reference": {[]json.RawMessage{statement("8", "urn:a", "8"), statement("9", "urn:b", "elsewhere")}, false},
		"one too few":     {want[:1], false},
		"one too many":    {append(want[:2:2], statement("3", "urn:c", "1")), false},
		"none":            {nil, false},
	} {
		all, err := Statements(want, c.got)
		if err != nil {
			t.Fatal(err)
		}
		if same := len(Semantic(all)) == 0; same != c.same {
			t.Errorf("%s: same is %v: %v", name, same, all)
		}
	}
}

func TestRepair(t *testing.T) {
	mended, unnamed, err := Repair(json.RawMessage(`{"object": {"objectType": "GroupActivity", "id": "urn:x"}, "context": {"contextActivities": {
		"parent": [{"objectType": "GroupActivity", "id": "urn:y"}], "grouping": {"id": "438AD672-DE2C-4F0B-8876-35444E7DD746"}}}}`))
	want := `{"context":{"contextActivities":{"grouping":{"id":"urn:uuid:438AD672-DE2C-4F0B-8876-35444E7DD746"},"parent":[{"id":"urn:y","objectType":"Activity"}]}},"object":{"id":"urn:x","objectType":"Activity"}}`
	if err != nil || unnamed || string(mended) != want {
		t.Errorf("%s, %v, %v", mended, unnamed, err)
	}
	if _, unnamed, err := Repair(json.RawMessage(`{"object": {"definition": {}}}`)); err != nil || !unnamed {
		t.Error("an object without an id was not noticed")
	}
	if _, _, err := Repair(json.RawMessage(`[]`)); err == nil {
		t.Error("a list is no statement")
	}
}
