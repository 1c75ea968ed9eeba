package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/database"
)

func TestProveEveryEvent(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 1, 2, 30, 4)
	l.grow(theirs, 3)
	for i, id := range l.leafIDs() {
		document, err := json.Marshal(l.prove(ours, id))
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParseProof(document)
		if err != nil {
			t.Fatal(err)
		}
		w, err := VerifyProof(p, l.key(ours))
		if err != nil || w.ID != id || p.Index != int64(i) {
			t.Fatalf("event %d: %+v, %v", i, w, err)
		}
		if _, err := VerifyProof(p, l.key(theirs)); !errors.Is(err, ErrProof) {
			t.Fatalf("a proof holds under another tenant's key: %v", err)
		}
		p.Index = (p.Index + 1) % 37
		if _, err := VerifyProof(p, l.key(ours)); !errors.Is(err, ErrProof) {
			t.Fatalf("a proof holds for another place: %v", err)
		}
	}
}

// TestAnAlteredProofProvesNothing: no byte of a proof's document can be changed so that it proves another event.
func TestAnAlteredProofProvesNothing(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 20)
	id := l.leafIDs()[11]
	document, err := json.Marshal(l.prove(ours, id))
	if err != nil {
		t.Fatal(err)
	}
	whole := must(VerifyProof(must(ParseProof(document)), l.key(ours)))
	rapid.Check(t, func(t *rapid.T) {
		altered := bytes.Clone(document)
		altered[rapid.IntRange(0, len(document)-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		p, err := ParseProof(altered)
		if err != nil {
			return
		}
		if w, err := VerifyProof(p, l.key(ours)); err == nil && (w.ID != whole.ID || !bytes.Equal(w.Fields, whole.Fields) || w.Actor != whole.Actor) {
			t.Fatalf("another event was proved: %+v", w)
		}
	})
}

func TestProveADamagedLog(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 20)
	id := l.leafIDs()[11]
	l.tamper("UPDATE audit_event SET canonical = set_byte(canonical, 40, 65) WHERE id = $1", id)
	err := l.db.ReadTenant(t.Context(), ours, func(ctx context.Context, tx *database.Tx) error {
		_, err := Prove(ctx, tx, id, l.key(ours))
		return err
	})
	if !errors.Is(err, ErrDamaged) {
		t.Fatalf("a proof of an altered event: %v", err)
	}
}

func TestConsistency(t *testing.T) {
	l := newLog(t)
	older := []Checkpoint{must(l.sequencer.Flush(t.Context(), ours))} // of the empty log
	for _, n := range []int{1, 2, 30, 4, 27} {
		l.record(ours, n)
		older = append(older, l.flush(ours))
	}
	prove := func(note string) (p Consistency, err error) {
		err = l.db.ReadTenant(t.Context(), ours, func(ctx context.Context, tx *database.Tx) (err error) {
			p, err = ProveConsistency(ctx, tx, note, l.key(ours))
			return err
		})
		return p, err
	}
	for _, c := range older {
		p, err := prove(c.Note)
		if err != nil {
			t.Fatalf("from %d: %v", c.Size, err)
		}
		if err := VerifyConsistency(p, l.key(ours)); err != nil {
			t.Fatalf("from %d: %v", c.Size, err)
		}
		if p.Older = older[3].Note; c.Size != 33 {
			if err := VerifyConsistency(p, l.key(ours)); !errors.Is(err, ErrProof) {
				t.Fatalf("the proof from %d holds from 33: %v", c.Size, err)
			}
		}
	}
	l.cut(33) // and grow again: another log of 64 events
	l.tamper("DELETE FROM audit_checkpoint WHERE tenant_id = 1")
	if _, err := l.sequencer.Restart(t.Context(), ours, l.now, "someone"); err != nil {
		t.Fatal(err)
	}
	l.grow(ours, 50)
	if _, err := prove(older[5].Note); !errors.Is(err, ErrProof) {
		t.Fatalf("a log that was cut and grew again was proved consistent: %v", err)
	}
	if _, err := prove(older[3].Note); err != nil {
		t.Fatalf("what is older than the cut: %v", err)
	}
}

func TestList(t *testing.T) {
	l := newLog(t)
	ids := l.record(ours, 60)
	l.record(theirs, 10)
	l.flush(ours)
	ids = append(ids, l.record(ours, 5)...)
	list := func(f Filter) []Listed {
		t.Helper()
		var all []Listed
		err := l.db.ReadTenant(t.Context(), ours, func(ctx context.Context, tx *database.Tx) (err error) {
			all, err = List(ctx, tx, f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	err := l.db.ReadTenant(t.Context(), theirs, func(ctx context.Context, tx *database.Tx) error {
		var shown []uuid.UUID
		of := subject(3)
		if err := tx.SelectContext(ctx, &shown, "SELECT e.id FROM audit_events_of($1) AS shown LEFT JOIN audit_event e ON e.tenant_id = 2 AND e.id = shown", of[:]); err != nil {
			return err
		}
		if len(shown) == 0 || slices.Contains(shown, uuid.Nil) {
			t.Errorf("a tenant is told of events of another: %v", shown)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := list(Filter{})
	if len(all) != 65 || all[0].ID != ids[64] || all[0].Index != -1 || all[64].Index != 0 {
		t.Fatalf("%d events, newest %+v", len(all), all[0])
	}
	var paged []Listed
	for f := (Filter{Limit: 7}); ; {
		page := list(f)
		if len(page) == 0 {
			break
		}
		paged, f.After = append(paged, page...), page[len(page)-1].ID
	}
	same := func(a, b Listed) bool { return a.ID == b.ID && a.Index == b.Index }
	if !slices.EqualFunc(all, paged, same) {
		t.Fatal("pages do not make up the whole")
	}
	since, until := all[40].At, all[10].At
	for name, c := range map[string]struct {
		filter Filter
		holds  func(Listed) bool
	}{
		"kind":    {Filter{Kind: StatementRead}, func(e Listed) bool { return e.Kind == StatementRead }},
		"actor":   {Filter{Actor: all[3].Actor}, func(e Listed) bool { return e.Actor == all[3].Actor }},
		"purpose": {Filter{Purpose: "other"}, func(e Listed) bool { return e.Purpose == "other" }},
		"subject": {Filter{Subject: subject(7)}, func(e Listed) bool { return slices.Contains(e.Subjects, subject(7)) }},
		"since":   {Filter{Since: since}, func(e Listed) bool { return !e.At.Before(since) }},
		"until":   {Filter{Until: until}, func(e Listed) bool { return e.At.Before(until) }},
		"between, and a kind": {Filter{Since: since, Until: until, Kind: IngestPage}, func(e Listed) bool {
			return !e.At.Before(since) && e.At.Before(until) && e.Kind == IngestPage
		}},
		"another microsecond": {Filter{Since: since.Add(time.Microsecond), Until: until.Add(time.Microsecond)}, func(e Listed) bool {
			return e.At.After(since) && !e.At.After(until)
		}},
		"nobody": {Filter{Subject: uuid.New()}, func(Listed) bool { return false }},
	} {
		want := slices.DeleteFunc(slices.Clone(all), func(e Listed) bool { return !c.holds(e) })
		if have := list(c.filter); !slices.EqualFunc(have, want, same) {
			t.Errorf("%s: %d events, want %d", name, len(have), len(want))
		}
	}
}
