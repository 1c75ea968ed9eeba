package host

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/wire"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// Receive gives a connector with the ability "receive" something its source pushed. It answers what to reply; the records
// come as pages, as in Read. A push above Limits.PushBytes is refused.
func (p *Process) Receive(ctx context.Context, s contract.Stream, fields []string, push sdk.Push, page func(context.Context, Page) error) (sdk.Reply, error) {
	if len(push.Body) > p.limits.PushBytes {
		return sdk.Reply{}, &sdk.Error{Class: sdk.ClassData, Message: fmt.Sprintf("a push of %d bytes; the limit is %d", len(push.Body), p.limits.PushBytes)}
	}
	var talk *conversation
	err := p.stream(ctx, "receiving "+s.Name, s, fields, page, func(ctx context.Context) (*conversation, error) {
		call, err := p.calls.Receive(ctx)
		if err != nil {
			return nil, err
		}
		talk = &conversation{recv: call.Recv, ack: func(sequence uint64) error {
			return call.Send(&pb.ReceiveInput{Input: &pb.ReceiveInput_Ack{Ack: &pb.Ack{Sequence: sequence}}})
		}}
		return talk, sent(p.sendPush(call, s.Name, push))
	})
	if err != nil {
		return sdk.Reply{}, err
	}
	reply := sdk.Reply{Status: int(talk.reply.GetStatus()), Header: wire.ToHeader(talk.reply.GetHeader()), Body: talk.reply.GetBody(), Delivery: wire.Clip(talk.reply.GetDelivery(), contract.MaxPosition)}
	if reply.Status == 0 {
		reply.Status = 200
	}
	return reply, nil
}

func (p *Process) sendPush(call pb.Connector_ReceiveClient, stream string, push sdk.Push) error {
	err := call.Send(&pb.ReceiveInput{Input: &pb.ReceiveInput_Start{Start: &pb.Push{
		Stream: stream, Method: push.Method, Header: wire.FromHeader(push.Header), Received: timestamppb.New(push.Received),
		MaxRecord: uint64(p.limits.RecordBytes),
	}}})
	for body := push.Body; err == nil && len(body) > 0; {
		n := min(len(body), contract.MaxPiece)
		err = call.Send(&pb.ReceiveInput{Input: &pb.ReceiveInput_Body{Body: body[:n]}})
		body = body[n:]
	}
	if err != nil {
		return err
	}
	return call.Send(&pb.ReceiveInput{Input: &pb.ReceiveInput_Complete{Complete: true}})
}

// FindSubject brings what the source holds about one person, from a connector with the ability "find_subject".
func (p *Process) FindSubject(ctx context.Context, s contract.Stream, fields []string, subject string, page func(context.Context, Page) error) error {
	return p.stream(ctx, "finding a subject in "+s.Name, s, fields, page, func(ctx context.Context) (*conversation, error) {
		call, err := p.calls.FindSubject(ctx)
		if err != nil {
			return nil, err
		}
		err = call.Send(&pb.FindSubjectInput{Input: &pb.FindSubjectInput_Start{Start: &pb.FindSubjectRequest{
			Stream: s.Name, Subject: subject, MaxRecord: uint64(p.limits.RecordBytes),
		}}})
		return &conversation{recv: call.Recv, ack: func(sequence uint64) error {
			return call.Send(&pb.FindSubjectInput{Input: &pb.FindSubjectInput_Ack{Ack: &pb.Ack{Sequence: sequence}}})
		}}, sent(err)
	})
}
