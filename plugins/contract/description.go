package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ErrDescription is wrapped by every complaint about a connector's description.
var ErrDescription = errors.New("invalid connector description")

// Description is what a connector says of itself.
type Description struct {
	Name    string `json:"name"`    // short, lower case: "csv"
	Version string `json:"version"` // semantic version
	Summary string `json:"summary"` // one line for the person who chooses
	// ConfigSchema is a JSON Schema of the configuration. "x-secret": true marks a property that holds a secret: it is
	// kept apart, never part of Session.Config, and named by its property path.
	ConfigSchema string `json:"config_schema,omitempty"`
	// Hosts lists where requests may go: "lms.example.org", "lms.example.org:8443", "*.instructure.com". Requests are
	// https on port 443, unless a port is named or the entry is written "http://host". "tcp://sftp.example.org:22" is for
	// Session.Dial, and names one host and its port.
	Hosts []string `json:"hosts,omitempty"`
	// Auth says how the hub signs requests, so that the secret stays out of this process.
	Auth []Auth `json:"auth,omitempty"`
	// Secrets names those secrets that the connector must see itself (Session.Secret), because its protocol leaves no other way.
	Secrets []string `json:"secrets,omitempty"`
	// Rate is the highest number of requests a second that the source bears; 0 leaves it to the hub.
	Rate    float64  `json:"rate,omitempty"`
	Streams []Stream `json:"streams,omitempty"`
	// Abilities lists the optional interfaces that the connector has; filled in by Serve.
	Abilities []Ability `json:"abilities,omitempty"`
}

// Ability names an optional part of the protocol.
type Ability string

const (
	AbilityPlan         Ability = "plan"
	AbilityCommit       Ability = "commit"
	AbilityReceive      Ability = "receive"
	AbilityFindSubject  Ability = "find_subject"
	AbilityEraseSubject Ability = "erase_subject"
)

// Auth tells the hub to add one secret to every request to Host.
type Auth struct {
	Kind   AuthKind `json:"kind"`
	Host   string   `json:"host,omitempty"`   // one of Hosts, as written there; "" if there is but one
	Secret string   `json:"secret"`           // name of the secret
	Name   string   `json:"name,omitempty"`   // header: its name; query: the parameter's; basic: the user's; user: the password's
	Prefix string   `json:"prefix,omitempty"` // header: text before the secret
	// TokenURL is where the hub gets access tokens for the secret (oauth2); its host is one of Hosts. Scope is what they are asked for.
	TokenURL string `json:"token_url,omitempty"`
	Scope    string `json:"scope,omitempty"`
}

// AuthKind is a way to sign a request.
type AuthKind string

const (
	AuthBearer AuthKind = "bearer" // Authorization: Bearer SECRET
	AuthBasic  AuthKind = "basic"  // Authorization: Basic of Name:SECRET
	AuthUser   AuthKind = "user"   // Authorization: Basic of SECRET:Name, for sources whose key stands in the user's place
	AuthHeader AuthKind = "header" // Name: Prefix SECRET
	AuthOAuth2 AuthKind = "oauth2" // Authorization: Bearer of an access token for client Name with its SECRET (RFC 6749, section 4.4)
	AuthQuery  AuthKind = "query"  // ?Name=SECRET, added by the hub and never logged
)

// Stream finds a stream by name.
func (d Description) Stream(name string) (Stream, bool) {
	for _, s := range d.Streams {
		if s.Name == name {
			return s, true
		}
	}
	return Stream{}, false
}

// Has says whether the connector has an ability.
func (d Description) Has(a Ability) bool { return slices.Contains(d.Abilities, a) }

// Validate says whether the description makes sense. The error wraps ErrDescription or ErrSchema.
func (d Description) Validate() error {
	switch {
	case d.Name == "" || strings.ToLower(d.Name) != d.Name || strings.ContainsAny(d.Name, " /\\\t\n"):
		return fmt.Errorf("%w: its name is short and lower case, not %q", ErrDescription, d.Name)
	case d.Version == "":
		return fmt.Errorf("%w: %s names no version", ErrDescription, d.Name)
	case d.ConfigSchema != "" && !json.Valid([]byte(d.ConfigSchema)):
		return fmt.Errorf("%w: the configuration schema of %s is not JSON", ErrDescription, d.Name)
	case d.Rate < 0:
		return fmt.Errorf("%w: %s: the rate of requests is not negative", ErrDescription, d.Name)
	}
	for _, host := range d.Hosts {
		if _, err := ParseHost(host); err != nil {
			return err
		}
	}
	for _, auth := range d.Auth {
		if err := d.validateAuth(auth); err != nil {
			return err
		}
	}
	names := make(map[string]bool, len(d.Streams))
	for _, s := range d.Streams {
		if names[s.Name] {
			return fmt.Errorf("%w: two streams are named %q", ErrDescription, s.Name)
		}
		names[s.Name] = true
		if err := s.Validate(); err != nil {
			return err
		}
	}
	return nil
}

func (d Description) validateAuth(a Auth) error {
	switch {
	case a.Secret == "":
		return fmt.Errorf("%w: an auth entry names no secret", ErrDescription)
	case a.Host == "" && len(d.Hosts) != 1:
		return fmt.Errorf("%w: auth with secret %q must name its host, since there are %d", ErrDescription, a.Secret, len(d.Hosts))
	case a.Host != "" && !slices.Contains(d.Hosts, a.Host):
		return fmt.Errorf("%w: auth with secret %q names host %q, which is not among hosts", ErrDescription, a.Secret, a.Host)
	}
	host := a.Host
	if host == "" {
		host = d.Hosts[0]
	}
	if p, err := ParseHost(host); err == nil && p.Scheme == "tcp" {
		return fmt.Errorf("%w: auth with secret %q is for requests, and %s is dialled: name the secret in secrets", ErrDescription, a.Secret, host)
	}
	switch a.Kind {
	case AuthBearer, AuthBasic, AuthUser:
		return nil
	case AuthHeader, AuthQuery:
		if a.Name == "" {
			return fmt.Errorf("%w: %s auth with secret %q needs a name", ErrDescription, a.Kind, a.Secret)
		}
		return nil
	}
	if a.Kind == AuthOAuth2 {
		return d.validateToken(a)
	}
	return fmt.Errorf("%w: auth kind is bearer, basic, user, oauth2, header or query, not %q", ErrDescription, a.Kind)
}

// validateToken: the secret goes to the token's address, which must be one that the connection may reach.
func (d Description) validateToken(a Auth) error {
	target, err := url.Parse(a.TokenURL)
	if err != nil || a.Name == "" {
		return fmt.Errorf("%w: oauth2 auth with secret %q needs a name (the client's id) and a token_url", ErrDescription, a.Secret)
	}
	scheme, host, port := Target(target)
	for _, text := range d.Hosts {
		if pattern, err := ParseHost(text); err == nil && pattern.Allows(scheme, host, port) {
			return nil
		}
	}
	return fmt.Errorf("%w: the token_url of oauth2 auth with secret %q is on no host among hosts", ErrDescription, a.Secret)
}

// Target gives scheme, host and port of an address as HostPattern.Allows wants them.
func Target(u *url.URL) (scheme, host, port string) {
	scheme, host, port = strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[scheme]
	}
	return scheme, host, port
}

// HostPattern is one entry of Description.Hosts.
type HostPattern struct {
	Scheme string // "https", "http" or "tcp"
	Host   string // lower case, without port; any one or more labels may stand before it if Wild
	Port   string // "443", "80" or as written
	Wild   bool
}

// ParseHost reads one entry of Description.Hosts.
func ParseHost(text string) (HostPattern, error) {
	p := HostPattern{Scheme: "https", Port: "443"}
	rest := strings.ToLower(text)
	if after, ok := strings.CutPrefix(rest, "http://"); ok {
		p.Scheme, p.Port, rest = "http", "80", after
	} else if after, ok := strings.CutPrefix(rest, "tcp://"); ok {
		p.Scheme, p.Port, rest = "tcp", "", after
	} else {
		rest = strings.TrimPrefix(rest, "https://")
	}
	if after, ok := strings.CutPrefix(rest, "*."); ok {
		p.Wild, rest = true, after
	}
	p.Host = rest
	if host, port, err := net.SplitHostPort(rest); err == nil {
		p.Host, p.Port = host, port
	} else {
		p.Host = strings.Trim(rest, "[]")
	}
	number, err := strconv.ParseUint(p.Port, 10, 16)
	if err != nil || number == 0 || p.Host == "" || strings.ContainsAny(p.Host, "*/?#@ []") || (p.Wild && (p.Scheme == "tcp" || !strings.Contains(p.Host, "."))) {
		return HostPattern{}, fmt.Errorf("%w: a host is like lms.example.org, lms.example.org:8443, *.example.org, http://host or tcp://host:22, not %q", ErrDescription, text)
	}
	return p, nil
}

// Allows says whether the pattern covers a request's scheme, host and port, all in lower case.
func (p HostPattern) Allows(scheme, host, port string) bool {
	if p.Scheme != scheme || p.Port != port {
		return false
	}
	return !p.Wild && host == p.Host || p.Wild && strings.HasSuffix(host, "."+p.Host)
}
