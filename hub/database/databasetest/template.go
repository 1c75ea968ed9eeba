package databasetest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/migrations"
)

// templateLock serialises the making of templates between processes; it is taken in the database postgres.
const templateLock = 7723019

// template names the template database of this binary's migrations, and makes it if need be.
func (c *cluster) template(ctx context.Context) (string, error) {
	name, err := templateName(migrations.FS)
	if err != nil {
		return "", err
	}
	if there, err := c.has(ctx, name); err != nil || there {
		return name, err
	}
	conn, err := c.admin.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", templateLock); err != nil {
		return "", err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", templateLock)
	if there, err := c.has(ctx, name); err != nil || there {
		return name, err
	}
	return name, c.build(ctx, name)
}

func (c *cluster) has(ctx context.Context, name string) (there bool, err error) {
	err = c.admin.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there)
	return there, err
}

// build migrates a database under another name first, so that a template is there whole or not at all.
func (c *cluster) build(ctx context.Context, name string) error {
	draft := "draft_" + strings.ToLower(rand.Text()[:16])
	if _, err := c.admin.ExecContext(ctx, "CREATE DATABASE "+pq.QuoteIdentifier(draft)+" TEMPLATE template0"); err != nil {
		return err
	}
	if err := c.fill(ctx, draft); err != nil {
		_, dropErr := c.admin.ExecContext(ctx, "DROP DATABASE "+pq.QuoteIdentifier(draft)+" WITH (FORCE)")
		return errors.Join(err, dropErr)
	}
	// Connections of the migration may take a moment to end.
	if _, err := c.admin.ExecContext(ctx, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", draft); err != nil {
		return err
	}
	_, err := c.admin.ExecContext(ctx, "ALTER DATABASE "+pq.QuoteIdentifier(draft)+" RENAME TO "+pq.QuoteIdentifier(name))
	return err
}

func (c *cluster) fill(ctx context.Context, name string) error {
	if err := database.Migrate(ctx, c.url(name), app); err != nil {
		return err
	}
	db, err := sql.Open("postgres", c.url(name))
	if err != nil {
		return err
	}
	defer db.Close()
	var first int
	if err := db.QueryRowContext(ctx, "SELECT id FROM tenant WHERE name = 'default'").Scan(&first); err != nil {
		return err
	}
	var second int
	if err := db.QueryRowContext(ctx, "INSERT INTO tenant (name) VALUES ('other') RETURNING id").Scan(&second); err != nil {
		return err
	}
	if first != int(Default) || second != int(Other) {
		return fmt.Errorf("tenants have the ids %d and %d", first, second)
	}
	return nil
}

// templateName hashes the migrations, names and contents.
func templateName(steps fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(steps, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(steps, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %d\n%s", path, len(text), text)
		return nil
	})
	return "template_" + hex.EncodeToString(h.Sum(nil)[:8]), err
}
