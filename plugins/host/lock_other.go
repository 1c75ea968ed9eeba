//go:build !unix

package host

import "os"

// lockFile opens a file; it fails if it exists, so nothing is ever swept away here.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
}
