package database

import (
	"container/list"
	"context"
	"database/sql/driver"
	"errors"

	"github.com/lib/pq"
)

// Most of what a small transaction costs is the parsing and planning of its statements, which are always the same few. So each connection keeps those that it has
// prepared. A text without parameters is not prepared: it may be several statements.
//
// Plans: what ReadTenant reads is planned anew each time (pagePlans); all else may keep a plan (keptPlans).

// maxPrepared bounds how many statements a connection keeps; the one that was longest not used goes.
const maxPrepared = 128

// preparing makes connections that keep their statements.
type preparing struct{ *pq.Connector }

// Connect opens a connection.
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := c.(session)
	if !ok {
		return nil, errors.Join(errors.New("database: the driver's connection lacks what the hub needs of it"), c.Close())
	}
	return &prepared{session: inner, kept: map[string]*list.Element{}, order: list.New()}, nil
}

// session is what database/sql uses of a connection of the driver, which is its own transaction.
type session interface {
	driver.Conn
	driver.Tx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// prepared is a connection that keeps its statements. database/sql lets one goroutine at a time use it.
type prepared struct {
	session
	kept  map[string]*list.Element // by text
	order *list.List               // of kept, the one used last in front
	last  context.Context          // of the statement that ran last
}

// IsValid tells whether the connection may be used again. One whose last statement was given up is not: the server may hear of it only during the next.
func (p *prepared) IsValid() bool {
	return (p.last == nil || p.last.Err() == nil) && p.session.IsValid()
}

// openingKey is of the context's value that BeginTx begins with.
type openingKey struct{}

// BeginTx begins a transaction with the statements that the context has for it, without parameters, in one round trip. All options are among those statements.
func (p *prepared) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	opening, ok := ctx.Value(openingKey{}).(string)
	if !ok {
		return nil, errors.New("database: transactions begin in Tenant and ReadTenant")
	}
	p.last = ctx
	if _, err := p.session.ExecContext(ctx, "BEGIN; "+opening, nil); err != nil {
		_ = p.session.Rollback() // BEGIN may have been done; if this fails too, the driver knows that the connection is no good
		return nil, err
	}
	return p.session, nil
}

type kept struct {
	text      string
	statement driver.Stmt
}

// QueryContext runs a query.
func (p *prepared) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		return p.session.QueryContext(ctx, query, args)
	}
	st, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := st.(driver.StmtQueryContext).QueryContext(ctx, args)
	return rows, p.check(query, err)
}

// ExecContext runs a statement.
func (p *prepared) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 {
		return p.session.ExecContext(ctx, query, args)
	}
	st, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	result, err := st.(driver.StmtExecContext).ExecContext(ctx, args)
	return result, p.check(query, err)
}

func (p *prepared) statement(ctx context.Context, query string) (driver.Stmt, error) {
	p.last = ctx
	if e, ok := p.kept[query]; ok {
		p.order.MoveToFront(e)
		return e.Value.(kept).statement, nil
	}
	if len(p.kept) >= maxPrepared {
		if err := p.drop(p.order.Back()); err != nil {
			return nil, err
		}
	}
	st, err := p.session.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.kept[query] = p.order.PushFront(kept{query, st})
	return st, nil
}

func (p *prepared) drop(e *list.Element) error {
	p.order.Remove(e)
	k := e.Value.(kept)
	delete(p.kept, k.text)
	return k.statement.Close()
}

// check forgets a statement whose plan no longer fits the tables: they were migrated meanwhile. Its transaction is run anew (see isConflict), and prepares it again.
func (p *prepared) check(query string, err error) error {
	if isStale(err) {
		if e, ok := p.kept[query]; ok {
			p.order.Remove(e)
			delete(p.kept, query) // the transaction has failed: the server lets nobody close it now
		}
	}
	return err
}

// isStale tells of a kept plan that is not valid any more: "cached plan must not change result type", or a prepared statement that the server does not know.
func isStale(err error) bool {
	return pq.As(err, "0A000", "26000") != nil
}
