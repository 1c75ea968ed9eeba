package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// childUser is the unprivileged user that runs Postgres when the hub is root; nil means the hub's own user.
type childUser struct {
	name     string
	uid, gid uint32
}

func (u *childUser) String() string {
	if u == nil {
		return "this user"
	}
	return "user " + u.name
}

// own gives path to the child's user.
func (u *childUser) own(path string) error {
	if u == nil {
		return nil
	}
	return os.Chown(path, int(u.uid), int(u.gid))
}

// chooseUser picks who runs Postgres, which refuses root: the owner of an existing cluster, else postgres, else nobody.
func chooseUser(data string) (*childUser, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if info, err := os.Stat(data); err == nil {
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 0 {
			return &childUser{name: strconv.Itoa(int(owner.Uid)), uid: owner.Uid, gid: owner.Gid}, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return &childUser{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("%w: Postgres does not run as root, and there is no user postgres or nobody; make one, or run as an ordinary user", ErrFolder)
}

// checkReach makes sure that the child's user can enter the folder, and names the parent in its way if not.
func checkReach(ctx context.Context, dir string, b binaries, u *childUser) error {
	cmd := b.command(ctx, u, "postgres", "--version")
	cmd.Dir = dir // the kernel enters it as the child's user
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if u == nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		if info, statErr := os.Stat(parent); statErr == nil && !passable(info, u) {
			return fmt.Errorf("%w: %s, which runs Postgres because root may not, cannot pass through %s; run chmod o+x %s, choose a folder elsewhere, or run as an ordinary user: %w",
				ErrFolder, u, parent, parent, err)
		}
		if parent == filepath.Dir(parent) {
			return fmt.Errorf("%w: %s cannot enter %s: %w", ErrFolder, u, dir, err)
		}
	}
}

func passable(info fs.FileInfo, u *childUser) bool {
	owner := info.Sys().(*syscall.Stat_t)
	switch {
	case owner.Uid == u.uid:
		return info.Mode()&0o100 != 0
	case owner.Gid == u.gid:
		return info.Mode()&0o010 != 0
	}
	return info.Mode()&0o001 != 0
}
