// Package migrations holds the SQL that makes and upgrades a hub's database, one numbered file a step.
// hub/database runs it; see database.Migrate.
package migrations

import "embed"

// FS holds the numbered SQL files of this folder.
//
//go:embed *.sql
var FS embed.FS
