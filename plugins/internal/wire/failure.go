package wire

import (
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
)

// Status makes the gRPC error that carries e.
func Status(e *contract.Error) error {
	failure := &pb.Failure{Class: string(e.Class), Message: Clip(e.Message, contract.MaxMessage)}
	if e.RetryAfter > 0 {
		failure.RetryAfter = durationpb.New(e.RetryAfter)
	}
	s, err := status.New(code(e.Class), failure.Message).WithDetails(failure)
	if err != nil { // cannot happen: the code is never OK and the message marshals
		return status.Error(codes.Internal, err.Error())
	}
	return s.Err()
}

// Failure gives back what Status carried, or nil if err carries none. A class that this version does not know is taken for source_bug.
func Failure(err error) *contract.Error {
	var plain *contract.Error
	if errors.As(err, &plain) {
		return plain
	}
	s, ok := status.FromError(err)
	if !ok {
		return nil
	}
	for _, detail := range s.Details() {
		failure, ok := detail.(*pb.Failure)
		if !ok {
			continue
		}
		e := &contract.Error{Class: contract.Class(failure.GetClass()), Message: Clip(failure.GetMessage(), contract.MaxMessage)}
		if !e.Class.Known() {
			e.Class = contract.ClassSourceBug
		}
		if after := failure.GetRetryAfter(); after.IsValid() && after.AsDuration() > 0 {
			e.RetryAfter = after.AsDuration()
		}
		return e
	}
	return nil
}

func code(c contract.Class) codes.Code {
	switch c {
	case contract.ClassConfig:
		return codes.FailedPrecondition
	case contract.ClassAuth:
		return codes.Unauthenticated
	case contract.ClassPermission:
		return codes.PermissionDenied
	case contract.ClassRateLimit:
		return codes.ResourceExhausted
	case contract.ClassTransient:
		return codes.Unavailable
	case contract.ClassData:
		return codes.DataLoss
	case contract.ClassCursorExpired:
		return codes.OutOfRange
	case contract.ClassUnsupported:
		return codes.Unimplemented
	}
	return codes.Unknown
}

// Clip makes text valid UTF-8 of at most so many bytes.
func Clip(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
