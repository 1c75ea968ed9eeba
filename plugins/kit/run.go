package kit

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// Subject is the connector to test, with a source that stands still while the tests run: files of the package's
// fixtures, a replay server. The package's TestMain must call Main with the connector under Name.
type Subject struct {
	Name    string
	New     func() sdk.Connector
	Config  string            // JSON, without secrets
	Secrets map[string]string // by name; give values that occur nowhere else
	Streams []string          // to read; nil: all
	// Refused are configurations that the connector must refuse with an *sdk.Error of class config, in Describe or Check.
	Refused map[string]string
	// Slack is how many records beyond Request.PageRecords may come between two checkpoints: as many as one request to the
	// source brings. 0 for sources that are read one by one.
	Slack int
	// Executable is the program that serves the connector; "" is the test program itself.
	Executable string
}

// T is what the kit needs of *testing.T.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// Run runs all checks, each as a test of its own.
func Run(t *testing.T, s Subject) {
	t.Helper()
	for _, check := range checks {
		t.Run(check.name, func(t *testing.T) { check.run(t, s) })
	}
	description := s.describe(t)
	for _, stream := range s.streams(t, description) {
		for _, check := range streamChecks {
			t.Run(stream.Name+"/"+check.name, func(t *testing.T) { check.run(t, s, stream) })
		}
	}
}

var checks = []struct {
	name string
	run  func(T, Subject)
}{
	{"describe is pure", checkPure},
	{"schema of the configuration", checkConfigSchema},
	{"bad configurations are refused", checkRefused},
	{"check", checkCheck},
}

var streamChecks = []struct {
	name string
	run  func(T, Subject, contract.Stream)
}{
	{"brings records", checkRecords},
	{"pages are bounded", checkPages},
	{"resumes at every checkpoint", checkResume},
	{"has nothing new at the end", checkEnd},
	{"stops when told", checkStop},
	{"keeps secrets", checkSecrets},
	{"as a process", checkProcess},
	{"as a process that ends early", checkProcessResume},
}

func (s Subject) describe(t T) sdk.Description {
	t.Helper()
	d, err := s.New().Describe([]byte(s.Config))
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	return d
}

func (s Subject) streams(t T, d sdk.Description) []contract.Stream {
	t.Helper()
	if s.Streams == nil {
		return d.Streams
	}
	var streams []contract.Stream
	for _, name := range s.Streams {
		stream, ok := d.Stream(name)
		if !ok {
			t.Fatalf("the connector has no stream %q", name)
		}
		streams = append(streams, stream)
	}
	return streams
}

// session is one inside the test: requests go out directly, signed as the hub would.
func (s Subject) session(d sdk.Description) *sdk.Session {
	return sdktest.Session(s.Config, signing(d, s.Secrets), s.Secrets)
}

// patience is how long anything in the kit may take.
const patience = time.Minute

// read reads a stream inside the test with small pages.
func (s Subject) read(t T, r sdk.Request) *sdktest.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := sdktest.Read(ctx, s.New(), s.session(s.describe(t)), r)
	if err != nil {
		t.Fatalf("reading %s from cursor %q: %v", r.Stream, r.Cursor, err)
	}
	return got
}

func request(stream contract.Stream, cursor []byte) sdk.Request {
	return sdk.Request{Stream: stream.Name, Cursor: cursor, PageRecords: pageRecords}
}

// pageRecords is small, so that small fixtures have many checkpoints.
const pageRecords = 5

// start starts the connector as the hub does.
func (s Subject) start(t T) (*host.Process, func()) {
	t.Helper()
	executable := s.Executable
	if executable == "" {
		var err error
		if executable, err = os.Executable(); err != nil {
			t.Fatalf("%v", err)
		}
	}
	h := host.New(host.Options{Executable: executable, AllowNoNamespace: true, Limits: host.Limits{Start: patience}})
	p, err := h.Start(t.Context(), host.Plugin{Connector: s.Name}, host.Session{
		Config: []byte(s.Config),
		Secrets: func(_ context.Context, name string) (string, error) {
			value, ok := s.Secrets[name]
			if !ok {
				return "", fmt.Errorf("there is no secret %q", name)
			}
			return value, nil
		},
	})
	if err != nil {
		t.Fatalf("starting the connector as a process (TestMain must call kit.Main with %q): %v", s.Name, err)
	}
	return p, func() {
		p.Close()
		_ = h.Close()
	}
}
