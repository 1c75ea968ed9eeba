package files

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// local is a folder of this machine. Nothing leads out of it: not "..", not a symbolic link, not a rename meanwhile.
type local struct{ *os.Root }

func openLocal(folder string) (Folder, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	return local{root}, nil
}

func (l local) Glob(pattern string) ([]string, error) { return fs.Glob(localLister{l.FS()}, pattern) }

// localLister lists folders only: to open a pipe, in order to see whether it is one, could block for ever.
type localLister struct{ fs.FS }

func (l localLister) Stat(name string) (fs.FileInfo, error) { return fs.Stat(l.FS, name) }

func (l localLister) ReadDir(name string) ([]fs.DirEntry, error) {
	about, err := fs.Stat(l.FS, name)
	if err == nil && !about.IsDir() {
		err = &fs.PathError{Op: "list", Path: name, Err: errors.New("it is no folder")}
	}
	if err != nil {
		return nil, err
	}
	return fs.ReadDir(l.FS, name)
}

func (l local) Open(name string) (File, error) {
	about, err := l.Stat(name)
	if err != nil {
		return nil, err
	}
	if !about.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errIrregular}
	}
	return l.Root.Open(name)
}

// Freshness is more than the coarsest time stamps of common file systems (FAT: 2 s).
func (local) Freshness() time.Duration { return 2 * time.Second }
