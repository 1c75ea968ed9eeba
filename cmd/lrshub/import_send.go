package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Bounds of one request of an import, and of how many are under way.
const (
	importBatch       = 500
	importBytes       = 8 << 20 // of statements
	importAttachments = 256 << 20
	importers         = 4
)

// line is one statement of an import.
type line struct {
	number int64 // from 1, of those that are not empty
	text   []byte
	about  attached
}

// lot is what is sent in one request: neighbours of one version.
type lot struct {
	lines []line
	v2    bool
	done  chan error
}

// statements sends all statements, several requests at a time, and keeps the checkpoint at what was acknowledged without a gap.
func (i *importing) statements(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	total := int64(-1)
	if i.in.Manifest != nil {
		total = i.in.Manifest.Statements.Count
	}
	bar := progress(i.remote, total, "statements")
	work, order := make(chan *lot), make(chan *lot, importers)
	var senders sync.WaitGroup
	for range importers {
		senders.Go(func() {
			for l := range work {
				l.done <- i.send(ctx, l.lines, l.v2)
			}
		})
	}
	acknowledged := make(chan error, 1)
	go func() {
		var failed error
		for l := range order { // the order of reading
			if err := <-l.done; err != nil && failed == nil {
				failed = err
				cancel()
			}
			if failed == nil {
				last := l.lines[len(l.lines)-1].number
				_ = bar.Set64(last)
				if failed = i.advance(last); failed != nil {
					cancel()
				}
			}
		}
		acknowledged <- failed
	}()
	read := i.cut(func(l *lot) error {
		select {
		case order <- l:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case work <- l:
			return nil
		case <-ctx.Done():
			l.done <- ctx.Err()
			return ctx.Err()
		}
	})
	close(work)
	close(order)
	senders.Wait()
	failed := <-acknowledged
	_ = bar.Finish()
	if failed != nil {
		return failed
	}
	return read
}

// cut reads the statements and cuts them into lots.
func (i *importing) cut(emit func(*lot) error) error {
	var current *lot
	size, attachments := 0, int64(0)
	flush := func() error {
		if current == nil {
			return nil
		}
		l := current
		current, size, attachments = nil, 0, 0
		return emit(l)
	}
	err := i.in.Statements(func(text []byte) error {
		i.result.Statements++
		l := line{number: i.result.Statements, text: bytes.Clone(text)}
		if err := json.Unmarshal(text, &l.about); err != nil && i.rejected == nil {
			return fmt.Errorf("statement %d is not JSON: %w", l.number, err)
		}
		if l.number <= i.checkpoint.Lines {
			i.expect(l, l.about.ID)
			return nil
		}
		v2 := strings.HasPrefix(l.about.Version, "2")
		weight := i.weight(l)
		if current != nil && (current.v2 != v2 || len(current.lines) == importBatch || size+len(text) > importBytes || attachments+weight > importAttachments) {
			if err := flush(); err != nil {
				return err
			}
		}
		if current == nil {
			current = &lot{v2: v2, done: make(chan error, 1)}
		}
		current.lines = append(current.lines, l)
		size, attachments = size+len(text), attachments+weight
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// weight is how many bytes of attachments go with a statement.
func (i *importing) weight(l line) (bytes int64) {
	for _, a := range l.about.all() {
		if f, err := i.in.Attachment(a.SHA2); err == nil {
			if info, err := f.Stat(); err == nil {
				bytes += info.Size()
			}
			f.Close()
		}
	}
	return bytes
}

// send stores statements in one request. Of those that the hub refuses it finds which one it is, by halves.
func (i *importing) send(ctx context.Context, lines []line, v2 bool) error {
	header := http.Header{"Lrshub-Import": {"true"}, "X-Experience-Api-Version": {"1.0.3"}}
	if v2 {
		header.Set("X-Experience-API-Version", "2.0.0")
	}
	ids, err := i.post(ctx, header, lines)
	if err == nil {
		for n, l := range lines {
			i.expect(l, ids[n])
		}
		return nil
	}
	var refused exitError
	if !errors.As(err, &refused) || refused.code != exitUsage && refused.code != exitConflict {
		return err
	}
	if len(lines) > 1 {
		half := len(lines) / 2
		return errors.Join(i.send(ctx, lines[:half], v2), i.send(ctx, lines[half:], v2))
	}
	if i.rejected == nil {
		return exitError{refused.code, fmt.Sprintf("statement %d: %s. Those before it are stored; mend it and run the command again, or give --rejected FILE to go on without", lines[0].number, refused.text)}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.result.Rejected++
	_, err = i.rejected.Write(append(bytes.Clone(lines[0].text), '\n'))
	return err
}

// post sends statements, with the contents of their attachments where the export has them.
func (i *importing) post(ctx context.Context, header http.Header, lines []line) ([]string, error) {
	var text bytes.Buffer
	text.WriteByte('[')
	contents := map[string]attachment{}
	for n, l := range lines {
		if n > 0 {
			text.WriteByte(',')
		}
		text.Write(l.text)
		for _, a := range l.about.all() {
			if f, err := i.in.Attachment(a.SHA2); err == nil {
				f.Close()
				contents[strings.ToLower(a.SHA2)] = a
			}
		}
	}
	text.WriteByte(']')
	body, kind := content(text.Bytes()), "application/json"
	if len(contents) > 0 {
		boundary := "lrshub-" + uuid.NewString()
		body, kind = i.parts(boundary, text.Bytes(), contents), "multipart/mixed; boundary="+boundary
	}
	header.Set("Content-Type", kind)
	var ids []string
	_, err := i.deliver(ctx, http.MethodPost, "/statements", header, body, func(answer io.Reader) error { return json.NewDecoder(answer).Decode(&ids) })
	if err == nil && len(ids) != len(lines) {
		err = fmt.Errorf("the hub acknowledged %d of %d statements", len(ids), len(lines))
	}
	return ids, err
}

// bodyMaker makes the body of a request, as often as it is sent.
type bodyMaker func() io.ReadCloser

func content(b []byte) bodyMaker {
	return func() io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
}

// parts streams a message in parts (xAPI 1.0.3 Communication 1.5.2).
func (i *importing) parts(boundary string, statements []byte, contents map[string]attachment) bodyMaker {
	return func() io.ReadCloser {
		out, in := io.Pipe()
		go func() {
			in.CloseWithError(func() error {
				w := multipart.NewWriter(in)
				if err := w.SetBoundary(boundary); err != nil {
					return err
				}
				part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/json"}})
				if err != nil {
					return err
				}
				if _, err := part.Write(statements); err != nil {
					return err
				}
				for sha2, a := range contents {
					if err := i.part(w, sha2, a); err != nil {
						return err
					}
				}
				return w.Close()
			}())
		}()
		return out
	}
}

func (i *importing) part(w *multipart.Writer, sha2 string, a attachment) error {
	f, err := i.in.Attachment(sha2)
	if err != nil {
		return err
	}
	defer f.Close()
	part, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Type": {a.ContentType}, "Content-Transfer-Encoding": {"binary"}, "X-Experience-API-Hash": {a.SHA2},
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(part, f)
	return err
}

// deliveries bounds how often a request is sent that found no hub, or one with too much to do.
const deliveries = 10

// deliver sends a request until the hub takes or refuses it. The status goes with a refusal.
func (i *importing) deliver(ctx context.Context, method, path string, header http.Header, body bodyMaker, read ...func(io.Reader) error) (status int, err error) {
	for attempt := range deliveries {
		var wait time.Duration
		status, wait, err = i.once(ctx, method, path, header, body, read)
		if err == nil || wait == 0 || ctx.Err() != nil {
			return status, err
		}
		select {
		case <-ctx.Done():
			return status, ctx.Err()
		case <-time.After(max(wait, min(500*time.Millisecond<<attempt, 30*time.Second))):
		}
	}
	return status, err
}

// once sends a request once; wait is not 0 where it is worth another try.
func (i *importing) once(ctx context.Context, method, path string, header http.Header, body bodyMaker, read []func(io.Reader) error) (status int, wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	response, err := i.xapi(ctx, method, path, header, body())
	if err != nil {
		return 0, time.Millisecond, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return response.StatusCode, time.Duration(min(seconds, 60))*time.Second + time.Millisecond, xapiError(response)
	case response.StatusCode >= 300:
		return response.StatusCode, 0, xapiError(response)
	}
	for _, r := range read {
		if err := r(response.Body); err != nil {
			return response.StatusCode, time.Millisecond, fmt.Errorf("read the hub's answer: %w", err)
		}
	}
	return response.StatusCode, 0, nil
}
