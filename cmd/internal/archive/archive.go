// Package archive is an export of a record store in a folder, which another store imports: statements in compressed NDJSON files, attachments by hash, documents,
// and a manifest that counts and digests them. Writing can break off at any moment and go on where it was.
//
// Start with Manifest. Writer (writer.go) writes a folder, Reader (reader.go) reads one, or NDJSON that came from elsewhere.
package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names in the folder.
const (
	manifestFile  = "manifest.json"
	documentsFile = "documents.ndjson.gz"
	attachments   = "attachments"
)

// format is the only format of a manifest there has been.
const format = 1

var (
	// ErrNotArchive: the folder has no manifest that this program can read.
	ErrNotArchive = errors.New("not an export that this lrshub can read")
	// ErrAltered: a file is not what the manifest says.
	ErrAltered = errors.New("the export was altered or is damaged")
)

// Manifest says what an export holds.
type Manifest struct {
	Format      int    `json:"format"`
	Hub         string `json:"hub"`      // URL that it came from
	Complete    bool   `json:"complete"` // false: it broke off, and can go on
	Cursor      string `json:"cursor"`   // of the hub's feed, after the last statement
	Statements  Sum    `json:"statements"`
	Attachments int64  `json:"attachments"` // contents
	Documents   Sum    `json:"documents"`
	Files       []File `json:"files"` // of statements, in order, and of documents, last
}

// File is one file of lines.
type File struct {
	Name   string `json:"name"`
	Lines  int64  `json:"lines"`
	SHA256 string `json:"sha256"` // of the uncompressed bytes
}

// Sum counts lines and digests them without regard to their order: the XOR of the SHA-256 of each.
type Sum struct {
	Count  int64  `json:"count"`
	Digest string `json:"digest"` // hexadecimal
}

// Digest adds up to a Sum.
type Digest struct {
	count int64
	sum   [sha256.Size]byte
}

// Add adds a line, without its end.
func (d *Digest) Add(line []byte) {
	d.count++
	for i, b := range sha256.Sum256(line) {
		d.sum[i] ^= b
	}
}

// Sum is what was added.
func (d *Digest) Sum() Sum { return Sum{d.count, hex.EncodeToString(d.sum[:])} }

// digestOf goes on from a sum.
func digestOf(s Sum) (Digest, error) {
	d := Digest{count: s.Count}
	if s == (Sum{}) {
		return d, nil
	}
	sum, err := hex.DecodeString(s.Digest)
	if err != nil || len(sum) != len(d.sum) {
		return d, fmt.Errorf("%w: a digest of its manifest is none", ErrNotArchive)
	}
	copy(d.sum[:], sum)
	return d, nil
}

// ReadManifest reads the manifest of a folder. ErrNotArchive; fs.ErrNotExist where there is none.
func ReadManifest(dir string) (Manifest, error) {
	var m Manifest
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Format != format {
		return m, fmt.Errorf("%w: %s", ErrNotArchive, dir)
	}
	for _, f := range m.Files {
		if f.Name != filepath.Base(f.Name) || f.Name == "." || f.Name == ".." {
			return m, fmt.Errorf("%w: its manifest names a file outside", ErrNotArchive)
		}
	}
	return m, nil
}

// save writes the manifest in one step.
func (m Manifest) save(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, manifestFile), append(text, '\n'))
}

// writeFile replaces a file in one step that a power cut cannot halve.
func writeFile(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// isHash tells whether a text is a SHA-2 in lower-case hexadecimal digits, and so may be a file's name.
func isHash(text string) bool {
	raw, err := hex.DecodeString(text)
	if err != nil || hex.EncodeToString(raw) != text {
		return false
	}
	switch len(raw) {
	case 28, 32, 48, 64:
		return true
	}
	return false
}

// exists tells whether a file is there.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
