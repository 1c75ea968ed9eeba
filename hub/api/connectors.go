package api

import (
	"context"
	"net/http"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
)

func (f *face) connectors() {
	register(f, operation{http.MethodGet, "/connectors", "List connectors", readConnections, "connectors", 0},
		func(ctx context.Context, _ access.Caller, _ *none) (*body[listOf[sdk.Description]], error) {
			var list []sdk.Description
			for _, name := range f.Connectors {
				d, err := f.describeConnector(ctx, name)
				if err != nil {
					return nil, err
				}
				list = append(list, d)
			}
			return items(list), nil
		})
	register(f, operation{http.MethodGet, "/connectors/{name}", "Show what a connector says of itself", readConnections, "connectors", 0},
		func(ctx context.Context, _ access.Caller, in *ConnectionName) (*body[sdk.Description], error) {
			d, err := f.describeConnector(ctx, in.Name)
			return &body[sdk.Description]{d}, err
		})
}

// describeConnector asks a connector what holds of every configuration.
func (f *face) describeConnector(ctx context.Context, name string) (sdk.Description, error) {
	p, err := f.Host.Start(ctx, host.Plugin{Connector: name}, host.Session{})
	if err != nil {
		return sdk.Description{}, err
	}
	defer p.Close()
	return p.Describe(ctx, nil)
}
