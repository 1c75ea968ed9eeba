package lrshub.statements_test

import data.lrshub.statements

# request is a read by a caller with these scopes; statement is a row beside it.
request(scopes, statement) := {
	"action": "read",
	"resource": "statements",
	"caller": {"client": "c1", "scopes": scopes, "purpose": "learning-records", "authority": "a1"},
	"purposes": ["learning-records", "accreditation"],
	"statement": statement,
}

own := {"purpose": "learning-records", "authority": "a1"}

others := {"purpose": "learning-records", "authority": "a2"}

accreditation := {"purpose": "accreditation", "authority": "a1"}

test_reading_scopes_see_identities if {
	every scope in ["statements/read", "all/read", "all"] {
		statements.include with input as request([scope], others)
		statements.form == "identified" with input as request([scope], others)
		statements.masks.statement.frame == {} with input as request([scope], others)
		statements.masks.statement.authority == {} with input as request([scope], others)
	}
}

test_identified_has_no_audience if {
	not statements.audience with input as request(["statements/read"], others)
}

test_pseudonymised_scope_sees_pseudonyms if {
	statements.include with input as request(["statements/read/pseudonymised"], others)
	statements.form == "pseudonymised" with input as request(["statements/read/pseudonymised"], others)
	statements.audience == "client:c1" with input as request(["statements/read/pseudonymised"], others)
}

test_pseudonymised_columns if {
	shown := object.keys(statements.masks.statement) with input as request(["statements/read/pseudonymised"], others)
	shown == {
		"id", "actor", "verb", "object", "object_kind", "registration", "timestamp", "stored",
		"score_scaled", "score_raw", "score_min", "score_max", "success", "completion",
	}
}

test_wider_scope_decides_the_form if {
	scopes := ["statements/read/mine", "statements/read/pseudonymised", "statements/read"]
	statements.form == "identified" with input as request(scopes, others)
	statements.include with input as request(scopes, others)
}

test_pseudonymised_beats_mine if {
	scopes := ["statements/read/mine", "statements/read/pseudonymised"]
	statements.form == "pseudonymised" with input as request(scopes, own)
	not statements.masks.statement.frame with input as request(scopes, own)
}

test_mine_sees_own_only if {
	statements.include with input as request(["statements/read/mine"], own)
	not statements.include with input as request(["statements/read/mine"], others)
	statements.form == "identified" with input as request(["statements/read/mine"], own)
}

test_mine_without_authority_sees_nothing if {
	nobody := json.patch(
		request(["statements/read/mine"], {"purpose": "learning-records", "authority": ""}),
		[{"op": "replace", "path": "/caller/authority", "value": ""}],
	)
	not statements.include with input as nobody
}

test_other_scopes_see_nothing if {
	every scope in ["statements/write", "define", "admin", "audit/read", "connections/write", "statements/read/", ""] {
		not statements.include with input as request([scope], own)
		not statements.form with input as request([scope], own)
		statements.masks == {"statement": {}} with input as request([scope], own)
	}
}

test_no_scope_sees_nothing if not statements.include with input as request([], own)

test_other_purpose_is_closed if {
	every scope in ["statements/read", "statements/read/pseudonymised", "statements/read/mine", "all/read", "all"] {
		not statements.include with input as request([scope], accreditation)
	}
}

test_further_use_opens_one_way if {
	uses := {"accreditation": ["learning-records"]}
	statements.include with input as request(["statements/read"], accreditation) with data.lrshub.further_use as uses
	reverse := {"learning-records": ["accreditation"]}
	not statements.include with input as request(["statements/read"], accreditation) with data.lrshub.further_use as reverse
}

test_unknown_purpose_sees_nothing if {
	unknown := json.patch(
		request(["all"], {"purpose": "curiosity", "authority": "a1"}),
		[{"op": "replace", "path": "/caller/purpose", "value": "curiosity"}],
	)
	not statements.include with input as unknown
	not statements.include with input as unknown with data.lrshub.further_use as {"curiosity": ["curiosity"]}
}

test_row_without_purpose_is_closed if {
	not statements.include with input as request(["all"], {"authority": "a1"})
	not statements.include with input as request(["all"], {"authority": "a1", "purpose": null})
}

test_other_requests_are_not_ours if {
	every patch in [{"path": "/action", "value": "write"}, {"path": "/resource", "value": "audit"}] {
		other := json.patch(request(["all"], own), [object.union(patch, {"op": "replace"})])
		not statements.include with input as other
		not statements.form with input as other
	}
}

test_export_is_ours if {
	export := json.patch(request(["all/read"], own), [{"op": "replace", "path": "/resource", "value": "statements:export"}])
	statements.include with input as export
}
