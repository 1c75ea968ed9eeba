package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/frames"
	"github.com/lrshub/lrshub/plugins/internal/wire"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// Describe asks the connector what it is and, for a config, which streams it brings; nil asks for what holds of every config.
// The answer has been validated.
func (p *Process) Describe(ctx context.Context, config []byte) (sdk.Description, error) {
	ctx, cancel := p.bounded(ctx, "describing itself")
	defer cancel()
	response, err := p.calls.Describe(ctx, &pb.DescribeRequest{Config: config})
	if err != nil {
		return sdk.Description{}, p.failure(ctx, "describing itself", err)
	}
	description := wire.ToDescription(response.GetDescription())
	if err := description.Validate(); err != nil {
		return sdk.Description{}, fmt.Errorf("%w: %s: %w", ErrProtocol, p.name, err)
	}
	return description, nil
}

// Check asks the connector whether its source can be reached and read.
func (p *Process) Check(ctx context.Context) error {
	ctx, cancel := p.bounded(ctx, "checking its source")
	defer cancel()
	_, err := p.calls.Check(ctx, &pb.CheckRequest{})
	return p.failure(ctx, "checking its source", err)
}

// Commit tells a connector with the ability "commit" that everything of a stream up to the cursor is stored for good.
func (p *Process) Commit(ctx context.Context, stream string, cursor []byte) error {
	return p.CommitPartition(ctx, stream, "", cursor)
}

// CommitPartition is Commit for one partition of a stream.
func (p *Process) CommitPartition(ctx context.Context, stream, partition string, cursor []byte) error {
	ctx, cancel := p.bounded(ctx, "committing")
	defer cancel()
	_, err := p.calls.Commit(ctx, &pb.CommitRequest{Stream: stream, Partition: partition, Cursor: cursor})
	return p.failure(ctx, "committing", err)
}

// Plan asks a connector with the ability "plan" for a stream's partitions.
func (p *Process) Plan(ctx context.Context, stream string, full bool) ([]sdk.Partition, error) {
	ctx, cancel := p.bounded(ctx, "planning")
	defer cancel()
	answer, err := p.calls.Plan(ctx, &pb.PlanRequest{Request: &pb.ReadRequest{Stream: stream, Full: full}})
	if err != nil {
		return nil, p.failure(ctx, "planning", err)
	}
	const most = 100_000
	var partitions []sdk.Partition
	for {
		m, err := answer.Recv()
		if errors.Is(err, io.EOF) {
			return partitions, nil
		}
		if err != nil {
			return nil, p.failure(ctx, "planning", err)
		}
		for _, part := range m.GetPartitions() {
			partitions = append(partitions, sdk.Partition{ID: wire.Clip(part.GetId(), contract.MaxPosition), EstimatedRows: part.GetEstimatedRows()})
		}
		if len(partitions) > most {
			return nil, fmt.Errorf("%w: %s plans more than %d partitions", ErrProtocol, p.name, most)
		}
	}
}

// EraseSubject asks a connector with the ability "erase_subject" to have one person erased at the source.
func (p *Process) EraseSubject(ctx context.Context, subject string) (sdk.Erasure, error) {
	ctx, cancel := p.bounded(ctx, "erasing a subject")
	defer cancel()
	response, err := p.calls.EraseSubject(ctx, &pb.EraseSubjectRequest{Subject: subject})
	if err != nil {
		return sdk.Erasure{}, p.failure(ctx, "erasing a subject", err)
	}
	return sdk.Erasure{Erased: response.GetErased(), Kept: response.GetKept(), Reason: wire.Clip(response.GetReason(), contract.MaxPosition)}, nil
}

func (p *Process) bounded(ctx context.Context, doing string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, p.limits.Call, fmt.Errorf("%w: %s took longer than %s for %s", ErrTimeout, p.name, p.limits.Call, doing))
}

// awaitDeadline waits until our own clock, too, says that the time is over: the connector's may say so a moment earlier.
func awaitDeadline(ctx context.Context, err error) {
	if _, limited := ctx.Deadline(); limited && status.Code(err) == codes.DeadlineExceeded {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// failure turns what a call gave into one of this package's errors or an *sdk.Error; nil stays nil. A stranger's text is
// kept only where it is an *sdk.Error's message, and secrets are taken out of that.
func (p *Process) failure(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	awaitDeadline(ctx, err)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, ErrPage) {
		return err
	}
	if errors.Is(err, frames.ErrFrame) {
		return fmt.Errorf("%w: %s while %s: %w", ErrProtocol, p.name, doing, err)
	}
	if known := wire.Failure(err); known != nil {
		return &sdk.Error{Class: known.Class, RetryAfter: known.RetryAfter, Message: p.callback.redact(known.Message)}
	}
	if p.callback.ctx.Err() != nil {
		return fmt.Errorf("%w: %s while %s", ErrClosed, p.name, doing)
	}
	s, _ := status.FromError(err)
	patience := time.Second
	if s.Code() == codes.ResourceExhausted { // gRPC's own: a message above the limit; the process lives
		return fmt.Errorf("%w: %s sent a message of more than %d bytes while %s", ErrProtocol, p.name, contract.MaxFrame, doing)
	}
	if state, ended := p.runner.died(patience); ended {
		return fmt.Errorf("%w: %s while %s (%s); what was stored before stays, and the next run goes on from there", ErrDied, p.name, doing, state)
	}
	if s.Code() == codes.Unimplemented {
		return &sdk.Error{Class: sdk.ClassUnsupported, Message: fmt.Sprintf("%s has no ability for %s", p.name, doing)}
	}
	return fmt.Errorf("%w: %s while %s: the call ended with %s", ErrProtocol, p.name, doing, s.Code())
}
