package qti

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk/files"
)

// found is a file of the folder. Files are read in the order of their modification, those of the same moment by a hash of their name.
type found struct {
	name     string
	size     int64
	modified time.Time
	place
	sum uint64 // of name, size and modification
}

// place is where a file stands in the order of reading. It holds no name: names of files may be those of people.
type place struct {
	at   int64 // modification, Unix nanoseconds
	hash uint64
}

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.at, o.at), cmp.Compare(p.hash, o.hash))
}

// list gives the files in the order of reading. alive is called now and then.
func (c *config) list(ctx context.Context, folder files.Folder, alive func()) ([]found, error) {
	names, err := folder.Glob(c.Pattern)
	if err != nil {
		return nil, c.Unreadable("qti", "folder", "", err)
	}
	list := make([]found, 0, len(names))
	for i, name := range names {
		if i%100 == 0 {
			if alive(); ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		about, err := folder.Stat(name)
		if errors.Is(err, fs.ErrNotExist) { // moved away meanwhile
			continue
		}
		if err != nil {
			return nil, c.Unreadable("qti", "file", name, err)
		}
		if about.Mode().IsRegular() {
			list = append(list, newFound(name, about.Size(), about.ModTime()))
		}
	}
	slices.SortFunc(list, func(a, b found) int { return a.compare(b.place) })
	return list, nil
}

func newFound(name string, size int64, modified time.Time) found {
	f := found{name: name, size: size, modified: modified, place: place{at: modified.UnixNano()}}
	hash := sha256.Sum256([]byte(name))
	f.hash = binary.BigEndian.Uint64(hash[:])
	numbers := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(hash[:], uint64(size)), uint64(f.at))
	all := sha256.Sum256(numbers)
	f.sum = binary.BigEndian.Uint64(all[:])
	return f
}

// stretch is a run of files that were read: those after the stretch before it, up to a place, and the sum of what they were. If the folder has other files
// there now (one came late, one changed, one was moved away), the stretch is read again and the hub stores what is new.
type stretch struct {
	until place
	files int
	sum   uint64
}

// memory is what the cursor holds: stretches in order, as many as fit, so that a folder of any number of files has a small cursor.
type memory struct {
	list []stretch
}

const (
	cursorVersion = 1
	stretchBytes  = 28
	maxStretches  = 2000 // 56 kB
	stretchFiles  = 50   // at least, before a new stretch begins
)

// parseMemory gives an empty memory for a cursor that it does not know: then all is read again, and the hub stores nothing twice.
func parseMemory(text []byte) *memory {
	m := &memory{}
	if len(text) == 0 || text[0] != cursorVersion || (len(text)-1)%stretchBytes != 0 {
		return m
	}
	for text = text[1:]; len(text) > 0; text = text[stretchBytes:] {
		m.list = append(m.list, stretch{
			until: place{int64(binary.BigEndian.Uint64(text)), binary.BigEndian.Uint64(text[8:])},
			files: int(binary.BigEndian.Uint32(text[16:])), sum: binary.BigEndian.Uint64(text[20:]),
		})
	}
	return m
}

func (m *memory) encode() []byte {
	text := make([]byte, 1, 1+stretchBytes*len(m.list))
	text[0] = cursorVersion
	for _, s := range m.list {
		text = binary.BigEndian.AppendUint64(text, uint64(s.until.at))
		text = binary.BigEndian.AppendUint64(text, s.until.hash)
		text = binary.BigEndian.AppendUint32(text, uint32(s.files))
		text = binary.BigEndian.AppendUint64(text, s.sum)
	}
	return text
}

// add notes that a file was dealt with, the next in order. known says whether to take it for read.
func (m *memory) add(f found, known bool) {
	if n := len(m.list); n == 0 || m.list[n-1].files >= stretchFiles {
		m.list = append(m.list, stretch{})
	}
	last := &m.list[len(m.list)-1]
	last.until = f.place
	if known {
		last.files++
		last.sum += f.sum
	}
	m.thin()
}

// keep takes over a stretch of an earlier run.
func (m *memory) keep(s stretch) {
	m.list = append(m.list, s)
	m.thin()
}

// thin joins stretches two by two where there are too many.
func (m *memory) thin() {
	if len(m.list) <= maxStretches {
		return
	}
	joined := m.list[:0]
	for i := 0; i+1 < len(m.list); i += 2 {
		a, b := m.list[i], m.list[i+1]
		joined = append(joined, stretch{until: b.until, files: a.files + b.files, sum: a.sum + b.sum})
	}
	if len(m.list)%2 == 1 {
		joined = append(joined, m.list[len(m.list)-1])
	}
	m.list = joined
}

// split cuts a list of files at a place: those up to it, and the rest.
func split(list []found, at place) (upTo, rest []found) {
	i, there := slices.BinarySearchFunc(list, at, func(f found, p place) int { return f.compare(p) })
	if there {
		i++
	}
	return list[:i], list[i:]
}

// same tells whether the files of a stretch are what they were.
func (s stretch) same(list []found) bool {
	var sum uint64
	for _, f := range list {
		sum += f.sum
	}
	return len(list) == s.files && sum == s.sum
}
