package lrshub.request_test

import data.lrshub.request

ask(scopes, resource, purpose) := {
	"action": "read",
	"resource": resource,
	"caller": {"client": "c1", "scopes": scopes, "purpose": purpose, "authority": ""},
	"purposes": ["learning-records"],
}

test_known_purpose_within_ceiling if {
	request.allow with input as ask(["statements/read"], "statements", "learning-records")
	request.allow with input as ask(["define", "audit/read"], "audit", "learning-records")
}

test_unknown_purpose if {
	not request.allow with input as ask(["statements/read"], "statements", "curiosity")
	not request.allow with input as ask(["statements/read"], "statements", "")
}

test_ceiling_holds_whatever_grants_say if {
	every resource in ["clients", "tenants", "purposes", "policy"] {
		not request.allow with input as ask(["all", "statements/write", "connections/write"], resource, "learning-records")
		request.allow with input as ask(["admin"], resource, "learning-records")
	}
}

test_administrator_does_not_read_statements if {
	not request.allow with input as ask(["admin"], "statements", "learning-records")
	not request.allow with input as ask(["admin"], "statements:export", "learning-records")
}

test_own_statements_are_not_exported if {
	not request.allow with input as ask(["statements/read/mine"], "statements:export", "learning-records")
}

test_unknown_resource if not request.allow with input as ask(["all", "admin"], "keys", "learning-records")

test_no_scope if not request.allow with input as ask([], "statements", "learning-records")
