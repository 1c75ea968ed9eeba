package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// burglar tries all ways to a file that it may not see, and to write where it may not. Its Check tells which led there.
type burglar struct{ counter }

func init() {
	connectors["burglar"] = func() sdk.Connector { return &burglar{} }
	modes["burglar-in-another-namespace"] = burgleInAnotherNamespace
}

type loot struct {
	File string // holds "TREASURE"
	Hub  int    // the hub's process id
}

func (*burglar) Check(_ context.Context, s *sdk.Session) error {
	var l loot
	if err := json.Unmarshal(s.Config, &l); err != nil {
		return err
	}
	status, _ := os.ReadFile("/proc/self/status")
	var locks []string
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); slices.Contains([]string{"CapPrm", "CapBnd", "CapAmb", "NoNewPrivs"}, name) {
			locks = append(locks, strings.TrimSpace(value))
		}
	}
	return sdk.Errorf(sdk.ClassData, "read %v, wrote %v, devices %v, locks %v", l.read(), l.write(), strange("/dev"), locks)
}

// read lists the ways by which the file's content was reached.
func (l loot) read() (ways []string) {
	own := os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	try := func(way string, path string) {
		if about, err := os.Stat(path); err != nil || !about.Mode().IsRegular() { // reading a pipe would wait for ever
			return
		}
		if text, err := os.ReadFile(path); err == nil && string(text) == "TREASURE" {
			ways = append(ways, way)
		}
	}
	folder, name := filepath.Split(l.File)
	folder = filepath.Clean(folder)
	try("directly", l.File)
	try("from where it started", name)
	if os.Symlink(l.File, own+"/link") == nil {
		try("by symbolic link", own+"/link")
	}
	if os.Link(l.File, own+"/hard") == nil {
		try("by hard link", own+"/hard")
	}
	for _, process := range []string{"self", "1", fmt.Sprint(os.Getppid()), fmt.Sprint(l.Hub)} {
		try("by root of "+process, "/proc/"+process+"/root"+l.File)
		try("by directory of "+process, "/proc/"+process+"/cwd/"+name)
		for fd := range 64 {
			try("by open file", fmt.Sprintf("/proc/%s/fd/%d/%s", process, fd, name))
			try("by open file", fmt.Sprintf("/proc/%s/fd/%d", process, fd))
		}
	}
	_ = unix.Mount("", folder, "", unix.MS_REMOUNT|unix.MS_BIND, "")
	try("by remount", l.File)
	_ = unix.Unmount(folder, unix.MNT_DETACH)
	try("by unmount", l.File)
	_ = unix.Mount(filepath.Dir(folder), own, "", unix.MS_BIND, "")
	try("by bind mount", filepath.Join(own, filepath.Base(folder), name))
	if tree, err := unix.OpenTree(unix.AT_FDCWD, filepath.Dir(folder), unix.OPEN_TREE_CLONE); err == nil {
		try("by a tree of its own", fmt.Sprintf("/proc/self/fd/%d/%s/%s", tree, filepath.Base(folder), name))
	}
	inside := exec.Command("/proc/self/exe", "burglar-in-another-namespace", l.File)
	inside.Env = os.Environ()
	// Without a mapping of ids, which would have to be written in the read-only /proc; its capabilities are there all the same.
	inside.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN}}
	if out, err := inside.Output(); err == nil {
		ways = append(ways, strings.Fields(string(out))...)
	}
	return slices.Compact(ways)
}

// burgleInAnotherNamespace tries what needs capabilities; it has them in a user namespace that it made itself.
func burgleInAnotherNamespace(file string) {
	fmt.Println("in-another-namespace")
	folder, name := filepath.Split(file)
	folder = filepath.Clean(folder)
	try := func(way, path string) {
		if text, err := os.ReadFile(path); err == nil && string(text) == "TREASURE" {
			fmt.Println(way)
		}
	}
	_ = unix.Unmount(folder, 0)
	_ = unix.Unmount(folder, unix.MNT_DETACH)
	try("unmounted", file)
	own := os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	if unix.Mount("/usr", own, "", unix.MS_BIND, "") == nil {
		fmt.Println("able-to-mount") // this much is allowed there
	}
	_ = unix.Mount(filepath.Dir(folder), own, "", unix.MS_BIND, "")
	try("bound", filepath.Join(own, filepath.Base(folder), name))
	_ = unix.Mount("/", own, "", unix.MS_BIND, "")
	try("bound-root", filepath.Join(own, file))
	if unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "") == nil {
		fmt.Println("remounted-writable")
	}
	_ = unix.Mount("overlay", own, "overlay", 0, "lowerdir="+filepath.Dir(folder)+":/usr")
	try("overlaid", filepath.Join(own, filepath.Base(folder), name))
}

// write lists where something could be written beside its own folder.
func (l loot) write() (places []string) {
	for _, folder := range []string{".", "/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/run", filepath.Dir(l.File), filepath.Join(filepath.Dir(l.File), "demo"), filepath.Dir(filepath.Dir(l.File)),
		filepath.Dir(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"))} {
		if f, err := os.CreateTemp(folder, "burglar"); err == nil {
			_, _ = f.Close(), os.Remove(f.Name())
			places = append(places, folder)
		}
	}
	for _, file := range []string{"/proc/sys/kernel/core_pattern", "/proc/self/exe", l.File} {
		if f, err := os.OpenFile(file, os.O_WRONLY, 0); err == nil {
			_ = f.Close()
			places = append(places, file)
		}
	}
	return places
}

// strange lists the entries of /dev that are no harmless device.
func strange(dev string) (names []string) {
	entries, _ := os.ReadDir(dev)
	for _, e := range entries {
		if !slices.Contains([]string{"fd", "full", "null", "random", "stderr", "stdin", "stdout", "urandom", "zero"}, e.Name()) {
			names = append(names, e.Name())
		}
	}
	if f, err := os.OpenFile("/dev/null", os.O_RDWR, 0); err != nil {
		names = append(names, err.Error())
	} else {
		_ = f.Close()
	}
	return names
}
