//go:build unix && !linux

package postgres

import (
	"context"
	"log/slog"
	"syscall"
)

// childAttributes: see leftover_linux.go; other kernels have no death signal.
func childAttributes(u *childUser) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if u != nil {
		attributes.Credential = &syscall.Credential{Uid: u.uid, Gid: u.gid}
	}
	return attributes
}

// clearLeftovers leaves it to Postgres, which checks its own pid file and shared memory and says so when it cannot start.
func clearLeftovers(context.Context, string, *slog.Logger) error { return nil }
