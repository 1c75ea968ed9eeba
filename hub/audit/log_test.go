package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

const (
	ours   = databasetest.Default
	theirs = databasetest.Other
)

var start = time.Date(2025, 3, 30, 0, 59, 59, 999_999_500, time.UTC) // before a change of the clock in Europe

// testLog is a hub's audit log with two tenants, and what an attacker has: the owner's connection.
type testLog struct {
	t         testing.TB
	db        *database.DB
	owner     *sqlx.DB
	ownerURL  string
	dir       string
	sequencer *Sequencer
	now       time.Time
}

func newLog(t testing.TB) *testLog {
	t.Helper()
	l := &testLog{t: t, dir: t.TempDir(), now: start}
	l.db, l.ownerURL = databasetest.NewWithOwner(t)
	l.owner = sqlx.MustOpen("postgres", l.ownerURL)
	l.owner.SetMaxOpenConns(1)
	t.Cleanup(func() { l.owner.Close() })
	l.sequencer = l.hub(l.dir)
	return l
}

// hub is another hub process that keeps key and anchor in that folder.
func (l *testLog) hub(dir string) *Sequencer {
	l.t.Helper()
	signer, err := OpenSigner(dir, rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	anchor, err := OpenAnchor(dir)
	if err != nil {
		l.t.Fatal(err)
	}
	return NewSequencer(SequencerOptions{DB: l.db, Signer: signer, Anchor: anchor})
}

// event is the n-th event of a test, of changing shape.
func event(n int) Event {
	kinds := []string{IngestPage, StatementRead, StatementRefused, ClientCreated}
	e := Event{
		Kind: kinds[n%len(kinds)], Actor: uuid.NewSHA1(uuid.Nil, []byte{byte(n % 5)}).String(), Purpose: "learning-records",
		Fields: map[string]any{"records": n, "complete": n%2 == 0, "commitment": Commit([32]byte{byte(n)}, []byte("detail"))},
	}
	for s := range n % 4 {
		e.Subjects = append(e.Subjects, subject(n+s))
	}
	return e
}

func subject(n int) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, []byte{byte(n % 50)}) }

// record writes n events, up to 20 in a transaction, and returns their ids.
func (l *testLog) record(tenant database.TenantID, n int) (ids []uuid.UUID) {
	l.t.Helper()
	for first := 0; first < n; first += 20 {
		err := l.db.Tenant(l.t.Context(), tenant, func(ctx context.Context, tx *database.Tx) error {
			for i := first; i < min(first+20, n); i++ {
				l.now = l.now.Add(1234567 * time.Nanosecond)
				e := event(i)
				var err error
				if e.ID, err = NewID(l.now); err != nil {
					return err
				}
				ids = append(ids, e.ID)
				if err := Record(ctx, tx, l.now, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
	return ids
}

func (l *testLog) flush(tenant database.TenantID) Checkpoint {
	l.t.Helper()
	c, err := l.sequencer.Flush(l.t.Context(), tenant)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// grow records and sequences events in pieces, with a checkpoint after each.
func (l *testLog) grow(tenant database.TenantID, pieces ...int) {
	l.t.Helper()
	for _, n := range pieces {
		l.record(tenant, n)
		l.flush(tenant)
	}
}

func (l *testLog) key(tenant database.TenantID) string { return l.sequencer.signer.VerifierKey(tenant) }

// verify proves the log online, with the anchor.
func (l *testLog) verify(tenant database.TenantID) (*Report, error) {
	l.t.Helper()
	return Verify(l.t.Context(), NewStore(l.db, tenant, l.key(tenant)), l.options(tenant))
}

func (l *testLog) options(tenant database.TenantID) VerifyOptions {
	return VerifyOptions{VerifierKey: l.key(tenant), Anchor: l.sequencer.anchor.Existing(tenant)}
}

// offline exports the log and proves the export.
func (l *testLog) offline(tenant database.TenantID) (*Report, error) {
	l.t.Helper()
	return Verify(l.t.Context(), OpenExport(bytes.NewReader(l.export(tenant))), l.options(tenant))
}

func (l *testLog) export(tenant database.TenantID) []byte {
	l.t.Helper()
	var b bytes.Buffer
	if err := Export(l.t.Context(), NewStore(l.db, tenant, l.key(tenant)), &b); err != nil {
		l.t.Fatal(err)
	}
	return b.Bytes()
}

// whole fails the test unless both tenants' logs are proved, online and offline, with that many events.
func (l *testLog) whole(tenant database.TenantID, events int64) {
	l.t.Helper()
	for name, verify := range map[string]func(database.TenantID) (*Report, error){"online": l.verify, "offline": l.offline} {
		r, err := verify(tenant)
		if err != nil {
			l.t.Fatalf("%s: %v\n%v", name, err, r)
		}
		if r.Proved != events || r.Size != events || r.Uncovered != 0 {
			l.t.Fatalf("%s: proved %d of %d, %d uncovered, want %d:\n%v", name, r.Proved, r.Size, r.Uncovered, events, r)
		}
	}
}

// caught fails the test unless the log, online and offline, is found altered, with a finding that has all of the words.
func (l *testLog) caught(tenant database.TenantID, words ...string) {
	l.t.Helper()
	for name, verify := range map[string]func(database.TenantID) (*Report, error){"online": l.verify, "offline": l.offline} {
		r, err := verify(tenant)
		if !errors.Is(err, ErrTampered) {
			l.t.Fatalf("%s: not caught (%v); looked for %q:\n%v", name, err, words, r)
		}
		if !tells(r, words...) {
			l.t.Fatalf("%s: no finding says %q:\n%v", name, words, r)
		}
	}
}

// tells says whether one finding has all of the words.
func tells(r *Report, words ...string) bool {
	for _, f := range r.Findings {
		all := true
		for _, w := range words {
			all = all && strings.Contains(f.Text, w)
		}
		if all {
			return true
		}
	}
	return false
}

// tamper runs SQL as the owner, past the triggers and row-level security.
func (l *testLog) tamper(query string, args ...any) {
	l.t.Helper()
	tx := l.owner.MustBegin()
	defer tx.Rollback()
	tx.MustExec("SET LOCAL lrshub.maintenance = 'on'")
	result, err := tx.Exec(query, args...)
	if err != nil {
		l.t.Fatalf("%s: %v", query, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		l.t.Fatalf("%s: touched %d rows (%v)", query, n, err)
	}
	if err := tx.Commit(); err != nil {
		l.t.Fatal(err)
	}
}

func TestRecordSequenceVerify(t *testing.T) {
	l := newLog(t)
	ids := l.record(ours, 30)
	l.record(theirs, 7)
	r, err := l.verify(ours)
	if err != nil || r.Unsequenced != 30 || r.Proved != 0 || r.UnsequencedIDs[29] != ids[29] {
		t.Fatalf("before the sequencer: %v\n%v", err, r)
	}
	c := l.flush(ours)
	if c.Size != 30 {
		t.Fatalf("checkpoint of size %d", c.Size)
	}
	l.whole(ours, 30)
	if r, err := l.verify(theirs); err != nil || r.Unsequenced != 7 || r.Size != 0 {
		t.Fatalf("the other tenant: %v\n%v", err, r)
	}
	l.flush(theirs)
	l.grow(ours, 1, 2, 70, 1000, 1)
	l.whole(ours, 30+1074)
	l.whole(theirs, 7)
	if again := l.flush(ours); again.Size != 1104 {
		t.Fatalf("a checkpoint of a log that has not grown: size %d", again.Size)
	}
	l.record(ours, 3)
	if _, err := l.sequencer.Step(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	if r, err := l.verify(ours); err != nil || r.Uncovered != 3 || r.Proved != 1104 {
		t.Fatalf("%v\n%v", err, r)
	}
}

func TestNoAnchorNoKey(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 5)
	r, err := Verify(t.Context(), NewStore(l.db, ours, l.key(ours)), VerifyOptions{})
	if err != nil || len(r.Notices) != 2 || !strings.Contains(r.Notices[0], "key") || !strings.Contains(r.Notices[1], "anchor") {
		t.Fatalf("%v\n%v", err, r)
	}
	other := l.hub(t.TempDir())
	r, err = Verify(t.Context(), NewStore(l.db, ours, l.key(ours)), VerifyOptions{VerifierKey: other.signer.VerifierKey(ours)})
	if !errors.Is(err, ErrTampered) || r.Proved != 0 || r.Findings[0].Place != PlaceKey {
		t.Fatalf("wrong key: %v\n%v", err, r)
	}
	if !tells(r, "checkpoint of size 5", "not signed by the key") {
		t.Fatalf("wrong key: %v", r)
	}
	// One tenant's key is none of the other's, though the secret is the same.
	if _, err = Verify(t.Context(), NewStore(l.db, ours, ""), VerifyOptions{VerifierKey: l.key(theirs)}); !errors.Is(err, ErrTampered) {
		t.Fatalf("other tenant's key: %v", err)
	}
	if _, err = Verify(t.Context(), NewStore(l.db, ours, ""), VerifyOptions{VerifierKey: "nonsense"}); !errors.Is(err, ErrKey) {
		t.Fatal(err)
	}
	if _, err = Verify(t.Context(), NewStore(l.db, ours, l.key(ours)), VerifyOptions{Anchor: filepath.Join(l.dir, "no.anchor")}); err == nil {
		t.Fatal("an anchor that is not there was taken")
	}
}

func TestRowsOfTheApplication(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 3)
	for _, query := range []string{
		"UPDATE audit_event SET kind = 'a.b'", "DELETE FROM audit_event", "TRUNCATE audit_event",
		"UPDATE audit_leaf SET index = 7", "DELETE FROM audit_leaf", "UPDATE audit_hash SET hash = hash", "DELETE FROM audit_hash",
		"UPDATE audit_checkpoint SET note = note", "DELETE FROM audit_checkpoint", "DELETE FROM audit_head", "UPDATE audit_head SET size = size - 1",
	} {
		err := l.db.Tenant(t.Context(), ours, func(ctx context.Context, tx *database.Tx) error {
			_, err := tx.ExecContext(ctx, query)
			return err
		})
		if err == nil {
			t.Errorf("the application may %s", query)
		}
		if _, err := l.owner.Exec(query); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("the owner may %s without saying so (%v)", query, err)
		}
	}
	l.whole(ours, 3)
}

func TestCommitmentOutlivesItsOpening(t *testing.T) {
	l := newLog(t)
	nonce, detail := [32]byte{1, 2, 3}, []byte("Anna Schmidt asked for erasure")
	commitment := Commit(nonce, detail)
	id, err := NewID(l.now)
	if err != nil {
		t.Fatal(err)
	}
	err = l.db.Tenant(t.Context(), ours, func(ctx context.Context, tx *database.Tx) error {
		return Record(ctx, tx, l.now, Event{ID: id, Kind: ClientCreated, Actor: "x", Fields: map[string]any{"detail": commitment}})
	})
	if err != nil {
		t.Fatal(err)
	}
	l.flush(ours)
	p := l.prove(ours, id)
	w, err := VerifyProof(p, l.key(ours))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`{"detail":"%s"}`, hex.EncodeToString(commitment)); string(w.Fields) != want {
		t.Fatalf("fields %s, want %s", w.Fields, want)
	}
	// Whoever holds the opening can show it; once it is shredded, the event and its proof stand as before.
	if !VerifyCommitment(commitment, nonce, detail) || VerifyCommitment(commitment, [32]byte{}, detail) || VerifyCommitment(commitment, nonce, []byte("x")) {
		t.Fatal("the commitment does not bind")
	}
	l.whole(ours, 1)
}

func (l *testLog) prove(tenant database.TenantID, id uuid.UUID) (p Proof) {
	l.t.Helper()
	err := l.db.ReadTenant(l.t.Context(), tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		p, err = Prove(ctx, tx, id, l.key(tenant))
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}
