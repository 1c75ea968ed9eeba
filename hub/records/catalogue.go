package records

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/xapi"
)

// ErrNoActivity: the catalogue has no such activity.
var ErrNoActivity = errors.New("records: the catalogue has no such activity")

// Activity is a row of the catalogue: an activity whose id and definition may stand in clear.
type Activity struct {
	Key        uuid.UUID
	IRI        string
	Definition []byte // JSON; nil if none was given
}

// maxDefinition bounds a definition in bytes: languages and extensions of many statements add up in it.
const maxDefinition = 1 << 20

// With gives the activity with what a later statement says of it. A definition that cannot be merged, or would grow beyond the bound, is replaced.
func (a Activity) With(later Activity) Activity {
	switch {
	case later.Definition == nil || bytes.Equal(a.Definition, later.Definition):
	case a.Definition == nil:
		a.Definition = later.Definition
	default:
		merged, err := xapi.MergeDefinition(a.Definition, later.Definition)
		if err != nil || len(merged) > maxDefinition {
			merged = later.Definition
		}
		a.Definition = merged
	}
	return a
}

// kind is the type that the definition names (Data 2.4.4.1), by which statements are found; nil where it names none, or one that an index of Postgres cannot
// hold.
func (a Activity) kind() *string {
	var d struct{ Type *string }
	if json.Unmarshal(a.Definition, &d) != nil || d.Type == nil || len(*d.Type) > 2000 || strings.ContainsRune(*d.Type, 0) {
		return nil
	}
	return d.Type
}

// Catalogue puts activities into the catalogue and their definitions into those that are there (xapi.MergeDefinition). It takes rows in one order, and only those that
// change: a lock on the others, until the commit, would have the writers of one course wait for each other.
func Catalogue(ctx context.Context, tx *database.Tx, activities map[uuid.UUID]Activity) error {
	if len(activities) == 0 {
		return nil
	}
	list := make([]Activity, 0, len(activities))
	for _, a := range activities {
		list = append(list, a)
	}
	known, err := definitions(ctx, tx, list, probe)
	if err != nil {
		return err
	}
	return Amend(ctx, tx, activities, known)
}

// Amend is Catalogue for a transaction that has read the definitions of those activities that the catalogue has, by key, nil where there is none.
func Amend(ctx context.Context, tx *database.Tx, activities map[uuid.UUID]Activity, known map[uuid.UUID][]byte) error {
	var missing, changed []Activity
	for _, a := range activities {
		definition, there := known[a.Key]
		if !there {
			missing = append(missing, a)
		} else if old := (Activity{Definition: definition}); !bytes.Equal(old.With(a).Definition, definition) {
			changed = append(changed, a)
		}
	}
	slices.SortFunc(missing, func(a, b Activity) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	late, err := addActivities(ctx, tx, missing)
	if err != nil {
		return err
	}
	changed = append(changed, late...)
	slices.SortFunc(changed, func(a, b Activity) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return changeActivities(ctx, tx, changed)
}

// How definitions looks for its rows.
const (
	probe = `SELECT n.key, a.definition FROM unnest($2::uuid[]) AS n(key)
CROSS JOIN LATERAL (SELECT definition FROM activity WHERE tenant_id = $1 AND key = n.key LIMIT 1) AS a`
	lock = `SELECT a.key, a.definition FROM unnest($2::uuid[]) WITH ORDINALITY AS n(key, at)
JOIN activity a ON a.tenant_id = $1 AND a.key = n.key ORDER BY n.at FOR UPDATE OF a`
)

func definitions(ctx context.Context, tx *database.Tx, list []Activity, how string) (map[uuid.UUID][]byte, error) {
	keys := make([]uuid.UUID, len(list))
	for i, a := range list {
		keys[i] = a.Key
	}
	rows, err := tx.QueryContext(ctx, how, tx.Tenant, database.UUIDs(keys))
	if err != nil {
		return nil, fmt.Errorf("records: read the catalogue: %w", err)
	}
	defer rows.Close()
	known := make(map[uuid.UUID][]byte, len(list))
	for rows.Next() {
		var key uuid.UUID
		var definition []byte
		if err := rows.Scan(&key, &definition); err != nil {
			return nil, err
		}
		known[key] = definition
	}
	return known, rows.Err()
}

// addActivities adds activities and gives those that another transaction was first to add.
func addActivities(ctx context.Context, tx *database.Tx, list []Activity) (late []Activity, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	keys, iris, definitions, types := make([]uuid.UUID, len(list)), make([]string, len(list)), make([][]byte, len(list)), make([]*string, len(list))
	for i, a := range list {
		keys[i], iris[i], definitions[i], types[i] = a.Key, a.IRI, a.Definition, a.kind()
	}
	var added []uuid.UUID
	err = tx.SelectContext(ctx, &added, `
INSERT INTO activity (tenant_id, key, iri, definition, type)
SELECT $1, key, iri, convert_from(definition, 'UTF8'), type FROM unnest($2::uuid[], $3::text[], $4::bytea[], $5::text[]) AS n(key, iri, definition, type)
ON CONFLICT DO NOTHING RETURNING key`, tx.Tenant, database.UUIDs(keys), database.Texts(iris), database.Byteas(definitions), database.NullTexts(types))
	if err != nil {
		return nil, fmt.Errorf("records: add to the catalogue: %w", err)
	}
	if len(added) == len(list) {
		return nil, nil
	}
	return slices.DeleteFunc(list, func(a Activity) bool { return slices.Contains(added, a.Key) }), nil
}

// changeActivities merges definitions into those that stand there, under a lock.
func changeActivities(ctx context.Context, tx *database.Tx, list []Activity) error {
	if len(list) == 0 {
		return nil
	}
	known, err := definitions(ctx, tx, list, lock)
	if err != nil {
		return err
	}
	keys, merged, types := make([]uuid.UUID, len(list)), make([][]byte, len(list)), make([]*string, len(list))
	for i, a := range list {
		now := Activity{Definition: known[a.Key]}.With(a)
		keys[i], merged[i], types[i] = a.Key, now.Definition, now.kind()
	}
	_, err = tx.ExecContext(ctx, `
UPDATE activity AS a SET definition = convert_from(n.definition, 'UTF8'), type = n.type
FROM unnest($2::uuid[], $3::bytea[], $4::text[]) AS n(key, definition, type)
WHERE a.tenant_id = $1 AND a.key = n.key AND n.definition IS NOT NULL`, tx.Tenant, database.UUIDs(keys), database.Byteas(merged), database.NullTexts(types))
	if err != nil {
		return fmt.Errorf("records: change the catalogue: %w", err)
	}
	return nil
}

// FindActivity reads one activity of the catalogue. ErrNoActivity.
func FindActivity(ctx context.Context, tx *database.Tx, key uuid.UUID) (Activity, error) {
	a := Activity{Key: key}
	var definition sql.NullString
	err := tx.QueryRowContext(ctx, `SELECT iri, definition FROM activity WHERE tenant_id = $1 AND key = $2`, tx.Tenant, key).Scan(&a.IRI, &definition)
	if errors.Is(err, sql.ErrNoRows) {
		return a, ErrNoActivity
	}
	if err != nil {
		return a, fmt.Errorf("records: find activity: %w", err)
	}
	if definition.Valid {
		a.Definition = []byte(definition.String)
	}
	return a, nil
}

// Definitions gives the definitions of those activities of the catalogue that have one.
func Definitions(ctx context.Context, tx *database.Tx, keys []uuid.UUID) (map[uuid.UUID][]byte, error) {
	list := make([]Activity, len(keys))
	for i, key := range keys {
		list[i].Key = key
	}
	return definitions(ctx, tx, list, probe)
}
