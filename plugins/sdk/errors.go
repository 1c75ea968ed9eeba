package sdk

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

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

// Error is a failure that the hub understands.
type Error struct {
	Class      Class
	RetryAfter time.Duration // with ClassRateLimit and ClassTransient: wait at least this long
	// Message is for people: what, where, what to do. It is shown and logged, so it never holds a record's values.
	Message string
	Err     error // the cause; stays in this process
}

func (e *Error) Error() string {
	text := string(e.Class) + ": " + e.Message
	if e.RetryAfter > 0 {
		text += " (again after " + e.RetryAfter.String() + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an *Error of a class; %w keeps the cause.
func Errorf(class Class, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Class: class, Message: err.Error(), Err: err}
}

// CheckStatus turns a response that is not 2xx into an *Error of the class its status stands for. It does not read the body.
func CheckStatus(r *http.Response) error {
	if r.StatusCode >= 200 && r.StatusCode < 300 {
		return nil
	}
	e := &Error{Class: ClassSourceBug, Message: fmt.Sprintf("the source answered %d %s", r.StatusCode, http.StatusText(r.StatusCode))}
	switch {
	case r.StatusCode == http.StatusUnauthorized:
		e.Class = ClassAuth
	case r.StatusCode == http.StatusForbidden:
		e.Class = ClassPermission
	case r.StatusCode == http.StatusNotFound:
		e.Class = ClassConfig
	case r.StatusCode == http.StatusTooManyRequests:
		e.Class, e.RetryAfter = ClassRateLimit, RetryAfter(r.Header, time.Now())
	case r.StatusCode >= 500:
		e.Class, e.RetryAfter = ClassTransient, RetryAfter(r.Header, time.Now())
	}
	return e
}

// RetryAfter reads a Retry-After header (RFC 9110, section 10.2.3), seconds or a date; 0 if there is none.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, 24*time.Hour)
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return min(at.Sub(now), 24*time.Hour)
	}
	return 0
}
