package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database"
)

var (
	// ErrNoCredential means that a request has none.
	ErrNoCredential = errors.New("no credential: send Authorization: Basic (key and secret) or Bearer (token)")
	// ErrMalformed means that the Authorization header is not what we take.
	ErrMalformed = errors.New("the Authorization header is not valid: send Basic (key and secret) or Bearer (token lrshub_…, or an access token) once")
	// ErrInURL means that a request has a credential in its URL, where logs and histories keep it. It must
	// be taken as stolen, and is refused even where the header has a good one.
	ErrInURL = errors.New("a credential in the URL is refused: send it in the Authorization header, and revoke this one")
)

// Presented is what a request shows of its sender: a key and a secret, or a token that is a JWT; and the address that it comes from. Neither formatting nor
// logging it shows a secret or token.
type Presented struct {
	Key, Secret string
	Token       string
	Address     netip.Addr // see Clients.Address
}

// String hides what is secret.
func (p Presented) String() string { return "credential " + p.Key }

// GoString hides what is secret.
func (p Presented) GoString() string { return p.String() }

// LogValue hides what is secret.
func (p Presented) LogValue() slog.Value { return slog.StringValue(p.String()) }

// inQuery are names of query parameters that other systems take credentials from.
var inQuery = []string{"access_token", "api_key", "apikey", "authorization", "client_secret", "password", "secret", "token"}

// maxToken bounds a JWT, in bytes.
const maxToken = 8 << 10

var (
	tokenShape = regexp.MustCompile(tokenPrefix + `[a-z2-7]{20}_[A-Za-z0-9_-]{43}`)
	jwtInside  = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`) // as nearly every issuer writes it
)

// Request says who sent a request. Its errors are those of Authenticate; a request without a credential that can be read is ErrUnauthenticated too, and what is
// wrong with it.
func (c *Clients) Request(db *database.DB, r *http.Request) (access.Caller, error) {
	p, err := FromRequest(r)
	if err != nil {
		return access.Caller{}, fmt.Errorf("%w: %w", ErrUnauthenticated, err)
	}
	p.Address = c.Address(r)
	return c.Authenticate(r.Context(), db, p)
}

// FromRequest finds the credential of a request: Basic, or Bearer with lrshub_<key>_<secret> or a JWT. It does not
// check it, and leaves the address out. Its errors say nothing of what was sent.
func FromRequest(r *http.Request) (Presented, error) {
	if inURL(r.URL) {
		return Presented{}, ErrInURL
	}
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return Presented{}, ErrNoCredential
	}
	if len(headers) > 1 {
		return Presented{}, ErrMalformed
	}
	if key, secret, ok := r.BasicAuth(); ok {
		return Presented{Key: key, Secret: secret}, nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimSpace(token)
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken:
		return Presented{}, ErrMalformed
	case tokenShape.FindString(token) == token:
		key, secret, _ := strings.Cut(token[len(tokenPrefix):], "_") // a key has no underscore, a secret may
		return Presented{Key: key, Secret: secret}, nil
	case jwtShape(token):
		return Presented{Token: token}, nil
	}
	return Presented{}, ErrMalformed
}

// RetryAfter is after how many seconds it is worth to try again, where ErrIssuerUnavailable is the answer.
const RetryAfter = "10"

// jwtShape tells whether a text is three parts of base64url with dots between (RFC 7515 3.1). A regular expression would take longer than all else that signing
// in costs.
func jwtShape(text string) bool {
	parts, length := 1, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.' && length > 0:
			parts, length = parts+1, 0
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			length++
		default:
			return false
		}
	}
	return parts == 3 && length > 0
}

// Challenge says in an answer's header, whose status is 401, what may be sent.
func Challenge(h http.Header) {
	h["Www-Authenticate"] = []string{`Basic realm="lrshub", charset="UTF-8"`, `Bearer realm="lrshub"`}
}

func inURL(u *url.URL) bool {
	if u.User != nil || secretIn(u.RawQuery) || secretIn(u.Path) {
		return true
	}
	if u.RawQuery == "" {
		return false
	}
	for name, values := range u.Query() {
		if slices.Contains(inQuery, strings.ToLower(name)) || slices.ContainsFunc(values, secretIn) {
			return true
		}
	}
	return false
}

func secretIn(text string) bool { return tokenShape.MatchString(text) || jwtInside.MatchString(text) }
