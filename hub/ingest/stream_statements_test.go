package ingest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/plugins/contract"
)

// keptDocument is the mapping of a source of statements: there is nothing to convert.
const keptDocument = "name: kept\nversion: 1\nstreams:\n  kept:\n"

const oldStored = "2021-03-04T05:06:07.89Z"

// keptStatement is a statement of another store, with more members in front of its end.
func keptStatement(id uuid.UUID, more string) string {
	return fmt.Sprintf(`{"id":%q,"actor":{"mbox":"mailto:zq-anna@school.example"},"verb":{"id":"http://adlnet.gov/expapi/verbs/passed"},"object":{"id":"https://school.example/quiz/1"},`+
		`"stored":%q,"authority":{"account":{"homePage":"https://old.example","name":"zq-key"}}%s}`, id, oldStored, more)
}

func keptRecord(id uuid.UUID, statement string, attachments ...contract.Attachment) contract.Record {
	text, err := json.Marshal(contract.StatementRecord{ID: id.String(), Statement: json.RawMessage(statement), Attachments: attachments})
	if err != nil {
		panic(err)
	}
	key, _ := contract.Key(id.String())
	return contract.Record{Key: key, JSON: text, Position: "page 1"}
}

func TestStatementsAreKept(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "old", keptDocument)
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	var list []contract.Record
	for _, id := range ids {
		list = append(list, keptRecord(id, keptStatement(id, "")))
	}
	if c := s.page("kept", list...); c.Statements != 3 || c.Changed != 3 || c.Dead != 0 {
		t.Errorf("%+v", c)
	}
	for _, id := range ids {
		if n := w.count(`SELECT count(*) FROM statement WHERE id = $1 AND imported AND connection_id = $2`, id, s.connection); n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	if n := w.count(`SELECT count(DISTINCT authority) FROM statement WHERE authority <> actor`); n != 1 {
		t.Errorf("%d authorities", n)
	}
	if n := w.count(`SELECT count(*) FROM source_record`); n != 0 {
		t.Errorf("%d source records are kept of statements", n)
	}
	if c := s.page("kept", list...); c.Statements != 0 || c.Unchanged != 3 || c.Changed != 0 {
		t.Errorf("again: %+v", c)
	}
	more := uuid.New()
	if c := s.page("kept", list[0], keptRecord(more, keptStatement(more, ""))); c.Statements != 1 || c.Unchanged != 1 || c.Changed != 1 {
		t.Errorf("one more: %+v", c)
	}
	if n := w.count(`SELECT count(*) FROM statement WHERE tenant_id <> $1`, one); n != 0 {
		t.Errorf("%d statements of another tenant", n)
	}
}

// TestConflictingStatements: an id that is taken costs its own statement and no other, and the cursor moves on.
func TestConflictingStatements(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "old", keptDocument)
	var list []contract.Record
	taken := map[int]bool{3: true, 4: true, 10: true}
	for i := range 11 {
		id := uuid.New()
		if taken[i] {
			s.page("kept", keptRecord(id, keptStatement(id, `,"result":{"success":true}`)))
		}
		list = append(list, keptRecord(id, keptStatement(id, "")))
	}
	list = append(list, contract.Record{Key: []byte(`["x"]`), JSON: []byte(`{"id":"x","statement":{}}`), Position: "page 2"})
	c := s.send("kept", contract.Page{Records: list, Cursor: []byte("after"), Bad: []contract.Bad{{Code: "bad_record", Position: "page 3", Reason: "r"}}})
	if c.Statements != 8 || c.Dead != 5 || c.Records != 13 || c.Changed != 8 {
		t.Errorf("%+v", c)
	}
	if n := w.count(`SELECT count(*) FROM dead_letter WHERE code = 'conflict' AND state = 'open'`); n != 3 {
		t.Errorf("%d conflicts", n)
	}
	if n := w.count(`SELECT count(*) FROM statement`); n != 11 {
		t.Errorf("%d statements", n)
	}
	if n := w.count(`SELECT records FROM sync_run_stream WHERE run_id = $1 AND stream = 'kept'`, s.run); n != 16 {
		t.Errorf("%d records are counted", n)
	}
}

func TestStatementsThatAreNone(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "old", keptDocument)
	id := uuid.New()
	good := keptStatement(id, "")
	for name, statement := range map[string]string{
		"no id":     strings.Replace(good, fmt.Sprintf(`"id":%q,`, id), "", 1),
		"bad verb":  strings.Replace(good, "http://adlnet.gov/expapi/verbs/passed", "zq passed", 1),
		"no object": `{"id":"` + id.String() + `"}`,
		"no JSON":   `[]`,
		"future":    strings.Replace(good, oldStored, time.Now().Add(time.Hour).UTC().Format(time.RFC3339), 1),
	} {
		c := s.page("kept", keptRecord(uuid.New(), statement))
		if c.Dead != 1 || c.Statements != 0 {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if n := w.count(`SELECT count(*) FROM dead_letter WHERE code = 'invalid_statement' AND reason NOT LIKE '%zq%'`); n != 5 {
		t.Errorf("%d letters", n)
	}
	// A clock that is a little ahead is waited for.
	soon := strings.Replace(good, oldStored, time.Now().Add(time.Minute).UTC().Format(time.RFC3339), 1)
	_, err := s.road.Page(t.Context(), s.of("kept"), contract.Page{Records: []contract.Record{keptRecord(id, soon)}, Cursor: []byte("c")})
	var known *contract.Error
	if !errors.As(err, &known) || known.Class != contract.ClassTransient || known.RetryAfter < 50*time.Second {
		t.Errorf("a clock ahead: %v", err)
	}
}

func TestStatementsWithAttachments(t *testing.T) {
	w := newWorld(t)
	w.withBlobs()
	s := w.connect(one, "old", keptDocument)
	small, large := []byte("zq-small"), bytes.Repeat([]byte("zq-large"), 20_000)
	sha2 := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	with := func(id uuid.UUID, contents ...[]byte) string {
		var list []string
		for _, c := range contents {
			list = append(list, fmt.Sprintf(`{"usageType":"https://school.example/certificate","display":{"en":"c"},"contentType":"text/plain","length":%d,"sha2":%q}`, len(c), sha2(c)))
		}
		return keptStatement(id, `,"attachments":[`+strings.Join(list, ",")+`]`)
	}
	part := func(b []byte) contract.Attachment {
		return contract.Attachment{SHA2: sha2(b), ContentType: "text/plain", Data: b}
	}
	id := func() uuid.UUID { return uuid.New() }
	both, again, wrong, lacks, unasked := id(), id(), id(), id(), id()
	c := s.page("kept",
		keptRecord(both, with(both, small, large), part(small), part(large)),
		keptRecord(again, with(again, large), part(large)),
		keptRecord(wrong, with(wrong, small), contract.Attachment{SHA2: sha2(small), ContentType: "text/plain", Data: []byte("zq-other")}),
		keptRecord(lacks, with(lacks, small, large), part(small)),
		keptRecord(unasked, with(unasked, []byte("zq-unasked"))),
	)
	if c.Statements != 3 || c.Dead != 2 {
		t.Errorf("%+v", c)
	}
	for of, want := range map[uuid.UUID]int{both: 2, again: 1, unasked: 0, wrong: 0} {
		if n := w.count(`SELECT count(*) FROM statement_attachment WHERE statement_id = $1`, of); n != want {
			t.Errorf("%d attachments, want %d", n, want)
		}
	}
	if n := w.count(`SELECT count(*) FROM dead_letter WHERE code = 'invalid_attachment'`); n != 2 {
		t.Errorf("%d letters", n)
	}
}
