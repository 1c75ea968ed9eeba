package csv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files/filestest"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// overSFTP serves a folder with the file long.csv and gives a session that reads it from there.
func overSFTP(t *testing.T, text string) (dir string, server *filestest.Server, s *sdk.Session) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "long.csv"), text)
	server = filestest.Start(t, dir)
	config := fmt.Sprintf(`{"folder":".","sftp":%s,"files":[{"stream":"result","file":"long.csv","key":["course","person"],"subject":"person","deletes":"absence",
		"columns":{"course":"string","person":"int","score":"double","passed":"bool"}}]}`, server.Config())
	return dir, server, sdktest.Session(config, nil, server.Secrets())
}

func TestConformanceOverSFTP(t *testing.T) {
	_, server, s := overSFTP(t, header+rows(43))
	kit.Run(t, kit.Subject{Name: "csv", New: New, Config: string(s.Config), Secrets: server.Secrets(), Refused: map[string]string{
		"another host key": `{"folder":".","sftp":{"host":"127.0.0.1","user":"reader","host_keys":["nonsense"]},"files":[{"stream":"a","file":"a.csv","columns":{"a":"int"}}]}`,
		"missing file":     fmt.Sprintf(`{"folder":".","sftp":%s,"files":[{"stream":"a","file":"a.csv","columns":{"a":"int"}}]}`, server.Config()),
		"missing folder":   fmt.Sprintf(`{"folder":"out","sftp":%s,"files":[{"stream":"a","file":"a.csv","columns":{"a":"int"}}]}`, server.Config()),
	}})
}

// TestUnchangedOverSFTP: an old file that did not change is not read again; of one that changed lately the content decides, since the server's clock is not
// ours and its times are whole seconds.
func TestUnchangedOverSFTP(t *testing.T) {
	dir, _, s := overSFTP(t, header+rows(20))
	path := filepath.Join(dir, "long.csv")
	recent := time.Now().Add(-time.Minute).Truncate(time.Second)
	for _, test := range []struct {
		name string
		at   time.Time
		same bool // the file's size and time, though its content is another
		want int
	}{{"old", recent.Add(-24 * time.Hour), false, 0}, {"old and rewritten", recent.Add(-24 * time.Hour), true, 0}, {"lately rewritten", recent, true, 20}} {
		write(t, path, header+rows(20))
		if err := os.Chtimes(path, test.at, test.at); err != nil {
			t.Fatal(err)
		}
		first := read(t, s, sdk.Request{Stream: "result"})
		if test.same {
			text := []byte(header + rows(20))
			text[len(text)-2] ^= 1 // another letter in the last cell, and nothing else
			write(t, path, string(text))
			if err := os.Chtimes(path, test.at, test.at); err != nil {
				t.Fatal(err)
			}
		}
		again := read(t, s, sdk.Request{Stream: "result", Cursor: last(t, first)})
		if got := len(again.Records) + len(again.Bad); got != test.want {
			t.Errorf("%s: %d rows were brought again, want %d", test.name, got, test.want)
		}
	}
}

// TestCutInTheMiddle: a connection that breaks off costs what was not acknowledged, and no more.
func TestCutInTheMiddle(t *testing.T) {
	const n = 60_000
	_, server, s := overSFTP(t, header+rows(n))
	server.CutAfter(700 << 10)
	got, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: "result", PageRecords: 500})
	var known *sdk.Error
	if !errors.As(err, &known) || known.Class != sdk.ClassTransient || got.SnapshotComplete || len(got.Cursors) == 0 || len(got.Records) >= n {
		t.Fatalf("cut: %v, %d records, %d checkpoints", err, len(got.Records), len(got.Cursors))
	}
	server.CutAfter(-1)
	rest := read(t, s, sdk.Request{Stream: "result", Cursor: last(t, got)})
	if kept := len(got.Cursors) * 500; kept+len(rest.Records) != n || !rest.SnapshotComplete {
		t.Errorf("%d kept and %d after the cut, want %d in all", kept, len(rest.Records), n)
	}
}
