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
	"net"
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

// The words of a description and of a failure belong to the protocol; authors use them by these names.
type (
	// Description is what a connector says of itself.
	Description = contract.Description
	// Stream describes one kind of record.
	Stream = contract.Stream
	// StatementRecord is a record of a stream of statements, which contract.StatementStream describes.
	StatementRecord = contract.StatementRecord
	// Field is one named value of a record.
	Field = contract.Field
	// Auth tells the hub to add one secret to every request to a host.
	Auth = contract.Auth
	// Ability names an optional interface of a connector.
	Ability = contract.Ability
)

// Session is one connection's configuration and its ways to the world.
type Session struct {
	Config []byte       // JSON, without the secrets
	HTTP   *http.Client // requests leave through the hub
	// Dial opens a stream of bytes through the hub, for protocols other than HTTP, to an address "host:port" that Description.Hosts
	// names as "tcp://host:port". Failures of the hub are *Error. A deadline, whichever is set, ends the stream when it is over.
	Dial func(ctx context.Context, address string) (net.Conn, error)
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
	// Since and Until ask a stream with Stream.Ranges for what was updated in this range, [Since, Until); there is no cursor then. Zero: no such range.
	Since, Until time.Time
	// PageRecords is how many records may lie between two checkpoints (Output.Due keeps count). 0 means 1000.
	PageRecords int
	// MaxRecord is the size in bytes above which a record is refused as too large. 0 means 16 MiB.
	MaxRecord int
}
