package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/mod/sumdb/note"

	"github.com/lrshub/lrshub/hub/database"
)

// ErrAnchor: an anchor file is damaged. The message names the line.
var ErrAnchor = errors.New("anchor file damaged")

// Anchor keeps what the database must not be able to take back: one file a tenant, outside Postgres, tenant-N.anchor,
// each line a checkpoint as a JSON string. It only grows. Put its folder on another disk or host, or copy the files
// to storage that cannot be overwritten: a log is only as safe as the newest checkpoint its owner cannot reach.
type Anchor struct {
	dir string

	mu   sync.Mutex
	seen map[database.TenantID]anchorTail
}

// anchorTail spares reading a file that has not changed, and notices one that was cut.
type anchorTail struct {
	end  int64 // of the last whole line
	note string
}

// maxLine bounds a line of an anchor file.
const maxLine = 4096

// OpenAnchor uses, and if need be makes, the folder.
func OpenAnchor(dir string) (*Anchor, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the anchor's folder: %w", err)
	}
	return &Anchor{dir: dir, seen: map[database.TenantID]anchorTail{}}, nil
}

// Path is the tenant's anchor file. It need not exist yet.
func (a *Anchor) Path(tenant database.TenantID) string {
	return filepath.Join(a.dir, fmt.Sprintf("tenant-%d.anchor", tenant))
}

// Existing is Path if something is anchored there already, else "": what VerifyOptions.Anchor wants.
func (a *Anchor) Existing(tenant database.TenantID) string {
	if path := a.Path(tenant); a.known(tenant) || fileExists(path) {
		return path
	}
	return ""
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Newest returns the last checkpoint anchored; false if there is none. A last line cut short is passed over: it was being
// written when the hub died, and its checkpoint was never shown to anyone.
func (a *Anchor) Newest(tenant database.TenantID, verifier note.Verifier) (Checkpoint, bool, error) {
	path := a.Path(tenant)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !a.known(tenant) {
		return Checkpoint{}, false, nil
	}
	if err != nil {
		return Checkpoint{}, false, fmt.Errorf("read the anchor: %w", err)
	}
	defer f.Close()
	tail, err := a.tail(tenant, f)
	if err != nil || tail == "" {
		return Checkpoint{}, false, err
	}
	c, err := OpenCheckpoint(tail, verifier)
	if err != nil {
		return Checkpoint{}, false, fmt.Errorf("%w: the last line of %s: %w; restore the file from its copy, and see what `lrshub audit verify` says", ErrAnchor, path, err)
	}
	return c, true, nil
}

func (a *Anchor) known(tenant database.TenantID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[tenant].end > 0
}

// tail returns the note on the last whole line, "" if there is none.
func (a *Anchor) tail(tenant database.TenantID, f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read the anchor: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.seen[tenant]
	if info.Size() < seen.end {
		return "", fmt.Errorf("%w: %s was %d bytes long and is now %d: someone cut it while the hub ran; restore it from its copy", ErrAnchor, f.Name(), seen.end, info.Size())
	}
	if info.Size() == seen.end {
		return seen.note, nil
	}
	line, end, err := lastLine(f, info.Size())
	if err != nil || line == nil {
		return "", err
	}
	text, err := parseAnchorLine(line)
	if err != nil {
		return "", fmt.Errorf("%w: the last line of %s: %w; restore the file from its copy", ErrAnchor, f.Name(), err)
	}
	a.seen[tenant] = anchorTail{end, text}
	return text, nil
}

// lastLine finds the last whole line (without its newline) and where whole lines end.
func lastLine(f io.ReaderAt, size int64) (line []byte, end int64, err error) {
	start := max(0, size-2*maxLine)
	buf := make([]byte, size-start)
	if _, err := f.ReadAt(buf, start); err != nil && err != io.EOF {
		return nil, 0, fmt.Errorf("read the anchor: %w", err)
	}
	last := bytes.LastIndexByte(buf, '\n')
	if last < 0 {
		if start > 0 {
			return nil, 0, fmt.Errorf("%w: its last line is longer than a checkpoint", ErrAnchor)
		}
		return nil, 0, nil
	}
	return buf[bytes.LastIndexByte(buf[:last], '\n')+1 : last], start + int64(last) + 1, nil
}

// append writes the checkpoint behind the others and returns when it is on the disk. A remainder of a line that an
// earlier crash left is cut off first.
func (a *Anchor) append(tenant database.TenantID, c Checkpoint) (err error) {
	line, err := appendLine(nil, c.Note)
	if err != nil {
		return fmt.Errorf("anchor a checkpoint: %w", err)
	}
	f, err := os.OpenFile(a.Path(tenant), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("anchor a checkpoint: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil { // let go when the file is closed
		return fmt.Errorf("anchor a checkpoint: lock %s: %w", f.Name(), err)
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("anchor a checkpoint: %w", err)
	}
	_, end, err := lastLine(f, info.Size())
	if err != nil {
		return err
	}
	if end < info.Size() {
		if err := f.Truncate(end); err != nil {
			return fmt.Errorf("anchor a checkpoint: %w", err)
		}
	}
	if _, err := f.Write(line); err != nil {
		return fmt.Errorf("anchor a checkpoint: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("anchor a checkpoint: %w", err)
	}
	if end == 0 {
		return syncDir(a.dir)
	}
	return nil
}

// syncDir makes a new file's name last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// parseAnchorLine reads the note on a line, which has one spelling only.
func parseAnchorLine(line []byte) (string, error) {
	var text string
	if err := json.Unmarshal(line, &text); err != nil {
		return "", errors.New("it is no JSON string")
	}
	if again, err := appendLine(nil, text); err != nil || !bytes.Equal(bytes.TrimSuffix(again, []byte("\n")), line) {
		return "", errors.New("it is not spelt as the hub spells it")
	}
	return text, nil
}

// anchorLine is one line of an anchor file: a checkpoint, or what is wrong with it.
type anchorLine struct {
	number     int // from 1
	checkpoint Checkpoint
	bad        error
}

// readAnchor yields the lines of an anchor file up to limit bytes. A read error ends it.
func readAnchor(f io.Reader, limit int64, verifier note.Verifier) iter.Seq2[anchorLine, error] {
	return func(yield func(anchorLine, error) bool) {
		r := bufio.NewReaderSize(io.LimitReader(f, limit), 4*maxLine)
		for number := 1; ; number++ {
			line := anchorLine{number: number}
			text, err := r.ReadSlice('\n')
			if err == io.EOF && len(text) == 0 {
				return
			}
			switch {
			case err == io.EOF:
				line.bad = errors.New("it is cut short (the remainder of a crash, which the sequencer removes before its next checkpoint, or a deletion)")
			case errors.Is(err, bufio.ErrBufferFull):
				line.bad = errors.New("it is longer than a checkpoint")
			case err != nil:
				yield(line, fmt.Errorf("read the anchor: %w", err))
				return
			default:
				var signed string
				if signed, line.bad = parseAnchorLine(bytes.TrimSuffix(text, []byte("\n"))); line.bad == nil {
					line.checkpoint, line.bad = OpenCheckpoint(signed, verifier)
				}
			}
			if !yield(line, nil) || err != nil {
				return
			}
		}
	}
}

// verifierOf makes a verifier of a key text, with white space around it allowed.
func verifierOf(key string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(key))
	if err != nil {
		return nil, fmt.Errorf("%w: the verifier key must look like lrshub/1a2b3c4d/1+5e6f7a8b+base64", ErrKey)
	}
	return v, nil
}
