// Package cassette keeps recordings of what connectors ask their sources and are answered, to be played back offline.
//
// A recording is a folder: config.json (the configuration without secrets; ${dir} in it stands for the folder), files NAME.jsonl with exchanges,
// and perhaps other files that the connector reads. Each line of an exchange file is a JSON object, made to be read and mended by hand:
//
//	{"cassette":1,"connector":"quiz","version":"1.0.0","made":"2026-11-24T12:00:00Z"}
//	{"request":{"method":"GET","url":"https://source1.example/results?after=0"},"response":{"status":200,"header":{"Content-Type":["application/json"]},"json":[{"id":1}]}}
//
// The first line says what the file is. A body stands as "json", "text" or "base64", whichever is the most readable.
//
// Start with Read and Player to play, Recorder (recorder.go) and Scrub (scrub.go) to record.
package cassette

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrFormat is wrapped by every complaint about a recording's files.
var ErrFormat = errors.New("invalid recording")

// ConfigFile is the file of a recording that holds the connector's configuration, as JSON.
const ConfigFile = "config.json"

// Head is the first line of a file of exchanges.
type Head struct {
	Cassette  int       `json:"cassette"` // 1
	Connector string    `json:"connector"`
	Version   string    `json:"version,omitempty"`
	Made      time.Time `json:"made"`
	// Failure and Expired are what the suite tries in place of an answer: how this source says that something went wrong in an answer of 200, and
	// that it no longer knows a cursor.
	Failure string  `json:"failure,omitempty"`
	Expired *Answer `json:"expired,omitempty"`
}

// Answer is an answer of the source that was not recorded.
type Answer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header,omitempty"`
	Body   string      `json:"body,omitempty"`
}

// Exchange is one request and its answer.
type Exchange struct {
	Request  Request  `json:"request"`
	Response Response `json:"response"`
}

// Request is what the connector asked, without what the hub added to it: no secret is in it.
type Request struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	Body
}

// Response is what the source answered.
type Response struct {
	Status int         `json:"status"`
	Header http.Header `json:"header,omitempty"`
	Body
}

// Body is bytes, in one of three forms; none set: empty.
type Body struct {
	JSON   json.RawMessage `json:"json,omitempty"`
	Text   string          `json:"text,omitempty"`
	Base64 []byte          `json:"base64,omitempty"`
}

// NewBody chooses the most readable form. JSON is compacted; its numbers and the order of its members stay.
func NewBody(content []byte) Body {
	var compact bytes.Buffer
	switch {
	case len(content) == 0:
		return Body{}
	case utf8.Valid(content) && (content[0] == '{' || content[0] == '[') && json.Compact(&compact, content) == nil:
		return Body{JSON: compact.Bytes()}
	case utf8.Valid(content):
		return Body{Text: string(content)}
	}
	return Body{Base64: content}
}

// Bytes gives the body.
func (b Body) Bytes() []byte {
	switch {
	case b.JSON != nil:
		return b.JSON
	case b.Text != "":
		return []byte(b.Text)
	}
	return b.Base64
}

// Recording is a folder that was read.
type Recording struct {
	Head
	Config    []byte // ${dir} stands for the folder
	Exchanges []Exchange
}

// maxLine bounds one exchange, in bytes.
const maxLine = 64 << 20

// Read reads a recording. The error wraps ErrFormat and names file and line.
func Read(folder fs.FS) (*Recording, error) {
	config, err := fs.ReadFile(folder, ConfigFile)
	if err != nil {
		return nil, fmt.Errorf("%w: it has no %s, the connector's configuration without secrets: %w", ErrFormat, ConfigFile, err)
	}
	if !json.Valid(config) {
		return nil, fmt.Errorf("%w: %s is not JSON", ErrFormat, ConfigFile)
	}
	r := &Recording{Config: config}
	files, err := fs.Glob(folder, "*.jsonl")
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if err := r.file(folder, name); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// file adds the exchanges of one file. A file whose first line is no head is not of the recording, but one that the connector reads.
func (r *Recording) file(folder fs.FS, name string) error {
	f, err := folder.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if n == 1 {
			var head Head
			if json.Unmarshal(lines.Bytes(), &head) != nil || head.Cassette == 0 {
				return nil
			}
			if head.Cassette != 1 {
				return fmt.Errorf("%w: %s has format %d; this program knows format 1", ErrFormat, name, head.Cassette)
			}
			r.Head = head
			continue
		}
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var e Exchange
		decoder := json.NewDecoder(bytes.NewReader(bytes.Clone(lines.Bytes())))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&e); err != nil {
			return fmt.Errorf("%w: %s, line %d: %w", ErrFormat, path.Base(name), n, err)
		}
		if e.Request.Method == "" || e.Request.URL == "" || e.Response.Status < 100 {
			return fmt.Errorf("%w: %s, line %d: an exchange has request.method, request.url and response.status", ErrFormat, path.Base(name), n)
		}
		r.Exchanges = append(r.Exchanges, e)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrFormat, name, err)
	}
	return nil
}

// At gives the configuration for a recording whose other files lie in a folder.
func (r *Recording) At(dir string) string {
	quoted, _ := json.Marshal(dir)
	return strings.ReplaceAll(string(r.Config), "${dir}", string(quoted[1:len(quoted)-1]))
}

// Secret is the made-up value that stands for a secret in recordings, and that tests use.
func Secret(name string) string { return "made-up-secret-" + name }
