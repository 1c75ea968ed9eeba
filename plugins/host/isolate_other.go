//go:build !linux

package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

type confinement int

// confinements has one degree: none.
var confinements = []confinement{0}

type child struct{ cmd *exec.Cmd }

func confine(program *exec.Cmd, _ confinement, _ view) (*child, error) {
	return &child{cmd: program}, nil
}

func (*child) discard() {}

func (*child) settled(time.Duration) error { return nil }

func forbidden(error) bool { return false }

// CheckIsolation says whether connectors can be cut off here; the error wraps ErrNoNamespace.
func CheckIsolation() error { return noNamespace(errors.ErrUnsupported) }

func noNamespace(err error) error {
	return fmt.Errorf("%w: only Linux has the namespaces for it (%v); accept connectors that can reach the network and read the hub's files by themselves with the option that allows it",
		ErrNoNamespace, err)
}

func restrict(int) {}

func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}
