package sdk

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Signature says how a source signs what it pushes: an HMAC over the body, and perhaps a timestamp, in a header. Start with Verify.
type Signature struct {
	Header string // that holds the signature, such as X-Signature
	// Prefix stands before the signature in the header, such as "sha256=" or "v1,". Of several signatures in one header, parted by spaces or commas
	// before the prefix, one must be good: the source is changing its secret.
	Prefix   string
	Hash     func() hash.Hash          // nil: SHA-256
	Encoding func(mac []byte) []string // how it may be written; nil: hex, or base64
	// Timestamp is the header with the time of sending, in seconds since 1970 or RFC 3339; "": there is none, and nothing but the hub's memory of deliveries keeps
	// an old one out.
	Timestamp string
	Tolerance time.Duration // between that time and the hub's; 0: 5 minutes
	// Signed puts together what is signed; nil: the body, or with a timestamp the timestamp as it stands in the header, a dot and the body.
	Signed func(h http.Header, body []byte) []byte
}

// Verify checks a push against the secrets, of which one must be the source's: a second one is good while it is changed. It takes the same time
// whatever the signature is. The error is an *Error of class auth; it says nothing of what would have been right.
func (s Signature) Verify(p Push, secrets ...string) error {
	given := p.Header.Values(s.Header)
	if len(given) == 0 {
		return Errorf(ClassAuth, "the push is not signed: the header %s is missing", s.Header)
	}
	if err := s.timely(p); err != nil {
		return err
	}
	good := 0
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		for _, right := range s.write(secret, p) {
			for _, header := range given {
				for _, one := range signatures(header, s.Prefix) {
					good |= subtle.ConstantTimeCompare([]byte(one), []byte(right))
				}
			}
		}
	}
	if good != 1 {
		return Errorf(ClassAuth, "the signature in %s is not good: is the secret the one of the connection, and is the body sent as it was signed?", s.Header)
	}
	return nil
}

// write gives the forms of the right signature.
func (s Signature) write(secret string, p Push) []string {
	sum := s.Hash
	if sum == nil {
		sum = sha256.New
	}
	mac := hmac.New(sum, []byte(secret))
	mac.Write(s.signed(p))
	if s.Encoding != nil {
		return s.Encoding(mac.Sum(nil))
	}
	code := mac.Sum(nil)
	return []string{hex.EncodeToString(code), base64.StdEncoding.EncodeToString(code)}
}

func (s Signature) signed(p Push) []byte {
	switch {
	case s.Signed != nil:
		return s.Signed(p.Header, p.Body)
	case s.Timestamp != "":
		return append([]byte(p.Header.Get(s.Timestamp)+"."), p.Body...)
	}
	return p.Body
}

// timely says whether the push was sent about when it came.
func (s Signature) timely(p Push) error {
	if s.Timestamp == "" {
		return nil
	}
	text := p.Header.Get(s.Timestamp)
	at, err := time.Parse(time.RFC3339, text)
	if seconds, e := strconv.ParseInt(text, 10, 64); e == nil {
		at, err = time.Unix(seconds, 0), nil
	}
	if err != nil {
		return Errorf(ClassAuth, "the header %s must say when the push was sent, in seconds since 1970 or as 2026-01-31T08:00:00Z", s.Timestamp)
	}
	tolerance := s.Tolerance
	if tolerance == 0 {
		tolerance = 5 * time.Minute
	}
	if apart := p.Received.Sub(at); apart > tolerance || apart < -tolerance {
		return Errorf(ClassAuth, "the push was sent at another time than it came: %s lies more than %s from the hub's clock", s.Timestamp, tolerance)
	}
	return nil
}

// signatures parts a header's signatures, at most 16.
func signatures(header, prefix string) []string {
	if prefix == "" {
		return []string{strings.TrimSpace(header)}
	}
	var list []string
	for _, word := range strings.FieldsFunc(header, func(r rune) bool { return r == ' ' }) {
		parts := []string{word}
		if !strings.HasSuffix(prefix, ",") {
			parts = strings.Split(word, ",")
		}
		for _, part := range parts {
			if one, ok := strings.CutPrefix(part, prefix); ok && len(list) < 16 {
				list = append(list, one)
			}
		}
	}
	return list
}

// CheckBearer checks that a push has one of the secrets as its bearer token (RFC 6750, section 2.1), in constant time for secrets of one length. The error is an *Error of
// class auth.
func CheckBearer(p Push, secrets ...string) error {
	scheme, token, _ := strings.Cut(p.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || len(p.Header.Values("Authorization")) != 1 {
		return Errorf(ClassAuth, "the push has no token: send Authorization: Bearer, once")
	}
	given := sha256.Sum256([]byte(strings.TrimSpace(token)))
	good := 0
	for _, secret := range secrets {
		if secret != "" {
			right := sha256.Sum256([]byte(secret))
			good |= subtle.ConstantTimeCompare(given[:], right[:])
		}
	}
	if good != 1 {
		return Errorf(ClassAuth, "the bearer token is not the one of the connection")
	}
	return nil
}
