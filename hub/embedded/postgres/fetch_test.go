package postgres

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestFetchForReal(t *testing.T) {
	if os.Getenv("LRSHUB_TEST_FETCH") == "" {
		t.Skip("downloads Postgres: set LRSHUB_TEST_FETCH=1 to run it")
	}
	fetchAndStart(t, repository, fmt.Sprint(fetchedMajor))
}

// A repository that serves archives like the real one, whose programs hand over to the Postgres that is installed here.
func TestFetch(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("needs xz to make the archive")
	}
	found, problems := probe(t.Context(), searchPath(), nil)
	if len(found) == 0 {
		t.Fatalf("these tests need Postgres: %v", problems)
	}
	jar := archive(t, found[0].dir)
	sum := sha256.Sum256(jar)
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			fmt.Fprint(w, hex.EncodeToString(sum[:]))
			return
		}
		_, _ = w.Write(jar) // a short read fails the test
	}))
	defer repository.Close()
	fetchAndStart(t, repository.URL, fmt.Sprint(found[0].version))

	broken := httptest.NewServer(http.NotFoundHandler())
	defer broken.Close()
	if err := fetch(filepath.Join(newFolder(t), "binaries"), broken.URL); err == nil {
		t.Error("nothing was fetched, and no error")
	}
}

func fetchAndStart(t *testing.T, repository, version string) {
	t.Helper()
	dir := newFolder(t)
	if err := os.Mkdir(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := fetch(filepath.Join(dir, "binaries"), repository); err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Dir: dir, BinDir: filepath.Join(dir, "binaries", "bin"), Test: true})
	if got := value(t, open(t, s, "postgres"), "SELECT current_setting('server_version_num')::int / 10000"); got != version {
		t.Errorf("fetched Postgres %s, want %s", got, version)
	}
}

// archive is a zip with a tar.xz of bin/.
func archive(t *testing.T, real string) []byte {
	t.Helper()
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		script := "#!/bin/sh\nexec " + filepath.Join(real, name) + " \"$@\"\n"
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/" + name, Mode: 0o755, Size: int64(len(script))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(script)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	xz := exec.Command("xz", "-c")
	xz.Stdin = &files
	packed, err := xz.Output()
	if err != nil {
		t.Fatal(err)
	}
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	entry, err := z.Create("postgres.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Write(packed); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return jar.Bytes()
}
