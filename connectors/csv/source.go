package csv

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files"
)

// source is one open CSV file whose header has been read.
type source struct {
	files.File
	place  files.Place
	fresh  time.Duration // files.Folder.Freshness
	name   string        // as in the configuration, for positions and messages
	header []string      // column names
	body   int64         // offset of the first row
	line   int64         // line of the first row
	sum    checksum      // of all before body
	print  fingerprint
}

// maxHeader is the most that the first line may hold, in bytes.
const maxHeader = 1 << 20

func (c *config) open(ctx context.Context, s *sdk.Session) (files.Folder, error) {
	folder, err := c.Place.Open(ctx, s)
	if err != nil {
		return nil, c.Unreadable("csv", "folder", "", err)
	}
	return folder, nil
}

// openSource opens a file of the folder.
func openSource(place files.Place, folder files.Folder, f *file, now time.Time) (*source, error) {
	opened, err := folder.Open(f.File)
	if err != nil {
		return nil, missing(place, folder, f, err)
	}
	s := &source{File: opened, place: place, fresh: folder.Freshness(), name: f.File}
	if s.print, err = s.fingerprint(now); err == nil {
		err = s.readHeader(f)
	}
	if err != nil {
		opened.Close()
		return nil, err
	}
	return s, nil
}

func (s *source) unreadable(err error) error { return s.place.Unreadable("csv", "file", s.name, err) }

// missing says why a file cannot be opened. Of other files it names only one that is written nearly the same: names of files may be those of people.
func missing(place files.Place, folder files.Folder, f *file, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return place.Unreadable("csv", "file", f.File, err)
	}
	names, _ := folder.Glob("*.[cCtT][sS][vV]") // what cannot be listed gives no hint
	return sdk.Errorf(sdk.ClassConfig, "csv: file %s does not exist in folder %s, which holds %d CSV files%s", f.File, place.At(""), len(names), similar(names, []string{f.File}))
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

// readHeader reads the first line and checks that each column that the configuration names is there once.
func (s *source) readHeader(f *file) error {
	start := make([]byte, 3)
	n, err := s.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return s.unreadable(err)
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
		return s.unreadable(err)
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

func (s *source) fingerprint(now time.Time) (fingerprint, error) {
	about, err := s.Stat()
	if err != nil {
		return fingerprint{}, s.unreadable(err)
	}
	p := fingerprint{Size: about.Size(), Modified: about.ModTime().UnixNano()}
	p.Changed, p.Inode = inode(about)
	p.Fresh = max(p.Modified, p.Changed) > now.Add(-s.fresh).UnixNano()
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
