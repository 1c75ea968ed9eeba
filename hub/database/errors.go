package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

var (
	// ErrUnavailable means that Postgres cannot be reached or broke off; trying again later may help.
	ErrUnavailable = errors.New("database unavailable")
	// ErrBusy means that more work waits for Postgres than it can do in time. It is an ErrUnavailable too.
	ErrBusy = fmt.Errorf("%w: too much other work waits for it", ErrUnavailable)
	// ErrNewer means that the database was migrated by a newer lrshub.
	ErrNewer = errors.New("database is newer than this lrshub")
	// ErrPrivileged means that the role given for the application bypasses row-level security.
	ErrPrivileged = errors.New("this database role bypasses row-level security")
)

// IsUnique tells whether err is a violation of that unique constraint or index; an empty name means any.
func IsUnique(err error, constraint string) bool {
	bad := pq.As(err, pqerror.UniqueViolation)
	return bad != nil && (constraint == "" || bad.Constraint == constraint)
}

// isConflict tells whether Postgres gave up on a transaction that may succeed when it is run anew.
func isConflict(err error) bool {
	return pq.As(err, "40P01", "40001") != nil || isStale(err) // deadlock_detected, serialization_failure
}

// withheld hides the text of an error that may quote a row's value, and keeps the error for errors.As.
type withheld struct{ err *pq.Error }

func (w withheld) Error() string {
	return fmt.Sprintf("Postgres refused a value (%s %s); its message is withheld, as it may quote the value", w.err.Code, w.err.Code.Name())
}

func (w withheld) Unwrap() error { return w.err }

// describe gives an error of work under ctx its sentinel, and takes row values out of its text: messages of class 22 (data exception) quote
// what they refused, those of other classes name tables, columns and constraints only.
func describe(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if bad := pq.As(err); bad != nil {
		switch {
		case bad.Code.Class() == "22":
			return withheld{bad}
		case bad.Code == queryCanceled && ctx.Err() != nil: // by whoever asked
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case isUnavailable(bad.Code):
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return err
	}
	var network net.Error
	broken := errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network)
	switch {
	case ctx.Err() != nil && (broken || errors.Is(err, sql.ErrTxDone)): // the driver gave up its connection for that
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	case broken:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// queryCanceled is what Postgres says of a statement that took longer than it may, and of one whose caller is gone.
const queryCanceled pqerror.Code = "57014"

func isUnavailable(code pqerror.Code) bool {
	switch code {
	case queryCanceled, "57P01", "57P02", "57P03", "53300": // out of its time (statement_timeout), shutdowns, cannot connect now, too many connections
		return true
	}
	return code.Class() == "08" // connection exceptions
}
