package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A site leaves its old store: another hub, another process. The connector xapi brings everything as it was, voided statements and attachments included, goes on
// with what the old store gets meanwhile, and brings nothing twice. No mapping is needed.
func TestAnotherStore(t *testing.T) {
	t.Parallel()
	old := freshHub(t)
	up(t, old)
	theirs := person{t: t, hub: old}
	writer := theirs.client("tool", "all")
	fill(t, writer)
	var reader credential
	theirs.json(&reader, "client", "create", "leaving", "--scope", "all/read")

	admin := tenantOf(t, "other-store")
	config := filepath.Join(folder(t), "old.yaml")
	text := fmt.Sprintf("connector: xapi\nconfig:\n  endpoint: %s/xapi/\n  key: %s\n  secret: %s\n  page: 7\n", old.URL(), reader.Key, reader.Secret)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	admin.must("connection", "add", "old", "--config", config)
	admin.must("connection", "check", "old")
	first := admin.sync("old")
	if first.State != "succeeded" || first.Total.Statements != 33 || first.Total.Dead != 0 {
		t.Errorf("first run: %+v", first)
	}
	same := func(what string) {
		t.Helper()
		one, two := filepath.Join(folder(t), "one"), filepath.Join(folder(t), "two")
		theirs.client("exporter-"+what, "all/read").must("statement", "export", "--archive", one)
		admin.client("exporter-"+what, "all/read").must("statement", "export", "--archive", two)
		m, n := manifestOf(t, one), manifestOf(t, two)
		if !m.Complete || !n.Complete || fmt.Sprint(m.Statements) != fmt.Sprint(n.Statements) || m.Attachments != n.Attachments || m.Attachments == 0 {
			t.Errorf("%s: the old store has %+v, the hub %+v", what, m, n)
		}
	}
	same("first")
	if again := admin.sync("old"); again.Total.Records != 0 || again.Total.Statements != 0 {
		t.Errorf("nothing new: %+v", again)
	}
	if status, said := writer.xapi("POST", "/xapi/statements", `{"actor":{"mbox":"mailto:new@example.org"},"verb":{"id":"https://verbs.example/came"},"object":{"id":"https://school.example/late"}}`); status != 200 {
		t.Fatalf("%d %s", status, said)
	}
	if more := admin.sync("old"); more.Total.Statements != 1 || more.Total.Dead != 0 {
		t.Errorf("one more: %+v", more)
	}
	if full := admin.sync("old", "--full"); full.Total.Statements != 0 || full.Total.Unchanged != 34 || full.Total.Dead != 0 {
		t.Errorf("all over again: %+v", full)
	}
	same("then")
}
