package openedx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// TestLawEveryEventOnce: whatever happens to logs and hub between reads, after one undisturbed run every event was stored;
// and none was brought twice, but for pages that the hub lost and files that were copied.
func TestLawEveryEventOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newSite(t, "")
		stored := make(map[string]int)
		last, rotated, copies := 0, 0, false
		read := func(t *rapid.T, pages int) {
			var page []string
			_, err := sdktest.ReadUntil(context.Background(), New(), s.s, sdk.Request{Stream: "event", Cursor: s.cursor, PageRecords: 2}, func(e sdk.Event) error {
				switch e.Kind {
				case sdk.EventRecord:
					page = append(page, string(e.JSON))
				case sdk.EventBad:
					t.Fatalf("%s: %s", e.Position, e.Reason)
				case sdk.EventCheckpoint:
					if pages--; pages < 0 {
						return errStop // the page is lost
					}
					s.cursor = e.Cursor
					for _, record := range page {
						stored[record]++
					}
					page = nil
				}
				return nil
			})
			if err != nil && !errors.Is(err, errStop) {
				t.Fatal(err)
			}
		}
		s.write("tracking.log", "")
		rest := "" // of a line that is half written
		write := func(n int, cut bool) {
			text := rest + events(last+1, last+n)
			last += n
			rest = ""
			if cut {
				half := len(text) - 20
				text, rest = text[:half], text[half:]
			}
			s.append("tracking.log", text)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) { write(rapid.IntRange(1, 5).Draw(t, "n"), rapid.Bool().Draw(t, "half")) },
			"rotate": func(t *rapid.T) {
				write(1, false)
				rotated++
				s.rename("tracking.log", fmt.Sprintf("tracking.log.%d", rotated))
				s.write("tracking.log", "")
			},
			"copy and truncate": func(t *rapid.T) {
				write(1, false)
				rotated++
				text, err := os.ReadFile(s.path("tracking.log"))
				if err != nil {
					t.Fatal(err)
				}
				s.write(fmt.Sprintf("tracking.log.%d", rotated), string(text))
				s.write("tracking.log", "")
			},
			"gzip": func(t *rapid.T) {
				if rotated == 0 {
					t.Skip()
				}
				name := fmt.Sprintf("tracking.log.%d", rapid.IntRange(1, rotated).Draw(t, "file"))
				if _, err := os.Stat(s.path(name)); err != nil {
					t.Skip()
				}
				s.gzip(name)
			},
			"backup": func(t *rapid.T) { // a packed copy of the log that is being written
				text, err := os.ReadFile(s.path("tracking.log"))
				if err != nil {
					t.Fatal(err)
				}
				if rest == "" {
					s.write("tracking.log.backup.gz", zipped(text))
					copies = true
				}
			},
			"broken run": func(t *rapid.T) { read(t, rapid.IntRange(0, 4).Draw(t, "pages")) },
			"run":        func(t *rapid.T) { read(t, 1000) },
		})
		write(1, false)
		read(rt, 1000)
		if len(stored) != last {
			rt.Fatalf("%d of %d events were stored", len(stored), last)
		}
		for record, n := range stored {
			if n != 1 && !copies {
				rt.Fatalf("stored %d times: %s", n, record)
			}
		}
		if err := os.RemoveAll(s.dir); err != nil {
			rt.Fatal(err)
		}
	})
}
