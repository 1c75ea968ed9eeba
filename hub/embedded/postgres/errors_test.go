package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestClearErrors(t *testing.T) {
	dir := newFolder(t)
	s := start(t, Options{Dir: dir, Test: true})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port

	cluster := func(t *testing.T, change func(dir string)) string {
		dir := newFolder(t)
		stop(t, start(t, Options{Dir: dir, Test: true}))
		change(dir)
		return dir
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		options Options
		want    error
		says    string
	}{
		"in use":       {Options{Dir: dir}, ErrInUse, "another process"},
		"port taken":   {Options{Dir: newFolder(t), Port: port}, ErrPort, "choose another port"},
		"no binaries":  {Options{Dir: newFolder(t), BinDir: t.TempDir()}, ErrNoBinaries, "install Postgres"},
		"under a file": {Options{Dir: filepath.Join(dir, "password", "hub")}, ErrFolder, "choose another folder"},
		"newer cluster": {Options{Dir: cluster(t, func(dir string) {
			must(os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("99\n"), 0o600))
		})}, ErrVersion, "pg_upgrade"},
		"no password": {Options{Dir: cluster(t, func(dir string) { must(os.Remove(filepath.Join(dir, "password"))) })}, ErrFolder, "restore it"},
		"wrong password": {Options{Dir: cluster(t, func(dir string) {
			must(os.WriteFile(filepath.Join(dir, "password"), []byte("guess"), 0o600))
		})}, ErrFolder, "restore that file"},
		"other files": {Options{Dir: cluster(t, func(dir string) { must(os.Remove(filepath.Join(dir, "data", "PG_VERSION"))) })}, ErrFolder, "choose another folder"},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Test, test.options.Logger = true, slog.New(slog.DiscardHandler)
			s, err := Start(t.Context(), test.options)
			if err == nil {
				stop(t, s)
			}
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v, saying %q", err, test.want, test.says)
			}
		})
	}
	if got := value(t, open(t, s, "postgres"), "SELECT 1"); got != "1" {
		t.Error("the running server was disturbed")
	}
}

func TestUnderRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	dir := newFolder(t)
	s := start(t, Options{Dir: dir, Test: true})
	info, err := os.Stat(fmt.Sprintf("/proc/%d", child(s)))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid == 0 || owner.Uid != s.user.uid {
		t.Errorf("Postgres runs as user %d", owner.Uid)
	}
	if info, err := os.Stat(dir); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the hub's folder was given away: %v, %v", info, err)
	}

	closed := newFolder(t)
	if err := os.Chmod(filepath.Dir(closed), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), Options{Dir: closed, Test: true, Logger: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), "chmod o+x "+filepath.Dir(closed)) {
		t.Errorf("a folder that its user cannot reach: %v", err)
	}
}

func TestUnwritable(t *testing.T) {
	dir := newFolder(t)
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		dir = "/proc/lrshub" // where root cannot write either
	}
	_, err := Start(t.Context(), Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), "choose another folder") {
		t.Errorf("%v", err)
	}
}
