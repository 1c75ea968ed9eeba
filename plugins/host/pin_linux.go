package host

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// privateCopy puts a program into memory and seals it: from then on nobody can write to it, whoever they are.
func privateCopy(r io.Reader) (*os.File, error) {
	fd, err := unix.MemfdCreate("connector", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // a kernel before 6.3 does not know MFD_EXEC; its memory files can be executed
		fd, err = unix.MemfdCreate("connector", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("no file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "connector")
	if _, err := io.Copy(f, r); err != nil {
		_ = f.Close()
		return nil, err
	}
	seals := unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("the file in memory cannot be sealed: %w", err)
	}
	return f, nil
}

// inherited is the path under which a child finds the first of its extra files.
func inherited(*os.File) string { return "/proc/self/fd/3" }
