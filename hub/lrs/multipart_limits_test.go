package lrs

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/blob"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/pace"
	"github.com/lrshub/lrshub/hub/xapi"
)

// stream sends a body of no known length.
func (c caller) stream(method, path string, body io.Reader) *http.Response {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, c.server.URL+path, body)
	if err != nil {
		c.Fatal(err)
	}
	r.SetBasicAuth(c.key, c.secret)
	r.Header.Set("X-Experience-API-Version", c.version)
	r.Header.Set("Content-Type", "multipart/mixed; boundary="+boundary)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { response.Body.Close() })
	return response
}

// noise is the same random bytes for the same seed.
func noise(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{9}), size)
}

// grown measures by how much the live heap grows at most while something is done.
func grown(do func()) int64 {
	live := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most := live(), int64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				most = max(most, live()-before)
			}
		}
	}()
	do()
	close(stop)
	<-stopped
	return most
}

// An attachment of 100 MB goes in and out, and neither way is it ever in memory.
func TestLargeAttachmentInFlatMemory(t *testing.T) {
	const size, bound = 100 << 20, 16 << 20
	w := newWorld(t)
	w.withBlobs()
	c := w.client(databasetest.Default, "1.0.3", "all")
	sum := sha256.New()
	if _, err := io.Copy(sum, noise(size)); err != nil {
		t.Fatal(err)
	}
	hash := hex.EncodeToString(sum.Sum(nil))
	id := uuid.NewString()
	began := time.Now()
	in := grown(func() {
		head := first(said("ann", "wrote", "film", with(attached(hash, size, "")))) + strings.TrimSuffix(binary("", hash), "\r\n")
		response := c.stream("PUT", statements+"?statementId="+id, io.MultiReader(strings.NewReader(head), noise(size), strings.NewReader("\r\n"+end)))
		equal(t, "PUT", response.StatusCode, 204)
	})
	t.Logf("in: %d MB/s, %d KiB", int(100/time.Since(began).Seconds()), in>>10)
	databasetest.Settle(t, w.db)
	began = time.Now()
	var got int64
	out := grown(func() {
		response := c.stream("GET", statements+"?attachments=true&statementId="+id, nil)
		_, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		sum.Reset()
		parts := multipart.NewReader(response.Body, parameters["boundary"])
		for range 2 {
			part, err := parts.NextRawPart()
			if err != nil {
				t.Fatal(err)
			}
			sum.Reset()
			if got, err = io.Copy(sum, part); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Logf("out: %d MB/s, %d KiB", int(100/time.Since(began).Seconds()), out>>10)
	if got != size || hex.EncodeToString(sum.Sum(nil)) != hash {
		t.Errorf("%d bytes came back", got)
	}
	if in > bound || out > bound {
		t.Errorf("memory grew by %d MiB in, %d MiB out", in>>20, out>>20)
	}
}

// Whatever has no end is ended, and leaves nothing.
func TestEndlessParts(t *testing.T) {
	w := newWorld(t)
	dir := w.withBlobs()
	c := w.client(databasetest.Default, "2.0.0", "all")
	one := first(said("ann", "wrote", "essay", with(attached(sha2(small), len(small), ""))))
	for name, r := range map[string]struct {
		status int
		head   string
		again  string
	}{
		"a preamble":               {400, "", "x\r\n"},
		"statements":               {413, "--" + boundary + "\r\nContent-Type: application/json\r\n\r\n[", strings.Repeat(" ", 1000)},
		"a header's lines":         {400, one + "--" + boundary + "\r\n", "X: y\r\n"},
		"one line of a header":     {400, one + "--" + boundary + "\r\nX: ", "y"},
		"parts of what nobody has": {400, one, binary("x", sha2("x"))},
		"parts again and again":    {413, one, binary(small, sha2(small))},
		"a signature": {413, first(said("ann", "wrote", "essay", with(strings.Replace(strings.Replace(attached(sha2(small), 1, ""), "https://school.example/usage", xapi.SignatureUsage, 1), "text/plain", xapi.SignatureType, 1)))) +
			strings.TrimSuffix(section("", "Content-Transfer-Encoding: binary", "X-Experience-API-Hash: "+sha2(small)), "\r\n"), strings.Repeat("x", 1000)},
	} {
		began := time.Now()
		head := &counted{Reader: io.MultiReader(strings.NewReader(r.head), &endless{text: r.again})}
		status := c.refuses(head)
		if status != r.status {
			t.Errorf("%s: %d, want %d", name, status, r.status)
		}
		if d := time.Since(began); d > 30*time.Second || head.n > 200<<20 {
			t.Errorf("%s: %s, %d bytes", name, d, head.n)
		}
	}
	equal(t, "a length beyond the limit", c.declares(2<<30), 413)
	equal(t, "blobs", files(t, dir), 0)
}

// refuses sends a body until the answer is there. The server need not read all of it.
func (c caller) refuses(body io.Reader) int {
	c.Helper()
	conn := c.dial("POST", -1)
	go func() {
		chunks := bufio.NewWriterSize(chunker{conn}, 32<<10)
		_, _ = io.Copy(chunks, body) // ends when the server closes
	}()
	return c.status(conn)
}

// declares sends a header with a length, and no body.
func (c caller) declares(length int64) int { return c.status(c.dial("POST", length)) }

// dial begins a request on a connection of its own.
func (c caller) dial(method string, length int64) net.Conn {
	c.Helper()
	u, err := url.Parse(c.server.URL)
	if err != nil {
		c.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { conn.Close() })
	r, err := http.NewRequest(method, c.server.URL, nil)
	if err != nil {
		c.Fatal(err)
	}
	r.SetBasicAuth(c.key, c.secret)
	size := "Transfer-Encoding: chunked"
	if length >= 0 {
		size = fmt.Sprint("Content-Length: ", length)
	}
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nX-Experience-API-Version: %s\r\nContent-Type: multipart/mixed; boundary=%s\r\n%s\r\n\r\n",
		method, statements, u.Host, r.Header.Get("Authorization"), c.version, boundary, size)
	return conn
}

func (c caller) status(conn net.Conn) int {
	c.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		c.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		c.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// chunker writes each piece as a chunk of HTTP.
type chunker struct{ w io.Writer }

func (c chunker) Write(p []byte) (int, error) {
	if _, err := fmt.Fprintf(c.w, "%x\r\n%s\r\n", len(p), p); err != nil {
		return 0, err
	}
	return len(p), nil
}

type counted struct {
	io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// endless repeats a text for ever.
type endless struct {
	text string
	rest string
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if e.rest == "" {
			e.rest = e.text
		}
		m := copy(p[n:], e.rest)
		n, e.rest = n+m, e.rest[m:]
	}
	return n, nil
}

// FuzzMultipart reads whatever comes as a message in parts. What is accepted must be what it says, what is refused must be refused by a word of ours, and nothing may be left.
func FuzzMultipart(f *testing.F) {
	statement := said("ann", "wrote", "essay", with(attached(sha2(small), len(small), "")))
	long := strings.Repeat("x", 70_000)
	for _, seed := range []string{
		first(statement) + binary(small, sha2(small)) + end,
		first("["+statement+","+statement+"]") + binary(small, sha2(small)) + binary(small, sha2(small)) + end,
		first(said("ann", "wrote", "essay", with(attached(sha2(long), len(long), "")))) + binary(long, sha2(long)) + end,
		first(statement) + binary(small+"x", sha2(small)) + end,
		first(said("ann", "wrote", "essay", "")) + end,
		first("[]") + end, end, "", "--" + boundary, first(statement) + "--" + boundary + "\r\nX-Experience-API-Hash: \r\n", strings.Repeat("\r\n--"+boundary+"\r\n\r\n", 20),
		"preamble\r\n" + first(statement) + binary(small, strings.ToUpper(sha2(small))) + end + "epilogue",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	folder, err := blob.OpenFolder(dir)
	if err != nil {
		f.Fatal(err)
	}
	road := ingest.New(nil, nil, nil, "https://hub.example", time.Now) // what reads parts needs no database
	road.UseBlobs(folder)
	face := &face{writer: road}
	f.Fuzz(func(t *testing.T, body []byte) {
		parts := &partsReader{body: &partsBody{Body: pace.Of(bytes.NewReader(body), nil, pace.Patience)}, memory: newBudget(bodiesMemory, smallMemory).share(t.Context(), "")}
		parts.reader = multipart.NewReader(parts.body, boundary)
		d, err := face.collect(databasetest.Default, parts, func(text []byte) ([]*xapi.Statement, error) { return xapi.ParseBatch(text, xapi.V1, 100) })
		if err != nil {
			wantOurs(t, parts, err)
		} else {
			wantTrue(t, body)
			d.Close()
		}
		if n := files(t, dir); n != 0 {
			t.Fatalf("%d blobs are left", n)
		}
	})
}

// wantOurs checks that an error says what is wrong, and is none of a library's.
func wantOurs(t *testing.T, parts *partsReader, err error) {
	var ours problem
	var refused *ingest.AttachmentError
	var invalid *xapi.Error
	if !parts.cut(err) && !errors.As(err, &ours) && !errors.As(err, &refused) && !errors.As(err, &invalid) {
		t.Fatalf("an error of its own kind: %v", err)
	}
}

// wantTrue reads an accepted message once more, by the library alone: every part after the statements has the hash that its header says, and a statement names it.
func wantTrue(t *testing.T, body []byte) {
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	named := map[string]bool{}
	for n := 0; ; n++ {
		part, err := reader.NextRawPart()
		if err == io.EOF && n > 0 {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			batch, err := xapi.ParseBatch(text, xapi.V1, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range batch {
				for _, a := range st.Attachments {
					named[strings.ToLower(a.SHA2)] = true
				}
			}
			continue
		}
		hash := strings.ToLower(strings.TrimSpace(part.Header.Get(hashHeader)))
		if !named[hash] || len(hash) == 64 && sha2(string(text)) != hash {
			t.Fatalf("part %d was accepted", n)
		}
	}
}
