package cell

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Capabilities are those that the first stage needs in its user namespace, and gives up.
var Capabilities = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP, unix.CAP_SYS_RESOURCE}

// devices are what remains of /dev. Under root a connector could else read the disk itself: it has root's files.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// init takes the process over if it is a first stage. It is no call in main so that test programs, too, are first stages.
func init() {
	plan, ok := parse(os.Args)
	if !ok {
		return
	}
	runtime.LockOSThread() // capabilities belong to a thread
	unix.CloseOnExec(Report)
	err := plan.enter()
	if err == nil {
		os.Exit(0)
	}
	_, _ = unix.Write(Report, []byte(err.Error()))
	os.Exit(1)
}

// enter does not return if the program runs.
func (p Plan) enter() error {
	program, err := p.open()
	if err != nil {
		return err
	}
	if err := p.build(); err != nil {
		return err
	}
	if err := drop(); err != nil {
		return err
	}
	if len(p.Args) == 0 {
		return nil
	}
	return p.exec(program)
}

// open opens the program before its folder may be covered. It prefers a path in this process's own mounts, which will be
// read-only, to /proc/self/exe, which is a file in the hub's.
func (p Plan) open() (int, error) {
	if p.Program == "" {
		return Inherited, nil
	}
	program, err := unix.Open(p.Program, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, failure("open", p.Program, err)
	}
	name, err := os.Readlink(p.Program)
	if err != nil {
		return program, nil
	}
	var one, other unix.Stat_t
	own, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil && unix.Fstat(program, &one) == nil && unix.Fstat(own, &other) == nil && one.Dev == other.Dev && one.Ino == other.Ino {
		return own, nil
	}
	return program, nil // replaced since: what runs counts
}

// build turns the mounts that were copied from the hub's into the cell.
func (p Plan) build() error {
	here, err := os.Getwd()
	if err != nil {
		here = "/"
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return failure("part from the hub's mounts", "/", err)
	}
	back, err := grab(append(devices, p.sockets()...))
	if err != nil {
		return err
	}
	shown, err := grab(p.Show)
	if err != nil {
		return err
	}
	if err := furnish(); err != nil {
		return err
	}
	if err := p.cover(); err != nil {
		return err
	}
	if err := readOnly(unix.AT_FDCWD, "/"); err != nil {
		return err
	}
	for _, tree := range shown {
		if err := readOnly(tree, ""); err != nil {
			return err
		}
	}
	if err := errors.Join(put(shown), put(back)); err != nil {
		return err
	}
	if os.Chdir(here) != nil { // the old one would be a way below the covers
		return os.Chdir("/")
	}
	return nil
}

func (p Plan) sockets() []string {
	if p.Sockets == "" {
		return nil
	}
	return []string{p.Sockets}
}

// grab takes hold of what must be in sight again once its folder is covered and all is read-only.
func grab(paths []string) (map[string]int, error) {
	trees := make(map[string]int, len(paths))
	for _, path := range paths {
		tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return nil, failure("take hold of", path, err)
		}
		trees[path] = tree
	}
	return trees, nil
}

// put puts back what grab took.
func put(trees map[string]int) error {
	for path, tree := range trees {
		if err := unix.MoveMount(tree, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return failure("put back", path, err)
		}
		_ = unix.Close(tree)
	}
	return nil
}

// readOnly makes a tree of mounts, named by path or by an open file, one to read from only, without devices.
func readOnly(tree int, path string) error {
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOSUID}
	if err := unix.MountSetattr(tree, path, unix.AT_RECURSIVE|unix.AT_EMPTY_PATH, attr); err != nil {
		return failure("make read-only", "the file system (mount_setattr, Linux 5.12)", err)
	}
	return nil
}

// furnish gives the cell a /dev and a /proc of its own.
func furnish() error {
	if err := empty("/dev"); err != nil {
		return err
	}
	for _, device := range devices {
		if err := os.WriteFile(device, nil, 0o600); err != nil {
			return failure("make", device, err)
		}
	}
	for link, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(target, "/dev/"+link); err != nil {
			return failure("make", "/dev/"+link, err)
		}
	}
	err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if errors.Is(err, unix.EPERM) { // in a container that masks parts of /proc there can be no new one
		return empty("/proc")
	}
	if err != nil {
		return failure("mount", "/proc", err)
	}
	// No further user namespaces, as a second lock on the covers; where this cannot be set, the first must do.
	_ = os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
	return nil
}

// empty covers a folder with an empty one.
func empty(path string) error {
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if err := unix.Mount("tmpfs", path, "tmpfs", flags, "mode=0755,size=1m"); err != nil {
		return failure("cover", path, err)
	}
	return nil
}

// cover hides what is to be hidden: a folder under an empty one, a file under an empty one.
func (p Plan) cover() error {
	const blank = "/dev/hidden"
	if err := os.WriteFile(blank, nil, 0o600); err != nil {
		return failure("make", blank, err)
	}
	for _, path := range p.Hide {
		found, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // out of sight already, as all in /dev
			continue
		case err != nil:
			return failure("find", path, err)
		case found.IsDir():
			err = empty(path)
		default:
			if err = unix.Mount(blank, path, "", unix.MS_BIND, ""); err != nil {
				err = failure("cover", path, err)
			}
		}
		if err != nil {
			return err
		}
	}
	for _, path := range append(p.sockets(), p.Show...) { // its new place, in what now covers its parent
		if err := os.MkdirAll(filepath.Clean(path), 0o700); err != nil {
			return failure("make", path, err)
		}
	}
	return os.Remove(blank)
}

// drop throws away every privilege, for good.
func drop() error {
	for c := uintptr(0); c < 64; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err == unix.EINVAL {
			break // the kernel knows no more
		} else if err != nil {
			return failure("drop", fmt.Sprintf("capability %d", c), err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return failure("drop", "ambient capabilities", err)
	}
	var none [2]unix.CapUserData
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return failure("drop", "capabilities", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return failure("refuse", "new privileges", err)
	}
	return nil
}

// exec puts the program in this one's place. It keeps no file open but the standard ones, and a program without a path, which
// may be a script that its interpreter opens.
func (p Plan) exec(program int) error {
	first := uint(Report)
	if p.Program == "" {
		first = Inherited + 1
	}
	if err := unix.CloseRange(first, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return failure("close", "inherited files", err)
	}
	argv, err := syscall.SlicePtrFromStrings(p.Args)
	if err != nil {
		return failure("pass", "arguments", err)
	}
	env, err := syscall.SlicePtrFromStrings(os.Environ())
	if err != nil {
		return failure("pass", "environment", err)
	}
	path := []byte{0}
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(program), uintptr(unsafe.Pointer(&path[0])),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])), unix.AT_EMPTY_PATH, 0)
	return fmt.Errorf("%s%w", NotExecutable, errno)
}

func failure(verb, what string, err error) error {
	return fmt.Errorf("cannot %s %s: %w", verb, what, err)
}
