package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrshub/lrshub/plugins/host/internal/cell"
)

// confinement is how far a child is cut off. In any case it has a process group of its own, and dies with the thread that
// starts it.
type confinement int

const (
	loose confinement = iota
	// apart: namespaces of its own for users, network (not even a loopback), processes (it sees and signals none of ours, and
	// its children die with it) and System V IPC. It keeps the hub's user id for files, but not even for root any capability.
	apart
	// enclosed: apart, and in a cell (see its package): mounts of its own, read-only, without what is hidden.
	enclosed
)

// confinements lists the degrees, best first.
var confinements = []confinement{enclosed, apart, loose}

// child is a command to be started, and what it will say of its cell.
type child struct {
	cmd           *exec.Cmd
	report, write *os.File // nil without a cell
}

// confine prepares the start of a program.
func confine(program *exec.Cmd, degree confinement, v view) (c *child, err error) {
	copied := exec.Cmd{Path: program.Path, Args: program.Args, Env: program.Env, Dir: program.Dir, ExtraFiles: program.ExtraFiles,
		Stdout: program.Stdout, Stderr: program.Stderr}
	copied.SysProcAttr = namespaces(degree)
	if degree < enclosed {
		return &child{cmd: &copied}, nil
	}
	c = &child{cmd: &copied}
	if c.report, c.write, err = os.Pipe(); err != nil {
		return nil, err
	}
	plan := cell.Plan{Program: program.Path, Sockets: v.sockets, Hide: v.hide, Show: v.show, Args: program.Args}
	if len(program.ExtraFiles) > 0 {
		plan.Program = "" // what is inherited
	}
	copied.Path, copied.Args = ownExecutable(), plan.Argv()
	copied.ExtraFiles = append([]*os.File{c.write}, program.ExtraFiles...)
	return c, nil
}

func namespaces(degree confinement) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if degree >= apart {
		attr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: inside(os.Getuid()), HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: inside(os.Getgid()), HostID: os.Getgid(), Size: 1}}
	}
	if degree == enclosed {
		attr.Cloneflags |= syscall.CLONE_NEWNS
		attr.AmbientCaps = cell.Capabilities
	}
	return attr
}

// discard lets go of a child that did not start.
func (c *child) discard() {
	if c.report != nil {
		_, _ = c.report.Close(), c.write.Close()
	}
}

// settled waits until the started child runs its program; if it does not, the child has ended.
func (c *child) settled(patience time.Duration) error {
	if c.report == nil {
		return nil
	}
	defer c.report.Close()
	_ = c.write.Close()
	_ = c.report.SetReadDeadline(time.Now().Add(patience))
	said, err := io.ReadAll(io.LimitReader(c.report, 4096))
	if err == nil && len(said) == 0 {
		return nil
	}
	killGroup(c.cmd.Process.Pid)
	_ = c.cmd.Wait()
	switch reason, program := strings.CutPrefix(string(said), cell.NotExecutable); {
	case err != nil:
		return fmt.Errorf("its cell was not built within %s: %w", patience, err)
	case program:
		return errors.New(reason)
	default:
		return noNamespace(errors.New(reason))
	}
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

// CheckIsolation says whether connectors can be cut off here, from the network and from the hub's files; the error wraps
// ErrNoNamespace. It builds a cell for nobody, which takes some ten milliseconds.
func CheckIsolation() error {
	c, err := confine(&exec.Cmd{}, enclosed, view{})
	if err != nil {
		return err
	}
	c.cmd.SysProcAttr.Pdeathsig = 0 // this thread may end at any time
	if err := c.cmd.Start(); err != nil {
		c.discard()
		if forbidden(err) {
			return noNamespace(err)
		}
		return err
	}
	if err := c.settled(10 * time.Second); err != nil {
		return err
	}
	return c.cmd.Wait()
}

func noNamespace(err error) error {
	return fmt.Errorf("%w: the kernel or the container forbids user, network or mount namespaces (%v). Allow them (Linux 5.12 or later; "+
		"sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0; in Docker "+
		"seccomp and AppArmor profiles that let clone and mount through), or accept connectors that can reach the network and read "+
		"the hub's files by themselves with the option that allows it", ErrNoNamespace, err)
}

// restrict sets limits on a child that has just started: no core dump (it would hold records), first to go when memory ends.
func restrict(pid int) {
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("500"), 0)
}

// killGroup kills a child and what it started in its group.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
