package openedx

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"sort"
	"strings"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files"
)

// logFile is one open file of tracking logs, plain or gzip. A log keeps its identity when its file is renamed, copied or
// gzipped: what counts is its uncompressed content, recognised by its first line (head) and by what precedes an offset (tail).
type logFile struct {
	files.File
	name   string
	size   int64 // of the file when it was opened; what is appended later is the next run's
	zipped bool
	head   headHash
}

type (
	headHash [8]byte // of the first line, or of its first maxHead bytes
	wholeID  [6]byte // of a gzip file: head, checksum and size
)

const (
	maxHead = 64 << 10 // bytes
	tailLen = 256      // bytes
)

// listLogs names the files that match the pattern, oldest first, and the sum of their sizes.
func (c *config) listLogs(folder files.Folder) (names []string, total int64, err error) {
	found, err := folder.Glob(c.Pattern)
	if err != nil {
		return nil, 0, c.Unreadable("openedx", "folder", "", err)
	}
	modified := make(map[string]int64)
	for _, name := range found {
		about, err := folder.Stat(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a link that leads out of the folder, say
			return nil, 0, c.Unreadable("openedx", "file", name, err)
		}
		if err == nil && about.Mode().IsRegular() {
			names = append(names, name)
			modified[name] = about.ModTime().UnixNano()
			total += about.Size()
		}
	}
	sort.SliceStable(names, func(i, j int) bool { return modified[names[i]] < modified[names[j]] })
	return names, total, nil
}

// openLog opens a file and reads its head. It gives fs.ErrNotExist if the file was renamed meanwhile.
func openLog(folder files.Folder, name string) (*logFile, error) {
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	l := &logFile{File: f, name: name}
	about, err := f.Stat()
	if err == nil {
		l.size = about.Size()
		err = l.sniff()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

// otherArchives are first bytes of compressed files that are not read.
var otherArchives = map[string]string{"BZh": "bzip2", "\xfd7zXZ": "xz", "\x28\xb5\x2f\xfd": "zstd", "PK\x03\x04": "zip"}

func (l *logFile) sniff() error {
	magic := make([]byte, 5)
	n, err := l.ReadAt(magic, 0)
	if err != nil && err != io.EOF {
		return err
	}
	for first, format := range otherArchives {
		if strings.HasPrefix(string(magic[:n]), first) {
			return sdk.Errorf(sdk.ClassConfig, "openedx: file %s is compressed with %s; only plain and gzip files are read: unpack it, or narrow the pattern", l.name, format)
		}
	}
	l.zipped = bytes.HasPrefix(magic[:n], []byte{0x1f, 0x8b})
	return l.readHead()
}

// readHead hashes the first line as far as it is there. A line that is still being written has another hash later; no
// harm, since nothing is remembered of a log before its first line was read.
func (l *logFile) readHead() error {
	start := make([]byte, maxHead)
	n := 0
	if from, err := l.content(0, nil); err == nil {
		n, _ = io.ReadFull(from, start)
	}
	if n == 0 { // a gzip file that cannot be unpacked: recognise it by its own bytes
		var err error
		if n, err = l.ReadAt(start, 0); err != nil && err != io.EOF {
			return err
		}
	}
	start = start[:n]
	if i := bytes.IndexByte(start, '\n'); i >= 0 {
		start = start[:i]
	}
	l.head = hashHead(start)
	return nil
}

func hashHead(firstLine []byte) (h headHash) {
	sum := sha256.Sum256(firstLine)
	copy(h[:], sum[:])
	return h
}

// content reads the log's uncompressed bytes from an offset on. It calls alive while it skips what lies before.
func (l *logFile) content(offset int64, alive func(int64) error) (io.Reader, error) {
	if !l.zipped {
		return io.NewSectionReader(l.File, offset, max(0, l.size-offset)), nil
	}
	unzip, err := gzip.NewReader(io.NewSectionReader(l.File, 0, l.size))
	for err == nil && offset > 0 {
		var n int64
		n, err = io.CopyN(io.Discard, unzip, min(offset, aliveEvery))
		offset -= n
		if err == nil {
			err = alive(0)
		}
	}
	return unzip, err
}

// whole identifies a gzip file without unpacking it: its last 8 bytes are the checksum and size of its content (RFC 1952).
func (l *logFile) whole() (id wholeID, err error) {
	end := make([]byte, 8)
	if _, err := l.ReadAt(end, max(0, l.size-8)); err != nil {
		return id, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%x %x %d", l.head, end, l.size))
	copy(id[:], sum[:])
	return id, nil
}

// tail sums the last tailLen bytes of a log before an offset.
type tail struct {
	last []byte
}

func (t *tail) add(b []byte) {
	if len(b) >= tailLen {
		t.last = append(t.last[:0], b[len(b)-tailLen:]...)
		return
	}
	if drop := len(t.last) + len(b) - tailLen; drop > 0 {
		t.last = t.last[:copy(t.last, t.last[drop:])]
	}
	t.last = append(t.last, b...)
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

func (t *tail) sum() uint32 { return crc32.Checksum(t.last, crcTable) }

// errShort says that a log does not reach up to an offset.
var errShort = errors.New("the log is shorter")

// short is errShort, unless the log could not be read for a reason that says nothing of its length.
func short(err error) error {
	var known *sdk.Error
	if errors.As(err, &known) {
		return err
	}
	return errors.Join(errShort, err)
}

// tails reads the tails before ascending offsets.
func (l *logFile) tails() func(offset int64, alive func(int64) error) (tail, error) {
	var from io.Reader
	var t tail
	at := int64(0)
	buf := make([]byte, readBuffer)
	return func(offset int64, alive func(int64) error) (tail, error) {
		if offset == 0 {
			return tail{}, nil
		}
		if !l.zipped {
			last := make([]byte, min(tailLen, offset))
			if n, err := l.ReadAt(last, offset-int64(len(last))); n < len(last) {
				return tail{}, short(err)
			}
			return tail{last: last}, nil
		}
		if from == nil {
			var err error
			if from, err = l.content(0, nil); err != nil {
				return tail{}, short(err)
			}
		}
		for at < offset {
			n, err := from.Read(buf[:min(int64(len(buf)), offset-at)])
			t.add(buf[:n])
			at += int64(n)
			if err != nil && at < offset {
				return tail{}, short(err)
			}
			if err := alive(0); err != nil {
				return tail{}, err
			}
		}
		return tail{last: slices.Clone(t.last)}, nil
	}
}
