package xapi

import "strconv"

// interaction is one of the interaction types of Data 2.4.4.1, as a bit.
type interaction uint16

const (
	trueFalse interaction = 1 << iota
	choice
	fillIn
	longFillIn
	matching
	performance
	sequencing
	likert
	numeric
	otherInteraction
)

func interactionOf(text string) interaction {
	switch text {
	case "true-false":
		return trueFalse
	case "choice":
		return choice
	case "fill-in":
		return fillIn
	case "long-fill-in":
		return longFillIn
	case "matching":
		return matching
	case "performance":
		return performance
	case "sequencing":
		return sequencing
	case "likert":
		return likert
	case "numeric":
		return numeric
	case "other":
		return otherInteraction
	}
	return 0
}

// componentLists are the lists of interaction components and the interaction types that support them.
var componentLists = [...]struct {
	name  string
	types interaction
}{
	{"choices", choice | sequencing},
	{"scale", likert},
	{"source", matching},
	{"target", matching},
	{"steps", performance},
}

// definition reads an activity definition and gives its span (Data 2.4.4.1).
func (p *parser) definition() (Span, *Error) {
	start, e := p.open(kindObject, ruleActivity)
	if e != nil {
		return Span{}, e
	}
	var kind interaction
	var lists [len(componentLists)]bool
	pattern := false
	for n := 1; ; n++ {
		name, e := p.name()
		if e != nil {
			return Span{}, e
		}
		if name == nil {
			break
		}
		switch string(name) {
		case "interactionType":
			text, e := p.bytes(ruleInteraction)
			if e != nil {
				return Span{}, e.in("interactionType")
			}
			if kind = interactionOf(view(text)); kind == 0 {
				return Span{}, invalid(ruleInteraction, "must be true-false, choice, fill-in, long-fill-in, matching, "+
					"performance, sequencing, likert, numeric or other, spelt so").in("interactionType")
			}
		case "correctResponsesPattern":
			pattern = true
			if e := p.strings(ruleInteraction); e != nil {
				return Span{}, e.in("correctResponsesPattern")
			}
		default:
			list := componentList(name)
			if list >= 0 {
				lists[list] = true
				e = p.components().in(componentLists[list].name)
			} else {
				e = p.definitionProperty(n, name)
			}
			if e != nil {
				return Span{}, e
			}
		}
	}
	return Span{start, p.offset()}, interactionRules(kind, pattern, lists[:])
}

func componentList(name []byte) int {
	for i := range componentLists {
		if componentLists[i].name == string(name) {
			return i
		}
	}
	return -1
}

func (p *parser) definitionProperty(n int, name []byte) *Error {
	switch string(name) {
	case "name":
		return p.languageMap().in("name")
	case "description":
		return p.languageMap().in("description")
	case "type":
		return p.skipIRI(ruleActivity).in("type")
	case "moreInfo":
		return p.skipIRI(ruleActivity).in("moreInfo")
	case "extensions":
		return p.extensions().in("extensions")
	}
	return unknownProperty(ruleActivity, n, name, "name", "description", "type", "moreInfo", "extensions",
		"interactionType", "correctResponsesPattern", "choices", "scale", "source", "target", "steps")
}

// interactionRules: whoever uses a property of interaction activities needs a valid interactionType, and
// a component list only with a type that supports it (the specification lets an LRS check the latter).
func interactionRules(kind interaction, pattern bool, lists []bool) *Error {
	if pattern && kind == 0 {
		return invalid(ruleInteraction, "correctResponsesPattern needs an interactionType")
	}
	for i, seen := range lists {
		switch {
		case seen && kind == 0:
			return invalid(ruleInteraction, componentLists[i].name+" needs an interactionType")
		case seen && componentLists[i].types&kind == 0:
			return invalid(ruleInteraction, "the interactionType does not support this list").in(componentLists[i].name)
		}
	}
	return nil
}

// components reads a list of interaction components, whose ids must differ.
func (p *parser) components() *Error {
	if _, e := p.open(kindArray, ruleComponent); e != nil {
		return e
	}
	var few [8]string
	ids := few[:0]
	var many map[string]bool
	for i := 0; ; i++ {
		more, e := p.next()
		if !more {
			return e
		}
		id, e := p.component()
		if e != nil {
			return e.at(i)
		}
		twice := many[id]
		for j := 0; many == nil && j < len(ids); j++ {
			twice = twice || ids[j] == id
		}
		if twice {
			return invalid(ruleComponent, "has the id of an earlier component of the list").in("id").at(i)
		}
		if ids = append(ids, id); len(ids) <= len(few) {
			continue
		}
		if many == nil {
			many = make(map[string]bool, 4*len(few))
		}
		for ; len(ids) > 0; ids = ids[1:] {
			many[ids[0]] = true
		}
	}
}

func (p *parser) component() (id string, e *Error) {
	if _, e := p.open(kindObject, ruleComponent); e != nil {
		return "", e
	}
	hasID := false
	for n := 1; ; n++ {
		name, e := p.name()
		if e != nil {
			return "", e
		}
		if name == nil {
			break
		}
		switch string(name) {
		case "id":
			hasID = true
			if id, e = p.string(ruleComponent); e != nil {
				return "", e.in("id")
			}
		case "description":
			if e := p.languageMap(); e != nil {
				return "", e.in("description")
			}
		default:
			return "", unknownProperty(ruleComponent, n, name, "id", "description")
		}
	}
	if !hasID {
		return "", invalid(ruleComponent, "an interaction component needs an id")
	}
	return id, nil
}

// strings reads an array of strings.
func (p *parser) strings(rl rule) *Error {
	if _, e := p.open(kindArray, rl); e != nil {
		return e
	}
	for i := 0; ; i++ {
		more, e := p.next()
		if !more {
			return e
		}
		if e := p.skipString(rl); e != nil {
			return e.at(i)
		}
	}
}

// languageMap reads a map from language tags to strings (Data 4.2).
func (p *parser) languageMap() *Error {
	if _, e := p.open(kindObject, ruleLanguageMap); e != nil {
		return e
	}
	for n := 1; ; n++ {
		name, e := p.name()
		if name == nil {
			return e
		}
		if !IsLanguageTag(name) {
			return invalid(ruleLanguageMap, "key "+strconv.Itoa(n)+" is not a language tag (RFC 5646)")
		}
		if e := p.skipString(ruleLanguageMap); e != nil {
			e.Reason = "at key " + strconv.Itoa(n) + ": " + e.Reason
			return e
		}
	}
}

// extensions reads a map from IRIs to anything (Data 4.1).
func (p *parser) extensions() *Error {
	if _, e := p.open(kindObject, ruleExtensions); e != nil {
		return e
	}
	for n := 1; ; n++ {
		name, e := p.name()
		if name == nil {
			return e
		}
		if !IsIRI(name) {
			return invalid(ruleExtensions, "key "+strconv.Itoa(n)+" is not an absolute IRI")
		}
		if e := p.skipAny(); e != nil {
			return e
		}
	}
}
