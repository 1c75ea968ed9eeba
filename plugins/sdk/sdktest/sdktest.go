// Package sdktest runs a connector inside its author's own tests, without a process and without a hub. Start at Read.
// What it shows is what the connector emitted; plugins/kit then runs the same connector as the hub does.
package sdktest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// Result is all that one read brought, in order.
type Result struct {
	Events           []sdk.Event // everything, in order; slices are copies
	Records          []string    // records' JSON
	Positions        []string    // of Records
	Deleted          []string    // keys
	Bad              []sdk.Event
	Cursors          [][]byte // of the checkpoints
	SnapshotComplete bool
	LargestPage      int // records, deletes and bad between two checkpoints
}

// Session makes a session with a config, a client (nil: http.DefaultClient) and secrets. It dials directly.
func Session(config string, client *http.Client, secrets map[string]string) *sdk.Session {
	if client == nil {
		client = http.DefaultClient
	}
	return &sdk.Session{
		Config: []byte(config),
		HTTP:   client,
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", address)
		},
		Secret: func(_ context.Context, name string) (string, error) {
			value, ok := secrets[name]
			if !ok {
				return "", sdk.Errorf(sdk.ClassConfig, "there is no secret named %q", name)
			}
			return value, nil
		},
		Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().UTC() },
	}
}

// Read runs one read to its end.
func Read(ctx context.Context, c sdk.Connector, s *sdk.Session, r sdk.Request) (*Result, error) {
	return ReadUntil(ctx, c, s, r, nil)
}

// ReadUntil runs one read until stop, called after each event, gives an error; that error then comes back from the connector.
func ReadUntil(ctx context.Context, c sdk.Connector, s *sdk.Session, r sdk.Request, stop func(sdk.Event) error) (*Result, error) {
	result, page := &Result{}, 0
	err := c.Read(ctx, s, r, sdk.NewOutput(r, func(e sdk.Event) error {
		e.JSON, e.Cursor = bytes.Clone(e.JSON), bytes.Clone(e.Cursor)
		result.Events = append(result.Events, e)
		switch e.Kind {
		case sdk.EventRecord:
			result.Records, result.Positions = append(result.Records, string(e.JSON)), append(result.Positions, e.Position)
			page++
		case sdk.EventDelete:
			result.Deleted = append(result.Deleted, string(e.JSON))
			page++
		case sdk.EventBad:
			result.Bad = append(result.Bad, e)
			page++
		case sdk.EventCheckpoint:
			result.Cursors = append(result.Cursors, e.Cursor)
			page = 0
		case sdk.EventSnapshotComplete:
			result.SnapshotComplete = true
		}
		result.LargestPage = max(result.LargestPage, page)
		if err := ctx.Err(); err != nil {
			return err
		}
		if stop != nil {
			return stop(e)
		}
		return nil
	}))
	return result, err
}
