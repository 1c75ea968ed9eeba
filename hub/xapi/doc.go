// Package xapi knows xAPI statements as values: it parses and validates them (1.0.3 and 2.0.0), compares
// them, takes the people out of them and puts them back. It does no I/O and reads no clock.
//
// Start at [Parse], which reads one statement in one pass and gives a [Statement]; [ParseBatch] does the
// same for an array. [Statement.Split] cuts every identified agent out of the JSON so that each can be
// sealed under its own key, and [Join] puts them back byte for byte. [Statement.Canonical] gives the bytes
// whose equality is statement equality, and [Finish] adds the properties that a record store sets.
//
// # Where the rules come from
//
// 1.0.3: the xAPI specification, part two, "Experience API Data" (cited as "Data 2.4.2.3"). 2.0.0: IEEE
// 9274.1.1-2023 (cited as "IEEE 4.2.2.1"). Where the text leaves a choice ("MAY validate", "best-effort"),
// the comment on the function that makes the choice says which and why.
//
// # What errors say
//
// An [Error] names the place (a JSON pointer made of property names that the specification defines and of
// positions), the rule and its section. It never repeats what the sender wrote, neither values nor keys,
// because a statement is personal data and errors are logged.
package xapi
