package main_test

// Statements with a TOKEN in every place that may hold a person. What names no person by its nature (verb, result, registration) has none.
const (
	statement103 = `{
	"actor": {"objectType": "Group", "name": "TOKEN", "mbox": "mailto:TOKEN@canary.example", "member": [
		{"name": "TOKEN", "mbox_sha1sum": "MBOXSHA"}, {"openid": "https://canary.example/TOKEN"}, {"account": {"homePage": "https://canary.example/TOKEN", "name": "TOKEN"}, "name": "TOKEN"}]},
	"verb": {"id": "https://canary.example/verbs/met", "display": {"en": "TOKEN", "de": "TOKEN"}},
	"object": {"objectType": "SubStatement",
		"actor": {"mbox": "mailto:TOKEN@canary.example", "name": "TOKEN"},
		"verb": {"id": "https://canary.example/verbs/saw", "display": {"en": "TOKEN"}},
		"object": {"id": "https://canary.example/TOKEN", "definition": {
			"name": {"en": "TOKEN"}, "description": {"en": "TOKEN"}, "moreInfo": "https://canary.example/TOKEN", "type": "https://canary.example/type/TOKEN",
			"interactionType": "choice", "correctResponsesPattern": ["TOKEN"], "choices": [{"id": "TOKEN", "description": {"en": "TOKEN"}}],
			"extensions": {"https://canary.example/TOKEN": {"TOKEN": ["TOKEN"]}}}},
		"result": {"response": "TOKEN", "extensions": {"https://canary.example/x": "TOKEN"}},
		"context": {"instructor": {"mbox": "mailto:TOKEN@canary.example"}, "platform": "TOKEN", "extensions": {"https://canary.example/x": "TOKEN"}},
		"attachments": [{"usageType": "https://canary.example/usage/TOKEN", "display": {"en": "TOKEN"}, "description": {"en": "TOKEN"}, "contentType": "text/plain", "length": 5,
			"sha2": "672fa20cdcd47bd6f6c7a6d2c1a3c2b8f9f0d3fd8a2a5ab06c8a2c7b3f4f2f11", "fileUrl": "https://canary.example/TOKEN"}]},
	"result": {"success": true, "score": {"scaled": 0.5}, "response": "TOKEN", "duration": "PT1H", "extensions": {"https://canary.example/TOKEN": {"TOKEN": "TOKEN"}}},
	"context": {
		"registration": "6b1d4f1e-5f3f-4c57-9a3c-0f6a6d5a8a01",
		"instructor": {"objectType": "Group", "name": "TOKEN", "member": [{"mbox": "mailto:TOKEN@canary.example", "name": "TOKEN"}]},
		"team": {"objectType": "Group", "account": {"homePage": "https://canary.example", "name": "TOKEN"}, "name": "TOKEN", "member": [{"openid": "https://canary.example/TOKEN"}]},
		"contextActivities": {"parent": [{"id": "https://canary.example/TOKEN", "definition": {"name": {"en": "TOKEN"}}}], "grouping": [{"id": "https://canary.example/TOKEN"}],
			"category": [{"id": "https://canary.example/TOKEN"}], "other": [{"id": "https://canary.example/TOKEN"}]},
		"extensions": {"https://canary.example/x": {"deep": [{"TOKEN": "TOKEN"}, "TOKEN"]}}}}`

	activity103 = `{
	"actor": {"mbox_sha1sum": "MBOXSHA", "name": "TOKEN"},
	"verb": {"id": "https://canary.example/verbs/answered"},
	"object": {"id": "https://canary.example/TOKEN", "definition": {"type": "http://adlnet.gov/expapi/activities/cmi.interaction", "name": {"en": "TOKEN"},
		"interactionType": "fill-in", "correctResponsesPattern": ["TOKEN"], "extensions": {"https://canary.example/x": "TOKEN"}}},
	"result": {"response": "TOKEN"},
	"context": {"platform": "TOKEN", "revision": "TOKEN", "language": "en"},
	"attachments": [{"usageType": "https://canary.example/usage/TOKEN", "display": {"en": "TOKEN"}, "description": {"en": "TOKEN"}, "contentType": "text/plain", "length": 5,
		"sha2": "672fa20cdcd47bd6f6c7a6d2c1a3c2b8f9f0d3fd8a2a5ab06c8a2c7b3f4f2f12", "fileUrl": "https://canary.example/TOKEN"}]}`

	statement200 = `{
	"actor": {"account": {"homePage": "https://canary.example", "name": "TOKEN"}, "name": "TOKEN"},
	"verb": {"id": "https://canary.example/verbs/praised"},
	"object": {"objectType": "Agent", "mbox": "mailto:TOKEN@canary.example", "name": "TOKEN"},
	"context": {
		"contextAgents": [{"objectType": "contextAgent", "agent": {"mbox": "mailto:TOKEN@canary.example", "name": "TOKEN"}, "relevantTypes": ["https://canary.example/role/TOKEN"]}],
		"contextGroups": [{"objectType": "contextGroup", "group": {"objectType": "Group", "name": "TOKEN", "account": {"homePage": "https://canary.example", "name": "TOKEN"},
			"member": [{"mbox": "mailto:TOKEN@canary.example"}]}, "relevantTypes": ["https://canary.example/role/TOKEN"]}]}}`
)
