package people

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/vault"
)

// Kinds of fact that have a meaning to the hub; a site's own begin with x_.
const (
	Role       = "role"
	Unit       = "unit"
	Location   = "location"
	Manager    = "manager"
	Employment = "employment"
)

// Said is what one source record says of its subject.
type Said struct {
	Stream  int16
	Record  []byte         // vault.Tenant.RecordKey
	Subject *vault.Subject // with its learning key; nil if there are no facts
	Facts   []SaidFact
	Gone    bool // the source no longer has the record
}

// SaidFact is a fact as a source says it.
type SaidFact struct {
	Kind    string
	Value   string
	Manager uuid.UUID // the subject that the fact names, instead of a value
	From    time.Time // zero: the source does not say since when
	Until   time.Time // zero: until further notice
}

// Source is where facts come from.
type Source struct {
	Connection uuid.UUID
	Purpose    int32
}

// Tell stores what source records say: each record's facts take the place of what it said before, and those of a record that is gone end. What was believed until now
// stays, for whoever asks what was known on a date.
func Tell(ctx context.Context, tx *database.Tx, t *vault.Tenant, source Source, now time.Time, list []Said) error {
	now = now.UTC().Truncate(time.Microsecond) // as exact as a column
	known, err := knownFacts(ctx, tx, source.Connection, list)
	if err != nil {
		return err
	}
	var closed []uuid.UUID
	var fresh []factRow
	for _, s := range list {
		before := known[place{s.Stream, string(s.Record)}]
		var ended []uuid.UUID
		var add []believed
		if s.Gone {
			ended, add = gone(before.list(), now)
		} else {
			ended, add = revise(before.list(), s.believed(t), now)
		}
		closed = append(closed, ended...)
		for _, b := range add {
			row, err := s.row(b, before)
			if err != nil {
				return err
			}
			fresh = append(fresh, row)
		}
	}
	return write(ctx, tx, source, now, closed, fresh)
}

// place is a record of a connection.
type place struct {
	stream int16
	record string
}

// factRow is a row of person_fact.
type factRow struct {
	believed
	place
	sealed  []byte
	manager uuid.UUID
}

type factRows []factRow

func (rows factRows) list() []believed {
	list := make([]believed, len(rows))
	for i, row := range rows {
		list[i] = row.believed
	}
	return list
}

// believed gives what is said in the form in which it is compared.
func (s Said) believed(t *vault.Tenant) []believed {
	list := make([]believed, len(s.Facts))
	for i, f := range s.Facts {
		value := f.Value
		if f.Manager != uuid.Nil {
			value = f.Manager.String()
		}
		list[i] = believed{subject: s.Subject.ID, kind: f.Kind, key: [16]byte(t.FactKey(f.Kind, value)), from: f.From, until: f.Until, stated: !f.From.IsZero(), said: i}
	}
	return list
}

// row gives the row of a fact that is new, or goes on under another id as it was sealed.
func (s Said) row(b believed, before factRows) (factRow, error) {
	row := factRow{believed: b, place: place{s.Stream, string(s.Record)}, sealed: []byte{}}
	if b.said < 0 {
		for _, old := range before {
			if old.id == b.id {
				row.sealed, row.manager = old.sealed, old.manager
			}
		}
		row.id = uuid.New()
		return row, nil
	}
	row.id, row.manager = uuid.New(), s.Facts[b.said].Manager
	if row.manager != uuid.Nil {
		return row, nil
	}
	var err error
	row.sealed, err = s.Subject.Seal(factContext(b.key), []byte(s.Facts[b.said].Value))
	return row, err
}

// factContext binds a sealed value to its kind and value, which its key stands for: rows of one value may share what was sealed.
func factContext(key [16]byte) string { return fmt.Sprintf("person-fact|%x", key) }

// factColumns reads times without infinity, which Go's have not.
const factColumns = `f.id, f.subject_id, f.kind, f.value_key, nullif(f.valid_from, '-infinity'), nullif(f.valid_until, 'infinity'), f.stated, f.ended, f.sealed, f.manager_id`

func (row *factRow) targets(more ...any) (targets []any, done func()) {
	var key []byte
	var from, until sql.NullTime
	var manager uuid.NullUUID
	targets = append(more, &row.id, &row.subject, &row.kind, &key, &from, &until, &row.stated, &row.ended, &row.sealed, &manager)
	return targets, func() {
		row.key, row.from, row.until, row.manager = [16]byte(key), from.Time, until.Time, manager.UUID
	}
}

// knownFacts gives what is believed now because of these records.
func knownFacts(ctx context.Context, tx *database.Tx, connection uuid.UUID, list []Said) (map[place]factRows, error) {
	streams, records := make([]int16, len(list)), make([][]byte, len(list))
	for i, s := range list {
		streams[i], records[i] = s.Stream, s.Record
	}
	rows, err := tx.QueryContext(ctx, `
SELECT n.stream, n.record, `+factColumns+` FROM unnest($3::smallint[], $4::bytea[]) AS n(stream, record)
CROSS JOIN LATERAL (SELECT * FROM person_fact
    WHERE tenant_id = $1 AND connection_id = $2 AND stream = n.stream AND record = n.record AND recorded_until = 'infinity' OFFSET 0) AS f
ORDER BY f.id`, tx.Tenant, connection, database.Int2s(streams), database.Byteas(records))
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	defer rows.Close()
	known := map[place]factRows{}
	for rows.Next() {
		var row factRow
		var record []byte
		targets, done := row.targets(&row.stream, &record)
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		done()
		row.record = string(record)
		known[row.place] = append(known[row.place], row)
	}
	return known, rows.Err()
}

func write(ctx context.Context, tx *database.Tx, source Source, now time.Time, closed []uuid.UUID, fresh []factRow) error {
	if len(closed) > 0 {
		_, err := tx.ExecContext(ctx, `
UPDATE person_fact f SET recorded_until = greatest($3, f.recorded_from) FROM unnest($2::uuid[]) AS n(id) WHERE f.tenant_id = $1 AND f.id = n.id`,
			tx.Tenant, database.UUIDs(closed), now)
		if err != nil {
			return fmt.Errorf("end facts: %w", err)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	n := len(fresh)
	ids, subjects, managers, names := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n), make([]string, n)
	keys, sealed, records, streams := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([]int16, n)
	from, until, stated, ended := make([]time.Time, n), make([]time.Time, n), make([]bool, n), make([]bool, n)
	for i := range fresh {
		row := &fresh[i]
		ids[i], subjects[i], managers[i], names[i] = row.id, row.subject, row.manager, row.kind
		keys[i], sealed[i], records[i], streams[i] = row.key[:], row.sealed, []byte(row.record), row.stream
		from[i], until[i], stated[i], ended[i] = row.from, row.until, row.stated, row.ended
	}
	_, err := tx.ExecContext(ctx, `
INSERT INTO person_fact (tenant_id, connection_id, purpose, recorded_from, id, subject_id, manager_id, kind, value_key, sealed, record, stream, valid_from, valid_until, stated, ended)
SELECT $1, $2, $3, $4, n.id, n.subject, n.manager, n.kind, n.key, n.sealed, n.record, n.stream, coalesce(n.since, '-infinity'), coalesce(n.until, 'infinity'), n.stated, n.ended
FROM unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::text[], $9::bytea[], $10::bytea[], $11::bytea[], $12::smallint[], $13::timestamptz[], $14::timestamptz[], $15::boolean[], $16::boolean[])
    AS n(id, subject, manager, kind, key, sealed, record, stream, since, until, stated, ended)`,
		tx.Tenant, source.Connection, source.Purpose, now, database.UUIDs(ids), database.UUIDs(subjects), database.NullUUIDs(managers), database.Texts(names),
		database.Byteas(keys), database.Byteas(sealed), database.Byteas(records), database.Int2s(streams), database.NullTimes(from), database.NullTimes(until),
		database.Bools(stated), database.Bools(ended))
	if err != nil {
		return fmt.Errorf("store facts: %w", err)
	}
	return nil
}

// EndOf ends all facts that a connection said: it is removed, and nobody will say whether they still hold.
func EndOf(ctx context.Context, tx *database.Tx, connection uuid.UUID, now time.Time) error {
	now = now.UTC().Truncate(time.Microsecond)
	_, err := tx.ExecContext(ctx, `
WITH closed AS (UPDATE person_fact SET recorded_until = greatest($3, recorded_from)
    WHERE tenant_id = $1 AND connection_id = $2 AND recorded_until = 'infinity' AND NOT ended AND valid_until > $3 RETURNING *)
INSERT INTO person_fact (tenant_id, id, subject_id, kind, value_key, sealed, manager_id, valid_from, valid_until, recorded_from, stated, ended, purpose, connection_id, stream, record)
SELECT tenant_id, gen_random_uuid(), subject_id, kind, value_key, sealed, manager_id, valid_from, $3, $3, stated, true, purpose, connection_id, stream, record
FROM closed WHERE valid_from < $3`, tx.Tenant, connection, now)
	if err != nil {
		return fmt.Errorf("end the facts of a connection: %w", err)
	}
	return nil
}
