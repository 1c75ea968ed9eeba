package logstore

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// table is an export of one table: CSV with a header, or JSON lines. It is not kept in memory: an index has 24 bytes a row.
type table struct {
	*os.File
	name    string // of the file
	size    int64
	header  []string // of CSV; nil: JSON lines
	body    int64    // offset of the first row
	indexes map[string][]indexed
	recent  map[string][]row // what was found lately, by column and value: most events are of the same few courses
}

// indexed says where a row stands whose column has a value of this hash.
type indexed struct {
	hash   uint64
	offset int64
	length int64
}

// maxIndex is how many rows an index may have: 30 million take 720 MB.
const maxIndex = 30_000_000

var seed = maphash.MakeSeed()

// openTable opens an export within the folder, which nothing leads out of.
func openTable(root *os.Root, name string) (*table, error) {
	about, err := root.Stat(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	if !about.Mode().IsRegular() { // opening a pipe or a device could block or have effects
		return nil, sdk.Errorf(sdk.ClassConfig, "moodle: %s is no regular file", name)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	t := &table{File: file, name: name, size: about.Size(), indexes: map[string][]indexed{}, recent: map[string][]row{}}
	if strings.HasSuffix(strings.ToLower(name), ".csv") {
		if err := t.readHeader(); err != nil {
			file.Close()
			return nil, err
		}
	}
	return t, nil
}

func unreadable(name string, err error) error {
	class, advice := sdk.ClassConfig, "check the folder, as seen by the machine that runs the worker"
	if errors.Is(err, fs.ErrPermission) {
		class, advice = sdk.ClassPermission, "let the user that runs the worker read it"
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return sdk.Errorf(class, "moodle: %s cannot be read: %w; %s", name, err, advice)
}

// maxHeader is the most that the first line of a CSV export may hold, in bytes.
const maxHeader = 1 << 20

func (t *table) readHeader() error {
	start := make([]byte, 3)
	if n, _ := t.ReadAt(start, 0); bytes.Equal(start[:n], []byte("\xef\xbb\xbf")) {
		t.body = 3
	}
	reader := csv.NewReader(io.NewSectionReader(t, t.body, maxHeader))
	header, err := reader.Read()
	if err != nil {
		return sdk.Errorf(sdk.ClassConfig, "moodle: %s has no header: export the table with the names of its columns in the first line", t.name)
	}
	t.header, t.body = slices.Clone(header), t.body+reader.InputOffset()
	for i, column := range t.header {
		t.header[i] = strings.ToLower(strings.TrimSpace(column))
	}
	return nil
}

// Bounds of what is kept of a table beside its indexes.
const (
	recentValues = 512
	recentBytes  = 16 << 10 // of the rows of one value
)

// find gives the rows in which a column has a value, in the order of the file. alive is told that work goes on.
func (t *table) find(column, value string, alive func()) ([]row, error) {
	key := column + " " + value
	if found, ok := t.recent[key]; ok {
		return found, nil
	}
	index, ok := t.indexes[column]
	if !ok {
		var err error
		if index, err = t.index(column, alive); err != nil {
			return nil, err
		}
		t.indexes[column] = index
	}
	hash := maphash.String(seed, value)
	at, _ := slices.BinarySearchFunc(index, hash, func(e indexed, hash uint64) int { return cmp.Compare(e.hash, hash) })
	var found []row
	size := int64(0)
	for ; at < len(index) && index[at].hash == hash; at++ {
		s := scan(t, index[at].offset, index[at].offset+index[at].length, t.header)
		s.whole = true
		r, err := s.next()
		if err != nil {
			return nil, sdk.Errorf(sdk.ClassTransient, "moodle: %s changed while it was read", t.name)
		}
		if r.text(column) == value {
			found, size = append(found, r), size+index[at].length
		}
	}
	if len(t.recent) >= recentValues {
		clear(t.recent)
	}
	if size <= recentBytes {
		t.recent[key] = found
	}
	return found, nil
}

func (t *table) index(column string, alive func()) ([]indexed, error) {
	var index []indexed
	s := scan(t, t.body, t.size, t.header)
	s.whole = true
	for n := 1; ; n++ {
		r, err := s.next()
		switch {
		case err == io.EOF:
			slices.SortFunc(index, func(a, b indexed) int {
				return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.offset, b.offset))
			})
			return index, nil
		case errors.Is(err, errRow): // nothing can refer to it
		case err != nil:
			return nil, sdk.Errorf(sdk.ClassTransient, "moodle: reading %s: %w", t.name, err)
		case len(index) >= maxIndex:
			return nil, sdk.Errorf(sdk.ClassConfig, "moodle: %s has more than %d rows: export only those that the new rows of the log refer to", t.name, maxIndex)
		default:
			if value := r.text(column); value != "" {
				index = append(index, indexed{maphash.String(seed, value), s.offset, s.after - s.offset})
			}
		}
		if n%50_000 == 0 {
			alive()
		}
	}
}
