package xapi

import (
	"bytes"
	"testing"
)

func TestCanonical(t *testing.T) {
	const (
		same      = true
		different = false
	)
	for _, c := range []struct {
		name string
		base string
		one  []string
		two  []string
		want bool
	}{
		{"identical", full, nil, nil, same},
		{"id", full, nil, []string{`-/id`}, same},
		{"stored", full, nil, []string{`/stored="2020-01-01T00:00:00Z"`}, same},
		{"authority", full, nil, []string{`/authority={"mbox":"mailto:x@x.example"}`}, same},
		{"version", full, nil, []string{`/version="1.0"`}, same},
		{"timestamp zone", full, nil, []string{`/timestamp="2026-01-02T02:04:05.678000Z"`}, same},
		{"timestamp below microseconds", full, []string{`/timestamp="2026-01-02T02:04:05.0000001Z"`}, []string{`/timestamp="2026-01-02T02:04:05Z"`}, same},
		{"timestamp", full, nil, []string{`/timestamp="2026-01-02T02:04:05.679Z"`}, different},
		{"timestamp left out", full, nil, []string{`-/timestamp`}, different},
		{"verb display", full, nil, []string{`-/verb/display`}, same},
		{"verb", full, nil, []string{`/verb/id="https://verbs.example/asked"`}, different},
		{"definition", full, nil, []string{`/object/definition={"name":{"en":"Other"}}`}, same},
		{"definition left out", full, nil, []string{`-/object/definition`}, same},
		{"object", full, nil, []string{`/object/id="https://campus.example/quiz/2"`}, different},
		{"object type left out", full, nil, []string{`-/object/objectType`}, same},
		{"IRI case", full, nil, []string{`/object/id="https://CAMPUS.example/quiz/1"`}, different},
		{"member order", full, []string{`/actor/member=[{"mbox":"mailto:a@x.example"},{"mbox":"mailto:b@x.example"}]`}, []string{`/actor/member=[{"mbox":"mailto:b@x.example"},{"mbox":"mailto:a@x.example"}]`}, same},
		{"member twice", full, []string{`/actor/member=[{"mbox":"mailto:a@x.example"},{"mbox":"mailto:a@x.example"}]`}, []string{`/actor/member=[{"mbox":"mailto:a@x.example"}]`}, different},
		{"member", full, nil, []string{`/actor/member=[]`}, different},
		{"agent type left out", full, nil, []string{`-/actor/member/0/objectType`}, same},
		{"agent type before an earlier property", bare, []string{`/actor={"account":{"homePage":"https://x.example","name":"a"}}`}, []string{`/actor={"objectType":"Agent","account":{"name":"a","homePage":"https://x.example"}}`}, same},
		{"agent name", full, nil, []string{`/actor/member/0/name="Eve"`}, different},
		{"mbox domain case", full, nil, []string{`/actor/member/0/mbox="mailto:ada@CAMPUS.Example"`}, same},
		{"mbox local case", full, nil, []string{`/actor/member/0/mbox="mailto:Ada@campus.example"`}, different},
		{"sha1 case", full, nil, []string{`/actor/member/1/mbox_sha1sum="0123456789ABCDEF0123456789abcdef01234567"`}, same},
		{"account", full, nil, []string{`/actor/account/name="table-5"`}, different},
		{"mbox and its hash", bare, nil, []string{`/actor={"mbox_sha1sum":"657b0fc01c43099b2b3e3060facdd6204019c71d"}`}, different},
		{"number forms", full, []string{`/result/score/raw=5.0`}, []string{`/result/score/raw=0.5e1`}, same},
		{"negative zero", full, []string{`/result/score/raw=0`}, []string{`/result/score/raw=-0.0e7`}, same},
		{"number", full, nil, []string{`/result/score/raw=5.0000000000000001`}, different},
		{"long numbers", full, []string{`/result/extensions={"https://x.example/e":12345678901234567890}`}, []string{`/result/extensions={"https://x.example/e":12345678901234567891}`}, different},
		{"sign", full, []string{`/result/score={"raw":1}`}, []string{`/result/score={"raw":-1}`}, different},
		{"huge powers", full, []string{`/result/extensions={"https://x.example/e":1e99999999999999999999}`}, []string{`/result/extensions={"https://x.example/e":1e99999999999999999998}`}, different},
		{"duration hundredths", full, []string{`/result/duration="PT1M30.509S"`}, []string{`/result/duration="PT1M30.50S"`}, same},
		{"duration", full, nil, []string{`/result/duration="PT1M30.51S"`}, different},
		{"duration units", full, nil, []string{`/result/duration="PT90.5S"`}, different},
		{"success", full, nil, []string{`/result/success=false`}, different},
		{"response", full, nil, []string{`/result/response="b"`}, different},
		{"escapes", full, nil, []string{`/result/response="\u0061"`}, same},
		{"extension escapes", full, []string{`/result/extensions={"https://x.example/e":{"a\/b":"\ud83d\ude00"}}`}, []string{`/result/extensions={"https:\/\/x.example\/e":{"a/b":"😀"}}`}, same},
		{"extension value", full, nil, []string{`/result/extensions={"https://campus.example/ext/tries":3}`}, different},
		{"extension type", full, nil, []string{`/result/extensions={"https://campus.example/ext/tries":"2"}`}, different},
		{"extension order", full, []string{`/result/extensions={"https://x.example/e":[1,2]}`}, []string{`/result/extensions={"https://x.example/e":[2,1]}`}, different},
		{"registration case", full, nil, []string{`/context/registration="9B1B0E53-6A5E-4A3C-8A52-7D0F6F0C1A02"`}, same},
		{"registration", full, nil, []string{`/context/registration="9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1aff"`}, different},
		{"single parent", full, nil, []string{`/context/contextActivities/parent=[{"id":"https://campus.example/course/1","objectType":"Activity","definition":{}}]`}, same},
		{"parent order", full, []string{`/context/contextActivities/parent=[{"id":"https://x.example/1"},{"id":"https://x.example/2"}]`}, []string{`/context/contextActivities/parent=[{"id":"https://x.example/2"},{"id":"https://x.example/1"},{"id":"https://x.example/2"}]`}, same},
		{"parent", full, nil, []string{`/context/contextActivities/parent/id="https://campus.example/course/2"`}, different},
		{"parent as grouping", full, []string{`/context/contextActivities={"parent":{"id":"https://x.example/1"}}`}, []string{`/context/contextActivities={"grouping":{"id":"https://x.example/1"}}`}, different},
		{"language case", full, nil, []string{`/context/language="EN-gb"`}, same},
		{"platform", full, nil, []string{`/context/platform="campus"`}, different},
		{"attachment hash case", full, nil, []string{`/attachments/0/sha2="495395E777CD98DA653DF9615D09C0FD6BB2F8D4788394CD53C56A3BFDCD848A"`}, same},
		{"attachment type case", full, nil, []string{`/attachments/0/contentType="Application/PDF"`}, same},
		{"attachment display tag case", full, nil, []string{`/attachments/0/display={"EN":"Certificate"}`}, same},
		{"attachment display", full, nil, []string{`/attachments/0/display={"en":"Diploma"}`}, different},
		{"attachment left out", full, nil, []string{`-/attachments`}, different},
		{"attachment order", full,
			[]string{`/attachments=[{"usageType":"https://x.example/1","display":{},"contentType":"a/b","length":1,"sha2":"495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a"},{"usageType":"https://x.example/2","display":{},"contentType":"a/b","length":1,"sha2":"495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a"}]`},
			[]string{`/attachments=[{"usageType":"https://x.example/2","display":{},"contentType":"a/b","length":1,"sha2":"495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a"},{"usageType":"https://x.example/1","display":{},"contentType":"a/b","length":1,"sha2":"495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a"}]`}, different},
		{"object kinds", bare, []string{`/object={"objectType":"Agent","mbox":"mailto:a@x.example"}`}, []string{`/object={"objectType":"Group","mbox":"mailto:a@x.example"}`}, different},
		{"reference case", bare, []string{`/object={"objectType":"StatementRef","id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a03"}`}, []string{`/object={"id":"9B1B0E53-6a5e-4a3c-8a52-7d0f6f0c1a03","objectType":"StatementRef"}`}, same},
		{"empty list and none", full, nil, []string{`-/context/contextActivities/category`}, different},
	} {
		t.Run(c.name, func(t *testing.T) {
			one, err := Parse(edited(t, c.base, c.one...), V1)
			if err != nil {
				t.Fatal(err)
			}
			two, err := Parse(edited(t, c.base, c.two...), V1)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(one.Canonical(), two.Canonical()) != c.want {
				t.Errorf("want same %v\n%s\n%s", c.want, one.Canonical(), two.Canonical())
			}
		})
	}
}

func TestCanonicalUntimed(t *testing.T) {
	untimed := func(edits ...string) string {
		st, err := Parse(edited(t, full, edits...), V1)
		if err != nil {
			t.Fatal(err)
		}
		return string(st.CanonicalUntimed())
	}
	if untimed() != untimed(`-/timestamp`) || untimed() != untimed(`/timestamp="2020-01-01T00:00:00Z"`) {
		t.Error("the timestamp counts")
	}
	if untimed() == untimed(`/result/success=false`) {
		t.Error("the result does not count")
	}
}

// Stored digests are made of these bytes: a change of this test's answer breaks every stored digest.
func TestCanonicalStays(t *testing.T) {
	st, err := Parse([]byte(full), V1)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"actor":{"objectType":"Group","account":{"homePage":"https://campus.example","name":"table-4",},"member":[` +
		`{"objectType":"Agent","mbox":"mailto:ada@campus.example","name":"Ada",},` +
		`{"objectType":"Agent","mbox_sha1sum":"0123456789abcdef0123456789abcdef01234567",},` +
		`{"objectType":"Agent","openid":"https://id.example/bo",},],"name":"Table 4",},` +
		`"attachments":[{"contentType":"application/pdf;","description":{"en":"Of merit",},"display":{"en":"Certificate",},` +
		`"fileUrl":"https://files.example/1.pdf","length":1024e0,"sha2":"495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a",` +
		`"usageType":"https://usage.example/certificate",},],` +
		`"context":{"contextActivities":{"category":[],"grouping":[{"id":"https://campus.example/term/1",},],"other":[{"id":"https://campus.example/x",},],` +
		`"parent":[{"id":"https://campus.example/course/1",},],},"extensions":{"https://campus.example/ext/room":"B12",},` +
		`"instructor":{"objectType":"Agent","mbox":"mailto:tutor@campus.example",},"language":"en-gb","platform":"Campus",` +
		`"registration":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a02","revision":"2","statement":{"id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a03","objectType":"StatementRef",},` +
		`"team":{"objectType":"Group","member":[{"objectType":"Agent","mbox":"mailto:cy@campus.example",},],},},` +
		`"object":{"id":"https://campus.example/quiz/1",},` +
		`"result":{"completion":false,"duration":"PT1M30.5S","extensions":{"https://campus.example/ext/tries":2e0,},"response":"a",` +
		`"score":{"max":1e1,"min":0,"raw":5e0,"scaled":5e-1,},"success":true,},` +
		`"timestamp":"2026-01-02T02:04:05.678000Z","verb":{"id":"https://verbs.example/answered",},}`
	if got := string(st.Canonical()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
