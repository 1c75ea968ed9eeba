package postgres

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFetch(t *testing.T) {
	if os.Getenv("LRSHUB_TEST_FETCH") == "" {
		t.Skip("downloads Postgres: set LRSHUB_TEST_FETCH=1 to run it")
	}
	dir := newFolder(t)
	if err := os.Mkdir(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := fetch(filepath.Join(dir, "binaries")); err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Dir: dir, BinDir: filepath.Join(dir, "binaries", "bin"), Test: true})
	if got := value(t, open(t, s, "postgres"), "SELECT current_setting('server_version_num')::int / 10000"); got != "18" {
		t.Errorf("fetched Postgres %s", got)
	}
}
