package database_test

import (
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

func init() { database.SetEmptyDatabase(databasetest.NewEmpty) }
