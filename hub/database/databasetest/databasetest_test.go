package databasetest

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestNew(t *testing.T) {
	first, second := New(t), New(t)
	if _, err := first.ExecContext(t.Context(), "DELETE FROM tenant WHERE name = 'other'"); err != nil {
		t.Fatal(err)
	}
	tenants, err := second.Tenants(t.Context())
	if err != nil || len(tenants) != 2 || tenants[0].ID != Default || tenants[1].ID != Other {
		t.Errorf("the tenants of a database of its own: %v, %v", tenants, err)
	}
}

// The cluster must outlive a test process for a while, end by itself, and start anew after its keeper was killed.
func TestKeeper(t *testing.T) {
	dir, err := os.MkdirTemp("", "lrshub-keeper-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	const idle = time.Second
	ownerURL, users, err := join(dir, idle)
	if err != nil {
		t.Fatal(err)
	}
	answers(t, ownerURL)
	again, moreUsers, err := join(dir, idle)
	if err != nil || again != ownerURL {
		t.Errorf("a second process got another cluster: %v", err)
	}
	users.Close()
	time.Sleep(2 * idle)
	answers(t, ownerURL) // one is still there

	if err := syscall.Kill(clusterPID(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); !free(t, dir, "keeper"); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("the lock of a killed keeper stays")
		}
	}
	ownerURL, users, err = join(dir, idle)
	if err != nil {
		t.Fatal(err)
	}
	answers(t, ownerURL)

	users.Close()
	moreUsers.Close()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "cluster")); errors.Is(err, fs.ErrNotExist) && free(t, dir, "keeper") {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("the cluster stays for ever")
		}
	}
}

func answers(t *testing.T, ownerURL string) {
	t.Helper()
	db, err := sql.Open("postgres", ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// free tells whether nobody holds the lock.
func free(t *testing.T, dir, name string) bool {
	t.Helper()
	f, err := lock(filepath.Join(dir, name), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return f.Close() == nil
}

// clusterPID is the keeper's process: the parent of the postmaster.
func clusterPID(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cluster", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	postmaster, _, _ := strings.Cut(string(text), "\n")
	stat, err := os.ReadFile("/proc/" + postmaster + "/stat")
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	// pid (name) state ppid
	_, rest, _ := strings.Cut(string(stat), ") ")
	parent, err := strconv.Atoi(strings.Fields(rest)[1])
	if err != nil || parent <= 1 {
		t.Fatalf("parent %d, %v", parent, err)
	}
	return parent
}

// Read it beside the design's 40 ms a database.
func BenchmarkNew(b *testing.B) {
	New(b)
	for b.Loop() {
		New(b)
	}
}
