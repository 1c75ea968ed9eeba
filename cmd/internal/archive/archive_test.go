package archive_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/cmd/internal/archive"
)

// write writes n statements from the writer's cursor on, with an attachment each thousand, and breaks off where it is told to.
func write(t *testing.T, w *archive.Writer, n, breakAt int) bool {
	t.Helper()
	from := 0
	if w.Cursor() != "" {
		fmt.Sscan(w.Cursor(), &from)
	}
	for i := from; i < n; i++ {
		if i == breakAt {
			return false
		}
		if i%1000 == 0 {
			if err := w.Attachment(hashOf(i), strings.NewReader(fmt.Sprint("content ", i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Statement(fmt.Appendf(nil, `{"n":%d}`, i), fmt.Sprint(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.Documents(func(add func([]byte) error) error { return errors.Join(add([]byte(`{"d":1}`)), add([]byte(`{"d":2}`))) })
	if err != nil {
		t.Fatal(err)
	}
	return true
}

func hashOf(i int) string {
	sum := sha256.Sum256(fmt.Append(nil, "content ", i))
	return hex.EncodeToString(sum[:])
}

func lines(t *testing.T, path string) (statements []string, err error) {
	t.Helper()
	r, err := archive.Open(path, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	err = r.Statements(func(line []byte) error { statements = append(statements, string(line)); return nil })
	if err == nil {
		n := 0
		if err = r.Documents(func([]byte) error { n++; return nil }); err == nil && n != 2 {
			t.Errorf("%d documents", n)
		}
	}
	return statements, err
}

// An export that breaks off anywhere, once or often, is at last what it would have been at once.
func TestBrokenOff(t *testing.T) {
	const n = 120_000
	whole, broken := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "broken")
	w, err := archive.Create(whole, "https://a.example")
	if err != nil || !write(t, w, n, -1) {
		t.Fatal(err)
	}
	for _, at := range []int{1, 49_999, 50_000, 77_777, 100_001, n} {
		w, err := archive.Create(broken, "https://a.example")
		if err != nil {
			t.Fatal(err)
		}
		if at == 77_777 {
			if err := w.Flush(); err != nil { // a clean stop
				t.Fatal(err)
			}
		}
		if done := write(t, w, n, at); done != (at == n) {
			t.Fatal("done", done)
		}
		if _, err := archive.Open(broken, nil); at != n && err == nil {
			t.Error("a part is taken for the whole")
		}
	}
	one, err := lines(t, whole)
	if err != nil || len(one) != n {
		t.Fatal(len(one), err)
	}
	two, err := lines(t, broken)
	if err != nil || !slices.Equal(one, two) {
		t.Errorf("%d lines, %v", len(two), err)
	}
	m1, _ := archive.ReadManifest(whole)
	m2, _ := archive.ReadManifest(broken)
	if m1.Statements != m2.Statements || m1.Attachments != m2.Attachments || m1.Attachments != 120 || m1.Statements.Count != n {
		t.Errorf("%+v %+v", m1, m2)
	}
	r, err := archive.Open(broken, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Attachment(strings.ToUpper(hashOf(5000)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if content, err := io.ReadAll(f); err != nil || string(content) != "content 5000" {
		t.Errorf("%s %v", content, err)
	}
	for _, hub := range []string{"https://a.example", "https://b.example"} {
		if _, err := archive.Create(broken, hub); err == nil {
			t.Error("a whole export is written over")
		}
	}
}

func TestAltered(t *testing.T) {
	for name, alter := range map[string]func(dir string) error{
		"a byte": func(dir string) error {
			return change(filepath.Join(dir, "statements-000001.ndjson.gz"), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		},
		"cut off": func(dir string) error {
			return change(filepath.Join(dir, "statements-000001.ndjson.gz"), func(b []byte) []byte { return b[:len(b)-9] })
		},
		"removed":   func(dir string) error { return os.Remove(filepath.Join(dir, "statements-000001.ndjson.gz")) },
		"documents": func(dir string) error { return os.Remove(filepath.Join(dir, "documents.ndjson.gz")) },
		"manifest": func(dir string) error {
			return change(filepath.Join(dir, "manifest.json"), func(b []byte) []byte { return b[:20] })
		},
		"without manifest": func(dir string) error { return os.Remove(filepath.Join(dir, "manifest.json")) },
		"a file elsewhere": func(dir string) error {
			return change(filepath.Join(dir, "manifest.json"), func(b []byte) []byte {
				return []byte(strings.Replace(string(b), "statements-000001", "../statements-000001", 1))
			})
		},
		"the count": func(dir string) error {
			return change(filepath.Join(dir, "manifest.json"), func(b []byte) []byte { return []byte(strings.Replace(string(b), `"count": 3`, `"count": 4`, 1)) })
		},
	} {
		dir := filepath.Join(t.TempDir(), "x")
		w, err := archive.Create(dir, "h")
		if err != nil || !write(t, w, 3, -1) {
			t.Fatal(err)
		}
		if _, err := lines(t, dir); err != nil {
			t.Fatal(err)
		}
		if err := alter(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := lines(t, dir); !errors.Is(err, archive.ErrAltered) && !errors.Is(err, archive.ErrNotArchive) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func change(path string, by func([]byte) []byte) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, by(content), 0o600)
}

func TestForeignFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Create(dir, "h"); err == nil {
		t.Error("an export among other things")
	}
	w, err := archive.Create(filepath.Join(t.TempDir(), "x"), "h")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Attachment("../../etc", strings.NewReader("")); err == nil {
		t.Error("a hash that is a path")
	}
	if err := w.Attachment(hashOf(1), strings.NewReader("content 2")); err == nil {
		t.Error("a content that is another's")
	}
}
