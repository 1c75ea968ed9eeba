package contract

import (
	"slices"
	"strings"
	"testing"
)

func TestDifferences(t *testing.T) {
	list := func(f Field) *Field { return &f }
	was := Description{
		Version: "1", ConfigSchema: `{"properties":{"url":{"type":"string"},"old":{}},"required":["url"]}`, Hosts: []string{"a.example"}, Rate: 5,
		Auth: []Auth{{Kind: AuthBearer, Secret: "token"}}, Abilities: []Ability{AbilityPlan},
		Streams: []Stream{
			{Name: "s", Key: []string{"id"}, Fields: []Field{{Name: "id", Type: Int}, {Name: "in", Type: List, Elem: list(Field{Type: Object, Fields: []Field{{Name: "x", Type: Int}}})}}},
			{Name: "gone"},
		},
	}
	if none := Differences(was, was); len(none) != 0 {
		t.Errorf("a version differs from itself: %+v", none)
	}
	is := Description{
		Version: "2", ConfigSchema: `{"properties":{"url":{"type":"string","x-secret":true},"site":{"type":"object","properties":{"name":{"type":"string"}}}},"required":["url","site"]}`,
		Hosts: []string{"a.example", "b.example"}, Secrets: []string{"token"}, Auth: []Auth{{Kind: AuthQuery, Name: "key", Secret: "token"}},
		Streams: []Stream{
			{Name: "s", Key: []string{"id", "who"}, Subject: "who", Deletes: DeletesAbsence, Mode: Incremental,
				Fields: []Field{{Name: "id", Type: String}, {Name: "who", Type: String}, {Name: "in", Type: List, Elem: list(Field{Type: Object})}}},
			{Name: "new"},
		},
	}
	var texts []string
	for _, c := range Differences(was, is) {
		texts = append(texts, strings.Join([]string{c.What, c.Where, c.Was, c.Is}, "|"))
		if weighs := c.Weighs != ""; weighs != !slices.Contains([]string{"version||1|2", "stream|new||is new", "rate||5 requests a second|", "abilities||plan|",
			"field|s.who||string", "config|site.name||string", "auth||bearer  with token to|"}, texts[len(texts)-1]) {
			t.Errorf("%s weighs: %t", texts[len(texts)-1], weighs)
		}
	}
	want := []string{
		"version||1|2", "config|old|any|", "config|url|string, required|string, secret, required", "config|site||object, required", "config|site.name||string",
		"hosts|||b.example", "secrets|||token", "auth||bearer  with token to|", "auth|||query key with token to", "rate||5 requests a second|", "abilities||plan|",
		"key|s|id|id, who", "subject|s||who", "deletes|s|none|absence", "mode|s|snapshot|incremental", "field|s.id|int|string", "field|s.in[].x|int|", "field|s.who||string",
		"stream|gone|is there|", "stream|new||is new",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(texts, "\n"), strings.Join(want, "\n"))
	}
}
