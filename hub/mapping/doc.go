// Package mapping converts records of source systems to xAPI statements by mapping documents: YAML templates with typed
// CEL expressions. It is pure: no files, no clock, no randomness. This comment is the language's reference; connectors/MAPPINGS.md
// is its tutorial. To use the package start at Load, then Mapping.Begin and Evaluation; to read it start at compile.go (a
// document becomes a Mapping), template.go (fragments and templates) and statements.go (a record becomes statements).
//
// # The document
//
//	name: school                 # name and version of this profile: a mapping is one answer, never the only one
//	version: 1
//	about: …                     # for people; params, streams and statements can have one too
//	catalogue: [IRI prefix, …]   # activities with these ids name no person and may stand in clear; can name params, constants
//	params:                      # what a connection can set
//	  site: {type: string, default: …, about: …, environment: …}
//	constants: {…}               # values by name: constants.site
//	tables:                      # rows by key, all rows of one type: tables.verbs[key].id
//	  verbs: {a: {id: …}, b: {id: …}}
//	fragments: {…}               # templates to be used in several places
//	streams:
//	  NAME: {…}                  # one for each stream that is read; `NAME:` alone for one that is only looked up
//
// The types of params are string (the default), int, double, bool, list (of texts) and map (of texts). A parameter without a default must be set. environment
// is the name under which a set of fixtures gives the parameter (Test).
//
// # A stream
//
//	attempt:
//	  lookups:                            # records of other streams, in order; each can name those before it
//	    quiz: {on: {id: record.quiz}}     # by its whole key; stream: another name than the lookup's; missing is null
//	    questions: {stream: question, many: true, on: {quiz: record.quiz}}   # a list of all with these fields; connections refuse it so far
//	  let: {passed: "record.score >= 40"} # names for values, evaluated when first used
//	  when: record.id > 0                 # else the record deliberately gives nothing
//	  match: record.kind                  # a text, for `is`
//	  refuse:                             # what must not be converted, with a reason (a code of a-z, 0-9, _)
//	    - {when: "record.pupil == ''", reason: no_pupil, say: it belongs to no one}
//	  subject: {…}                        # template of the agent the record is about; the actor where a statement names none
//	  person:                             # what the record says of its subject, beside statements
//	    when: …
//	    facts:                            # what holds of it, from a day until another
//	      - {kind: role, value: "record.?title", from: "record.?since", until: "…"}
//	      - {kind: manager, agent: {…}}   # another person: a template of an agent
//	    claims:                           # by which the same person is recognised elsewhere
//	      - {kind: employee_number, value: record.number, issuer: params.company}
//	      - {kind: mailbox, value: record.mail, verified: record.confirmed}
//	  statements:
//	    - name: result
//	      is: [quiz, exam]                # only for these values of `match`
//	      for: record.answers             # one statement for each element of a list or entry of a map
//	      as: [index, answer]             # or one name, for a list's element; for a map [key, value]
//	      let: …
//	      when: …
//	      refuse: …
//	      statement: {…}                  # the template; without id, stored and authority, which the hub gives
//
// What is not named (`lookups`, `let`, …) can be left out. The order is: lookups, when, match, refuse, and then for each
// statement for, when, refuse, template. A `when` that names nothing of `as` and `let` is asked before `for`.
// `on`, `let`, `when`, `match`, `for` and `$with` hold bare expressions. YAML wants quotes around one that contains ": " or " #", that
// begins with a mark such as { [ " ! or *, and, inside braces, that contains ? , [ or {.
//
// # Facts and claims
//
// Facts are of the kinds role, unit, location, manager and employment, or of a site's own that begin with x_; their values are the site's. An absent or empty
// value gives no fact. from and until are times, or texts (2026-01-31: midnight UTC); until is the first moment at which the fact does not hold. Without from a fact
// holds since it was first seen. Claims are employee_number, student_number, sourced_id, external_id and mailbox; numbers of two issuers are different
// numbers, and a mailbox is evidence only if it is verified. A claim must not be made of a name. Both can have for, as, let and when like
// statements. A record that gives facts or claims need not give a statement.
//
// # Templates
//
// A template is the statement as YAML. `${expression}` alone as a value keeps the expression's type; inside a text it is
// inserted; in a key it computes the key. `$${` is a plain `${`.
//
//   - A value that is `omit`, null or an empty optional drops its key, or its element of a list. An object or list all of
//     whose members were dropped is dropped too; `{}`, `[]` and `null` written as such stay.
//   - {$use: fragment} puts a fragment there. Other keys beside it are merged over it, objects key by key, all else
//     replaced; {$use: [a, b]} puts b over a. {$use: fragment, $with: {name: expression}} gives arguments, which the fragment
//     declares: $arguments: [name]. A fragment can name whatever its place can name.
//   - {$ref: name} is a StatementRef to the first statement that the template of this name makes of the same record.
//
// Numbers, texts and whole values of a record that a template passes on as they are keep all their digits and the order
// of their keys. Timestamps are written in UTC (RFC 3339), durations as ISO 8601.
//
// # Expressions
//
// CEL (cel.dev) with the extensions for optionals, texts, lists, math, bindings (cel.bind) and comprehensions of two
// variables. Names: record, the lookups, the lets, what `as` names, params, constants, tables, omit. The stream's schema gives
// types: a misspelt field is an error on load that names the nearest right one.
//
//   - record.field of an absent (or null) field is an error of the record; has(record.field) asks, record.?field gives an
//     optional: record.?note.orValue('none').
//   - A field of type any, and what lies below it, is not checked on load.
//   - An object, list or map that the source wrote as JSON text reads as what the text holds.
//   - A record is never used whole, nor by computed field names: Fields lists what a mapping names, and the host keeps no more.
//   - `c ? x : null` has no type; write `c ? x : omit`.
//
// Functions beside CEL's:
//
//	filled(optional)              empty for null and '' as well
//	plainText(html)               what a reader sees
//	stripTags(html)               without tags, line feeds and &nbsp;, nothing decoded, as Moodle's xAPI plugin does
//	slug(text)                    lower-case-words
//	slugAscii(text)               the same of a-z, 0-9 and - only, as Moodle's xAPI plugin does
//	capture(text, regex)          optional: the first group, or the match
//	urlEncode(text) urlDecode(text)
//	jsonText(value)               compact; jsonText(value, ', ', ': ') with other separators
//	parseJson(text)
//	parsePhp(text)                what PHP's serialize wrote
//	rows(list, {field: value})    those objects of a list (or optional list) with these values, 7 and "7" being the same
//	sum(list)                     of int or double
//	uuid5(namespace, name)        namespace: dns, url, oid, x500 or a UUID
//	uuidOfSha1(text)              SHA-1 shaped like a UUID, as Moodle's xAPI plugin does
//	date(year, month, day) addDays(timestamp, n)
//	fromEpoch(seconds)            int or double
//	isoDuration(seconds)          int, double or duration
//	refuse('reason', 'say')       gives the record up; both constant, so that no value gets into an error
//
// # Errors
//
// Load gives *Error: line, stream, statement, place, expression, problem, remedy. An evaluation gives *EvalError: the same
// place and a Kind, never a value of the record. Each record has a limit of work (DefaultCostLimit, in CEL's cost units).
package mapping
