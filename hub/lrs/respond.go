package lrs

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// problem is an answer that says what is wrong with a request. Its text holds no value of the request.
type problem struct {
	status int
	text   string
}

func (p problem) Error() string { return p.text }

func bad(format string, args ...any) error {
	return problem{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// respond words an error. What is nobody's fault but ours is logged by its kind, and told without detail.
func respond(w http.ResponseWriter, err error) {
	var p problem
	var invalid *xapi.Error
	var tooBig *http.MaxBytesError
	var attachment *ingest.AttachmentError
	switch {
	case errors.As(err, &p):
	case errors.As(err, &attachment) && attachment.TooLarge:
		p = problem{http.StatusRequestEntityTooLarge, attachment.Reason}
	case errors.As(err, &attachment):
		p = problem{http.StatusBadRequest, attachment.Reason}
	case errors.As(err, &invalid) && errors.Is(err, xapi.ErrTooLarge):
		p = problem{http.StatusRequestEntityTooLarge, err.Error()}
	case errors.As(err, &invalid):
		p = problem{http.StatusBadRequest, err.Error()}
	case errors.As(err, &tooBig):
		p = problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request has more than %d bytes: send smaller batches", tooBig.Limit)}
	case errors.Is(err, auth.ErrUnauthenticated):
		auth.Challenge(w.Header())
		p = problem{http.StatusUnauthorized, "no valid credential: send Basic key:secret of a client (lrshub client create), or a Bearer token"}
	case errors.Is(err, auth.ErrIssuerUnavailable):
		w.Header().Set("Retry-After", auth.RetryAfter)
		p = problem{http.StatusServiceUnavailable, "the issuer of this token does not answer: try again, or send Basic key:secret"}
	case errors.Is(err, errCrowded):
		w.Header().Set("Retry-After", "5")
		p = problem{http.StatusServiceUnavailable, "too many large requests at once: try again, or send smaller batches"}
	case errors.Is(err, access.ErrUndecided), errors.Is(err, database.ErrUnavailable):
		w.Header().Set("Retry-After", "5")
		p = problem{http.StatusServiceUnavailable, "the store cannot answer now: try again"}
	case errors.Is(err, access.ErrDenied):
		p = problem{http.StatusForbidden, "this credential may not do that: its scopes do not allow it"}
	case errors.Is(err, disclose.ErrRefused):
		p = problem{http.StatusForbidden, "this credential may filter only by pseudonyms that it was given"}
	case errors.Is(err, disclose.ErrMore):
		p = problem{http.StatusBadRequest, "this continuation is not valid for this credential: start the query again"}
	case errors.Is(err, ingest.ErrFuture):
		p = problem{http.StatusBadRequest, "a statement's stored is in the future: mend the clocks, or leave stored out and the hub sets it"}
	case errors.Is(err, ingest.ErrStored):
		p = problem{http.StatusBadRequest, "a statement's stored is in the first moment of the year 1 or before it: mend it, or leave stored out and the hub sets it"}
	case errors.Is(err, ingest.ErrPrecondition):
		p = problem{http.StatusPreconditionFailed, "the document is not what If-Match or If-None-Match says: read it again"}
	case errors.Is(err, ingest.ErrUnconditional):
		p = problem{http.StatusConflict, "there is such a document: read it, and send its ETag in If-Match to replace it, or If-None-Match: * to store only a new one"}
	case errors.Is(err, ingest.ErrNoPrecondition):
		p = problem{http.StatusBadRequest, "send If-None-Match: * to store a new document, or the ETag of the one that is there in If-Match to replace it"}
	case errors.Is(err, ingest.ErrMerge):
		p = problem{http.StatusBadRequest, "POST adds properties to a document: what is stored and what is sent must both be JSON objects of type application/json; replace it with PUT"}
	case errors.Is(err, records.ErrNoDocument):
		p = problem{http.StatusNotFound, "no such document"}
	case errors.Is(err, records.ErrNotFound):
		p = problem{http.StatusNotFound, "no such statement"}
	case errors.Is(err, records.ErrConflict):
		p = problem{http.StatusConflict, "a statement with that id and other content is stored; nothing of this request was stored"}
	case errors.Is(err, people.ErrUnknownPurpose):
		p = problem{http.StatusForbidden, "the purpose of this credential is no longer known: give it a new one"}
	default:
		slog.Error("xapi request failed", "error", err)
		p = problem{http.StatusInternalServerError, "the hub failed; its log says why"}
	}
	writeJSON(w, p.status, map[string]string{"error": p.text})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if this fails
}
