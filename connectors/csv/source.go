package csv

import (
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// source is one open CSV file whose header has been read.
type source struct {
	*os.File
	name   string   // as in the configuration, for positions and messages
	header []string // column names
	body   int64    // offset of the first row
	line   int64    // line of the first row
	sum    checksum // of all before body
	print  fingerprint
}

// maxHeader is the most that the first line may hold, in bytes.
const maxHeader = 1 << 20

// openSource opens a file within the folder. It cannot be led out of it by "..", a symbolic link or a rename meanwhile.
func openSource(folder string, f *file, now time.Time) (*source, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, unreadable("folder", folder, err)
	}
	defer root.Close()
	about, err := root.Stat(f.File)
	if err != nil {
		return nil, missing(root, f, folder, err)
	}
	if !about.Mode().IsRegular() { // opening a pipe or a device could block or have effects
		return nil, sdk.Errorf(sdk.ClassConfig, "csv: %s in folder %s is no regular file", f.File, folder)
	}
	opened, err := root.Open(f.File)
	if err != nil {
		return nil, missing(root, f, folder, err)
	}
	s := &source{File: opened, name: f.File}
	if s.print, err = takeFingerprint(opened, now); err == nil {
		err = s.readHeader(f)
	}
	if err != nil {
		opened.Close()
		return nil, err
	}
	return s, nil
}

func unreadable(what, path string, err error) error {
	if abs, e := filepath.Abs(path); e == nil {
		path = abs
	}
	class, advice := sdk.ClassConfig, "check the path, as seen by the machine that runs the worker"
	if errors.Is(err, fs.ErrPermission) {
		class, advice = sdk.ClassPermission, "let the user that runs the worker read it"
	}
	return sdk.Errorf(class, "csv: %s %s cannot be read: %w; %s", what, path, cause(err), advice)
}

// missing says why a file cannot be opened. Of other files it names only one that is written nearly the same: names of files may be those of people.
func missing(root *os.Root, f *file, folder string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return unreadable("file", filepath.Join(folder, f.File), err)
	}
	names, _ := fs.Glob(root.FS(), "*.[cCtT][sS][vV]") // fails for a bad pattern only
	return sdk.Errorf(sdk.ClassConfig, "csv: file %s does not exist in folder %s, which holds %d CSV files%s", f.File, folder, len(names), similar(names, []string{f.File}))
}

// similar names those of the names there are that differ from a wanted one in case, blanks and punctuation only.
func similar(there, wanted []string) string {
	bare := func(name string) string {
		return strings.Map(func(r rune) rune {
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				return -1
			}
			return unicode.ToLower(r)
		}, name)
	}
	var alike []string
	for _, name := range there {
		if slices.ContainsFunc(wanted, func(w string) bool { return bare(w) != "" && bare(w) == bare(name) }) {
			alike = append(alike, name)
		}
	}
	if alike == nil {
		return ""
	}
	return "; did you mean " + list(alike) + "?"
}

// cause leaves out the path that an error of package os repeats.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// readHeader reads the first line and checks that each column that the configuration names is there once.
func (s *source) readHeader(f *file) error {
	start := make([]byte, 3)
	n, err := s.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return unreadable("file", s.name, err)
	}
	var offset int64
	switch mark := string(start[:n]); {
	case mark == "\xef\xbb\xbf":
		offset = 3
	case strings.HasPrefix(mark, "\xff\xfe"), strings.HasPrefix(mark, "\xfe\xff"):
		return sdk.Errorf(sdk.ClassConfig, "csv: file %s is in UTF-16; save it as UTF-8", s.name)
	}
	scan := newScanner(s, f.Delimiter[0], maxHeader, offset, 1)
	scan.sum = scan.sum.add(start[:offset])
	first, err := scan.next()
	switch {
	case err == io.EOF || (err == nil && first.fault == faultNone && len(first.raw) == 0):
		return sdk.Errorf(sdk.ClassConfig, "csv: file %s has no header: its first line must name the columns", s.name)
	case err != nil:
		return unreadable("file", s.name, err)
	case first.fault != faultNone:
		return sdk.Errorf(sdk.ClassConfig, "csv: the first line of file %s, which must name the columns, cannot be read: %s", s.name, first.fault)
	}
	split := splitter{delim: f.Delimiter[0]}
	text := encodings[f.Encoding]
	for _, cell := range split.split(first.raw, first.quotes) {
		s.header = append(s.header, strings.TrimSpace(string(text.decode(cell))))
	}
	s.body, s.line, s.sum = scan.offset, scan.line, scan.sum
	return s.checkHeader(f)
}

func (s *source) checkHeader(f *file) error {
	var absent, twice []string
	for _, c := range f.Columns {
		n := 0
		for _, name := range s.header {
			if name == c.Header {
				n++
			}
		}
		switch {
		case n == 0:
			absent = append(absent, c.Header)
		case n > 1:
			twice = append(twice, c.Header)
		}
	}
	if len(absent) > 0 {
		hint := ""
		if len(s.header) == 1 {
			hint = fmt.Sprintf(" (is %q the file's delimiter?)", f.Delimiter)
		}
		if len(absent) == len(f.Columns) { // no header, it seems: then what stands there are values, which go nowhere
			return sdk.Errorf(sdk.ClassConfig, "csv: file %s has none of the columns %s; does its first line, of %d cells, name the columns?%s", s.name, list(absent), len(s.header), hint)
		}
		return sdk.Errorf(sdk.ClassConfig, "csv: file %s has no column %s among its %d%s%s", s.name, list(absent), len(s.header), similar(s.header, absent), hint)
	}
	if len(twice) > 0 {
		return sdk.Errorf(sdk.ClassConfig, "csv: file %s has more than one column named %s; rename them in the export", s.name, list(twice))
	}
	return nil
}

// fingerprint is what the file system says of a file.
type fingerprint struct {
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"`          // Unix nanoseconds
	Changed  int64  `json:"changed,omitempty"` // inode change time, Unix nanoseconds, where there is one
	Inode    uint64 `json:"inode,omitempty"`
	// Fresh says that the file had changed so shortly before that another change may have left no trace in the times:
	// then only its content tells.
	Fresh bool `json:"fresh,omitempty"`
}

// freshness is more than the coarsest time stamps of common file systems (FAT: 2 s).
const freshness = 2 * time.Second

func takeFingerprint(f *os.File, now time.Time) (fingerprint, error) {
	about, err := f.Stat()
	if err != nil {
		return fingerprint{}, unreadable("file", f.Name(), err)
	}
	p := fingerprint{Size: about.Size(), Modified: about.ModTime().UnixNano()}
	p.Changed, p.Inode = inode(about)
	p.Fresh = max(p.Modified, p.Changed) > now.Add(-freshness).UnixNano()
	return p, nil
}

// proves reports whether p, taken earlier, rules out that the file has changed since.
func (p fingerprint) proves(now fingerprint) bool {
	now.Fresh = false
	return p == now
}

// checksum is the CRC-64 of what was read of a file. It finds accidental change for certain if it is shorter than 64 bits, and
// misses any other with a chance of 2^-64. Unlike a cryptographic hash's, its state holds no piece of the content, so it
// can stand in a cursor.
type checksum uint64

var crcTable = crc64.MakeTable(crc64.ECMA)

func (c checksum) add(b []byte) checksum { return checksum(crc64.Update(uint64(c), crcTable, b)) }

// sumOf is the checksum of [0, until).
func sumOf(f io.ReaderAt, until int64, alive func(done int64) error) (checksum, error) {
	var sum checksum
	buf := make([]byte, 1<<20)
	for at := int64(0); at < until; {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), until-at)], at)
		sum = sum.add(buf[:n])
		at += int64(n)
		if err != nil && (err != io.EOF || at < until) {
			return 0, err
		}
		if err := alive(at); err != nil {
			return 0, err
		}
	}
	return sum, nil
}
