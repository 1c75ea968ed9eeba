package openedx

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files"
)

// aliveEvery is how many uncompressed bytes may pass without a sign of life.
const aliveEvery = 16 << 20

// reader brings the events of all logs that the cursor does not know yet.
type reader struct {
	c       *config
	s       *sdk.Session
	out     *sdk.Output
	folder  files.Folder
	limit   int // bytes of a line
	memory  *memory
	plain   map[headHash]bool // heads of logs of which there is a plain file
	changed bool              // the memory, since the last checkpoint
	failed  error             // of the first file that could not be read
	done    int64             // bytes of files that are dealt with
	total   int64
}

// Read brings what the logs hold beyond the cursor. A file that cannot be read does not keep the others from being read;
// it is the error at the end.
func (Connector) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	if r.Stream != stream().Name {
		return sdk.Errorf(sdk.ClassConfig, "openedx: there is no stream %q; there is %q", r.Stream, stream().Name)
	}
	folder, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer folder.Close()
	rd := &reader{c: c, s: s, out: out, folder: folder, limit: r.MaxRecord, plain: make(map[headHash]bool)}
	if rd.limit <= 0 {
		rd.limit = sdk.MaxRecord
	}
	cursor := r.Cursor
	if r.Full {
		cursor = nil
	}
	rd.memory = parseMemory(cursor)
	return rd.run(ctx)
}

func (rd *reader) run(ctx context.Context) error {
	names, total, err := rd.c.listLogs(rd.folder)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return rd.c.noLogs(rd.folder)
	}
	rd.total = total
	var work []string
	for _, name := range names {
		if rd.survey(name) {
			work = append(work, name)
		}
		if err := rd.alive(ctx, 0); err != nil {
			return err
		}
	}
	for _, name := range work {
		if err := rd.read(ctx, name); err != nil {
			return err
		}
	}
	if rd.changed {
		if err := rd.checkpoint(); err != nil {
			return err
		}
	}
	return rd.failed
}

// alive shows that the read goes on, so many bytes of the current file included.
func (rd *reader) alive(ctx context.Context, part int64) error {
	rd.out.Progress(min(rd.done+part, rd.total), rd.total)
	return ctx.Err()
}

// fail notes that one file cannot be read. A file that is gone was rotated: the next run finds it under its new name.
func (rd *reader) fail(name string, err error) {
	if rd.failed == nil && !errors.Is(err, fs.ErrNotExist) {
		rd.failed = rd.c.Unreadable("openedx", "file", name, err)
	}
}

// survey marks what the memory knows of a file and tells whether the file is to be read.
func (rd *reader) survey(name string) bool {
	l, err := openLog(rd.folder, name)
	if err != nil {
		rd.fail(name, err)
		return false
	}
	defer l.Close()
	for _, k := range rd.memory.index[l.head] {
		k.seen = true
	}
	if !l.zipped {
		rd.plain[l.head] = true
		return true
	}
	if id, err := l.whole(); err == nil && rd.memory.isFinished(id) {
		rd.done += l.size
		return false
	}
	return true
}

// read brings the events of one file that the memory does not know.
func (rd *reader) read(ctx context.Context, name string) error {
	l, err := openLog(rd.folder, name)
	if err != nil {
		rd.fail(name, err)
		return nil
	}
	defer l.Close()
	alive := func(part int64) error { return rd.alive(ctx, min(part, l.size)) }
	if err := alive(0); err != nil {
		return err
	}
	k, before, err := rd.locate(l, alive)
	if errors.Is(err, errPartial) {
		rd.done += l.size
		return nil
	}
	if err != nil {
		return err
	}
	if k == nil {
		k = &known{head: l.head, seen: true}
	}
	if l.zipped || k.offset < l.size {
		if err := rd.readFrom(l, k, before, alive); err != nil {
			return err
		}
	}
	rd.done += l.size
	return nil
}

// errPartial says that a gzip file holds the beginning of a log of which more is known: it is being written.
var errPartial = errors.New("the gzip file has no end yet")

// locate finds how far a log was read, if the memory knows it: up to the furthest offset before which it holds what was read then.
func (rd *reader) locate(l *logFile, alive func(int64) error) (best *known, before tail, err error) {
	candidates := slices.Clone(rd.memory.index[l.head])
	slices.SortFunc(candidates, func(a, b *known) int { return cmp.Compare(a.offset, b.offset) })
	at := l.tails()
	for _, k := range candidates {
		t, err := at(k.offset, alive)
		if l.zipped && best == nil && errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, tail{}, errPartial
		}
		if errors.Is(err, errShort) {
			break
		}
		if err != nil {
			return nil, tail{}, err
		}
		if t.sum() == k.tail {
			best, before = k, t
		}
	}
	return best, before, nil
}

// readFrom brings the lines from k.offset on and moves k along.
func (rd *reader) readFrom(l *logFile, k *known, before tail, alive func(int64) error) error {
	from, err := l.content(k.offset, alive)
	if e := alive(0); e != nil {
		return e
	}
	if err != nil {
		return rd.broken(l, k, err)
	}
	lines := newLines(from, k.offset, before, rd.limit)
	for told := k.offset; ; {
		n, err := lines.next()
		switch {
		case err == io.EOF && l.zipped:
			return rd.finish(l, k)
		case err == io.EOF:
			return nil
		case err != nil:
			return rd.broken(l, k, err)
		case !n.ended && !l.zipped && (n.tooLarge || !holdsEvent(n.text, rd.c.prefix)):
			return nil // it is still being written
		}
		if err := rd.bring(l, n); err != nil {
			return err
		}
		rd.move(k, lines.offset, lines.tail)
		if rd.out.Due() {
			if err := rd.checkpoint(); err != nil {
				return err
			}
		}
		if k.offset-told >= aliveEvery {
			told = k.offset
			if err := alive(told); err != nil {
				return err
			}
		}
	}
}

// bring makes a record of a line, or reports why it is none; an empty line is neither.
func (rd *reader) bring(l *logFile, n line) error {
	if len(bytes.TrimSpace(n.text)) == 0 {
		return nil
	}
	position := fmt.Sprintf("%s offset %d", l.name, n.offset)
	if n.tooLarge {
		return rd.out.Bad(sdk.TooLarge, position, fmt.Sprintf("the line has more than %d bytes", rd.limit), nil)
	}
	object, reason := event(n.text, rd.c.prefix)
	if object == nil {
		return rd.out.Bad(sdk.BadRecord, position, reason, n.text)
	}
	return rd.out.Record(object, position)
}

// move notes that a log was read up to an offset.
func (rd *reader) move(k *known, offset int64, t tail) {
	k.offset, k.tail, k.damaged = offset, t.sum(), false
	rd.changed = true
	if !k.kept {
		rd.memory.add(k)
	}
}

// finish notes that a gzip file was read to its end. Its log is forgotten, unless there is a plain file of it that may grow.
func (rd *reader) finish(l *logFile, k *known) error {
	id, err := l.whole()
	if err != nil {
		rd.fail(l.name, err)
		return nil
	}
	rd.memory.finish(id, true)
	if !rd.plain[l.head] {
		rd.memory.forget(k)
	}
	rd.changed = true
	return nil
}

// broken deals with a file that cannot be read on from k.offset. A gzip file that ends too early is being written, or was
// cut off: the next run tries again. One that is damaged is reported once.
func (rd *reader) broken(l *logFile, k *known, err error) error {
	var device *fs.PathError
	var known *sdk.Error
	switch {
	case errors.As(err, &known): // the server is gone, say
		rd.fail(l.name, err)
		return nil
	case !l.zipped || errors.As(err, &device):
		rd.fail(l.name, &sdk.Error{Class: sdk.ClassTransient, Message: fmt.Sprintf("openedx: file %s cannot be read from offset %d on", l.name, k.offset), Err: err})
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		rd.s.Log.Warn("openedx: a gzip file has no end yet; the next run reads on", "file", l.name, "offset", k.offset)
		return nil
	case k.damaged:
		return nil
	}
	if !k.kept {
		rd.memory.add(k)
	}
	k.damaged, rd.changed = true, true
	return rd.out.Bad(sdk.BadRecord, fmt.Sprintf("%s offset %d", l.name, k.offset), "the gzip file is damaged from here on; if it is replaced by a sound one, the next run reads on", nil)
}

func (rd *reader) checkpoint() error {
	if rd.memory.size() > maxMemory {
		if err := rd.memory.makeRoom(); err != nil {
			return err
		}
	}
	rd.changed = false
	return rd.out.Checkpoint(rd.memory.encode())
}
