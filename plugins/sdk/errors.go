package sdk

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
)

// Error is a failure that the hub understands; Class says what kind it is. Return one from Check and Read whenever the
// reason is known: the text of any other error stays in this process, since it might hold somebody's data.
type (
	Error = contract.Error
	Class = contract.Class
)

const (
	ClassConfig        = contract.ClassConfig        // the configuration is wrong; a person must change it
	ClassAuth          = contract.ClassAuth          // the source does not accept the credentials
	ClassPermission    = contract.ClassPermission    // the credentials are good but do not allow this
	ClassRateLimit     = contract.ClassRateLimit     // the source wants us to wait RetryAfter
	ClassTransient     = contract.ClassTransient     // it may work the next time
	ClassSourceBug     = contract.ClassSourceBug     // source or connector broke its own rules
	ClassData          = contract.ClassData          // the source's data cannot be read at all
	ClassCursorExpired = contract.ClassCursorExpired // the source no longer knows the cursor: read in full
	ClassUnsupported   = contract.ClassUnsupported   // the connector cannot do this
)

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
