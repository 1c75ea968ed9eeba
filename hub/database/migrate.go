package database

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/lib/pq"
	"github.com/pressly/goose/v3"

	"github.com/lrshub/lrshub/migrations"
)

// AppRole is the login that Open uses. An empty name makes none; an empty password leaves the role's as it is.
type AppRole struct {
	Name     string
	Password string
}

// groupRole is the role that the migrations grant their privileges to.
const groupRole = "lrshub_app"

// migrateLock is the advisory lock that lets one start at a time migrate a database.
const migrateLock = 7723017

// Migrate brings the database to this binary's schema, as its owner, and makes or updates the application's login. Several starts at once wait for each other.
// ErrNewer means that a newer binary was here.
func Migrate(ctx context.Context, ownerURL string, app AppRole) error {
	return migrate(ctx, ownerURL, migrations.FS, app)
}

func migrate(ctx context.Context, ownerURL string, steps fs.FS, app AppRole) (err error) {
	db, err := openOwner(ownerURL)
	if err != nil {
		return err
	}
	defer db.Close()
	lock, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", describe(ctx, err))
	}
	defer lock.Close() // ends the session, and with it the lock: the pool is closed right after
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock($1)", migrateLock); err != nil {
		return fmt.Errorf("migrate: wait for other starts: %w", describe(ctx, err))
	}
	if err := stepUp(ctx, db, steps); err != nil {
		return err
	}
	if app.Name == "" {
		return nil
	}
	return retryRole(ctx, func() error { return ensureRole(ctx, db, app) })
}

func stepUp(ctx context.Context, db *sql.DB, steps fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectPostgres, db, steps, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("migrate: read the schema version: %w", describe(ctx, err))
	}
	if current > target {
		return fmt.Errorf("%w: its schema is version %d, this binary knows %d; start the newer lrshub, or restore a backup made before the upgrade", ErrNewer, current, target)
	}
	if _, err := provider.Up(ctx); err != nil {
		var partial *goose.PartialError
		if errors.As(err, &partial) {
			return fmt.Errorf("migrate: %s failed and was rolled back; what came before it stays: %w", partial.Failed.Source.Path, partial.Err)
		}
		return fmt.Errorf("migrate from version %d to %d: %w", current, target, err)
	}
	return nil
}

// Version is the schema version of the database, 0 if it was never migrated.
func Version(ctx context.Context, ownerURL string) (int64, error) {
	db, err := openOwner(ownerURL)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var migrated bool
	if err := db.QueryRowContext(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&migrated); err != nil || !migrated {
		return 0, describe(ctx, err)
	}
	var version int64
	if err := db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("read the schema version: %w", describe(ctx, err))
	}
	return version, nil
}

// openOwner opens the database as its owner: no statement timeout, as a migration may rewrite a large table.
func openOwner(ownerURL string) (*sql.DB, error) {
	full, err := withSettings(ownerURL, map[string]string{"connect_timeout": "10", "application_name": "lrshub migrate", "timezone": "UTC"})
	if err != nil {
		return nil, err
	}
	connector, err := pq.NewConnector(full)
	if err != nil {
		return nil, fmt.Errorf("open database: the URL is not usable: %w", withoutURL(err))
	}
	return sql.OpenDB(connector), nil
}

// ensureRole makes the login, or sets its password, and lets it inherit the application's privileges.
func ensureRole(ctx context.Context, db *sql.DB, app AppRole) error {
	var there, member bool
	err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1),
		EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member JOIN pg_roles g ON g.oid = m.roleid WHERE r.rolname = $1 AND g.rolname = $2)`,
		app.Name, groupRole).Scan(&there, &member)
	if err != nil {
		return fmt.Errorf("look up role %s: %w", app.Name, describe(ctx, err))
	}
	statement := "ALTER ROLE " + pq.QuoteIdentifier(app.Name) + " LOGIN INHERIT"
	if !there {
		statement = "CREATE ROLE " + pq.QuoteIdentifier(app.Name) + " LOGIN INHERIT"
	}
	if app.Password != "" {
		verifier, err := scramVerifier(app.Password)
		if err != nil {
			return fmt.Errorf("make the password of role %s: %w", app.Name, err)
		}
		statement += " PASSWORD " + pq.QuoteLiteral(verifier)
	}
	if _, err := db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("make role %s (the owner needs CREATEROLE, or make the role yourself and leave it out here): %w", app.Name, err)
	}
	if member {
		return nil
	}
	if _, err := db.ExecContext(ctx, "GRANT "+groupRole+" TO "+pq.QuoteIdentifier(app.Name)); err != nil {
		return fmt.Errorf("grant %s to role %s: %w", groupRole, app.Name, err)
	}
	return nil
}

// retryRole repeats what collides with another database of the same cluster: roles are shared, advisory locks are not.
func retryRole(ctx context.Context, make func() error) error {
	for attempt := 1; ; attempt++ {
		err := make()
		bad := pq.As(err, "42710", "23505", "XX000") // role exists; the same at commit; tuple concurrently updated
		if bad == nil || attempt == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(time.Duration(attempt) * 20 * time.Millisecond):
		}
	}
}

// scramVerifier computes what Postgres keeps of a password (RFC 5803), so that the password itself reaches no server log.
func scramVerifier(password string) (string, error) {
	const iterations = 4096
	var salt [16]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", err
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt[:], iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	clientKey := keyed(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt[:]), encode(stored[:]), encode(keyed(salted, "Server Key"))), nil
}

func keyed(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
