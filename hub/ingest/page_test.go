package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
)

func TestPageTwiceStoresOnce(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	page := []contract.Record{attempt(1, "ann", 10), attempt(2, "bob", 50), attempt(3, "ann", 60)}
	equal(t, "first", s.page("attempt", page...), ingest.Counts{Records: 3, Changed: 3, Statements: 5})
	s.want(totals{Statements: 5, Live: 5})
	equal(t, "again", s.page("attempt", page...), ingest.Counts{Records: 3, Unchanged: 3})
	equal(t, "in the next snapshot", s.whole("attempt", page...), ingest.Counts{Records: 3, Unchanged: 3})
	s.want(totals{Statements: 5, Live: 5})
	equal(t, "subjects", w.count("SELECT count(*) FROM subject"), 3) // ann, bob, the connection
	equal(t, "the catalogue", w.count("SELECT count(*) FROM activity"), 3)
	for tenant, want := range map[database.TenantID]int{one: 5, two: 0} {
		w.in(tenant, func(ctx context.Context, tx *database.Tx) error {
			var n int
			if err := tx.GetContext(ctx, &n, "SELECT count(*) FROM statement"); err != nil || n != want {
				t.Errorf("tenant %d sees %d statements, want %d: %v", tenant, n, want, err)
			}
			return nil
		})
	}
	r := s.progress()
	equal(t, "counted", [3]int64{r.Records, r.Unchanged, r.Statements}, [3]int64{3, 3, 0})
	equal(t, "events", w.count("SELECT count(*) FROM audit_event WHERE kind = 'ingest.page'"), 4) // two of them for the last page, before and after absence
}

// progress is what the run of s has counted.
func (s *source) progress() connection.Progress {
	s.Helper()
	var r connection.Run
	s.in(s.tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		r, err = connection.GetRun(ctx, tx, s.run)
		return err
	})
	return r.Total
}

func TestChangedAndChangedBack(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	s.whole("attempt", attempt(1, "ann", 10), attempt(2, "bob", 20))
	s.want(totals{Statements: 2, Live: 2})
	change := ingest.Counts{Records: 2, Changed: 1, Unchanged: 1, Statements: 1, Voided: 1}
	equal(t, "changed", s.whole("attempt", attempt(1, "ann", 11), attempt(2, "bob", 20)), change)
	s.want(totals{Statements: 4, Voidings: 1, Live: 2})
	equal(t, "changed back", s.whole("attempt", attempt(1, "ann", 10), attempt(2, "bob", 20)), change)
	s.want(totals{Statements: 6, Voidings: 2, Live: 2})
	equal(t, "and again", s.whole("attempt", attempt(1, "ann", 11), attempt(2, "bob", 20)), change)
	equal(t, "the same", s.whole("attempt", attempt(1, "ann", 11), attempt(2, "bob", 20)), ingest.Counts{Records: 2, Unchanged: 2})
	s.want(totals{Statements: 8, Voidings: 3, Live: 2})
	equal(t, "of another person", s.whole("attempt", attempt(1, "eve", 11), attempt(2, "bob", 20)), change)
	s.want(totals{Statements: 10, Voidings: 4, Live: 2})
}

func TestSecondStatementLater(t *testing.T) {
	w := newWorld(t)
	document := strings.Replace(head+streamText("attempt"), `          result: {score: {raw: "${record.?score.orValue(0)}"}, response: "${record.?note}"}`+"\n", "", 1)
	s := w.connect(one, "school", document)
	s.whole("attempt", attempt(1, "ann", 10))
	equal(t, "passed at last", s.whole("attempt", attempt(1, "ann", 45)), ingest.Counts{Records: 1, Changed: 1, Statements: 1})
	s.want(totals{Statements: 2, Live: 2})
	equal(t, "a better score that says nothing new", s.whole("attempt", attempt(1, "ann", 50)), ingest.Counts{Records: 1, Changed: 1})
	equal(t, "no longer passed", s.whole("attempt", attempt(1, "ann", 5)), ingest.Counts{Records: 1, Changed: 1, Voided: 1})
	s.want(totals{Statements: 3, Voidings: 1, Live: 1})
}

func TestAbsence(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	s.whole("attempt", attempt(1, "ann", 50), attempt(2, "bob", 20), attempt(3, "eve", 20))
	s.want(totals{Statements: 4, Live: 4})
	s.begin() // broken off before its end: nothing is gone yet
	s.page("attempt", attempt(2, "bob", 20))
	s.want(totals{Statements: 4, Live: 4})
	equal(t, "ann is gone", s.whole("attempt", attempt(2, "bob", 20), attempt(3, "eve", 20)), ingest.Counts{Records: 2, Unchanged: 2, Changed: 1, Voided: 2})
	s.want(totals{Statements: 6, Voidings: 2, Live: 2})
	equal(t, "still gone", s.whole("attempt", attempt(2, "bob", 20), attempt(3, "eve", 20)), ingest.Counts{Records: 2, Unchanged: 2})
	equal(t, "back", s.whole("attempt", attempt(1, "ann", 50), attempt(2, "bob", 20), attempt(3, "eve", 20)),
		ingest.Counts{Records: 3, Unchanged: 2, Changed: 1, Statements: 2})
	s.want(totals{Statements: 8, Voidings: 2, Live: 4})
	equal(t, "all gone", s.whole("attempt"), ingest.Counts{Changed: 3, Voided: 4})
	s.want(totals{Statements: 12, Voidings: 6})
	equal(t, "content of what is gone", w.count("SELECT count(*) FROM source_record WHERE length(sealed) > 0"), 0)
}

func TestAbsenceOfMoreThanABatch(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	var list []contract.Record
	for i := range 2100 {
		list = append(list, attempt(i, "ann", 0))
	}
	s.whole("attempt", list...)
	equal(t, "gone", s.whole("attempt", list[:3]...), ingest.Counts{Records: 3, Unchanged: 3, Changed: 2097, Voided: 2097})
	s.want(totals{Statements: 4197, Voidings: 2097, Live: 3})
}

func TestTombstones(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("change"))
	s.page("change", attempt(1, "ann", 50), attempt(2, "bob", 20))
	gone := contract.Record{Key: []byte(`[1]`), Deleted: true, Position: "log:9"}
	unknown := contract.Record{Key: []byte(`[7]`), Deleted: true, Position: "log:10"}
	equal(t, "deleted", s.page("change", gone, unknown), ingest.Counts{Records: 2, Changed: 1, Unchanged: 1, Voided: 2})
	s.want(totals{Statements: 5, Voidings: 2, Live: 1})
	equal(t, "deleted again", s.page("change", gone), ingest.Counts{Records: 1, Unchanged: 1})
	equal(t, "back", s.page("change", attempt(1, "ann", 50)), ingest.Counts{Records: 1, Changed: 1, Statements: 2})
	s.want(totals{Statements: 7, Voidings: 2, Live: 3})
	equal(t, "changed and deleted in a page", s.page("change", attempt(1, "ann", 60), gone), ingest.Counts{Records: 2, Changed: 1, Unchanged: 1, Voided: 2})
	equal(t, "changed twice in a page", s.page("change", attempt(2, "bob", 30), attempt(2, "bob", 31)), ingest.Counts{Records: 2, Changed: 1, Unchanged: 1, Statements: 1, Voided: 1})
	s.want(totals{Statements: 11, Voidings: 5, Live: 1})
	equal(t, "the later one holds", w.count("SELECT count(*) FROM statement WHERE score_raw = 31"), 1)
}

func TestDuplicateKeys(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	first, other := at(attempt(1, "ann", 10), "file:1"), at(attempt(1, "ann", 20), "file:2")
	same := at(attempt(1, "ann", 10), "file:3")
	equal(t, "in one page", s.whole("attempt", first, other, same), ingest.Counts{Records: 3, Changed: 1, Unchanged: 1, Dead: 1, Statements: 1})
	for range 2 {
		equal(t, "in another run", s.whole("attempt", first, other, same), ingest.Counts{Records: 3, Unchanged: 2, Dead: 1})
	}
	s.complete("attempt")
	s.begin()
	equal(t, "page one", s.page("attempt", first), ingest.Counts{Records: 1, Unchanged: 1})
	equal(t, "page two", s.page("attempt", other), ingest.Counts{Records: 1, Dead: 1})
	equal(t, "page three", s.last("attempt", same), ingest.Counts{Records: 1, Unchanged: 1})
	s.want(totals{Statements: 1, Live: 1})
	if diff := cmp.Diff(map[string]int{"duplicate_key": 1}, s.letters()); diff != "" {
		t.Error(diff)
	}
	s.whole("attempt", first)
	if diff := cmp.Diff(map[string]int{}, s.letters()); diff != "" {
		t.Errorf("the source was mended: %s", diff)
	}
}

func (s *source) complete(stream string) {
	s.Helper()
	s.in(s.tenant, func(ctx context.Context, tx *database.Tx) error {
		return connection.CompleteStream(ctx, tx, s.connection, s.run, stream, time.Now())
	})
}

func TestEqualKeysOfTwoConnections(t *testing.T) {
	w := newWorld(t)
	for _, tenant := range []database.TenantID{one, two} {
		for _, name := range []string{"a", "b"} {
			s := w.connect(tenant, name, head+streamText("attempt"))
			equal(t, name, s.page("attempt", attempt(1, "ann", 10)), ingest.Counts{Records: 1, Changed: 1, Statements: 1})
			s.want(totals{Statements: 1, Live: 1})
		}
	}
	equal(t, "statements", w.count("SELECT count(DISTINCT id) FROM statement"), 4)
}

func TestUnknownPurposeStoresNothing(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	s.purpose = "curiosity"
	_, err := s.road.Page(t.Context(), s.of("attempt"), contract.Page{Records: []contract.Record{attempt(1, "ann", 10)}, Cursor: []byte("c")})
	if !errors.Is(err, people.ErrUnknownPurpose) {
		t.Errorf("an unknown purpose: %v", err)
	}
	s.nothing()
}

// nothing checks that no page left a trace.
func (s *source) nothing() {
	s.Helper()
	for _, table := range []string{"statement", "source_record", "dead_letter", "subject", "activity", "sync_run_stream"} {
		equal(s, table, s.count("SELECT count(*) FROM "+table), 0)
	}
	equal(s, "cursor", s.count("SELECT count(*) FROM connection_cursor WHERE length(cursor) > 0"), 0)
	equal(s, "events", s.count("SELECT count(*) FROM audit_event WHERE kind LIKE 'ingest.%'"), 0)
}

func TestLeaseLostStoresNothing(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	page := contract.Page{Records: []contract.Record{attempt(1, "ann", 10), {Key: []byte("[2]"), JSON: []byte(`{}`)}}, Cursor: []byte("c")}
	late := s.of("attempt")
	stranger := late
	stranger.ID = uuid.New()
	if _, err := s.road.Page(t.Context(), stranger, page); !errors.Is(err, connection.ErrLeaseLost) {
		t.Errorf("another run's page: %v", err)
	}
	s.nothing()
	s.begin()
	if _, err := s.road.Page(t.Context(), late, page); !errors.Is(err, connection.ErrLeaseLost) {
		t.Errorf("a page of the run before: %v", err)
	}
	s.nothing()
	s.page("attempt", page.Records...)
	before := w.count("SELECT count(*) FROM audit_event")
	if _, err := s.road.Page(t.Context(), late, page); !errors.Is(err, connection.ErrLeaseLost) {
		t.Errorf("a late duplicate: %v", err)
	}
	equal(t, "events", w.count("SELECT count(*) FROM audit_event"), before)
	other := s.of("attempt")
	other.Tenant = two
	if _, err := s.road.Page(t.Context(), other, page); !errors.Is(err, connection.ErrLeaseLost) {
		t.Errorf("another tenant's page: %v", err)
	}
}

func TestReferences(t *testing.T) {
	w := newWorld(t)
	document := strings.Replace(head+streamText("attempt"), `          verb: {id: "http://adlnet.gov/expapi/verbs/passed"}`,
		`          verb: {id: "http://adlnet.gov/expapi/verbs/passed"}
          context: {statement: {$ref: tried}}`, 1)
	s := w.connect(one, "school", document)
	equal(t, "new", s.whole("attempt", attempt(1, "ann", 50)), ingest.Counts{Records: 1, Changed: 1, Statements: 2})
	equal(t, "again", s.whole("attempt", attempt(1, "ann", 50)), ingest.Counts{Records: 1, Unchanged: 1})
	equal(t, "both go together", s.whole("attempt", attempt(1, "ann", 60)), ingest.Counts{Records: 1, Changed: 1, Statements: 2, Voided: 2})
	equal(t, "down to one", s.whole("attempt", attempt(1, "ann", 5)), ingest.Counts{Records: 1, Changed: 1, Statements: 1, Voided: 2})
	s.want(totals{Statements: 9, Voidings: 4, Live: 1})
	// What refers names a statement that holds now.
	s.whole("attempt", attempt(1, "ann", 70))
	ids := s.live()
	equal(t, "live", len(ids), 2)
	referred := 0
	for _, id := range ids {
		var st struct {
			Context struct{ Statement struct{ ID uuid.UUID } }
		}
		if err := json.Unmarshal(s.frame(id), &st); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(ids, st.Context.Statement.ID) {
			referred++
		}
	}
	equal(t, "references to a statement that holds", referred, 1)
}

// live lists the ids of the connection's statements that hold.
func (s *source) live() (ids []uuid.UUID) {
	s.Helper()
	s.in(s.tenant, func(ctx context.Context, tx *database.Tx) error {
		return tx.SelectContext(ctx, &ids, live("s.id"), s.tenant, s.connection)
	})
	return ids
}

// frame opens a statement's frame.
func (s *source) frame(id uuid.UUID) (plain []byte) {
	s.Helper()
	s.in(s.tenant, func(ctx context.Context, tx *database.Tx) error {
		var row struct {
			Actor uuid.UUID
			Frame []byte
		}
		if err := tx.GetContext(ctx, &row, "SELECT actor, frame FROM statement WHERE tenant_id = $1 AND id = $2", tx.Tenant, id); err != nil {
			return err
		}
		var err error
		plain, err = s.unseal(ctx, tx, row.Actor, records.FrameContext(id), row.Frame)
		return err
	})
	return plain
}

// unseal opens what was sealed under a subject's learning key.
func (w *world) unseal(ctx context.Context, tx *database.Tx, subject uuid.UUID, place string, sealed []byte) ([]byte, error) {
	keys, err := w.vault.Keys(ctx, tx, []uuid.UUID{subject}, vault.Learning)
	if err != nil {
		return nil, err
	}
	return keys[subject].Open(place, sealed)
}
