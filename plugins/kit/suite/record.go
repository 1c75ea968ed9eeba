package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/kit/cassette"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// ErrNothing says that a connector made no request, so that there is nothing to record.
var ErrNothing = errors.New("the connector made no request: there is nothing to record")

// Recorded is a recording that was made, not written yet.
type Recorded struct {
	*cassette.Scrubbed
	Head    cassette.Head
	Records map[string]int // by stream, at the live source
	// Differs lists the streams that bring something else from the recording than from the live source, and how.
	Differs map[string]string
}

// recordTime bounds the reading of one stream, some times over.
const recordTime = 30 * time.Minute

// Record reads the subject's streams at the live source, as the suite will, and keeps what was asked and answered, scrubbed. Then it reads the
// recording, to see whether it brings the same.
func Record(ctx context.Context, s Subject, now time.Time) (*Recorded, error) {
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	recorder, source := &cassette.Recorder{}, s
	source.live = true
	r, err := source.launch(ctx, []byte(s.Config), host.Options{
		Through: func(out http.RoundTripper) http.RoundTripper {
			recorder.Out = s.through(out)
			return recorder
		},
		AllowNoNamespace: true, Limits: host.Limits{Start: patience},
	})
	if err != nil {
		return nil, err
	}
	defer r.end()
	d, err := r.process.Describe(ctx, []byte(s.Config))
	if err != nil {
		return nil, err
	}
	recorder.Begin()
	if err := r.process.Check(ctx); err != nil {
		return nil, err
	}
	live := &Recorded{Head: s.head(d.Version, now), Records: map[string]int{}, Differs: map[string]string{}}
	scrub := cassette.Scrub{Secrets: s.Secrets}
	for _, stream := range d.Streams {
		if !s.wants(stream.Name) {
			continue
		}
		whole, err := recordStream(ctx, r.process, recorder, stream)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", stream.Name, err)
		}
		live.Records[stream.Name] = len(together(whole).records)
		scrub.Subjects = append(scrub.Subjects, lastPart(stream.Subject)...)
		scrub.Known = append(scrub.Known, subjectsOf(whole)...)
	}
	if len(recorder.Exchanges()) == 0 {
		return nil, ErrNothing
	}
	if live.Scrubbed, err = scrub.Scrub([]byte(s.Config), recorder.Exchanges()); err != nil {
		return nil, err
	}
	live.replay(ctx, s, d)
	return live, nil
}

func (s Subject) head(version string, now time.Time) cassette.Head {
	h := cassette.Head{Connector: s.Name, Version: version, Made: now, Failure: s.Failure}
	if s.Expired.Status != 0 {
		h.Expired = &s.Expired
	}
	return h
}

func (s Subject) wants(stream string) bool {
	for _, name := range s.Streams {
		if name == stream {
			return true
		}
	}
	return s.Streams == nil
}

// recordStream reads a stream as a whole and then from its checkpoints on, as the suite does.
func recordStream(ctx context.Context, p *host.Process, recorder *cassette.Recorder, stream contract.Stream) (*attempt, error) {
	read := func(cursor []byte) (*attempt, error) {
		recorder.Begin()
		a := &attempt{}
		err := p.Read(ctx, host.ReadRequest{Stream: stream, Cursor: cursor, PageRecords: pageRecords}, func(_ context.Context, page host.Page) error {
			a.pages = append(a.pages, page)
			return nil
		})
		return a, err
	}
	whole, err := read(nil)
	if err != nil {
		return nil, err
	}
	for _, i := range spread(len(whole.pages), 26) {
		if cursor := whole.pages[i].Cursor; cursor != nil {
			if _, err := read(cursor); err != nil {
				return nil, fmt.Errorf("going on after page %d: %w", i+1, err)
			}
		}
	}
	return whole, nil
}

// lastPart is the name of the member that a path leads to.
func lastPart(path string) []string {
	if path == "" {
		return nil
	}
	parts := contract.SplitPath(path)
	return parts[len(parts)-1:]
}

func subjectsOf(a *attempt) (known []string) {
	for _, p := range a.pages {
		for _, r := range p.Records {
			if len(r.Subject) >= 3 {
				known = append(known, r.Subject)
			}
		}
	}
	return known
}

// replay reads each stream from the recording, with made-up secrets, and notes where it differs.
func (r *Recorded) replay(ctx context.Context, s Subject, d sdk.Description) {
	s.Config = string(r.Config)
	secrets := make(map[string]string)
	for name := range s.Secrets {
		secrets[name] = cassette.Secret(name)
	}
	s.Secrets = secrets
	player, err := cassette.NewPlayer(&cassette.Recording{Exchanges: r.Exchanges}, QueryParameters(d)...)
	if err != nil {
		r.Differs["all"] = err.Error()
		return
	}
	s.Source = player
	for name, want := range r.Records {
		stream, _ := d.Stream(name)
		got := s.attempt(&report{ctx: ctx}, stream, conditions{})
		if n := len(together(got).records); got.err != nil {
			r.Differs[name] = got.err.Error()
		} else if n != want {
			r.Differs[name] = "it brings " + strconv.Itoa(n) + " records instead of " + strconv.Itoa(want)
		}
	}
	if missed := player.Missed(); len(missed) > 0 && len(r.Differs) > 0 {
		r.Differs["all"] = "the connector asks the recording for what is not in it: " + strings.Join(missed, ", ")
	}
}

// QueryParameters lists the parameters in which the host adds secrets to requests.
func QueryParameters(d sdk.Description) (names []string) {
	for _, auth := range d.Auth {
		if auth.Kind == contract.AuthQuery {
			names = append(names, auth.Name)
		}
	}
	return names
}

// SecretPaths lists the properties of a configuration that a schema marks with x-secret, by their dotted path.
func SecretPaths(schema string) (paths []string) {
	type node struct {
		Secret     bool                       `json:"x-secret"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	var walk func(text []byte, path string)
	walk = func(text []byte, path string) {
		var n node
		if json.Unmarshal(text, &n) != nil {
			return
		}
		if n.Secret {
			paths = append(paths, strings.TrimPrefix(path, "."))
		}
		for name, below := range n.Properties {
			walk(below, path+"."+name)
		}
	}
	walk([]byte(schema), "")
	return paths
}
