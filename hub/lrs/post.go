package lrs

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/pace"
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
	terms, err := f.terms(r)
	if err != nil {
		return err
	}
	ids, err := f.receive(w, r, terms, func(body []byte) ([]*xapi.Statement, error) { return xapi.ParseBatch(body, r.version, maxStatements) })
	if err != nil {
		return err
	}
	if ids == nil {
		ids = []uuid.UUID{}
	}
	writeJSON(w, http.StatusOK, ids)
	return nil
}

// parser reads the statements of a request.
type parser func(body []byte) ([]*xapi.Statement, error)

// receive is the road in for post and put, once they are allowed: statements alone, or in a message in parts with their attachments (Communication 1.5).
func (f *face) receive(w http.ResponseWriter, r request, terms terms, parse parser) ([]uuid.UUID, error) {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/json":
	case err == nil && kind == "multipart/mixed":
		return f.receiveParts(w, r, parameters["boundary"], terms, parse)
	default:
		return nil, bad("Content-Type must be application/json, or multipart/mixed with its boundary for statements with attachments")
	}
	body, err := f.readBody(w, r, maxBody, statementsWeight)
	if err != nil {
		return nil, err
	}
	batch, err := parse(body)
	if err != nil || len(batch) == 0 {
		return nil, err
	}
	d, err := f.writer.Delivery(r.caller.Tenant, batch)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return terms.store(r, d)
}

// importHeader asks, with the value true, that statements keep the authority and the stored time that another store gave them. By stored they stand in the past: what
// X-Experience-API-Consistent-Through has announced before does not cover them. Who follows by position (the feed) sees them when they come.
const importHeader = "Lrshub-Import"

// terms are on what terms statements are stored.
type terms struct {
	define  bool // their activities may stand in clear
	imports bool // authority and stored stay as they are
}

// terms asks the gate on what terms this request may store statements.
func (f *face) terms(r request) (t terms, err error) {
	resource := access.Statements
	switch value := r.Header.Get(importHeader); value {
	case "true":
		t.imports, resource = true, access.Import
	case "", "false":
	default:
		return t, bad("%s must be true or false", importHeader)
	}
	if err := f.allowed(r, access.Write, resource); err != nil {
		return t, err
	}
	_, err = f.gate.Decide(r.Context(), access.Request{Caller: r.caller, Action: access.Define, Resource: access.Activities})
	if errors.Is(err, access.ErrUndecided) {
		return t, err
	}
	t.define = err == nil
	return t, nil
}

func (t terms) store(r request, d *ingest.Delivery) ([]uuid.UUID, error) {
	if t.imports {
		return d.Import(r.Context(), r.caller, t.define)
	}
	return d.Store(r.Context(), r.caller, t.define)
}

// readBody reads a body within the limits of size and time. weight: see budget.go.
func (f *face) readBody(w http.ResponseWriter, r request, limit int64, weight int) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	body := f.paced(w, r.Request, limit)
	read, err := r.memory.read(body, limit, r.ContentLength, weight)
	if err != nil {
		return nil, arrival(w, err)
	}
	body.Arrived()
	return read, nil
}

// arrival words what kept a body from arriving.
func arrival(w http.ResponseWriter, err error) error {
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig), errors.Is(err, errCrowded):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close") // the rest of it is not waited for
		return problem{http.StatusRequestTimeout, fmt.Sprintf("the request stopped arriving, or came too slowly: it may pause for %d s, and must bring %d KiB a second on average; send smaller batches",
			pace.Patience/time.Second, pace.Least>>10)}
	}
	return bad("the request ended before all of it had arrived")
}
