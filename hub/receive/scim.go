package receive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk/scim"
)

// providerToken is the secret of a connection's configuration with which its provider signs in.
const providerToken = "provider_token"

// provided is one request of an identity provider, whose sender is known.
type provided struct {
	source
	*http.Request
	line   *line
	actor  string // the client, or the connection by its own token
	base   string // address of the service
	stream contract.Stream
	fields []string // that are kept of its records
	id     string   // of a resource; "": the stream as a whole
	body   map[string]any
}

// scim serves SCIM 2.0 (RFC 7644) for one connection.
func (f *Face) scim(w http.ResponseWriter, r *http.Request) {
	s, err := f.find(r.Context(), r.PathValue("connection"))
	if err != nil {
		respondSCIM(w, err)
		return
	}
	answer, err := f.provide(w, r, s)
	if err != nil {
		respondSCIM(w, f.refused(r.Context(), s, err))
		return
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	if len(answer.Body) > 0 {
		w.Header().Set("Content-Type", "application/scim+json")
	}
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body) // the provider is gone if this fails
}

// provide bounds a request as a push is bounded, finds out who sent it and has it done.
func (f *Face) provide(w http.ResponseWriter, r *http.Request, s source) (connection.Answer, error) {
	p := &provided{source: s, Request: r, base: f.PublicURL + SCIMPath + s.ID.String()}
	return f.bounded(w, r, s, func() error { return f.admit(p) }, func(ctx context.Context, text []byte) (connection.Answer, error) {
		if len(text) > 0 {
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.UseNumber()
			if err := decoder.Decode(&p.body); err != nil || p.body == nil {
				return connection.Answer{}, problem{Status: http.StatusBadRequest, Reason: "data", Type: "invalidSyntax", Detail: "the body is not a JSON object"}
			}
		}
		return f.again(ctx, s, func(ctx context.Context, s source) (connection.Answer, error) {
			attempt := *p
			attempt.source = s
			return f.route(ctx, &attempt)
		})
	})
}

// admit says whether the sender may: it has the connection's own token, or is a client of the tenant and of the connection's purpose that the gate lets.
func (f *Face) admit(p *provided) error {
	settings, err := p.Settings(p.keys)
	if err != nil {
		return err
	}
	if p.Connector != "scim" || settings.Secrets["token"] != "" { // one that is pulled would take back what is pushed
		return problem{Status: http.StatusNotFound, Reason: "unsupported", Detail: "this connection takes no SCIM: it needs the connector scim, without url"}
	}
	scheme, token, _ := strings.Cut(p.Header.Get("Authorization"), " ")
	if own := settings.Secrets[providerToken]; own != "" && strings.EqualFold(scheme, "Bearer") {
		given, right := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(own))
		if subtle.ConstantTimeCompare(given[:], right[:]) == 1 {
			p.actor = p.ID.String()
			return nil
		}
	}
	caller, err := f.Authenticate(p.Request)
	if err != nil {
		return err
	}
	if caller.Tenant != p.tenant {
		return errNoSource
	}
	action := access.Write
	if p.Method == http.MethodGet || p.Method == http.MethodHead {
		action = access.Read
	}
	if _, err := f.Gate.Decide(p.Context(), access.Request{Caller: caller, Action: action, Resource: access.Provisioning}); err != nil {
		return err
	}
	if caller.Purpose != p.Purpose {
		return problem{Status: http.StatusForbidden, Reason: "purpose", Detail: "this client is bound to another purpose than the connection"}
	}
	p.actor = caller.Client.String()
	return nil
}

// endpoints are the resource types, by path.
var endpoints = map[string]struct{ stream, name, schema string }{
	"Users":  {scim.UserStream, "User", scim.UserSchema},
	"Groups": {scim.GroupStream, "Group", scim.GroupSchema},
}

// route finds out what is asked for.
func (f *Face) route(ctx context.Context, p *provided) (connection.Answer, error) {
	var err error
	if p.line, err = f.open.get(ctx, p.source); err != nil {
		return connection.Answer{}, err
	}
	defer f.open.leave(p.line)
	first, rest, _ := strings.Cut(strings.Trim(p.PathValue("resource"), "/"), "/")
	if about := f.about(p, first, rest); about != nil {
		if p.Method != http.MethodGet {
			return connection.Answer{}, notAllowed
		}
		return reply(http.StatusOK, about)
	}
	endpoint, known := endpoints[first]
	if !known || strings.Contains(rest, "/") {
		return connection.Answer{}, problem{Status: http.StatusNotFound, Reason: "unknown", Detail: "there is no such endpoint: this service has Users, Groups, ServiceProviderConfig, ResourceTypes and Schemas"}
	}
	if p.stream, known = p.line.about.Stream(endpoint.stream); !known {
		return connection.Answer{}, problem{Status: http.StatusNotFound, Reason: "unknown", Detail: "the connector of this connection has no such resources"}
	}
	p.fields, p.id = kept(p.stream, p.line.mapping.Fields(endpoint.stream)), rest
	if p.id == "" {
		switch p.Method {
		case http.MethodGet:
			return f.listResources(ctx, p)
		case http.MethodPost:
			return f.createResource(ctx, p)
		}
		return connection.Answer{}, notAllowed
	}
	switch p.Method {
	case http.MethodGet:
		return f.getResource(ctx, p)
	case http.MethodPut:
		return f.changeResource(ctx, p, replaced)
	case http.MethodPatch:
		return f.changeResource(ctx, p, patched)
	case http.MethodDelete:
		return f.deleteResource(ctx, p)
	}
	return connection.Answer{}, notAllowed
}

var notAllowed = problem{Status: http.StatusMethodNotAllowed, Reason: "method", Detail: "this endpoint does not have this method"}

// always are the fields that are kept whatever the mapping names: those by which a provider finds somebody again, and whether they are active.
var always = map[string][]string{
	scim.UserStream:  {"id", "userName", "externalId", "active"},
	scim.GroupStream: {"id", "displayName", "externalId"},
}

// kept adds to the fields that the mapping names.
func kept(s contract.Stream, named []string) []string {
	list := append([]string{}, always[s.Name]...)
	for _, field := range named {
		if field != "meta" && !strings.HasPrefix(field, "meta.") {
			list = append(list, field)
		}
	}
	return append(list, "meta")
}

func reply(status int, body any) (connection.Answer, error) {
	text, err := json.Marshal(body)
	return connection.Answer{Status: status, Header: http.Header{}, Body: text}, err
}

// respondSCIM words an error as SCIM does (RFC 7644, section 3.12).
func respondSCIM(w http.ResponseWriter, err error) {
	p := problemOf(err)
	retryAfter(w, p)
	body := map[string]any{"schemas": []string{scim.ErrorMessage}, "status": strconv.Itoa(p.Status), "detail": p.Detail}
	if p.Type != "" {
		body["scimType"] = p.Type
	}
	w.Header().Set("Content-Type", "application/scim+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(body)
}

// resourceID reads the id of a resource; what is none names nothing.
func (p *provided) resourceID() (uuid.UUID, error) {
	id, err := uuid.Parse(p.id)
	if err != nil || id.String() != p.id {
		return uuid.Nil, connection.ErrNoResource
	}
	return id, nil
}
