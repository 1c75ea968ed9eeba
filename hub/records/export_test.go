package records

// SettleSeen is settleSeen for tests that hold its transaction open.
var SettleSeen = settleSeen

// Bounds of the references with many keys, for tests that have few.
var MaxKeys, MaxEach, MaxMeet = &maxKeys, &maxEach, &maxMeet
