package main_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// bomb is a request that tries to take more than its share.
type bomb struct {
	name   string
	head   string // request line, and headers but for those that every request has
	body   func(w io.Writer)
	want   []int
	public bool // sent without a credential
}

// Bounds of what a bomb may take.
const (
	bombTime   = 10 * time.Second
	bombMemory = 512 << 20 // bytes that the hub's process grows by with 64 at once: bodies may take 320 MiB (hub/lrs), and what is no more used is not collected at once
)

const (
	post    = "POST /xapi/statements HTTP/1.1\r\nContent-Type: application/json\r\n"
	chunked = "Transfer-Encoding: chunked\r\n"
	mixed   = "POST /xapi/statements HTTP/1.1\r\nContent-Type: multipart/mixed; boundary=b\r\n"
	formed  = "POST /xapi/statements?method=POST HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	begin   = `{"actor":{"mbox":"mailto:ann@bombs.example"},"verb":{"id":"http://bombs.example/v"},"object":{"id":"http://bombs.example/a"}`
)

// repeated writes text again and again, with its number where it has a %d, between two others.
func repeated(before, text string, n int, after string) func(io.Writer) {
	return func(w io.Writer) {
		out := bufio.NewWriterSize(w, 64<<10)
		_, _ = out.WriteString(before)
		for i := range n {
			var err error
			if strings.Contains(text, "%d") {
				_, err = fmt.Fprintf(out, text, i)
			} else {
				_, err = out.WriteString(text)
			}
			if err != nil {
				return // the hub has answered, and closed
			}
		}
		_, _ = out.WriteString(after)
		_ = out.Flush()
	}
}

func squeezed(n int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	repeated("[", " ", n, "]")(z)
	_ = z.Close()
	return b.Bytes()
}

func query(parameters string) string { return "GET /xapi/statements?" + parameters + " HTTP/1.1\r\n" }

func bombs() []bomb {
	bad, large := []int{400}, []int{413}
	either := []int{400, 413}
	compressed := squeezed(100 << 20)
	gzipped := func(w io.Writer) { _, _ = w.Write(compressed) }
	none := func(io.Writer) {}
	const megabyte = 1 << 20
	return []bomb{
		{"depth of arrays", post + chunked, repeated("", "[", megabyte, ""), either, false},
		{"depth of objects", post + chunked, repeated("", `{"a":`, megabyte, ""), either, false},
		{"depth in an extension", post + chunked, repeated(begin+`,"result":{"extensions":{"http://x.example/e":`, "[", megabyte, ""), either, false},
		{"width", post + chunked, repeated("{", `"p%d":1,`, megabyte, `"q":1}`), bad, false},
		{"width of an extension", post + chunked, repeated(begin+`,"result":{"extensions":{`, `"http://x.example/%d":1,`, megabyte, `"http://x.example/q":1}}}`), large, false},
		{"one name again and again", post + chunked, repeated("{", `"id":"5b1fa8a5-04fa-4b46-9b8d-2c53a4ee4f21",`, 100_000, `"q":1}`), bad, false},
		{"one name again and again in an extension", post + chunked, repeated(begin+`,"result":{"extensions":{`, `"http://x.example/e":1,`, 40_000, `"http://x.example/e":1}}}`), bad, false},
		{"a huge number", post + chunked, repeated(begin, `,"result":{"score":{"raw":1e999999}}}`, 1, ""), bad, false},
		{"a long number", post + chunked, repeated(begin+`,"result":{"score":{"raw":`, "9", 900_000, "}}}"), bad, false},
		{"a longer number", post + chunked, repeated(begin+`,"result":{"extensions":{"http://x.example/e":`, "9", 2*megabyte, "}}}"), large, false},
		{"a long string", post + chunked, repeated(begin+`,"result":{"response":"`, "x", 10*megabyte, `"}}`), large, false},
		{"no UTF-8", post + chunked, repeated(begin+`,"result":{"response":"`, "\xff", 1, `"}}`), bad, false},
		{"half a surrogate", post + chunked, repeated(begin+`,"result":{"response":"`, `\ud800`, 1, `"}}`), bad, false},
		{"agents", post + chunked, repeated(begin+`,"context":{"team":{"objectType":"Group","member":[`, `{"mbox":"mailto:a%d@x.example"},`, 11_000, `{"mbox":"mailto:a@x.example"}]}}}`), large, false},
		{"agents in a batch", post + chunked, manyAgents(8, 9_000), large, false},
		{"context activities", post + chunked, repeated(begin+`,"context":{"contextActivities":{"other":[`, `{"id":"http://x.example/%d"},`, 100_000, `{"id":"a:b"}]}}}`), large, false},
		{"short context activities", post + chunked, repeated(begin+`,"context":{"contextActivities":{"other":[`, `{"id":"a:%d"},`, 50_000, `{"id":"a:b"}]}}}`), large, false},
		{"statements", post + chunked, repeated("["+begin+"}", ","+begin+"}", 20_000, "]"), large, false},
		{"a compressed body", post + "Content-Encoding: gzip\r\n" + fmt.Sprintf("Content-Length: %d\r\n", len(compressed)), gzipped, []int{415}, false},
		{"a compressed document", "PUT /xapi/activities/state?stateId=s&activityId=http://x.example/a&agent=" + url.QueryEscape(`{"mbox":"mailto:ann@bombs.example"}`) + " HTTP/1.1\r\nContent-Encoding: gzip\r\n" +
			fmt.Sprintf("Content-Length: %d\r\n", len(compressed)), gzipped, []int{415}, false},
		{"a body without end", post + chunked, repeated("[", " ", 80*megabyte, ""), large, false},
		{"parts without end", mixed + chunked, repeated("--b\r\nContent-Type: application/json\r\n\r\n"+begin+"}\r\n", "--b\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: aa\r\n\r\n\r\n", megabyte, ""), either, false},
		{"parts of nothing", mixed + chunked, repeated("", "--b\r\n\r\n\r\n", megabyte, ""), either, false},
		{"a part's header without end", mixed + chunked, repeated("--b\r\n", "A: b\r\n", 2*megabyte, ""), either, false},
		{"a first part without end", mixed + chunked, repeated("--b\r\nContent-Type: application/json\r\n\r\n[", " ", 80*megabyte, ""), either, false},
		{"a preamble without end", mixed + chunked, repeated("", "x", 80*megabyte, ""), either, false},
		{"a long query", query("verb=" + strings.Repeat("x", 900_000)), none, bad, false},
		{"many parameters", query(strings.Repeat("a=b&", 200_000)), none, bad, false},
		{"deep agents", query("agent=" + strings.Repeat("%5B", 300_000)), none, bad, false},
		{"a wide agent", query("agent=" + url.QueryEscape(`{"objectType":"Group","member":[`+strings.Repeat(`{"mbox":"mailto:a@x.example"},`, 11_000)+`{"mbox":"mailto:a@x.example"}]}`)), none, either, false},
		{"a long header", query("limit=1") + "X-Long: " + strings.Repeat("x", 2*megabyte) + "\r\n", none, []int{431}, false},
		{"many headers", query("limit=1") + strings.Repeat("X-Many: x\r\n", 200_000), none, []int{431}, false},
		{"a long language", query("format=canonical&limit=1") + "Accept-Language: " + strings.Repeat("de-CH-1996-x-a-b,", 50_000) + "\r\n", none, []int{200, 400}, false},
		{"garbage for more", query("more=" + strings.Repeat("AAAA", 100_000)), none, bad, false},
		{"many tags", "DELETE /xapi/activities/state?stateId=s&activityId=a:b&agent=" + url.QueryEscape(`{"mbox":"mailto:ann@bombs.example"}`) + " HTTP/1.1\r\nIf-Match: " + strings.Repeat("a,", 400_000) + "\r\n", none, []int{400, 412}, false},
		{"a form of a stranger", formed + chunked, repeated("content=", "x", 6*megabyte, ""), large, true},
		{"a wide form of a stranger", formed + chunked, repeated("", "a%d=&", 300_000, ""), either, true},
		{"a body of a stranger", post + chunked, repeated("[", " ", 6*megabyte, "]"), []int{401}, true},
	}
}

// manyAgents writes a batch whose statements have each as many agents as one may.
func manyAgents(batch, members int) func(io.Writer) {
	return func(w io.Writer) {
		for i := range batch {
			before := ","
			if i == 0 {
				before = "["
			}
			repeated(before+begin+`,"context":{"team":{"objectType":"Group","member":[{"mbox":"mailto:a@x.example"}`, fmt.Sprintf(`,{"mbox":"mailto:a%d-%%d@x.example"}`, i), members, `]}}}`)(w)
		}
		_, _ = io.WriteString(w, "]")
	}
}

// throw sends a bomb by hand and gives the status of the answer; 0: the connection was closed without one.
func (b bomb) throw(hub *trial.Hub, token string) (int, error) {
	conn, err := net.Dial("tcp", hub.Listen)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(4 * bombTime))
	written := make(chan struct{})
	go func() {
		defer close(written)
		head := b.head + "Host: x\r\nX-Experience-API-Version: 1.0.3\r\nConnection: close\r\n"
		if parts := strings.SplitN(token, "_", 3); !b.public {
			head += "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(parts[1]+":"+parts[2])) + "\r\n"
		}
		if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
			return
		}
		if !strings.Contains(b.head, chunked) {
			b.body(conn)
			return
		}
		b.body(chunks{conn})
		_, _ = io.WriteString(conn, "0\r\n\r\n")
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	conn.Close()
	<-written
	if err != nil {
		return 0, err
	}
	return response.StatusCode, nil
}

type chunks struct{ conn io.Writer }

func (c chunks) Write(p []byte) (int, error) {
	if _, err := fmt.Fprintf(c.conn, "%x\r\n%s\r\n", len(p), p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Every bomb is refused with 4xx, in bounded time when it comes alone; with 64 of them at once the hub may also say 503, in bounded memory. All the while and
// afterwards it serves others.
func TestBombs(t *testing.T) {
	t.Parallel()
	hub := freshHub(t)
	up(t, hub)
	admin := person{t: t, hub: hub}
	token := admin.client("bombs", "all").token
	client := person{t, hub, token}
	ordinary := func() {
		t.Helper()
		if status, text := client.xapi(http.MethodPost, "/xapi/statements", begin+"}"); status != 200 {
			t.Errorf("an ordinary statement: %d %s", status, text)
		}
	}
	ordinary()
	list := bombs()
	for _, b := range list {
		began := time.Now()
		status, err := b.throw(hub, token)
		took := time.Since(began)
		if err != nil || !slices.Contains(b.want, status) {
			t.Errorf("%s: %d, want %v, %v", b.name, status, b.want, err)
		}
		if took > bombTime {
			t.Errorf("%s: took %v", b.name, took)
		}
		if took > time.Second {
			t.Logf("%s: %v", b.name, took.Round(time.Millisecond))
		}
	}
	before := trial.PSS(hub.PID())
	peak, stop := watchMemory(hub)
	var group sync.WaitGroup
	for i := range 2 * 64 {
		group.Go(func() {
			b := list[i%len(list)]
			if status, err := b.throw(hub, token); err != nil || !slices.Contains(append([]int{503}, b.want...), status) {
				t.Errorf("%s with others: %d, want %v or 503, %v", b.name, status, b.want, err)
			}
		})
		if i == 63 {
			group.Wait()
			ordinary()
		}
	}
	group.Wait()
	stop()
	grown := peak.Load() - before
	t.Logf("%d MiB before, at most %d MiB more with 64 at once", before>>20, grown>>20)
	if grown > bombMemory {
		t.Errorf("the hub has grown by %d MiB", grown>>20)
	}
	ordinary()
	slowAndMany(t, client)
}

// watchMemory notes the most memory that the hub's process has, until it is stopped.
func watchMemory(hub *trial.Hub) (peak *atomic.Int64, stop func()) {
	peak, end, ended := &atomic.Int64{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			peak.Store(max(peak.Load(), trial.PSS(hub.PID())))
			select {
			case <-end:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return peak, func() { close(end); <-ended }
}

// slowAndMany: a thousand connections that say nothing, and some whose headers trickle in, are ended in time, and keep nobody out meanwhile. (Bodies that trickle are
// tested in hub/lrs, with less patience.)
func slowAndMany(t *testing.T, client person) {
	began := time.Now()
	var group sync.WaitGroup
	for i := range 1000 {
		conn, err := net.Dial("tcp", client.hub.Listen)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			defer conn.Close()
			_ = conn.SetDeadline(began.Add(time.Minute))
			if i%10 == 0 {
				group.Go(func() {
					for _, c := range []byte(post + strings.Repeat("X-Slow: x\r\n", 100)) {
						if _, err := conn.Write([]byte{c}); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				})
			}
			if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("a connection that is slow: %v", err)
			}
		})
	}
	if status, text := client.xapi(http.MethodPost, "/xapi/statements", begin+"}"); status != 200 {
		t.Errorf("an ordinary statement beside a thousand connections: %d %s", status, text)
	}
	group.Wait()
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("slow connections lived for %v", took)
	}
}
