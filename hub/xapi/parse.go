package xapi

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Parse reads one statement and validates its form by the edition v, within DefaultLimits. White space
// around it is left out of Statement.Raw, to which all spans refer. The error is an *Error that wraps
// ErrInvalid or ErrTooLarge.
func Parse(raw []byte, v Version) (*Statement, error) { return DefaultLimits.Parse(raw, v) }

// ParseBatch reads one statement or an array of statements, at most maxStatements, within DefaultLimits for
// each. An empty array gives none. Two statements with one id are an error in both editions: it is a
// conflict in the making (Communication 2.1.2) that 2.0 forbids outright. The error is an *Error whose
// Index is the offending statement's and whose Path starts with it if the input was an array.
func ParseBatch(raw []byte, v Version, maxStatements int) ([]*Statement, error) {
	return DefaultLimits.ParseBatch(raw, v, maxStatements)
}

// Parse is Parse within other limits.
func (l Limits) Parse(raw []byte, v Version) (*Statement, error) {
	r := newReader(raw, v, l)
	defer r.release()
	p := parser{reader: r}
	st, e := p.statement()
	if e == nil {
		e = p.reader.end()
	}
	if e != nil {
		return nil, e.cited(v)
	}
	return st, nil
}

// ParseBatch is ParseBatch within other limits.
func (l Limits) ParseBatch(raw []byte, v Version, maxStatements int) ([]*Statement, error) {
	r := newReader(raw, v, l)
	defer r.release()
	p := parser{reader: r}
	batch, e := p.batch(maxStatements)
	if e != nil {
		return nil, e.cited(v)
	}
	return batch, nil
}

// parser is the descent over one input; st is the statement it is in.
type parser struct {
	*reader
	st *Statement
}

func (p *parser) batch(limit int) ([]*Statement, *Error) {
	if p.dec.PeekKind() != kindArray {
		st, e := p.statement()
		if e == nil {
			e = p.end()
		}
		return []*Statement{st}, e
	}
	if _, e := p.open(kindArray, ruleFormat); e != nil {
		return nil, e
	}
	p.base = p.dec.StackDepth()
	batch := []*Statement{}
	first := map[uuid.UUID]int{}
	together := 0
	for i := 0; ; i++ {
		more, e := p.next()
		if e != nil {
			return nil, e
		}
		if !more {
			return batch, p.end()
		}
		if i == limit {
			e := tooLarge("more than " + strconv.Itoa(limit) + " statements in one request")
			e.Index = i
			return nil, e.at(i)
		}
		st, e := p.statement()
		if e == nil && st.HasID {
			if j, twice := first[st.ID]; twice {
				e = invalid(ruleID, "has the id of the statement at position "+strconv.Itoa(j)).in("id")
			}
			first[st.ID] = i
		}
		if e == nil {
			if together += len(st.Agents) + len(st.Activities); together > p.limits.MaxTogether {
				e = tooLarge("with this statement the request has more than " + strconv.Itoa(p.limits.MaxTogether) + " agents and activities: send smaller batches")
			}
		}
		if e != nil {
			e.Index = i
			return nil, e.at(i)
		}
		batch = append(batch, st)
	}
}

// form is what has been seen of a statement or sub-statement, whose properties come in any order.
type form struct {
	sub                 bool
	actor, verb, object bool
	voiding             bool
	kind                ObjectKind
	context             contextForm
}

func (p *parser) statement() (*Statement, *Error) {
	p.st = &Statement{Version: p.v}
	start, e := p.open(kindObject, ruleFormat)
	if e != nil {
		return nil, e
	}
	var f form
	for n := 1; ; n++ {
		name, e := p.name()
		if e != nil {
			return nil, e
		}
		if name == nil {
			break
		}
		known, e := p.statementProperty(&f, name)
		if !known && e == nil {
			known, e = p.storeProperty(name)
		}
		if e != nil {
			return nil, e
		}
		if !known {
			return nil, unknownProperty(ruleFormat, n, name, "id", "actor", "verb", "object", "result", "context",
				"timestamp", "stored", "authority", "version", "attachments")
		}
	}
	if e := f.finish(); e != nil {
		return nil, e
	}
	if e := p.settle(start, p.offset()); e != nil {
		return nil, e
	}
	p.st.Voiding = f.voiding
	return p.st, nil
}

// settle gives the statement its JSON and makes its spans relative to it.
func (p *parser) settle(start, end int) *Error {
	if end-start > p.limits.MaxBytes {
		return tooLarge("the statement is longer than " + strconv.Itoa(p.limits.MaxBytes) + " bytes")
	}
	st := p.st
	st.Raw = p.input[start:end:end]
	if start == 0 {
		return nil
	}
	for i := range st.Agents {
		st.Agents[i].Start -= start
		st.Agents[i].End -= start
	}
	for i := range st.Activities {
		if st.Activities[i].DefEnd != 0 {
			st.Activities[i].DefStart -= start
			st.Activities[i].DefEnd -= start
		}
	}
	for _, span := range []*Span{&st.Authority, &st.IDSpan, &st.StoredSpan, &st.TimestampSpan, &st.VersionSpan} {
		if !span.IsZero() {
			span.Start -= start
			span.End -= start
		}
	}
	return nil
}

// statementProperty reads a property that statements and sub-statements share.
func (p *parser) statementProperty(f *form, name []byte) (known bool, e *Error) {
	switch string(name) {
	case "actor":
		f.actor = true
		return true, p.agent(RoleActor, f.sub, eitherKind).in("actor")
	case "verb":
		f.verb = true
		return true, p.verb(f).in("verb")
	case "object":
		f.object = true
		return true, p.object(f).in("object")
	case "result":
		return true, p.result(f.sub).in("result")
	case "context":
		return true, p.context(f).in("context")
	case "timestamp":
		start := p.nameAt
		t, e := p.time(ruleTimestamp)
		if !f.sub {
			p.st.Timestamp, p.st.TimestampSpan = t, Span{start, p.offset()}
		}
		return true, e.in("timestamp")
	case "attachments":
		return true, p.attachments(f.sub).in("attachments")
	}
	return false, nil
}

// storeProperty reads a property that only a whole statement has.
func (p *parser) storeProperty(name []byte) (known bool, e *Error) {
	st, start := p.st, p.nameAt
	switch string(name) {
	case "id":
		st.ID, e = p.uuid(ruleID)
		st.HasID, st.IDSpan = true, Span{start, p.offset()}
		return true, e.in("id")
	case "stored":
		st.Stored, e = p.time(ruleStored)
		st.StoredSpan = Span{start, p.offset()}
		return true, e.in("stored")
	case "authority":
		e = p.authority()
		st.Authority = Span{start, p.offset()}
		return true, e.in("authority")
	case "version":
		st.VersionText, e = p.version()
		st.VersionSpan = Span{start, p.offset()}
		return true, e.in("version")
	}
	return false, nil
}

// finish checks what can be judged only when all properties are known.
func (f *form) finish() *Error {
	switch {
	case !f.actor:
		return invalid(ruleFormat, "a statement needs an actor")
	case !f.verb:
		return invalid(ruleFormat, "a statement needs a verb")
	case !f.object:
		return invalid(ruleFormat, "a statement needs an object")
	case f.voiding && f.kind != ObjectStatementRef:
		return invalid(ruleVoiding, "a statement with the verb voided needs an object with objectType StatementRef").in("object")
	case f.context.revision && f.kind != ObjectActivity:
		return invalid(ruleContext, "may only be used if the object is an activity").in("revision").in("context")
	case f.context.platform && f.kind != ObjectActivity:
		return invalid(ruleContext, "may only be used if the object is an activity").in("platform").in("context")
	}
	return nil
}

// maxVerb bounds a verb's id in bytes: stores index verbs, and an index has no room for more.
const maxVerb = 2048

func (p *parser) verb(f *form) *Error {
	if _, e := p.open(kindObject, ruleVerb); e != nil {
		return e
	}
	hasID := false
	for n := 1; ; n++ {
		name, e := p.name()
		if e != nil {
			return e
		}
		if name == nil {
			break
		}
		switch string(name) {
		case "id":
			id, e := p.iri(ruleVerb)
			if e != nil {
				return e.in("id")
			}
			if len(id) > maxVerb {
				return tooLarge("is longer than " + strconv.Itoa(maxVerb) + " bytes").in("id")
			}
			hasID = true
			f.voiding = id == VerbVoided
			if !f.sub {
				p.st.Verb = strings.Clone(id)
			}
		case "display":
			if e := p.languageMap(); e != nil {
				return e.in("display")
			}
		default:
			return unknownProperty(ruleVerb, n, name, "id", "display")
		}
	}
	if !hasID {
		return invalid(ruleVerb, "a verb needs an id")
	}
	return nil
}

// authority reads an agent, or the group of two agents of a three-legged OAuth workflow (Data 2.4.9).
func (p *parser) authority() *Error {
	index := len(p.st.Agents)
	if e := p.agent(RoleAuthority, false, eitherKind); e != nil {
		return e
	}
	if group := p.st.Agents[index].Agent; group.Group {
		if members := len(p.st.Agents) - index - 1; members != 2 || !group.Identifier.IsZero() {
			return invalid(ruleAuthority, "a group as authority must have exactly two members and no identifier of its own")
		}
	}
	return nil
}

// version accepts what the edition accepts: 1.0 and 1.0.x always (Data 2.4.10; IEEE 4.2.4.3 keeps them),
// 2.0 and 2.0.x only from 2.0 on.
func (p *parser) version() (string, *Error) {
	text, e := p.string(ruleVersion)
	if e != nil {
		return "", e
	}
	if isPatchOf(text, "1.0") || p.v == V2 && isPatchOf(text, "2.0") {
		return text, nil
	}
	if p.v == V2 {
		return "", invalid(ruleVersion, "must be 1.0, 1.0.x, 2.0 or 2.0.x")
	}
	return "", invalid(ruleVersion, "must be 1.0 or 1.0.x")
}

// iri reads an IRI that is kept.
func (p *parser) iri(rl rule) (string, *Error) {
	text, e := p.string(rl)
	if e != nil {
		return "", e
	}
	if !IsIRI(text) {
		return "", invalid(ruleIRI, "must be an absolute IRI: a scheme, a colon and the rest, without spaces")
	}
	return text, nil
}

// skipIRI reads an IRI that only has to be one.
func (p *parser) skipIRI(rl rule) *Error {
	text, e := p.bytes(rl)
	if e != nil {
		return e
	}
	if !IsIRI(text) {
		return invalid(ruleIRI, "must be an absolute IRI: a scheme, a colon and the rest, without spaces")
	}
	return nil
}

func (p *parser) uuid(rl rule) (uuid.UUID, *Error) {
	text, e := p.bytes(rl)
	if e != nil {
		return uuid.UUID{}, e
	}
	id, ok := ParseUUID(text)
	if !ok {
		return uuid.UUID{}, invalid(ruleUUID, "must be a UUID in its standard form of 36 characters")
	}
	return id, nil
}

func (p *parser) time(rl rule) (time.Time, *Error) {
	text, e := p.bytes(rl)
	if e != nil {
		return time.Time{}, e
	}
	t, err := ParseTime(view(text), p.v)
	if err != nil {
		return time.Time{}, invalid(ruleTimestampFormat, err.Error())
	}
	return t, nil
}

// unknownProperty says by position which property is not allowed, since its name is the sender's text.
func unknownProperty(rl rule, n int, name []byte, allowed ...string) *Error {
	reason := "property " + strconv.Itoa(n) + " is not one of " + strings.Join(allowed, ", ")
	for _, known := range allowed {
		if strings.EqualFold(known, view(name)) {
			reason += "; it must be spelt " + known
		}
	}
	return invalid(rl, reason)
}
