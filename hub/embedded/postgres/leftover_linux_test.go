package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A postmaster that outlived its hub (no death signal on that system) is stopped before a new one starts.
func TestOrphanIsStopped(t *testing.T) {
	dir := newFolder(t)
	s := start(t, Options{Dir: dir, Test: true})
	stop(t, s)
	orphan := s.binaries.command(context.Background(), s.user, "postgres", "-D", s.data(), "-c", "config_file="+s.configuration("postgresql.conf"))
	orphan.SysProcAttr.Pdeathsig = 0
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- orphan.Wait() }()
	watch := &Server{options: s.options, port: s.port, password: s.password, done: make(chan struct{})}
	if err := watch.awaitAnswer(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := start(t, Options{Dir: dir, Test: true})
	select {
	case <-ended:
	default:
		t.Error("the orphan still runs")
	}
	if again.port != s.port {
		t.Error("took another port")
	}
}

func TestPidOfAnotherProgram(t *testing.T) {
	dir := newFolder(t)
	stop(t, start(t, Options{Dir: dir, Test: true}))
	stale := fmt.Sprintf("%d\n%s\n1700000000\n5432\n\n127.0.0.1\n", os.Getpid(), filepath.Join(dir, "data"))
	if err := os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, Options{Dir: dir, Test: true})
}
