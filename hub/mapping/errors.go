package mapping

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/interpreter"
)

// ErrDocument is wrapped by every complaint about a mapping document.
var ErrDocument = errors.New("invalid mapping")

// Error says what is wrong with a mapping document. It is about the document only and holds no value of any record.
type Error struct {
	Line       int    // in the document, from 1; 0 if the complaint is about the whole
	Stream     string // "" outside a stream
	Statement  string // the template's name, "" outside one
	Field      string // the path inside the document or the template: "streams.event.let.data", "result.score.raw"
	Expression string // as written, "" if the complaint is not about one
	Problem    string
	Remedy     string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(ErrDocument.Error())
	if e.Line > 0 {
		fmt.Fprintf(&b, ", line %d", e.Line)
	}
	if e.Stream != "" {
		fmt.Fprintf(&b, ", stream %s", e.Stream)
	}
	if e.Statement != "" {
		fmt.Fprintf(&b, ", statement %s", e.Statement)
	}
	if e.Field != "" {
		fmt.Fprintf(&b, ", %s", e.Field)
	}
	b.WriteString(": " + e.Problem)
	if e.Expression != "" {
		fmt.Fprintf(&b, " in `%s`", e.Expression)
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return ErrDocument }

// Kind says why a record could not be converted.
type Kind string

const (
	KindRecord        Kind = "record"         // the record is not a JSON object
	KindMissing       Kind = "missing"        // a field, key or element that an expression reads is not there
	KindMissingRecord Kind = "missing_record" // a looked-up record that an expression reads is not there
	KindType          Kind = "type"           // a value has another type than the schema, or the function, says
	KindValue         Kind = "value"          // a text that does not say what it should (a date, a number, JSON)
	KindRange         Kind = "range"          // a number or time out of range, a division by zero
	KindCost          Kind = "cost"           // the record would take more work than a record may
	KindInterrupted   Kind = "interrupted"    // the caller's context ended
	KindRefused       Kind = "refused"        // the mapping refuses the record and says why
	KindReference     Kind = "reference"      // $ref names a statement that this record did not give
	KindInternal      Kind = "internal"
)

var explain = map[Kind]string{
	KindRecord:        "the record is not a JSON object",
	KindMissing:       "a value that the expression reads is not in the record",
	KindMissingRecord: "the looked-up record is missing",
	KindType:          "a value is not of the type that the schema or the expression takes it for",
	KindValue:         "a text cannot be read as what it should be",
	KindRange:         "a number or time is out of range",
	KindCost:          "the record takes more work than the limit allows",
	KindInterrupted:   "interrupted",
	KindRefused:       "the mapping refuses the record",
	KindReference:     "the statement that $ref names was not made",
	KindInternal:      "internal error",
}

// EvalError says why a record could not be converted. It names places in the mapping and in the schema and never holds
// a value of the record.
type EvalError struct {
	Kind      Kind
	Mapping   string // name and version
	Stream    string
	Statement string // the template's name, "" outside one
	Path      string // inside the template: "result.score.raw"
	Line      int    // in the document
	Field     string // of the record, where known
	Reason    string // of KindRefused: the code that the mapping gives
	Say       string // of KindRefused: what the mapping says to people
}

func (e *EvalError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "mapping %s, stream %s", e.Mapping, e.Stream)
	if e.Statement != "" {
		fmt.Fprintf(&b, ", statement %s", e.Statement)
	}
	if e.Path != "" {
		fmt.Fprintf(&b, ", %s", e.Path)
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, " (line %d)", e.Line)
	}
	b.WriteString(": " + explain[e.Kind])
	if e.Field != "" {
		fmt.Fprintf(&b, ": %s", e.Field)
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, ": %s", e.Reason)
	}
	if e.Say != "" {
		fmt.Fprintf(&b, " (%s)", e.Say)
	}
	return b.String()
}

// Code is the code under which a record with this error is kept aside: bad_record, missing_lookup or mapping.
func (e *EvalError) Code() string {
	switch e.Kind {
	case KindRecord:
		return "bad_record"
	case KindMissingRecord:
		return "missing_lookup"
	}
	return "mapping"
}

// fault is an error inside an evaluation: a kind and at most a field's name or a reason from the document.
type fault struct {
	kind   Kind
	field  string
	reason string
	say    string
}

func (f *fault) Error() string { return string(f.kind) }

// celFaults maps the beginnings of CEL's own messages, which hold values, to kinds.
var celFaults = []struct {
	has  string
	kind Kind
}{
	{"no such key", KindMissing}, {"no such attribute", KindMissing}, {"optional.none() dereference", KindMissing},
	{"index out of bounds", KindMissing}, {"index '", KindMissing}, {"no such field", KindMissing},
	{"no such overload", KindType}, {"type conversion error", KindType}, {"unsupported", KindType}, {"got '", KindType},
	{"divi", KindRange}, {"modulus", KindRange}, {"overflow", KindRange}, {"range", KindRange}, {"out of", KindRange},
	{"invalid syntax", KindValue}, {"parsing", KindValue}, {"cannot parse", KindValue}, {"invalid", KindValue},
	{"formatting", KindType}, {"timestamp must be", KindValue}, {"size of", KindRange}, {"exceeds", KindCost},
}

// toFault turns any evaluation error into a fault. CEL's texts are matched, never passed on: they can hold values.
func toFault(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) {
		if cancelled.Cause == interpreter.CostLimitExceeded {
			return &fault{kind: KindCost}
		}
		return &fault{kind: KindInterrupted}
	}
	if errors.Is(err, interpreter.InterruptError{}) {
		return &fault{kind: KindInterrupted}
	}
	text := err.Error()
	for _, known := range celFaults {
		if strings.Contains(text, known.has) {
			return &fault{kind: known.kind}
		}
	}
	return &fault{kind: KindInternal}
}
