package xapi

import "testing"

func TestContextRules(t *testing.T) {
	context := func(json string) []string { return []string{"/context=" + json} }
	runRules(t, []ruleCase{
		{name: "registration", edits: context(`{"registration":"x"}`), path: "/context/registration", reason: "UUID"},
		{name: "registration number", edits: context(`{"registration":1}`), path: "/context/registration", reason: "must be a string"},
		{name: "unknown property", edits: context(`{"course":"x"}`), path: "/context", reason: "property 1 is not one of"},
		{name: "revision number", edits: context(`{"revision":1}`), path: "/context/revision", reason: "must be a string"},
		{name: "platform number", edits: context(`{"platform":1}`), path: "/context/platform", reason: "must be a string"},
		{name: "language", edits: context(`{"language":"en_US"}`), path: "/context/language", reason: "language tag"},
		{name: "language number", edits: context(`{"language":1}`), path: "/context/language", reason: "must be a string"},
		{name: "revision on agent", edits: append(context(`{"revision":"1"}`), `/object={"objectType":"Agent","mbox":"mailto:a@x.example"}`), path: "/context/revision", reason: "only be used if the object is an activity"},
		{name: "platform on reference", edits: append(context(`{"platform":"1"}`), `/object={"objectType":"StatementRef","id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"}`), path: "/context/platform", reason: "only be used if the object is an activity"},
		{name: "statement", edits: context(`{"statement":{"objectType":"StatementRef","id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"}}`)},
		{name: "statement without type", edits: context(`{"statement":{"id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"}}`), path: "/context/statement", reason: "both objectType and id"},
		{name: "statement of other type", edits: context(`{"statement":{"objectType":"Activity","id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01"}}`), path: "/context/statement/objectType", reason: "must be StatementRef"},
		{name: "statement with bad id", edits: context(`{"statement":{"objectType":"StatementRef","id":"x"}}`), path: "/context/statement/id", reason: "UUID"},
		{name: "statement unknown property", edits: context(`{"statement":{"objectType":"StatementRef","id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01","x":1}}`), path: "/context/statement", reason: "not one of objectType, id"},
		{name: "extension key", edits: context(`{"extensions":{"room":1}}`), path: "/context/extensions", reason: "key 1 is not an absolute IRI"},
		{name: "activities text", edits: context(`{"contextActivities":"x"}`), path: "/context/contextActivities", reason: "must be an object"},
		{name: "activities unknown key", edits: context(`{"contextActivities":{"child":[]}}`), path: "/context/contextActivities", reason: "not one of parent, grouping, category, other"},
		{name: "activities wrong case", edits: context(`{"contextActivities":{"Parent":[]}}`), path: "/context/contextActivities", reason: "must be spelt parent"},
		{name: "single parent", edits: context(`{"contextActivities":{"parent":{"id":"https://x.example/1"}}}`)},
		{name: "parent text", edits: context(`{"contextActivities":{"parent":"https://x.example/1"}}`), path: "/context/contextActivities/parent", reason: "must be an object"},
		{name: "parent without id", edits: context(`{"contextActivities":{"parent":[{"id":"https://x.example/1"},{}]}}`), path: "/context/contextActivities/parent/1", reason: "needs an id"},
		{name: "parent agent", edits: context(`{"contextActivities":{"parent":[{"objectType":"Agent","mbox":"mailto:a@x.example"}]}}`), path: "/context/contextActivities/parent/0/objectType", reason: "must be Activity"},
		{name: "other with bad definition", edits: context(`{"contextActivities":{"other":[{"id":"https://x.example/1","definition":{"type":"x"}}]}}`), path: "/context/contextActivities/other/0/definition/type", reason: "absolute IRI"},

		{name: "context agents in 1.0.3", edits: context(`{"contextAgents":[]}`), path: "/context", reason: "property 1 is not one of", only: V1},
		{name: "context groups in 1.0.3", edits: context(`{"contextGroups":[]}`), path: "/context", reason: "property 1 is not one of", only: V1},
		{name: "context agents", edits: context(`{"contextAgents":[{"objectType":"contextAgent","agent":{"mbox":"mailto:a@x.example"},"relevantTypes":["https://x.example/t"]}]}`), only: V2},
		{name: "context agents object", edits: context(`{"contextAgents":{}}`), path: "/context/contextAgents", reason: "must be an array", only: V2},
		{name: "context agent without type", edits: context(`{"contextAgents":[{"agent":{"mbox":"mailto:a@x.example"}}]}`), path: "/context/contextAgents/0", reason: "both objectType and agent", only: V2},
		{name: "context agent of other type", edits: context(`{"contextAgents":[{"objectType":"contextGroup","agent":{"mbox":"mailto:a@x.example"}}]}`), path: "/context/contextAgents/0/objectType", reason: "must be contextAgent", only: V2},
		{name: "context agent without agent", edits: context(`{"contextAgents":[{"objectType":"contextAgent"}]}`), path: "/context/contextAgents/0", reason: "both objectType and agent", only: V2},
		{name: "context agent is a group", edits: context(`{"contextAgents":[{"objectType":"contextAgent","agent":{"objectType":"Group","mbox":"mailto:a@x.example"}}]}`), path: "/context/contextAgents/0/agent", reason: "not a group", only: V2},
		{name: "no relevant types", edits: context(`{"contextAgents":[{"objectType":"contextAgent","agent":{"mbox":"mailto:a@x.example"},"relevantTypes":[]}]}`), path: "/context/contextAgents/0/relevantTypes", reason: "must not be empty", only: V2},
		{name: "relevant type relative", edits: context(`{"contextAgents":[{"objectType":"contextAgent","agent":{"mbox":"mailto:a@x.example"},"relevantTypes":["https://x.example/t","t"]}]}`), path: "/context/contextAgents/0/relevantTypes/1", reason: "absolute IRI", only: V2},
		{name: "context agent unknown property", edits: context(`{"contextAgents":[{"objectType":"contextAgent","group":{}}]}`), path: "/context/contextAgents/0", reason: "not one of objectType, agent, relevantTypes", only: V2},
		{name: "context groups", edits: context(`{"contextGroups":[{"objectType":"contextGroup","group":{"objectType":"Group","member":[{"mbox":"mailto:a@x.example"}]}}]}`), only: V2},
		{name: "context group is an agent", edits: context(`{"contextGroups":[{"objectType":"contextGroup","group":{"mbox":"mailto:a@x.example"}}]}`), path: "/context/contextGroups/0/group", reason: "must be a group", only: V2},
	})
}

func TestResultRules(t *testing.T) {
	result := func(json string) []string { return []string{"/result=" + json} }
	runRules(t, []ruleCase{
		{name: "unknown property", edits: result(`{"grade":1}`), path: "/result", reason: "property 1 is not one of"},
		{name: "success text", edits: result(`{"success":"true"}`), path: "/result/success", reason: "must be true or false, not a string"},
		{name: "completion null", edits: result(`{"completion":null}`), path: "/result/completion", reason: "must be true or false, not null"},
		{name: "response number", edits: result(`{"response":1}`), path: "/result/response", reason: "must be a string"},
		{name: "empty response", edits: result(`{"response":""}`)},
		{name: "duration", edits: result(`{"duration":"1 hour"}`), path: "/result/duration", reason: "ISO 8601 duration"},
		{name: "duration number", edits: result(`{"duration":60}`), path: "/result/duration", reason: "must be a string"},
		{name: "duration finer than 0.01 s", edits: result(`{"duration":"P1DT12H36M0.12567S"}`)},
		{name: "score number", edits: result(`{"score":1}`), path: "/result/score", reason: "must be an object"},
		{name: "score unknown property", edits: result(`{"score":{"percent":1}}`), path: "/result/score", reason: "not one of scaled"},
		{name: "scaled text", edits: result(`{"score":{"scaled":"0.5"}}`), path: "/result/score/scaled", reason: "must be a number"},
		{name: "scaled above", edits: result(`{"score":{"scaled":1.01}}`), path: "/result/score/scaled", reason: "from -1 to 1"},
		{name: "scaled below", edits: result(`{"score":{"scaled":-1.00001}}`), path: "/result/score/scaled", reason: "from -1 to 1"},
		{name: "scaled at the edges", edits: result(`{"score":{"scaled":-1.000}}`)},
		{name: "raw below min", edits: result(`{"score":{"raw":1,"min":2}}`), path: "/result/score/raw", reason: "less than min"},
		{name: "raw above max", edits: result(`{"score":{"max":2,"raw":3}}`), path: "/result/score/raw", reason: "greater than max"},
		{name: "min above max", edits: result(`{"score":{"min":3,"max":2}}`), path: "/result/score/min", reason: "greater than max"},
		{name: "min equal to max", edits: result(`{"score":{"min":0,"max":0,"raw":0}}`)},
		{name: "raw alone", edits: result(`{"score":{"raw":-1e300}}`)},
		{name: "raw beyond numbers", edits: result(`{"score":{"raw":1e999}}`), path: "/result/score/raw", reason: "out of the range"},
		{name: "extension key", edits: result(`{"extensions":{"":1}}`), path: "/result/extensions", reason: "key 1 is not an absolute IRI"},
	})
}

func TestAttachmentRules(t *testing.T) {
	const ok = `{"usageType":"https://x.example/u","display":{"en":"x"},"contentType":"text/plain; charset=ascii","length":27,"sha2":"495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a"}`
	with := func(edits ...string) []string {
		return []string{"/attachments=[" + string(edited(t, ok, edits...)) + "]"}
	}
	runRules(t, []ruleCase{
		{name: "without file", edits: with()},
		{name: "no list", edits: []string{"/attachments=" + ok}, path: "/attachments", reason: "must be an array"},
		{name: "empty list", edits: []string{"/attachments=[]"}},
		{name: "unknown property", edits: with(`/name="x"`), path: "/attachments/0", reason: "not one of usageType"},
		{name: "no usageType", edits: with(`-/usageType`), path: "/attachments/0", reason: "needs usageType"},
		{name: "usageType relative", edits: with(`/usageType="u"`), path: "/attachments/0/usageType", reason: "absolute IRI"},
		{name: "no display", edits: with(`-/display`), path: "/attachments/0", reason: "needs usageType, display"},
		{name: "display text", edits: with(`/display="x"`), path: "/attachments/0/display", reason: "must be an object"},
		{name: "description text", edits: with(`/description="x"`), path: "/attachments/0/description", reason: "must be an object"},
		{name: "no contentType", edits: with(`-/contentType`), path: "/attachments/0", reason: "needs"},
		{name: "contentType", edits: with(`/contentType="text"`), path: "/attachments/0/contentType", reason: "media type"},
		{name: "no length", edits: with(`-/length`), path: "/attachments/0", reason: "needs"},
		{name: "length text", edits: with(`/length="27"`), path: "/attachments/0/length", reason: "must be a number"},
		{name: "length negative", edits: with(`/length=-1`), path: "/attachments/0/length", reason: "whole number"},
		{name: "length broken", edits: with(`/length=1.5`), path: "/attachments/0/length", reason: "whole number"},
		{name: "length zero", edits: with(`/length=0`)},
		{name: "no sha2", edits: with(`-/sha2`), path: "/attachments/0", reason: "needs"},
		{name: "sha2 number", edits: with(`/sha2=1`), path: "/attachments/0/sha2", reason: "must be a string"},
		{name: "sha2 too short", edits: with(`/sha2="495395"`), path: "/attachments/0/sha2", reason: "SHA-2"},
		{name: "sha2 not hex", edits: with(`/sha2="z95395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a"`), path: "/attachments/0/sha2", reason: "SHA-2"},
		{name: "fileUrl", edits: with(`/fileUrl="https://x.example/f"`)},
		{name: "fileUrl relative", edits: with(`/fileUrl="f.txt"`), path: "/attachments/0/fileUrl", reason: "absolute IRI"},
	})
}
