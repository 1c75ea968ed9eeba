package auth

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var (
	// ErrNoCredential means that a request has none.
	ErrNoCredential = errors.New("no credential: send Authorization: Basic (key and secret) or Bearer (token)")
	// ErrMalformed means that the Authorization header is not what we take.
	ErrMalformed = errors.New("the Authorization header is not valid: send Basic (key and secret) or Bearer (token lrshub_…) once")
	// ErrInURL means that a request has a credential in its URL, where logs and histories keep it. It must
	// be taken as stolen, and is refused even where the header has a good one.
	ErrInURL = errors.New("a credential in the URL is refused: send it in the Authorization header, and revoke this one")
)

// inQuery are names of query parameters that other systems take credentials from.
var inQuery = []string{"access_token", "api_key", "apikey", "authorization", "client_secret", "password", "secret", "token"}

var tokenShape = regexp.MustCompile(tokenPrefix + `[a-z2-7]{20}_[A-Za-z0-9_-]{43}`)

// FromRequest finds the key and secret of a request: Basic, or Bearer lrshub_<key>_<secret>. It does not
// check them. Its errors say nothing of what was sent.
func FromRequest(r *http.Request) (key, secret string, err error) {
	if inURL(r.URL) {
		return "", "", ErrInURL
	}
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return "", "", ErrNoCredential
	}
	if len(headers) > 1 {
		return "", "", ErrMalformed
	}
	if key, secret, ok := r.BasicAuth(); ok {
		return key, secret, nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || tokenShape.FindString(token) != token || token == "" {
		return "", "", ErrMalformed
	}
	key, secret, _ = strings.Cut(token[len(tokenPrefix):], "_") // a key has no underscore, a secret may
	return key, secret, nil
}

func inURL(u *url.URL) bool {
	if u.User != nil || tokenShape.MatchString(u.RawQuery) || tokenShape.MatchString(u.Path) {
		return true
	}
	for name, values := range u.Query() {
		if slices.Contains(inQuery, strings.ToLower(name)) || slices.ContainsFunc(values, tokenShape.MatchString) {
			return true
		}
	}
	return false
}
