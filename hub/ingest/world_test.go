package ingest_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
)

const (
	one = databasetest.Default
	two = databasetest.Other

	home = "https://hub.example"
)

// school is a made-up source: attempts of a quiz (a table, read whole), quizzes and courses to look up, and a log of changes.
func school() []contract.Stream {
	opt := func(name string, t contract.Type) contract.Field {
		return contract.Field{Name: name, Type: t, Optional: true}
	}
	attempt := []contract.Field{{Name: "id", Type: contract.Int}, {Name: "pupil", Type: contract.String}, opt("score", contract.Int), opt("quiz", contract.Int),
		opt("note", contract.String), opt("verb", contract.String)}
	return []contract.Stream{
		{Name: "attempt", Key: []string{"id"}, Subject: "pupil", Mode: contract.Snapshot, Deletes: contract.DeletesAbsence, Fields: attempt},
		{Name: "change", Key: []string{"id"}, Subject: "pupil", Mode: contract.Incremental, Deletes: contract.DeletesTombstone, Fields: attempt},
		{Name: "quiz", Key: []string{"id"}, Mode: contract.Snapshot, Deletes: contract.DeletesAbsence, Fields: []contract.Field{
			{Name: "id", Type: contract.Int}, {Name: "title", Type: contract.String}, opt("course", contract.String)}},
		{Name: "course", Key: []string{"code"}, Mode: contract.Snapshot, Fields: []contract.Field{
			{Name: "code", Type: contract.String}, {Name: "name", Type: contract.String}}},
		contract.StatementStream("kept"),
	}
}

// head begins a mapping; the score stands in a clear column, by which these tests know statements.
const head = `
name: school
version: 1
catalogue: ["https://school.example/catalogue/"]
fragments:
  pupil: {objectType: Agent, account: {homePage: "https://school.example", name: "${record.pupil}"}}
streams:
`

// streamText is the mapping of one stream without lookups.
func streamText(name string) string {
	return "  " + name + `:
    subject: {$use: pupil}
    statements:
      - name: tried
        statement:
          verb: {id: "${record.?verb.orValue('http://adlnet.gov/expapi/verbs/attempted')}"}
          object: {id: "https://school.example/catalogue/${record.id}"}
          result: {score: {raw: "${record.?score.orValue(0)}"}, response: "${record.?note}"}
      - name: passed
        when: record.?score.orValue(0) >= 40
        statement:
          verb: {id: "http://adlnet.gov/expapi/verbs/passed"}
          object: {id: "https://school.example/catalogue/${record.id}"}
`
}

// world is a database with two tenants, their keys and the road in.
type world struct {
	*testing.T
	db    *database.DB
	owner *sql.DB // past row-level security
	vault *vault.Vault
	road  *ingest.Road
}

func newWorld(t *testing.T) *world {
	t.Helper()
	master, err := vault.MasterKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.OpenKeys(t.TempDir(), master)
	if err != nil {
		t.Fatal(err)
	}
	db, ownerURL := databasetest.NewWithOwner(t)
	owner, err := sql.Open("postgres", ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close() })
	w := &world{T: t, db: db, owner: owner, vault: vault.New(keys)}
	w.road = ingest.New(db, w.vault, records.NewDictionary(db), home, time.Now)
	for _, tenant := range []database.TenantID{one, two} {
		if _, err := keys.Ensure(tenant); err != nil {
			t.Fatal(err)
		}
		w.in(tenant, func(ctx context.Context, tx *database.Tx) error { return people.SeedDefault(ctx, tx, time.Now()) })
	}
	return w
}

func (w *world) in(tenant database.TenantID, fn func(context.Context, *database.Tx) error) {
	w.Helper()
	err := w.db.Tenant(w.Context(), tenant, fn)
	for range 40 { // connections of the pool that a test has had killed
		if !errors.Is(err, database.ErrUnavailable) {
			break
		}
		err = w.db.Tenant(w.Context(), tenant, fn)
	}
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) tenant(id database.TenantID) *vault.Tenant {
	w.Helper()
	t, err := w.vault.Tenant(id)
	if err != nil {
		w.Fatal(err)
	}
	return t
}

// count gives one number, past row-level security.
func (w *world) count(query string, args ...any) (n int) {
	w.Helper()
	if err := w.owner.QueryRowContext(w.Context(), query, args...).Scan(&n); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
	return n
}

// source is a connection to the school, in the middle of a run.
type source struct {
	*world
	tenant     database.TenantID
	connection uuid.UUID
	document   string
	mapping    *mapping.Mapping
	version    int
	run        uuid.UUID
	generation map[string]int64 // by stream, of the run
	purpose    string
}

func (w *world) connect(tenant database.TenantID, name, document string, link ...string) *source {
	w.Helper()
	spec := connection.Spec{Connector: "school", Purpose: people.DefaultPurpose, Config: json.RawMessage(`{}`), Mapping: document, Link: link}
	checked, err := connection.Check(spec, contract.Description{Name: "school", Version: "1.0.0", Streams: school()})
	if err != nil {
		w.Fatal(err)
	}
	s := &source{world: w, tenant: tenant, document: document, version: 1, purpose: people.DefaultPurpose, generation: map[string]int64{}}
	w.in(tenant, func(ctx context.Context, tx *database.Tx) error {
		act := connection.Act{Actor: "client-1", Purpose: people.DefaultPurpose, Now: time.Now()}
		c, err := connection.Add(ctx, tx, w.tenant(tenant), act, name, checked)
		s.connection = c.ID
		return err
	})
	s.remap(document)
	s.begin()
	return s
}

// remap puts another mapping in force.
func (s *source) remap(document string) {
	s.Helper()
	var err error
	if s.mapping, err = mapping.Load([]byte(document), school()); err != nil {
		s.Fatal(err)
	}
	if document != s.document {
		s.document = document
		s.version++
	}
}

// begin ends the run, if there is one, and begins the next.
func (s *source) begin() {
	s.Helper()
	s.in(s.tenant, func(ctx context.Context, tx *database.Tx) error {
		if s.run != uuid.Nil {
			if err := connection.End(ctx, tx, s.run, connection.Outcome{State: connection.Succeeded}, time.Now()); err != nil {
				return err
			}
		}
		s.run = uuid.New()
		run := connection.Run{ID: s.run, Connection: s.connection, StartedBy: "schedule", StartedAt: time.Now()}
		if err := connection.Begin(ctx, tx, run, time.Now().Add(time.Hour)); err != nil {
			return err
		}
		for _, name := range s.mapping.Streams() {
			stream, _ := contract.Description{Streams: school()}.Stream(name)
			start := connection.Start{Stream: stream, Mapping: s.version}
			reading, err := connection.StartStream(ctx, tx, s.world.tenant(s.tenant), s.connection, s.run, start, time.Now())
			if err != nil {
				return err
			}
			s.generation[name] = reading.Generation
		}
		return nil
	})
}

// of is the run as the road wants it.
func (s *source) of(stream string) ingest.Run {
	described, ok := contract.Description{Streams: school()}.Stream(stream)
	if !ok {
		s.Fatalf("no stream %s", stream)
	}
	return ingest.Run{
		Tenant: s.tenant, Connection: s.connection, ID: s.run, Purpose: s.purpose, Mapping: s.mapping, MappingVersion: s.version,
		Stream: described, Generation: s.generation[stream], Lease: time.Hour,
	}
}

// page stores a page of records.
func (s *source) page(stream string, list ...contract.Record) ingest.Counts {
	s.Helper()
	return s.send(stream, contract.Page{Records: list, Cursor: []byte("cursor")})
}

// last stores the last page of a snapshot.
func (s *source) last(stream string, list ...contract.Record) ingest.Counts {
	s.Helper()
	return s.send(stream, contract.Page{Records: list, Cursor: []byte("end"), SnapshotComplete: true})
}

func (s *source) send(stream string, page contract.Page) ingest.Counts {
	s.Helper()
	counts, err := s.road.Page(s.Context(), s.of(stream), page)
	if err != nil {
		s.Fatal(err)
	}
	return counts
}

// whole reads a stream's snapshot in a run of its own.
func (s *source) whole(stream string, list ...contract.Record) ingest.Counts {
	s.Helper()
	s.in(s.tenant, func(ctx context.Context, tx *database.Tx) error {
		return connection.CompleteStream(ctx, tx, s.connection, s.run, stream, time.Now())
	})
	s.begin()
	return s.last(stream, list...)
}

// record is one record with the key of its stream.
func record(json string, key any) contract.Record {
	text, err := contract.Key(key)
	if err != nil {
		panic(err)
	}
	return contract.Record{Key: text, JSON: []byte(json), Position: fmt.Sprintf("file:%v", key)}
}

func attempt(id int, pupil string, score int) contract.Record {
	return record(fmt.Sprintf(`{"id":%d,"pupil":%q,"score":%d}`, id, pupil, score), id)
}

// at puts a record at a place of the source.
func at(r contract.Record, position string) contract.Record {
	r.Position = position
	return r
}

// totals are what a tenant's store holds.
type totals struct{ Statements, Voidings, Live int }

func (s *source) totals() totals {
	s.Helper()
	return totals{
		Statements: s.count("SELECT count(*) FROM statement WHERE tenant_id = $1 AND connection_id = $2", s.tenant, s.connection),
		Voidings: s.count(`SELECT count(*) FROM voiding v JOIN statement s ON s.tenant_id = v.tenant_id AND s.id = v.statement_id
			WHERE s.tenant_id = $1 AND s.connection_id = $2`, s.tenant, s.connection),
		Live: s.count(live("count(*)"), s.tenant, s.connection),
	}
}

// live reads the statements of a connection that are neither voided nor voiding.
func live(columns string) string {
	return `SELECT ` + columns + ` FROM statement s JOIN verb b ON b.tenant_id = s.tenant_id AND b.id = s.verb
		WHERE s.tenant_id = $1 AND s.connection_id = $2 AND b.iri <> 'http://adlnet.gov/expapi/verbs/voided'
		AND NOT EXISTS (SELECT FROM voiding v WHERE v.tenant_id = s.tenant_id AND v.target = s.id)`
}

func (s *source) want(t totals) {
	s.Helper()
	if got := s.totals(); got != t {
		s.Errorf("the store has %+v, want %+v", got, t)
	}
}

// letters lists the open dead letters by code.
func (s *source) letters() map[string]int {
	s.Helper()
	found := map[string]int{}
	s.in(s.tenant, func(ctx context.Context, tx *database.Tx) error {
		list, err := connection.CountDeadLetters(ctx, tx, s.connection)
		for _, c := range list {
			found[c.Code] += int(c.Count)
		}
		return err
	})
	return found
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// tables lists the tables of the database.
func (w *world) tables() (names []string) {
	w.Helper()
	rows, err := w.owner.QueryContext(w.Context(), "SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			w.Fatal(err)
		}
		names = append(names, name)
	}
	if len(names) < 20 || rows.Err() != nil {
		w.Fatalf("tables %v: %v", names, rows.Err())
	}
	return names
}

// dump gives a table's rows as text; what is bytes stands in hex.
func (w *world) dump(table string) (text string) {
	w.Helper()
	if err := w.owner.QueryRowContext(w.Context(), "SELECT coalesce(string_agg(t::text, E'\n' ORDER BY t::text), '') FROM "+table+" t").Scan(&text); err != nil {
		w.Fatal(err)
	}
	return text
}

// fingerprint is one digest of all that the database holds.
func (w *world) fingerprint() string {
	w.Helper()
	sum := sha256.New()
	for _, table := range w.tables() {
		fmt.Fprintf(sum, "%s\n%s\n", table, w.dump(table))
	}
	return hex.EncodeToString(sum.Sum(nil))
}
