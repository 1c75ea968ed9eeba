package lrs

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/xapi"
)

// What another store gave its statements stays: the text of stored, the authority with its name or its two members, the order. All of it is as sent.
func TestImport(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "1.0.3", "statements/import", "all/read")
	kept := func(id, stored, authority string) string {
		return said("ann", "tried", "a", `,"id":"`+id+`","stored":"`+stored+`","authority":`+authority+`,"timestamp":"2019-05-01T00:00:00Z"`)
	}
	named := `{"objectType":"Agent","name":"Old LRS","account":{"homePage":"https://old.example","name":"key"}}`
	pair := `{"objectType":"Group","member":[{"account":{"homePage":"https://old.example/oauth","name":"app"}},{"mbox":"mailto:ann@example.org","name":"Ann"}]}`
	sent := []string{
		kept(uuid.NewString(), "2020-01-02T03:04:05Z", named),
		kept(uuid.NewString(), "2019-01-02T03:04:05.123456789+00:00", pair),
		said("ann", "met", "a", `,"id":"`+uuid.NewString()+`","stored":"2021-01-01T00:00:00.000Z","authority":`+named),
	}
	body := "[" + strings.Join(sent, ",") + "]"
	equal(t, "import", c.do("POST", statements, body, "Lrshub-Import", "true").status, 200)
	equal(t, "again", c.do("POST", statements, body, "Lrshub-Import", "true").status, 200)
	databasetest.Settle(t, w.db)
	_, page := c.get("ascending=true")
	equal(t, "count", len(page.Statements), 3)
	for i, at := range []int{1, 0, 2} { // by stored
		got, want := string(page.Statements[i]), sent[at]
		a, err := xapi.Parse([]byte(got), xapi.V1)
		b, err2 := xapi.Parse([]byte(want), xapi.V1)
		if err != nil || err2 != nil || string(a.Canonical()) != string(b.Canonical()) && at != 2 {
			t.Errorf("%s, %v\nwas %s, %v", got, err, want, err2)
		}
		var x, y struct {
			Stored, Timestamp string
			Authority         json.RawMessage
		}
		if json.Unmarshal([]byte(got), &x) != nil || json.Unmarshal([]byte(want), &y) != nil || x.Stored != y.Stored || string(x.Authority) != string(y.Authority) {
			t.Errorf("%s\nwas %s", got, want)
		}
		if at == 2 && x.Timestamp != "2021-01-01T00:00:00.000000Z" {
			t.Errorf("without timestamp it is that of storing: %s", x.Timestamp)
		}
	}
	equal(t, "since", len(c.finds("since=2020-06-01T00:00:00Z")), 1)
	equal(t, "by its authority", len(c.finds("related_agents=true&agent="+escape(`{"account":{"homePage":"https://old.example","name":"key"}}`))), 2)
	own := c.do("POST", statements, said("bob", "tried", "a", ""), "Lrshub-Import", "true")
	databasetest.Settle(t, w.db)
	if got := c.finds("limit=1"); own.status != 200 || !strings.Contains(own.body, got[0]) {
		t.Errorf("what has no stored is stored now: %d %v", own.status, got)
	}
	future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	equal(t, "the future", c.do("POST", statements, kept(uuid.NewString(), future, named), "Lrshub-Import", "true").status, 400)
	for _, stored := range []string{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "0000-06-01T00:00:00Z"} {
		a := c.do("POST", statements, kept(uuid.NewString(), stored, named), "Lrshub-Import", "true")
		if a.status != 400 || !strings.Contains(a.body, "stored") {
			t.Errorf("stored %s: %d %s", stored, a.status, a.body)
		}
	}
	old := kept(uuid.NewString(), "0001-01-01T00:00:00.000001Z", named)
	equal(t, "the first moment that is one", c.do("POST", statements, old, "Lrshub-Import", "true").status, 200)
	equal(t, "a word", c.do("POST", statements, kept(uuid.NewString(), "2020-01-01T00:00:00Z", named), "Lrshub-Import", "yes").status, 400)
	equal(t, "without the header", c.do("POST", statements, sent[0]).status, 403)
	for _, scope := range []string{"all", "admin", "statements/write"} {
		equal(t, scope, w.client(databasetest.Default, "1.0.3", scope).do("POST", statements, body, "Lrshub-Import", "true").status, 403)
	}
}
