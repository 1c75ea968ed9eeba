package csv

import (
	"io/fs"
	"syscall"
)

// inode tells the time of the last change of a file's inode, which no program can set back, and its number.
func inode(about fs.FileInfo) (changed int64, number uint64) {
	if s, ok := about.Sys().(*syscall.Stat_t); ok {
		return s.Ctim.Nano(), s.Ino
	}
	return 0, 0
}
