package audit

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestRestoredFromABackup(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 30, 20)
	l.record(ours, 10)
	if _, err := l.sequencer.Step(t.Context(), ours); err != nil { // the backup: 60 events, checkpoints of 30 and 50
		t.Fatal(err)
	}
	ids := l.leafIDs()
	l.grow(ours, 40)
	l.cut(60)
	if _, err := l.sequencer.Step(t.Context(), ours); !errors.Is(err, ErrRolledBack) {
		t.Fatal(err)
	}
	l.caught(ours, "events 61 to 100 are missing")
	c, err := l.sequencer.Restart(t.Context(), ours, l.now, "someone")
	if err != nil || c.Size != 50 || c.Restart != 100 {
		t.Fatalf("restart: %+v, %v", c, err)
	}
	l.grow(ours, 10)
	l.whole(ours, 71)
	l.grow(ours, 60)
	l.whole(ours, 131) // beyond the size that was lost
	r, _ := l.verify(ours)
	if len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "the anchor then knew 100 events") || r.Anchored != 5 {
		t.Fatalf("a restart must be told of:\n%v", r)
	}
	if !slices.Equal(l.leafIDs()[:60], ids) {
		t.Fatal("the log that was kept has changed")
	}
	if _, err := l.sequencer.Restart(t.Context(), ours, l.now, "someone"); !errors.Is(err, ErrNotRolledBack) {
		t.Fatalf("a restart of a log that is in order: %v", err)
	}
	// A second restore, to before the restart.
	l.cut(30)
	if _, err := l.sequencer.Restart(t.Context(), ours, l.now, "someone"); err != nil {
		t.Fatal(err)
	}
	l.grow(ours, 5)
	l.whole(ours, 36)
}

// TestAForkAfterARestore: another hub, without the anchor, went on over a restored log and has long passed the old size.
func TestAForkAfterARestore(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 30, 70)
	l.cut(30)
	second := l.hub(t.TempDir())
	copyKey(t, l.dir, second)
	first := l.sequencer
	l.sequencer = second
	l.grow(ours, 170)
	l.whole(ours, 200)
	l.sequencer = first
	l.caught(ours, "size 100", "covers other events")
	if _, err := first.Step(t.Context(), ours); !errors.Is(err, ErrRolledBack) {
		t.Fatal(err)
	}
	if c, err := first.Restart(t.Context(), ours, l.now, "someone"); err != nil || c.Size != 30 {
		t.Fatalf("%+v %v", c, err)
	}
	l.flush(ours)
	l.whole(ours, 201)
}

func TestRestoredToNothing(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 10)
	l.cut(0)
	if c, err := l.sequencer.Restart(t.Context(), ours, l.now, "someone"); err != nil || c.Size != 0 {
		t.Fatalf("%+v %v", c, err)
	}
	l.grow(ours, 3)
	l.whole(ours, 4)
}

func TestRestartIsForAWholeLog(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 10)
	l.tamper("DELETE FROM audit_hash WHERE tenant_id = 1 AND index = 4")
	if _, err := l.sequencer.Restart(t.Context(), ours, l.now, "someone"); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a damaged log was restarted: %v", err)
	}
	if _, err := l.sequencer.Restart(t.Context(), theirs, l.now, "someone"); !errors.Is(err, ErrNotRolledBack) {
		t.Fatalf("an empty log was restarted: %v", err)
	}
}
