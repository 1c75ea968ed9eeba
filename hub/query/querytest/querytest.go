// Package querytest fills a test database with statements whose columns have random values, for laws that
// hold a filter's evaluations against each other. Start with Insert.
package querytest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/query"
)

var (
	texts = []any{"", "a", "B", "ab", "a%", "a_b", `a\`, `a'b`, `"`, "é", "ß", "Z", "\x1a", "{a,b}", "NULL", "a b", "💡"}
	ids   = []any{uuid.NewSHA1(uuid.Nil, []byte("1")).String(), uuid.NewSHA1(uuid.Nil, []byte("2")).String(), uuid.NewSHA1(uuid.Nil, []byte("3")).String()}
	times = []any{"0001-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.999999Z"}
	reals = []any{0.1, 0.30000000000000004, -1.0, 0, 40, 1e-300, -1e300, int64(1) << 60}
	whole = []any{-1, 0, 1, 2, 1<<31 - 1}
	truth = []any{true, false}
)

// Values are what conditions and rows are drawn from: few values of a type, so that they meet, and hostile ones.
func Values(t query.Type) []any {
	switch t {
	case query.UUID:
		return ids
	case query.TimestampTZ:
		return times
	case query.Double:
		return reals
	case query.Integer:
		return whole
	case query.Boolean:
		return truth
	}
	return texts
}

// Insert fills the statement tables of both tenants of a test database with n random rows each, and gives those
// of the first.
func Insert(t testing.TB, db *database.DB, n int) []query.Row {
	t.Helper()
	var rows []query.Row
	for _, tenant := range []database.TenantID{databasetest.Default, databasetest.Other} {
		for i := range n {
			row := rapid.Custom(func(t *rapid.T) query.Row { return drawRow(t) }).Example(i)
			row["id"] = uuid.NewSHA1(uuid.Nil, fmt.Append(nil, tenant, i)).String()
			if err := db.Tenant(t.Context(), tenant, func(ctx context.Context, tx *database.Tx) error { return insertRow(ctx, tx, i, row) }); err != nil {
				t.Fatal(err)
			}
			if tenant == databasetest.Default {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

func drawRow(t *rapid.T) query.Row {
	row := query.Row{}
	for _, name := range query.Statements.Names() {
		row[name] = rapid.SampledFrom(Values(query.Statements[name].Type)).Draw(t, name)
		switch name {
		case "object", "registration", "score_scaled", "score_raw", "score_min", "score_max", "success", "completion", "duration", "connection":
			if rapid.Bool().Draw(t, "null") {
				row[name] = nil
			}
		}
	}
	row["object_kind"] = rapid.SampledFrom([]any{0, 1, 2}).Draw(t, "object_kind") // smallint
	return row
}

func insertRow(ctx context.Context, tx *database.Tx, i int, row query.Row) error {
	keys := map[string]int64{}
	for _, d := range []struct{ column, insert, find string }{
		{"verb", "INSERT INTO verb (tenant_id, iri) VALUES ($1, $2) ON CONFLICT DO NOTHING", "SELECT id FROM verb WHERE tenant_id = $1 AND iri = $2"},
		{"purpose", "INSERT INTO purpose (tenant_id, name, basis) VALUES ($1, $2, 'consent') ON CONFLICT DO NOTHING", "SELECT id FROM purpose WHERE tenant_id = $1 AND name = $2"},
	} {
		if _, err := tx.ExecContext(ctx, d.insert, tx.Tenant, row[d.column]); err != nil {
			return err
		}
		var key int64
		if err := tx.GetContext(ctx, &key, d.find, tx.Tenant, row[d.column]); err != nil {
			return err
		}
		keys[d.column] = key
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO statement (tenant_id, id, seq, stored, "timestamp", actor, authority, verb, object_kind,
			object, registration, score_scaled, score_raw, score_min, score_max, success, completion, duration, version, purpose,
			connection_id, frame, digest)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 1, $19, $20, '', '')`,
		tx.Tenant, row["id"], i, row["stored"], row["timestamp"], row["actor"], row["authority"], keys["verb"], row["object_kind"],
		row["object"], row["registration"], row["score_scaled"], row["score_raw"], row["score_min"], row["score_max"], row["success"],
		row["completion"], row["duration"], keys["purpose"], row["connection"])
	if err != nil || row["voided"] == false {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO voiding (tenant_id, target, statement_id, purpose) VALUES ($1, $2, $3, $4)", tx.Tenant, row["id"], uuid.New(), keys["purpose"])
	return err
}
