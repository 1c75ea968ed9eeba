//go:build !linux

package host

import (
	"io"
	"os"
)

// privateCopy writes a program to a folder that only this user can enter.
func privateCopy(r io.Reader) (*os.File, error) {
	dir, err := os.MkdirTemp("", "lrshub-connector-")
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(dir+"/connector", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(f, r); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, f.Close()
}

func inherited(f *os.File) string { return f.Name() }
