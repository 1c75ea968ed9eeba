package sdk

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/wire"
)

// Serve runs the connector as a process started by the hub; it is all that main does. It returns when the hub is done with it.
func Serve(c Connector) {
	if os.Getenv(wire.Handshake.MagicCookieKey) != wire.Handshake.MagicCookieValue {
		fmt.Fprintln(os.Stderr, "This is a connector of lrshub. It does nothing by itself: the hub starts it. Add a connection with\n"+
			"  lrshub connection add NAME --connector CONNECTOR --config FILE")
		os.Exit(2)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  wire.Handshake,
		Logger:           hclog.NewNullLogger(), // go-plugin's own words would only stand among the author's
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.Name: &served{connector: c}}},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.MaxRecvMsgSize(contract.MaxFrame))...)
		},
	})
}

// served is the connector's side of go-plugin.
type served struct {
	plugin.NetRPCUnsupportedPlugin
	connector Connector
}

func (s *served) GRPCServer(broker *plugin.GRPCBroker, server *grpc.Server) error {
	pb.RegisterConnectorServer(server, &service{connector: s.connector, broker: broker})
	return nil
}

// GRPCClient is the host's side, which is not here.
func (s *served) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("this process serves a connector, it does not call one")
}
