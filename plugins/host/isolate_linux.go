package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate prepares a command. In any case: a process group of its own and death with the thread that starts it. If isolated:
// namespaces of its own for users, network (not even a loopback), processes (it sees and signals none of ours, and its
// children die with it) and System V IPC. It keeps the hub's user id for files, but not even for root any capability.
func isolate(cmd *exec.Cmd, isolated bool) {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if isolated {
		attr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: inside(os.Getuid()), HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: inside(os.Getgid()), HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
}

// inside is the id that one of ours has in the namespace: root would have its capabilities there, nobody has none.
func inside(id int) int {
	const nobody = 65534
	if id == 0 {
		return nobody
	}
	return id
}

// forbidden says whether starting a process failed because namespaces may not be made.
func forbidden(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.ENOSPC, syscall.EUSERS, syscall.EINVAL, syscall.ENOSYS} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// CheckIsolation says whether connectors can be cut off from the network here; the error wraps ErrNoNamespace.
// It starts a program that does not exist: the kernel makes the namespaces before it looks for the program.
func CheckIsolation() error {
	cmd := exec.Command("/nonexistent")
	cmd.Err = nil
	isolate(cmd, true)
	cmd.SysProcAttr.Pdeathsig = 0 // this thread may end at any time
	err := cmd.Start()
	switch {
	case err == nil:
		_ = cmd.Process.Kill()
		return cmd.Wait()
	case forbidden(err):
		return noNamespace(err)
	}
	return nil
}

func noNamespace(err error) error {
	return fmt.Errorf("%w: the kernel or the container forbids user and network namespaces (%v). Allow them "+
		"(sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces; in Docker a seccomp profile that lets clone through), "+
		"or accept connectors that can reach the network by themselves with the option that allows it", ErrNoNamespace, err)
}

// restrict sets limits on a child that has just started: no core dump (it would hold records), first to go when memory ends.
func restrict(pid int) {
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("500"), 0)
}

// killGroup kills a child and what it started in its group.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
