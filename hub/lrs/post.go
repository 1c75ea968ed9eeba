package lrs

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/xapi"
)

// postStatements stores one statement or a batch (Communication 2.1.2): all of it, or nothing.
func (f *face) postStatements(w http.ResponseWriter, r request) error {
	if err := parameters(r.URL.Query()); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	batch, err := xapi.ParseBatch(body, r.version, maxStatements)
	if err != nil {
		return err
	}
	ids, err := f.store(r, batch)
	if err != nil {
		return err
	}
	if ids == nil {
		ids = []uuid.UUID{}
	}
	writeJSON(w, http.StatusOK, ids)
	return nil
}

// store is the road in for post and put.
func (f *face) store(r request, batch []*xapi.Statement) ([]uuid.UUID, error) {
	if err := f.allowed(r, access.Write, access.Statements); err != nil {
		return nil, err
	}
	if len(batch) == 0 {
		return nil, nil
	}
	_, err := f.gate.Decide(r.Context(), access.Request{Caller: r.caller, Action: access.Define, Resource: access.Activities})
	if errors.Is(err, access.ErrUndecided) {
		return nil, err
	}
	return f.writer.Statements(r.Context(), r.caller, err == nil, batch)
}

// readBody reads a JSON body within the limit.
func readBody(w http.ResponseWriter, r request) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, bad("Content-Type must be application/json")
	}
	if r.ContentLength > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	body := http.MaxBytesReader(w, r.Body, maxBody)
	if r.ContentLength < 0 {
		return io.ReadAll(body)
	}
	buffer := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(body, buffer); err != nil {
		return nil, bad("the request ended before its Content-Length")
	}
	return buffer, nil
}
