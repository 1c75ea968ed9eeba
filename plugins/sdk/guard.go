package sdk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lrshub/lrshub/plugins/internal/wire"
)

// guard turns a panic in the author's code into an error that says where it happened.
func guard(call func() error) (err error) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		kind := fmt.Sprintf("%T", value) // the value itself may hold data
		if trouble, ok := value.(runtime.Error); ok {
			kind = trouble.Error()
		}
		err = Errorf(ClassSourceBug, "the connector panicked at %s: %s; tell its author", panicked(), kind)
	}()
	return call()
}

// panicked finds the first line outside the runtime below the panic.
func panicked() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}

// failure gives the gRPC error for what an author's method returned. Only an *Error passes with its text; of another
// error the hub learns no more than its type, since its text may hold data. The text goes to the hub's debug log.
func (s *service) failure(err error) error {
	var known *Error
	var path *fs.PathError
	switch {
	case errors.As(err, &known):
		return wire.Status(known)
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the hub ended the call")
	case errors.Is(err, context.DeadlineExceeded):
		return wire.Status(&Error{Class: ClassTransient, Message: "the source did not answer in time"})
	case errors.As(err, &path):
		return wire.Status(&Error{Class: ClassConfig, Message: path.Error()})
	}
	if grpcError, ok := status.FromError(err); ok {
		return grpcError.Err() // the stream to the hub broke
	}
	if session, open := s.open(); open == nil {
		session.Log.Debug("the connector failed", "error", err.Error())
	}
	cause := err
	for next := errors.Unwrap(cause); next != nil; next = errors.Unwrap(cause) {
		cause = next
	}
	return wire.Status(Errorf(ClassSourceBug, "the connector failed with an unclassified error (%T); "+
		"its text is in the hub's debug log only, since it may hold personal data", cause))
}
