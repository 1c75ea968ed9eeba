// Package receive is the face for what sources push: POST /hooks/{connection}, and SCIM at /scim/v2/{connection}/. A push goes by the same road as what is
// pulled: pruned to what the mapping names, mapped, sealed and stored by hub/ingest; it is answered when that is committed.
//
// Start with Handler. hook.go takes a webhook: the connection's own connector, in its process, verifies the signature and finds the records
// (sdk.Receiver). open.go keeps processes and mappings of busy connections at hand; limits.go bounds bodies, rates and waiting; scim.go and the files
// after it serve SCIM 2.0 to identity providers.
package receive

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/pace"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/host"
)

// Where the face is mounted.
const (
	HooksPath = "/hooks/"
	SCIMPath  = "/scim/v2/"
)

// Rooms are what the face is one of.
type Rooms struct {
	DB     *database.DB
	Vault  *vault.Vault
	Ingest *ingest.Road
	Host   *host.Host
	// Plugin finds a connector's program; nil: there are built-in ones only.
	Plugin func(connector, checksum string) (host.Plugin, error)
	// Authenticate says which of the hub's own clients is calling.
	Authenticate func(*http.Request) (access.Caller, error)
	Gate         Decider
	PublicURL    string
	Home         database.TenantID // whose connections may be called by their name; 0: 1, the first tenant
	Now          func() time.Time
}

// Decider is the gate.
type Decider interface {
	Decide(ctx context.Context, r access.Request) (access.Decision, error)
}

// Face is the face, open. Close it when nobody calls it any more.
type Face struct {
	Rooms
	mux      *http.ServeMux
	open     *opened
	gates    *gates
	bodies   *bodies
	refusals *rate.Limiter // of audit events about refusals: a flood of them must not fill the log
	patience time.Duration // see pace.Body
}

// Handler serves every path under HooksPath and SCIMPath.
func Handler(rooms Rooms) *Face {
	if rooms.Plugin == nil {
		rooms.Plugin = func(connector, checksum string) (host.Plugin, error) {
			return host.Plugin{Connector: connector, SHA256: checksum}, nil
		}
	}
	if rooms.Home == 0 {
		rooms.Home = 1
	}
	f := &Face{Rooms: rooms, mux: http.NewServeMux(), gates: newGates(), bodies: newBodies(), refusals: rate.NewLimiter(20, 200), patience: pace.Patience}
	f.open = newOpened(f)
	f.mux.HandleFunc(SCIMPath+"{connection}/{resource...}", f.scim)
	f.mux.HandleFunc("POST "+HooksPath+"{connection}", f.hook)
	f.mux.HandleFunc(HooksPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", http.MethodPost)
		respond(w, problem{Status: http.StatusMethodNotAllowed, Detail: "a push is a POST to " + HooksPath + " and the id of a connection"})
	})
	return f
}

// ServeHTTP serves the face.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

// Close ends the processes that are kept.
func (f *Face) Close() { f.open.close() }

// source is a connection that is called.
type source struct {
	tenant database.TenantID
	keys   *vault.Tenant
	connection.Connection
}

// errNoSource: there is no such connection, or none that may be called so.
var errNoSource = problem{Status: http.StatusNotFound, Reason: "unknown", Detail: "there is no such connection: use the address that `lrshub connection list -o json` shows"}

// find finds the connection that a path names: any by its id, those of the home tenant by their name too.
func (f *Face) find(ctx context.Context, name string) (source, error) {
	s := source{tenant: f.Home}
	if id, err := uuid.Parse(name); err == nil {
		var found *int32
		if err := f.DB.One(ctx, &found, "SELECT connection_tenant($1)", id); err != nil {
			return s, err
		}
		if found == nil {
			return s, errNoSource
		}
		s.tenant = database.TenantID(*found)
	}
	err := f.DB.ReadTenant(ctx, s.tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		s.Connection, err = connection.Get(ctx, tx, name)
		return err
	})
	if errors.Is(err, connection.ErrUnknown) {
		return s, errNoSource
	}
	if err != nil {
		return s, err
	}
	s.keys, err = f.Vault.Tenant(s.tenant)
	return s, err
}

// problem is a problem of RFC 9457. Detail holds nothing of what was pushed.
type problem struct {
	Status int           `json:"status"`
	Title  string        `json:"title"`
	Detail string        `json:"detail,omitempty"`
	Reason string        `json:"-"` // a code, for the audit log
	Type   string        `json:"-"` // SCIM's word for it (RFC 7644, section 3.12)
	After  time.Duration `json:"-"` // after which to try again
}

func (p problem) Error() string { return p.Detail }

// later is an answer that asks to send it again.
func later(status int, reason, detail string, after time.Duration) problem {
	return problem{Status: status, Reason: reason, Detail: detail, After: after}
}

// problemOf words an error. What is nobody's fault but ours is logged, and told without detail.
func problemOf(err error) problem {
	var p problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, connection.ErrUnknown):
		p = errNoSource
	case errors.Is(err, ingest.ErrUnmapped):
		p = problem{Status: http.StatusBadRequest, Reason: "unmapped", Type: "invalidValue", Detail: err.Error()}
	case errors.Is(err, auth.ErrUnauthenticated):
		p = problem{Status: http.StatusUnauthorized, Reason: "credential", Detail: "the token is not valid: send Authorization: Bearer with that of the connection, or of one of the hub's clients"}
	case errors.Is(err, access.ErrUndecided), errors.Is(err, auth.ErrIssuerUnavailable):
		p = later(http.StatusServiceUnavailable, "unavailable", "it cannot be decided now whether you may do this: send it again", 10*time.Second)
	case errors.Is(err, access.ErrDenied):
		p = problem{Status: http.StatusForbidden, Reason: "denied", Detail: "this client may not push to connections: it needs the scope provisioning"}
	case errors.Is(err, connection.ErrPaused):
		p = later(http.StatusServiceUnavailable, "paused", "this connection is paused: send it again when it is resumed", 5*time.Minute)
	case errors.Is(err, connection.ErrOvertaken):
		p = later(http.StatusServiceUnavailable, "busy", "these records are being changed by others: send it again", time.Second)
	case errors.Is(err, database.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p = later(http.StatusServiceUnavailable, "unavailable", "the hub cannot store this now: send it again", 10*time.Second)
	default:
		slog.Error("push failed", "error", err)
		p = problem{Status: http.StatusInternalServerError, Reason: "internal", Detail: "the hub failed; its log says why"}
	}
	p.Title = http.StatusText(p.Status)
	return p
}

func retryAfter(w http.ResponseWriter, p problem) {
	if p.After > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(p.After/time.Second))))
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="lrshub"`)
	}
}

func respond(w http.ResponseWriter, err error) {
	p := problemOf(err)
	retryAfter(w, p)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the sender is gone if this fails
}

// refused tells the audit log of a push that was not taken, and gives what to answer: no audit, no answer. The rest of a flood is not told, and neither is what
// the sender has only to send again.
func (f *Face) refused(ctx context.Context, s source, err error) error {
	p := problemOf(err)
	if p.After > 0 || p.Reason == "internal" || !f.refusals.AllowN(f.Now(), 1) {
		return p
	}
	event := audit.Event{Kind: audit.PushRefused, Actor: s.ID.String(), Purpose: s.Purpose, Fields: map[string]any{
		"connection": s.ID, "reason": p.Reason, "status": p.Status,
	}}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTime)
	defer cancel()
	if told := f.DB.Tenant(ctx, s.tenant, func(ctx context.Context, tx *database.Tx) error { return audit.Record(ctx, tx, f.Now(), event) }); told != nil {
		return told
	}
	return p
}

// auditTime is how long it may take to tell of a refusal; its sender may be gone.
const auditTime = 10 * time.Second
