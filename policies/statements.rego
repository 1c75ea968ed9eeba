# Which statements a caller may read, in which form, and which of their columns.
#
# include is partially evaluated: input.statement.<column> is unknown and becomes SQL, so a condition
# on it may only be ==, !=, <, <=, >, >=, `in` (a known set), startswith, endswith, contains, or `not`
# of one of these. A column without a value is null, and null is less than all else. The rest of input is known:
#
#   input.action, input.resource
#   input.caller.client      id of the credential
#   input.caller.scopes      set of scopes, as a list
#   input.caller.purpose     the one purpose that the credential is bound to
#   input.caller.authority   subject of the authority of the caller's own statements, or ""
#   input.purposes           the purposes that the tenant knows
#
# Only allow here, never deny: a rule that fails to evaluate must open nothing.
package lrshub.statements

# The two resources that these rules are about.
applies if {
	input.action == "read"
	input.resource in {"statements", "statements:export"}
}

identified if {
	applies
	some scope in input.caller.scopes
	scope in {"statements/read", "all/read", "all"}
}

pseudonymised if {
	applies
	not identified
	"statements/read/pseudonymised" in input.caller.scopes
}

# A caller's own statements, as it sent them. One form a decision: with a wider scope that one holds.
mine if {
	applies
	not identified
	not pseudonymised
	"statements/read/mine" in input.caller.scopes
	input.caller.authority != ""
}

# The purposes whose statements serve the caller's: its own, and those that may be used further for it
# (GDPR Art. 5(1)(b) and 6(4)). A purpose that the tenant does not know serves nothing.
purposes contains input.caller.purpose if input.caller.purpose in input.purposes

purposes contains source if {
	input.caller.purpose in input.purposes
	some source, uses in data.lrshub.further_use
	input.caller.purpose in uses
}

include if {
	identified
	input.statement.purpose in purposes
}

include if {
	pseudonymised
	input.statement.purpose in purposes
}

include if {
	mine
	input.statement.authority == input.caller.authority
	input.statement.purpose in purposes
}

form := "identified" if identified

form := "identified" if mine

form := "pseudonymised" if pseudonymised

# Whose pseudonyms these are: two credentials cannot put what they see together.
audience := concat(":", ["client", input.caller.client]) if pseudonymised

# What the pseudonymised form shows. Ids, registration and actor are re-keyed for the audience, times
# are truncated, and an object shows only where it is in the catalogue: the form does that.
pseudonymised_columns := {
	"id", "actor", "verb", "object", "object_kind", "registration", "timestamp", "stored",
	"score_scaled", "score_raw", "score_min", "score_max", "success", "completion",
}

# The identified form is the statement as sent (frame) and all that stands beside it.
identified_columns := {
	"id", "actor", "authority", "verb", "object", "object_kind", "registration", "timestamp", "stored",
	"score_scaled", "score_raw", "score_min", "score_max", "success", "completion", "duration",
	"connection", "purpose", "voided", "version", "frame",
}

shown := identified_columns if form == "identified"

shown := pseudonymised_columns if form == "pseudonymised"

# A column is shown only where masks has an entry {} for it.
masks := {"statement": {column: {} | some column in shown}}
