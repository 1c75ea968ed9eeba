package audit

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrCheckpoint: a text that is no checkpoint of this log, or one that this key did not sign.
var ErrCheckpoint = errors.New("checkpoint not valid")

// Checkpoint is a signed statement that a log of that size has that root: C2SP tlog-checkpoint, a signed note.
type Checkpoint struct {
	Origin string    // which log: LOG/TENANT, also the name of the key
	Size   int64     // number of events
	Root   tlog.Hash // RFC 6962 tree hash
	// Restart is set in the one checkpoint, kept in the anchor only, by which an operator accepted that a restored log goes on
	// from Size although the anchor knew Restart events. It is an extension line, "restart N".
	Restart int64
	Note    string // the signed text, exactly as signed
}

const restartLine = "restart "

// text is what is signed.
func (c Checkpoint) text() string {
	s := fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
	if c.Restart > 0 {
		s += restartLine + strconv.FormatInt(c.Restart, 10) + "\n"
	}
	return s
}

// OpenCheckpoint reads a checkpoint that the verifier's key signed. It is strict: every byte of the text is either signed
// or has one possible value (base64 has several spellings of the same bytes, of which one is taken), and there is one
// signature, so no byte can be changed without this failing. The error wraps ErrCheckpoint.
func OpenCheckpoint(signed string, verifier note.Verifier) (Checkpoint, error) {
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		var unknown *note.UnverifiedNoteError
		if errors.As(err, &unknown) {
			return Checkpoint{}, fmt.Errorf("%w: not signed by the key %s (%08x)", ErrCheckpoint, verifier.Name(), verifier.KeyHash())
		}
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return Checkpoint{}, fmt.Errorf("%w: it has signatures of other keys", ErrCheckpoint)
	}
	sig := n.Sigs[0]
	raw, err := base64.StdEncoding.Strict().DecodeString(sig.Base64)
	if err != nil || signed != n.Text+"\n— "+sig.Name+" "+base64.StdEncoding.EncodeToString(raw)+"\n" {
		return Checkpoint{}, fmt.Errorf("%w: its signature line was altered", ErrCheckpoint)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != verifier.Name() {
		return Checkpoint{}, fmt.Errorf("%w: it is of the log %s, not of %s", ErrCheckpoint, c.Origin, verifier.Name())
	}
	c.Note = signed
	return c, nil
}

func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n") // the last is empty
	malformed := fmt.Errorf("%w: its text is not origin, size and root", ErrCheckpoint)
	if len(lines) != 4 && len(lines) != 5 {
		return Checkpoint{}, malformed
	}
	c := Checkpoint{Origin: lines[0]}
	var err error
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 0 {
		return Checkpoint{}, malformed
	}
	if c.Root, err = tlog.ParseHash(lines[2]); err != nil {
		return Checkpoint{}, malformed
	}
	if len(lines) == 5 {
		old, ok := strings.CutPrefix(lines[3], restartLine)
		if !ok {
			return Checkpoint{}, malformed
		}
		if c.Restart, err = strconv.ParseInt(old, 10, 64); err != nil || c.Restart <= 0 {
			return Checkpoint{}, malformed
		}
	}
	if c.text() != text {
		return Checkpoint{}, malformed
	}
	return c, nil
}

// appendLine writes v as one line of JSON, in the one spelling that readLine takes.
func appendLine(b []byte, v any) ([]byte, error) {
	var line strings.Builder
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return append(b, line.String()...), nil
}
