package main_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// small is a connection of one file with a name, an optional number and a text.
const small = `connector: csv
config:
  files:
    - stream: row
      file: rows.csv
      key: [id]
      subject: id
      columns: {id: string, points: int, note: string}
mapping:
  name: rows
  version: 1
  streams:
    row:
      subject: {objectType: Agent, account: {homePage: "https://rows.example", name: "${record.id}"}}
      statements:
        - name: noted
          statement:
            verb: {id: "https://rows.example/noted"}
            object: {id: "https://rows.example/row"}
            result: {response: "${record.?note.orValue('')}", score: {raw: "${record.?points.orValue(0)}"}}
`

// rows writes rows.csv into a folder of the test's own.
func rows(t *testing.T, lines ...string) string {
	t.Helper()
	dir := folder(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "rows.csv", "%s", strings.Join(lines, "\n")+"\n")
	return dir
}

// What is wrong with a row becomes a dead letter that says where and why, never what stood there; the rows around it are stored.
func TestBadRows(t *testing.T) {
	t.Parallel()
	admin := tenantOf(t, "bad-rows")
	reader := admin.client("reader", "statements/read")
	config := write(t, folder(t), "rows.yaml", "%s", small)
	for _, c := range []struct {
		name string
		row  string
		code string
		says []string
	}{
		{"ragged", "b,1,secretnote,more", "bad_record", []string{"cells"}},
		{"short", "b,1", "bad_record", []string{"cells"}},
		{"not-utf8", "b,1,secret\xff\xfenote", "bad_record", []string{"note", "utf-8"}},
		{"not-a-number", "b,secretnote,x", "bad_record", []string{"points", "int"}},
		{"no-key", ",1,secretnote", "bad_record", []string{"id"}},
		{"open-quote", `b,1,"secretnote`, "bad_record", []string{"quote"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := person{t, admin.hub, admin.token}
			before := len(reader.export())
			p.add(c.name, config, rows(t, "id,points,note", c.name+"-a,1,fine", c.row, c.name+"-c,3,fine"))
			if got := p.sync(c.name); got.State != "succeeded" || got.Total.Statements != 2 || got.Total.Dead != 1 {
				t.Errorf("%+v, want two statements and one dead letter", got)
			}
			out := p.must("dead-letter", "list", c.name)
			for _, s := range append(c.says, "rows.csv", c.code) {
				if !strings.Contains(out, s) {
					t.Errorf("the dead letter does not say %q: %s", s, out)
				}
			}
			if strings.Contains(out, "secret") {
				t.Errorf("the dead letter shows what stood there: %s", out)
			}
			if got := len(reader.export()) - before; got != 2 {
				t.Errorf("%d statements are stored, want 2", got)
			}
		})
	}
}

// What is wrong with a file or a folder fails check and sync, naming it; nothing is stored, and mending it is all it takes.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	admin := tenantOf(t, "bad-files")
	reader := admin.client("reader", "statements/read")
	config := write(t, folder(t), "rows.yaml", "%s", small)
	dir := rows(t, "id,points", "a,1")
	admin.add("rows", config, dir)
	for _, c := range []struct {
		what string
		make func()
		says []string
	}{
		{"a missing column", func() {}, []string{"rows.csv", "note"}},
		{"a column twice", func() { write(t, dir, "rows.csv", "id,points,note,note\na,1,x,y\n") }, []string{"rows.csv", "note"}},
		{"a missing file", func() { os.Remove(filepath.Join(dir, "rows.csv")) }, []string{"rows.csv"}},
	} {
		c.make()
		admin.fails(1, c.says, "connection", "check", "rows")
		got := admin.sync("rows")
		if got.State != "failed" {
			t.Errorf("%s: the sync %s", c.what, got.State)
		}
		for _, s := range c.says {
			if !strings.Contains(got.Error, s) {
				t.Errorf("%s: the sync does not say %q: %s", c.what, s, got.Error)
			}
		}
		if n := len(reader.export()); n != 0 {
			t.Errorf("%s: %d statements are stored", c.what, n)
		}
	}
	write(t, dir, "rows.csv", "id,points,note\na,1,x\n")
	admin.must("connection", "check", "rows")
	admin.sync("rows").stored(t, "the mended file", 1, 0)
}

// What is wrong with a connection is refused when it is added, with the place.
func TestBadConnections(t *testing.T) {
	t.Parallel()
	admin := tenantOf(t, "bad-connections")
	dir := rows(t, "id,points,note", "a,1,x")
	change := func(old, new string) string {
		if strings.Count(small, old) != 1 {
			t.Fatalf("%q stands %d times", old, strings.Count(small, old))
		}
		return strings.Replace(small, old, new, 1)
	}
	line := func(text, part string) string {
		return fmt.Sprintf("line %d", 1+strings.Count(text[:strings.Index(text, part)], "\n"))
	}
	misspelt := change("record.?points.orValue(0)", "record.?pionts.orValue(0)")
	mistyped := change("${record.?points.orValue(0)}", "${record.note + 1}")
	for _, c := range []struct {
		name, text string
		flags      []string
		says       []string
	}{
		{"a misspelt field", misspelt, nil, []string{line(misspelt, "pionts"), "pionts", "points"}},
		{"a type error", mistyped, nil, []string{line(mistyped, "record.note + 1"), "raw"}},
		{"an unknown stream", change("    row:\n", "    rwo:\n"), nil, []string{"rwo"}},
		{"an unknown connector", change("connector: csv", "connector: cvs"), nil, []string{"cvs", "csv"}},
		{"an unknown setting", change("      key: [id]", "      kye: [id]"), nil, []string{"kye"}},
		{"an unknown purpose", small, []string{"--purpose", "marketing"}, []string{"marketing", "learning-records"}},
		{"a wrong checksum", change("connector: csv", "connector: csv\nchecksum: "+strings.Repeat("0", 64)), nil, []string{"checksum"}},
		{"no YAML", "connector: [csv", nil, []string{"line"}},
		{"no mapping", small[:strings.Index(small, "mapping:")], nil, []string{"mapping"}},
		{"a bad schedule", small, []string{"--schedule", "often"}, []string{"schedule", "15m"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, folder(t), "rows.yaml", "%s", c.text)
			person{t, admin.hub, admin.token}.fails(2, c.says, append([]string{"connection", "add", "rows", "--config", file, "--set", "folder=" + dir}, c.flags...)...)
		})
	}
	admin.fails(2, []string{"marketing", "learning-records"}, "client", "create", "x", "--scope", "statements/read", "--purpose", "marketing")
	var list []any
	if admin.json(&list, "connection", "list"); len(list) != 0 {
		t.Errorf("a refused connection is there: %v", list)
	}
	if status, _ := get(t, admin.hub.URL()+"/readyz"); status != 200 {
		t.Error("the hub is not ready any more")
	}
}

// A mapping that makes what is no statement fills the dead letters, with the rule that is broken.
func TestInvalidStatements(t *testing.T) {
	t.Parallel()
	admin := tenantOf(t, "invalid")
	text := strings.Replace(small, `score: {raw: "${record.?points.orValue(0)}"}`, `score: {scaled: "${double(record.?points.orValue(0))}"}`, 1)
	admin.add("rows", write(t, folder(t), "rows.yaml", "%s", text), rows(t, "id,points,note", "a,1,x", "b,7,secretnote", "c,0,z"))
	if got := admin.sync("rows"); got.State != "succeeded" || got.Total.Statements != 2 || got.Total.Dead != 1 {
		t.Errorf("%+v, want two statements and one dead letter", got)
	}
	out := admin.must("dead-letter", "list", "rows")
	for _, s := range []string{"invalid_statement", "scaled", "rows.csv:3"} {
		if !strings.Contains(out, s) {
			t.Errorf("the dead letter does not say %q: %s", s, out)
		}
	}
	if strings.Contains(out, "secret") {
		t.Errorf("the dead letter shows what stood there: %s", out)
	}
}

// A cell of 50 MB costs one dead letter and little memory.
func TestHugeCell(t *testing.T) {
	hub := freshHub(t)
	up(t, hub)
	admin := person{t: t, hub: hub}
	dir := rows(t, "id,points,note")
	config := write(t, folder(t), "rows.yaml", "%s", small)
	admin.add("rows", config, dir)
	f, err := os.OpenFile(filepath.Join(dir, "rows.csv"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "a,1,fine")
	fmt.Fprintln(w, "b,2,"+strings.Repeat("0123456789", 5_000_000))
	for i := range 500 {
		fmt.Fprintf(w, "c%d,3,fine\n", i)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	idle := trial.PSS(hub.PID())
	grown := growth(t, hub)
	got := admin.sync("rows")
	if got.State != "succeeded" || got.Total.Statements != 501 || got.Total.Dead != 1 {
		t.Errorf("%+v, want 501 statements and one dead letter", got)
	}
	if out := admin.must("dead-letter", "list", "rows"); !strings.Contains(out, "too_large") || !strings.Contains(out, "rows.csv:3") {
		t.Errorf("the dead letter: %s", out)
	}
	most := grown() - idle
	t.Logf("hub and connector grew by %d MiB above the idle hub's %d MiB", most>>20, idle>>20)
	if most > 200<<20 {
		t.Errorf("hub and connector grew by %d MiB, may grow by 200", most>>20)
	}
}

// growth watches the memory of hub and connectors until it is asked for the most that it saw.
func growth(t *testing.T, hub *trial.Hub) func() int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	most := make(chan int64)
	go func() {
		var seen int64
		for {
			pids := []int{hub.PID()}
			for _, c := range hub.Connectors() {
				pids = append(pids, c.PID)
			}
			seen = max(seen, trial.PSS(pids...))
			select {
			case <-ctx.Done():
				most <- seen
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		cancel()
		return <-most
	}
}
