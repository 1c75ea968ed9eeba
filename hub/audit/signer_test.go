package audit

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func TestSignerMakesItsKeyOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	keys := make([]string, 8)
	var all sync.WaitGroup
	for i := range keys { // several starts at once
		all.Go(func() {
			s, err := OpenSigner(dir, rand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = s.VerifierKey(1)
		})
	}
	all.Wait()
	for _, k := range keys {
		if k != keys[0] || k == "" {
			t.Fatalf("keys differ: %q", keys)
		}
	}
	path := filepath.Join(dir, keyFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*-*")); len(left) != 0 {
		t.Fatalf("left over: %v", left)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSigner(dir, rand.Reader); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "chmod 600") {
		t.Fatalf("a key that others may read: %v", err)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, secret[:len(secret)-9], 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSigner(dir, rand.Reader); !errors.Is(err, ErrKey) || strings.Contains(err.Error(), string(secret[40:60])) {
		t.Fatalf("a damaged key: %v", err)
	}
	if _, err := OpenSigner(filepath.Join(path, "below"), rand.Reader); !errors.Is(err, ErrKey) {
		t.Fatalf("a folder that cannot be: %v", err)
	}
}

// TestCheckpointsAreOrdinaryNotes: other software of C2SP can read them.
func TestCheckpointsAreOrdinaryNotes(t *testing.T) {
	s, err := OpenSigner(t.TempDir(), bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.sign(2, 5, tlog.RecordHash([]byte("x")), 0)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(s.VerifierKey(2))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(c.Note), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if want := "lrshub/07070707/2\n5\n" + c.Root.String() + "\n"; n.Text != want {
		t.Fatalf("text %q, want %q", n.Text, want)
	}
	if again, err := OpenCheckpoint(c.Note, verifier); err != nil || again != c {
		t.Fatalf("%+v, %v", again, err)
	}
	// A second signature, as a witness would add, is another note than the one that was anchored.
	other, err := OpenSigner(t.TempDir(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second := must(other.signer(2))
	both, err := note.Sign(n, second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoint(string(both), verifier); !errors.Is(err, ErrCheckpoint) {
		t.Fatalf("a note with a stranger's signature: %v", err)
	}
}

func TestTextsThatAreNoCheckpoint(t *testing.T) {
	s, err := OpenSigner(t.TempDir(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	origin, root := s.Origin(1), must(s.sign(1, 1, tlog.Hash{}, 0)).text()
	root = strings.Split(root, "\n")[2]
	for _, text := range []string{
		"\n", origin + "\n", origin + "\n1\n", origin + "\n01\n" + root + "\n", origin + "\n-1\n" + root + "\n", origin + "\n+1\n" + root + "\n",
		origin + "\n1\n" + root[:40] + "\n", origin + "\n1\n" + strings.Replace(root, "A=", "B=", 1) + "\n", s.Origin(2) + "\n1\n" + root + "\n",
		origin + "\n1\n" + root + "\nrestart 0\n", origin + "\n1\n" + root + "\nrestart\n", origin + "\n1\n" + root + "\nother 3\n", origin + "\n1\n" + root + "\nrestart 3\nrestart 3\n",
	} {
		signed, err := note.Sign(&note.Note{Text: text}, must(s.signer(1)))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if _, err := OpenCheckpoint(string(signed), must(s.verifier(1))); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%q was taken: %v", text, err)
		}
	}
}
