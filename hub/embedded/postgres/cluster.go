package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockFolder makes the folder and takes its lock, which the kernel frees when the process ends in whatever way.
func lockFolder(ctx context.Context, dir string) (*os.File, error) {
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711 // the child's user must pass through; what is secret has a mode of its own
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return nil, fmt.Errorf("%w: cannot make %s; choose another folder or mend its permissions: %w", ErrFolder, dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: cannot write in %s; choose another folder or mend its permissions: %w", ErrFolder, dir, err)
	}
	// A hub that was just killed may still be on its way out.
	for patience := time.Now().Add(3 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(patience) || ctx.Err() != nil {
			f.Close()
			return nil, fmt.Errorf("%w: another process runs Postgres on %s; stop it or choose another folder: %w", ErrInUse, dir, err)
		}
	}
}

// openLog opens the log to append, and starts a new one when it has grown large.
func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > 16<<20 {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFolder, err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: cannot write the log: %w", ErrFolder, err)
	}
	return f, nil
}

// clusterVersion is the major version that made the cluster, 0 if there is none yet.
func clusterVersion(data string) (int, error) {
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err == nil {
		version, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return 0, fmt.Errorf("%w: %s/PG_VERSION is not a version; restore the folder", ErrFolder, data)
		}
		return version, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	entries, err := os.ReadDir(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if len(entries) > 0 {
		return 0, fmt.Errorf("%w: %s has files but is no Postgres cluster; choose another folder", ErrFolder, data)
	}
	return 0, nil
}

// ownerPassword reads the owner's password, or makes one for a new cluster.
func ownerPassword(dir, data string) (string, error) {
	path := filepath.Join(dir, "password")
	text, err := os.ReadFile(path)
	if err == nil && len(text) > 0 {
		return string(text), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if version, err := clusterVersion(data); err != nil || version != 0 {
		return "", errors.Join(err, fmt.Errorf("%w: %s is missing or empty; restore it, the cluster opens with nothing else", ErrFolder, path))
	}
	password := rand.Text()
	if err := writeFile(path, []byte(password), 0o600); err != nil {
		return "", fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return password, nil
}

// writeFile writes a file so that it is there whole or not at all.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// makeCluster runs initdb into a folder beside the final one, so that an interrupted initdb leaves no half cluster.
func (s *Server) makeCluster(ctx context.Context) error {
	version, err := clusterVersion(s.data())
	if err != nil {
		return err
	}
	if version != 0 {
		return checkReach(ctx, s.data(), s.binaries, s.user)
	}
	fresh, secret := s.data()+".new", filepath.Join(s.options.Dir, "initdb-password")
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	defer os.Remove(secret)
	if err := errors.Join(s.user.own(fresh), s.user.own(secret)); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if err := checkReach(ctx, fresh, s.binaries, s.user); err != nil {
		return err
	}
	if err := s.initdb(ctx, fresh, secret); err != nil {
		return err
	}
	if err := os.Rename(fresh, s.data()); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return nil
}

func (s *Server) initdb(ctx context.Context, dir, secret string) error {
	args := []string{"-D", dir, "-U", Owner, "--pwfile=" + secret, "--auth=scram-sha-256", "--encoding=UTF8", "--data-checksums", "--locale=C.UTF-8"}
	if s.options.Test {
		args = append(args, "--no-sync")
	}
	out, err := s.binaries.command(ctx, s.user, "initdb", args...).CombinedOutput()
	if err != nil && strings.Contains(string(out), "invalid locale name") {
		args[len(args)-1] = "--locale=C" // systems whose libc has no C.UTF-8
		out, err = s.binaries.command(ctx, s.user, "initdb", args...).CombinedOutput()
	}
	if err != nil {
		return fmt.Errorf("make the cluster %s: %w: %s", s.data(), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// choosePort takes the port asked for, else the one of the last start, else a free one.
func choosePort(dir string, asked int) (int, error) {
	path := filepath.Join(dir, "port")
	if asked != 0 {
		if !portFree(asked) {
			return 0, fmt.Errorf("%w: 127.0.0.1:%d is taken by another program; stop that or choose another port", ErrPort, asked)
		}
		return asked, nil
	}
	if text, err := os.ReadFile(path); err == nil {
		if port, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && portFree(port) {
			return port, nil
		}
	}
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	if err := writeFile(path, []byte(strconv.Itoa(port)+"\n"), 0o600); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return port, nil
}

func portFree(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// freePort finds a port below the range that the kernel hands out for outgoing connections, so that the same port is likely
// to be free at the next start.
func freePort() (int, error) {
	const first, last = 15432, 25432
	for range 200 {
		var b [2]byte
		if _, err := rand.Read(b[:]); err != nil {
			return 0, err
		}
		port := first + (int(b[0])<<8|int(b[1]))%(last-first)
		if portFree(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("%w: found no free port from %d to %d", ErrPort, first, last)
}

// clusterName marks the title of each process of the cluster, so that leftovers are recognised.
func clusterName(data string) string {
	sum := sha256.Sum256([]byte(data))
	return "lrshub-" + hex.EncodeToString(sum[:6])
}
