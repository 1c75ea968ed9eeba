package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
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

// maxLine bounds a line in bytes: a document of 10 MiB in base64, and what stands beside it.
const maxLine = 16 << 20

// Reader reads an export, or NDJSON from elsewhere, which has neither manifest nor attachments nor documents.
type Reader struct {
	dir      string
	Manifest *Manifest // nil: NDJSON
	input    io.Reader
	close    func() error
}

// Open opens a folder that holds a whole export, or a file of NDJSON, compressed with gzip or not; "-" is stdin.
func Open(path string, stdin io.Reader) (*Reader, error) {
	if path == "-" {
		return &Reader{input: stdin, close: func() error { return nil }}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		return &Reader{input: f, close: f.Close}, nil
	}
	m, err := ReadManifest(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s", ErrNotArchive, path, manifestFile)
	}
	if err == nil && !m.Complete {
		err = fmt.Errorf("the export in %s broke off: run lrshub statement export --archive %s again, it goes on", path, path)
	}
	return &Reader{dir: path, Manifest: &m, close: func() error { return nil }}, err
}

// Close closes what Open opened.
func (r *Reader) Close() error { return r.close() }

// Statements gives each statement's line; what it gives is good until the next. Empty lines are left out. ErrAltered.
func (r *Reader) Statements(each func(line []byte) error) error {
	if r.Manifest == nil {
		in, err := plain(r.input)
		if err != nil {
			return err
		}
		return eachLine(in, each)
	}
	var sum Digest
	for _, f := range r.Manifest.Files {
		if f.Name == documentsFile {
			continue
		}
		if err := r.file(f, func(line []byte) error { sum.Add(line); return each(line) }); err != nil {
			return err
		}
	}
	if sum.Sum() != r.Manifest.Statements {
		return fmt.Errorf("%w: its statements are not those that its manifest counts", ErrAltered)
	}
	return nil
}

// Documents gives each document's line.
func (r *Reader) Documents(each func(line []byte) error) error {
	if r.Manifest == nil {
		return nil
	}
	for _, f := range r.Manifest.Files {
		if f.Name == documentsFile {
			return r.file(f, each)
		}
	}
	return nil
}

// Attachment opens the content of an attachment. fs.ErrNotExist where there is none.
func (r *Reader) Attachment(sha2 string) (*os.File, error) {
	if sha2 = strings.ToLower(sha2); r.Manifest == nil || !isHash(sha2) {
		return nil, fs.ErrNotExist
	}
	return os.Open(filepath.Join(r.dir, attachments, sha2))
}

// file gives the lines of one file and holds it against the manifest.
func (r *Reader) file(f File, each func(line []byte) error) error {
	raw, err := os.Open(filepath.Join(r.dir, f.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing", ErrAltered, f.Name)
	}
	if err != nil {
		return err
	}
	defer raw.Close()
	in, err := plain(raw)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrAltered, f.Name, err)
	}
	sum := sha256.New()
	count := int64(0)
	err = eachLine(io.TeeReader(in, sum), func(line []byte) error { count++; return each(line) })
	if errors.Is(err, errUnreadable) {
		return fmt.Errorf("%w: %s: %w", ErrAltered, f.Name, err)
	}
	if err != nil {
		return err
	}
	if count != f.Lines || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%w: %s is not what the manifest says", ErrAltered, f.Name)
	}
	return nil
}

// plain undoes gzip where there is any.
func plain(in io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(in, 256<<10)
	if head, _ := buffered.Peek(2); !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return buffered, nil
	}
	return gzip.NewReader(buffered)
}

// eachLine gives the lines that are not empty.
func eachLine(in io.Reader, each func(line []byte) error) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 256<<10), maxLine)
	for n := 1; scanner.Scan(); n++ {
		line := bytes.TrimSpace(scanner.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := each(line); err != nil {
			return err
		}
	}
	if err := scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("a line has more than %d MiB", maxLine>>20)
	} else if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return nil
}

// errUnreadable: the lines cannot be read to their end.
var errUnreadable = errors.New("it cannot be read")

// newHash is the SHA-2 of a length in bytes.
func newHash(size int) hash.Hash {
	switch size {
	case 28:
		return sha256.New224()
	case 48:
		return sha512.New384()
	case 64:
		return sha512.New()
	}
	return sha256.New()
}
