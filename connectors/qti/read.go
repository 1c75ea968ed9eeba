package qti

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files"
)

const (
	maxFile    = 64 << 20  // bytes; a document above that is reported and not read
	readBuffer = 256 << 10 // bytes
)

// reader brings one stream of the files that the cursor does not know.
type reader struct {
	c      *config
	s      *sdk.Session
	out    *sdk.Output
	folder files.Folder
	stream string
	memory *memory // of what was dealt with in this run
	rest   []stretch
	done   int64
	total  int64
	failed error // of the first file that could not be read
}

// Read brings the results of files that are new or changed. A file that cannot be opened does not keep the others from being read; it is the error at the end.
func (Connector) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	if r.Stream != testStream().Name && r.Stream != itemStream().Name {
		return sdk.Errorf(sdk.ClassConfig, "qti: there is no stream %q; there are %q and %q", r.Stream, testStream().Name, itemStream().Name)
	}
	folder, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer folder.Close()
	list, err := c.list(ctx, folder, func() { out.Progress(0, 0) })
	if err != nil {
		return err
	}
	rd := &reader{c: c, s: s, out: out, folder: folder, stream: r.Stream, memory: &memory{}, total: int64(len(list))}
	if !r.Full {
		rd.rest = parseMemory(r.Cursor).list
	}
	return rd.run(ctx, list)
}

func (rd *reader) run(ctx context.Context, list []found) error {
	changed := false
	for len(rd.rest) > 0 {
		next := rd.rest[0]
		var part []found
		part, list = split(list, next.until)
		rd.rest = rd.rest[1:]
		if next.same(part) {
			rd.memory.keep(next)
			rd.done += int64(len(part))
			continue
		}
		changed = true
		if err := rd.readAll(ctx, part); err != nil {
			return err
		}
	}
	if changed = changed || len(list) > 0; !changed {
		return nil
	}
	if err := rd.readAll(ctx, list); err != nil {
		return err
	}
	if err := rd.checkpoint(); err != nil {
		return err
	}
	return rd.failed
}

func (rd *reader) readAll(ctx context.Context, list []found) error {
	for _, f := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		known, err := rd.read(f)
		if err != nil {
			return err
		}
		rd.memory.add(f, known)
		rd.done++
		rd.out.Progress(rd.done, rd.total)
		if rd.out.Due() {
			if err := rd.checkpoint(); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkpoint says what was dealt with, and what of the earlier runs is still to be compared.
func (rd *reader) checkpoint() error {
	whole := memory{list: append(append([]stretch{}, rd.memory.list...), rd.rest...)}
	whole.thin()
	return rd.out.Checkpoint(whole.encode())
}

// read brings one file. It is not known if it has to be looked at again in the next run.
func (rd *reader) read(f found) (known bool, err error) {
	// Who looks for the file finds it by its time, or by the SHA-256 of its name: the name may be a person's.
	position := fmt.Sprintf("file %08x of %s", uint32(f.hash>>32), f.modified.UTC().Format(time.RFC3339))
	if f.size > maxFile {
		return true, rd.out.Bad(sdk.TooLarge, position, fmt.Sprintf("the file has %d bytes; the limit is %d", f.size, maxFile), nil)
	}
	opened, err := rd.folder.Open(f.name)
	if err != nil {
		return false, rd.fail(f, err)
	}
	defer opened.Close()
	d := newDocument(rd.c, bufio.NewReaderSize(io.NewSectionReader(opened, 0, f.size), readBuffer))
	for n := 1; ; n++ {
		record, err := d.next(rd.stream)
		var refused *sdk.Error
		switch {
		case errors.As(err, &refused):
			return false, rd.fail(f, err)
		case err == io.EOF:
			return true, nil
		case errors.Is(err, errBroken) && errors.Is(err, io.ErrUnexpectedEOF) && rd.s.Now().Sub(f.modified).Abs() < rd.folder.Freshness():
			return false, nil // it is still being written
		case errors.Is(err, errBroken):
			return true, rd.out.Bad(sdk.BadRecord, position, err.Error(), nil)
		case err != nil:
			return false, rd.fail(f, err)
		}
		if err := rd.out.Record(record, fmt.Sprintf("%s, %s %d", position, rd.stream, n)); err != nil {
			return false, err
		}
	}
}

// fail notes that one file cannot be read. A file that is gone was moved away.
func (rd *reader) fail(f found, err error) error {
	var device *fs.PathError
	var known *sdk.Error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.As(err, &known): // the server is gone: so are the other files
		return err
	case errors.As(err, &device):
		if rd.failed == nil {
			rd.failed = rd.c.Unreadable("qti", "file", f.name, err)
		}
		return nil
	}
	return err
}
