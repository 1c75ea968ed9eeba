package xapi

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Canonical gives bytes that two statements share if and only if they are equal for the purpose of a
// repeated id (Data 2.3.1, IEEE 4.2.3). Stored digests are made of it, so it must never change.
//
// Left out, because a store sets them or the specification exempts them: id, stored, authority, version,
// the display of verbs, the definitions of activities. Made the same: the order of properties, of a
// group's members and of each list of context activities; a single context activity and a list of one; an
// objectType left out and its default; spellings of one number, one string, one instant (to the
// microsecond), one UUID; the case of language tags, media types, hashes and the domain of an mbox;
// digits of a duration beyond 0.01 s. Everything else counts, attachments and their order too.
//
// The statement's own timestamp counts if it is there. A store that compares what it gave out (with the
// timestamp it set) against what comes in uses CanonicalUntimed and compares the instants by itself.
func (s *Statement) Canonical() []byte { return s.canonical(shapeStatement) }

// CanonicalUntimed is Canonical without the statement's own timestamp.
func (s *Statement) CanonicalUntimed() []byte { return s.canonical(shapeUntimed) }

func (s *Statement) canonical(sh shape) []byte {
	c := canonicaliser{tape: readTape(s.Raw), v: s.Version, out: make([]byte, 0, len(s.Raw))}
	defer c.free()
	c.value(0, sh)
	return c.out
}

// shape says by which rules a value is made canonical.
type shape uint8

const (
	shapePlain shape = iota
	shapeDrop
	shapeStatement
	shapeUntimed
	shapeUnsigned
	shapeSubStatement
	shapeVerb
	shapeObject
	shapeActivity
	shapeStatementRef
	shapeAgent
	shapeMembers
	shapeResult
	shapeContext
	shapeContextActivities
	shapeActivities
	shapeContextAgents
	shapeContextAgent
	shapeAttachments
	shapeUnsignedAttachments
	shapeAttachment
	shapeLanguageMap
	shapeTime
	shapeDuration
	shapeMbox
	shapeLower
	shapeMediaType
)

// shapes are the properties whose values, and values whose elements (""), are more than plain JSON.
var shapes = [...]map[string]shape{
	shapeStatement: {"id": shapeDrop, "stored": shapeDrop, "authority": shapeDrop, "version": shapeDrop,
		"actor": shapeAgent, "verb": shapeVerb, "object": shapeObject, "result": shapeResult,
		"context": shapeContext, "timestamp": shapeTime, "attachments": shapeAttachments},
	shapeUntimed: {"id": shapeDrop, "stored": shapeDrop, "authority": shapeDrop, "version": shapeDrop,
		"actor": shapeAgent, "verb": shapeVerb, "object": shapeObject, "result": shapeResult,
		"context": shapeContext, "timestamp": shapeDrop, "attachments": shapeAttachments},
	shapeUnsigned: {"id": shapeDrop, "stored": shapeDrop, "authority": shapeDrop, "version": shapeDrop,
		"actor": shapeAgent, "verb": shapeVerb, "object": shapeObject, "result": shapeResult,
		"context": shapeContext, "timestamp": shapeDrop, "attachments": shapeUnsignedAttachments},
	shapeSubStatement: {"actor": shapeAgent, "verb": shapeVerb, "object": shapeObject, "result": shapeResult,
		"context": shapeContext, "timestamp": shapeTime, "attachments": shapeAttachments},
	shapeVerb:         {"display": shapeDrop},
	shapeActivity:     {"definition": shapeDrop, "objectType": shapeDrop},
	shapeStatementRef: {"id": shapeLower},
	shapeAgent:        {"mbox": shapeMbox, "mbox_sha1sum": shapeLower, "member": shapeMembers},
	shapeResult:       {"duration": shapeDuration},
	shapeContext: {"registration": shapeLower, "instructor": shapeAgent, "team": shapeAgent,
		"contextActivities": shapeContextActivities, "language": shapeLower, "statement": shapeStatementRef,
		"contextAgents": shapeContextAgents, "contextGroups": shapeContextAgents},
	shapeContextActivities: {"parent": shapeActivities, "grouping": shapeActivities,
		"category": shapeActivities, "other": shapeActivities},
	shapeContextAgents:       {"": shapeContextAgent},
	shapeContextAgent:        {"agent": shapeAgent, "group": shapeAgent},
	shapeAttachments:         {"": shapeAttachment},
	shapeUnsignedAttachments: {"": shapeAttachment},
	shapeAttachment: {"display": shapeLanguageMap, "description": shapeLanguageMap,
		"contentType": shapeMediaType, "sha2": shapeLower},
	shapeMediaType: {},
}

type canonicaliser struct {
	*tape
	v   Version
	out []byte
}

// member is a property on its way to its place in the order of names.
type member struct {
	name  []byte
	value int
}

func (c *canonicaliser) value(n int, sh shape) {
	switch first := c.raw[c.nodes[n].start]; {
	case sh == shapeMembers:
		c.set(n, shapeAgent, false)
	case sh == shapeActivities:
		c.set(n, shapeActivity, true)
	case first == '{':
		c.object(n, sh)
	case first == '[':
		c.out = append(c.out, '[')
		for e := n + 1; e < c.nodes[n].after; e = c.nodes[e].after {
			if sh == shapeUnsignedAttachments && c.signature(e) {
				continue
			}
			c.value(e, shapes[sh][""])
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, ']')
	case first == '"':
		c.string(n, sh)
	case first == '-' || isDigit(first):
		c.out = appendNumber(c.out, c.raw[c.nodes[n].start:c.nodes[n].end])
	default:
		c.out = append(c.out, c.raw[c.nodes[n].start:c.nodes[n].end]...)
	}
}

func (c *canonicaliser) object(n int, sh shape) {
	c.out = append(c.out, '{')
	if sh == shapeObject {
		sh = c.objectShape(n)
	}
	if sh == shapeAgent && c.property(n, "objectType") < 0 {
		c.out = append(c.out, `"objectType":"Agent",`...)
	}
	var few [12]member
	members := few[:0]
	for k := n + 1; k < c.nodes[n].after; k = c.nodes[k+1].after {
		m := member{c.text(k), k + 1}
		if sh == shapeLanguageMap {
			m.name = []byte(asciiLower(string(m.name)))
		}
		members = append(members, m)
	}
	// An agent without objectType must come out like one with it: the default is first, so is the property.
	slices.SortFunc(members, func(a, b member) int {
		if sh == shapeAgent && string(a.name) != string(b.name) {
			if string(a.name) == "objectType" {
				return -1
			} else if string(b.name) == "objectType" {
				return 1
			}
		}
		return bytes.Compare(a.name, b.name)
	})
	for _, m := range members {
		inner := shapes[sh][string(m.name)]
		if inner == shapeDrop || inner == shapeUnsignedAttachments && !c.unsigned(m.value) {
			continue
		}
		c.out = append(appendQuoted(c.out, m.name), ':')
		c.value(m.value, inner)
		c.out = append(c.out, ',')
	}
	c.out = append(c.out, '}')
}

// objectShape tells what the object of a statement is. An activity loses its objectType, the default; no
// other kind of object can be taken for it, since all of them keep theirs.
func (c *canonicaliser) objectShape(n int) shape {
	kind := c.property(n, "objectType")
	if kind < 0 {
		return shapeActivity
	}
	switch string(c.text(kind)) {
	case "Agent", "Group":
		return shapeAgent
	case "StatementRef":
		return shapeStatementRef
	case "SubStatement":
		return shapeSubStatement
	}
	return shapeActivity
}

// set writes a list in the order of its canonical elements; what is no list counts as a list of one.
func (c *canonicaliser) set(n int, sh shape, distinct bool) {
	c.out = append(c.out, '[')
	start := len(c.out)
	if c.raw[c.nodes[n].start] != '[' {
		c.value(n, sh)
		c.out = append(c.out, ",]"...)
		return
	}
	var elements [][]byte
	for e := n + 1; e < c.nodes[n].after; e = c.nodes[e].after {
		from := len(c.out)
		c.value(e, sh)
		elements = append(elements, append(bytes.Clone(c.out[from:]), ','))
	}
	slices.SortFunc(elements, bytes.Compare)
	if distinct {
		elements = slices.CompactFunc(elements, bytes.Equal)
	}
	c.out = c.out[:start]
	for _, element := range elements {
		c.out = append(c.out, element...)
	}
	c.out = append(c.out, ']')
}

func (c *canonicaliser) string(n int, sh shape) {
	quoted := c.raw[c.nodes[n].start:c.nodes[n].end]
	text := unquoted(quoted)
	switch sh {
	case shapeTime:
		if t, err := ParseTime(view(text), c.v); err == nil {
			c.out = append(AppendTime(append(c.out, '"'), t), '"')
			return
		}
	case shapeDuration:
		if d, err := ParseDuration(string(text)); err == nil {
			text = []byte(d.Canonical())
		}
	case shapeMbox:
		text = []byte(canonicalMbox(string(text)))
	case shapeLower:
		text = []byte(asciiLower(string(text)))
	case shapeMediaType:
		essence, parameters, _ := strings.Cut(string(text), ";")
		text = []byte(asciiLower(strings.TrimSpace(essence)) + ";" + strings.TrimSpace(parameters))
	default:
		if len(text) == len(quoted)-2 { // no escapes
			c.out = append(c.out, quoted...)
			return
		}
	}
	c.out = appendQuoted(c.out, text)
}

// appendQuoted writes text as the one JSON string that stands for it in canonical form.
func appendQuoted(dst, text []byte) []byte {
	quoted, err := jsontext.AppendQuote(dst, text)
	if err != nil { // invalid UTF-8, which Parse has refused
		return append(dst, text...)
	}
	return quoted
}

// appendNumber writes a JSON number by its value: the digits without zeros at either end and a power of
// ten, or 0. So 1, 1.0, 10e-1 and 0.1E1 are one number, and no digit is lost as it would be in a float.
func appendNumber(dst, number []byte) []byte {
	mantissa, exponent := number, 0
	if e := bytes.IndexAny(number, "eE"); e >= 0 {
		power, err := strconv.Atoi(view(number[e+1:]))
		if err != nil || len(number)-e > 18 {
			return append(dst, number...) // beyond any machine number: only the same spelling is the same
		}
		mantissa, exponent = number[:e], power
	}
	negative := mantissa[0] == '-'
	if negative {
		mantissa = mantissa[1:]
	}
	digits := make([]byte, 0, 32)
	for i, c := range mantissa {
		if c == '.' {
			exponent -= len(mantissa) - i - 1
			continue
		}
		digits = append(digits, c)
	}
	digits = bytes.TrimLeft(digits, "0")
	significant := bytes.TrimRight(digits, "0")
	exponent += len(digits) - len(significant)
	if len(significant) == 0 {
		return append(dst, '0')
	}
	if negative {
		dst = append(dst, '-')
	}
	dst = append(append(dst, significant...), 'e')
	return strconv.AppendInt(dst, int64(exponent), 10)
}
