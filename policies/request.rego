# Whether a request may be answered at all, whatever the administrators' grants say.
#
# input is as in statements.rego, without input.statement. Only allow here, never deny.
package lrshub.request

allow if {
	purpose_known
	within_ceiling
}

# A credential acts for a purpose that the tenant knows: without one there is no lawful use.
purpose_known if input.caller.purpose in input.purposes

# The ceiling of a resource: a grant on it counts only for a caller with one of these scopes.
within_ceiling if {
	some scope in input.caller.scopes
	scope in data.lrshub.ceilings[input.resource]
}
