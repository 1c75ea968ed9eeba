package main_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lrshub/lrshub/cmd/internal/trial"
	"github.com/lrshub/lrshub/hub/embedded/postgres"
)

// logged gives a tenant on a hub whose audit log has more than size events under signed checkpoints, its number, and the owner's database.
func logged(t *testing.T, admin person, size int) (tenant int, db *sql.DB) {
	t.Helper()
	db = owner(t, admin.hub, "lrshub")
	do(t, db, "SET session_replication_role = replica") // no trigger is in the way of who owns the database
	reader := admin.client("auditee", "statements/read")
	for range size {
		if status, body := reader.xapi(http.MethodGet, "/xapi/statements?limit=1", ""); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	var key struct{ Tenant int }
	admin.json(&key, "audit", "verify")
	covered(t, db, key.Tenant, size)
	return key.Tenant, db
}

// covered waits until a checkpoint covers so many events.
func covered(t *testing.T, db *sql.DB, tenant, size int) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		if ask[int](t, db, "SELECT coalesce(max(size), 0) FROM audit_checkpoint WHERE tenant_id = $1", tenant) >= size {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("no checkpoint covers %d events", size)
		}
	}
}

// caught has the log verified, which must fail and name the places.
func caught(t *testing.T, p person, what string, says []string, flags ...string) {
	t.Helper()
	r := p.run(append([]string{"audit", "verify"}, flags...)...)
	if r.Code != 1 {
		t.Errorf("%s: audit verify exits with %d, want 1: %s%s", what, r.Code, r.Out, r.Err)
	}
	for _, s := range says {
		if !strings.Contains(r.Out, "ALTERED") || !strings.Contains(r.Out, s) {
			t.Errorf("%s: audit verify does not say %q: %s", what, s, r.Out)
		}
	}
}

// Whoever owns the database alters the log under a running hub; verify names each place, and finds nothing once it is put right.
func TestAuditTamperedOnline(t *testing.T) {
	t.Parallel()
	admin := tenantOf(t, "tampered")
	tenant, db := logged(t, admin, 40)
	const chosen = 20 // leaf index
	event := ask[string](t, db, "SELECT event_id FROM audit_leaf WHERE tenant_id = $1 AND index = $2", tenant, chosen)
	number := fmt.Sprintf("event %d", chosen+1)
	size := ask[int64](t, db, "SELECT max(size) FROM audit_checkpoint WHERE tenant_id = $1", tenant)
	level2 := tlog.StoredHashIndex(2, 3) // of the leaves 12 to 15
	where := fmt.Sprintf("tenant_id = %d AND id = '%s'", tenant, event)
	for _, c := range []struct {
		what, table, where, column, to string
		says                           []string
	}{
		{"one byte of an event", "audit_event", where, "canonical", "set_byte(canonical, 40, get_byte(canonical, 40) # 1)", []string{number}},
		{"its last byte", "audit_event", where, "canonical", "set_byte(canonical, length(canonical) - 1, 32)", []string{number}},
		{"a column: kind", "audit_event", where, "kind", "'audit.read'", []string{"column kind", number}},
		{"a column: actor", "audit_event", where, "actor", "gen_random_uuid()::text", []string{"column actor", number}},
		{"a column: purpose", "audit_event", where, "purpose", "'another'", []string{"column purpose", number}},
		{"a column: subjects", "audit_event", where, "subjects", "ARRAY[gen_random_uuid()]", []string{"column subjects", number}},
		{"a column: at", "audit_event", where, "at", "at + interval '1 microsecond'", []string{"column at", number}},
		{"a hash", "audit_hash", fmt.Sprintf("tenant_id = %d AND index = %d", tenant, level2), "hash", "set_byte(hash, 9, get_byte(hash, 9) # 128)", []string{fmt.Sprintf("row %d of audit_hash", level2)}},
		{"a checkpoint", "audit_checkpoint", fmt.Sprintf("tenant_id = %d AND size = %d", tenant, size), "note", "overlay(note placing 'A' from length(note) - 20 for 1)", []string{fmt.Sprintf("checkpoint of size %d", size)}},
	} {
		do(t, db, fmt.Sprintf("CREATE TEMP TABLE kept AS SELECT %s AS was FROM %s WHERE %s", c.column, c.table, c.where))
		if n := do(t, db, fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s AND %s <> %s", c.table, c.column, c.to, c.where, c.column, c.to)); n != 1 {
			t.Fatalf("%s: %d rows altered", c.what, n)
		}
		caught(t, admin, c.what, c.says)
		do(t, db, fmt.Sprintf("UPDATE %s SET %s = was FROM kept WHERE %s", c.table, c.column, c.where))
		do(t, db, "DROP TABLE kept")
	}
	do(t, db, "CREATE TEMP TABLE kept AS SELECT * FROM audit_event WHERE "+where)
	do(t, db, "DELETE FROM audit_event WHERE "+where)
	caught(t, admin, "an event removed", []string{number + " is missing"})
	do(t, db, "INSERT INTO audit_event SELECT * FROM kept")
	if r := admin.run("audit", "verify"); r.Code != 0 {
		t.Errorf("all was put right, yet: %s%s", r.Out, r.Err)
	}
	local := person{t: t, hub: admin.hub}
	if r := local.run("audit", "verify"); r.Code != 0 {
		t.Errorf("the other tenant's log: %s%s", r.Out, r.Err)
	}
}

// The last hundred events are removed while the hub is stopped, with all that belongs to them: only the anchor still knows.
func TestAuditTailRemovedOffline(t *testing.T) {
	t.Parallel()
	hub := freshHub(t)
	up(t, hub)
	admin := person{t: t, hub: hub}
	tenant, db := logged(t, admin, 120)
	db.Close()
	if err := hub.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	size := cutTail(t, hub, tenant, 100)
	up(t, hub)
	caught(t, admin, "the last hundred events removed", []string{fmt.Sprintf("events %d to %d are missing", size-99, size), "anchor"})
	if status, body := get(t, hub.URL()+"/readyz"); status != http.StatusOK {
		t.Errorf("the hub is not up: %d %s", status, body)
	}
}

// cutTail removes the last n events of a stopped hub with their leaves, hashes and checkpoints, and gives how many there were.
func cutTail(t *testing.T, hub *trial.Hub, tenant int, n int64) (size int64) {
	t.Helper()
	server, err := postgres.Start(t.Context(), postgres.Options{Dir: filepath.Join(hub.Data, "postgres"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	db := owner(t, hub, "lrshub")
	defer db.Close()
	do(t, db, "SET session_replication_role = replica")
	size = ask[int64](t, db, "SELECT max(size) FROM audit_checkpoint WHERE tenant_id = $1", tenant)
	if head := ask[int64](t, db, "SELECT size FROM audit_head WHERE tenant_id = $1", tenant); size != head {
		t.Errorf("a hub that stops signs what it has: the newest checkpoint covers %d of %d events", size, head)
	}
	left := size - n
	do(t, db, "DELETE FROM audit_event e USING audit_leaf l WHERE l.tenant_id = $1 AND e.tenant_id = $1 AND l.event_id = e.id AND l.index >= $2", tenant, left)
	do(t, db, "DELETE FROM audit_leaf WHERE tenant_id = $1 AND index >= $2", tenant, left)
	do(t, db, "DELETE FROM audit_hash WHERE tenant_id = $1 AND index >= $2", tenant, tlog.StoredHashCount(left))
	do(t, db, "DELETE FROM audit_checkpoint WHERE tenant_id = $1 AND size > $2", tenant, left)
	do(t, db, "DELETE FROM audit_pending WHERE tenant_id = $1", tenant)
	do(t, db, "UPDATE audit_head SET size = $2 WHERE tenant_id = $1", tenant, left)
	return size
}

// An export is verified without the hub: with the key that was kept, and the anchor.
func TestAuditOffline(t *testing.T) {
	t.Parallel()
	admin := tenantOf(t, "offline")
	tenant, _ := logged(t, admin, 30)
	dir := folder(t)
	key := strings.TrimSpace(admin.must("audit", "key"))
	anchored, err := os.ReadFile(filepath.Join(admin.hub.Data, "audit", fmt.Sprintf("tenant-%d.anchor", tenant)))
	if err != nil {
		t.Fatal(err)
	}
	anchor := write(t, dir, "anchor", "%s", anchored)
	text := admin.must("audit", "export") // after the anchor was copied
	verify := func(text string) trial.Result {
		t.Helper()
		r, err := (&trial.Hub{Binary: binary}).Run(t.Context(), "audit", "verify", "--offline", write(t, dir, "log.ndjson", "%s", text), "--key", key, "--anchor", anchor)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := verify(text); r.Code != 0 || !strings.Contains(r.Out, " proved, with ") {
		t.Fatalf("the export as it came: exit code %d: %s%s", r.Code, r.Out, r.Err)
	}
	lines := strings.SplitAfter(text, "\n")
	at := func(part string) int {
		for i, line := range lines {
			if i > len(lines)/2 && strings.Contains(line, part) {
				return i
			}
		}
		t.Fatalf("no line with %s in the second half of the export", part)
		return 0
	}
	change := func(line int, old, new string) string {
		if !strings.Contains(lines[line], old) {
			t.Fatalf("no %s in line %d: %s", old, line+1, lines[line])
		}
		changed := append([]string{}, lines...)
		changed[line] = strings.Replace(changed[line], old, new, 1)
		return strings.Join(changed, "")
	}
	leaf, hash, checkpoint := at(`{"leaf":`), at(`{"hash":`), at(`{"checkpoint":`)
	for what, altered := range map[string]string{
		"an event's column":      change(leaf, `"kind":"`, `"kind":"x`),
		"an event's bytes":       change(leaf, `"canonical":"`, `"canonical":"e`),
		"a hash":                 change(hash, `"hash":"`, `"hash":"A`),
		"a checkpoint":           change(checkpoint, `"note":"`, `"note":"x`),
		"an event taken out":     strings.Join(append(append([]string{}, lines[:leaf]...), lines[leaf+1:]...), ""),
		"the end cut off":        strings.Join(lines[:leaf], ""),
		"two lines changed over": strings.Join(append(append(append([]string{}, lines[:leaf]...), lines[leaf+1], lines[leaf]), lines[leaf+2:]...), ""),
	} {
		if r := verify(altered); r.Code != 1 || !strings.Contains(r.Out, "ALTERED") {
			t.Errorf("%s: exit code %d: %s%s", what, r.Code, r.Out, r.Err)
		}
	}
	unsigned := ""
	for _, line := range lines {
		if !strings.Contains(line, `{"checkpoint":`) {
			unsigned += line
		}
	}
	entries := strings.Count(unsigned, "\n") - 2 // all but the first and the last line
	unsigned = regexp.MustCompile(`"entries":\d+`).ReplaceAllString(unsigned, fmt.Sprintf(`"entries":%d`, entries))
	if r := mustRun(t, "audit", "verify", "--offline", write(t, dir, "log.ndjson", "%s", unsigned), "--key", key); r.Code != 1 || !strings.Contains(r.Out, "nothing of this log is signed") {
		t.Errorf("an export without its checkpoints, and no anchor: exit code %d: %s%s", r.Code, r.Out, r.Err)
	}
	var other struct{ Key string }
	person{t: t, hub: admin.hub}.json(&other, "audit", "key")
	if r := mustRun(t, "audit", "verify", "--offline", write(t, dir, "log.ndjson", "%s", text), "--key", other.Key, "--anchor", anchor); r.Code == 0 {
		t.Error("the export is proved with another tenant's key")
	}
	proof(t, admin)
}

// proof has one event's place proved.
func proof(t *testing.T, admin person) {
	t.Helper()
	var events []struct{ ID string }
	admin.json(&events, "audit", "list", "--kind", "statement.read", "--limit", "20")
	if len(events) == 0 {
		t.Fatal("no event of a read is listed")
	}
	var p map[string]any
	r := admin.run("audit", "prove", events[len(events)-1].ID)
	for until := time.Now().Add(30 * time.Second); r.Code != 0 && strings.Contains(r.Err, "within seconds") && time.Now().Before(until); r = admin.run("audit", "prove", events[len(events)-1].ID) {
		time.Sleep(200 * time.Millisecond)
	}
	if err := json.Unmarshal([]byte(r.Out), &p); err != nil || len(p) == 0 {
		t.Errorf("audit prove: %v, %v: %s", p, err, r.Err)
	}
	admin.fails(3, nil, "audit", "prove", "00000000-0000-7000-8000-000000000000")
}

// mustRun runs the binary without any hub.
func mustRun(t *testing.T, args ...string) trial.Result {
	t.Helper()
	r, err := (&trial.Hub{Binary: binary}).Run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
