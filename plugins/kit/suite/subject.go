// Package suite is the conformance suite of connectors: what plugins/kit runs in a connector's own test and `lrshub connector test` from the
// command line. It works offline, on a source that stands still: files, a replay server, or a recording (plugins/kit/cassette).
//
// Start with Open and Suite.Checks, or with Examine outside of tests. Some checks run the connector inside the program (describe.go, read.go), if
// there is Subject.New; the others run it as the process that the hub would start (process.go), also with faults between it and its source
// (trial.go, fault*.go), with wrong clocks (clock.go) and to see what it leaves behind (end.go).
package suite

import (
	"context"
	"net/http"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/kit/cassette"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// Subject is the connector to test, with a source that stands still while the tests run.
type Subject struct {
	Name string
	// New makes the connector inside this program. nil: there is only its program (Executable, Plugin).
	New     func() sdk.Connector
	Config  string            // JSON, without secrets
	Secrets map[string]string // by name; give values that occur nowhere else
	Streams []string          // to read; nil: all
	// Refused are configurations that the connector must refuse with an *sdk.Error of class config, in Describe or Check.
	Refused map[string]string
	// Slack is how many records beyond Request.PageRecords may come between two checkpoints: as many as one request to the
	// source brings. 0 for sources that are read one by one; Measured for what the source's answers hold.
	Slack int
	// Executable is the program that serves the connector as `Executable connector serve NAME`; "" is this program itself.
	Executable string
	// Program is a third party's connector: path and SHA-256. Then Executable is not used.
	Program host.Plugin
	// Source answers the connector's requests instead of the network: a recording. If it has a method Rewind, that is called before each read.
	Source http.RoundTripper
	// Failure is how this source reports an error in an answer that says 200; without one, a common form is tried.
	Failure string
	// Expired is the answer by which this source says that it no longer knows a cursor; its status is 0 if the source never says so.
	Expired Answer
	// Remove deletes a record of a stream at the source and gives its key's values; the check of deletes then expects to hear of it. nil: this is not tried.
	Remove func(stream string) (key []any)

	live  bool // the source is the real one, for a recording
	bench *bench
}

// Measured says that a page may hold as many records as the largest answer of the source does.
const Measured = -1

// Answer is what a source answers.
type Answer = cassette.Answer

// T is what the suite needs of *testing.T.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Context() context.Context
}

// Check is one check of the suite, of the connector or of one of its streams.
type Check struct {
	Name   string // what holds if it passes
	Stream string // "" for the connector as a whole
	Run    func(T)
}

// Suite is a suite in use.
type Suite struct{ subject Subject }

// Open prepares a suite. Close it.
func Open(s Subject) *Suite {
	s.bench = &bench{subject: s, wholes: make(map[string]*attempt)}
	return &Suite{subject: s}
}

// Close ends the processes that checks shared.
func (s *Suite) Close() { s.subject.bench.close() }

// General lists the checks of the connector as a whole. They need nothing but its description.
func (s *Suite) General() []Check {
	var all []Check
	for _, c := range general {
		all = append(all, Check{Name: c.name, Run: func(t T) { c.run(t, s.subject) }})
	}
	return all
}

// Streams lists the checks of each stream.
func (s *Suite) Streams(t T) []Check {
	t.Helper()
	var all []Check
	for _, stream := range s.subject.streams(t, s.subject.describe(t)) {
		for _, c := range streams {
			all = append(all, Check{Name: c.name, Stream: stream.Name, Run: func(t T) { c.run(t, s.subject, stream) }})
		}
	}
	return all
}

var general = []struct {
	name string
	run  func(T, Subject)
}{
	{"describe is pure", checkPure},
	{"schema of the configuration", checkConfigSchema},
	{"bad configurations are refused", checkRefused},
	{"check", checkCheck},
}

var streams = []struct {
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
	{"dials nowhere itself", checkCell},
	{"asks no more than it needs", checkRequests},
	{"429 and 503", checkBusy},
	{"refused and broken answers", checkRefusals},
	{"200 that carries an error", checkFailureIn200},
	{"expired and foreign cursors", checkExpired},
	{"a record on two pages", checkDrift},
	{"a page twice, a page for ever", checkRepeats},
	{"an empty page with a next", checkEmptyPage},
	{"invalid UTF-8", checkInvalidText},
	{"a record of 10 MB", checkHuge},
	{"wrong clocks", checkClocks},
	{"time zones and DST", checkZones},
	{"killed in mid-page", checkKill},
	{"partitions are the whole", checkPartitions},
	{"deletes as declared", checkDeletes},
	{"commit is idempotent", checkCommit},
	{"leaves no process", checkOrphans},
}

// connector makes the connector: inside this program, or as a stand-in for its process.
func (s Subject) connector() sdk.Connector {
	if s.New != nil {
		return s.New()
	}
	return program{s}
}

func (s Subject) describe(t T) sdk.Description {
	t.Helper()
	d, err := s.connector().Describe([]byte(s.Config))
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
	s.rewind()
	return sdktest.Session(s.Config, s.signing(d), s.Secrets)
}

// rewind has a recorded source start anew.
func (s Subject) rewind() {
	if source, ok := s.Source.(interface{ Rewind() }); ok {
		source.Rewind()
	}
}

// patience is how long anything in the suite may take.
const patience = time.Minute

// read reads a stream inside the test with small pages.
func (s Subject) read(t T, r sdk.Request) *sdktest.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := sdktest.Read(ctx, s.connector(), s.session(s.describe(t)), r)
	if err != nil {
		t.Fatalf("reading %s (%d bytes of cursor): %v", r.Stream, len(r.Cursor), err)
	}
	return got
}

func request(stream contract.Stream, cursor []byte) sdk.Request {
	return sdk.Request{Stream: stream.Name, Cursor: cursor, PageRecords: pageRecords}
}

// pageRecords is small, so that small fixtures have many checkpoints.
const pageRecords = 5
