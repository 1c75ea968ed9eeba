package suite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// conditions are those of one read of the connector as a process. The zero value is a good day.
type conditions struct {
	cursor    []byte
	partition string
	fault     fault
	skew      time.Duration
	zone      string
	enclosed  bool // not even with less isolation
	// kill is called when the read has begun, with the process; page is called after each page.
	kill func(*host.Process)
	page func(n int, p *host.Process)
}

// attempt is how a read went.
type attempt struct {
	pages     []host.Page
	err       error
	exchanges []*exchange
	log       string
}

// attempt reads a stream once, by a process of its own. What keeps the process from starting comes as the read's error.
func (s Subject) attempt(t T, stream contract.Stream, c conditions) *attempt {
	t.Helper()
	l := &line{fault: c.fault, kinds: make(map[string]int)}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := s.launch(ctx, []byte(s.Config), host.Options{
		Through: func(out http.RoundTripper) http.RoundTripper {
			l.out = s.through(out)
			return l
		},
		Skew: c.skew, Zone: c.zone, AllowNoNamespace: !c.enclosed,
	})
	if err != nil {
		return &attempt{err: err}
	}
	defer r.end()
	if c.kill != nil {
		c.kill(r.process)
	}
	a := &attempt{}
	a.err = r.process.Read(ctx, host.ReadRequest{Stream: stream, Partition: c.partition, Cursor: c.cursor, PageRecords: pageRecords}, func(_ context.Context, page host.Page) error {
		a.pages = append(a.pages, page)
		if c.page != nil {
			c.page(len(a.pages), r.process)
		}
		return nil
	})
	l.mu.Lock()
	a.exchanges = slices.Clone(l.seen)
	l.mu.Unlock()
	a.log = r.log.String()
	return a
}

// whole is a whole read on a good day; it is done once for all checks of a stream.
func (s Subject) whole(t T, stream contract.Stream) *attempt {
	t.Helper()
	s.bench.mu.Lock()
	a := s.bench.wholes[stream.Name]
	s.bench.mu.Unlock()
	if a == nil {
		a = s.attempt(t, stream, conditions{})
		s.bench.mu.Lock()
		s.bench.wholes[stream.Name] = a
		s.bench.mu.Unlock()
	}
	if a.err != nil {
		t.Fatalf("reading without any fault: %v", a.err)
	}
	return a
}

// asked is the whole read of a stream that makes requests; the check is skipped for another.
func (s Subject) asked(t T, stream contract.Stream) *attempt {
	t.Helper()
	whole := s.whole(t, stream)
	if len(whole.exchanges) == 0 {
		t.Skipf("the stream is read without HTTP")
	}
	return whole
}

// cursor is the last one that the hub would have stored.
func (a *attempt) cursor() []byte {
	for _, p := range slices.Backward(a.pages) {
		if p.Cursor != nil {
			return p.Cursor
		}
	}
	return nil
}

// content is what attempts brought together: by key the record, and how many bad things.
type content struct {
	records map[string]string
	bad     int  // said by the connector
	unfit   int  // found by the host, of which the connector does not know
	full    bool // one of them said that the snapshot is complete
}

func together(attempts ...*attempt) content {
	c := content{records: make(map[string]string)}
	for _, a := range attempts {
		for _, p := range a.pages {
			for _, r := range p.Records {
				c.records[fmt.Sprint(string(r.Key), r.Deleted)] = string(r.JSON)
			}
			for _, b := range p.Bad {
				if b.Unfit {
					c.unfit++
				} else {
					c.bad++
				}
			}
			c.full = c.full || p.SnapshotComplete
		}
	}
	return c
}

// missing counts the records that another has and this one has not.
func (c content) missing(of content) (n int) {
	for key := range of.records {
		if _, there := c.records[key]; !there {
			n++
		}
	}
	return n
}

// different counts the records that both have, with another content.
func (c content) different(from content) (n int) {
	for key, record := range from.records {
		if ours, there := c.records[key]; there && ours != record {
			n++
		}
	}
	return n
}

// verdict judges a read under a fault against the whole one. It may fail with one of the classes (none given: with any), or bring everything; it
// must lose nothing in silence, and what comes later from its cursor must make the rest whole.
func (s Subject) verdict(t T, stream contract.Stream, what string, got *attempt, classes ...sdk.Class) {
	t.Helper()
	want, have := together(s.whole(t, stream)), together(got)
	s.secretless(t, what, got)
	if got.err == nil {
		s.silent(t, what, have, want)
		return
	}
	var known *sdk.Error
	switch {
	case !errors.As(got.err, &known):
		t.Errorf("%s: the read ended with: %v", what, got.err)
		return
	case strings.Contains(known.Message, unclassified):
		t.Errorf("%s: the read fails with an error that is no *sdk.Error, so the hub cannot tell what to do; give it a class with sdk.Errorf (and return what Session.HTTP and sdk.CheckStatus give as it is, or wrapped with %%w)", what)
		return
	case len(classes) > 0 && !slices.Contains(classes, known.Class):
		t.Errorf("%s: the read fails with class %s; the class must be %s, since the hub acts by it (sdk.CheckStatus gives the right one)", what, known.Class, either(classes))
	}
	if have.full && have.missing(want) > 0 {
		t.Errorf("%s: the read says SnapshotComplete before it fails, though %d records did not come: the hub would take those back; say it at the very end", what, have.missing(want))
	}
	if known.Class == sdk.ClassCursorExpired {
		return // the hub reads anew
	}
	rest := s.attempt(t, stream, conditions{cursor: got.cursor()})
	if rest.err != nil {
		t.Errorf("%s: going on afterwards fails: %v", what, rest.err)
		return
	}
	if n := together(got, rest).missing(want); n > 0 {
		t.Errorf("%s: going on afterwards from the last checkpoint, %d of %d records are missing: a checkpoint must not come before what it covers has been read", what, n, len(want.records))
	}
}

// unclassified is what the SDK says of an error without class.
const unclassified = "unclassified error"

// silent complains if a read that says all went well lacks something.
func (s Subject) silent(t T, what string, have, want content) {
	t.Helper()
	missing, bad := have.missing(want)-max(0, have.unfit-want.unfit), have.bad-want.bad
	switch {
	case missing <= 0:
	case have.full && bad < missing:
		t.Errorf("%s: %d of %d records did not come, and yet the read says SnapshotComplete: the hub would take them back", what, missing, len(want.records))
	case bad < missing:
		t.Errorf("%s: the read says that all went well, but %d of %d records did not come; fail with an *sdk.Error, or report what cannot be read with Output.Bad", what, missing, len(want.records))
	case have.full:
		t.Errorf("%s: the read says SnapshotComplete though %d records could not be read: the hub would take them back; leave it out whenever something was bad", what, missing)
	}
}

// marker stands in answers that faults make, where a source may have somebody's data.
const marker = "Jane-Marker-Doe"

// secretless complains of secrets, or of an answer's text, in errors, cursors and logs.
func (s Subject) secretless(t T, what string, a *attempt) {
	t.Helper()
	if a.err != nil {
		if name := s.leaks(a.err.Error()); name != "" || strings.Contains(a.err.Error(), "[secret]") {
			t.Errorf("%s: a secret stands in the error; the connector must not put answers or requests into messages", what)
		}
		if strings.Contains(a.err.Error(), marker) {
			t.Errorf("%s: the error quotes the source's answer, which may hold somebody's data; name the status, the place and what to do", what)
		}
	}
	if name := s.leaks(a.log); name != "" || strings.Contains(a.log, "[secret]") {
		t.Errorf("%s: a secret stands in the log", what)
	}
	for _, p := range a.pages {
		if name := s.leaks(string(p.Cursor)); name != "" {
			t.Errorf("%s: the secret %q stands in a cursor", what, name)
		}
	}
}

func either(classes []sdk.Class) string {
	texts := make([]string, len(classes))
	for i, c := range classes {
		texts[i] = string(c)
	}
	texts = slices.Compact(texts)
	return strings.Join(texts, " or ")
}
