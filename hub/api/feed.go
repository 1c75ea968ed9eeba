package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/disclose"
)

// maxFeeds bounds how many feeds a process has open at once: each looks at the database twice a second.
const maxFeeds = 64

// errStopping ends the feeds of a server that stops. Their readers come back with their cursors, perhaps to another node.
var errStopping = errors.New("the server stops")

type feedQuery struct {
	Verb     string    `query:"verb" doc:"IRI"`
	Activity string    `query:"activity" doc:"IRI of the object"`
	Since    time.Time `query:"since" doc:"came to this hub after; whatever stored an imported statement has"`
	From     string    `query:"from" enum:"start,now" default:"start" doc:"now: only what comes from now on"`
	After    string    `query:"after" doc:"a cursor of this feed: go on behind it, with the filters that it was given with; all other parameters but follow are not looked at"`
	Follow   bool      `query:"follow" doc:"NDJSON that does not end; server-sent events never do"`
	Last     string    `header:"Last-Event-ID" doc:"as after, which it comes before: an EventSource sends it by itself"`
	Accept   string    `header:"Accept" doc:"text/event-stream: server-sent events; else NDJSON"`
}

const aboutFeed = `Every statement that the credential may export, in the order in which they came to this hub, each once. Voided statements are given too, and so are those that void
them: the reader applies them. A statement that is erased later is not told of; ` + "`lrshub audit list`" + ` tells whom.

As NDJSON each line is {"cursor": …, "statement": …}. Where all was given, a line {"cursor": …, "consistentThrough": …} says up to when; without follow it is the last one, and
without it the feed broke off. With follow there is one whenever the reader has caught up, and every 15 seconds.

As server-sent events each is an event named statement, with the cursor as its id and the statement as its data; a comment comes every 15 seconds, with an id to go on from.

A cursor is good for the credential's client, in the form in which it may see statements, for ever, on every node and after a restart. The right to read is looked at again
before each batch and every two seconds. A feed that the hub ends says why: {"cursor": …, "end": …}, or an event named end, with one of stopping (come back with the cursor),
unauthenticated, denied, failed. Each process has 64 feeds at most; beyond them the answer is 503, with Retry-After.`

func (f *face) feed() {
	huma.Register(f.api, huma.Operation{
		OperationID: "statements-feed", Method: http.MethodGet, Path: "/api/v1/statements/feed", Tags: []string{"statements"},
		Summary: "Stream statements as they come", Description: aboutFeed,
	}, func(ctx context.Context, in *feedQuery) (*huma.StreamResponse, error) {
		q := disclose.Feed{Verb: in.Verb, Activity: in.Activity, Since: in.Since, Now: in.From == "now", After: in.After, Follow: in.Follow}
		if in.Last != "" {
			q.After = in.Last
		}
		events := strings.Contains(in.Accept, "text/event-stream")
		q.Follow = q.Follow || events
		return &huma.StreamResponse{Body: func(out huma.Context) { f.follow(out, q, events) }}, nil
	})
}

// follow answers with a feed, if there is room for one more.
func (f *face) follow(out huma.Context, q disclose.Feed, events bool) {
	select {
	case f.feeds <- struct{}{}:
		defer func() { <-f.feeds }()
	default:
		out.SetHeader("Retry-After", "10")
		problem(http.StatusServiceUnavailable, "this hub has as many feeds open as it may: try again in some seconds").write(out)
		return
	}
	ctx, cancel := context.WithCancelCause(out.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-f.Stopping:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	r, w := humago.Unwrap(out)
	reader := &feedWriter{out: out, w: bufio.NewWriterSize(w, 64<<10), flush: http.NewResponseController(w).Flush, events: events}
	again := func(ctx context.Context) (access.Caller, error) { return f.Clients.Request(f.DB, r.WithContext(ctx)) }
	err := f.Disclose.Feed(ctx, again, q, reader)
	switch {
	case err == nil, out.Context().Err() != nil: // whole, or the reader has gone
		return
	case context.Cause(ctx) == errStopping:
		err = errStopping
	}
	if !reader.begun && err != errStopping {
		problemOf(err).write(out)
		return
	}
	if reader.end(err) != nil {
		panic(http.ErrAbortHandler)
	}
}

// feedWriter writes a feed in one of its two forms.
type feedWriter struct {
	out    huma.Context
	w      *bufio.Writer
	flush  func() error
	events bool
	begun  bool
	cursor string // the last one
}

// feedLine is a line of NDJSON.
type feedLine struct {
	Cursor    string          `json:"cursor"`
	Statement json.RawMessage `json:"statement,omitempty"`
	Through   time.Time       `json:"consistentThrough,omitzero"`
	End       string          `json:"end,omitempty"`
}

func (f *feedWriter) begin() {
	if f.begun {
		return
	}
	f.begun = true
	kind := "application/x-ndjson"
	if f.events {
		kind = "text/event-stream"
	}
	f.out.SetHeader("Content-Type", kind)
	f.out.SetHeader("Cache-Control", "no-store")
	f.out.SetHeader("X-Accel-Buffering", "no") // a proxy that gathers what it passes on would hold statements back
	f.out.SetStatus(http.StatusOK)
	if f.events {
		_, _ = f.w.WriteString("retry: 2000\n\n") // milliseconds; an error shows when it is flushed
	}
}

// Statement is for disclose.FeedReader.
func (f *feedWriter) Statement(cursor string, text []byte) error {
	f.begin()
	f.cursor = cursor
	if f.events {
		_, _ = f.w.WriteString("id: " + cursor + "\nevent: statement\ndata: ")
	} else {
		_, _ = f.w.WriteString(`{"cursor":"` + cursor + `","statement":`)
	}
	line, err := oneLine(text)
	if err != nil {
		return err
	}
	_, _ = f.w.Write(line)
	if f.events {
		_, err = f.w.WriteString("\n\n")
	} else {
		_, err = f.w.WriteString("}\n")
	}
	return err
}

// Reached is for disclose.FeedReader.
func (f *feedWriter) Reached(cursor string, through time.Time) error {
	f.begin()
	f.cursor = cursor
	if f.events { // an id alone is no event, and yet the place from which an EventSource goes on
		_, _ = f.w.WriteString(": consistent through " + through.Format(time.RFC3339Nano) + "\nid: " + cursor + "\n\n")
		return f.send()
	}
	return f.line(feedLine{Cursor: cursor, Through: through})
}

// end tells why a feed ended before its time.
func (f *feedWriter) end(cause error) error {
	f.begin()
	reason := "failed"
	switch {
	case errors.Is(cause, errStopping):
		reason = "stopping"
	case errors.Is(cause, auth.ErrUnauthenticated):
		reason = "unauthenticated"
	case problemOf(cause).Status < http.StatusInternalServerError:
		reason = "denied"
	}
	if f.events {
		_, _ = f.w.WriteString("event: end\ndata: " + reason + "\n\n")
		return f.send()
	}
	return f.line(feedLine{Cursor: f.cursor, End: reason})
}

func (f *feedWriter) line(l feedLine) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, _ = f.w.Write(append(text, '\n'))
	return f.send()
}

func (f *feedWriter) send() error {
	if err := f.w.Flush(); err != nil {
		return err
	}
	return f.flush()
}
