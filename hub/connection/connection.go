// Package connection keeps the connections to source systems and all that syncing them needs to know: configuration (sealed), mapping
// versions, the lease that lets one run at a time write, cursors, runs and their progress, what is known of each source record,
// and dead letters.
//
// Start with Connection and Add (this file). A specification comes from a YAML file (file.go) and is checked against what the
// connector says of itself (check.go) before Add takes it. A run is Begin, then for each stream StartStream, pages, CompleteStream, then
// End (run.go, cursor.go); each page's transaction calls HoldLease (lease.go), SaveCursor and AddProgress. Source records are in
// source.go, dead letters in dead.go. All functions work in the caller's transaction, and each change to a connection is an audit
// event in it.
//
// Everything that hangs on a connection hangs on its id, not its name: statement ids, cursors and source records of a removed
// connection are never taken up by a later one of the same name.
package connection

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
)

var (
	// ErrUnknown: the tenant has no connection of that name or id. The text lists those that it has.
	ErrUnknown = errors.New("connection: no such connection")
	// ErrExists: the tenant has a connection of that name.
	ErrExists = errors.New("connection: the name is taken")
	// ErrName: not a name for a connection.
	ErrName = errors.New("connection: not a connection's name")
)

// State says whether a connection is synced.
type State string

const (
	Active  State = "active"
	Paused  State = "paused"
	removed State = "removed"
)

// Connection is one way to one source system.
type Connection struct {
	ID        uuid.UUID     `json:"id"`
	Name      string        `json:"name"`
	Connector string        `json:"connector"`
	Checksum  string        `json:"checksum,omitempty"` // SHA-256 that a third-party connector is pinned to; "": built in
	Purpose   string        `json:"purpose"`
	Schedule  time.Duration `json:"schedule"`   // between two runs; 0: on demand only
	LateAfter time.Duration `json:"late_after"` // a stream that is older than this is late; 0: never
	State     State         `json:"state"`
	Mapping   int           `json:"mapping"` // version in force
	CreatedAt time.Time     `json:"created_at"`

	sealed []byte // configuration
}

// Act is who changes something, and when.
type Act struct {
	Actor   string // id of the credential or workflow
	Purpose string // that the credential is bound to; "" for the hub's own work
	Now     time.Time
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Add adds a connection under a name. Errors: ErrName, ErrExists, people.ErrUnknownPurpose.
func Add(ctx context.Context, tx *database.Tx, t *vault.Tenant, act Act, name string, spec Checked) (Connection, error) {
	if !validName.MatchString(name) {
		return Connection{}, fmt.Errorf("%w: %q: take 1 to 63 lower-case letters, digits, - or _, such as \"registrations\"", ErrName, name)
	}
	if _, err := people.FindPurpose(ctx, tx, spec.spec.Purpose); err != nil {
		return Connection{}, fmt.Errorf("%s: %w", spec.spec.at("purpose"), err)
	}
	c := Connection{
		ID: uuid.New(), Name: name, Connector: spec.spec.Connector, Checksum: spec.spec.Checksum, Purpose: spec.spec.Purpose,
		Schedule: spec.schedule, LateAfter: spec.lateAfter, State: Active, Mapping: 1, CreatedAt: act.Now,
	}
	settings, err := json.Marshal(Settings{Config: spec.public, Secrets: spec.secrets, Params: spec.spec.Params, Alert: spec.spec.Alert})
	if err != nil {
		return Connection{}, fmt.Errorf("connection: configuration: %w", err)
	}
	if c.sealed, err = t.Seal(configContext(c.ID), settings); err != nil {
		return Connection{}, fmt.Errorf("connection: seal configuration: %w", err)
	}
	_, err = tx.ExecContext(ctx, `
INSERT INTO connection (tenant_id, id, name, connector, checksum, config, purpose, schedule, mapping, created_at, late_after) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		tx.Tenant, c.ID, c.Name, c.Connector, c.Checksum, c.sealed, c.Purpose, formatSchedule(c.Schedule), c.Mapping, c.CreatedAt, formatSchedule(c.LateAfter))
	if database.IsUnique(err, "connection_name") {
		return Connection{}, fmt.Errorf("%w: %s: choose another, or remove that connection first", ErrExists, name)
	}
	if err != nil {
		return Connection{}, fmt.Errorf("connection: add: %w", err)
	}
	if err := insertMapping(ctx, tx, c.ID, 1, spec, act.Now); err != nil {
		return Connection{}, err
	}
	if err := vault.SetRules(ctx, tx, c.ID, spec.spec.Link); err != nil {
		return Connection{}, err
	}
	var links map[string]any
	if len(spec.spec.Link) > 0 {
		links = map[string]any{"links": spec.spec.Link}
	}
	return c, record(ctx, tx, act, audit.ConnectionAdded, c, links)
}

func record(ctx context.Context, tx *database.Tx, act Act, kind string, c Connection, more map[string]any) error {
	fields := map[string]any{"connection": c.ID, "connector": c.Connector, "mapping": c.Mapping}
	for name, value := range more {
		fields[name] = value
	}
	return audit.Record(ctx, tx, act.Now, audit.Event{Kind: kind, Actor: act.Actor, Purpose: act.Purpose, Fields: fields})
}

func configContext(id uuid.UUID) string { return "connection-config|" + id.String() }

// Settings is what a connection is configured with.
type Settings struct {
	Config  json.RawMessage   `json:"config"`            // for the connector's process, without secrets
	Secrets map[string]string `json:"secrets,omitempty"` // by the path of the property that the schema marks with x-secret
	Params  json.RawMessage   `json:"params,omitempty"`  // for the mapping
	Alert   string            `json:"alert,omitempty"`   // URL to which it is posted that a stream is late; "": the log tells
}

// Secret gives a secret to the host (host.Session.Secrets). The error is a *contract.Error of class config.
func (s Settings) Secret(_ context.Context, name string) (string, error) {
	value, there := s.Secrets[name]
	if !there {
		return "", &contract.Error{Class: contract.ClassConfig, Message: fmt.Sprintf("the configuration has no secret %q: set it in the connection's file", name)}
	}
	return value, nil
}

// Settings opens the configuration.
func (c Connection) Settings(t *vault.Tenant) (Settings, error) {
	var s Settings
	text, err := t.Open(configContext(c.ID), c.sealed)
	if err != nil {
		return s, fmt.Errorf("connection: configuration of %s: %w", c.Name, err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("connection: configuration of %s: it is not what was sealed", c.Name)
	}
	return s, nil
}

// Fingerprint changes with whatever a running connector was started with, and with the mapping in force.
func (c Connection) Fingerprint() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%d|%x", c.Connector, c.Checksum, c.Mapping, c.sealed))
	return string(sum[:])
}

const columns = `id, name, connector, checksum, config, purpose, schedule, state, mapping, created_at, late_after`

func scan(row interface{ Scan(...any) error }) (Connection, error) {
	var c Connection
	var schedule, late string
	err := row.Scan(&c.ID, &c.Name, &c.Connector, &c.Checksum, &c.sealed, &c.Purpose, &schedule, &c.State, &c.Mapping, &c.CreatedAt, &late)
	if err != nil {
		return c, err
	}
	if c.Schedule, err = parseSchedule(schedule); err != nil {
		return c, err
	}
	c.LateAfter, err = parseLateAfter(late)
	return c, err
}

// Get finds a connection by name or id, or gives ErrUnknown.
func Get(ctx context.Context, tx *database.Tx, nameOrID string) (Connection, error) {
	id, err := uuid.Parse(nameOrID)
	if err != nil {
		id = uuid.Nil
	}
	c, err := scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM connection WHERE tenant_id = $1 AND (name = $2 OR id = $3) AND state <> 'removed' ORDER BY id = $3 DESC LIMIT 1`,
		tx.Tenant, nameOrID, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Connection{}, unknown(ctx, tx, nameOrID)
	}
	if err != nil {
		return Connection{}, fmt.Errorf("connection: find: %w", err)
	}
	return c, nil
}

func unknown(ctx context.Context, tx *database.Tx, nameOrID string) error {
	list, err := List(ctx, tx)
	if err != nil {
		return err
	}
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.Name
	}
	known := "there is none yet (add one with: lrshub connection add)"
	if len(names) > 0 {
		known = "there are " + strings.Join(names, ", ")
	}
	return fmt.Errorf("%w: %q: %s", ErrUnknown, nameOrID, known)
}

// lock gives a connection and keeps others from changing it until the transaction ends.
func lock(ctx context.Context, tx *database.Tx, id uuid.UUID) (Connection, error) {
	c, err := scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM connection WHERE tenant_id = $1 AND id = $2 AND state <> 'removed' FOR UPDATE`, tx.Tenant, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Connection{}, unknown(ctx, tx, id.String())
	}
	if err != nil {
		return Connection{}, fmt.Errorf("connection: lock: %w", err)
	}
	return c, nil
}

// List gives the tenant's connections by name.
func List(ctx context.Context, tx *database.Tx) ([]Connection, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+columns+` FROM connection WHERE tenant_id = $1 AND state <> 'removed' ORDER BY name`, tx.Tenant)
	if err != nil {
		return nil, fmt.Errorf("connection: list: %w", err)
	}
	defer rows.Close()
	list := []Connection{}
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("connection: list: %w", err)
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// Pause keeps a connection from being synced; a run that is under way is for the caller to cancel. Pausing twice changes nothing.
func Pause(ctx context.Context, tx *database.Tx, act Act, id uuid.UUID) (Connection, error) {
	return setState(ctx, tx, act, id, Paused, audit.ConnectionPaused)
}

// Resume lets a paused connection be synced again; it goes on from its cursors. Resuming twice changes nothing.
func Resume(ctx context.Context, tx *database.Tx, act Act, id uuid.UUID) (Connection, error) {
	return setState(ctx, tx, act, id, Active, audit.ConnectionResumed)
}

func setState(ctx context.Context, tx *database.Tx, act Act, id uuid.UUID, state State, kind string) (Connection, error) {
	c, err := lock(ctx, tx, id)
	if err != nil || c.State == state {
		return c, err
	}
	c.State = state
	if _, err := tx.ExecContext(ctx, `UPDATE connection SET state = $3 WHERE tenant_id = $1 AND id = $2`, tx.Tenant, id, string(state)); err != nil {
		return c, fmt.Errorf("connection: set state: %w", err)
	}
	return c, record(ctx, tx, act, kind, c, nil)
}

// Remove ends a connection for good. Its statements stay, what it said of who is who stays, the facts that it said of people end now, and so do its mapping versions and its runs, which hold no personal data; its
// configuration, lease, cursors, source records and dead letters are deleted, whatever it was doing: a run under way commits nothing
// more. Its name is free again, but a new connection of that name is another one: it knows nothing of what this one stored,
// and so stores it again.
func Remove(ctx context.Context, tx *database.Tx, act Act, id uuid.UUID) error {
	c, err := lock(ctx, tx, id)
	if err != nil {
		return err
	}
	// The lease first: a page that is being stored holds it, and we wait for it.
	if _, err := tx.ExecContext(ctx, `DELETE FROM connection_lease WHERE tenant_id = $1 AND connection_id = $2`, tx.Tenant, id); err != nil {
		return fmt.Errorf("connection: remove: %w", err)
	}
	if err := endRunning(ctx, tx, c, uuid.Nil, Outcome{State: Cancelled, Class: "removed", Error: "the connection was removed"}, act.Now); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
WITH cursors AS (DELETE FROM connection_cursor WHERE tenant_id = $1 AND connection_id = $2),
deliveries AS (DELETE FROM push_delivery WHERE tenant_id = $1 AND connection_id = $2),
freshness AS (DELETE FROM connection_freshness WHERE tenant_id = $1 AND connection_id = $2),
resources AS (DELETE FROM scim_resource WHERE tenant_id = $1 AND connection_id = $2),
letters AS (DELETE FROM dead_letter WHERE tenant_id = $1 AND connection_id = $2),
records AS (DELETE FROM source_record WHERE tenant_id = $1 AND connection_id = $2),
streams AS (DELETE FROM connection_stream WHERE tenant_id = $1 AND connection_id = $2)
UPDATE connection SET state = 'removed', config = '' WHERE tenant_id = $1 AND id = $2`, tx.Tenant, id)
	if err != nil {
		return fmt.Errorf("connection: remove: %w", err)
	}
	if err := people.EndOf(ctx, tx, id, act.Now); err != nil {
		return err
	}
	return record(ctx, tx, act, audit.ConnectionRemoved, c, nil)
}
