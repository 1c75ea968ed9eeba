package csv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

const header = "course,person,score,passed\n"

func rows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "B1,%d,%d,1\n", i+1, i%10)
	}
	return b.String()
}

func TestUnchangedFileIsLeftAlone(t *testing.T) {
	dir, s := folder(t, map[string]string{"results.csv": header + rows(5)}, "")
	path := filepath.Join(dir, "results.csv")
	for _, later := range []time.Duration{0, time.Hour} { // a fresh file's content is compared, an old one's times
		s := at(s, later)
		first := read(t, s, sdk.Request{})
		if len(first.Records) != 5 || !first.SnapshotComplete {
			t.Fatalf("first read: %d records, complete %v", len(first.Records), first.SnapshotComplete)
		}
		second := read(t, s, sdk.Request{Cursor: last(t, first)})
		if len(second.Records) != 0 || second.SnapshotComplete {
			t.Errorf("clock +%v: second read: %d records, complete %v", later, len(second.Records), second.SnapshotComplete)
		}
		if later > 0 && len(second.Cursors) != 0 {
			t.Errorf("clock +%v: second read wrote a cursor", later)
		}
		if full := read(t, s, sdk.Request{Cursor: last(t, first), Full: true}); len(full.Records) != 5 || !full.SnapshotComplete {
			t.Errorf("clock +%v: full read: %d records", later, len(full.Records))
		}
		touched := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, touched, touched); err != nil {
			t.Fatal(err)
		}
		third := read(t, s, sdk.Request{Cursor: last(t, first)})
		if len(third.Records) != 0 || len(third.Cursors) != 1 {
			t.Errorf("clock +%v: touched: %d records, %d cursors", later, len(third.Records), len(third.Cursors))
		}
	}
}

// TestInPlaceChange: a score changes in place, the file keeps its size and is given back its old times.
func TestInPlaceChange(t *testing.T) {
	for _, later := range []time.Duration{0, time.Hour} {
		t.Run(later.String(), func(t *testing.T) {
			dir, s := folder(t, map[string]string{"results.csv": header + rows(5)}, "")
			s = at(s, later)
			path := filepath.Join(dir, "results.csv")
			about, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			first := read(t, s, sdk.Request{})
			if later > 0 {
				time.Sleep(20 * time.Millisecond) // longer than a tick of the file system's clock, or the times would be the same
			}
			write(t, path, header+strings.Replace(rows(5), "B1,3,2,", "B1,3,9,", 1))
			if err := os.Chtimes(path, about.ModTime(), about.ModTime()); err != nil {
				t.Fatal(err)
			}
			second := read(t, s, sdk.Request{Cursor: last(t, first)})
			if len(second.Records) != 5 || !strings.Contains(second.Records[2], `"score":9`) || !second.SnapshotComplete {
				t.Errorf("second read: %v", second.Records)
			}
		})
	}
}

var errStop = errors.New("stopped by the test")

// readUntilCursor breaks a read off right after its n-th checkpoint.
func readUntilCursor(t *testing.T, s *sdk.Session, r sdk.Request, n int) *sdktest.Result {
	t.Helper()
	r.Stream = "result"
	got, err := sdktest.ReadUntil(context.Background(), New(), s, r, func(e sdk.Event) error {
		if e.Kind == sdk.EventCheckpoint {
			n--
		}
		if n == 0 {
			return errStop
		}
		return nil
	})
	if !errors.Is(err, errStop) {
		t.Fatalf("the read ended with %v", err)
	}
	return got
}

func TestResumeAtEveryCheckpoint(t *testing.T) {
	text := header + rows(20) + "\"B\n2\",21,1,1\n" + "short,row\n" + strings.TrimSuffix(rows(25)[len(rows(21)):], "\n")
	for _, later := range []time.Duration{0, time.Hour} {
		_, s := folder(t, map[string]string{"results.csv": text}, "")
		s = at(s, later)
		whole := read(t, s, sdk.Request{PageRecords: 3})
		if len(whole.Cursors) < 8 || whole.LargestPage != 3 {
			t.Fatalf("%d cursors, largest page %d", len(whole.Cursors), whole.LargestPage)
		}
		for n := 1; n < len(whole.Cursors); n++ {
			first := readUntilCursor(t, s, sdk.Request{PageRecords: 3}, n)
			rest := read(t, s, sdk.Request{PageRecords: 3, Cursor: last(t, first)})
			if diff := cmp.Diff(whole.Records, append(first.Records, rest.Records...)); diff != "" {
				t.Errorf("after checkpoint %d (-whole +parts):\n%s", n, diff)
			}
			if diff := cmp.Diff(whole.Positions, append(first.Positions, rest.Positions...)); diff != "" {
				t.Errorf("positions after checkpoint %d (-whole +parts):\n%s", n, diff)
			}
			if len(first.Bad)+len(rest.Bad) != 1 || rest.SnapshotComplete {
				t.Errorf("after checkpoint %d: bad %d+%d, complete %v", n, len(first.Bad), len(rest.Bad), rest.SnapshotComplete)
			}
		}
	}
}

func TestChangeBehindAnUnfinishedSnapshot(t *testing.T) {
	dir, s := folder(t, map[string]string{"results.csv": header + rows(9)}, "")
	path := filepath.Join(dir, "results.csv")
	first := readUntilCursor(t, s, sdk.Request{PageRecords: 3}, 2)

	write(t, path, header+rows(12)) // rows were appended: what was read stands
	rest := read(t, s, sdk.Request{Cursor: last(t, first)})
	if len(rest.Records) != 6 || !rest.SnapshotComplete {
		t.Errorf("appended: %d records, complete %v", len(rest.Records), rest.SnapshotComplete)
	}

	write(t, path, header+strings.Replace(rows(9), "B1,1,0", "B1,1,5", 1))
	_, err := sdktest.Read(context.Background(), New(), s, sdk.Request{Stream: "result", Cursor: last(t, first)})
	var e *sdk.Error
	if !errors.As(err, &e) || e.Class != sdk.ClassCursorExpired {
		t.Errorf("changed behind the cursor: %v, want class cursor_expired", err)
	}
}

// TestAppendedRows: without deletes nothing has to be seen again, so only what was appended is read.
func TestAppendedRows(t *testing.T) {
	dir, s := folder(t, map[string]string{"results.csv": header + rows(9)}, `"columns":{"person":"int","score":"int"}`)
	path := filepath.Join(dir, "results.csv")
	first := read(t, s, sdk.Request{})
	write(t, path, header+rows(12))
	second := read(t, s, sdk.Request{Cursor: last(t, first)})
	if diff := cmp.Diff([]string{`{"person":10,"score":9}`, `{"person":11,"score":0}`, `{"person":12,"score":1}`}, second.Records); diff != "" {
		t.Errorf("appended rows (-want +got):\n%s", diff)
	}
	write(t, path, header+strings.Replace(rows(13), "B1,1,0", "B1,1,5", 1))
	if third := read(t, s, sdk.Request{Cursor: last(t, second)}); len(third.Records) != 13 {
		t.Errorf("changed: %d records", len(third.Records))
	}

	write(t, path, header+"B1,1,1,1\nB1,2,2")
	cut := read(t, s, sdk.Request{})
	if len(cut.Records) != 1 || len(cut.Bad) != 1 {
		t.Fatalf("half a row: %d records, %d bad", len(cut.Records), len(cut.Bad))
	}
	write(t, path, header+"B1,1,1,1\nB1,2,22,1\n")
	if whole := read(t, s, sdk.Request{Cursor: last(t, cut)}); len(whole.Records) != 2 || len(whole.Bad) != 0 {
		t.Errorf("the row was finished: %d records, %d bad", len(whole.Records), len(whole.Bad))
	}
}

// TestChangeDuringRead: a file that is written while it is read is no snapshot.
func TestChangeDuringRead(t *testing.T) {
	dir, s := folder(t, map[string]string{"results.csv": header + rows(9)}, "")
	path := filepath.Join(dir, "results.csv")
	changed := false
	got, err := sdktest.ReadUntil(context.Background(), New(), s, sdk.Request{Stream: "result", PageRecords: 3}, func(e sdk.Event) error {
		if e.Kind == sdk.EventCheckpoint && !changed {
			changed = true
			write(t, path, header+rows(4))
		}
		return nil
	})
	var e *sdk.Error
	if !errors.As(err, &e) || e.Class != sdk.ClassTransient {
		t.Errorf("error %v, want class transient", err)
	}
	if got.SnapshotComplete {
		t.Error("the snapshot was called complete")
	}
}

// TestReplacedDuringRead: an export that is renamed into place does not disturb the read of the one before.
func TestReplacedDuringRead(t *testing.T) {
	dir, s := folder(t, map[string]string{"results.csv": header + rows(9)}, "")
	replaced := false
	first, err := sdktest.ReadUntil(context.Background(), New(), s, sdk.Request{Stream: "result", PageRecords: 3}, func(e sdk.Event) error {
		if e.Kind == sdk.EventCheckpoint && !replaced {
			replaced = true
			write(t, filepath.Join(dir, "new"), header+rows(4))
			return os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "results.csv"))
		}
		return nil
	})
	if err != nil || len(first.Records) != 9 || !first.SnapshotComplete {
		t.Fatalf("%d records, complete %v, error %v", len(first.Records), first.SnapshotComplete, err)
	}
	if second := read(t, s, sdk.Request{Cursor: last(t, first)}); len(second.Records) != 4 || !second.SnapshotComplete {
		t.Errorf("the new file: %d records, complete %v", len(second.Records), second.SnapshotComplete)
	}
}

// TestUselessCursors: a cursor that says nothing about the file leads to a full read by a new snapshot.
func TestUselessCursors(t *testing.T) {
	for _, deletes := range []string{"none", "absence"} {
		_, s := folder(t, map[string]string{"results.csv": header + rows(9)}, `"key":["person"],"deletes":"`+deletes+`","columns":{"person":"int","score":"int"}`)
		half := last(t, readUntilCursor(t, s, sdk.Request{PageRecords: 3, Fields: []string{"person"}}, 2))
		done := last(t, read(t, s, sdk.Request{Fields: []string{"person"}}))
		for name, cursor := range map[string]string{"empty": "{}", "garbage": "garbage", "other version": `{"v":99,"done":true}`, "other fields": string(half)} {
			_, err := sdktest.Read(context.Background(), New(), s, sdk.Request{Stream: "result", Cursor: []byte(cursor)})
			var e *sdk.Error
			if !errors.As(err, &e) || e.Class != sdk.ClassCursorExpired {
				t.Errorf("%s, deletes %s: error %v, want class cursor_expired", name, deletes, err)
			}
		}
		if got := read(t, s, sdk.Request{Cursor: done}); len(got.Records) != 9 {
			t.Errorf("other fields after a complete read: %d records", len(got.Records))
		}
	}
}
