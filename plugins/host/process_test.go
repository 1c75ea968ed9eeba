package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// journal is a log that a test can read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func newHost(t testing.TB, change func(*host.Options)) *host.Host {
	t.Helper()
	options := host.Options{Executable: executable(t), Limits: host.Limits{Start: 10 * time.Second}}
	if change != nil {
		change(&options)
	}
	h := host.New(options)
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func executable(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t testing.TB, h *host.Host, name string, s host.Session) *host.Process {
	t.Helper()
	p, err := h.Start(t.Context(), host.Plugin{Connector: name}, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func config(text string) host.Session { return host.Session{Config: []byte(text)} }

// pages collects what a read brings.
type pages []host.Page

func (ps *pages) take(_ context.Context, p host.Page) error {
	*ps = append(*ps, p)
	return nil
}

func (ps *pages) records() (records []host.Record, bad []host.Bad) {
	for _, p := range *ps {
		records, bad = append(records, p.Records...), append(bad, p.Bad...)
	}
	return records, bad
}

func TestRead(t *testing.T) {
	p := start(t, newHost(t, nil), "counter", config(`{"to":2500}`))
	description, err := p.Describe(t.Context(), nil)
	if err != nil || description.Name != "counter" || len(description.Streams) != 1 || description.Streams[0].String() != "numbers(n)" {
		t.Fatalf("%+v, %v", description, err)
	}
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got pages
	request := host.ReadRequest{Stream: description.Streams[0], Fields: []string{"text"}}
	if err := p.Read(t.Context(), request, got.take); err != nil {
		t.Fatal(err)
	}
	records, bad := got.records()
	if len(got) != 3 || len(records) != 2500 || len(bad) != 0 {
		t.Fatalf("%d pages, %d records, %d bad", len(got), len(records), len(bad))
	}
	if string(got[1].Cursor) != "2000" || got[1].Done != 2000 || got[1].Total != 2500 || string(got[2].Cursor) != "2500" {
		t.Errorf("cursors %s, %s, progress %d/%d", got[1].Cursor, got[2].Cursor, got[1].Done, got[1].Total)
	}
	for i, r := range records {
		n := i + 1
		want := fmt.Sprintf(`[%d] w%d {"text":"number %d of many"} n`, n, n%10, n)
		if got := fmt.Sprintf("%s %s %s %s", r.Key, r.Subject, r.JSON, r.Position); got != want {
			t.Fatalf("record %s, want %s", got, want)
		}
	}
	got = nil
	request.Cursor, request.PageRecords = []byte("2400"), 10
	if err := p.Read(t.Context(), request, got.take); err != nil {
		t.Fatal(err)
	}
	if records, _ := got.records(); len(records) != 100 || len(got) != 11 || string(records[0].Key) != "[2401]" {
		t.Errorf("from the cursor on: %d records in %d pages", len(records), len(got))
	}
}

func TestReadStopsWhenThePageIsRefused(t *testing.T) {
	p := start(t, newHost(t, nil), "counter", config(`{"to":1000000000}`))
	refusal := errors.New("the database is away")
	n := 0
	err := p.Read(t.Context(), host.ReadRequest{Stream: numbers}, func(context.Context, host.Page) error {
		if n++; n == 3 {
			return refusal
		}
		return nil
	})
	if err != refusal || n != 3 {
		t.Errorf("%v after %d pages", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = p.Read(ctx, host.ReadRequest{Stream: numbers}, func(context.Context, host.Page) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := p.Check(t.Context()); err != nil {
		t.Errorf("the process is still good: %v", err)
	}
}

func TestReadIsHeldBackByASlowHub(t *testing.T) {
	h := newHost(t, func(o *host.Options) { o.Limits.Idle = 300 * time.Millisecond })
	p := start(t, h, "counter", config(`{"to":5000}`))
	records := 0
	err := p.Read(t.Context(), host.ReadRequest{Stream: numbers}, func(_ context.Context, page host.Page) error {
		time.Sleep(400 * time.Millisecond) // longer than a connector may be silent
		records += len(page.Records)
		return nil
	})
	if err != nil || records != 5000 {
		t.Errorf("%d records, %v", records, err)
	}
}

func TestRoguesAtTheStart(t *testing.T) {
	tests := []struct {
		name string
		want error
		text string
	}{
		{"hangs", host.ErrTimeout, "hangs did not"},
		{"mute", host.ErrTimeout, "mute did not"},
		{"exits", host.ErrDied, "exit status 3"},
		{"chatters", host.ErrHandshake, "printed something else"},
		{"babbles", host.ErrHandshake, "printed something else"},
		{"misleads", host.ErrHandshake, "another place"},
		{"unknown", host.ErrDied, "exit status 2"},
		{"../counter", host.ErrUnknown, "no connector's name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, func(o *host.Options) { o.Limits.Start = 2 * time.Second })
			began := time.Now()
			p, err := h.Start(t.Context(), host.Plugin{Connector: test.name}, config(`{}`))
			if err == nil {
				p.Close()
			}
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestRoguesInARead(t *testing.T) {
	tests := []struct {
		how  string
		want error
		text string
	}{
		{"dies", host.ErrDied, "exit status 7"},
		{"is killed", &sdk.Error{Class: sdk.ClassSourceBug}, "panicked at connectors_test.go:"},
		{"hangs", host.ErrTimeout, "no sign of life"},
		{"panics", &sdk.Error{Class: sdk.ClassSourceBug}, "index out of range"},
		{"floods", host.ErrPage, "Output.Due"},
		{"wants to wait", &sdk.Error{Class: sdk.ClassRateLimit}, "again after 1m30s"},
		{"is slow but alive", nil, ""},
		{"prints", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.how, func(t *testing.T) {
			t.Parallel()
			log := &journal{}
			h := newHost(t, func(o *host.Options) {
				o.Limits.Idle = 3 * time.Second
				o.Logger = slog.New(slog.NewTextHandler(log, nil))
			})
			p := start(t, h, "rogue", config(`"`+test.how+`"`))
			var got pages
			err := p.Read(t.Context(), host.ReadRequest{Stream: numbers}, got.take)
			p.Close()
			var known, want *sdk.Error
			switch {
			case errors.As(test.want, &want):
				if !errors.As(err, &known) || known.Class != want.Class {
					t.Errorf("got %v, want class %s", err, want.Class)
				}
			case !errors.Is(err, test.want):
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err != nil && (!strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "PRIVATE")) {
				t.Errorf("got %v, want %q", err, test.text)
			}
			if strings.Contains(log.String(), "PRIVATE") {
				t.Errorf("a connector's text is in the log")
			}
			if len(got) == 0 || len(got[0].Records) != 10 || string(got[0].Cursor) != "10" {
				t.Fatalf("the page before the trouble is lost: %+v", got)
			}
			if test.want != nil && len(got) > 1 {
				t.Errorf("a page that was not finished came: %+v", got[1])
			}
			if test.want == nil && (len(got) != 2 || got[1].Cursor != nil) {
				t.Errorf("the last page, without checkpoint, did not come: %+v", got)
			}
		})
	}
}

func TestLargeRecords(t *testing.T) {
	p := start(t, newHost(t, nil), "rogue", config(`"brings large records"`))
	var got pages
	if err := p.Read(t.Context(), host.ReadRequest{Stream: numbers}, got.take); err != nil {
		t.Fatal(err)
	}
	records, bad := got.records()
	if len(records) != 13 || len(records[11].JSON) < 300<<10 || len(records[12].JSON) < 2<<20 || string(records[12].Key) != fmt.Sprintf("[%d]", 2<<20) {
		t.Fatalf("%d records", len(records))
	}
	if len(bad) != 1 || bad[0].Code != "too_large" || bad[0].Position != "n" || bad[0].Raw != nil {
		t.Errorf("bad: %+v", bad)
	}
}

func TestBadRecords(t *testing.T) {
	p := start(t, newHost(t, nil), "rogue", config(`"brings bad records"`))
	var got pages
	if err := p.Read(t.Context(), host.ReadRequest{Stream: numbers, Fields: []string{"n"}}, got.take); err != nil {
		t.Fatal(err)
	}
	records, bad := got.records()
	last := records[len(records)-1]
	if len(records) != 13 || string(records[11].JSON) != `{"n":13}` || !last.Deleted || string(last.Key) != "[14]" || last.JSON != nil {
		t.Errorf("records: %d, %+v", len(records), last)
	}
	want := []string{"field n is a string, not of type int", "not a JSON object", "not a JSON object", "ragged"}
	if len(bad) != len(want) {
		t.Fatalf("bad: %+v", bad)
	}
	for i, b := range bad {
		code := contract.CodeUnfit
		if i == len(want)-1 { // the connector says so itself
			code = contract.CodeBadRecord
		}
		if b.Code != code || b.Position != "place" || !strings.Contains(b.Reason, want[i]) || len(b.Raw) == 0 {
			t.Errorf("bad %d: %+v, want %q", i, b, want[i])
		}
	}
}
