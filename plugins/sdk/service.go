package sdk

import (
	"context"
	"sync"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/wire"
)

// service answers the hub's calls with the author's methods.
type service struct {
	pb.UnimplementedConnectorServer
	connector Connector
	broker    *plugin.GRPCBroker

	mu      sync.Mutex
	session *Session
}

func (s *service) Describe(_ context.Context, m *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	var description Description
	err := guard(func() (err error) {
		description, err = s.connector.Describe(m.GetConfig())
		return err
	})
	if err != nil {
		return nil, s.failure(err)
	}
	description.Abilities = Abilities(s.connector)
	return &pb.DescribeResponse{Description: wire.FromDescription(description)}, nil
}

func (s *service) Open(_ context.Context, m *pb.OpenRequest) (*pb.OpenResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		return nil, status.Error(codes.FailedPrecondition, "the session is open already")
	}
	conn, err := s.broker.Dial(m.GetHost())
	if err != nil {
		return nil, status.Error(codes.Unavailable, "the hub's own service cannot be reached: "+err.Error())
	}
	s.session = newSession(m.GetConfig(), pb.NewHostClient(conn))
	return &pb.OpenResponse{}, nil
}

func (s *service) open() (*Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return nil, status.Error(codes.FailedPrecondition, "the session is not open")
	}
	copied := *s.session // what an author changes in it lasts for one call
	return &copied, nil
}

func (s *service) Check(ctx context.Context, _ *pb.CheckRequest) (*pb.CheckResponse, error) {
	session, err := s.open()
	if err != nil {
		return nil, err
	}
	if err := guard(func() error { return s.connector.Check(ctx, session) }); err != nil {
		return nil, s.failure(err)
	}
	return &pb.CheckResponse{}, nil
}

func (s *service) Read(stream pb.Connector_ReadServer) error {
	session, err := s.open()
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetStart() == nil {
		return status.Error(codes.InvalidArgument, "a read begins with its start")
	}
	r := request(first.GetStart())
	e := newEmitter(stream.Send, func() (*pb.Ack, error) {
		m, err := stream.Recv()
		return m.GetAck(), err
	})
	err = guard(func() error { return s.connector.Read(stream.Context(), session, r, NewOutput(r, e.emit)) })
	return s.end(e, nil, err)
}

// end closes a stream of frames.
func (s *service) end(e *emitter, reply *pb.Reply, err error) error {
	if last := e.close(reply, err == nil); err == nil {
		err = last
	}
	if err != nil {
		return s.failure(err)
	}
	return nil
}

func request(m *pb.ReadRequest) Request {
	r := Request{
		Stream: m.GetStream(), Partition: m.GetPartition(), Fields: m.GetFields(), Full: m.GetFull(),
		PageRecords: int(m.GetPageRecords()), MaxRecord: int(m.GetMaxRecord()),
	}
	if len(m.GetCursor()) > 0 {
		r.Cursor = m.GetCursor()
	}
	if m.GetSince() != nil {
		r.Since, r.Until = m.GetSince().AsTime(), m.GetUntil().AsTime()
	}
	return r
}
