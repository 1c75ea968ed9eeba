package csv

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files"
)

//go:embed config.schema.json
var schemaText string

var configSchema = files.WithSFTP(schemaText)

// config is what config.schema.json describes.
type config struct {
	files.Place
	Files []file `json:"files"`
}

// file makes one stream of one CSV file.
type file struct {
	Stream    string           `json:"stream"`
	File      string           `json:"file"`
	Key       []string         `json:"key"`
	Subject   string           `json:"subject"`
	Columns   columns          `json:"columns"`
	Deletes   contract.Deletes `json:"deletes"`
	Delimiter string           `json:"delimiter"`
	Encoding  string           `json:"encoding"`
}

// column is one field of the stream.
type column struct {
	Name   string        `json:"name"`
	Type   contract.Type `json:"type"`
	Header string        `json:"header"`
}

// columns is written as a list of columns, or as an object of types or columns by field name.
type columns []column

func (c *columns) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte{'['}) {
		return decode(text, (*[]column)(c))
	}
	var byName map[string]json.RawMessage
	if err := json.Unmarshal(text, &byName); err != nil {
		return errors.New("columns is a list of {name, type, header}, or an object of types by field name")
	}
	for name, value := range byName {
		col := column{Name: name}
		var target any = &col
		if bytes.HasPrefix(value, []byte{'"'}) {
			target = &col.Type
		}
		if err := decode(value, target); err != nil {
			return fmt.Errorf("column %q: %w", name, err)
		}
		if col.Name != name {
			return fmt.Errorf("column %q is named %q within", name, col.Name)
		}
		*c = append(*c, col)
	}
	sort.Slice(*c, func(i, j int) bool { return (*c)[i].Name < (*c)[j].Name })
	return nil
}

// decode is strict: a misspelt setting must not be passed over.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// parseConfig reads and checks a configuration; its errors are of class config and name file and setting.
func parseConfig(text []byte) (*config, error) {
	var c config
	if err := decode(text, &c); err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "csv: the configuration cannot be read: %w", err)
	}
	if err := c.Place.Check(); err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "csv: %w", err)
	}
	if len(c.Files) == 0 {
		return nil, sdk.Errorf(sdk.ClassConfig, "csv: files is empty: list the files to read, each with stream, file and columns")
	}
	streams := make(map[string]bool)
	for i := range c.Files {
		f := &c.Files[i]
		if err := f.complete(); err != nil {
			return nil, sdk.Errorf(sdk.ClassConfig, "csv: files[%d] (stream %q): %w", i, f.Stream, err)
		}
		if streams[f.Stream] {
			return nil, sdk.Errorf(sdk.ClassConfig, "csv: files[%d]: there are two streams named %q", i, f.Stream)
		}
		streams[f.Stream] = true
	}
	return &c, nil
}

// complete fills in the defaults and checks one file's settings.
func (f *file) complete() error {
	if !isName(f.Stream) {
		return errors.New("stream must be a name of letters, digits and _")
	}
	if !filepath.IsLocal(f.File) {
		return fmt.Errorf("file %q must be a path without .. that stays within the folder", f.File)
	}
	f.File = filepath.ToSlash(f.File)
	if len(f.Columns) == 0 {
		return errors.New("columns is empty: list the fields to read")
	}
	for i := range f.Columns {
		if err := f.Columns[i].complete(); err != nil {
			return err
		}
	}
	if f.Delimiter == "" {
		f.Delimiter = ","
	}
	if f.Delimiter == "tab" {
		f.Delimiter = "\t"
	}
	if len(f.Delimiter) != 1 || f.Delimiter[0] >= 0x80 || strings.ContainsAny(f.Delimiter, "\"\r\n\x00") {
		return errors.New("delimiter must be one ASCII character, or the word tab, and no quote or line end")
	}
	f.Encoding = strings.ToLower(f.Encoding)
	if f.Encoding == "" {
		f.Encoding = "utf-8"
	}
	if encodings[f.Encoding] == nil {
		return fmt.Errorf("encoding %q is not known; use utf-8, iso-8859-1 or windows-1252", f.Encoding)
	}
	switch f.Deletes {
	case "":
		f.Deletes = contract.DeletesNone
	case contract.DeletesNone, contract.DeletesAbsence:
	default:
		return fmt.Errorf("deletes %q is not known; use none or absence", f.Deletes)
	}
	return f.stream().Validate()
}

func (c *column) complete() error {
	if !isName(c.Name) {
		return fmt.Errorf("column %q: the name must be of letters, digits and _; say header for the column's name in the file", c.Name)
	}
	if c.Header == "" {
		c.Header = c.Name
	}
	if c.Type == "" {
		c.Type = contract.String
	}
	if _, ok := kinds[c.Type]; !ok {
		return fmt.Errorf("column %q: type %q is not known; use string, int, double or bool", c.Name, c.Type)
	}
	return nil
}

// isName tells what can be written in an expression without quotes.
func isName(text string) bool {
	for i, c := range text {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return text != ""
}

// stream describes the file's rows. A field that is not part of the key may be null.
func (f *file) stream() contract.Stream {
	s := contract.Stream{Name: f.Stream, Key: f.Key, Subject: f.Subject, Deletes: f.Deletes, Mode: contract.Snapshot, Compares: true}
	for _, c := range f.Columns {
		s.Fields = append(s.Fields, contract.Field{Name: c.Name, Type: c.Type, Optional: !slices.Contains(f.Key, c.Name)})
	}
	return s
}

// wanted returns the columns to bring: those that the request names, the key's and the subject's. All if it names none,
// and all of a file without a key, since there the content identifies a record.
func (f *file) wanted(paths []string) columns {
	if len(paths) == 0 || len(f.Key) == 0 {
		return f.Columns
	}
	named := make(map[string]bool)
	for _, path := range paths {
		named[contract.SplitPath(path)[0]] = true
	}
	var w columns
	for _, c := range f.Columns {
		if named[c.Name] || c.Name == f.Subject || slices.Contains(f.Key, c.Name) {
			w = append(w, c)
		}
	}
	return w
}

// shape is a digest of all that decides which records a file's bytes become: a cursor of another shape says nothing.
func (f *file) shape(wanted columns) string {
	g := *f
	g.Columns = wanted
	text, err := json.Marshal(g)
	if err != nil {
		panic(err) // strings only
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// file finds the file of a stream.
func (c *config) file(stream string) (*file, error) {
	for i := range c.Files {
		if c.Files[i].Stream == stream {
			return &c.Files[i], nil
		}
	}
	return nil, sdk.Errorf(sdk.ClassConfig, "csv: there is no stream %q; the configuration has %s", stream, list(c.names()))
}

func (c *config) names() []string {
	var names []string
	for _, f := range c.Files {
		names = append(names, f.Stream)
	}
	return names
}

// list quotes names for an error message.
func list(names []string) string {
	const most = 50
	quoted := make([]string, 0, len(names))
	for i, name := range names {
		if i == most {
			quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-most))
			break
		}
		quoted = append(quoted, fmt.Sprintf("%.100q", name))
	}
	return strings.Join(quoted, ", ")
}
