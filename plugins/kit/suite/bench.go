package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// bench is what the checks of a suite share: a process by configuration, and how whole reads went.
type bench struct {
	subject Subject

	mu      sync.Mutex
	running map[string]*running
	wholes  map[string]*attempt // by stream
}

func (b *bench) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.running {
		r.end()
	}
	b.running = nil
}

// process gives the shared process of a configuration; nil is none.
func (b *bench) process(ctx context.Context, config []byte) (*host.Process, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.running[string(config)]; r != nil {
		return r.process, nil
	}
	r, err := b.subject.launch(ctx, config, host.Options{})
	if err != nil {
		return nil, err
	}
	if b.running == nil {
		b.running = make(map[string]*running)
	}
	b.running[string(config)] = r
	return r.process, nil
}

// running is a process with the host that started it.
type running struct {
	process *host.Process
	host    *host.Host
	dir     string // of its sockets
	log     *log
}

func (r *running) end() {
	r.process.Close()
	_ = r.host.Close()
	_ = os.RemoveAll(r.dir)
}

// log keeps what host and connector say, up to a bound.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() < 4<<20 {
		l.text.Write(p)
	}
	return len(p), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// launch starts the connector as the hub does, but for what the options say.
func (s Subject) launch(ctx context.Context, config []byte, o host.Options) (*running, error) {
	if o.Executable = s.Executable; o.Executable == "" && s.Program.Path == "" {
		var err error
		if o.Executable, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "kit-") // short: a socket's path holds about 100 bytes
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	r := &running{dir: dir, log: &log{}}
	o.SocketDir, o.Logger = dir, slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	// The host tries nothing again and waits for nobody, so that each fault reaches the connector, at once.
	if o.Limits == (host.Limits{}) {
		o.Limits = host.Limits{Start: patience, NoPace: true, Retries: -1, RetryWait: time.Millisecond}
	}
	if !s.live {
		o.Tokens = ownToken
	}
	if o.Through == nil {
		o.Through = s.through
	}
	r.host = host.New(o)
	plugin := s.Program
	plugin.Connector = s.Name
	s.rewind()
	r.process, err = r.host.Start(ctx, plugin, host.Session{
		Config: config,
		Secrets: func(_ context.Context, name string) (string, error) {
			value, ok := s.Secrets[name]
			if !ok {
				return "", fmt.Errorf("there is no secret %q", name)
			}
			return value, nil
		},
	})
	if err != nil {
		_ = r.host.Close()
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return r, nil
}

// start starts the connector for the subject's configuration.
func (s Subject) start(t T) (*host.Process, func()) {
	t.Helper()
	r, err := s.launch(t.Context(), []byte(s.Config), host.Options{})
	if err != nil {
		t.Fatalf("starting the connector as a process (in a test, TestMain must call kit.Main with %q): %v", s.Name, err)
	}
	return r.process, r.end
}

// program stands in for a connector of which there is only its program: each method asks the process.
type program struct{ subject Subject }

func (p program) Describe(config []byte) (sdk.Description, error) {
	process, err := p.subject.bench.process(context.Background(), nil)
	if err != nil {
		return sdk.Description{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return process.Describe(ctx, config)
}

func (p program) Check(ctx context.Context, s *sdk.Session) error {
	process, err := p.subject.bench.process(ctx, s.Config)
	if err != nil {
		return err
	}
	return process.Check(ctx)
}

func (p program) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	process, err := p.subject.bench.process(ctx, s.Config)
	if err != nil {
		return err
	}
	description, err := process.Describe(ctx, s.Config)
	if err != nil {
		return err
	}
	stream, ok := description.Stream(r.Stream)
	if !ok {
		return sdk.Errorf(sdk.ClassConfig, "the connector has no stream %q", r.Stream)
	}
	return process.Read(ctx, host.ReadRequest{Stream: stream, Cursor: r.Cursor, PageRecords: r.PageRecords}, func(_ context.Context, page host.Page) error {
		return repeat(page, out)
	})
}

// repeat gives a page to an Output.
func repeat(page host.Page, out *sdk.Output) error {
	var errs []error
	for _, r := range page.Records {
		if r.Deleted {
			errs = append(errs, deleted(r.Key, out))
			continue
		}
		errs = append(errs, out.Record(r.JSON, r.Position))
	}
	for _, b := range page.Bad {
		errs = append(errs, out.Bad(b.Code, b.Position, b.Reason, b.Raw))
	}
	if page.SnapshotComplete {
		errs = append(errs, out.SnapshotComplete())
	}
	if page.Cursor != nil {
		errs = append(errs, out.Checkpoint(page.Cursor))
	}
	for _, err := range errs { // the first is what the others repeat
		if err != nil {
			return err
		}
	}
	return nil
}

var errKey = errors.New("a deleted record's key is no list of values")

func deleted(key []byte, out *sdk.Output) error {
	decoder := json.NewDecoder(bytes.NewReader(key))
	decoder.UseNumber()
	var values []any
	if err := decoder.Decode(&values); err != nil {
		return errKey
	}
	return out.Delete(values)
}
