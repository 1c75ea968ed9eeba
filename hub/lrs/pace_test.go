package lrs

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// byHand is a request that is sent by hand, from a loopback address of its own.
type byHand struct {
	from         string // "": any
	method, path string
	kind         string // Content-Type
	more         string // further headers, a line each
	length       int
}

// begin sends the header. A caller without a key sends no credential.
func (c caller) begin(h byHand) net.Conn {
	c.Helper()
	dialer := net.Dialer{}
	if h.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(h.from)}
	}
	conn, err := dialer.DialContext(c.Context(), "tcp", c.server.Listener.Addr().String())
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { conn.Close() })
	r := http.Request{Header: http.Header{}}
	if c.key != "" {
		r.SetBasicAuth(c.key, c.secret)
		h.more += "Authorization: " + r.Header.Get("Authorization") + "\r\n"
	}
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nX-Experience-API-Version: 1.0.3\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n", h.method, h.path, h.kind, h.length, h.more)
	return conn
}

// trickle sends a text in pieces until it is sent or the server has enough.
func trickle(conn net.Conn, text string, piece int, pause time.Duration) {
	for rest := text; rest != ""; rest = rest[min(piece, len(rest)):] {
		if _, err := io.WriteString(conn, rest[:min(piece, len(rest))]); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

const formType = "application/x-www-form-urlencoded"

// A body of any kind may take longer than there is patience as long as it arrives at a pace; one that trickles or stops is ended, and leaves nothing.
func TestPace(t *testing.T) {
	w := newWorld(t)
	dir := w.withBlobs()
	w.face.patience = 500 * time.Millisecond
	c := w.client(databasetest.Default, "1.0.3", "all")
	const size = 640 << 10
	text, space := strings.Repeat("x", size), strings.Repeat(" ", size)
	for name, r := range map[string]struct {
		byHand
		body   string
		status int
	}{
		"statements": {byHand{method: "POST", path: statements, kind: "application/json"}, "[" + space + said("ann", "tried", "a", "") + "]", 200},
		"in parts": {byHand{method: "POST", path: statements, kind: "multipart/mixed; boundary=" + boundary},
			first(said("ann", "wrote", "essay", with(attached(sha2(text), len(text), "")))) + binary(text, sha2(text)) + end, 200},
		"a document": {byHand{method: "PUT", path: "/xapi/activities/profile?activityId=http://x.example/a&profileId=p", kind: "text/plain", more: "If-None-Match: *\r\n"}, text, 204},
		"a form":     {byHand{method: "POST", path: statements + "?method=POST", kind: formType}, "content=[" + strings.Repeat("+", size) + escape(said("ann", "tried", "a", "")) + "]", 200},
	} {
		r.length = len(r.body)
		send := func(piece int, pause time.Duration) (int, time.Duration) {
			conn, began := c.begin(r.byHand), time.Now()
			go trickle(conn, r.body, piece, pause)
			return c.status(conn), time.Since(began)
		}
		for slow, s := range map[string]struct {
			piece int
			pause time.Duration
		}{"a trickle": {100, 50 * time.Millisecond}, "a stop": {300 << 10, time.Minute}} {
			if status, took := send(s.piece, s.pause); status != 408 || took > 5*time.Second {
				t.Errorf("%s, %s: %d after %s", name, slow, status, took)
			}
		}
		if status, took := send(64<<10, 120*time.Millisecond); status != r.status || took < 2*w.face.patience {
			t.Errorf("%s at a pace: %d after %s", name, status, took)
		}
	}
	equal(t, "blobs", files(t, dir), 1)
}

// stalled begins bodies, sends a part of each, and waits until one holds memory of what is common.
func (c caller) stalled(of *budget, n, sent int, h byHand) (list []net.Conn) {
	c.Helper()
	for range n {
		conn := c.begin(h)
		if _, err := io.WriteString(conn, "content="+strings.Repeat("+", sent)); err != nil {
			c.Fatal(err)
		}
		list = append(list, conn)
	}
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		of.mu.Lock()
		held := len(of.senders)
		of.mu.Unlock()
		if held > 0 {
			return list
		}
		if time.Since(began) > 10*time.Second {
			c.Fatal("nobody holds what is common")
		}
	}
}

// Strangers who begin large forms and stop keep out neither small requests nor the large ones of others.
func TestStalledStrangers(t *testing.T) {
	w := newWorld(t)
	w.face.patience = time.Minute // they are not sent away while this test runs; TestPace shows that they are
	c, stranger := w.client(databasetest.Default, "1.0.3", "all"), caller{world: w}
	stopped := stranger.stalled(w.face.forms, 8, 1900<<10, byHand{from: "127.0.0.2", method: "POST", path: statements + "?method=POST", kind: formType, length: maxForm})
	for _, size := range []int{10, 200 << 10, 3 << 20} {
		content := "content=[" + strings.Repeat("+", size) + escape(said("ann", "tried", "a", "")) + "]"
		conn := c.begin(byHand{method: "POST", path: statements + "?method=POST", kind: formType, length: len(content)})
		go trickle(conn, content, len(content), 0)
		equal(t, fmt.Sprint("a form of ", size), c.status(conn), 200)
	}
	for _, conn := range stopped {
		conn.Close()
	}
	c.givenBack(w.face.forms, formsMemory)
}

// So it is with a client: the small statements of others go in, and the larger ones too.
func TestStalledClient(t *testing.T) {
	w := newWorld(t)
	w.face.bodies = newBudget(16<<20, 1<<20)
	w.face.bodies.patience, w.face.patience = time.Second, time.Minute
	stalling, c := w.client(databasetest.Default, "1.0.3", "all"), w.client(databasetest.Default, "1.0.3", "all")
	stopped := stalling.stalled(w.face.bodies, 6, 900<<10, byHand{method: "POST", path: statements, kind: "application/json", length: 4 << 20})
	for _, size := range []int{10, 200 << 10, 900 << 10} {
		equal(t, fmt.Sprint("statements of ", size), c.do("POST", statements, "["+strings.Repeat(" ", size)+said("ann", "tried", "a", "")+"]").status, 200)
	}
	for _, conn := range stopped {
		conn.Close()
	}
	c.givenBack(w.face.bodies, 16<<20)
}

// givenBack waits until nobody holds anything of a budget.
func (c caller) givenBack(b *budget, room int64) {
	c.Helper()
	for began := time.Now(); !b.common.TryAcquire(room); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			c.Fatal("not all is given back")
		}
	}
	b.common.Release(room)
}
