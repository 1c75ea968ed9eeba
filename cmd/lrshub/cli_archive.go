package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/lrshub/lrshub/cmd/internal/archive"
)

// exportArchive writes everything that the credential may see into a folder, and goes on where an earlier one broke off.
func exportArchive(ctx context.Context, r *remote, dir string) error {
	if err := r.locate(); err != nil {
		return err
	}
	w, err := archive.Create(dir, r.url)
	if err != nil {
		return err
	}
	if w.Cursor() != "" {
		r.say("going on after %d statements", w.Count())
	}
	bar := progress(r, -1, "statements")
	begun, err := r.hubTime(ctx)
	if err != nil {
		return err
	}
	err = r.feedUntil(ctx, w.Cursor(), func(through time.Time) bool { return through.After(begun) }, func(line []byte, cursor string) error {
		if err := r.fetchAttachments(ctx, w, line); err != nil {
			return err
		}
		if err := w.Statement(line, cursor); err != nil {
			return err
		}
		if w.Count()%1000 == 0 {
			_ = bar.Set64(w.Count())
		}
		return nil
	})
	if err != nil {
		return errors.Join(exitError{exitPartly, fmt.Sprintf("the export broke off after %d statements: run the same command again, it goes on: %v", w.Count(), err)}, w.Flush())
	}
	_ = bar.Finish()
	m, err := w.Documents(func(add func([]byte) error) error { return r.documents(ctx, add) })
	if err != nil {
		return err
	}
	r.say("%d statements, %d contents of attachments, %d documents in %s", m.Statements.Count, m.Attachments, m.Documents.Count, dir)
	return nil
}

// attached is what a statement says of its attachments.
type attached struct {
	ID          string       `json:"id"`
	Version     string       `json:"version"`
	Attachments []attachment `json:"attachments"`
	Object      struct {
		Attachments []attachment `json:"attachments"`
	} `json:"object"`
}

type attachment struct {
	SHA2        string `json:"sha2"`
	ContentType string `json:"contentType"`
	FileURL     string `json:"fileUrl"`
}

func (a attached) all() []attachment { return slices.Concat(a.Attachments, a.Object.Attachments) }

// fetchAttachments brings the contents of a statement's attachments that the hub keeps into the archive.
func (r *remote) fetchAttachments(ctx context.Context, w *archive.Writer, statement []byte) error {
	if !bytes.Contains(statement, []byte(`"attachments"`)) {
		return nil
	}
	var st attached
	if err := json.Unmarshal(statement, &st); err != nil {
		return fmt.Errorf("a statement is not JSON: %w", err)
	}
	missing := false
	for _, a := range st.all() {
		known, err := w.Has(a.SHA2)
		if err != nil {
			return fmt.Errorf("statement %s: %w", st.ID, err)
		}
		missing = missing || !known
	}
	if !missing {
		return nil
	}
	for _, parameter := range []string{"statementId", "voidedStatementId"} {
		response, err := r.xapi(ctx, http.MethodGet, "/statements?attachments=true&"+parameter+"="+url.QueryEscape(st.ID), http.Header{}, nil)
		if err != nil {
			return err
		}
		if response.StatusCode == http.StatusNotFound {
			response.Body.Close()
			continue
		}
		return errors.Join(keepParts(w, response), response.Body.Close())
	}
	return nil // erased since
}

// keepParts writes all parts but the first, which is the statement.
func keepParts(w *archive.Writer, response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return xapiError(response)
	}
	_, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("read attachments: %w", err)
	}
	parts := multipart.NewReader(response.Body, parameters["boundary"])
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		if err == io.EOF && n > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read attachments: %w", err)
		}
		if n == 0 {
			continue
		}
		if err := w.Attachment(part.Header.Get("X-Experience-API-Hash"), part); err != nil {
			return err
		}
	}
}

// documents copies the hub's documents, if the credential may read any, and holds them against the hub's count.
func (r *remote) documents(ctx context.Context, add func(line []byte) error) error {
	response, err := r.send(ctx, http.MethodGet, "/documents/export", nil)
	var refused exitError
	if errors.As(err, &refused) && refused.code == exitDenied {
		r.say("no documents: the credential may not read them")
		return nil
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewReaderSize(response.Body, 256<<10)
	var count int64
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		if err != nil {
			return fmt.Errorf("the documents broke off: %w", noEOF(err))
		}
		count++
		if err := add(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return err
		}
	}
	if told := response.Trailer.Get("Lrshub-Documents"); told != strconv.FormatInt(count, 10) {
		return fmt.Errorf("%d documents came, the hub counted %q: the export is not whole", count, told)
	}
	return nil
}

// xapi sends a request to the xAPI resources and gives the answer, whatever its status.
func (r *remote) xapi(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	request, err := r.request(ctx, method, "/xapi"+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if request.Header.Get("X-Experience-API-Version") == "" {
		request.Header.Set("X-Experience-API-Version", "2.0.0")
	}
	return r.do(request)
}

// xapiError is what a refusal of the xAPI resources says.
func xapiError(response *http.Response) error {
	code, ok := exitCodes[response.StatusCode]
	if !ok {
		code = exitFailed
	}
	var p struct{ Error string }
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil || json.Unmarshal(text, &p) != nil || p.Error == "" {
		p.Error = "the hub answered " + response.Status
	}
	return exitError{code, p.Error}
}
