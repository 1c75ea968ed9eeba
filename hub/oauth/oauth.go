// Package oauth is the face that gives access tokens: POST /oauth/token, the client credentials grant (RFC 6749 4.4), and its description at
// /.well-known/oauth-authorization-server (RFC 8414). What a token is, and who may have one, is auth's to know.
//
// Start with Handler. The client signs in with its key and secret, as Basic or in the form. Whoever has an issuer's JWT needs no token: the hub takes the JWT.
package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
)

// Paths are where the face is mounted.
const (
	Path         = "/oauth/"
	MetadataPath = "/.well-known/oauth-authorization-server"
)

// Bounds of a request.
const (
	maxForm  = 16 << 10 // bytes
	formTime = 15 * time.Second
)

// Rooms are what the face is one of.
type Rooms struct {
	DB        *database.DB
	Clients   *auth.Clients
	PublicURL string // the issuer
}

// Handler serves every path under Path, and MetadataPath.
func Handler(rooms Rooms) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth/token", rooms.token)
	mux.HandleFunc("GET "+MetadataPath, rooms.metadata)
	return mux
}

// granted is a success (RFC 6749 5.1).
type granted struct {
	Token   string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"` // seconds
	Scope   string `json:"scope"`
}

// problem is a failure (RFC 6749 5.2). Description holds nothing of the request.
type problem struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (p problem) Error() string { return p.Description }

func invalid(description string) error {
	return problem{http.StatusBadRequest, "invalid_request", description}
}

func (rooms Rooms) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	answer, err := rooms.grant(w, r)
	if err != nil {
		respond(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (rooms Rooms) grant(w http.ResponseWriter, r *http.Request) (granted, error) {
	form, err := readForm(w, r)
	if err != nil {
		return granted{}, err
	}
	shown, err := present(r, form)
	if err != nil {
		return granted{}, err
	}
	switch grant := form.Get("grant_type"); {
	case grant == "":
		return granted{}, invalid("grant_type is missing: send client_credentials")
	case grant != "client_credentials":
		return granted{}, problem{http.StatusBadRequest, "unsupported_grant_type", "this hub knows one grant: client_credentials"}
	}
	shown.Address = rooms.Clients.Address(r)
	t, err := rooms.Clients.Grant(r.Context(), rooms.DB, shown, form.Get("scope"))
	if err != nil {
		return granted{}, err
	}
	return granted{string(t.Secret), "Bearer", int(t.Life / time.Second), strings.Join(t.Scopes, " ")}, nil
}

// readForm reads the body. A parameter that is there twice is refused (RFC 6749 3.2).
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, invalid("the body is a form: send Content-Type: application/x-www-form-urlencoded")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(formTime)) // not every writer can
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, invalid("the form is malformed, or longer than 16 KB")
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			return nil, invalid("a parameter is there more than once")
		}
	}
	return r.PostForm, nil
}

// present finds the key and secret: client_secret_basic or client_secret_post, and not both (RFC 6749 2.3).
func present(r *http.Request, form url.Values) (auth.Presented, error) {
	shown, err := auth.FromRequest(r)
	posted := form.Has("client_secret") || form.Has("client_assertion")
	switch {
	case errors.Is(err, auth.ErrInURL):
		return shown, invalid(err.Error())
	case errors.Is(err, auth.ErrNoCredential) && form.Has("client_id") && form.Has("client_secret"):
		return auth.Presented{Key: form.Get("client_id"), Secret: form.Get("client_secret")}, nil
	case err != nil:
		return shown, auth.ErrUnauthenticated
	case posted:
		return shown, invalid("the client signs in twice: send its key and secret either as Basic or in the form")
	case shown.Token != "":
		return shown, auth.ErrUnauthenticated // a token gives no other
	}
	if shown.Key, err = url.QueryUnescape(shown.Key); err == nil { // RFC 6749 2.3.1
		shown.Secret, err = url.QueryUnescape(shown.Secret)
	}
	if err != nil || form.Has("client_id") && form.Get("client_id") != shown.Key {
		return shown, auth.ErrUnauthenticated
	}
	return shown, nil
}

// respond words an error. What is nobody's fault but ours is logged, and told without detail.
func respond(w http.ResponseWriter, err error) {
	var p problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, auth.ErrUnauthenticated):
		auth.Challenge(w.Header())
		p = problem{http.StatusUnauthorized, "invalid_client", "the key or the secret is not valid: send those of a client (lrshub client create)"}
	case errors.Is(err, auth.ErrScope):
		p = problem{http.StatusBadRequest, "invalid_scope", err.Error()}
	case errors.Is(err, database.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		w.Header().Set("Retry-After", "5")
		p = problem{http.StatusServiceUnavailable, "temporarily_unavailable", "the hub cannot answer now: try again"}
	default:
		slog.Error("token request failed", "error", err)
		p = problem{http.StatusInternalServerError, "server_error", "the hub failed; its log says why"}
	}
	writeJSON(w, p.status, p)
}

// metadata describes the token endpoint (RFC 8414 2).
func (rooms Rooms) metadata(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                rooms.PublicURL,
		"token_endpoint":                        rooms.PublicURL + "/oauth/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"grant_types_supported":                 []string{"client_credentials"},
		"response_types_supported":              []string{}, // there is no authorization endpoint
		"scopes_supported":                      rooms.Clients.TokenScopes(),
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if this fails
}
