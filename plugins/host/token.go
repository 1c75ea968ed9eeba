package host

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// tokens are the access tokens of one connector process, by the name of their secret.
type tokens struct {
	mu    sync.Mutex
	known map[string]accessToken
}

type accessToken struct {
	value string
	until time.Time
}

const (
	maxTokenAnswer = 64 << 10
	tokenMargin    = 30 * time.Second // before its end a token is renewed
	tokenDefault   = 5 * time.Minute  // where its issuer does not say how long it is good
)

// token gives an access token for a secret, a new one if the last is about to end.
func (c *callback) token(ctx context.Context, auth contract.Auth, secret string) (string, error) {
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	if t, ok := c.tokens.known[auth.Secret]; ok && time.Now().Before(t.until) {
		return t.value, nil
	}
	value, good, err := c.issue(ctx, auth, secret)
	if err != nil {
		return "", err
	}
	c.conceal(value)
	if c.tokens.known == nil {
		c.tokens.known = make(map[string]accessToken)
	}
	c.tokens.known[auth.Secret] = accessToken{value: value, until: time.Now().Add(max(good-tokenMargin, good/2))}
	return value, nil
}

// issued asks the issuer for an access token with client credentials (RFC 6749, section 4.4). It does not take the way of the connector's own requests, so that no
// recording holds a token.
func (c *callback) issued(ctx context.Context, auth contract.Auth, secret string) (string, time.Duration, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if auth.Scope != "" {
		form.Set("scope", auth.Scope)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, auth.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, &contract.Error{Class: contract.ClassConfig, Message: "the address for access tokens is none"}
	}
	if _, err := c.allowed(r.URL); err != nil {
		return "", 0, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "lrshub")
	r.SetBasicAuth(url.QueryEscape(auth.Name), url.QueryEscape(secret))
	c.conceal(strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
	if err := c.wait(ctx); err != nil {
		return "", 0, err
	}
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return "", 0, unreachable(r.URL.Host, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxTokenAnswer))
	if err != nil {
		return "", 0, unreachable(r.URL.Host, err)
	}
	return tokenOf(r.URL.Host, response, body)
}

// tokenOf reads the issuer's answer (RFC 6749, sections 5.1 and 5.2).
func tokenOf(host string, response *http.Response, body []byte) (string, time.Duration, error) {
	var answer struct {
		Token   string      `json:"access_token"`
		Expires json.Number `json:"expires_in"`
		Error   string      `json:"error"`
	}
	malformed := json.Unmarshal(body, &answer)
	if err := sdk.CheckStatus(response); err != nil {
		known := err.(*contract.Error)
		if response.StatusCode == http.StatusBadRequest || response.StatusCode == http.StatusUnauthorized {
			known = &contract.Error{Class: contract.ClassAuth, Message: fmt.Sprintf("%s gives no access token (%s): check the client's id, its secret and what it may do", host, oauthError(answer.Error))}
		} else {
			known.Message = fmt.Sprintf("%s, asked for an access token: %s", host, known.Message)
		}
		return "", 0, known
	}
	if malformed != nil || answer.Token == "" {
		return "", 0, &contract.Error{Class: contract.ClassSourceBug, Message: host + " answered with no access token: is the address the one for tokens?"}
	}
	good := tokenDefault
	if seconds, err := answer.Expires.Int64(); err == nil && seconds > 0 {
		good = time.Duration(min(seconds, 24*3600)) * time.Second
	}
	return answer.Token, good, nil
}

// oauthError is an error's code if it is one of those that RFC 6749 names.
func oauthError(code string) string {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope":
		return code
	}
	return "no code"
}
