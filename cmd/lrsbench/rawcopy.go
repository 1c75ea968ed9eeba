package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"
)

// columns of the statement table, in its order; xid is left to its default, as the road in leaves it.
var columns = []string{"tenant_id", "id", "seq", "stored", "timestamp", "actor", "authority", "verb", "object_kind", "object", "registration",
	"score_scaled", "score_raw", "score_min", "score_max", "success", "completion", "duration", "version", "purpose", "connection_id", "frame", "digest"}

// isUUID are the columns that lib/pq would take for bytea.
var isUUID = map[string]bool{"id": true, "actor": true, "authority": true, "object": true, "registration": true, "connection_id": true}

func quoted(cast bool) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		if list[i] = pq.QuoteIdentifier(c); cast && isUUID[c] {
			list[i] += "::text"
		}
	}
	return strings.Join(list, ", ")
}

// source is where rows come from: those that the road in stored.
type source struct {
	owner string     // URL of its database
	rows  func() int // how many to copy in the next round
}

// next selects the rows that come after those that the database of a copy has.
func (s source) next(ctx context.Context, copyURL string, cast bool) (string, error) {
	db, err := sql.Open("postgres", copyURL)
	if err != nil {
		return "", err
	}
	defer db.Close()
	var last int64
	if err := db.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM statement").Scan(&last); err != nil {
		return "", err
	}
	return fmt.Sprintf("SELECT %s FROM statement WHERE seq > %d ORDER BY seq LIMIT %d", quoted(cast), last, s.rows()), nil
}

// openCopies opens the two ways of raw COPY, each into a database of its own.
func (o *common) openCopies(ctx context.Context, s *server, from source) (list []*road, end func(), err error) {
	var urls [2]string
	for i, name := range []string{"binary", "text"} {
		if urls[i], _, err = s.database(ctx, name); err != nil {
			return nil, nil, err
		}
	}
	text, err := sql.Open("postgres", urls[1])
	if err != nil {
		return nil, nil, err
	}
	b, t := &binaryCopy{url: urls[0], from: from, size: o.batch}, &textCopy{db: text, url: urls[1], from: from, size: o.batch}
	if err := b.connect(ctx, o.writers); err != nil {
		return nil, nil, errors.Join(err, text.Close())
	}
	return []*road{
		{name: "COPY, binary", copies: true, owner: b.url, prepare: b.prepare},
		{name: "COPY, text, lib/pq", copies: true, owner: t.url, prepare: t.prepare},
	}, func() { b.close(); text.Close() }, nil
}

// binaryCopy is COPY in Postgres' binary format, from batches that are encoded beforehand: the client does nothing but send.
type binaryCopy struct {
	url   string
	from  source
	size  int
	conns []*pgconn.PgConn
}

func (c *binaryCopy) connect(ctx context.Context, writers int) error {
	for range writers {
		conn, err := pgconn.Connect(ctx, c.url)
		if err != nil {
			c.close()
			return fmt.Errorf("connect for COPY: %w", err)
		}
		c.conns = append(c.conns, conn)
	}
	return nil
}

func (c *binaryCopy) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, conn := range c.conns {
		conn.Close(ctx)
	}
}

func (c *binaryCopy) prepare(ctx context.Context, _ int) (list []task, err error) {
	query, err := c.from.next(ctx, c.url, false)
	if err != nil {
		return nil, err
	}
	from, err := pgconn.Connect(ctx, c.from.owner)
	if err != nil {
		return nil, err
	}
	defer from.Close(ctx)
	var all bytes.Buffer
	if _, err := from.CopyTo(ctx, &all, "COPY ("+query+") TO STDOUT (FORMAT binary)"); err != nil {
		return nil, fmt.Errorf("read the stored rows: %w", err)
	}
	pieces, err := cut(all.Bytes(), c.size)
	if err != nil {
		return nil, err
	}
	text := "COPY statement (" + quoted(false) + ") FROM STDIN (FORMAT binary)"
	for _, p := range pieces {
		list = append(list, func(ctx context.Context, writer int) (int, error) {
			done, err := c.conns[writer].CopyFrom(ctx, bytes.NewReader(p), text)
			return int(done.RowsAffected()), err
		})
	}
	return list, nil
}

// copyHeader is the length of the header of COPY's binary format as Postgres writes it: signature, flags, no extension.
const copyHeader = 11 + 4 + 4

// cut cuts COPY's binary format (the chapter COPY of Postgres' manual) into pieces of so many rows, each whole by itself.
func cut(all []byte, size int) (pieces [][]byte, err error) {
	if len(all) < copyHeader {
		return nil, fmt.Errorf("COPY gave %d bytes, less than a header", len(all))
	}
	header, rest := all[:copyHeader], all[copyHeader:]
	var piece []byte
	rows := 0
	flush := func() {
		if piece != nil {
			pieces = append(pieces, append(piece, 0xff, 0xff))
			piece = nil
		}
	}
	for len(rest) >= 2 && binary.BigEndian.Uint16(rest) != 0xffff {
		n := 2
		for range binary.BigEndian.Uint16(rest) {
			length := int32(binary.BigEndian.Uint32(rest[n:]))
			n += 4 + int(max(length, 0)) // -1: null
		}
		if piece == nil {
			piece = append(piece, header...)
		}
		piece, rest = append(piece, rest[:n]...), rest[n:]
		if rows++; rows%size == 0 {
			flush()
		}
	}
	flush()
	return pieces, nil
}

// textCopy is COPY through lib/pq's CopyIn, which encodes rows as text on the way.
type textCopy struct {
	db   *sql.DB
	url  string
	from source
	size int
}

func (c *textCopy) prepare(ctx context.Context, _ int) (list []task, err error) {
	query, err := c.from.next(ctx, c.url, true)
	if err != nil {
		return nil, err
	}
	from, err := sql.Open("postgres", c.from.owner)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	found, err := from.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var batch [][]any
	flush := func() {
		if of := batch; len(of) > 0 {
			list = append(list, func(ctx context.Context, _ int) (int, error) { return len(of), c.copy(ctx, of) })
		}
		batch = nil
	}
	for found.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		if batch = append(batch, row); len(batch) == c.size {
			flush()
		}
	}
	flush()
	return list, found.Err()
}

func (c *textCopy) copy(ctx context.Context, batch [][]any) error {
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	statement, err := tx.PrepareContext(ctx, "COPY statement ("+quoted(false)+") FROM STDIN")
	if err != nil {
		return err
	}
	for _, row := range batch {
		if _, err := statement.ExecContext(ctx, row...); err != nil {
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
