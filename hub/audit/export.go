package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// exportVersion is the "version" of an export's first line.
const exportVersion = 1

// maxExportLine bounds a line of an export: an event with all the subjects it may have, as JSON with its bytes in base64.
const maxExportLine = 32 << 20

// firstLine and lastLine of an export. The last one shows that nothing was cut off.
type firstLine struct {
	Log *LogSize `json:"log"`
}
type endLine struct {
	End *struct {
		Entries int64 `json:"entries"`
	} `json:"end"`
}

// Export writes the log as NDJSON: a line {"log":...}, one line for each row in the order of Source.Entries, and a line
// {"end":...}. It is all that Verify needs beside the verifier key and, better, the anchor file. It holds no personal data
// but the random ids of subjects.
func Export(ctx context.Context, source Source, w io.Writer) error {
	size, err := source.Log(ctx)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 1<<16)
	line, err := appendLine(nil, firstLine{&size})
	if err != nil {
		return fmt.Errorf("export the audit log: %w", err)
	}
	var end endLine
	end.End = new(struct {
		Entries int64 `json:"entries"`
	})
	for entry, err := range source.Entries(ctx) {
		if err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("export the audit log: %w", err)
		}
		if line, err = appendLine(line[:0], entry); err != nil {
			return fmt.Errorf("export the audit log: %w", err)
		}
		end.End.Entries++
	}
	if line, err = appendLine(line, end); err != nil {
		return fmt.Errorf("export the audit log: %w", err)
	}
	_, err = out.Write(line)
	if err = errors.Join(err, out.Flush()); err != nil {
		return fmt.Errorf("export the audit log: %w", err)
	}
	return nil
}

// ExportFile is an export as a Source, for Verify without a database. Every line must be spelt exactly as Export spells it;
// one that is not comes out as Damage.
type ExportFile struct {
	r      *bufio.Reader
	number int64
}

// ErrExport: this is no export of an audit log.
var ErrExport = errors.New("not an export of an audit log")

// OpenExport reads an export. It can be read once.
func OpenExport(r io.Reader) *ExportFile {
	return &ExportFile{r: bufio.NewReaderSize(r, 1<<16)}
}

// Log implements Source.
func (f *ExportFile) Log(context.Context) (LogSize, error) {
	line, err := f.line()
	if err != nil && err != io.EOF {
		return LogSize{}, err
	}
	var first firstLine
	if err := readLine(line, &first); err != nil || first.Log == nil {
		return LogSize{}, fmt.Errorf("%w: its first line should describe the log and does not; give the file that `lrshub audit export` wrote", ErrExport)
	}
	if first.Log.Version != exportVersion {
		return LogSize{}, fmt.Errorf("%w: format version %d, this lrshub knows %d", ErrExport, first.Log.Version, exportVersion)
	}
	return *first.Log, nil
}

// Entries implements Source.
func (f *ExportFile) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		damage := func(text string) Entry { return Entry{Damage: &Damage{f.number, text}} }
		entries, ended := int64(0), false
		for {
			line, err := f.line()
			if err == nil {
				err = ctx.Err()
			}
			if err == io.EOF && len(line) == 0 {
				break
			}
			if err != nil && err != io.EOF {
				yield(Entry{}, err)
				return
			}
			var end endLine
			var entry Entry
			switch {
			case ended:
				entry = damage("it stands behind the last line")
			case readLine(line, &end) == nil && end.End != nil:
				ended = true
				if end.End.Entries == entries {
					continue
				}
				entry = damage(fmt.Sprintf("it says that the export has %d lines between the first and the last, there are %d", end.End.Entries, entries))
			case readLine(line, &entry) != nil || !entry.one():
				entry = damage("it was altered: it is not as the hub writes it")
				entries++
			default:
				entries++
			}
			if !yield(entry, nil) {
				return
			}
		}
		if !ended {
			f.number++
			yield(damage("the export is cut off here: its last line is missing"), nil)
		}
	}
}

// line reads one line without its newline. A last line without one comes with io.EOF.
func (f *ExportFile) line() (line []byte, err error) {
	f.number++
	for {
		part, err := f.r.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxExportLine {
			return nil, fmt.Errorf("%w: line %d is longer than %d bytes", ErrExport, f.number, maxExportLine)
		}
		switch {
		case err == nil:
			return line, nil
		case err == io.EOF:
			return line, io.EOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("read line %d of the export: %w", f.number, err)
		}
	}
}

// readLine decodes a line that must be spelt as appendLine spells it.
func readLine(line []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	again, err := appendLine(nil, v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, line) {
		return errors.New("spelt otherwise")
	}
	return nil
}

// one says whether exactly one member is set.
func (e Entry) one() bool {
	n := 0
	for _, set := range []bool{e.Leaf != nil, e.Hash != nil, e.Checkpoint != nil, e.Loose != nil} {
		if set {
			n++
		}
	}
	return n == 1
}
