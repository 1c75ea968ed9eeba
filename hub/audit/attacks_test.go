package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lrshub/lrshub/hub/database"
)

// grown is a log of 1,000 events with checkpoints of 300, 900 and 1000.
func grown(t *testing.T) *testLog {
	l := newLog(t)
	l.grow(ours, 300, 600, 100)
	l.grow(theirs, 10)
	return l
}

// cut removes the events from leaf index n on, with all that belongs to them, as the owner.
func (l *testLog) cut(n int64) {
	l.t.Helper()
	l.tamper("DELETE FROM audit_event e USING audit_leaf l WHERE l.tenant_id = 1 AND e.tenant_id = 1 AND l.event_id = e.id AND l.index >= $1", n)
	l.tamper("DELETE FROM audit_leaf WHERE tenant_id = 1 AND index >= $1", n)
	l.tamper("DELETE FROM audit_hash WHERE tenant_id = 1 AND index >= $1", tlog.StoredHashCount(n))
	l.tamper("DELETE FROM audit_checkpoint WHERE tenant_id = 1 AND size > $1", n)
	l.tamper("UPDATE audit_head SET size = $1 WHERE tenant_id = 1", n)
}

func TestLastHundredEventsRemovedWithTheirCheckpoint(t *testing.T) {
	l := grown(t)
	l.whole(ours, 1000)
	export := l.export(ours)
	l.cut(900)
	l.caught(ours, "events 901 to 1000 are missing: the anchor has a checkpoint of size 1000", "the log has 900 events")
	if r, _ := l.verify(ours); r.Proved != 900 || r.FindingCount != 1 {
		t.Fatalf("the rest must be proved:\n%v", r)
	}
	// The sequencer goes no further, says what to do, and leaves the other tenant alone.
	id := l.record(ours, 1)[0]
	_, err := l.sequencer.Step(t.Context(), ours)
	if !errors.Is(err, ErrRolledBack) || !bytes.Contains([]byte(err.Error()), []byte("size 1000 is anchored")) {
		t.Fatalf("the sequencer went on over a cut log: %v", err)
	}
	if _, err := l.sequencer.Checkpoint(t.Context(), ours); !errors.Is(err, ErrRolledBack) {
		t.Fatalf("a checkpoint was signed for a cut log: %v", err)
	}
	l.grow(theirs, 1)
	if r, _ := l.verify(ours); r.Unsequenced != 1 || r.UnsequencedIDs[0] != id {
		t.Fatalf("the event written meanwhile: %v", r)
	}
	l.whole(theirs, 11)

	// The same without the database: lines cut out of an export and its counts forged.
	forged := forgeCut(t, export, 900)
	r, err := Verify(t.Context(), OpenExport(bytes.NewReader(forged)), l.options(ours))
	if !errors.Is(err, ErrTampered) || r.Proved != 900 || !tells(r, "events 901 to 1000 are missing: the anchor") {
		t.Fatalf("%v\n%v", err, r)
	}
}

// forgeCut takes the leaves from n on out of an export and makes the counts fit.
func forgeCut(t *testing.T, export []byte, n int64) []byte {
	t.Helper()
	var first firstLine
	lines := bytes.SplitAfter(export, []byte("\n"))
	if err := json.Unmarshal(lines[0], &first); err != nil {
		t.Fatal(err)
	}
	first.Log.Head, first.Log.Leaves, first.Log.Hashes = n, n, tlog.StoredHashCount(n)
	out, err := appendLine(nil, first)
	if err != nil {
		t.Fatal(err)
	}
	kept := int64(0)
	for _, line := range lines[1 : len(lines)-2] {
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.Leaf != nil && e.Leaf.Index >= n || e.Hash != nil && leafOf(e.Hash.Index) >= n || e.Checkpoint != nil && e.Checkpoint.Size > n {
			continue
		}
		out = append(out, line...)
		kept++
	}
	return fmt.Appendf(out, `{"end":{"entries":%d}}`+"\n", kept)
}

func TestEventsRemoved(t *testing.T) {
	for name, c := range map[string]struct {
		remove []string
		words  [][]string
	}{
		"one event": {[]string{"DELETE FROM audit_event e USING audit_leaf l WHERE l.event_id = e.id AND l.tenant_id = 1 AND l.index = 111"},
			[][]string{{"event 112 is missing"}}},
		"one leaf": {[]string{"DELETE FROM audit_leaf WHERE tenant_id = 1 AND index = 111"},
			[][]string{{"event 112 is missing"}, {"is in no tree and waits for none"}}},
		"one event with its leaf": {[]string{
			"DELETE FROM audit_event e USING audit_leaf l WHERE l.event_id = e.id AND l.tenant_id = 1 AND l.index = 111",
			"DELETE FROM audit_leaf WHERE tenant_id = 1 AND index = 111"},
			[][]string{{"event 112 is missing"}}},
		"the last event": {[]string{"DELETE FROM audit_event e USING audit_leaf l WHERE l.event_id = e.id AND l.tenant_id = 1 AND l.index = 249"},
			[][]string{{"event 250 is missing"}}},
		"a hundred with leaves and hashes": {[]string{
			"DELETE FROM audit_event e USING audit_leaf l WHERE l.event_id = e.id AND l.tenant_id = 1 AND l.index BETWEEN 60 AND 159",
			"DELETE FROM audit_leaf WHERE tenant_id = 1 AND index BETWEEN 60 AND 159",
			fmt.Sprintf("DELETE FROM audit_hash WHERE tenant_id = 1 AND index BETWEEN %d AND %d", tlog.StoredHashCount(60), tlog.StoredHashCount(160)-1)},
			[][]string{{"events 61 to 160 are missing"}, {"rows", "of audit_hash are missing"}}},
		"all": {[]string{"DELETE FROM audit_event WHERE tenant_id = 1", "DELETE FROM audit_leaf WHERE tenant_id = 1", "DELETE FROM audit_hash WHERE tenant_id = 1",
			"DELETE FROM audit_checkpoint WHERE tenant_id = 1", "DELETE FROM audit_head WHERE tenant_id = 1"},
			[][]string{{"events 1 to 250 are missing: the anchor has a checkpoint of size 250"}}},
		"the head":   {[]string{"DELETE FROM audit_head WHERE tenant_id = 1"}, [][]string{{"audit_head was altered: it counts 0"}}},
		"all hashes": {[]string{"DELETE FROM audit_hash WHERE tenant_id = 1"}, [][]string{{"of audit_hash are missing"}}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t)
			l.grow(ours, 50, 150, 50)
			l.grow(theirs, 10)
			for _, query := range c.remove {
				l.tamper(query)
			}
			for _, words := range c.words {
				l.caught(ours, words...)
			}
			l.whole(theirs, 10)
		})
	}
}

func TestAWaitingEventRemoved(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 3)
	ids := l.record(ours, 2)
	l.tamper("DELETE FROM audit_event WHERE id = $1", ids[0])
	l.caught(ours, "event "+ids[0].String()+" is missing: it waits")
	l.tamper("DELETE FROM audit_pending WHERE event_id = $1", ids[1])
	l.caught(ours, "event "+ids[1].String()+" is in no tree")
	l.flush(ours) // what was pending gets its leaf: the missing event stays on record
	l.caught(ours, "event 4 is missing")
}

func TestAnEventPutBackIntoPending(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 5)
	id := l.leafIDs()[2]
	l.tamper("INSERT INTO audit_pending (tenant_id, event_id, hash) SELECT 1, $1, hash FROM audit_hash LIMIT 1", id)
	l.caught(ours, id.String(), "the row was put back")
	l.grow(ours, 2) // others need not wait
	l.whole(ours, 7)
}

func TestEventsReordered(t *testing.T) {
	swapLeaves := "UPDATE audit_leaf SET event_id = CASE index WHEN 410 THEN b WHEN 411 THEN a END FROM (SELECT (SELECT event_id FROM audit_leaf WHERE tenant_id = 1 AND index = 410) a, (SELECT event_id FROM audit_leaf WHERE tenant_id = 1 AND index = 411) b) x WHERE tenant_id = 1 AND index IN (410, 411)"
	l := grown(t)
	l.owner.MustExec("ALTER TABLE audit_leaf DROP CONSTRAINT audit_leaf_tenant_id_event_id_key") // in the way of a swap
	l.tamper(swapLeaves)
	l.caught(ours, "event 411 was altered")
	l.caught(ours, "event 412 was altered")
	// With their hashes too: what stands above tells.
	at := func(i int64) int64 { return tlog.StoredHashIndex(0, i) }
	l.tamper("UPDATE audit_hash SET hash = CASE index WHEN $1 THEN b ELSE a END FROM (SELECT (SELECT hash FROM audit_hash WHERE tenant_id = 1 AND index = $1) a, (SELECT hash FROM audit_hash WHERE tenant_id = 1 AND index = $2) b) x WHERE tenant_id = 1 AND index IN ($1, $2)", at(410), at(411))
	l.caught(ours, "events 411 to 412 were altered together with their hashes")
}

func TestAnEventPutInAfterwards(t *testing.T) {
	l := grown(t)
	replaced := l.leafIDs()[411]
	l.tamper("UPDATE audit_event SET kind = 'statement.refused', canonical = replace(replace(convert_from(canonical, 'UTF8'), 'client.created', 'statement.refused'), 'ingest.page', 'statement.refused')::bytea WHERE id = $1", replaced)
	l.caught(ours, "event 412 was altered")
	l.rehash(411)
	l.caught(ours, "events 411 to 412 were altered together with their hashes")
}

// rehash gives a leaf the hash of its event as it now is.
func (l *testLog) rehash(leaf int64) {
	l.t.Helper()
	var canonical []byte
	if err := l.owner.Get(&canonical, "SELECT canonical FROM audit_event e JOIN audit_leaf l ON l.event_id = e.id WHERE l.tenant_id = 1 AND l.index = $1", leaf); err != nil {
		l.t.Fatal(err)
	}
	hash := tlog.RecordHash(canonical)
	l.tamper("UPDATE audit_hash SET hash = $2 WHERE tenant_id = 1 AND index = $1", tlog.StoredHashIndex(0, leaf), hash[:])
}

// TestTheWholeTreeRewritten is what a patient owner of the database can do: alter an event, compute all hashes anew, and drop the
// checkpoints. Without the signing key it is caught by any checkpoint kept elsewhere.
func TestTheWholeTreeRewritten(t *testing.T) {
	for _, keep := range []bool{true, false} {
		t.Run(fmt.Sprintf("checkpoints kept %v", keep), func(t *testing.T) {
			l := grown(t)
			l.tamper("UPDATE audit_event SET actor = 'nobody', canonical = convert_to(regexp_replace(convert_from(canonical, 'UTF8'), '\"actor\":\"[^\"]*\"', '\"actor\":\"nobody\"'), 'UTF8') WHERE id = $1", l.leafIDs()[411])
			l.rebuild()
			if !keep {
				l.tamper("DELETE FROM audit_checkpoint WHERE tenant_id = 1")
			}
			l.caught(ours, "size 900", "covers other events", "events 301 to 900 was rewritten")
			r, _ := l.verify(ours)
			if r.Proved != 300 {
				t.Fatalf("the first checkpoint still holds: %v", r)
			}
			if _, err := l.sequencer.Step(t.Context(), ours); !errors.Is(err, ErrRolledBack) {
				t.Fatalf("the sequencer went on over a rewritten log: %v", err)
			}
		})
	}
}

// rebuild computes the tree of our tenant anew.
func (l *testLog) rebuild() {
	l.t.Helper()
	var canonical [][]byte
	if err := l.owner.Select(&canonical, "SELECT canonical FROM audit_event e JOIN audit_leaf l ON l.event_id = e.id WHERE l.tenant_id = 1 ORDER BY l.index"); err != nil {
		l.t.Fatal(err)
	}
	all := storedHashes{}
	var indexes []int64
	var hashes [][]byte
	for i, bytes := range canonical {
		made, err := tlog.StoredHashes(int64(i), bytes, all)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, h := range made {
			index := int64(len(indexes))
			all[index] = h
			indexes, hashes = append(indexes, index), append(hashes, slices.Clone(h[:]))
		}
	}
	tx := l.owner.MustBegin()
	defer tx.Rollback()
	tx.MustExec("SET LOCAL lrshub.maintenance = 'on'")
	tx.MustExec("DELETE FROM audit_hash WHERE tenant_id = 1")
	for i := range hashes {
		tx.MustExec("INSERT INTO audit_hash VALUES (1, $1, $2)", indexes[i], hashes[i])
	}
	if err := tx.Commit(); err != nil {
		l.t.Fatal(err)
	}
}

func TestTheAnchorRemovedFromUnderARunningHub(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 5, 5)
	if err := os.Truncate(l.sequencer.anchor.Path(ours), 10); err != nil {
		t.Fatal(err)
	}
	if _, err := l.sequencer.Step(t.Context(), ours); !errors.Is(err, ErrAnchor) {
		t.Fatalf("a cut anchor: %v", err)
	}
	if err := os.Remove(l.sequencer.anchor.Path(ours)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.sequencer.Step(t.Context(), ours); err == nil {
		t.Fatal("a removed anchor was not noticed")
	}
}

func TestAStrangersKey(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 5)
	other := l.hub(t.TempDir()) // a hub that was given another key
	l.record(ours, 1)
	if _, err := other.Step(t.Context(), ours); !errors.Is(err, ErrKey) {
		t.Fatalf("a hub with another key sequenced: %v", err)
	}
	l.flush(ours)
	l.whole(ours, 6)
}

func TestUnknownEventsHaveNoProof(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 3)
	waiting := l.record(ours, 1)[0]
	theirOwn := l.record(theirs, 1)[0]
	l.flush(theirs)
	for id, want := range map[uuid.UUID]error{uuid.New(): ErrUnknownEvent, waiting: ErrNotCovered, theirOwn: ErrUnknownEvent} {
		err := l.db.ReadTenant(t.Context(), ours, func(ctx context.Context, tx *database.Tx) error {
			_, err := Prove(ctx, tx, id, l.key(ours))
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("event %s: %v, want %v", id, err, want)
		}
	}
}
