package host

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// socketDir is the host's private folder for sockets, made when it is first needed. What a killed host left behind is
// removed by the next one with the same parent; a lock on a file in it tells whether its host lives.
type socketDir struct {
	parent string

	mu   sync.Mutex
	path string
	lock *os.File
}

const (
	socketPrefix = "lrshub-connectors-"
	socketPath   = 104 // bytes that a socket's path may have on every system
	socketName   = len("/plugin-dir1234567890/plugin1234567890")
)

func (d *socketDir) make() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.path != "" {
		return d.path, nil
	}
	path, err := d.fresh()
	if err != nil {
		return "", fmt.Errorf("%w: the folder for sockets cannot be made: %w", ErrUnknown, err)
	}
	fresh := filepath.Join(path, "lock.new") // sweepers look for "lock": they never see it unlocked
	if d.lock, err = lockFile(fresh); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if err := os.Rename(fresh, filepath.Join(path, "lock")); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	d.path = path
	return path, nil
}

// fresh makes an empty folder, only for this user, in the parent; if its name is too long for sockets there, in the system's
// place for temporary files.
func (d *socketDir) fresh() (path string, err error) {
	for _, parent := range []string{d.parent, os.TempDir()} {
		if parent == "" {
			continue
		}
		if err = os.MkdirAll(parent, 0o700); err != nil {
			return "", err
		}
		sweep(parent)
		if path, err = os.MkdirTemp(parent, socketPrefix); err != nil {
			return "", err
		}
		if len(path)+socketName <= socketPath {
			return path, nil
		}
		_ = os.Remove(path)
	}
	return "", fmt.Errorf("%s is too long for a socket's path (%d bytes at most); choose a shorter one",
		os.TempDir(), socketPath-socketName-len(socketPrefix)-11)
}

func (d *socketDir) remove() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.path == "" {
		return nil
	}
	err := os.RemoveAll(d.path)
	_ = d.lock.Close()
	d.path = ""
	return err
}

// sweep removes the folders of hosts that are gone.
func sweep(parent string) {
	left, _ := filepath.Glob(filepath.Join(parent, socketPrefix+"*", "lock"))
	for _, file := range left {
		if lock, err := lockFile(file); err == nil {
			_ = os.RemoveAll(filepath.Dir(file))
			_ = lock.Close()
		}
	}
}
