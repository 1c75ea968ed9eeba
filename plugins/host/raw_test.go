package host_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/wire"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// oversized speaks the protocol by hand, and breaks it as its config says.
type oversized struct {
	pb.UnimplementedConnectorServer
	how string
}

func (o *oversized) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	return &pb.DescribeResponse{Description: wire.FromDescription(contract.Description{
		Name: "oversized", Version: "1", Streams: []contract.Stream{numbers},
	})}, nil
}

func (o *oversized) Open(_ context.Context, m *pb.OpenRequest) (*pb.OpenResponse, error) {
	o.how = string(m.GetConfig())
	return &pb.OpenResponse{}, nil
}

func (o *oversized) Read(stream pb.Connector_ReadServer) error {
	one := &pb.Frame{Frame: &pb.Frame_Records{Records: &pb.Records{Data: []byte(`{"n":1}`), Lengths: []uint32{7}, PositionLengths: []uint32{0}}}}
	end := &pb.Frame{Frame: &pb.Frame_End{End: &pb.End{}}}
	switch o.how {
	case `"large frame"`:
		one.GetRecords().Data = make([]byte, contract.MaxFrame)
	case `"cut off"`:
		return stream.Send(one)
	case `"wrong lengths"`:
		one.GetRecords().Lengths[0] = 8
	case `"unknown frame"`:
		one = &pb.Frame{}
	case `"checkpoint twice"`:
		one = &pb.Frame{Frame: &pb.Frame_Checkpoint{Checkpoint: &pb.Checkpoint{Sequence: 2}}}
	}
	if err := stream.Send(one); err != nil {
		return err
	}
	return stream.Send(end)
}

type rawPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	server pb.ConnectorServer
}

func (p *rawPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pb.RegisterConnectorServer(s, p.server)
	return nil
}

func (*rawPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("not a client")
}

func serveRaw(server pb.ConnectorServer) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  wire.Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.Name: &rawPlugin{server: server}}},
		GRPCServer:       plugin.DefaultGRPCServer,
	})
	os.Exit(0)
}

// prober looks at the world it was put into and tells what it found.
type prober struct{ counter }

func (*prober) Check(ctx context.Context, s *sdk.Session) error {
	file := string(s.Config[1 : len(s.Config)-1])
	port, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var reached []string
	for _, target := range []string{"127.0.0.1:" + string(port), "1.1.1.1:53", "[::1]:" + string(port)} {
		dialer := net.Dialer{Timeout: 2 * time.Second}
		if conn, err := dialer.DialContext(ctx, "tcp", target); err == nil {
			reached = append(reached, target)
			_ = conn.Close()
		}
	}
	addresses, _ := net.InterfaceAddrs()
	status, _ := os.ReadFile("/proc/self/status")
	effective := regexp.MustCompile(`CapEff:\t(\w+)`).FindStringSubmatch(string(status))[1]
	return sdk.Errorf(sdk.ClassData, "reached %v, addresses %d, processes %v, capabilities %s, environment %v",
		reached, len(addresses), []int{os.Getpid()}, effective, unexpectedEnv())
}
