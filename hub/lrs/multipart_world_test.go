package lrs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/hub/blob"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/ingest"
)

// withBlobs gives the face's roads a folder for large attachments.
func (w *world) withBlobs() (dir string) {
	w.Helper()
	dir = w.TempDir()
	folder, err := blob.OpenFolder(dir)
	if err != nil {
		w.Fatal(err)
	}
	w.face.writer.(*ingest.Road).UseBlobs(folder)
	w.face.reader.(*disclose.Road).UseBlobs(folder)
	return dir
}

func files(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const boundary = "-------314159265358979323846"

// section is one part of a message as it travels: header lines, and content.
func section(content string, header ...string) string {
	return "--" + boundary + "\r\n" + strings.Join(header, "\r\n") + "\r\n\r\n" + content + "\r\n"
}

const end = "--" + boundary + "--\r\n"

func first(statements string) string { return section(statements, "Content-Type: application/json") }

func binary(content, hash string) string {
	return section(content, "Content-Type:text/plain", "Content-Transfer-Encoding:binary", "X-Experience-API-Hash:"+hash)
}

func sha2(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func attached(hash string, length int, more string) string {
	return fmt.Sprintf(`{"usageType":"https://school.example/usage","display":{"en":"essay"},"contentType":"text/plain","length":%d,"sha2":"%s"%s}`, length, hash, more)
}

func with(attachments ...string) string {
	return `,"attachments":[` + strings.Join(attachments, ",") + `]`
}

func (c caller) parts(method, path string, sections ...string) answer {
	c.Helper()
	return c.do(method, path, strings.Join(sections, ""), "Content-Type", "multipart/mixed; boundary="+boundary)
}

// message is an answer in parts, read: the first part, and the others by hash.
type message struct {
	statements []byte
	contents   map[string]string
	types      map[string]string
}

func (c caller) message(a answer) message {
	c.Helper()
	m := message{contents: map[string]string{}, types: map[string]string{}}
	kind, parameters, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" || a.status != 200 {
		c.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	reader := multipart.NewReader(strings.NewReader(a.body), parameters["boundary"])
	for n := 0; ; n++ {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			c.Fatal(err)
		}
		text, err := io.ReadAll(part)
		if err != nil {
			c.Fatal(err)
		}
		if n == 0 {
			equal(c, "the first part", part.Header.Get("Content-Type"), "application/json")
			m.statements = text
			continue
		}
		hash := part.Header.Get(hashHeader)
		if _, twice := m.contents[hash]; twice || part.Header.Get("Content-Transfer-Encoding") != "binary" {
			c.Errorf("part %d: %v", n, part.Header)
		}
		m.contents[hash], m.types[hash] = string(text), part.Header.Get("Content-Type")
	}
	return m
}

var (
	small = "here is a simple attachment"
	large = strings.Repeat("here is a long attachment\r\n--", 10_000)
)
