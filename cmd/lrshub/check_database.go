package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/migrations"
)

// maxSkew is how far the clocks of Postgres and this machine may be apart.
const maxSkew = 5 * time.Second

// postgres checks the database as the application's role. It gives the tenants, and which of them have a past: whose keys must be there.
func (c *checks) postgres(ctx context.Context, s settings) (tenants []database.Tenant, lived map[database.TenantID]bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	db, err := database.Open(ctx, s.DatabaseURL)
	switch {
	case errors.Is(err, database.ErrPrivileged):
		c.fail("postgres", "run lrshub migrate, which makes such a role, and put its name into LRSHUB_DATABASE_URL", "the role of LRSHUB_DATABASE_URL bypasses row-level security")
		return nil, nil
	case err != nil:
		c.fail("postgres", "see that Postgres runs, and that LRSHUB_DATABASE_URL names its host, database, role and password", "%v", err)
		return nil, nil
	}
	defer db.Close()
	c.ok("postgres", "answers; its role is held by row-level security")
	c.clock(ctx, db)
	if !c.schema(ctx, s) {
		return nil, nil
	}
	if tenants, lived, err = pasts(ctx, db); err != nil {
		c.fail("tenants", "run lrshub migrate", "%v", err)
	}
	return tenants, lived
}

// pasts lists the tenants, and says which of them have events in their audit log.
func pasts(ctx context.Context, db *database.DB) ([]database.Tenant, map[database.TenantID]bool, error) {
	tenants, err := db.Tenants(ctx)
	if err != nil {
		return nil, nil, err
	}
	lived := map[database.TenantID]bool{}
	for _, t := range tenants {
		err := db.ReadTenant(ctx, t.ID, func(ctx context.Context, tx *database.Tx) error {
			list, err := audit.List(ctx, tx, audit.Filter{Limit: 1})
			lived[t.ID] = len(list) > 0
			return err
		})
		if err != nil {
			return nil, nil, fmt.Errorf("tenant %s: %w", t.Name, err)
		}
	}
	return tenants, lived, nil
}

// clock compares the clock of Postgres with this machine's, up to half of the time that asking takes.
func (c *checks) clock(ctx context.Context, db *database.DB) {
	var there time.Time
	before := time.Now()
	if err := db.One(ctx, &there, "SELECT clock_timestamp()"); err != nil {
		c.fail("clock", "see that Postgres runs", "%v", err)
		return
	}
	took := time.Since(before)
	skew := max((there.Sub(before.Add(took/2))).Abs()-took/2, 0)
	if skew > maxSkew {
		c.fail("clock", "let both follow the same time servers (NTP)", "the clocks of Postgres and this machine are %s apart, more than %s", skew.Round(time.Second), maxSkew)
		return
	}
	c.ok("clock", "Postgres and this machine agree within %s", max(skew, took, time.Millisecond).Round(time.Millisecond))
}

// schema compares the database's version with this binary's.
func (c *checks) schema(ctx context.Context, s settings) bool {
	want := schemaVersion()
	version, err := database.Version(ctx, s.DatabaseURL)
	switch {
	case err != nil:
		c.fail("schema", "run lrshub migrate", "%v", err)
		return false
	case version == 0:
		c.fail("schema", "run lrshub migrate", "the database is empty")
		return false
	case version < want:
		c.fail("schema", "run lrshub migrate", "the database has version %d, this lrshub wants %d", version, want)
		return false
	case version > want:
		c.fail("schema", "run the newer lrshub that made it", "the database has version %d, this lrshub knows up to %d", version, want)
		return false
	}
	c.ok("schema", "version %d, as this lrshub wants it", version)
	return true
}

// schemaVersion is the version that this binary's migrations lead to.
func schemaVersion() (newest int64) {
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return 0
	}
	for _, name := range files {
		number, _, _ := strings.Cut(name, "_")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}
