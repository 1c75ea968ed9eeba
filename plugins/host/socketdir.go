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
	parent := d.parent
	if parent == "" {
		parent = os.TempDir()
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", fmt.Errorf("%w: the folder for sockets cannot be made: %w", ErrUnknown, err)
	}
	sweep(parent)
	path, err := os.MkdirTemp(parent, socketPrefix)
	if err != nil {
		return "", fmt.Errorf("%w: the folder for sockets cannot be made: %w", ErrUnknown, err)
	}
	if len(path)+socketName > socketPath {
		_ = os.Remove(path)
		return "", fmt.Errorf("%w: the folder for sockets %s is too long for a socket's path (%d bytes at most); choose a shorter one",
			ErrUnknown, parent, socketPath-socketName-len(socketPrefix)-11)
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
