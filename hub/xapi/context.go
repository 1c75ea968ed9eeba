package xapi

// contextForm is what must be judged together with the object.
type contextForm struct{ revision, platform bool }

// context reads the context of a statement or sub-statement (Data 2.4.6).
func (p *parser) context(f *form) *Error {
	if _, e := p.open(kindObject, ruleContext); e != nil {
		return e
	}
	for n := 1; ; n++ {
		name, e := p.name()
		if name == nil {
			return e
		}
		known, e := p.contextProperty(f, name)
		if !known && e == nil && p.v >= V2 {
			known, e = p.contextProperty2(f, name)
		}
		if e != nil {
			return e
		}
		if known {
			continue
		}
		allowed := []string{"registration", "instructor", "team", "contextActivities", "revision", "platform",
			"language", "statement", "extensions"}
		if p.v >= V2 {
			allowed = append(allowed, "contextAgents", "contextGroups")
		}
		return unknownProperty(ruleContext, n, name, allowed...)
	}
}

func (p *parser) contextProperty(f *form, name []byte) (known bool, e *Error) {
	switch string(name) {
	case "registration":
		id, e := p.uuid(ruleContext)
		if !f.sub {
			p.st.Registration, p.st.HasRegistration = id, true
		}
		return true, e.in("registration")
	case "instructor":
		return true, p.agent(RoleInstructor, f.sub, eitherKind).in("instructor")
	case "team":
		return true, p.agent(RoleTeam, f.sub, groupOnly).in("team")
	case "contextActivities":
		return true, p.contextActivities(f.sub).in("contextActivities")
	case "revision":
		f.context.revision = true
		return true, p.skipString(ruleContext).in("revision")
	case "platform":
		f.context.platform = true
		return true, p.skipString(ruleContext).in("platform")
	case "language":
		return true, p.language().in("language")
	case "statement":
		return true, p.statementRef().in("statement")
	case "extensions":
		return true, p.extensions().in("extensions")
	}
	return false, nil
}

// contextProperty2 reads what 2.0 added.
func (p *parser) contextProperty2(f *form, name []byte) (known bool, e *Error) {
	switch string(name) {
	case "contextAgents":
		return true, p.contextAgents(f.sub, RoleContextAgent).in("contextAgents")
	case "contextGroups":
		return true, p.contextAgents(f.sub, RoleContextGroup).in("contextGroups")
	}
	return false, nil
}

func (p *parser) language() *Error {
	text, e := p.bytes(ruleContext)
	if e != nil {
		return e
	}
	if !IsLanguageTag(text) {
		return invalid(ruleContext, "must be a language tag (RFC 5646)")
	}
	return nil
}

// statementRef reads a reference where nothing else may stand.
func (p *parser) statementRef() *Error {
	if _, e := p.open(kindObject, ruleStatementRef); e != nil {
		return e
	}
	hasType, hasID := false, false
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
			hasType = true
			text, e := p.bytes(ruleStatementRef)
			if e != nil {
				return e.in("objectType")
			}
			if string(text) != "StatementRef" {
				return invalid(ruleStatementRef, "must be StatementRef").in("objectType")
			}
		case "id":
			hasID = true
			if _, e := p.uuid(ruleStatementRef); e != nil {
				return e.in("id")
			}
		default:
			return unknownProperty(ruleStatementRef, n, name, "objectType", "id")
		}
	}
	if !hasType || !hasID {
		return invalid(ruleStatementRef, "a StatementRef needs both objectType and id")
	}
	return nil
}

// contextActivities reads the map of related activities; a single activity counts as a list of one.
func (p *parser) contextActivities(sub bool) *Error {
	if _, e := p.open(kindObject, ruleContextActivities); e != nil {
		return e
	}
	for n := 1; ; n++ {
		name, e := p.name()
		if name == nil {
			return e
		}
		var role ActivityRole
		for role = ActivityParent; role <= ActivityOther && role.String() != string(name); role++ {
		}
		if role > ActivityOther {
			return unknownProperty(ruleContextActivities, n, name, "parent", "grouping", "category", "other")
		}
		if e := p.activities(role, sub); e != nil {
			return e.in(role.String())
		}
	}
}

func (p *parser) activities(role ActivityRole, sub bool) *Error {
	if p.dec.PeekKind() != kindArray {
		return p.activity(role, sub)
	}
	if _, e := p.open(kindArray, ruleContextActivities); e != nil {
		return e
	}
	for i := 0; ; i++ {
		more, e := p.next()
		if !more {
			return e
		}
		if e := p.activity(role, sub); e != nil {
			return e.at(i)
		}
	}
}

// contextAgents reads contextAgents or contextGroups (IEEE 4.2.2.5): objects of objectType, agent or
// group, and relevantTypes, a list of IRIs that is not empty.
func (p *parser) contextAgents(sub bool, role Role) *Error {
	if _, e := p.open(kindArray, ruleContextAgents); e != nil {
		return e
	}
	for i := 0; ; i++ {
		more, e := p.next()
		if !more {
			return e
		}
		if e := p.contextAgent(sub, role); e != nil {
			return e.at(i)
		}
	}
}

func (p *parser) contextAgent(sub bool, role Role) *Error {
	if _, e := p.open(kindObject, ruleContextAgents); e != nil {
		return e
	}
	property, kinds := "agent", agentOnly
	if role == RoleContextGroup {
		property, kinds = "group", groupOnly
	}
	hasType, hasAgent := false, false
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
			hasType = true
			text, e := p.bytes(ruleContextAgents)
			if e != nil {
				return e.in("objectType")
			}
			if role.String() != string(text) {
				return invalid(ruleContextAgents, "must be "+role.String()).in("objectType")
			}
		case property:
			hasAgent = true
			if e := p.agent(role, sub, kinds); e != nil {
				return e.in(property)
			}
		case "relevantTypes":
			if e := p.relevantTypes(); e != nil {
				return e.in("relevantTypes")
			}
		default:
			return unknownProperty(ruleContextAgents, n, name, "objectType", property, "relevantTypes")
		}
	}
	if !hasType || !hasAgent {
		return invalid(ruleContextAgents, "needs both objectType and "+property)
	}
	return nil
}

func (p *parser) relevantTypes() *Error {
	if _, e := p.open(kindArray, ruleContextAgents); e != nil {
		return e
	}
	for i := 0; ; i++ {
		more, e := p.next()
		if e != nil {
			return e
		}
		if !more {
			if i == 0 {
				return invalid(ruleContextAgents, "must not be empty")
			}
			return nil
		}
		if e := p.skipIRI(ruleContextAgents); e != nil {
			return e.at(i)
		}
	}
}
