package lrs

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/xapi"
)

// postStatements stores one statement or a batch (Communication 2.1.2): all of it, or nothing.
func (f *face) postStatements(w http.ResponseWriter, r request) error {
	query, err := r.parameters()
	if err == nil {
		err = onlyKnown(query)
	}
	if err != nil {
		return err
	}
	if err := f.allowed(r, access.Write, access.Statements); err != nil {
		return err
	}
	body, err := f.readBody(w, r)
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

// store is the road in for post and put, once they are allowed.
func (f *face) store(r request, batch []*xapi.Statement) ([]uuid.UUID, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	for _, st := range batch {
		if slices.ContainsFunc(st.Attachments, func(a xapi.Attachment) bool { return a.FileURL == "" }) {
			return nil, bad("an attachment has neither a fileUrl nor content in this request")
		}
	}
	_, err := f.gate.Decide(r.Context(), access.Request{Caller: r.caller, Action: access.Define, Resource: access.Activities})
	if errors.Is(err, access.ErrUndecided) {
		return nil, err
	}
	return f.writer.Statements(r.Context(), r.caller, err == nil, batch)
}

// readBody reads a JSON body within the limits of size and time.
func (f *face) readBody(w http.ResponseWriter, r request) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, bad("Content-Type must be application/json")
	}
	if r.ContentLength > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 0), 1<<20)) + bytes.MinRead) // a length is a claim, not memory
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		return nil, arrival(w, err)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // set by with
	return body.Bytes(), nil
}

// arrival words what kept a body from arriving.
func arrival(w http.ResponseWriter, err error) error {
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close") // the rest of it is not waited for
		return problem{http.StatusRequestTimeout, "the request took too long to arrive: send smaller batches"}
	}
	return bad("the request ended before all of it had arrived")
}
