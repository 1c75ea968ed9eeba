package xapi

import (
	"fmt"
	"time"

	"pgregory.net/rapid"
)

// grower draws statements. Its serial numbers keep what must differ apart.
type grower struct {
	t      *rapid.T
	v      Version
	serial int
}

func (g *grower) one(n int) bool { return rapid.IntRange(0, n-1).Draw(g.t, "one") == 0 }

func (g *grower) next() int { g.serial++; return g.serial }

func (g *grower) word() string {
	return rapid.StringMatching(`[a-zé😀"\\/ ]{0,6}`).Draw(g.t, "word") + fmt.Sprint(g.next())
}

func (g *grower) iri() text { return text(fmt.Sprintf("https://x.example/%d/ü", g.next())) }

func (g *grower) uuid() caseful {
	return caseful(fmt.Sprintf("%08x-6a5e-4a3c-8a52-7d0f6f0c1a%02x", g.next(), rapid.IntRange(0, 255).Draw(g.t, "uuid")))
}

// maybe adds a property one time in two.
func (g *grower) maybe(o object, name string, value func() tree) object {
	if g.one(2) {
		return append(o, property{name: name, value: value()})
	}
	return o
}

func (g *grower) identifier() property {
	switch rapid.IntRange(0, 3).Draw(g.t, "identifier") {
	case 0:
		return property{name: "mbox", value: mailbox{fmt.Sprintf("Person%d", g.next()), "campus.example"}}
	case 1:
		return property{name: "mbox_sha1sum", value: caseful(fmt.Sprintf("%040x", g.next()))}
	case 2:
		return property{name: "openid", value: g.iri()}
	}
	return property{name: "account", value: object{{name: "homePage", value: g.iri()}, {name: "name", value: text(g.word())}}}
}

// agent draws an agent; explicit if its objectType must be there.
func (g *grower) agent(explicit bool) tree {
	o := object{{name: "objectType", value: text("Agent"), implied: !explicit}, g.identifier()}
	return g.maybe(o, "name", func() tree { return text(g.word()) })
}

func (g *grower) group() tree {
	o := object{{name: "objectType", value: text("Group")}}
	if g.one(2) {
		o = append(o, g.identifier())
	}
	if len(o) == 1 || g.one(2) {
		var members []tree
		for range rapid.IntRange(0, 3).Draw(g.t, "members") {
			members = append(members, g.agent(false))
		}
		o = append(o, property{name: "member", value: unordered{items: members}})
	}
	return g.maybe(o, "name", func() tree { return text(g.word()) })
}

func (g *grower) someone() tree {
	if g.one(2) {
		return g.group()
	}
	return g.agent(false)
}

func (g *grower) anything(depth int) tree {
	switch k := rapid.IntRange(0, 6).Draw(g.t, "anything"); {
	case k == 0:
		return literal(rapid.SampledFrom([]string{"true", "false", "null"}).Draw(g.t, "literal"))
	case k == 1:
		return number{rapid.IntRange(-999, 999).Draw(g.t, "value"), rapid.IntRange(-3, 3).Draw(g.t, "power")}
	case k == 2 && depth < 3:
		var a array
		for range rapid.IntRange(0, 3).Draw(g.t, "elements") {
			a = append(a, g.anything(depth+1))
		}
		return a
	case k == 3 && depth < 3:
		var o object
		for range rapid.IntRange(0, 3).Draw(g.t, "properties") {
			o = append(o, property{name: g.word(), value: g.anything(depth + 1)})
		}
		return o
	}
	return text(g.word())
}

func (g *grower) extensions() tree {
	var o object
	for range rapid.IntRange(0, 2).Draw(g.t, "extensions") {
		o = append(o, property{name: string(g.iri()), value: g.anything(0)})
	}
	return o
}

func (g *grower) activity() tree {
	o := object{{name: "objectType", value: text("Activity"), implied: true}, {name: "id", value: g.iri()}}
	if g.one(2) {
		o = append(o, property{name: "definition", exempt: true, value: object{
			{name: "name", value: object{{name: "en", value: text(g.word())}}}, {name: "extensions", value: g.extensions()}}})
	}
	return o
}

func (g *grower) activities() tree {
	var items []tree
	for range rapid.IntRange(0, 3).Draw(g.t, "activities") {
		items = append(items, g.activity())
	}
	return unordered{items: items, single: true}
}

func (g *grower) reference() tree {
	return object{{name: "objectType", value: text("StatementRef")}, {name: "id", value: g.uuid()}}
}

func (g *grower) context(activity bool) tree {
	var o object
	o = g.maybe(o, "registration", func() tree { return g.uuid() })
	o = g.maybe(o, "instructor", g.someone)
	o = g.maybe(o, "team", g.group)
	o = g.maybe(o, "language", func() tree { return caseful("de-ch") })
	o = g.maybe(o, "statement", g.reference)
	o = g.maybe(o, "extensions", g.extensions)
	o = g.maybe(o, "contextActivities", func() tree {
		var c object
		for _, name := range []string{"parent", "grouping", "category", "other"} {
			c = g.maybe(c, name, g.activities)
		}
		return c
	})
	if activity {
		o = g.maybe(o, "platform", func() tree { return text(g.word()) })
		o = g.maybe(o, "revision", func() tree { return text(g.word()) })
	}
	if g.v >= V2 {
		o = g.maybe(o, "contextAgents", func() tree {
			return array{object{{name: "objectType", value: text("contextAgent")}, {name: "agent", value: g.agent(false)},
				{name: "relevantTypes", value: array{g.iri()}}}}
		})
		o = g.maybe(o, "contextGroups", func() tree {
			return array{object{{name: "objectType", value: text("contextGroup")}, {name: "group", value: g.group()}}}
		})
	}
	return o
}

func (g *grower) result() tree {
	var o object
	o = g.maybe(o, "success", func() tree { return literal("true") })
	o = g.maybe(o, "completion", func() tree { return literal("false") })
	o = g.maybe(o, "response", func() tree { return text(g.word()) })
	o = g.maybe(o, "duration", func() tree { return length(fmt.Sprintf("PT%d.25S", g.next())) })
	o = g.maybe(o, "extensions", g.extensions)
	return g.maybe(o, "score", func() tree {
		return object{{name: "raw", value: number{g.next(), 0}}, {name: "scaled", value: number{5, -1}}}
	})
}

func (g *grower) attachments() tree {
	return array{object{{name: "usageType", value: g.iri()}, {name: "display", value: object{{name: "en", value: text(g.word())}}},
		{name: "contentType", value: caseful("text/plain")}, {name: "length", value: number{g.next(), 0}},
		{name: "sha2", value: caseful(fmt.Sprintf("%064x", g.next()))}}}
}

// core draws what statements and sub-statements share.
func (g *grower) core(sub bool) object {
	o := object{{name: "actor", value: g.someone()},
		{name: "verb", value: object{{name: "id", value: g.iri()}, {name: "display", exempt: true, value: object{{name: "en", value: text(g.word())}}}}}}
	activity := false
	switch k := rapid.IntRange(0, 5).Draw(g.t, "object"); {
	case k == 0:
		o = append(o, property{name: "object", value: g.agent(true)})
	case k == 1:
		o = append(o, property{name: "object", value: g.group()})
	case k == 2:
		o = append(o, property{name: "object", value: g.reference()})
	case k == 3 && !sub:
		inner := append(g.core(true), property{name: "objectType", value: text("SubStatement")})
		o = append(o, property{name: "object", value: inner})
	default:
		activity = true
		o = append(o, property{name: "object", value: g.activity()})
	}
	o = g.maybe(o, "result", g.result)
	o = g.maybe(o, "context", func() tree { return g.context(activity) })
	o = g.maybe(o, "attachments", g.attachments)
	return g.maybe(o, "timestamp", func() tree {
		return instant(time.Date(2026, 1, 2, 3, 4, 5, 1000*g.next(), time.UTC))
	})
}

func (g *grower) statement() object {
	o := g.core(false)
	exempt := func(name string, value tree) {
		if g.one(2) {
			o = append(o, property{name: name, value: value, exempt: true})
		}
	}
	exempt("id", g.uuid())
	exempt("stored", text("2026-01-02T03:04:05Z"))
	exempt("authority", g.agent(false))
	exempt("version", text("1.0.0"))
	return o
}

// generated draws a statement for an edition drawn too.
func generated(t *rapid.T) (object, Version) {
	g := grower{t: t, v: rapid.SampledFrom([]Version{V1, V2}).Draw(t, "version")}
	return g.statement(), g.v
}
