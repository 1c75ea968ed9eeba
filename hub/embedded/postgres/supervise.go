package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A server that dies restartLimit times within restartWindow is not started again.
const (
	restartLimit  = 5
	restartWindow = time.Minute
)

// supervise runs the child until it is stopped or has died too often. The kernel's death signal to the child is tied to the
// thread that forked it, so this goroutine keeps one thread from the first fork to the last wait.
func (s *Server) supervise() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var deaths []time.Time
	for {
		from := fileSize(s.output)
		err := s.runChild()
		if s.isStopping() {
			s.finish(nil)
			return
		}
		died := fmt.Errorf("%w: %w%s", ErrDied, explain(err), s.lastWords(from))
		if !s.wasReady() {
			s.finish(died)
			return
		}
		now := time.Now()
		deaths = append(deaths, now)
		for now.Sub(deaths[0]) > restartWindow {
			deaths = deaths[1:]
		}
		if len(deaths) > restartLimit {
			s.finish(fmt.Errorf("gave up after %d restarts: %w", restartLimit, died))
			return
		}
		s.options.Logger.Error("postgres died and is started again", "error", died, "deaths", len(deaths))
		if err := s.beforeRestart(len(deaths)); err != nil {
			s.finish(errors.Join(died, err))
			return
		}
	}
}

// beforeRestart waits for the dead server's backends, which notice its death by themselves, and slows a crash loop down.
func (s *Server) beforeRestart(deaths int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := clearLeftovers(ctx, s.data(), s.options.Logger); err != nil {
		return err
	}
	time.Sleep(time.Duration(deaths-1) * 200 * time.Millisecond)
	return nil
}

// runChild starts Postgres and waits until it has ended.
func (s *Server) runChild() error {
	cmd := s.binaries.command(context.Background(), s.user, "postgres",
		"-D", s.data(), "-c", "config_file="+s.configuration("postgresql.conf"))
	cmd.Stdout, cmd.Stderr = s.output, s.output
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return nil
	}
	if err := cmd.Start(); err != nil {
		s.mu.Unlock()
		return err
	}
	s.pid = cmd.Process.Pid
	s.mu.Unlock()
	err := cmd.Wait()
	s.mu.Lock()
	s.pid = 0
	s.mu.Unlock()
	return err
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

func (s *Server) wasReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

func (s *Server) finish(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.release()
	close(s.done)
}

// release gives the folder back.
func (s *Server) release() {
	if s.output != nil {
		s.output.Close()
	}
	s.folder.Close()
}

func explain(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return errors.New("it ended by itself")
	case errors.As(err, &exit):
		return errors.New(exit.ProcessState.String())
	}
	return err
}

// lastWords returns what the server printed after offset from, at most its last lines, for an error text.
func (s *Server) lastWords(from int64) string {
	f, err := os.Open(s.options.LogFile)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 1200
	from = max(from, fileSize(f)-most)
	text := make([]byte, most)
	n, _ := f.ReadAt(text, from)
	said := strings.TrimSpace(string(text[:n]))
	if said == "" {
		return ""
	}
	return fmt.Sprintf("; it said (%s): %s", s.options.LogFile, said)
}

func fileSize(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// ClearLeftovers ends what an earlier run left running on the folder and returns when nothing runs there any more. Start does it
// too; it is for those who discard a folder.
func ClearLeftovers(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	lock, err := lockFolder(ctx, dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	return clearLeftovers(ctx, filepath.Join(dir, "data"), slog.Default())
}
