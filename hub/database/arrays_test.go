package database_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

func ptr[T any](v T) *T { return &v }

// Each array must arrive as Postgres itself writes the values, nulls included.
func TestArrays(t *testing.T) {
	db := databasetest.New(t)
	type number int32
	type word string
	id := uuid.MustParse("3f2b8c1e-0000-4000-8000-0123456789ab")
	instant := time.Date(2026, 2, 3, 4, 5, 6, 789012999, time.FixedZone("", 3600))
	for _, test := range []struct {
		kind  string
		array database.Array
		want  string
	}{
		{"uuid", database.UUIDs([]uuid.UUID{id, {}}), `{3f2b8c1e-0000-4000-8000-0123456789ab,00000000-0000-0000-0000-000000000000}`},
		{"uuid", database.UUIDs([][16]byte{id}), `{3f2b8c1e-0000-4000-8000-0123456789ab}`},
		{"uuid", database.NullUUIDs([]uuid.UUID{{}, id}), `{NULL,3f2b8c1e-0000-4000-8000-0123456789ab}`},
		{"bytea", database.Byteas([][]byte{{0, 255}, nil, {}}), `{"\\x00ff",NULL,"\\x"}`},
		{"text", database.Texts([]word{`a"b\c`, "", "NULL", "ö"}), `{"a\"b\\c","","NULL",ö}`},
		{"text", database.NullTexts([]*string{nil, ptr("")}), `{NULL,""}`},
		{"smallint", database.Int2s([]int16{-32768, 0, 32767}), `{-32768,0,32767}`},
		{"integer", database.Int4s([]number{-1, 2147483647}), `{-1,2147483647}`},
		{"integer", database.NullInt4s([]*int32{nil, ptr(int32(-7))}), `{NULL,-7}`},
		{"bigint", database.Int8s([]int64{math.MinInt64, math.MaxInt64}), `{-9223372036854775808,9223372036854775807}`},
		{"bigint", database.NullInt8s([]*int64{ptr(int64(5)), nil}), `{5,NULL}`},
		{"double precision", database.Float8s([]float64{0.1, math.Copysign(0, -1), math.Inf(1)}), `{0.1,-0,Infinity}`},
		{"double precision", database.NullFloat8s([]*float64{nil, ptr(-1e300)}), `{NULL,-1e+300}`},
		{"boolean", database.Bools([]bool{true, false}), `{t,f}`},
		{"boolean", database.NullBools([]*bool{nil, ptr(true), ptr(false)}), `{NULL,t,f}`},
		{"timestamptz", database.Times([]time.Time{instant, time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC)}), `{"2026-02-03 03:05:06.789012+00","1969-12-31 23:59:59+00"}`},
		{"timestamptz", database.NullTimes([]time.Time{{}, instant}), `{NULL,"2026-02-03 03:05:06.789012+00"}`},
		{"uuid", database.UUIDs([]uuid.UUID(nil)), `{}`},
		{"bytea", database.Byteas(nil), `{}`},
	} {
		var got string
		if err := db.QueryRowContext(t.Context(), "SELECT $1::"+test.kind+"[]::text", test.array).Scan(&got); err != nil {
			t.Errorf("%s %s: %v", test.kind, test.want, err)
		} else if got != test.want {
			t.Errorf("%s: got %s, want %s", test.kind, got, test.want)
		}
	}
}

// A wrong element type must be refused, not reinterpreted.
func TestArrayOfOtherType(t *testing.T) {
	db := databasetest.New(t)
	if _, err := db.ExecContext(t.Context(), "SELECT $1::bigint[]", database.Float8s([]float64{1})); err == nil {
		t.Error("a double precision[] passed for a bigint[]")
	}
}

func TestScalars(t *testing.T) {
	db := databasetest.New(t)
	id := uuid.MustParse("3f2b8c1e-0000-4000-8000-0123456789ab")
	var got struct {
		ID     uuid.UUID `db:"id"`
		Raw    uuid.UUID `db:"raw"`
		Bytes  []byte    `db:"bytes"`
		Words  pq.StringArray
		At     time.Time
		Doc    string
		None   []byte
		NoDoc  *string
		Number int64
	}
	at := time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)
	err := db.GetContext(t.Context(), &got, `SELECT $1::uuid AS id, $2::uuid AS raw, $3::bytea AS bytes, $4::text[] AS words, $5::timestamptz AS at,
		$6::jsonb->>'a' AS doc, $7::bytea AS none, $8::jsonb::text AS nodoc, $9::bigint AS number`,
		id, id[:], []byte{1, 0, 2}, pq.Array([]string{"a", "b,"}), at, database.JSON(`{"a": "b"}`), []byte(nil), database.JSON(nil), 7)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != id || got.Raw != id || !bytes.Equal(got.Bytes, []byte{1, 0, 2}) || !cmp.Equal([]string(got.Words), []string{"a", "b,"}) ||
		!got.At.Equal(at) || got.Doc != "b" || got.None != nil || got.NoDoc != nil || got.Number != 7 {
		t.Errorf("%+v", got)
	}
}

// batch is 500 rows like those of the table statement.
type batch struct {
	ids, actors, registrations []uuid.UUID // a zero registration is null
	seqs                       []int64
	times                      []time.Time
	verbs                      []int32
	scores                     []*float64
	passed                     []*bool
	frames                     [][]byte
}

func newBatch() batch {
	var b batch
	for i := range 500 {
		b.ids = append(b.ids, uuid.New())
		b.actors = append(b.actors, uuid.New())
		b.registrations = append(b.registrations, uuid.UUID{})
		b.seqs = append(b.seqs, int64(i)+1e15)
		b.times = append(b.times, time.Date(2026, 1, 1, 0, 0, i, 1000*i, time.UTC))
		b.verbs = append(b.verbs, int32(i%5))
		b.frames = append(b.frames, bytes.Repeat([]byte{byte(i), 0xfe}, 350))
		if i%3 == 0 {
			b.registrations[i] = uuid.New()
			b.scores, b.passed = append(b.scores, nil), append(b.passed, nil)
		} else {
			b.scores, b.passed = append(b.scores, ptr(float64(i)/7)), append(b.passed, ptr(i%2 == 0))
		}
	}
	return b
}

const unnest = ` FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::integer[], $7::double precision[], $8::boolean[], $9::bytea[])
	AS r(id, actor, registration, seq, at, verb, score, passed, frame)`

func (b batch) binary() []any {
	return []any{database.UUIDs(b.ids), database.UUIDs(b.actors), database.NullUUIDs(b.registrations), database.Int8s(b.seqs), database.Times(b.times),
		database.Int4s(b.verbs), database.NullFloat8s(b.scores), database.NullBools(b.passed), database.Byteas(b.frames)}
}

func (b batch) pqArrays() []any {
	registrations := make([]uuid.NullUUID, len(b.registrations))
	for i, r := range b.registrations {
		registrations[i] = uuid.NullUUID{UUID: r, Valid: r != uuid.UUID{}}
	}
	return []any{pq.Array(b.ids), pq.Array(b.actors), pq.Array(registrations), pq.Array(b.seqs), pq.Array(b.times), pq.Array(b.verbs), pq.Array(b.scores), pq.Array(b.passed), pq.ByteaArray(b.frames)}
}

// texts builds the arrays' text by hand, as fast as text can be.
func (b batch) texts() []any {
	ids := func(ids []uuid.UUID) string {
		text := make([]byte, 0, 38*len(ids))
		for i, id := range ids {
			text = append(text, "{,"[min(i, 1)])
			if id == (uuid.UUID{}) {
				text = append(text, "NULL"...)
			} else {
				text = append(text, id.String()...)
			}
		}
		return string(append(text, '}'))
	}
	column := func(format func([]byte, int) []byte) string {
		text := make([]byte, 0, 32*len(b.ids))
		for i := range b.ids {
			text = format(append(text, "{,"[min(i, 1)]), i)
		}
		return string(append(text, '}'))
	}
	frames := column(func(text []byte, i int) []byte { return fmt.Appendf(text, `"\\x%x"`, b.frames[i]) })
	return []any{ids(b.ids), ids(b.actors), ids(b.registrations),
		column(func(text []byte, i int) []byte { return fmt.Append(text, b.seqs[i]) }),
		column(func(text []byte, i int) []byte { return b.times[i].AppendFormat(text, time.RFC3339Nano) }),
		column(func(text []byte, i int) []byte { return fmt.Append(text, b.verbs[i]) }),
		column(func(text []byte, i int) []byte {
			if b.scores[i] == nil {
				return append(text, "NULL"...)
			}
			return fmt.Append(text, *b.scores[i])
		}),
		column(func(text []byte, i int) []byte {
			if b.passed[i] == nil {
				return append(text, "NULL"...)
			}
			return fmt.Append(text, *b.passed[i])
		}), frames}
}

// The three ways must mean the same rows.
func TestBatchWaysAgree(t *testing.T) {
	db := databasetest.New(t)
	b := newBatch()
	digest := func(args []any) string {
		var got string
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) || ' ' || md5(string_agg(r::text, '|' ORDER BY seq))"+unnest, args...).Scan(&got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := digest(b.pqArrays())
	if want[:4] != "500 " {
		t.Fatalf("rows: %s", want)
	}
	if got := digest(b.binary()); got != want {
		t.Errorf("binary arrays give other rows: %s, want %s", got, want)
	}
	if got := digest(b.texts()); got != want {
		t.Errorf("texts give other rows: %s, want %s", got, want)
	}
}

// BenchmarkBatch writes 500 rows a transaction into a table without indexes, and reports how long each way takes as a ratio to COPY by the owner in the same run.
func BenchmarkBatch(b *testing.B) {
	db, ownerURL := databasetest.NewWithOwner(b)
	owner, err := sql.Open("postgres", ownerURL)
	if err != nil {
		b.Fatal(err)
	}
	defer owner.Close()
	if _, err := owner.Exec(`CREATE TABLE batch (id uuid, actor uuid, registration uuid, seq bigint, at timestamptz, verb integer, score double precision, passed boolean, frame bytea);
		ALTER TABLE batch ALTER frame SET STORAGE EXTERNAL; GRANT INSERT ON batch TO lrshub_app`); err != nil {
		b.Fatal(err)
	}
	rows := newBatch()
	var copied float64
	measure := func(name string, write func(ctx context.Context) error) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := write(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			each := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			if name == "copy" {
				copied = each
			}
			if copied > 0 {
				b.ReportMetric(each/copied, "x-copy")
			}
			if _, err := owner.Exec("TRUNCATE batch"); err != nil {
				b.Fatal(err)
			}
		})
	}
	insert := func(args func() []any) func(context.Context) error {
		return func(ctx context.Context) error {
			return db.Tenant(ctx, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO batch SELECT r.*"+unnest, args()...)
				return err
			})
		}
	}
	measure("copy", func(ctx context.Context) error { return rows.copy(ctx, owner) })
	measure("binary", insert(rows.binary))
	measure("texts", insert(rows.texts))
	measure("pq.Array", insert(rows.pqArrays))
}

func (b batch) copy(ctx context.Context, owner *sql.DB) error {
	tx, err := owner.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	statement, err := tx.PrepareContext(ctx, "COPY batch (id, actor, registration, seq, at, verb, score, passed, frame) FROM STDIN")
	if err != nil {
		return err
	}
	for i := range b.ids {
		registration := uuid.NullUUID{UUID: b.registrations[i], Valid: b.registrations[i] != uuid.UUID{}}
		if _, err := statement.ExecContext(ctx, b.ids[i], b.actors[i], registration, b.seqs[i], b.times[i], b.verbs[i], b.scores[i], b.passed[i], b.frames[i]); err != nil {
			return err
		}
	}
	if _, err := statement.ExecContext(ctx); err != nil {
		return err
	}
	if err := statement.Close(); err != nil {
		return err
	}
	return tx.Commit()
}
