package xapi

import "strconv"

// objectForm is what has been seen of an object whose objectType may come last.
type objectForm struct {
	agent      agentForm
	statement  form // of a sub-statement
	kind       ObjectKind
	id         string
	hasID      bool
	definition Span // of an activity
	first      [3]bool
}

// family is a set of properties that belong to the same kinds of object.
type family uint8

const (
	familyActivity  family = iota // definition
	familyAgent                   // name, identifiers, member
	familyStatement               // actor, verb, ...
)

// object reads the object of a statement or sub-statement (Data 2.4.4).
func (p *parser) object(f *form) *Error {
	start, e := p.open(kindObject, ruleObject)
	if e != nil {
		return e
	}
	o := objectForm{agent: agentForm{index: -1}, statement: form{sub: true}}
	for n := 1; ; n++ {
		name, e := p.name()
		if e != nil {
			return e
		}
		if name == nil {
			break
		}
		known, e := p.objectProperty(f, &o, name, start)
		if e != nil {
			return e
		}
		if !known {
			return unknownProperty(ruleObject, n, name, "objectType", "id", "definition",
				"name", "mbox", "mbox_sha1sum", "openid", "account", "member",
				"actor", "verb", "object", "result", "context", "timestamp", "attachments")
		}
	}
	f.kind = o.kind
	if o.kind == 0 {
		f.kind = ObjectActivity
	}
	if !f.sub {
		p.st.Object = f.kind
	}
	switch f.kind {
	case ObjectActivity:
		return p.finishActivity(f, &o)
	case ObjectAgent, ObjectGroup:
		return p.finishObjectAgent(f, &o, start)
	case ObjectStatementRef:
		return p.finishStatementRef(f, &o)
	}
	return p.finishSubStatement(f, &o)
}

func (p *parser) objectProperty(f *form, o *objectForm, name []byte, start int) (known bool, e *Error) {
	switch string(name) {
	case "objectType":
		return true, p.objectType(f, o).in("objectType")
	case "id":
		o.hasID = true
		o.id, e = p.string(ruleObject)
		return true, e.in("id")
	case "definition":
		o.first[familyActivity] = true
		o.definition, e = p.definition()
		return true, e.in("definition")
	}
	if known, e = p.agentProperty(&o.agent, name, RoleObject, f.sub, start); known {
		o.first[familyAgent] = true
		return true, e
	}
	if f.sub { // A SubStatement cannot hold another (Data 2.4.4.3).
		return false, nil
	}
	if known, e = p.statementProperty(&o.statement, name); known {
		o.first[familyStatement] = true
	}
	return known, e
}

func (p *parser) objectType(f *form, o *objectForm) *Error {
	text, e := p.bytes(ruleObject)
	if e != nil {
		return e
	}
	for k := ObjectActivity; k <= ObjectSubStatement; k++ {
		if k.String() == string(text) {
			o.kind = k
		}
	}
	switch {
	case o.kind == 0:
		return invalid(ruleObject, "must be Activity, Agent, Group, StatementRef or SubStatement, spelt so")
	case o.kind == ObjectSubStatement && f.sub:
		return invalid(ruleSubStatement, "a sub-statement cannot hold another")
	}
	return nil
}

// only makes sure that no property of another kind of object was there.
func (o *objectForm) only(rl rule, allowed family, id bool) *Error {
	kind := o.kind
	if kind == 0 {
		kind = ObjectActivity
	}
	for fam, seen := range o.first {
		if seen && family(fam) != allowed {
			return invalid(rl, "has properties that an object with objectType "+kind.String()+" does not have")
		}
	}
	if o.hasID && !id {
		return invalid(rl, "must not be there if objectType is "+kind.String()).in("id")
	}
	return nil
}

func (p *parser) finishActivity(f *form, o *objectForm) *Error {
	if e := o.only(ruleActivity, familyActivity, true); e != nil {
		return e
	}
	return p.useActivity(ActivityObject, f.sub, o)
}

// useActivity adds an activity to the statement.
func (p *parser) useActivity(role ActivityRole, sub bool, o *objectForm) *Error {
	if !o.hasID {
		return invalid(ruleActivity, "an activity needs an id")
	}
	if !IsIRI(o.id) {
		return invalid(ruleIRI, "must be an absolute IRI: a scheme, a colon and the rest, without spaces").in("id")
	}
	if len(p.st.Activities) >= p.limits.MaxActivities {
		return tooLarge("more than " + strconv.Itoa(p.limits.MaxActivities) + " activities in one statement")
	}
	if role == ActivityObject && !sub {
		p.st.ObjectActivity = o.id
	}
	p.st.Activities = append(p.st.Activities,
		ActivityUse{Role: role, ID: o.id, Sub: sub, DefStart: o.definition.Start, DefEnd: o.definition.End})
	return nil
}

func (p *parser) finishObjectAgent(f *form, o *objectForm, start int) *Error {
	if e := o.only(ruleObjectAgent, familyAgent, false); e != nil {
		return e
	}
	if o.agent.index < 0 {
		if e := p.reserve(&o.agent, RoleObject, f.sub, start); e != nil {
			return e
		}
	}
	o.agent.agent.Group = o.kind == ObjectGroup
	if e := p.finishAgent(&o.agent, eitherKind); e != nil {
		return e
	}
	p.st.Agents[o.agent.index].Agent = o.agent.agent
	p.st.Agents[o.agent.index].End = p.offset()
	return nil
}

func (p *parser) finishStatementRef(f *form, o *objectForm) *Error {
	if e := o.only(ruleStatementRef, familyActivity, true); e != nil {
		return e
	}
	if o.first[familyActivity] {
		return invalid(ruleStatementRef, "a StatementRef has no definition")
	}
	if !o.hasID {
		return invalid(ruleStatementRef, "a StatementRef needs an id")
	}
	id, ok := ParseUUID(o.id)
	if !ok {
		return invalid(ruleUUID, "must be a UUID in its standard form of 36 characters").in("id")
	}
	if !f.sub {
		p.st.Ref = id
	}
	return nil
}

func (p *parser) finishSubStatement(f *form, o *objectForm) *Error {
	if e := o.only(ruleSubStatement, familyStatement, false); e != nil {
		return e
	}
	return o.statement.finish()
}

// activity reads an activity where nothing else may stand.
func (p *parser) activity(role ActivityRole, sub bool) *Error {
	if _, e := p.open(kindObject, ruleActivity); e != nil {
		return e
	}
	var o objectForm
	for n := 1; ; n++ {
		name, e := p.name()
		if e != nil {
			return e
		}
		if name == nil {
			break
		}
		switch string(name) {
		case "objectType":
			text, e := p.bytes(ruleActivity)
			if e != nil {
				return e.in("objectType")
			}
			if string(text) != "Activity" {
				return invalid(ruleActivity, "must be Activity").in("objectType")
			}
		case "id":
			o.hasID = true
			if o.id, e = p.string(ruleActivity); e != nil {
				return e.in("id")
			}
		case "definition":
			if o.definition, e = p.definition(); e != nil {
				return e.in("definition")
			}
		default:
			return unknownProperty(ruleActivity, n, name, "objectType", "id", "definition")
		}
	}
	return p.useActivity(role, sub, &o)
}
