package temporal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"github.com/lib/pq"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/tools/common/schema"
	tools "go.temporal.io/server/tools/sql"
)

// stores are the server's two databases: executions, and what lists of executions are made of.
type stores struct {
	main, visibility *config.SQL
}

func newStores(postgresURL string) (stores, error) {
	u, err := url.Parse(postgresURL)
	if err != nil || u.Host == "" || u.User == nil {
		return stores{}, errors.New("embedded Temporal needs a Postgres URL like postgres://user:password@host:port/database") // without the URL: it has a password
	}
	password, _ := u.User.Password()
	store := func(database string, connections int) *config.SQL {
		s := &config.SQL{
			PluginName: postgresql.PluginName, DatabaseName: database,
			User: url.QueryEscape(u.User.Username()), Password: password,
			ConnectAddr: u.Host, ConnectProtocol: "tcp", ConnectAttributes: map[string]string{"application_name": "temporal"},
			// Each of the four services has pools of its own.
			MaxConns: connections, MaxIdleConns: connections,
		}
		for name, values := range u.Query() {
			s.ConnectAttributes[name] = values[0]
		}
		return s
	}
	return stores{main: store("temporal", 10), visibility: store("temporal_visibility", 4)}, nil
}

// prepare makes the databases if they are absent and brings their schema to this server's version.
func (s stores) prepare(ctx context.Context, postgresURL string, logger log.Logger) error {
	for _, one := range []struct {
		store  *config.SQL
		schema string
	}{{s.main, "postgresql/v12/temporal"}, {s.visibility, "postgresql/v12/visibility"}} {
		if err := createDatabase(ctx, postgresURL, one.store.DatabaseName); err != nil {
			return err
		}
		if err := updateSchema(one.store, one.schema, logger); err != nil {
			return fmt.Errorf("%w: schema of database %s: %w", ErrFailed, one.store.DatabaseName, err)
		}
	}
	return nil
}

func createDatabase(ctx context.Context, postgresURL, name string) error {
	db, err := sql.Open("postgres", postgresURL)
	if err != nil {
		return fmt.Errorf("%w: create database %s: %w", ErrFailed, name, err)
	}
	defer db.Close()
	var there bool
	if err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		return fmt.Errorf("%w: create database %s: %w", ErrFailed, name, err)
	}
	if there {
		return nil
	}
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+pq.QuoteIdentifier(name)+" TEMPLATE template0 ENCODING 'UTF8'"); err != nil {
		return fmt.Errorf("%w: create database %s: %w", ErrFailed, name, err)
	}
	return nil
}

// updateSchema runs the two tasks of the server's own schema tool; the SQL is embedded in its module.
func updateSchema(store *config.SQL, name string, logger log.Logger) error {
	connection, err := tools.NewConnection(store, logger)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err := connection.ReadSchemaVersion(); err != nil { // no version table yet
		if err := schema.NewSetupSchemaTask(connection, &schema.SetupConfig{InitialVersion: "0.0"}, logger).Run(); err != nil {
			return err
		}
	}
	return schema.NewUpdateSchemaTask(connection, &schema.UpdateConfig{DBName: store.DatabaseName, SchemaName: name}, logger).Run()
}
