package xapi

import (
	"errors"
	"strconv"
)

var (
	// ErrInvalid is wrapped by every Error about a statement that breaks a rule of its specification.
	ErrInvalid = errors.New("not valid xAPI")
	// ErrTooLarge is wrapped by every Error about input that exceeds Limits or the batch's count.
	ErrTooLarge = errors.New("too large")
)

// Error says which rule an input breaks and where. Nothing in it was written by the sender.
type Error struct {
	Path    string // JSON pointer of the offending place (RFC 6901), "" for the whole; of the batch if it was one
	Reason  string // what is wrong and what is right
	Section string // of the specification, for example "xAPI 1.0.3 Data 2.4.2.3"; "" if none applies
	Index   int    // of the statement in a batch; 0 for a single statement

	rule rule
	kind error
}

// Error gives place, reason and section in one line.
func (e *Error) Error() string {
	text := e.Reason
	if e.Path != "" {
		text = e.Path + ": " + text
	}
	if e.Section != "" {
		text += " (" + e.Section + ")"
	}
	return text
}

// Unwrap gives ErrInvalid or ErrTooLarge.
func (e *Error) Unwrap() error { return e.kind }

// in puts the name of the property in front of the path, on the way out of the parser.
func (e *Error) in(name string) *Error {
	if e != nil {
		e.Path = "/" + name + e.Path
	}
	return e
}

// at puts the position in an array in front of the path.
func (e *Error) at(i int) *Error {
	if e != nil {
		e.Path = "/" + strconv.Itoa(i) + e.Path
	}
	return e
}

// cited fills in the section of the edition that was validated against.
func (e *Error) cited(v Version) *Error {
	if e != nil && e.Section == "" && e.rule != ruleNone {
		if v == V2 {
			e.Section = "IEEE 9274.1.1 " + sections[e.rule].v2
		} else {
			e.Section = "xAPI 1.0.3 Data " + sections[e.rule].v1
		}
	}
	return e
}

func invalid(r rule, reason string) *Error {
	return &Error{Reason: reason, rule: r, kind: ErrInvalid}
}

func tooLarge(reason string) *Error {
	return &Error{Reason: reason, kind: ErrTooLarge}
}

// rule is a part of the specification that both editions have.
type rule uint8

const (
	ruleNone rule = iota
	ruleFormat
	ruleVoiding
	ruleID
	ruleAgent
	ruleGroup
	ruleIdentifier
	ruleAccount
	ruleVerb
	ruleObject
	ruleActivity
	ruleInteraction
	ruleComponent
	ruleObjectAgent
	ruleStatementRef
	ruleSubStatement
	ruleResult
	ruleScore
	ruleContext
	ruleContextActivities
	ruleContextAgents
	ruleTimestamp
	ruleStored
	ruleAuthority
	ruleVersion
	ruleAttachment
	ruleExtensions
	ruleLanguageMap
	ruleIRI
	ruleUUID
	ruleTimestampFormat
	ruleDuration
)

var sections = [...]struct{ v1, v2 string }{
	ruleNone:              {},
	ruleFormat:            {"2.2", "4.2.1"},
	ruleVoiding:           {"2.3.2", "4.2.5"},
	ruleID:                {"2.4.1", "4.2.4.2"},
	ruleAgent:             {"2.4.2.1", "4.2.2.1"},
	ruleGroup:             {"2.4.2.2", "4.2.2.1"},
	ruleIdentifier:        {"2.4.2.3", "4.2.2.1"},
	ruleAccount:           {"2.4.2.4", "4.2.2.1"},
	ruleVerb:              {"2.4.3", "4.2.2.2"},
	ruleObject:            {"2.4.4", "4.2.2.3"},
	ruleActivity:          {"2.4.4.1", "4.2.2.3"},
	ruleInteraction:       {"2.4.4.1", "4.2.2.3"},
	ruleComponent:         {"2.4.4.1", "4.2.2.3"},
	ruleObjectAgent:       {"2.4.4.2", "4.2.2.3"},
	ruleStatementRef:      {"2.4.4.3", "4.2.2.3"},
	ruleSubStatement:      {"2.4.4.3", "4.2.2.3"},
	ruleResult:            {"2.4.5", "4.2.2.4"},
	ruleScore:             {"2.4.5.1", "4.2.2.4"},
	ruleContext:           {"2.4.6", "4.2.2.5"},
	ruleContextActivities: {"2.4.6.2", "4.2.2.5"},
	ruleContextAgents:     {"2.4.6", "4.2.2.5"},
	ruleTimestamp:         {"2.4.7", "4.2.4.2"},
	ruleStored:            {"2.4.8", "4.2.4.2"},
	ruleAuthority:         {"2.4.9", "4.2.4.2"},
	ruleVersion:           {"2.4.10", "4.2.4.3"},
	ruleAttachment:        {"2.4.11", "4.2.2.6"},
	ruleExtensions:        {"4.1", "4.2.7"},
	ruleLanguageMap:       {"4.2", "4.2.7"},
	ruleIRI:               {"4.3", "4.2.7"},
	ruleUUID:              {"4.4", "4.2.7"},
	ruleTimestampFormat:   {"4.5", "4.2.7"},
	ruleDuration:          {"4.6", "4.2.7"},
}
