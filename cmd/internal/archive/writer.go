package archive

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// perFile is how many statements a file holds; after each file an export can go on.
const perFile = 50_000

// Writer writes an export into a folder. It is for one goroutine. Begun anew on a folder that broke off, it goes on after Manifest.Cursor.
type Writer struct {
	dir      string
	manifest Manifest
	sum      Digest
	lines    *lines // of statements; nil: none open
	cursor   string // after the last line
}

// Create opens a folder for an export of a hub: a new or empty one, or one whose export of the same hub broke off.
func Create(dir, hub string) (*Writer, error) {
	if err := os.MkdirAll(filepath.Join(dir, attachments), 0o700); err != nil {
		return nil, err
	}
	if err := sweep(dir, filepath.Join(dir, attachments)); err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, manifest: Manifest{Format: format, Hub: hub}}
	known, err := ReadManifest(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w, w.onlyOurs()
	case err != nil:
		return nil, err
	case known.Complete:
		return nil, fmt.Errorf("%s holds a whole export already: name another folder", dir)
	case known.Hub != hub:
		return nil, fmt.Errorf("%s holds the beginning of an export of %s, not of %s: name another folder", dir, known.Hub, hub)
	}
	w.manifest, w.cursor = known, known.Cursor
	w.sum, err = digestOf(known.Statements)
	return w, err
}

// sweep removes what a writer that was killed left half written.
func sweep(dirs ...string) error {
	for _, dir := range dirs {
		left, err := filepath.Glob(filepath.Join(dir, ".new-*"))
		for _, path := range left {
			err = errors.Join(err, os.Remove(path))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// onlyOurs refuses a folder in which something else is.
func (w *Writer) onlyOurs() error {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != attachments && !strings.HasSuffix(e.Name(), ".ndjson.gz") {
			return fmt.Errorf("%s holds other things (%s): name an empty folder", w.dir, e.Name())
		}
	}
	return nil
}

// Cursor is where the export goes on; "" at its start.
func (w *Writer) Cursor() string { return w.cursor }

// Count is how many statements there are.
func (w *Writer) Count() int64 { return w.sum.count }

// Statement adds a statement, as one line, and the cursor behind it.
func (w *Writer) Statement(line []byte, cursor string) (err error) {
	if w.lines == nil {
		if w.lines, err = create(w.dir, fmt.Sprintf("statements-%06d.ndjson.gz", len(w.manifest.Files)+1)); err != nil {
			return err
		}
	}
	if err := w.lines.add(line); err != nil {
		return err
	}
	w.sum.Add(line)
	if w.cursor = cursor; w.lines.file.Lines >= perFile {
		return w.Flush()
	}
	return nil
}

// Flush makes what there is safe, so that an export goes on from here.
func (w *Writer) Flush() error {
	if w.lines == nil {
		return nil
	}
	file, err := w.lines.close()
	if w.lines = nil; err != nil {
		return err
	}
	w.manifest.Files = append(w.manifest.Files, file)
	w.manifest.Statements, w.manifest.Cursor = w.sum.Sum(), w.cursor
	return w.manifest.save(w.dir)
}

// Has tells whether the content of an attachment is there already.
func (w *Writer) Has(sha2 string) (bool, error) {
	if sha2 = strings.ToLower(sha2); !isHash(sha2) {
		return false, fmt.Errorf("an attachment's sha2 is no hash")
	}
	return exists(filepath.Join(w.dir, attachments, sha2))
}

// Attachment adds the content of an attachment and holds it against its hash.
func (w *Writer) Attachment(sha2 string, content io.Reader) (err error) {
	if known, err := w.Has(sha2); known || err != nil {
		return err
	}
	sha2 = strings.ToLower(sha2)
	f, err := os.CreateTemp(filepath.Join(w.dir, attachments), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	sum := newHash(len(sha2) / 2)
	_, err = io.Copy(io.MultiWriter(f, sum), content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != sha2 {
		return fmt.Errorf("an attachment's content has not the hash that its statement says")
	}
	return os.Rename(f.Name(), filepath.Join(w.dir, attachments, sha2))
}

// Documents writes the documents, all at once, and completes the export. each gives them one by one, as lines.
func (w *Writer) Documents(each func(add func(line []byte) error) error) (Manifest, error) {
	if err := w.Flush(); err != nil {
		return w.manifest, err
	}
	l, err := create(w.dir, documentsFile)
	if err != nil {
		return w.manifest, err
	}
	var sum Digest
	err = each(func(line []byte) error {
		sum.Add(line)
		return l.add(line)
	})
	file, closed := l.close()
	if err := errors.Join(err, closed); err != nil {
		return w.manifest, err
	}
	contents, err := os.ReadDir(filepath.Join(w.dir, attachments))
	if err != nil {
		return w.manifest, err
	}
	w.manifest.Files = append(w.manifest.Files, file)
	w.manifest.Statements, w.manifest.Documents, w.manifest.Attachments = w.sum.Sum(), sum.Sum(), int64(len(contents))
	w.manifest.Complete, w.manifest.Cursor = true, w.cursor
	return w.manifest, w.manifest.save(w.dir)
}

// lines is one file being written.
type lines struct {
	file File
	raw  *os.File
	zip  *gzip.Writer
	out  *bufio.Writer
	sum  hash.Hash
}

func create(dir, name string) (*lines, error) {
	raw, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	l := &lines{file: File{Name: name}, raw: raw, zip: gzip.NewWriter(raw), sum: sha256.New()}
	l.out = bufio.NewWriterSize(io.MultiWriter(l.zip, l.sum), 256<<10)
	return l, nil
}

func (l *lines) add(line []byte) error {
	l.file.Lines++
	if _, err := l.out.Write(line); err != nil {
		return err
	}
	return l.out.WriteByte('\n')
}

func (l *lines) close() (File, error) {
	err := errors.Join(l.out.Flush(), l.zip.Close(), l.raw.Sync(), l.raw.Close())
	l.file.SHA256 = hex.EncodeToString(l.sum.Sum(nil))
	return l.file, err
}
