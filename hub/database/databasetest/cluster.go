package databasetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lrshub/lrshub/hub/embedded/postgres"
)

// The shared cluster has three files beside it, in a folder of the user's:
//
//	users    each test process holds a shared lock on it while it lives
//	keeper   the keeper, a detached process that runs Postgres, holds an exclusive lock on it while it lives
//	url      the owner's URL, there while the cluster answers
//
// A test process takes its shared lock first, so the keeper, which must take the same lock exclusively before it stops, cannot stop
// under it. The keeper is this test binary started again with keeperVariable set: see init.
const (
	keeperVariable = "LRSHUB_DATABASETEST_KEEPER" // the folder
	idleVariable   = "LRSHUB_DATABASETEST_IDLE"   // how long the cluster outlives the last test process
	idleTime       = 90 * time.Second
	startTime      = 2 * time.Minute
)

func init() {
	if dir := os.Getenv(keeperVariable); dir != "" {
		syscall.CloseOnExec(3) // the keeper's lock: Postgres must not hold it too
		idle, err := time.ParseDuration(os.Getenv(idleVariable))
		if err == nil {
			err = keep(dir, idle)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// join returns the owner's URL of the cluster in the folder, and starts the cluster if it is not there. The cluster stays at least
// until the file, which has a shared lock, is closed.
func join(dir string, idle time.Duration) (ownerURL string, users *os.File, err error) {
	if users, err = lock(filepath.Join(dir, "users"), syscall.LOCK_SH); err != nil {
		return "", nil, err
	}
	starter, err := lock(filepath.Join(dir, "start"), syscall.LOCK_EX) // one process starts, others wait
	if err != nil {
		return "", users, err
	}
	defer starter.Close()
	keeper, err := lock(filepath.Join(dir, "keeper"), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) { // it runs
		ownerURL, err = readURL(dir)
		return ownerURL, users, err
	}
	if err != nil {
		return "", users, err
	}
	defer keeper.Close()
	ownerURL, err = startKeeper(dir, keeper, idle)
	return ownerURL, users, err
}

// folder is the user's own folder, which others cannot have prepared.
func folder() (string, error) {
	me, err := user.Current()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(os.TempDir(), "lrshub-test-"+me.Uid)
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if owner := info.Sys().(*syscall.Stat_t); !info.IsDir() || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("%s belongs to someone else; remove it", dir)
	}
	return dir, nil
}

func lock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
}

func readURL(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "url"))
	if err != nil {
		return "", fmt.Errorf("the test cluster has no URL (see %s): %w", filepath.Join(dir, "keeper.log"), err)
	}
	return string(text), nil
}

// startKeeper starts the keeper, detached from this test, and waits for the URL. The keeper inherits the lock it lives under.
func startKeeper(dir string, keeper *os.File, idle time.Duration) (string, error) {
	if err := os.Remove(filepath.Join(dir, "url")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	logFile, err := os.Create(filepath.Join(dir, "keeper.log"))
	if err != nil {
		return "", err
	}
	defer logFile.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), keeperVariable+"="+dir, idleVariable+"="+idle.String())
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = logFile, logFile // not the test's: go test waits until those are closed
	cmd.ExtraFiles = []*os.File{keeper}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if text, err := readURL(dir); err == nil {
			return text, nil
		}
		select {
		case <-ended:
			said, _ := os.ReadFile(logFile.Name())
			return "", fmt.Errorf("the test cluster did not start: %s", strings.TrimSpace(string(said)))
		default:
		}
	}
	return "", fmt.Errorf("the test cluster did not start within %v: see %s", startTime, logFile.Name())
}

// keep runs the cluster until no test process has been there for a while. What an earlier cluster left is discarded: with
// fsync off it may be damaged.
func keep(dir string, idle time.Duration) error {
	ctx := context.Background()
	home := filepath.Join(dir, "cluster")
	clusterOptions := postgres.Options{Dir: home, Test: true, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if err := discard(ctx, home); err != nil {
		return err
	}
	server, err := postgres.Start(ctx, clusterOptions)
	if err != nil {
		return err
	}
	draft := filepath.Join(dir, "url.new")
	if err := os.WriteFile(draft, []byte(server.URL("postgres")), 0o600); err != nil {
		return err
	}
	if err := os.Rename(draft, filepath.Join(dir, "url")); err != nil {
		return err
	}
	users, err := waitIdle(dir, idle, server.Done())
	if err != nil {
		return errors.Join(err, server.Err())
	}
	defer users.Close() // after all is gone: whoever waits for it starts anew
	if err := os.Remove(filepath.Join(dir, "url")); err != nil {
		return err
	}
	stop, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := server.Stop(stop); err != nil {
		return err
	}
	return os.RemoveAll(home)
}

// discard ends what still runs on an earlier cluster and removes it.
func discard(ctx context.Context, home string) error {
	if err := postgres.ClearLeftovers(ctx, home); err != nil {
		return err
	}
	return os.RemoveAll(home)
}

// waitIdle returns, with the users' lock held, when the lock was free for the time idle.
func waitIdle(dir string, idle time.Duration, died <-chan struct{}) (*os.File, error) {
	var idleSince time.Time
	for {
		select {
		case <-died:
			return nil, errors.New("the test cluster died")
		case <-time.After(min(time.Second, idle/4)):
		}
		users, err := lock(filepath.Join(dir, "users"), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			if !errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, err
			}
			idleSince = time.Time{}
			continue
		}
		if idleSince.IsZero() {
			idleSince = time.Now()
		}
		if time.Since(idleSince) > idle {
			return users, nil
		}
		users.Close()
	}
}
