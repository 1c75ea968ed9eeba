package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

func newFolder(t *testing.T) *Folder {
	t.Helper()
	f, err := OpenFolder(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func put(t *testing.T, f *Folder, content string) uuid.UUID {
	t.Helper()
	name, err := f.Put(func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// files lists all files of the folder.
func files(t *testing.T, f *Folder) (list []string) {
	t.Helper()
	err := filepath.WalkDir(f.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestPutOpenDelete(t *testing.T) {
	f := newFolder(t)
	name, empty := put(t, f, "content"), put(t, f, "")
	for n, want := range map[uuid.UUID]string{name: "content", empty: ""} {
		r, err := f.Open(n)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	info, err := os.Stat(f.path(name))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	r, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 { // gone is gone
		if err := f.Delete(name); err != nil {
			t.Error(err)
		}
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "content" {
		t.Errorf("what was opened before: %q, %v", got, err)
	}
	if _, err := f.Open(name); !errors.Is(err, ErrNotFound) {
		t.Errorf("a deleted blob: %v", err)
	}
}

// A blob whose writing fails or panics leaves no file.
func TestPutFails(t *testing.T) {
	f := newFolder(t)
	broken := errors.New("broken")
	_, err := f.Put(func(w io.Writer) error {
		_, _ = w.Write(make([]byte, 1<<20))
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = f.Put(func(io.Writer) error { panic("broken") })
		t.Error("no panic")
	}()
	if left := files(t, f); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestSweep(t *testing.T) {
	f := newFolder(t)
	now := time.Now()
	age := func(path string, by time.Duration) {
		if err := os.Chtimes(path, now.Add(-by), now.Add(-by)); err != nil {
			t.Fatal(err)
		}
	}
	known, lost, young := put(t, f, "known"), put(t, f, "lost"), put(t, f, "young")
	age(f.path(known), 2*Age)
	age(f.path(lost), 2*Age)
	stranger := filepath.Join(f.shard(lost), "README")
	begun, old := filepath.Join(f.shard(lost), unfinished+"1"), filepath.Join(f.shard(lost), unfinished+"2")
	for _, path := range []string{stranger, begun, old} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	age(stranger, 2*Age)
	age(old, 2*Age)
	var asked []uuid.UUID
	fails := errors.New("no database")
	_, err := f.Sweep(t.Context(), now.Add(-Age), func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error) { return nil, fails })
	if !errors.Is(err, fails) {
		t.Errorf("%v", err)
	}
	if n := len(files(t, f)); n != 6 {
		t.Fatalf("%d files are left after a sweep that could not ask", n)
	}
	n, err := f.Sweep(t.Context(), now.Add(-Age), func(_ context.Context, names []uuid.UUID) (map[uuid.UUID]bool, error) {
		asked = append(asked, names...)
		return map[uuid.UUID]bool{known: true}, nil
	})
	if err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	if slices.Contains(asked, young) || len(asked) != 2 {
		t.Errorf("asked about %v", asked)
	}
	left := files(t, f)
	slices.Sort(left)
	want := []string{known.String(), young.String(), "README", unfinished + "1"}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left: %v, want %v", left, want)
	}
}

// Names of more than one batch are all asked about.
func TestSweepManyBatches(t *testing.T) {
	f := newFolder(t)
	shard := filepath.Join(f.dir, "aa")
	if err := os.Mkdir(shard, 0o700); err != nil {
		t.Fatal(err)
	}
	keep := map[uuid.UUID]bool{}
	for i := range 3*sweepBatch/2 + 7 {
		name := uuid.New()
		name[0] = 0xaa
		keep[name] = i%3 == 0
		if err := os.WriteFile(f.path(name), bytes.Repeat([]byte{1}, i%2), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Sweep(t.Context(), time.Now().Add(time.Hour), func(_ context.Context, names []uuid.UUID) (map[uuid.UUID]bool, error) { return keep, nil }); err != nil {
		t.Fatal(err)
	}
	for name, want := range keep {
		if _, err := os.Stat(f.path(name)); (err == nil) != want {
			t.Fatalf("%s: kept %v, want %v", name, err == nil, want)
		}
	}
}
