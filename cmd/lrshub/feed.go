package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Another transaction that is open, anywhere in the hub's Postgres, keeps what was stored last out of the feed until it ends. So long a command waits for it.
const (
	settleTime = 2 * time.Minute
	settleStep = 250 * time.Millisecond
)

// errUnsettled: the feed did not get as far as was asked for.
var errUnsettled = errors.New("the hub has work open that began before; run the same command again")

// feedStand is where a feed ends.
type feedStand struct {
	Cursor  string    `json:"cursor"`
	Through time.Time `json:"consistentThrough"` // what was stored up to then has been given
}

// feedLine is a line of a feed: a statement, or where the feed stands, or why it ends.
type feedLine struct {
	feedStand
	Statement json.RawMessage `json:"statement"`
	End       string          `json:"end"`
}

// feedUntil reads the hub's feed from after a cursor until it is through with enough. errUnsettled when that takes too long.
func (r *remote) feedUntil(ctx context.Context, after string, enough func(through time.Time) bool, each func(statement []byte, cursor string) error) error {
	query := url.Values{}
	if after != "" {
		query.Set("after", after)
	}
	for until := time.Now().Add(settleTime); ; {
		end, err := r.readFeed(ctx, query, each)
		if err != nil || enough(end.Through) {
			return err
		}
		if time.Now().After(until) {
			return errUnsettled
		}
		query.Set("after", end.Cursor)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleStep):
		}
	}
}

// feedEnd is the cursor of the feed behind all that the hub has now.
func (r *remote) feedEnd(ctx context.Context) (string, error) {
	end, err := r.readFeed(ctx, url.Values{"from": {"now"}}, func([]byte, string) error { return nil })
	return end.Cursor, err
}

// readFeed reads a feed that does not follow, to its end.
func (r *remote) readFeed(ctx context.Context, query url.Values, each func(statement []byte, cursor string) error) (end feedStand, err error) {
	response, err := r.send(ctx, http.MethodGet, "/statements/feed?"+query.Encode(), nil)
	if err != nil {
		return end, err
	}
	defer response.Body.Close()
	lines := bufio.NewReaderSize(response.Body, 256<<10)
	for {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return end, fmt.Errorf("the feed broke off: %w", noEOF(err))
		}
		var line feedLine
		if err := json.Unmarshal(text, &line); err != nil {
			return end, fmt.Errorf("the feed has a line that is not JSON: %w", err)
		}
		switch {
		case line.End != "":
			return end, fmt.Errorf("the hub ended the feed: %s", line.End)
		case line.Statement == nil:
			return line.feedStand, nil // all was given
		}
		if err := each(line.Statement, line.Cursor); err != nil {
			return end, err
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// hubTime is a time of the hub's clock that has just passed.
func (r *remote) hubTime(ctx context.Context) (time.Time, error) {
	response, err := r.xapi(ctx, http.MethodGet, "/about", http.Header{}, nil)
	if err != nil {
		return time.Time{}, err
	}
	defer response.Body.Close()
	at, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return at, fmt.Errorf("the hub does not say what time it is: %w", err)
	}
	return at.Add(time.Second), nil // Date is as exact as that
}
