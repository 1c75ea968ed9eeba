package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// childAttributes: the child is asked to shut down when the thread that started it dies (so a killed hub leaves no orphan), and has a process
// group of its own (so Ctrl-C on a terminal reaches the hub alone, which stops its children in order).
func childAttributes(u *childUser) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	if u != nil {
		attributes.Credential = &syscall.Credential{Uid: u.uid, Gid: u.gid}
	}
	return attributes
}

// leftovers are processes of this very cluster that an earlier hub or a dead postmaster left behind.
type leftovers struct {
	postmasters []int
	backends    []int // children of postmasters, living or dead
}

// findLeftovers recognises a postmaster by its arguments (-D and our folder) and its children by the cluster name in their title.
// Both are readable without privileges, unlike a process' working folder.
func findLeftovers(data string) (leftovers, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return leftovers{}, fmt.Errorf("look for running Postgres: %w", err)
	}
	var found leftovers
	title := "postgres: " + clusterName(data) + ": "
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil {
			continue // ended meanwhile
		}
		args := strings.Split(string(line), "\x00")
		if strings.HasPrefix(args[0], title) {
			found.backends = append(found.backends, pid)
		} else if i := slices.Index(args, "-D"); filepath.Base(args[0]) == "postgres" && i > 0 && i+1 < len(args) && args[i+1] == data {
			found.postmasters = append(found.postmasters, pid)
		}
	}
	return found, nil
}

// clearLeftovers returns when nothing runs on the cluster any more: it asks a living postmaster to shut down, first in order, then at once;
// backends without a postmaster end by themselves, or are ended. The caller holds the folder's lock, so no other hub uses them.
func clearLeftovers(ctx context.Context, data string, logger *slog.Logger) error {
	began, told := time.Now(), false
	for {
		found, err := findLeftovers(data)
		if err != nil {
			return err
		}
		waited := time.Since(began)
		switch {
		case len(found.postmasters) > 0:
			signal := syscall.SIGINT
			if waited > 30*time.Second {
				signal = syscall.SIGQUIT
			}
			if !told {
				told = true
				logger.Warn("waiting for a Postgres of an earlier run to shut down", "pid", found.postmasters[0])
			}
			for _, pid := range found.postmasters {
				_ = syscall.Kill(pid, signal) // gone already, or the wait below ends in an error
			}
		case len(found.backends) > 0 && waited > 5*time.Second:
			for _, pid := range found.backends {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		case len(found.backends) == 0:
			return removePidFile(data)
		}
		if waited > 45*time.Second {
			return fmt.Errorf("%w: processes %v of an earlier run on %s do not end; end them by hand", ErrInUse, append(found.postmasters, found.backends...), data)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: waiting for processes %v of an earlier run: %w", ErrInUse, append(found.postmasters, found.backends...), ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// removePidFile removes the file that a killed postmaster left, once it is certain that none runs: its number may belong to some other
// process by now, which would keep Postgres from starting.
func removePidFile(data string) error {
	if err := os.Remove(filepath.Join(data, "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return nil
}
