package host

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/lrshub/lrshub/plugins/internal/wire"
)

// drain takes what a connector prints and logs. Its text may hold anybody's data, so it goes to the debug log only, cut and
// at a bounded rate; what the log tells otherwise is how much there was.
type drain struct {
	log     *slog.Logger
	redact  func(string) string
	pace    *rate.Limiter
	printed atomic.Int64    // lines on stdout and stderr
	logged  [4]atomic.Int64 // messages by level: debug, info, warn, error
}

const (
	lineBytes = 4 << 10 // longest piece of a line that is kept
	lineText  = 500     // bytes of it that are logged
)

func newDrain(log *slog.Logger, redact func(string) string) *drain {
	return &drain{log: log, redact: redact, pace: rate.NewLimiter(rate.Every(10*time.Millisecond), 200)}
}

// lines reads until the end, whatever comes.
func (d *drain) lines(in *bufio.Reader, from io.Closer) {
	defer from.Close()
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			d.printed.Add(1)
			d.text("connector printed", string(line), nil)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// Write takes what go-plugin brings of a connector's output: some lines, or a part of one.
func (d *drain) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		d.printed.Add(1)
		d.text("connector printed", string(line[:min(len(line), lineBytes)]), nil)
	}
	return len(p), nil
}

// message takes one message of Session.Log.
func (d *drain) message(level slog.Level, text string, attributes []any) {
	at := 0
	switch {
	case level >= slog.LevelError:
		at = 3
	case level >= slog.LevelWarn:
		at = 2
	case level >= slog.LevelInfo:
		at = 1
	}
	d.logged[at].Add(1)
	d.text("connector logged", text, append([]any{"its_level", level.String()}, attributes...))
}

func (d *drain) text(what, text string, attributes []any) {
	if !d.log.Enabled(context.Background(), slog.LevelDebug) || !d.pace.Allow() {
		return
	}
	text = strings.TrimSpace(d.redact(wire.Clip(text, lineText)))
	d.log.Debug(what, append([]any{"text", text}, attributes...)...)
}

// summary tells at the end how much there was, if anything was worth looking at.
func (d *drain) summary() {
	printed, warnings, failures := d.printed.Load(), d.logged[2].Load(), d.logged[3].Load()
	if printed+warnings+failures > 0 {
		d.log.Info("connector had something to say; its text is in the debug log only, since it may hold personal data",
			"printed_lines", printed, "warnings", warnings, "errors", failures)
	}
}
