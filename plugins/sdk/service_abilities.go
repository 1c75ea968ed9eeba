package sdk

import (
	"context"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/wire"
)

func unsupported(what contract.Ability) error {
	return wire.Status(Errorf(ClassUnsupported, "the connector has no ability %q", what))
}

func (s *service) Plan(m *pb.PlanRequest, stream pb.Connector_PlanServer) error {
	planner, ok := s.connector.(Planner)
	if !ok {
		return unsupported(contract.AbilityPlan)
	}
	session, err := s.open()
	if err != nil {
		return err
	}
	var partitions []Partition
	err = guard(func() (err error) {
		partitions, err = planner.Plan(stream.Context(), session, request(m.GetRequest()))
		return err
	})
	if err != nil {
		return s.failure(err)
	}
	const batch = 500 // ids are at most MaxPosition bytes, so a message stays far below MaxFrame
	for len(partitions) > 0 {
		n := min(batch, len(partitions))
		response := &pb.PlanResponse{}
		for _, p := range partitions[:n] {
			if p.ID == "" || len(p.ID) > contract.MaxPosition {
				return s.failure(Errorf(ClassSourceBug, "a partition's id has 1 to %d bytes, not %d", contract.MaxPosition, len(p.ID)))
			}
			response.Partitions = append(response.Partitions, &pb.Partition{Id: p.ID, EstimatedRows: p.EstimatedRows})
		}
		if err := stream.Send(response); err != nil {
			return err
		}
		partitions = partitions[n:]
	}
	return nil
}

func (s *service) Commit(ctx context.Context, m *pb.CommitRequest) (*pb.CommitResponse, error) {
	committer, ok := s.connector.(Committer)
	if !ok {
		return nil, unsupported(contract.AbilityCommit)
	}
	session, err := s.open()
	if err != nil {
		return nil, err
	}
	err = guard(func() error {
		return committer.Commit(ctx, session, m.GetStream(), m.GetPartition(), m.GetCursor())
	})
	if err != nil {
		return nil, s.failure(err)
	}
	return &pb.CommitResponse{}, nil
}

func (s *service) Receive(stream pb.Connector_ReceiveServer) error {
	receiver, ok := s.connector.(Receiver)
	if !ok {
		return unsupported(contract.AbilityReceive)
	}
	session, err := s.open()
	if err != nil {
		return err
	}
	push, r, err := receivePush(stream)
	if err != nil {
		return err
	}
	e := newEmitter(stream.Send, func() (*pb.Ack, error) {
		m, err := stream.Recv()
		return m.GetAck(), err
	})
	var reply Reply
	err = guard(func() (err error) {
		reply, err = receiver.Receive(stream.Context(), session, push, NewOutput(r, e.emit))
		return err
	})
	if err == nil && len(reply.Body) > contract.MaxRaw {
		err = Errorf(ClassSourceBug, "a reply of %d bytes; the limit is %d", len(reply.Body), contract.MaxRaw)
	}
	if err == nil && len(reply.Delivery) > contract.MaxPosition {
		err = Errorf(ClassSourceBug, "the name of a delivery has %d bytes; the limit is %d", len(reply.Delivery), contract.MaxPosition)
	}
	return s.end(e, &pb.Reply{Status: uint32(reply.Status), Header: wire.FromHeader(reply.Header), Body: reply.Body, Delivery: reply.Delivery}, err)
}

// receivePush reads the push's head and body. The host has bounded the body.
func receivePush(stream pb.Connector_ReceiveServer) (Push, Request, error) {
	first, err := stream.Recv()
	if err != nil {
		return Push{}, Request{}, err
	}
	head := first.GetStart()
	if head == nil {
		return Push{}, Request{}, status.Error(codes.InvalidArgument, "a push begins with its start")
	}
	push := Push{
		Stream: head.GetStream(), Method: head.GetMethod(), Header: wire.ToHeader(head.GetHeader()), Received: head.GetReceived().AsTime(),
	}
	if push.Method == "" {
		push.Method = http.MethodPost
	}
	r := Request{Stream: push.Stream, PageRecords: int(head.GetPageRecords()), MaxRecord: int(head.GetMaxRecord())}
	for {
		m, err := stream.Recv()
		if err != nil {
			return Push{}, Request{}, err
		}
		if m.GetComplete() {
			return push, r, nil
		}
		push.Body = append(push.Body, m.GetBody()...)
	}
}

func (s *service) FindSubject(stream pb.Connector_FindSubjectServer) error {
	finder, ok := s.connector.(SubjectFinder)
	if !ok {
		return unsupported(contract.AbilityFindSubject)
	}
	session, err := s.open()
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	m := first.GetStart()
	r := Request{Stream: m.GetStream(), PageRecords: int(m.GetPageRecords()), MaxRecord: int(m.GetMaxRecord())}
	e := newEmitter(stream.Send, func() (*pb.Ack, error) {
		m, err := stream.Recv()
		return m.GetAck(), err
	})
	err = guard(func() error {
		return finder.FindSubject(stream.Context(), session, m.GetStream(), m.GetSubject(), NewOutput(r, e.emit))
	})
	return s.end(e, nil, err)
}

func (s *service) EraseSubject(ctx context.Context, m *pb.EraseSubjectRequest) (*pb.EraseSubjectResponse, error) {
	eraser, ok := s.connector.(SubjectEraser)
	if !ok {
		return nil, unsupported(contract.AbilityEraseSubject)
	}
	session, err := s.open()
	if err != nil {
		return nil, err
	}
	var erasure Erasure
	err = guard(func() (err error) {
		erasure, err = eraser.EraseSubject(ctx, session, m.GetSubject())
		return err
	})
	if err != nil {
		return nil, s.failure(err)
	}
	return &pb.EraseSubjectResponse{Erased: erasure.Erased, Kept: erasure.Kept, Reason: erasure.Reason}, nil
}
