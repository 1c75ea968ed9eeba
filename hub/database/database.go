// Package database is the one way to Postgres: open it as the application's role, run a transaction for a tenant, migrate.
//
// Read DB.Tenant first: every read and write of a room happens inside it, under the row-level security of one tenant. Migrate
// brings a database to this binary's schema and makes the application's role. arrays.go encodes columns for
// INSERT ... SELECT FROM unnest(...), the fast way to write many rows.
//
// Connections keep the statements that they have prepared (prepared.go), and send []byte parameters in Postgres' binary format (lib/pq's binary_parameters), which
// saves half the bytes of each bytea. So a []byte parameter is right for bytea, for uuid as 16 raw bytes and for the arrays of
// this package, but JSON must go as a string or as database.JSON.
//
// Many rows are looked for by unnest($2) CROSS JOIN LATERAL (SELECT ... LIMIT 1, or OFFSET 0 where there may be several): one probe of
// the whole key each. With = ANY($2), or a plain join, the planner may read all rows of the tenant every time: it takes a table that has just
// been filled, and not yet analyzed, for empty.
package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// TenantID numbers a tenant; it is the tenant_id column of every table.
type TenantID int32

// Tenant is a row of the table tenant.
type Tenant struct {
	ID   TenantID `db:"id"`
	Name string   `db:"name"`
}

// DB is a pool of connections as the application's role, which owns no table and is held by row-level security.
type DB struct {
	*sqlx.DB
	url     string       // with password
	waiting atomic.Int64 // transactions that wait for a connection
}

// JSON is a parameter for a json or jsonb column.
type JSON []byte

// Value sends the document as text; nil is null.
func (j JSON) Value() (driver.Value, error) {
	if j == nil {
		return nil, nil
	}
	return string(j), nil
}

// Settings of every connection, unless the URL has its own.
var settings = map[string]string{
	"binary_parameters":                   "yes",
	"connect_timeout":                     "10",    // seconds
	"statement_timeout":                   "60000", // milliseconds
	"idle_in_transaction_session_timeout": "60000", // milliseconds
	"application_name":                    "lrshub",
	"timezone":                            "UTC",
	"jit":                                 "off", // compiling costs more than any query here takes; a plan priced high by pagePlans would trigger it
}

// Bounds of the pool. A hub must leave room for others on a Postgres with its default of 100 connections.
const (
	maxOpen     = 32
	maxIdle     = 16
	maxIdleTime = 5 * time.Minute
)

// Bounds of the queue for a connection. More work than that is refused at once (ErrBusy): it would only wait until whoever asked has gone.
const (
	maxWaiting = 512
	maxWait    = 10 * time.Second
)

// connection takes a connection of the pool. ErrBusy when too many wait for one already, or it takes too long.
func (db *DB) connection(ctx context.Context) (*sqlx.Conn, error) {
	defer db.waiting.Add(-1)
	if db.waiting.Add(1) > maxWaiting {
		return nil, ErrBusy
	}
	bounded, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	conn, err := db.Connx(bounded)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, ErrBusy
	}
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// Open connects to Postgres as the application's role. It refuses a role that row-level security would not hold (ErrPrivileged);
// ErrUnavailable means that nobody answers.
func Open(ctx context.Context, databaseURL string) (*DB, error) {
	full, err := withSettings(databaseURL, settings)
	if err != nil {
		return nil, err
	}
	connector, err := pq.NewConnector(full)
	if err != nil {
		return nil, fmt.Errorf("open database: the URL is not usable: %w", withoutURL(err))
	}
	db := &DB{DB: sqlx.NewDb(sql.OpenDB(preparing{connector}), "postgres"), url: full}
	db.SetMaxOpenConns(maxOpen)
	db.SetMaxIdleConns(maxIdle)
	db.SetConnMaxIdleTime(maxIdleTime)
	var privileged bool
	if err := db.QueryRowContext(ctx, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user").Scan(&privileged); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", describe(ctx, err)), db.Close())
	}
	if privileged {
		return nil, errors.Join(fmt.Errorf("open database: %w; connect as the role that migrate made", ErrPrivileged), db.Close())
	}
	return db, nil
}

// withSettings adds settings to a URL that does not have them.
func withSettings(databaseURL string, settings map[string]string) (string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return "", errors.New("database URL must look like postgres://user:password@host:port/database?sslmode=require") // without the URL: it has a password
	}
	query := u.Query()
	for name, value := range settings {
		if !query.Has(name) {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// withoutURL drops the URL, which has a password, from an error about it.
func withoutURL(err error) error {
	var bad *url.Error
	if errors.As(err, &bad) {
		return bad.Err
	}
	return err
}

// Tenants lists all tenants by id. It needs no tenant's transaction.
func (db *DB) Tenants(ctx context.Context) ([]Tenant, error) {
	var tenants []Tenant
	if err := db.SelectContext(ctx, &tenants, "SELECT id, name FROM tenant ORDER BY id"); err != nil {
		return nil, fmt.Errorf("list tenants: %w", describe(ctx, err))
	}
	return tenants, nil
}

// One reads one value that belongs to no tenant, such as which tenant a credential is of. Its errors are those of a tenant's transaction.
func (db *DB) One(ctx context.Context, into any, query string, args ...any) error {
	return describe(ctx, db.GetContext(ctx, into, query, args...))
}
