package main

import (
	"errors"
	"os"
	"testing"
)

func TestFilesOfTheFolderAreMadeOnceAndWhole(t *testing.T) {
	f := &folder{path: t.TempDir()}
	broken := errors.New("no database yet")
	if _, err := f.once("token", func() (string, error) { return "half a tok", broken }); !errors.Is(err, broken) {
		t.Fatalf("want the error of making it, not %v", err)
	}
	for _, fresh := range []string{"first", "second"} {
		if text, err := f.once("token", func() (string, error) { return fresh + "\n", nil }); err != nil || text != "first" {
			t.Errorf("%q, %v: what failed before must have left nothing, and what was made must stay", text, err)
		}
	}
	list, err := os.ReadDir(f.path)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d files, want the token only (%v)", len(list), err)
	}
	if about, err := list[0].Info(); err != nil || about.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600 (%v)", about.Mode(), err)
	}
}
