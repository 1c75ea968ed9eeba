package xapi

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"
)

// Agent is an agent or a group as a value.
type Agent struct {
	Group      bool
	Identifier Identifier // Kind is NoIdentifier for an anonymous group
	Name       string     // "" if absent
}

// IdentifierKind is one of the four inverse functional identifiers (Data 2.4.2.3).
type IdentifierKind uint8

const (
	NoIdentifier IdentifierKind = 0
	Mbox         IdentifierKind = 1
	MboxSHA1Sum  IdentifierKind = 2
	OpenID       IdentifierKind = 3
	Account      IdentifierKind = 4
)

// String gives the property's name.
func (k IdentifierKind) String() string {
	switch k {
	case Mbox:
		return "mbox"
	case MboxSHA1Sum:
		return "mbox_sha1sum"
	case OpenID:
		return "openid"
	case Account:
		return "account"
	}
	return "none"
}

// Identifier is an inverse functional identifier in canonical text: two are the same person's if and only
// if they are equal (==).
type Identifier struct {
	Kind     IdentifierKind
	Value    string // "mailto:" address with its domain in lower case, SHA-1 in lower-case hex, or openid; "" for an account
	HomePage string // of an account
	Name     string // of an account
}

// IsZero says whether there is no identifier.
func (i Identifier) IsZero() bool { return i.Kind == NoIdentifier }

// Canonical gives a text that no other identifier has, the input of blind indexes. It must never change:
// "v1|mbox|mailto:a@example.org", "v1|account|19:https://example.org|name" (19 is the length of the home
// page in bytes). "" for NoIdentifier.
func (i Identifier) Canonical() string {
	switch i.Kind {
	case NoIdentifier:
		return ""
	case Account:
		return "v1|account|" + strconv.Itoa(len(i.HomePage)) + ":" + i.HomePage + "|" + i.Name
	}
	return "v1|" + i.Kind.String() + "|" + i.Value
}

// MboxSHA1 gives, for an mbox, the mbox_sha1sum of the same address: the SHA-1 of the whole mailto IRI
// with the domain in lower case (Data 2.4.2.3). False for every other kind.
func (i Identifier) MboxSHA1() (Identifier, bool) {
	if i.Kind != Mbox {
		return Identifier{}, false
	}
	sum := sha1.Sum([]byte(i.Value))
	return Identifier{Kind: MboxSHA1Sum, Value: hex.EncodeToString(sum[:])}, true
}

func canonicalMbox(mailto string) string {
	at := strings.LastIndexByte(mailto, '@')
	return mailto[:at+1] + asciiLower(mailto[at+1:])
}

// ParseAgent reads the `agent` parameter of a request: one agent, or one group with an identifier
// (Communication 2.1.3). The error is an *Error.
func ParseAgent(raw []byte, v Version) (Agent, error) {
	r := newReader(raw, v, DefaultLimits)
	defer r.release()
	p := parser{reader: r, st: new(Statement)}
	agent, e := p.agentParameter()
	if e != nil {
		return Agent{}, e.cited(v)
	}
	return agent, nil
}

func (p *parser) agentParameter() (Agent, *Error) {
	if len(p.input) > p.limits.MaxBytes {
		return Agent{}, tooLarge("the agent is longer than " + strconv.Itoa(p.limits.MaxBytes) + " bytes")
	}
	if e := p.agent(RoleActor, false, eitherKind); e != nil {
		return Agent{}, e
	}
	if e := p.end(); e != nil {
		return Agent{}, e
	}
	agent := p.st.Agents[0].Agent
	if agent.Identifier.IsZero() {
		return Agent{}, invalid(ruleGroup, "a group without an identifier cannot be looked up")
	}
	return agent, nil
}

// agentKinds says what may stand at a place.
type agentKinds uint8

const (
	eitherKind agentKinds = iota // an agent or a group
	agentOnly
	groupOnly
)

// agentForm collects the properties of an agent or group, whose order is free.
type agentForm struct {
	index     int // in Statement.Agents; -1 until it is known that this is an agent
	objects   int // objectType: 0 absent, else the ObjectKind
	agent     Agent
	ids       int  // how many identifiers
	hasName   bool // an object of another kind must not have one
	hasMember bool
	members   int
}

// agent reads one agent or group and adds it and its members to the statement.
func (p *parser) agent(role Role, sub bool, kinds agentKinds) *Error {
	start, e := p.open(kindObject, ruleAgent)
	if e != nil {
		return e
	}
	f := agentForm{index: -1}
	if e := p.reserve(&f, role, sub, start); e != nil {
		return e
	}
	for n := 1; ; n++ {
		name, e := p.name()
		if e != nil {
			return e
		}
		if name == nil {
			break
		}
		if string(name) == "objectType" {
			if e := p.agentType(&f); e != nil {
				return e.in("objectType")
			}
			continue
		}
		known, e := p.agentProperty(&f, name, role, sub, start)
		if e != nil {
			return e
		}
		if !known {
			return unknownProperty(ruleAgent, n, name, "objectType", "name", "mbox", "mbox_sha1sum", "openid", "account", "member")
		}
	}
	if e := p.finishAgent(&f, kinds); e != nil {
		return e
	}
	p.st.Agents[f.index].Agent = f.agent
	p.st.Agents[f.index].End = p.offset()
	return nil
}

// reserve gives the agent its place in document order, before its members.
func (p *parser) reserve(f *agentForm, role Role, sub bool, start int) *Error {
	if len(p.st.Agents) >= p.limits.MaxAgents {
		return tooLarge("more than " + strconv.Itoa(p.limits.MaxAgents) + " agents in one statement")
	}
	f.index = len(p.st.Agents)
	p.st.Agents = append(p.st.Agents, Occurrence{Role: role, Start: start, Parent: -1, Sub: sub})
	return nil
}

func (p *parser) agentType(f *agentForm) *Error {
	text, e := p.bytes(ruleAgent)
	if e != nil {
		return e
	}
	switch string(text) {
	case "Agent":
		f.objects = int(ObjectAgent)
	case "Group":
		f.objects = int(ObjectGroup)
		f.agent.Group = true
	default:
		return invalid(ruleAgent, "must be Agent or Group, spelt so")
	}
	return nil
}

// agentProperty reads a property that only agents and groups have.
func (p *parser) agentProperty(f *agentForm, name []byte, role Role, sub bool, start int) (known bool, e *Error) {
	switch string(name) {
	case "name":
		f.hasName = true
		f.agent.Name, e = p.string(ruleAgent)
		return true, e.in("name")
	case "mbox":
		return true, p.mbox(f).in("mbox")
	case "mbox_sha1sum":
		return true, p.mboxSHA1Sum(f).in("mbox_sha1sum")
	case "openid":
		return true, p.openID(f).in("openid")
	case "account":
		return true, p.account(f).in("account")
	case "member":
		f.hasMember = true
		if f.index < 0 {
			if e := p.reserve(f, role, sub, start); e != nil {
				return true, e.in("member")
			}
		}
		return true, p.members(f, sub).in("member")
	}
	return false, nil
}

func (p *parser) members(f *agentForm, sub bool) *Error {
	if _, e := p.open(kindArray, ruleGroup); e != nil {
		return e
	}
	for i := 0; ; i++ {
		more, e := p.next()
		if e != nil {
			return e
		}
		if !more {
			f.members = i
			return nil
		}
		member := len(p.st.Agents)
		if e := p.agent(RoleMember, sub, agentOnly); e != nil {
			return e.at(i)
		}
		p.st.Agents[member].Parent = f.index
	}
}

func (p *parser) mbox(f *agentForm) *Error {
	text, e := p.string(ruleIdentifier)
	if e != nil {
		return e
	}
	if !isMailto(text) {
		return invalid(ruleIdentifier, `must be "mailto:" and one email address`)
	}
	f.ids++
	f.agent.Identifier = Identifier{Kind: Mbox, Value: canonicalMbox(text)}
	return nil
}

func (p *parser) mboxSHA1Sum(f *agentForm) *Error {
	text, e := p.string(ruleIdentifier)
	if e != nil {
		return e
	}
	if !isSHA1(text) {
		return invalid(ruleIdentifier, "must be a SHA-1 hash: 40 hexadecimal digits")
	}
	f.ids++
	f.agent.Identifier = Identifier{Kind: MboxSHA1Sum, Value: asciiLower(text)}
	return nil
}

func (p *parser) openID(f *agentForm) *Error {
	text, e := p.iri(ruleIdentifier)
	if e != nil {
		return e
	}
	f.ids++
	f.agent.Identifier = Identifier{Kind: OpenID, Value: text}
	return nil
}

func (p *parser) account(f *agentForm) *Error {
	if _, e := p.open(kindObject, ruleAccount); e != nil {
		return e
	}
	id := Identifier{Kind: Account}
	for n := 1; ; n++ {
		name, e := p.name()
		if e != nil {
			return e
		}
		if name == nil {
			break
		}
		switch string(name) {
		case "homePage":
			if id.HomePage, e = p.iri(ruleAccount); e != nil {
				return e.in("homePage")
			}
		case "name":
			if id.Name, e = p.string(ruleAccount); e != nil {
				return e.in("name")
			}
			// The text asks for "the unique id or name"; an empty one would make one person of many.
			if id.Name == "" {
				return invalid(ruleAccount, "must not be empty").in("name")
			}
		default:
			return unknownProperty(ruleAccount, n, name, "homePage", "name")
		}
	}
	if id.HomePage == "" || id.Name == "" {
		return invalid(ruleAccount, "an account needs both homePage and name")
	}
	f.ids++
	f.agent.Identifier = id
	return nil
}

// finishAgent checks what can be judged only when all properties are known.
func (p *parser) finishAgent(f *agentForm, kinds agentKinds) *Error {
	switch {
	case kinds == agentOnly && f.agent.Group:
		return invalid(ruleGroup, "must be an agent, not a group")
	case kinds == groupOnly && !f.agent.Group:
		return invalid(ruleContext, "must be a group: its objectType must be Group")
	case f.ids > 1:
		return invalid(ruleIdentifier, "has more than one of mbox, mbox_sha1sum, openid and account; exactly one may be there")
	case !f.agent.Group && f.hasMember:
		return invalid(ruleAgent, "an agent has no member; a group has objectType Group")
	case !f.agent.Group && f.ids == 0:
		return invalid(ruleAgent, "an agent needs one of mbox, mbox_sha1sum, openid and account")
	case f.agent.Group && f.ids == 0 && !f.hasMember:
		return invalid(ruleGroup, "a group without an identifier needs its members in member")
	}
	return nil
}
