package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// checkpoints holds the stored and the anchored checkpoints of the present size against the tree.
func (v *verification) checkpoints(stored *CheckpointRow) error {
	line, err := v.anchor.peek(v.report)
	if err != nil {
		return err
	}
	if stored != nil {
		c, err := v.openStored(stored, line)
		switch {
		case err != nil:
			v.report.find(Finding{Place: PlaceCheckpoint, Number: stored.Size, Text: fmt.Sprintf("the stored checkpoint of size %d was altered, or is of another log: %v", stored.Size, err)})
		case c.Size != v.next || c.Restart > 0:
			v.report.find(Finding{Place: PlaceCheckpoint, Number: stored.Size, Text: fmt.Sprintf("the row of the stored checkpoint of size %d was altered: it holds one of size %d", stored.Size, c.Size)})
		default:
			v.hold(c.Root, &v.report.Checkpoints, Finding{Place: PlaceCheckpoint, Number: c.Size}, fmt.Sprintf("the stored checkpoint of size %d", c.Size))
		}
	}
	for line != nil && line.checkpoint.Size <= v.next { // less: 0, which is true of every log
		if line.checkpoint.Size == v.next {
			v.hold(line.checkpoint.Root, &v.report.Anchored, Finding{Place: PlaceAnchor, Number: int64(line.number)}, fmt.Sprintf("the anchored checkpoint of size %d (line %d)", line.checkpoint.Size, line.number))
		}
		if line, err = v.anchor.advance(v.report); err != nil {
			return err
		}
	}
	return nil
}

// openStored reads a stored checkpoint. Signatures take time, and most often the anchor has the same.
func (v *verification) openStored(stored *CheckpointRow, anchored *anchorLine) (Checkpoint, error) {
	if anchored != nil && anchored.checkpoint.Note == stored.Note {
		return anchored.checkpoint, nil
	}
	return OpenCheckpoint(stored.Note, v.verifier)
}

// hold compares a root and counts it, or tells which events are not what was signed.
func (v *verification) hold(root tlog.Hash, count *int64, f Finding, name string) {
	switch v.forest.check(root) {
	case holds:
		*count++
		v.held, v.report.Proved = v.next, v.good
	case differs:
		if v.differ++; v.differ == 1 {
			f.Text = fmt.Sprintf("%s covers other events than the log has: what was %s was rewritten, or the checkpoint was signed for another log", name, events(v.held, v.next))
			v.report.find(f)
		}
	case unknown: // what is missing has been told
	}
}

// takeLoose looks at an event that is in no tree.
func (v *verification) takeLoose(l *LooseRow) {
	found := Finding{Place: PlacePending, EventID: l.EventID}
	switch {
	case l.Sequenced:
		found.Text = fmt.Sprintf("event %s waits in audit_pending although it has a leaf: the row was put back", l.EventID)
	case l.Event == nil:
		found.Text = fmt.Sprintf("event %s is missing: it waits in audit_pending, but audit_event has no such row", l.EventID)
	case l.Pending == nil:
		found.Place = PlaceEvent
		found.Text = fmt.Sprintf("event %s is in no tree and waits for none: its leaf was removed, or the event was put in by someone else than the hub", l.EventID)
	default:
		v.report.Unsequenced++
		if len(v.report.UnsequencedIDs) < maxUnsequenced {
			v.report.UnsequencedIDs = append(v.report.UnsequencedIDs, l.EventID)
		}
		hash := tlog.RecordHash(l.Event.Canonical)
		intact := bytes.Equal(hash[:], l.Pending)
		if v.columns(l.Event, 0, l.EventID) && intact {
			return
		}
		if intact {
			return // told by columns
		}
		found.Place = PlaceEvent
		found.Text = fmt.Sprintf("event %s, which waits for the sequencer, was altered: its bytes do not give the hash in audit_pending", l.EventID)
	}
	v.report.find(found)
}

// end closes the walk and compares sizes.
func (v *verification) end() error {
	if err := v.advance(v.size); err != nil {
		return err
	}
	v.tellMissing()
	v.tellMissingHashes()
	v.forest.end()
	if v.differ > 1 {
		v.report.find(Finding{Place: PlaceCheckpoint, Number: v.size, Text: fmt.Sprintf("%d later checkpoints do not hold either", v.differ-1)})
	}
	if head := v.log.Head; head > v.size {
		v.report.find(Finding{Place: PlaceHead, Number: head, Text: fmt.Sprintf("%s are missing, or audit_head was altered: it counts %d, the log has %d", events(v.size, head), head, v.size)})
	} else if head < v.size {
		v.report.find(Finding{Place: PlaceHead, Number: head, Text: fmt.Sprintf("audit_head was altered: it counts %d events, the tree has %d", head, v.size)})
	}
	if v.leaves != v.log.Leaves || v.hashes != v.log.Hashes {
		v.report.find(Finding{Place: PlaceExport, Number: 1, Text: fmt.Sprintf("the log counts %d leaves and %d hashes, read were %d and %d", v.log.Leaves, v.log.Hashes, v.leaves, v.hashes)})
	}
	v.report.Uncovered = v.size - v.held
	return v.beyond()
}

// beyond tells of anchored checkpoints of a size that the log does not reach.
func (v *verification) beyond() error {
	line, err := v.anchor.peek(v.report)
	for ; line != nil && err == nil; line, err = v.anchor.advance(v.report) {
		v.report.find(Finding{Place: PlaceAnchor, Number: int64(line.number),
			Text: fmt.Sprintf("%s are missing: the anchor has a checkpoint of size %d (line %d), the log has %d events", events(v.size, line.checkpoint.Size), line.checkpoint.Size, line.number, v.size)})
	}
	return err
}

// anchorFile is an anchor file up to where it reached when it was opened.
type anchorFile struct {
	f     *os.File
	limit int64
}

func openAnchorFile(path string) (*anchorFile, error) {
	if path == "" {
		return &anchorFile{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the anchor: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the anchor: %w", err), f.Close())
	}
	return &anchorFile{f, info.Size()}, nil
}

func (a *anchorFile) close() {
	if a.f != nil {
		_ = a.f.Close() // only read
	}
}

// anchorWalk goes along the anchored checkpoints that the present log must have. Those of a branch that a restart gave up
// are passed over.
type anchorWalk struct {
	restarts []Checkpoint // each with the line it stands on
	lines    []int
	pull     func() (anchorLine, error, bool)
	stop     func()
	line     *anchorLine // the next one, nil at the end
	begun    bool
	size     int64 // of the one before
}

// walk reads the file twice: for restarts, then from the beginning.
func (a *anchorFile) walk(verifier note.Verifier) (*anchorWalk, error) {
	w := &anchorWalk{}
	if a.f == nil {
		w.pull, w.stop = func() (l anchorLine, err error, ok bool) { return l, nil, false }, func() {}
		return w, nil
	}
	for line, err := range readAnchor(a.f, a.limit, onlyRestarts{verifier}) {
		if err != nil {
			return nil, err
		}
		if line.bad == nil && line.checkpoint.Restart > 0 {
			w.restarts, w.lines = append(w.restarts, line.checkpoint), append(w.lines, line.number)
		}
	}
	if _, err := a.f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the anchor: %w", err)
	}
	w.pull, w.stop = iter.Pull2(readAnchor(a.f, a.limit, verifier))
	return w, nil
}

// onlyRestarts spares checking signatures of other checkpoints: to it they are not signed.
type onlyRestarts struct{ note.Verifier }

// Verify implements note.Verifier.
func (o onlyRestarts) Verify(text, sig []byte) bool {
	return bytes.Contains(text, []byte("\n"+restartLine)) && o.Verifier.Verify(text, sig)
}

// given says up to which size the log must agree with what the file said before that line.
func (w *anchorWalk) given(line int) int64 {
	size := int64(math.MaxInt64)
	for i, r := range w.restarts {
		if w.lines[i] > line {
			size = min(size, r.Size)
		}
	}
	return size
}

// peek returns the next line that counts; nil at the end.
func (w *anchorWalk) peek(r *Report) (*anchorLine, error) {
	if !w.begun {
		w.begun = true
		return w.advance(r)
	}
	return w.line, nil
}

func (w *anchorWalk) advance(r *Report) (*anchorLine, error) {
	for {
		line, err, ok := w.pull()
		if !ok || err != nil {
			w.line = nil
			return nil, err
		}
		c := line.checkpoint
		switch {
		case line.bad != nil:
			r.find(Finding{Place: PlaceAnchor, Number: int64(line.number), Text: fmt.Sprintf("line %d of the anchor file was altered: %v", line.number, line.bad)})
			continue
		case c.Size > w.given(line.number):
			continue
		case c.Restart > 0:
			r.Notices = append(r.Notices, fmt.Sprintf("the log was restarted after a restore (anchor line %d): up to event %d it is what was anchored before; the anchor then knew %d events, and what came after event %d is lost or was written anew", line.number, c.Size, c.Restart, c.Size))
		case c.Size < w.size:
			r.find(Finding{Place: PlaceAnchor, Number: int64(line.number), Text: fmt.Sprintf("line %d of the anchor file is smaller than the line before: lines were moved, or two logs write to one file", line.number)})
			continue
		}
		w.size = c.Size
		w.line = &line
		return w.line, nil
	}
}

// skip passes over checkpoints that cannot be checked.
func (w *anchorWalk) skip(size int64) error {
	var ignored Report
	line, err := w.peek(&ignored)
	for err == nil && line != nil && line.checkpoint.Size <= size {
		line, err = w.advance(&ignored)
	}
	return err
}
