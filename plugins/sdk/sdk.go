// Package sdk is what the author of a connector imports. A connector is a type with three methods, Describe, Check and
// Read, and a main function that calls Serve; start reading at Connector, then Output. Further abilities (abilities.go)
// are small optional interfaces.
//
// A connector runs as a process of its own without network: Session.HTTP is an ordinary client whose requests leave
// through the hub, which adds the credentials, keeps to the list of allowed hosts, waits for rate limits and retries.
package sdk

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
)

// Connector reads the records of one kind of source.
type Connector interface {
	// Describe says what the connector is and, for a configuration, which streams it brings and which hosts it needs.
	// It is pure: no network, no clock, the same answer for the same config. A nil config asks for what holds of every configuration.
	Describe(config []byte) (Description, error)
	// Check finds out whether the source can be reached and read with this configuration. Fail with an *Error.
	Check(ctx context.Context, s *Session) error
	// Read brings one stream's records from the request's cursor on, until there is no more for now.
	Read(ctx context.Context, s *Session, r Request, out *Output) error
}

// Description is what a connector says of itself.
type Description struct {
	Name    string `json:"name"`    // short, lower case: "csv"
	Version string `json:"version"` // semantic version
	Summary string `json:"summary"` // one line for the person who chooses
	// ConfigSchema is a JSON Schema of the configuration. "x-secret": true marks a property that holds a secret: it is
	// kept apart, never part of Session.Config, and named by its property path.
	ConfigSchema string `json:"config_schema,omitempty"`
	// Hosts lists where requests may go: "lms.example.org", "lms.example.org:8443", "*.instructure.com". https only, unless written "http://host".
	Hosts []string `json:"hosts,omitempty"`
	// Auth says how the hub signs requests, so that the secret stays out of this process.
	Auth []Auth `json:"auth,omitempty"`
	// Secrets names those secrets that the connector must see itself (Session.Secret), because its protocol leaves no other way.
	Secrets []string `json:"secrets,omitempty"`
	// Rate is the highest number of requests a second that the source bears; 0 leaves it to the hub.
	Rate    float64           `json:"rate,omitempty"`
	Streams []contract.Stream `json:"streams,omitempty"`
	// Abilities lists the optional interfaces that the connector has; filled in by Serve.
	Abilities []Ability `json:"abilities,omitempty"`
}

// Auth tells the hub to add one secret to every request to Host.
type Auth struct {
	Kind   AuthKind `json:"kind"`
	Host   string   `json:"host,omitempty"`   // "" if there is but one in Hosts
	Secret string   `json:"secret"`           // name of the secret
	Name   string   `json:"name,omitempty"`   // header: its name; query: the parameter's; basic: the user's
	Prefix string   `json:"prefix,omitempty"` // header: text before the secret
}

// AuthKind is a way to sign a request.
type AuthKind string

const (
	Bearer AuthKind = "bearer" // Authorization: Bearer SECRET
	Basic  AuthKind = "basic"  // Authorization: Basic of Name:SECRET
	Header AuthKind = "header" // Name: Prefix SECRET
	Query  AuthKind = "query"  // ?Name=SECRET, added by the hub and never logged
)

// Session is one connection's configuration and its ways to the world.
type Session struct {
	Config []byte       // JSON, without the secrets
	HTTP   *http.Client // requests leave through the hub
	// Secret gives a secret's value, if Description.Secrets names it.
	Secret func(ctx context.Context, name string) (string, error)
	// Log goes to the hub's debug log. Neither message nor attributes may hold a record's values.
	Log *slog.Logger
	Now func() time.Time // UTC
}

// Request says what to read.
type Request struct {
	Stream    string
	Partition string   // of Planner; "" for the whole stream
	Cursor    []byte   // what the last Checkpoint carried that the hub has stored; nil: from the start
	Fields    []string // paths that will be kept; a hint for sources that can leave out the rest. nil: all
	Full      bool     // ignore what is known, bring everything
	// PageRecords is how many records may lie between two checkpoints (Output.Due keeps count). 0 means 1000.
	PageRecords int
	// MaxRecord is the size in bytes above which a record is refused as too large. 0 means 16 MiB.
	MaxRecord int
}
