package installed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
)

// program writes a file and gives its path and SHA-256.
func program(t *testing.T, text string) (string, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(text))
	return path, hex.EncodeToString(sum[:])
}

// TestVersionsLieSideBySide: the one that was installed last is current, the others stay, and what has another sum leaves nothing.
func TestVersionsLieSideBySide(t *testing.T) {
	f := Folder(filepath.Join(t.TempDir(), "connectors"))
	if list, err := f.List(); err != nil || len(list) != 0 {
		t.Fatalf("%v, %v", list, err)
	}
	one, first := program(t, "one")
	two, second := program(t, "two")
	for _, each := range []struct{ path, sum, version string }{{one, first, "1.0.0"}, {two, second, "2.0.0"}} {
		if err := f.Install(each.path, each.sum, Connector{Name: "quiz", Description: contract.Description{Version: each.version}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Install(one, second, Connector{Name: "other"}); !errors.Is(err, host.ErrChecksum) {
		t.Errorf("another sum: %v", err)
	}
	list, err := f.List()
	if err != nil || len(list) != 1 || list[0].SHA256 != second || list[0].Description.Version != "2.0.0" || len(list[0].Versions) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for sum, want := range map[string]string{first: "one", strings.ToUpper(second): "two"} {
		path, err := f.Program("quiz", sum)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", sum, text, err)
		}
	}
	for name, sum := range map[string]string{"quiz": strings.Repeat("0", 64), "other": first, "../quiz": first, "": first} {
		if _, err := f.Program(name, sum); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := f.Remove("quiz", second); !errors.Is(err, ErrName) {
		t.Errorf("the current version was removed: %v", err)
	}
	if err := f.Remove("quiz", first); err != nil {
		t.Error(err)
	}
	if err := f.Remove("quiz", ""); err != nil {
		t.Error(err)
	}
	if _, err := f.Get("quiz"); !errors.Is(err, ErrUnknown) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestNamesAndSums(t *testing.T) {
	for _, bad := range []string{"", ".hidden", "A", "a/b", "..", "a b", strings.Repeat("a", 64)} {
		if CheckName(bad) == nil {
			t.Errorf("%q is no name", bad)
		}
	}
	if sum, err := Sum(" sha256:" + strings.Repeat("AB", 32)); err != nil || sum != strings.Repeat("ab", 32) {
		t.Errorf("%q, %v", sum, err)
	}
	if _, err := Sum("abc"); !errors.Is(err, host.ErrChecksum) {
		t.Error("abc is no sum")
	}
}
