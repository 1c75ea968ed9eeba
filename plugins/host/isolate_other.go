//go:build !linux

package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

func isolate(*exec.Cmd, bool) {}

func forbidden(error) bool { return false }

// CheckIsolation says whether connectors can be cut off from the network here; the error wraps ErrNoNamespace.
func CheckIsolation() error { return noNamespace(errors.ErrUnsupported) }

func noNamespace(err error) error {
	return fmt.Errorf("%w: only Linux has the namespaces for it (%v); accept connectors that can reach the network by themselves with the option that allows it",
		ErrNoNamespace, err)
}

func restrict(int) {}

func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}
