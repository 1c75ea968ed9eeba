// Package lrs is the xAPI face of the hub: /xapi/. It reads requests and writes responses; what is stored goes by ingest, what is shown comes from
// disclose, and each request is authenticated and decided first.
//
// Start with Handler. One file an action on statements: post.go, put.go, get.go; documents.go has the three resources that keep documents, describe.go agents and
// activities. respond.go has what all answers share, format.go the forms of a statement, alternate.go the request syntax of clients that can only POST forms,
// multipart.go and parts.go messages in parts, budget.go the memory that bodies may take, hub/pace the time.
package lrs

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/pace"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Path is where the face is mounted.
const Path = "/xapi/"

// Limits of one request.
const (
	maxBody       = 64 << 20 // bytes of a POST
	maxStatements = 10_000   // in a POST
	bodyTime      = 2 * time.Minute
)

// Writer is the road in: ingest.Road.
type Writer interface {
	StatementWriter
	DocumentWriter
}

// StatementWriter stores statements.
type StatementWriter interface {
	Delivery(tenant database.TenantID, batch []*xapi.Statement) (*ingest.Delivery, error)
	Refused(ctx context.Context, caller access.Caller, reason string) error
}

// Reader is the road out: disclose.Road.
type Reader interface {
	StatementReader
	DocumentReader
	Describer
}

// StatementReader shows statements.
type StatementReader interface {
	Page(ctx context.Context, caller access.Caller, q disclose.Query) (disclose.Page, error)
	More(ctx context.Context, caller access.Caller, more string) (disclose.Page, error)
	Statement(ctx context.Context, caller access.Caller, id uuid.UUID, voided bool) (disclose.Statement, error)
	StatementWithAttachments(ctx context.Context, caller access.Caller, id uuid.UUID, voided bool) (disclose.Statement, error)
	ConsistentThrough(ctx context.Context, caller access.Caller) (time.Time, error)
}

// Authenticator says who is calling, and from where: auth's.
type Authenticator interface {
	Request(r *http.Request) (access.Caller, error)
	Address(r *http.Request) netip.Addr
}

// Decider is the gate.
type Decider interface {
	Decide(ctx context.Context, r access.Request) (access.Decision, error)
}

type face struct {
	auth   Authenticator
	gate   Decider
	writer Writer
	reader Reader

	bodyTime time.Duration // for the body of a request that is refused before it is read
	patience time.Duration // see pace.Body
	bodies   *budget       // of the requests whose sender is known
	forms    *budget       // of those in the alternate syntax, whose sender is not
}

// Handler serves every path under Path.
func Handler(auth Authenticator, gate Decider, writer Writer, reader Reader) http.Handler {
	return newFace(auth, gate, writer, reader).handler()
}

func newFace(auth Authenticator, gate Decider, writer Writer, reader Reader) *face {
	return &face{auth: auth, gate: gate, writer: writer, reader: reader, bodyTime: bodyTime, patience: pace.Patience,
		bodies: newBudget(bodiesMemory, smallMemory), forms: newBudget(formsMemory, smallMemory)}
}

func (f *face) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /xapi/statements", f.with(f.postStatements))
	mux.HandleFunc("PUT /xapi/statements", f.with(f.putStatement))
	mux.HandleFunc("GET /xapi/statements", f.with(f.getStatements)) // HEAD too
	mux.HandleFunc("/xapi/statements", f.with(notAllowed("GET, HEAD, POST, PUT")))
	f.documents(mux)
	mux.HandleFunc("GET /xapi/agents", f.with(f.getAgent))
	mux.HandleFunc("/xapi/agents", f.with(notAllowed("GET, HEAD")))
	mux.HandleFunc("GET /xapi/activities", f.with(f.getActivity))
	mux.HandleFunc("/xapi/activities", f.with(notAllowed("GET, HEAD")))
	mux.HandleFunc("/xapi/about", about)
	mux.HandleFunc("/xapi/{anything...}", f.with(func(http.ResponseWriter, request) error {
		return problem{http.StatusNotFound, "this hub has no such resource"}
	}))
	return f.alternate(mux)
}

// notAllowed answers for the methods that a resource does not have.
func notAllowed(allowed string) action {
	return func(w http.ResponseWriter, _ request) error {
		w.Header().Set("Allow", allowed)
		return problem{http.StatusMethodNotAllowed, "this resource has only the methods " + allowed}
	}
}

// request is an authenticated request of a known version.
type request struct {
	*http.Request
	caller  access.Caller
	version xapi.Version
	memory  *share // that its body takes
}

// action answers a request or gives the error that respond words.
type action func(w http.ResponseWriter, r request) error

// unknownVersion is announced where a request names no version that the hub speaks: any 0.9 is right under each version's rules, and no client takes it for what it
// asked for (1.0.3 Communication 3.3, IEEE 9274.1.1 4.1.9).
const unknownVersion = "0.95"

// with does what comes before every action: the version, and who is calling.
func (f *face) with(do action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead { // whoever is refused has no longer to send its body
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(f.bodyTime)) // not every writer can
		}
		version, err := xapi.ParseVersion(strings.TrimSpace(r.Header.Get("X-Experience-API-Version")))
		if err != nil {
			w.Header().Set("X-Experience-API-Version", unknownVersion)
			respond(w, bad("X-Experience-API-Version: %v", err))
			return
		}
		w.Header().Set("X-Experience-API-Version", version.String())
		if encoding := strings.TrimSpace(r.Header.Get("Content-Encoding")); encoding != "" && !strings.EqualFold(encoding, "identity") { // nothing is ever inflated
			w.Header().Set("Accept-Encoding", "identity")
			respond(w, problem{http.StatusUnsupportedMediaType, "send the body as it is: this hub takes none with a Content-Encoding"})
			return
		}
		caller, err := f.auth.Request(r)
		if err == nil {
			memory := f.bodies.share(r.Context(), caller.Client)
			defer memory.giveBack()
			err = do(w, request{Request: r, caller: caller, version: version, memory: memory})
		}
		if err != nil {
			respond(w, err)
		}
	}
}

// paced takes the body of a request, up to a limit in bytes.
func (f *face) paced(w http.ResponseWriter, r *http.Request, limit int64) *pace.Body {
	return pace.New(w, r, limit, f.patience)
}

// parameters reads the query strictly: a filter that is not understood must not be left out.
func (r request) parameters() (url.Values, error) { return parameters(r.Request) }

func parameters(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, bad("the query string is malformed")
	}
	for name, values := range query {
		if !utf8.ValidString(name) || slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return nil, bad("the query string is not UTF-8 where its %%-escapes are read")
		}
	}
	return query, nil
}

// allowed asks the gate, and has a refusal of a write told before it is answered.
func (f *face) allowed(r request, action, resource string) error {
	_, err := f.gate.Decide(r.Context(), access.Request{Caller: r.caller, Action: action, Resource: resource})
	if err == nil {
		return nil
	}
	if told := f.writer.Refused(r.Context(), r.caller, "denied"); told != nil {
		return told
	}
	return err
}

// about tells which versions are spoken (Communication 2.8). It asks for nobody's name.
func about(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Experience-API-Version", xapi.V2.String())
	query, err := parameters(r)
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		err = notAllowed("GET, HEAD")(w, request{})
	case err == nil:
		err = onlyKnown(query)
	}
	if err != nil {
		w.Header().Set("Connection", "close") // nobody reads the body that there may be
		respond(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"version": []string{"2.0.0", "1.0.3"}})
}
