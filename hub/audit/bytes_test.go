package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// These tests change any one byte of what the log consists of, and want it found and named.

func TestAnyByteOfAnEvent(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 3, 40, 8)
	l.grow(theirs, 4)
	ids := append(l.leafIDs(), l.record(ours, 3)...) // the last three wait for the sequencer
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(ids)-1).Draw(t, "event")
		var length int
		if err := l.owner.Get(&length, "SELECT length(canonical) FROM audit_event WHERE id = $1", ids[i]); err != nil {
			t.Fatal(err)
		}
		at, flip := rapid.IntRange(0, length-1).Draw(t, "byte"), rapid.IntRange(1, 255).Draw(t, "flip")
		query := "UPDATE audit_event SET canonical = set_byte(canonical, $2::int, get_byte(canonical, $2::int) # $3::int) WHERE id = $1"
		l.tamper(query, ids[i], at, flip)
		name := fmt.Sprintf("event %d was altered", i+1)
		if i >= 51 {
			name = fmt.Sprintf("event %s, which waits for the sequencer, was altered", ids[i])
		}
		l.caught(ours, name)
		l.tamper(query, ids[i], at, flip)
	})
	l.flush(ours)
	l.whole(ours, 54)
}

// leafIDs lists the events in the order of the tree.
func (l *testLog) leafIDs() (ids []uuid.UUID) {
	l.t.Helper()
	if err := l.owner.Select(&ids, "SELECT event_id FROM audit_leaf WHERE tenant_id = $1 ORDER BY index", ours); err != nil {
		l.t.Fatal(err)
	}
	return ids
}

func TestAnEventAlteredBeforeItIsSequenced(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 5)
	ids := l.record(ours, 3)
	l.tamper("UPDATE audit_event SET canonical = set_byte(canonical, 200, 65) WHERE id = $1", ids[1])
	l.caught(ours, ids[1].String(), "altered")
	l.flush(ours)
	l.caught(ours, "event 7 was altered")
}

func TestAnyQueryColumn(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 3, 40, 8)
	l.grow(theirs, 4)
	ids := append(l.leafIDs(), l.record(ours, 3)...)
	letter := "chr((ascii(substr(%[1]s, $2::int, 1)) - 32 + $3::int) %% 94 + 33)" // another printable character
	text := "%[1]s = overlay(%[1]s placing " + letter + " from $2::int for 1)"
	columns := map[string]string{
		"kind":    fmt.Sprintf(text, "kind"),
		"actor":   fmt.Sprintf(text, "actor"),
		"purpose": fmt.Sprintf(text, "purpose"),
		"at":      "at = at + $3::int * interval '1 microsecond' * $2::int",
		"subjects": `subjects = CASE $2::int WHEN 1 THEN subjects || id WHEN 2 THEN NULL::uuid || subjects
			WHEN 3 THEN ('[' || $3::int || ':' || $3::int || ']={' || id || '}')::uuid[]
			ELSE array_replace(subjects || id, id, gen_random_uuid()) END`,
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(ids)-1).Draw(t, "event")
		column := rapid.SampledFrom([]string{"kind", "actor", "purpose", "at", "subjects"}).Draw(t, "column")
		place, by := rapid.IntRange(1, 10).Draw(t, "place"), rapid.IntRange(1, 90).Draw(t, "by")
		l.tamper("CREATE TABLE kept AS SELECT * FROM audit_event WHERE id = $1", ids[i])
		l.tamper("UPDATE audit_event SET "+columns[column]+" WHERE id = $1 AND $2::int > 0 AND $3::int > 0", ids[i], place, by)
		l.caught(ours, "column "+column, ids[i].String(), "altered")
		l.tamper(fmt.Sprintf("UPDATE audit_event e SET %[1]s = kept.%[1]s FROM kept WHERE e.id = kept.id", column))
		l.owner.MustExec("DROP TABLE kept")
	})
	for name, at := range map[string]string{"infinite": "'infinity'", "before Christ": "'0044-03-15 BC'", "far away": "'20000-01-01'"} {
		t.Run(name, func(t *testing.T) {
			var before string
			if err := l.owner.Get(&before, "SELECT at::text FROM audit_event WHERE id = $1", ids[7]); err != nil {
				t.Fatal(err)
			}
			l.tamper("UPDATE audit_event SET at = "+at+" WHERE id = $1", ids[7])
			l.caught(ours, "column at of event 8")
			l.tamper("UPDATE audit_event SET at = $2 WHERE id = $1", ids[7], before)
		})
	}
	l.flush(ours)
	l.whole(ours, 54)
}

func TestKeyColumns(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 3, 40, 8)
	l.grow(theirs, 4)
	ids := l.leafIDs()
	pending := l.record(ours, 2)[0]
	stranger := uuid.New()
	for name, c := range map[string]struct {
		redo, undo string
		args       []any
		words      []string
	}{
		"event id": {"UPDATE audit_event SET id = $2 WHERE id = $1", "UPDATE audit_event SET id = $1 WHERE id = $2", []any{ids[6], stranger},
			[]string{"event 7 is missing"}},
		"event id, put in its place": {"WITH e AS (UPDATE audit_event SET id = $2 WHERE id = $1) UPDATE audit_leaf SET event_id = $2 WHERE event_id = $1",
			"WITH e AS (UPDATE audit_event SET id = $1 WHERE id = $2) UPDATE audit_leaf SET event_id = $1 WHERE event_id = $2", []any{ids[6], stranger},
			[]string{"column id of event 7"}},
		"event tenant": {"UPDATE audit_event SET tenant_id = 2 WHERE id = $1", "UPDATE audit_event SET tenant_id = 1 WHERE id = $1", []any{ids[6]},
			[]string{"event 7 is missing"}},
		"leaf index": {"UPDATE audit_leaf SET index = 51 + $2 WHERE index = $1", "UPDATE audit_leaf SET index = $1 WHERE index = 51 + $2", []any{9, 1000},
			[]string{"event 10 is missing"}},
		"leaf index, below zero": {"UPDATE audit_leaf SET index = -$2::int WHERE tenant_id = 1 AND index = $1", "UPDATE audit_leaf SET index = $1 WHERE tenant_id = 1 AND index = -$2::int", []any{9, 3},
			[]string{"row -3 of audit_leaf", "no place"}},
		"leaf index, impossible": {"UPDATE audit_leaf SET index = $2 WHERE tenant_id = 1 AND index = $1", "UPDATE audit_leaf SET index = $1 WHERE tenant_id = 1 AND index = $2", []any{50, int64(1) << 62},
			[]string{"event 51 is missing"}},
		"leaf's event": {"UPDATE audit_leaf SET event_id = $2 WHERE event_id = $1", "UPDATE audit_leaf SET event_id = $1 WHERE event_id = $2", []any{ids[6], stranger},
			[]string{"event 7 is missing"}},
		"leaf tenant": {"UPDATE audit_leaf SET tenant_id = 2, index = 100 + $2 WHERE tenant_id = 1 AND index = $1", "UPDATE audit_leaf SET tenant_id = 1, index = $1 WHERE tenant_id = 2 AND index = 100 + $2", []any{20, 0},
			[]string{"event 21 is missing"}},
		"hash index": {"UPDATE audit_hash SET index = $2 WHERE tenant_id = 1 AND index = $1", "UPDATE audit_hash SET index = $1 WHERE tenant_id = 1 AND index = $2", []any{13, 13 + 4096},
			[]string{"row 13 of audit_hash is missing"}},
		"hash index, impossible": {"UPDATE audit_hash SET index = $2 WHERE tenant_id = 1 AND index = $1", "UPDATE audit_hash SET index = $1 WHERE tenant_id = 1 AND index = $2", []any{13, int64(1)<<62 + 13},
			[]string{"row 13 of audit_hash is missing"}},
		"checkpoint size": {"UPDATE audit_checkpoint SET size = $2 WHERE tenant_id = 1 AND size = $1", "UPDATE audit_checkpoint SET size = $1 WHERE tenant_id = 1 AND size = $2", []any{43, 42},
			[]string{"stored checkpoint of size 42 was altered"}},
		"checkpoint size, beyond": {"UPDATE audit_checkpoint SET size = $2 WHERE tenant_id = 1 AND size = $1", "UPDATE audit_checkpoint SET size = $1 WHERE tenant_id = 1 AND size = $2", []any{43, 700},
			[]string{"checkpoint of size 700", "no place"}},
		"head up":   {"UPDATE audit_head SET size = $2 WHERE size = $1", "UPDATE audit_head SET size = $1 WHERE size = $2", []any{51, 59}, []string{"audit_head", "counts 59"}},
		"head down": {"UPDATE audit_head SET size = $2 WHERE size = $1", "UPDATE audit_head SET size = $1 WHERE size = $2", []any{51, 50}, []string{"audit_head was altered: it counts 50"}},
		"head far":  {"UPDATE audit_head SET size = $2 WHERE size = $1", "UPDATE audit_head SET size = $1 WHERE size = $2", []any{51, int64(1)<<61 + 51}, []string{"audit_head was altered"}},
		"pending's event": {"UPDATE audit_pending SET event_id = $2 WHERE event_id = $1", "UPDATE audit_pending SET event_id = $1 WHERE event_id = $2", []any{pending, stranger},
			[]string{"event " + pending.String() + " is in no tree"}},
		"pending's hash": {"UPDATE audit_pending SET hash = set_byte(hash, 3, get_byte(hash, 3) # 255) WHERE event_id = $1", "UPDATE audit_pending SET hash = set_byte(hash, 3, get_byte(hash, 3) # 255) WHERE event_id = $1", []any{pending},
			[]string{pending.String(), "was altered"}},
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			l.tamper(c.redo, c.args...)
			l.caught(ours, c.words...)
			l.tamper(c.undo, c.args...)
		})
	}
	l.t = t
	l.flush(ours)
	l.whole(ours, 53)
	l.whole(theirs, 4)
}

func TestAnyByteOfAHash(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 3, 40, 8)
	l.record(ours, 5) // 5 leaves behind the newest checkpoint, of which the last stands alone
	if _, err := l.sequencer.Step(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	count := int(tlog.StoredHashCount(56))
	rapid.Check(t, func(t *rapid.T) {
		index := rapid.IntRange(0, count-1).Draw(t, "index")
		at, flip := rapid.IntRange(0, 31).Draw(t, "byte"), rapid.IntRange(1, 255).Draw(t, "flip")
		query := "UPDATE audit_hash SET hash = set_byte(hash, $2::int, get_byte(hash, $2::int) # $3::int) WHERE tenant_id = 1 AND index = $1"
		l.tamper(query, index, at, flip)
		l.caught(ours, fmt.Sprintf("row %d of audit_hash", index))
		l.tamper(query, index, at, flip)
	})
	l.flush(ours)
	l.whole(ours, 56)
}

func TestAnyByteOfACheckpoint(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 3, 4, 5)
	var notes []CheckpointRow
	if err := l.owner.Select(&notes, "SELECT size, note FROM audit_checkpoint WHERE tenant_id = 1 ORDER BY size"); err != nil {
		t.Fatal(err)
	}
	export := l.export(ours)
	for _, c := range notes {
		for at := range len(c.Note) {
			altered := []byte(c.Note)
			altered[at] ^= 1 << (at % 7)
			source := tamperedSource{ExportFile: OpenExport(bytes.NewReader(export)), size: c.Size, note: string(altered)}
			r, err := Verify(t.Context(), source, l.options(ours))
			if !errors.Is(err, ErrTampered) || !tells(r, fmt.Sprintf("checkpoint of size %d was altered", c.Size)) {
				t.Fatalf("byte %d of the checkpoint of size %d: %v\n%v", at, c.Size, err, r)
			}
		}
	}
	l.tamper("UPDATE audit_checkpoint SET note = replace(note, '=', 'A') WHERE tenant_id = 1 AND size = 7")
	l.caught(ours, "checkpoint of size 7 was altered")
}

// tamperedSource is an export in which one checkpoint has another note.
type tamperedSource struct {
	*ExportFile
	size int64
	note string
}

func (s tamperedSource) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range s.ExportFile.Entries(ctx) {
			if e.Checkpoint != nil && e.Checkpoint.Size == s.size {
				e.Checkpoint.Note = s.note
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestAnyByteOfTheAnchor(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 3, 4, 5)
	export := l.export(ours)
	whole, err := os.ReadFile(l.sequencer.anchor.Path(ours))
	if err != nil {
		t.Fatal(err)
	}
	o := l.options(ours)
	o.Anchor = filepath.Join(t.TempDir(), "anchor")
	for at := range len(whole) {
		for bit := at % 3; bit < 8; bit += 3 {
			altered := bytes.Clone(whole)
			altered[at] ^= 1 << bit
			line := bytes.Count(whole[:at], []byte("\n")) + 1
			if err := os.WriteFile(o.Anchor, altered, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Verify(t.Context(), OpenExport(bytes.NewReader(export)), o)
			if !errors.Is(err, ErrTampered) || !tells(r, fmt.Sprintf("line %d of the anchor file was altered", line)) {
				t.Fatalf("bit %d of byte %d: %v\n%v", bit, at, err, r)
			}
		}
	}
}

func TestAnyByteOfAnExport(t *testing.T) {
	l := newLog(t)
	l.grow(ours, 3, 20)
	l.record(ours, 2)
	export := l.export(ours)
	rapid.Check(t, func(rt *rapid.T) {
		at, flip := rapid.IntRange(0, len(export)-1).Draw(rt, "byte"), byte(rapid.IntRange(1, 255).Draw(rt, "flip"))
		altered := bytes.Clone(export)
		altered[at] ^= flip
		line := bytes.Count(export[:at], []byte("\n")) + 1
		r, err := Verify(t.Context(), OpenExport(bytes.NewReader(altered)), l.options(ours))
		if line == 1 && errors.Is(err, ErrExport) {
			return // without its first line it is no export
		}
		if !errors.Is(err, ErrTampered) {
			rt.Fatalf("byte %d (line %d) of the export: %v\n%v\n%s", at, line, err, r, bytes.Split(altered, []byte("\n"))[line-1])
		}
	})
	for cut := 0; cut < len(export); cut += 1 + min(30, (len(export)-cut)/30) {
		r, err := Verify(t.Context(), OpenExport(bytes.NewReader(export[:cut])), l.options(ours))
		if !errors.Is(err, ErrTampered) && !errors.Is(err, ErrExport) {
			t.Fatalf("an export cut after %d bytes: %v\n%v", cut, err, r)
		}
	}
}
