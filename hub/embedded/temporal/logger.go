package temporal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// logger is the server's log interface on slog. Fatal, after which the server expects its process to be gone, reports the error
// and ends the goroutine that met it.
type logger struct {
	out   *slog.Logger
	fatal func(error)
}

var (
	_ log.Logger     = (*logger)(nil)
	_ log.WithLogger = (*logger)(nil)
)

func (l *logger) Debug(msg string, tags ...tag.Tag) { l.write(slog.LevelDebug, msg, tags) }
func (l *logger) Info(msg string, tags ...tag.Tag)  { l.write(slog.LevelInfo, msg, tags) }
func (l *logger) Warn(msg string, tags ...tag.Tag)  { l.write(slog.LevelWarn, msg, tags) }
func (l *logger) Error(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags) }

// DPanic marks what should never happen and panics in the server's own development only.
func (l *logger) DPanic(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags) }

func (l *logger) Panic(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	panic(msg)
}

func (l *logger) Fatal(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	reason := errors.New(msg)
	for _, t := range tags {
		if t.Key() == "error" {
			reason = fmt.Errorf("%s: %v", msg, t.Value())
		}
	}
	l.fatal(reason)
	runtime.Goexit()
}

// With returns a logger that adds tags to each line.
func (l *logger) With(tags ...tag.Tag) log.Logger {
	return &logger{out: slog.New(l.out.Handler().WithAttrs(attributes(tags))), fatal: l.fatal}
}

// SLog lets the server's SDK clients log through the same handler.
func (l *logger) SLog() *slog.Logger { return l.out }

func (l *logger) write(level slog.Level, msg string, tags []tag.Tag) {
	if ctx := context.Background(); l.out.Enabled(ctx, level) {
		l.out.LogAttrs(ctx, level, msg, attributes(tags)...)
	}
}

func attributes(tags []tag.Tag) []slog.Attr {
	attributes := make([]slog.Attr, len(tags))
	for i, t := range tags {
		attributes[i] = slog.Any(t.Key(), t.Value())
	}
	return attributes
}
