package csv

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// receiver does with pages what the hub does: it keeps what a checkpoint closes, takes back what a complete snapshot did
// not have, and begins a snapshot anew when the cursor has expired.
type receiver struct {
	cursor   []byte
	kept     map[string]string // record by key
	seen     map[string]bool   // in this snapshot
	snapshot bool              // one is going on
}

// run reads until the end, or until stop checkpoints were taken.
func (h *receiver) run(s *sdk.Session, stop int) error {
	if !h.snapshot {
		h.seen, h.snapshot = make(map[string]bool), true
	}
	page := make(map[string]string)
	complete := false
	r := sdk.Request{Stream: "result", Cursor: h.cursor, PageRecords: 2}
	_, err := sdktest.ReadUntil(context.Background(), New(), s, r, func(e sdk.Event) error {
		switch e.Kind {
		case sdk.EventRecord:
			key, _, _ := strings.Cut(string(e.JSON), `,"score"`)
			page[key] = string(e.JSON)
		case sdk.EventSnapshotComplete:
			complete = true
		case sdk.EventCheckpoint:
			if stop--; stop < 0 {
				return errStop // the page is lost
			}
			h.cursor = e.Cursor
			for key, record := range page {
				h.kept[key], h.seen[key] = record, true
			}
			clear(page)
			if complete {
				maps.DeleteFunc(h.kept, func(key, _ string) bool { return !h.seen[key] })
			}
		}
		return nil
	})
	var e *sdk.Error
	if errors.As(err, &e) && e.Class == sdk.ClassCursorExpired {
		h.cursor, h.snapshot = nil, false
		return h.run(s, stop)
	}
	if err == nil {
		h.snapshot = false // the next run begins another one
	}
	return err
}

// TestLawHubEqualsFile: whatever happens to file and hub between reads, after one undisturbed run the hub has the rows of the file.
func TestLawHubEqualsFile(t *testing.T) {
	dir, s := folder(t, nil, `"key":["person"],"deletes":"absence","columns":[{"name":"person","type":"int"},{"name":"score","type":"int"}]`)
	path := filepath.Join(dir, "results.csv")
	rapid.Check(t, func(t *rapid.T) {
		h := &receiver{kept: make(map[string]string)}
		file := make(map[int]int)
		order := []int{}
		save := func(t *rapid.T) {
			var b strings.Builder
			b.WriteString("person,score\n")
			for _, person := range order {
				fmt.Fprintf(&b, "%d,%d\n", person, file[person])
			}
			target := path
			if rapid.Bool().Draw(t, "rename") {
				target += ".new"
			}
			err := os.WriteFile(target, []byte(b.String()), 0o600)
			if err == nil && target != path {
				err = os.Rename(target, path)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		save(t)
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				if len(order) == 0 {
					t.Skip()
				}
				file[rapid.SampledFrom(order).Draw(t, "person")] = rapid.IntRange(0, 9).Draw(t, "score")
				save(t)
			},
			"add": func(t *rapid.T) {
				person := rapid.IntRange(0, 30).Draw(t, "person")
				if !slices.Contains(order, person) {
					order = slices.Insert(order, rapid.IntRange(0, len(order)).Draw(t, "at"), person)
				}
				file[person] = rapid.IntRange(0, 9).Draw(t, "score")
				save(t)
			},
			"remove": func(t *rapid.T) {
				if len(order) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(order)-1).Draw(t, "at")
				order = slices.Delete(order, i, i+1)
				save(t)
			},
			"broken run": func(t *rapid.T) {
				if err := h.run(s, rapid.IntRange(0, 5).Draw(t, "pages")); err != nil && !errors.Is(err, errStop) {
					t.Fatal(err)
				}
			},
			"forgetful run": func(t *rapid.T) { // a hub that asks for everything
				if !h.snapshot {
					h.cursor = nil
				}
			},
			"": func(t *rapid.T) {},
		})
		if err := h.run(s, 1000); err != nil {
			t.Fatal(err)
		}
		want := make(map[string]string)
		for _, person := range order {
			key := fmt.Sprintf(`{"person":%d`, person)
			want[key] = fmt.Sprintf(`%s,"score":%d}`, key, file[person])
		}
		if diff := cmp.Diff(want, h.kept); diff != "" {
			t.Fatalf("hub and file differ (-file +hub):\n%s", diff)
		}
	})
}
