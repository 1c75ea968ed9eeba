package xapi

import "testing"

func TestAgentRules(t *testing.T) {
	actor := func(json string) []string { return []string{"/actor=" + json} }
	runRules(t, []ruleCase{
		{name: "no identifier", edits: actor(`{"objectType":"Agent","name":"Ada"}`), path: "/actor", reason: "needs one of mbox"},
		{name: "two identifiers", edits: actor(`{"mbox":"mailto:a@x.example","openid":"https://x.example/a"}`), path: "/actor", reason: "more than one of"},
		{name: "mbox without mailto", edits: actor(`{"mbox":"a@x.example"}`), path: "/actor/mbox", reason: "mailto:"},
		{name: "mbox without at", edits: actor(`{"mbox":"mailto:a.x.example"}`), path: "/actor/mbox", reason: "mailto:"},
		{name: "mbox number", edits: actor(`{"mbox":1}`), path: "/actor/mbox", reason: "must be a string"},
		{name: "sha1 too short", edits: actor(`{"mbox_sha1sum":"abc"}`), path: "/actor/mbox_sha1sum", reason: "40 hexadecimal"},
		{name: "sha1 not hex", edits: actor(`{"mbox_sha1sum":"zz23456789abcdef0123456789abcdef01234567"}`), path: "/actor/mbox_sha1sum", reason: "40 hexadecimal"},
		{name: "openid relative", edits: actor(`{"openid":"x.example/a"}`), path: "/actor/openid", reason: "absolute IRI"},
		{name: "account", edits: actor(`{"account":{"homePage":"https://x.example","name":"a"}}`)},
		{name: "account text", edits: actor(`{"account":"a"}`), path: "/actor/account", reason: "must be an object"},
		{name: "account without name", edits: actor(`{"account":{"homePage":"https://x.example"}}`), path: "/actor/account", reason: "both homePage and name"},
		{name: "account with empty name", edits: actor(`{"account":{"homePage":"https://x.example","name":""}}`), path: "/actor/account/name", reason: "empty"},
		{name: "account without home page", edits: actor(`{"account":{"name":"a"}}`), path: "/actor/account", reason: "both homePage and name"},
		{name: "account home page relative", edits: actor(`{"account":{"homePage":"x.example","name":"a"}}`), path: "/actor/account/homePage", reason: "absolute IRI"},
		{name: "account name number", edits: actor(`{"account":{"homePage":"https://x.example","name":7}}`), path: "/actor/account/name", reason: "must be a string"},
		{name: "account unknown property", edits: actor(`{"account":{"homePage":"https://x.example","name":"a","id":1}}`), path: "/actor/account", reason: "not one of homePage, name"},
		{name: "unknown property", edits: actor(`{"mbox":"mailto:a@x.example","email":"a"}`), path: "/actor", reason: "property 2 is not one of"},
		{name: "name number", edits: actor(`{"mbox":"mailto:a@x.example","name":7}`), path: "/actor/name", reason: "must be a string"},
		{name: "type lower case", edits: actor(`{"objectType":"agent","mbox":"mailto:a@x.example"}`), path: "/actor/objectType", reason: "Agent or Group"},
		{name: "type Person", edits: actor(`{"objectType":"Person","mbox":"mailto:a@x.example"}`), path: "/actor/objectType", reason: "Agent or Group"},
		{name: "type null", edits: actor(`{"objectType":null,"mbox":"mailto:a@x.example"}`), path: "/actor/objectType", reason: "not null"},
		{name: "agent with member", edits: actor(`{"mbox":"mailto:a@x.example","member":[]}`), path: "/actor", reason: "an agent has no member"},
		{name: "anonymous group", edits: actor(`{"objectType":"Group","member":[{"mbox":"mailto:a@x.example"}]}`)},
		{name: "anonymous group without member", edits: actor(`{"objectType":"Group","name":"x"}`), path: "/actor", reason: "needs its members"},
		{name: "identified group", edits: actor(`{"objectType":"Group","mbox":"mailto:g@x.example"}`)},
		{name: "identified group with members", edits: actor(`{"member":[{"openid":"https://x.example/a"}],"mbox":"mailto:g@x.example","objectType":"Group"}`)},
		{name: "group with two identifiers", edits: actor(`{"objectType":"Group","mbox":"mailto:g@x.example","openid":"https://x.example/a"}`), path: "/actor", reason: "more than one of"},
		{name: "group in group", edits: actor(`{"objectType":"Group","member":[{"mbox":"mailto:a@x.example"},{"objectType":"Group","mbox":"mailto:g@x.example"}]}`), path: "/actor/member/1", reason: "not a group"},
		{name: "member object", edits: actor(`{"objectType":"Group","member":{"mbox":"mailto:a@x.example"}}`), path: "/actor/member", reason: "must be an array"},
		{name: "bad member", edits: actor(`{"objectType":"Group","member":[{"name":"x"}]}`), path: "/actor/member/0", reason: "needs one of mbox"},
		{name: "instructor group", edits: []string{`/context={"instructor":{"objectType":"Group","mbox":"mailto:g@x.example"}}`}},
		{name: "instructor without identifier", edits: []string{`/context={"instructor":{}}`}, path: "/context/instructor", reason: "needs one of mbox"},
		{name: "team agent", edits: []string{`/context={"team":{"mbox":"mailto:g@x.example"}}`}, path: "/context/team", reason: "must be a group"},
		{name: "object agent", edits: []string{`/object={"objectType":"Agent","mbox":"mailto:a@x.example"}`}},
		{name: "object agent without type", edits: []string{`/object={"mbox":"mailto:a@x.example"}`}, path: "/object", reason: "objectType Activity does not have"},
		{name: "object agent with id", edits: []string{`/object={"objectType":"Agent","mbox":"mailto:a@x.example","id":"https://x.example"}`}, path: "/object/id", reason: "objectType is Agent"},
		{name: "object agent without identifier", edits: []string{`/object={"objectType":"Agent","name":"x"}`}, path: "/object", reason: "needs one of mbox"},
		{name: "object agent with member", edits: []string{`/object={"objectType":"Agent","mbox":"mailto:a@x.example","member":[]}`}, path: "/object", reason: "an agent has no member"},
		{name: "object group, type last", edits: []string{`/object={"member":[{"mbox":"mailto:a@x.example"}],"objectType":"Group"}`}},
		{name: "object group in group", edits: []string{`/object={"member":[{"objectType":"Group","mbox":"mailto:a@x.example"}],"objectType":"Group"}`}, path: "/object/member/0", reason: "not a group"},
	})
}

func TestParseAgent(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		want      Agent
		reason    string
	}{
		{"mbox", `{"mbox":"mailto:Ada@Campus.EXAMPLE"}`, Agent{Identifier: Identifier{Kind: Mbox, Value: "mailto:Ada@campus.example"}}, ""},
		{"sha1", `{"mbox_sha1sum":"0123456789ABCDEF0123456789ABCDEF01234567"}`, Agent{Identifier: Identifier{Kind: MboxSHA1Sum, Value: "0123456789abcdef0123456789abcdef01234567"}}, ""},
		{"openid", `{"openid":"https://x.example/A"}`, Agent{Identifier: Identifier{Kind: OpenID, Value: "https://x.example/A"}}, ""},
		{"account", `{"account":{"name":"a","homePage":"https://x.example"}}`, Agent{Identifier: Identifier{Kind: Account, HomePage: "https://x.example", Name: "a"}}, ""},
		{"group", `{"objectType":"Group","name":"G","mbox":"mailto:g@x.example"}`, Agent{Group: true, Name: "G", Identifier: Identifier{Kind: Mbox, Value: "mailto:g@x.example"}}, ""},
		{"escapes", `{"\u006dbox":"mailto:\u0061@x.example"}`, Agent{Identifier: Identifier{Kind: Mbox, Value: "mailto:a@x.example"}}, ""},
		{"anonymous group", `{"objectType":"Group","member":[]}`, Agent{}, "cannot be looked up"},
		{"no identifier", `{}`, Agent{}, "needs one of"},
		{"text", `"x"`, Agent{}, "must be an object"},
		{"empty", ``, Agent{}, "ends early"},
		{"two", `{"mbox":"mailto:a@x.example"}{}`, Agent{}, "more JSON follows"},
		{"twice", `{"mbox":"mailto:a@x.example","mbox":"mailto:b@x.example"}`, Agent{}, "more than once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseAgent([]byte(c.raw), V1)
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			wantReason(t, err, c.reason)
		})
	}
}

func TestIdentifier(t *testing.T) {
	mbox := Identifier{Kind: Mbox, Value: "mailto:ada@campus.example"}
	sum, ok := mbox.MboxSHA1()
	// printf %s mailto:ada@campus.example | sha1sum
	if want := (Identifier{Kind: MboxSHA1Sum, Value: "657b0fc01c43099b2b3e3060facdd6204019c71d"}); !ok || sum != want {
		t.Errorf("got %+v, %v, want %+v", sum, ok, want)
	}
	if _, ok := sum.MboxSHA1(); ok {
		t.Error("a hash has no hash")
	}
	seen := map[string]Identifier{}
	for _, id := range []Identifier{
		mbox, sum,
		{Kind: OpenID, Value: "https://x.example/a"},
		{Kind: OpenID, Value: "mailto:ada@campus.example"},
		{Kind: Account, HomePage: "https://x.example", Name: "a|b"},
		{Kind: Account, HomePage: "https://x.example|a", Name: "b"},
		{Kind: Account, HomePage: "https://x.example", Name: "19:a"},
	} {
		text := id.Canonical()
		if other, twice := seen[text]; twice {
			t.Errorf("%+v and %+v are both %q", id, other, text)
		}
		seen[text] = id
	}
	if got, want := (Identifier{Kind: Account, HomePage: "https://x.example", Name: "a"}).Canonical(), "v1|account|17:https://x.example|a"; got != want {
		t.Errorf("got %q, want %q: stored indexes depend on it", got, want)
	}
	if got, want := mbox.Canonical(), "v1|mbox|mailto:ada@campus.example"; got != want {
		t.Errorf("got %q, want %q: stored indexes depend on it", got, want)
	}
	if got := (Identifier{}).Canonical(); got != "" {
		t.Errorf("nobody is %q", got)
	}
}
