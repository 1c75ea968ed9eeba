package xapi

import "testing"

func TestObjectRules(t *testing.T) {
	definition := func(json string) []string { return []string{"/object/definition=" + json} }
	runRules(t, []ruleCase{
		{name: "activity without id", edits: []string{`/object={"objectType":"Activity"}`}, path: "/object", reason: "needs an id"},
		{name: "activity id relative", edits: []string{`/object/id="book/1"`}, path: "/object/id", reason: "absolute IRI"},
		{name: "activity id number", edits: []string{`/object/id=1`}, path: "/object/id", reason: "must be a string"},
		{name: "type lower case", edits: []string{`/object/objectType="activity"`}, path: "/object/objectType", reason: "spelt so"},
		{name: "type unknown", edits: []string{`/object/objectType="GroupActivity"`}, path: "/object/objectType", reason: "spelt so"},
		{name: "unknown property", edits: []string{`/object/title="x"`}, path: "/object", reason: "property 2 is not one of"},
		{name: "activity with name", edits: []string{`/object/name="x"`}, path: "/object", reason: "objectType Activity does not have"},
		{name: "activity with actor", edits: []string{`/object/actor={"mbox":"mailto:a@x.example"}`}, path: "/object", reason: "objectType Activity does not have"},
		{name: "empty definition", edits: definition(`{}`)},
		{name: "definition text", edits: definition(`"x"`), path: "/object/definition", reason: "must be an object"},
		{name: "definition unknown property", edits: definition(`{"title":{}}`), path: "/object/definition", reason: "not one of name"},
		{name: "name text", edits: definition(`{"name":"x"}`), path: "/object/definition/name", reason: "must be an object"},
		{name: "description bad tag", edits: definition(`{"description":{"":"x"}}`), path: "/object/definition/description", reason: "key 1"},
		{name: "type relative", edits: definition(`{"type":"quiz"}`), path: "/object/definition/type", reason: "absolute IRI"},
		{name: "moreInfo relative", edits: definition(`{"moreInfo":"/x"}`), path: "/object/definition/moreInfo", reason: "absolute IRI"},
		{name: "extension key", edits: definition(`{"extensions":{"level":1}}`), path: "/object/definition/extensions", reason: "key 1 is not an absolute IRI"},
		{name: "extensions text", edits: definition(`{"extensions":"x"}`), path: "/object/definition/extensions", reason: "must be an object"},
		{name: "extension null", edits: definition(`{"extensions":{"https://x.example/e":null}}`)},
		{name: "interaction unknown", edits: definition(`{"interactionType":"essay"}`), path: "/object/definition/interactionType", reason: "spelt so"},
		{name: "interaction wrong case", edits: definition(`{"interactionType":"Choice"}`), path: "/object/definition/interactionType", reason: "spelt so"},
		{name: "pattern alone", edits: definition(`{"correctResponsesPattern":["a"]}`), path: "/object/definition", reason: "needs an interactionType"},
		{name: "pattern text", edits: definition(`{"interactionType":"choice","correctResponsesPattern":"a"}`), path: "/object/definition/correctResponsesPattern", reason: "must be an array"},
		{name: "pattern of numbers", edits: definition(`{"interactionType":"numeric","correctResponsesPattern":["1",2]}`), path: "/object/definition/correctResponsesPattern/1", reason: "must be a string"},
		{name: "empty pattern", edits: definition(`{"interactionType":"numeric","correctResponsesPattern":[]}`)},
		{name: "choices alone", edits: definition(`{"choices":[{"id":"a"}]}`), path: "/object/definition", reason: "choices needs an interactionType"},
		{name: "choices of numeric", edits: definition(`{"interactionType":"numeric","choices":[{"id":"a"}]}`), path: "/object/definition/choices", reason: "does not support"},
		{name: "choices of sequencing", edits: definition(`{"choices":[{"id":"a"}],"interactionType":"sequencing"}`)},
		{name: "scale of likert", edits: definition(`{"interactionType":"likert","scale":[{"id":"a"}]}`)},
		{name: "scale of choice", edits: definition(`{"interactionType":"choice","scale":[{"id":"a"}]}`), path: "/object/definition/scale", reason: "does not support"},
		{name: "matching", edits: definition(`{"interactionType":"matching","source":[{"id":"a"}],"target":[{"id":"a"}]}`)},
		{name: "steps of performance", edits: definition(`{"interactionType":"performance","steps":[{"id":"a"}]}`)},
		{name: "true-false", edits: definition(`{"interactionType":"true-false","correctResponsesPattern":["true"]}`)},
		{name: "component without id", edits: definition(`{"interactionType":"choice","choices":[{"id":"a"},{}]}`), path: "/object/definition/choices/1", reason: "needs an id"},
		{name: "component id number", edits: definition(`{"interactionType":"choice","choices":[{"id":1}]}`), path: "/object/definition/choices/0/id", reason: "must be a string"},
		{name: "component twice", edits: definition(`{"interactionType":"choice","choices":[{"id":"a"},{"id":"b"},{"id":"a"}]}`), path: "/object/definition/choices/2/id", reason: "earlier component"},
		{name: "component twice in a long list", edits: definition(`{"interactionType":"choice","choices":[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"d"},{"id":"e"},{"id":"f"},{"id":"g"},{"id":"h"},{"id":"i"},{"id":"j"},{"id":"k"},{"id":"b"}]}`),
			path: "/object/definition/choices/11/id", reason: "earlier component"},
		{name: "long list", edits: definition(`{"interactionType":"choice","choices":[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"d"},{"id":"e"},{"id":"f"},{"id":"g"},{"id":"h"},{"id":"i"},{"id":"j"},{"id":"k"},{"id":"l"}]}`)},
		{name: "component unknown property", edits: definition(`{"interactionType":"choice","choices":[{"id":"a","text":"A"}]}`), path: "/object/definition/choices/0", reason: "not one of id, description"},
		{name: "component description text", edits: definition(`{"interactionType":"choice","choices":[{"id":"a","description":"A"}]}`), path: "/object/definition/choices/0/description", reason: "must be an object"},
		{name: "choices object", edits: definition(`{"interactionType":"choice","choices":{"id":"a"}}`), path: "/object/definition/choices", reason: "must be an array"},

		{name: "reference", edits: []string{`/object={"id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01","objectType":"StatementRef"}`}},
		{name: "reference to no UUID", edits: []string{`/object={"id":"https://x.example","objectType":"StatementRef"}`}, path: "/object/id", reason: "UUID"},
		{name: "reference without id", edits: []string{`/object={"objectType":"StatementRef"}`}, path: "/object", reason: "needs an id"},
		{name: "reference with definition", edits: []string{`/object={"objectType":"StatementRef","id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01","definition":{}}`}, path: "/object", reason: "no definition"},
	})
}

func TestSubStatementRules(t *testing.T) {
	const sub = `{"actor":{"mbox":"mailto:ada@campus.example"},"verb":{"id":"https://verbs.example/planned"},"object":{"objectType":"SubStatement","actor":{"mbox":"mailto:bo@campus.example"},"verb":{"id":"https://verbs.example/read"},"object":{"id":"https://campus.example/book/1"}}}`
	cases := []ruleCase{
		{name: "smallest"},
		{name: "with all", edits: []string{`/object/timestamp="2026-01-02T03:04:05Z"`, `/object/result={"success":true}`, `/object/context={"platform":"x"}`, `/object/attachments=[]`}},
		{name: "without type", edits: []string{`-/object/objectType`}, path: "/object", reason: "objectType Activity does not have"},
		{name: "without actor", edits: []string{`-/object/actor`}, path: "/object", reason: "needs an actor"},
		{name: "without verb", edits: []string{`-/object/verb`}, path: "/object", reason: "needs a verb"},
		{name: "without object", edits: []string{`-/object/object`}, path: "/object", reason: "needs an object"},
		{name: "with id", edits: []string{`/object/id="9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"`}, path: "/object/id", reason: "objectType is SubStatement"},
		{name: "with stored", edits: []string{`/object/stored="2026-01-02T03:04:05Z"`}, path: "/object", reason: "not one of"},
		{name: "with version", edits: []string{`/object/version="1.0.0"`}, path: "/object", reason: "not one of"},
		{name: "with authority", edits: []string{`/object/authority={"mbox":"mailto:a@x.example"}`}, path: "/object", reason: "not one of"},
		{name: "with definition", edits: []string{`/object/definition={}`}, path: "/object", reason: "objectType SubStatement does not have"},
		{name: "bad actor", edits: []string{`/object/actor={}`}, path: "/object/actor", reason: "needs one of"},
		{name: "bad verb", edits: []string{`/object/verb/id="read"`}, path: "/object/verb/id", reason: "absolute IRI"},
		{name: "bad timestamp", edits: []string{`/object/timestamp="x"`}, path: "/object/timestamp", reason: "RFC 3339"},
		{name: "nested", edits: []string{`/object/object={"objectType":"SubStatement","actor":{"mbox":"mailto:bo@campus.example"},"verb":{"id":"https://verbs.example/read"},"object":{"id":"https://campus.example/book/1"}}`},
			path: "/object/object/objectType", reason: "cannot hold another"},
		{name: "nested, type last", edits: []string{`/object/object={"actor":{"mbox":"mailto:bo@campus.example"},"objectType":"SubStatement"}`}, path: "/object/object", reason: "not one of"},
		{name: "on an agent", edits: []string{`/object/object={"objectType":"Agent","mbox":"mailto:a@x.example"}`}},
		{name: "on a reference", edits: []string{`/object/object={"objectType":"StatementRef","id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"}`}},
		{name: "platform with agent", edits: []string{`/object/object={"objectType":"Agent","mbox":"mailto:a@x.example"}`, `/object/context={"platform":"x"}`}, path: "/object/context/platform", reason: "only be used if the object is an activity"},
		{name: "platform outside", edits: []string{`/context={"platform":"x"}`}, path: "/context/platform", reason: "only be used if the object is an activity"},
	}
	for i := range cases {
		cases[i].base = sub
	}
	runRules(t, cases)
}
