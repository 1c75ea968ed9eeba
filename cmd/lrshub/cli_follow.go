package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// How a follower comes back to a hub that went away.
const (
	followPatience = time.Minute      // without a line, the connection counts as dead: the hub sends one every 15 seconds
	followPause    = time.Second      // before it comes back, longer each time
	followPauseMax = 15 * time.Second // at most
	followTries    = 40               // in a row without a line: some ten minutes
	cursorEvery    = time.Second      // how often the cursor file is written while statements come
)

func statementFollow(r *remote) *cobra.Command {
	f := follower{remote: r}
	var after, verb, activity string
	var fromStart bool
	c := &cobra.Command{
		Use:   "follow",
		Short: "Print statements as they come, as NDJSON, without an end",
		Long: `Print statements as they come, each once and in the order in which they came, as NDJSON, in the form that the credential may see. Voided statements come too, and so
do those that void them. Without --after or --from-start it begins with what comes from now on. It comes back by itself to a hub that was away.

With --cursor-file the place is kept in a file, and a later follow with that file goes on there, with the filters that it had then. After a crash of this
command the statements of the last second may come again.`,
		Example: `  lrshub statement follow --from-start --cursor-file warehouse.cursor | ./load
  lrshub statement follow --verb http://adlnet.gov/expapi/verbs/passed`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if r.output == "csv" {
				return usage("statements are given as NDJSON; there is no CSV form of them")
			}
			if after != "" && fromStart {
				return usage("--after and --from-start are two places: give one of them")
			}
			f.cursor = after
			if err := f.load(); err != nil {
				return err
			}
			f.query = url.Values{"follow": {"true"}, "from": {"now"}}
			if fromStart {
				f.query.Set("from", "start")
			}
			for name, value := range map[string]string{"verb": verb, "activity": activity} {
				if value != "" {
					f.query.Set(name, value)
				}
			}
			f.out = bufio.NewWriterSize(os.Stdout, 256<<10)
			return f.run(c.Context())
		},
	}
	c.Flags().StringVar(&after, "after", "", "go on behind this cursor, with the filters that it was given with")
	c.Flags().BoolVar(&fromStart, "from-start", false, "begin with the first statement of the hub")
	c.Flags().StringVar(&f.file, "cursor-file", "", "keep the place in this file, and go on there if it has one")
	c.Flags().StringVar(&verb, "verb", "", "only with this verb (IRI)")
	c.Flags().StringVar(&activity, "activity", "", "only with this object (IRI)")
	return c
}

// follower reads a feed, whatever happens to the connection.
type follower struct {
	remote *remote
	query  url.Values
	cursor string // behind what was printed last
	file   string // where it is kept; "": nowhere
	saved  string // what the file has
	wrote  time.Time
	out    *bufio.Writer
	alive  bool // a line came over this connection
}

// run follows until ctx ends, which is no error.
func (f *follower) run(ctx context.Context) error {
	pause, tries := followPause, 0
	for {
		err := f.connect(ctx)
		if kept := f.keep(); kept != nil {
			return kept
		}
		if ctx.Err() != nil {
			if f.file == "" && f.cursor != "" {
				f.remote.say("to go on: --after %s", f.cursor)
			}
			return nil
		}
		var exit exitError
		if errors.As(err, &exit) && exit.code != exitFailed {
			return err // another try would fare no better
		}
		if f.alive {
			pause, tries = followPause, 0
		}
		if tries++; tries > followTries {
			return fmt.Errorf("gave up after %d tries: %w", followTries, err)
		}
		f.remote.say("%v; trying again in %v", err, pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, followPauseMax)
	}
}

// errSilent ends a connection over which nothing comes any more.
var errSilent = errors.New("the hub has fallen silent")

// connect reads the feed over one connection, until that ends.
func (f *follower) connect(ctx context.Context) error {
	f.alive = false
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(followPatience, func() { cancel(errSilent) })
	defer watch.Stop()
	if f.cursor != "" {
		f.query.Set("after", f.cursor)
	}
	response, err := f.remote.send(ctx, http.MethodGet, "/statements/feed?"+f.query.Encode(), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewReaderSize(response.Body, 256<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return errors.New("the hub has ended the feed")
		}
		if err != nil && context.Cause(ctx) == errSilent {
			return errSilent
		}
		if err != nil {
			return fmt.Errorf("the feed broke off: %w", err)
		}
		watch.Reset(followPatience)
		if err := f.take(line, lines.Buffered() == 0); err != nil {
			return err
		}
	}
}

// take prints what a line holds. Nothing more is there yet: what was printed goes out.
func (f *follower) take(text []byte, last bool) error {
	var line feedLine
	if err := json.Unmarshal(text, &line); err != nil {
		return fmt.Errorf("read the hub's feed: %w", err)
	}
	switch line.End {
	case "":
	case "denied", "unauthenticated":
		return exitError{exitDenied, "the hub has ended the feed: " + line.End}
	default:
		return fmt.Errorf("the hub has ended the feed: %s", line.End)
	}
	f.alive = true
	if line.Statement != nil {
		if _, err := f.out.Write(append(line.Statement, '\n')); err != nil {
			return exitError{exitPartly, fmt.Sprintf("write: %v", err)}
		}
	}
	f.cursor = line.Cursor
	if last || time.Since(f.wrote) >= cursorEvery {
		return f.keep()
	}
	return nil
}

// load reads the place from the file.
func (f *follower) load() error {
	if f.file == "" {
		return nil
	}
	text, err := os.ReadFile(f.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if kept := strings.TrimSpace(string(text)); kept != "" {
		f.cursor, f.saved = kept, kept
	}
	return nil
}

// keep lets out what was printed, and only then writes its place into the file, so that nothing is lost.
func (f *follower) keep() error {
	if err := f.out.Flush(); err != nil {
		return exitError{exitPartly, fmt.Sprintf("write: %v", err)}
	}
	if f.file == "" || f.cursor == f.saved || f.cursor == "" {
		return nil
	}
	partly, err := os.CreateTemp(filepath.Dir(f.file), filepath.Base(f.file)+".*")
	if err != nil {
		return exitError{exitPartly, fmt.Sprintf("keep the cursor: %v", err)}
	}
	_, err = partly.WriteString(f.cursor + "\n")
	if err = errors.Join(err, partly.Close()); err == nil {
		err = os.Rename(partly.Name(), f.file)
	}
	if err != nil {
		_ = os.Remove(partly.Name())
		return exitError{exitPartly, fmt.Sprintf("keep the cursor: %v", err)}
	}
	f.saved, f.wrote = f.cursor, time.Now()
	return nil
}
