package records

// SettleSeen is settleSeen for tests that hold its transaction open.
var SettleSeen = settleSeen
