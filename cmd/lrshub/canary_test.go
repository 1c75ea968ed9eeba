package main_test

import (
	"bytes"
	"crypto/sha1"
	"database/sql"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// canary is a hub into which every person, and everything that might name one, comes as a token that stands nowhere else.
type canary struct {
	person
	hub    *trial.Hub
	tokens []string // what must not be found
	shown  []string // those that a reader of the identified form must see
}

// token makes one that must be kept from everyone but those who may read.
func (c *canary) token() string {
	word := newToken()
	c.tokens = append(c.tokens, word)
	return word
}

// digested are what digests might be made of.
func digested(token string) []string {
	return []string{
		"oulad-" + token, "mailto:" + token + "@canary.example", token + "@canary.example", "https://canary.example/" + token,
		`{"homePage":"https://oulad.example","name":"oulad-` + token + `"}`, `["AAA","2013J","` + token + `"]`, `["` + token + `"]`, "[1700," + token + "]",
	}
}

// Nothing that names a person, or might, stands in clear anywhere under the data folder, nor a digest of it that takes no key.
func TestNothingInClear(t *testing.T) {
	t.Parallel()
	hub := freshHub(t)
	// Page images in the log are not compressed here, so that they can be searched. What is written is the same.
	if err := os.MkdirAll(filepath.Join(hub.Data, "postgres"), 0o711); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(hub.Data, "postgres"), "local.conf", "wal_compression = off\n")
	up(t, hub)
	c := &canary{person: person{t: t, hub: hub}, hub: hub}
	if got := ask[string](t, owner(t, hub, "lrshub"), "SHOW wal_compression"); got != "off" {
		t.Fatalf("wal_compression is %s", got)
	}
	c.tables()
	c.deadLetters()
	c.statements()
	c.refused()
	c.readBack()

	planted := newToken()
	c.plant(planted)
	s := newScanner(t, append([]string{planted}, c.tokens...), digested)
	rows := c.dump(s)
	if err := hub.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.scan("what up printed", []byte(hub.Said()))
	files := s.folder(t, hub.Data)
	t.Logf("%d tokens in %d forms; %d rows and %d files, %d MiB in all", len(c.tokens), len(s.forms), rows, files, s.bytes>>20)
	for _, place := range []string{"plain at a row of lrshub", "plain at a row of temporal", "plain at /postgres/data/base/", "plain at /postgres/data/pg_wal/", "plain at /lrshub.log", "SHA-256 of " + planted + " at /postgres/data/base/"} {
		if !slices.ContainsFunc(s.found[planted], func(found string) bool { return strings.HasPrefix(found, place) }) {
			t.Errorf("a token that was planted is not found %s: %v", place, s.found[planted])
		}
	}
	delete(s.found, planted)
	for _, token := range slices.Sorted(maps.Keys(s.found)) {
		t.Errorf("%s is found: %s", token, strings.Join(s.found[token], "; "))
	}
}

// tables syncs the examples with a token for every student, as words and as numbers, and in every column that no mapping names.
func (c *canary) tables() {
	c.t.Helper()
	for connection, make := range map[string]func() string{"registrations": newToken, "results": newNumber} {
		tables := tablesFor(c.t, 40)
		for i := range tables.Students {
			was, is := tables.Students[i].ID, make()
			tables.Students[i].ID, tables.Students[i].Unmapped = is, c.token()
			for j := range tables.Results {
				if tables.Results[j].Student == was {
					tables.Results[j].Student = is
				}
			}
			c.tokens = append(c.tokens, is)
			if i != 7 { // who is gone from the source below
				c.shown = append(c.shown, is)
			}
		}
		rewrite(c.t, tables)
		text, err := os.ReadFile(example(connection))
		if err != nil {
			c.t.Fatal(err)
		}
		if connection == "registrations" {
			text = bytes.ReplaceAll(text, []byte("id_student: int"), []byte("id_student: string"))
		}
		c.add(connection, write(c.t, tables.Folder, "connection.yaml", "%s", text), tables.Folder)
		if got := c.sync(connection); got.State != "succeeded" || got.Total.Statements == 0 || got.Total.Dead != 0 {
			c.t.Fatalf("%s: %+v", connection, got)
		}
		gone := tables.Students[7].ID
		tables.Students = slices.Delete(tables.Students, 7, 8)
		tables.Results = slices.DeleteFunc(tables.Results, func(m trial.Mark) bool { return m.Student == gone })
		tables.Results[0].Score = (tables.Results[0].Score + 1) % 101
		rewrite(c.t, tables)
		if got := c.sync(connection); got.State != "succeeded" || got.Total.Voided == 0 {
			c.t.Fatalf("%s: %+v", connection, got)
		}
	}
}

// deadLetters brings rows that cannot be read or mapped, a statement that is none, and files that are not what was said.
func (c *canary) deadLetters() {
	c.t.Helper()
	good := c.token()
	c.shown = append(c.shown, good)
	dir := rows(c.t, "id,points,note",
		good+",1,"+c.token(), // the mapping below fails on it
		c.token()+",1,"+c.token()+",more,"+c.token(),
		c.token()+",1",
		c.token()+","+c.token()+",wrong type",
		c.token()+",2,bad \xff\xfe "+c.token(),
		c.token()+`,3,"open `+c.token(),
		good+",100,"+c.token(), // the same key again
		c.token()+",9,"+strings.Repeat(c.token()+" ", 100))
	text := strings.Replace(small, `score: {raw: "${record.?points.orValue(0)}"}`, `score: {scaled: "${double(record.?points.orValue(0))}"}, extensions: {"https://rows.example/x": "${100 / (record.?points.orValue(0) - 1)}"}`, 1)
	config := write(c.t, dir, "rows.yaml", "%s", text)
	c.add("rows", config, dir)
	if got := c.sync("rows"); got.State != "succeeded" || got.Total.Dead < 5 {
		c.t.Errorf("%+v", got)
	}
	c.must("dead-letter", "list", "rows")
	c.run("dead-letter", "replay", "rows", "--wait")
	mended := write(c.t, dir, "mended.yaml", "%s", strings.Replace(small, "version: 1", "version: 2", 1))
	c.must("mapping", "diff", "rows", mended)
	c.must("mapping", "apply", "rows", mended)
	c.must("dead-letter", "replay", "rows", "--wait")
	// A file without its header: the first row stands where the columns' names should.
	write(c.t, dir, "rows.csv", "%s,1,%s\n%s,2,%s\n", c.token(), c.token(), c.token(), c.token())
	c.run("connection", "check", "rows")
	if got := c.sync("rows"); got.State != "failed" {
		c.t.Errorf("a file without its header: %+v", got)
	}
}

// statements posts a token in every place that may hold a person.
func (c *canary) statements() {
	c.t.Helper()
	writer := c.client("writer", "statements/write") // the local administrator may put activities into the catalogue, where they stand in clear
	for i, body := range []string{statement103, activity103, statement200} {
		version := []string{"1.0.3", "1.0.3", "2.0.0"}[i]
		for n := range 2 {
			text := c.fill(body)
			if n == 0 {
				if status, said := writer.xapiVersion(version, http.MethodPost, "/xapi/statements", text); status != http.StatusOK {
					c.t.Fatalf("POST: %d %s", status, said)
				}
				continue
			}
			id := fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
			if status, said := writer.xapiVersion(version, http.MethodPut, "/xapi/statements?statementId="+id, text); status != http.StatusNoContent {
				c.t.Fatalf("PUT: %d %s", status, said)
			}
			if status, said := writer.xapiVersion(version, http.MethodPut, "/xapi/statements?statementId="+id, c.unstored(body)); status != http.StatusConflict {
				c.t.Fatalf("PUT of another statement under the same id: %d %s", status, said)
			}
		}
	}
}

// fill puts tokens into a statement: each TOKEN is another one, MBOXSHA the SHA-1 of a mailbox with one.
func (c *canary) fill(body string) string {
	before := len(c.tokens)
	text := c.unstored(body)
	for _, token := range c.tokens[before:] {
		if strings.Contains(text, token) {
			c.shown = append(c.shown, token)
		}
	}
	return text
}

// unstored does the same for a statement that is not going to be stored.
func (c *canary) unstored(body string) string {
	for strings.Contains(body, "TOKEN") {
		body = strings.Replace(body, "TOKEN", c.token(), 1)
	}
	if strings.Contains(body, "MBOXSHA") {
		hidden := newToken() // its digest is what was sent: that one is the identifier, and must not be found
		sum := sha1.Sum([]byte("mailto:" + hidden + "@canary.example"))
		body = strings.ReplaceAll(body, "MBOXSHA", hex.EncodeToString(sum[:]))
		c.tokens = append(c.tokens, hidden, hex.EncodeToString(sum[:]))
	}
	return body
}

// refused sends what is not accepted, and asks for what is not there: queries, bodies and names that no log may keep.
func (c *canary) refused() {
	c.t.Helper()
	agent := url.QueryEscape(`{"mbox":"mailto:` + c.token() + `@canary.example"}`)
	activity := url.QueryEscape("https://canary.example/" + c.token())
	for _, path := range []string{"?agent=" + agent, "?activity=" + activity, "?agent=" + c.token(), "?more=" + c.token(), "?statementId=" + c.token(), "?" + c.token() + "=1"} {
		c.xapi(http.MethodGet, "/xapi/statements"+path, "")
		person{c.t, c.person.hub, "lrshub_nobody_" + c.token()}.xapi(http.MethodGet, "/xapi/statements"+path, "")
	}
	for _, body := range []string{
		`{"actor":{"mbox":"mailto:` + c.token() + `"}`, `{"actor":{"` + c.token() + `":1},"verb":{"id":"https://x.example/v"},"object":{"id":"https://x.example/o"}}`,
		`{"actor":{"mbox":"` + c.token() + `"},"verb":{"id":"` + c.token() + `"},"object":{"id":"` + c.token() + `"}}`, c.token(), "\x00" + c.token(),
	} {
		if status, _ := c.xapi(http.MethodPost, "/xapi/statements", body); status != http.StatusBadRequest {
			c.t.Errorf("POST of what is no statement: %d", status)
		}
		c.client("writes-not-"+newToken(), "statements/read").xapi(http.MethodPost, "/xapi/statements", body)
	}
	c.run("statement", "export", "--activity", "https://canary.example/"+c.token())
	c.run("statement", "export", "--verb", c.token())
	c.run("statement", "get", c.token())
	for _, query := range [][]string{
		{"--agent", "mailto:" + c.token() + "@canary.example"}, {"--agent", "mailto:" + c.token()}, {"--agent", `{"` + c.token() + `":1}`}, {"--registration", c.token()},
		{"--activity", "https://canary.example/" + c.token()}, {"--activity-type", "https://canary.example/" + c.token(), "--count"}, {"--verb", c.token()},
	} {
		c.run(append([]string{"statement", "query"}, query...)...)
	}
	c.run("statement", "follow", "--after", c.token())
	for _, body := range []string{`{"agent":{"mbox":"mailto:` + c.token() + `@canary.example"}}`, `{"agent":"` + c.token() + `"}`, `{"` + c.token() + `":1}`} {
		c.xapi(http.MethodPost, "/api/v1/registrations/query", body)
	}
	c.run("sync", "status", c.token())
	c.run("audit", "list", "--actor", c.token())
}

// readBack makes sure that all of it is there for those who may see it, and reads it in every way.
func (c *canary) readBack() {
	c.t.Helper()
	seen := strings.Join(c.export(), "\n")
	for _, token := range c.shown {
		if !strings.Contains(seen, token) {
			c.t.Errorf("%s was stored and is not in the identified form: the search would prove nothing", token)
		}
	}
	c.pages("?limit=100")
	hidden := strings.Join(c.client("research", "statements/read/pseudonymised").export(), "\n")
	for _, token := range c.tokens {
		if strings.Contains(hidden, token) {
			c.t.Errorf("%s is in the pseudonymised form", token)
		}
	}
	c.must("audit", "verify")
	c.must("audit", "export")
}

// plant puts a token where the scan must find it: proof that it looks there.
func (c *canary) plant(token string) {
	c.t.Helper()
	for _, database := range []string{"lrshub", "temporal"} {
		db := owner(c.t, c.hub, database)
		do(c.t, db, "CREATE TABLE planted AS SELECT $1::text AS plain, sha256($1::bytea) AS digest", token)
		do(c.t, db, "CHECKPOINT")
	}
	f, err := os.OpenFile(filepath.Join(c.hub.Data, "lrshub.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Fprintln(f, "planted", token); err != nil {
		c.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		c.t.Fatal(err)
	}
}

// dump scans each row of each table of each database as text, the catalogues and their statistics included. It gives their number.
func (c *canary) dump(s *scanner) (rows int) {
	c.t.Helper()
	for _, database := range strings.Fields(ask[string](c.t, owner(c.t, c.hub, "postgres"), "SELECT string_agg(datname, ' ') FROM pg_database WHERE datallowconn")) {
		db := owner(c.t, c.hub, database)
		for _, table := range strings.Fields(ask[string](c.t, db, `SELECT string_agg(format('%I.%I', nspname, relname), ' ')
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relkind IN ('r', 'p', 'm')`)) {
			rows += dumpTable(c.t, db, s, "a row of "+database+"."+table, table)
		}
		db.Close()
	}
	return rows
}

func dumpTable(t *testing.T, db *sql.DB, s *scanner, place, table string) (rows int) {
	t.Helper()
	list, err := db.QueryContext(t.Context(), "SELECT t::text FROM "+table+" t")
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	for list.Next() {
		var text []byte
		if err := list.Scan(&text); err != nil {
			t.Fatal(err)
		}
		s.scan(place, text)
		rows++
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}
