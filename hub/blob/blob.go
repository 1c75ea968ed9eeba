// Package blob keeps large sealed bytes in a folder, each under a random name. It knows nothing of what they are or whose: rows in Postgres name
// them and hold, sealed, the keys that open them.
//
// Start with Folder. A blob is whole or not there: Put writes it under another name and renames it once it is on the disk. Whoever puts a blob has a day to store
// the row that names it; after that Sweep takes it for the rest of a request that failed.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ErrNotFound: no blob has that name.
var ErrNotFound = errors.New("blob: no such blob in the folder")

// Age is how old a blob must be before Sweep asks whether anybody knows it.
const Age = 24 * time.Hour

// Folder is a folder of blobs, which several hubs may share. It is safe for concurrent use.
type Folder struct{ dir string }

// OpenFolder opens the folder, which is made if absent.
func OpenFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("blob: folder: %w", err)
	}
	return &Folder{dir: dir}, nil
}

// unfinished starts the names of blobs that are being written.
const unfinished = ".new-"

// shard is the folder of a blob: 256 of them share the load that a folder's entries are.
func (f *Folder) shard(name uuid.UUID) string { return filepath.Join(f.dir, name.String()[:2]) }

func (f *Folder) path(name uuid.UUID) string { return filepath.Join(f.shard(name), name.String()) }

// Put makes a blob of what write writes, and gives its name once it would survive a power cut. If write fails there is no blob, and its error comes back.
func (f *Folder) Put(write func(w io.Writer) error) (uuid.UUID, error) {
	name := uuid.New()
	if err := f.makeShard(f.shard(name)); err != nil {
		return uuid.Nil, fmt.Errorf("blob: %w", err)
	}
	file, err := os.CreateTemp(f.shard(name), unfinished+"*") // mode 0600
	if err != nil {
		return uuid.Nil, fmt.Errorf("blob: %w", err)
	}
	whole := false
	defer func() {
		if !whole { // also after a panic in write
			_ = file.Close()
			_ = os.Remove(file.Name()) // or Sweep does
		}
	}()
	if err := write(file); err != nil {
		return uuid.Nil, err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return uuid.Nil, fmt.Errorf("blob: %w", err)
	}
	if err := os.Rename(file.Name(), f.path(name)); err != nil {
		return uuid.Nil, fmt.Errorf("blob: %w", err)
	}
	whole = true
	if err := syncFolder(f.shard(name)); err != nil {
		return uuid.Nil, fmt.Errorf("blob: %w", err)
	}
	return name, nil
}

func (f *Folder) makeShard(shard string) error {
	err := os.Mkdir(shard, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncFolder(f.dir)
}

// syncFolder makes a folder's entries survive a power cut.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Open reads a blob, or gives ErrNotFound. It can be read to its end even if it is deleted meanwhile.
func (f *Folder) Open(name uuid.UUID) (io.ReadCloser, error) {
	file, err := os.Open(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return file, nil
}

// Delete deletes a blob. It is no error if there is none.
func (f *Folder) Delete(name uuid.UUID) error {
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

// sweepBatch is how many blobs are asked about at a time.
const sweepBatch = 500

// Sweep deletes blobs last written before a time (Age ago, or more) that known does not name, and what was never finished since then. It gives how many went.
func (f *Folder) Sweep(ctx context.Context, before time.Time, known func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error)) (removed int, err error) {
	shards, err := os.ReadDir(f.dir)
	if err != nil {
		return 0, fmt.Errorf("blob: sweep: %w", err)
	}
	for _, shard := range shards {
		if len(shard.Name()) != 2 || !shard.IsDir() {
			continue
		}
		n, err := f.sweep(ctx, filepath.Join(f.dir, shard.Name()), before, known)
		if removed += n; err != nil {
			return removed, fmt.Errorf("blob: sweep: %w", err)
		}
	}
	return removed, nil
}

func (f *Folder) sweep(ctx context.Context, shard string, before time.Time, known func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error)) (removed int, err error) {
	dir, err := os.Open(shard)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(sweepBatch)
		if errors.Is(err, io.EOF) {
			return removed, nil
		}
		if err != nil {
			return removed, err
		}
		gone, err := unknown(ctx, entries, before, known)
		if err != nil {
			return removed, err
		}
		for _, name := range gone {
			err := os.Remove(filepath.Join(shard, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // another hub was faster
				return removed, err
			}
			removed++
		}
	}
}

// unknown lists the files that may go. What does not look like ours stays.
func unknown(ctx context.Context, entries []fs.DirEntry, before time.Time, known func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error)) (gone []string, err error) {
	var names []uuid.UUID
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !info.ModTime().Before(before) {
			continue // deleted since, or too young
		}
		if strings.HasPrefix(e.Name(), unfinished) {
			gone = append(gone, e.Name())
		} else if name, err := uuid.Parse(e.Name()); err == nil && name.String() == e.Name() {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return gone, ctx.Err()
	}
	there, err := known(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !there[name] {
			gone = append(gone, name.String())
		}
	}
	return gone, nil
}
