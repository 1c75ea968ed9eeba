package contract

import "time"

// Class says what kind of failure happened, and so who can mend it and whether waiting helps.
type Class string

const (
	ClassConfig        Class = "config"         // the configuration is wrong; a person must change it
	ClassAuth          Class = "auth"           // the source does not accept the credentials
	ClassPermission    Class = "permission"     // the credentials are good but do not allow this
	ClassRateLimit     Class = "rate_limit"     // the source wants us to wait RetryAfter
	ClassTransient     Class = "transient"      // it may work the next time
	ClassSourceBug     Class = "source_bug"     // source or connector broke its own rules
	ClassData          Class = "data"           // the source's data cannot be read at all
	ClassCursorExpired Class = "cursor_expired" // the source no longer knows the cursor: read in full
	ClassUnsupported   Class = "unsupported"    // the connector cannot do this
)

// Known says whether c is one of the classes above.
func (c Class) Known() bool {
	switch c {
	case ClassConfig, ClassAuth, ClassPermission, ClassRateLimit, ClassTransient, ClassSourceBug, ClassData, ClassCursorExpired, ClassUnsupported:
		return true
	}
	return false
}

// Retryable says whether the same call may work later without anyone changing anything.
func (c Class) Retryable() bool { return c == ClassRateLimit || c == ClassTransient }

// Error is a failure that the hub understands.
type Error struct {
	Class      Class
	RetryAfter time.Duration // with ClassRateLimit and ClassTransient: wait at least this long
	// Message is for people: what, where, what to do. It is shown and logged, so it never holds a record's values.
	Message string
	Err     error // the cause; stays in its process
}

func (e *Error) Error() string {
	text := string(e.Class) + ": " + e.Message
	if e.RetryAfter > 0 {
		text += " (again after " + e.RetryAfter.String() + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Codes of records that never become statements.
const (
	CodeBadRecord = "bad_record"   // cannot be read
	CodeUnfit     = "unfit_record" // can be read, and does not fit its stream's schema
	CodeTooLarge  = "too_large"    // larger than the limit
)

// Limits of the protocol, in bytes.
const (
	MaxFrame    = 1 << 20   // of any message
	MaxBatch    = 256 << 10 // of records put into one frame, roughly
	MaxPiece    = 512 << 10 // of a chunk of a record or of an HTTP body
	MaxRecord   = 16 << 20  // of a record, unless the host says otherwise
	MaxCursor   = 64 << 10  // of a cursor
	MaxRaw      = 256 << 10 // of what is kept of something that could not be read as a record
	MaxPosition = 512       // of a position, a code, a reason
	MaxMessage  = 2000      // of a failure's message
)
