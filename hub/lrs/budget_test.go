package lrs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// left tells how many bytes of what is common nobody holds.
func (b *budget) left(t *testing.T, of int64) int64 {
	t.Helper()
	for n := of; n >= 0; n-- {
		if b.common.TryAcquire(n) {
			b.common.Release(n)
			return n
		}
	}
	return -1
}

func TestShareReads(t *testing.T) {
	const size = 1 << 20
	for _, length := range []int{0, 1, smallest - 1, smallest, smallest + 1, 16*smallest + 7, 300_000} {
		for name, claim := range map[string]int64{"told": int64(length), "not told": -1, "told too little": int64(length / 2)} {
			want := []byte(strings.Repeat("x", length))
			b := newBudget(2*size, 0)
			s := b.share(t.Context(), "ann")
			got, err := s.read(iotest.DataErrReader(bytes.NewReader(want)), size/2, claim, 2)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %s: %d, %v", length, name, len(got), err)
			}
			if held := s.unmetered + s.common; held < int64(2*length) || held > int64(4*length+4*smallest) {
				t.Errorf("%d bytes, %s: %d held", length, name, held)
			}
			if s.giveBack(); b.left(t, 2*size) != 2*size || len(b.senders) > 0 {
				t.Errorf("%d bytes, %s: not all was given back", length, name)
			}
		}
	}
}

func TestShareReadsUpToItsLimit(t *testing.T) {
	for length, want := range map[int]bool{9_999: true, 10_000: true, 10_001: false, 50_000: false} {
		for _, claim := range []int64{-1, int64(length)} {
			s := newBudget(1<<20, 0).share(t.Context(), "ann")
			_, err := s.read(strings.NewReader(strings.Repeat("x", length)), 10_000, claim, 1)
			var tooBig *http.MaxBytesError
			if want != (err == nil) || !want && (!errors.As(err, &tooBig) || tooBig.Limit != 10_000) || s.unmetered+s.common > 10_001 {
				t.Errorf("%d bytes: %v, %d held", length, err, s.unmetered+s.common)
			}
		}
	}
}

// A length that is only claimed holds next to nothing.
func TestShareBelievesNoClaim(t *testing.T) {
	s := newBudget(1<<20, 0).share(t.Context(), "ann")
	body, end := io.Pipe()
	go func() { _, _ = end.Write([]byte("{")); end.CloseWithError(io.ErrUnexpectedEOF) }()
	if _, err := s.read(body, 1<<50, 1<<40, 1); !errors.Is(err, io.ErrUnexpectedEOF) || s.unmetered+s.common > 64<<10 {
		t.Errorf("%v, %d held", err, s.unmetered+s.common)
	}
}

func TestShareWaits(t *testing.T) {
	b := newBudget(10, 0)
	b.unmetered, b.patience = 0, 50*time.Millisecond
	first, second := b.share(t.Context(), "ann"), b.share(t.Context(), "bob")
	if err := first.take(8); err != nil {
		t.Fatal(err)
	}
	if err := second.take(3); !errors.Is(err, errCrowded) || second.common != 0 {
		t.Errorf("taken from what another holds: %v, %d", err, second.common)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.share(gone, "eve").take(3); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever is gone: %v", err)
	}
	b.patience = time.Minute
	time.AfterFunc(20*time.Millisecond, first.giveBack)
	if err := second.take(10); err != nil {
		t.Errorf("given back, and not had: %v", err)
	}
}

// One sender holds a quarter, or one request; what is kept for small requests is theirs whoever holds the rest, and a part of it each.
func TestShareOfOneSender(t *testing.T) {
	b := newBudget(8<<20, 3<<20)
	b.unmetered, b.patience = 0, 50*time.Millisecond
	share := func(who string, bytes int64) (*share, error) {
		s := b.share(t.Context(), who)
		return s, s.take(bytes)
	}
	large, err := share("ann", 5<<20)
	if err != nil || large.common != 5<<20 || large.part != 2<<20 {
		t.Fatalf("more than a quarter at once: %v, %+v", err, large)
	}
	another, err := share("ann", 1<<20+1)
	if !errors.Is(err, errCrowded) {
		t.Errorf("more while she holds her quarter: %v", err)
	}
	another.giveBack()
	if s, err := share("bob", 2<<20); err != nil || s.common != 2<<20 {
		t.Errorf("what another takes: %v", err)
	} else if err := s.take(1); err != nil || s.small != 1 {
		t.Errorf("and a byte more: %v", err)
	} else {
		s.giveBack()
	}
	for i := range 4 {
		s, err := share("ann", 1<<20)
		if got := err == nil && s.small == 1<<20; got != (i < 3) || s.common != 0 {
			t.Errorf("small request %d: %v, %+v", i, err, s)
		}
		defer s.giveBack()
	}
	large.giveBack()
	if s, err := share("ann", 1<<20); err != nil || s.common != 1<<20 {
		t.Errorf("a small request where only what is common is left: %v", err)
	} else {
		s.giveBack()
	}
	if len(b.senders) != 1 { // the fourth of the small ones is not given back yet
		t.Errorf("%d senders are kept", len(b.senders))
	}
}

// Bodies that are under way hold memory. Who finds none gets 503 and is told when to come again; when the others are done it is served. Strangers, who can only send
// forms, keep nobody out.
func TestBodiesShareMemory(t *testing.T) {
	w := newWorld(t)
	const room = 1 << 20
	w.face.bodies, w.face.forms = newBudget(room, 0), newBudget(room, 0)
	w.face.bodies.patience, w.face.forms.patience = 100*time.Millisecond, 100*time.Millisecond
	c := w.client(databasetest.Default, "1.0.3", "all")
	body := "[" + strings.Repeat(" ", room/4) + said("ann", "tried", "a", "") + "]"

	var waiting sync.WaitGroup
	var opened []*io.PipeWriter
	hold := func(path, kind string, of *budget) { // sends most of what there is room for, and not the end
		reader, writer := io.Pipe()
		opened = append(opened, writer)
		r, err := http.NewRequestWithContext(t.Context(), "POST", w.server.URL+path, reader)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(c.key, c.secret)
		r.Header.Set("X-Experience-API-Version", "1.0.3")
		r.Header.Set("Content-Type", kind)
		waiting.Go(func() {
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			if response.StatusCode != 400 {
				t.Errorf("a body that is no JSON: %d", response.StatusCode)
			}
		})
		if _, err := writer.Write(bytes.Repeat([]byte(" "), 200<<10)); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); of.left(t, room) > room-600<<10; time.Sleep(5 * time.Millisecond) {
			if time.Since(began) > 10*time.Second {
				t.Fatal("a body that is under way holds no memory")
			}
		}
	}
	hold("/xapi/statements?method=POST", "application/x-www-form-urlencoded", w.face.forms)
	if a := c.do("POST", statements, body); a.status != 200 {
		t.Errorf("while a form is under way: %d %s", a.status, a.body)
	}
	hold(statements, "application/json", w.face.bodies)
	form := "X-Experience-API-Version=1.0.3&content=" + strings.Repeat("+", 200<<10)
	document := "/xapi/activities/profile?activityId=http://x.example/a&profileId=p"
	for name, a := range map[string]answer{
		"statements": c.do("POST", statements, body), "a document": c.do("PUT", document, body, "If-None-Match", "*"),
		"a form":   c.do("POST", statements+"?method=POST", form, "Content-Type", "application/x-www-form-urlencoded"),
		"in parts": c.do("POST", statements, "--b\r\nContent-Type: application/json\r\n\r\n"+body+"\r\n--b--\r\n", "Content-Type", "multipart/mixed; boundary=b"),
	} {
		if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "too many large requests") {
			t.Errorf("%s without room: %d %s", name, a.status, a.body)
		}
	}
	if a := c.do("POST", statements, said("ann", "tried", "a", "")); a.status != 200 {
		t.Errorf("a small request: %d %s", a.status, a.body)
	}
	for _, o := range opened {
		o.Close()
	}
	waiting.Wait()
	if a := c.do("POST", statements, body); a.status != 200 {
		t.Errorf("when the others are done: %d %s", a.status, a.body)
	}
	for name, b := range map[string]*budget{"bodies": w.face.bodies, "forms": w.face.forms} {
		if left := b.left(t, room); left != room {
			t.Errorf("%s: %d of %d bytes are not given back", name, room-left, room)
		}
	}
}
