package api

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/host/installed"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// ListedConnector is a connector as a list shows it; exported since huma reads only exported embedded structs.
type ListedConnector struct {
	sdk.Description
	// SHA256 is that of a third party's program to which new connections are pinned; "" for a built-in connector.
	SHA256 string `json:"sha256,omitempty"`
}

func (f *face) connectors() {
	register(f, operation{http.MethodGet, "/connectors", "List connectors: those that are built in, and those that are installed on this node", readConnections, "connectors", 0},
		func(ctx context.Context, _ access.Caller, _ *none) (*body[listOf[ListedConnector]], error) {
			var list []ListedConnector
			for _, name := range f.Connectors {
				d, err := f.describeConnector(ctx, host.Plugin{Connector: name})
				if err != nil {
					return nil, err
				}
				list = append(list, ListedConnector{Description: d})
			}
			others, err := f.Installed.List()
			if err != nil {
				return nil, err
			}
			for _, c := range others {
				list = append(list, listInstalled(c))
			}
			return items(list), nil
		})
	register(f, operation{http.MethodGet, "/connectors/{name}", "Show what a connector says of itself", readConnections, "connectors", 0},
		func(ctx context.Context, _ access.Caller, in *ConnectionName) (*body[ListedConnector], error) {
			if !slices.Contains(f.Connectors, in.Name) {
				if c, err := f.Installed.Get(in.Name); err == nil {
					return &body[ListedConnector]{listInstalled(c)}, nil
				}
			}
			d, err := f.describeConnector(ctx, host.Plugin{Connector: in.Name})
			return &body[ListedConnector]{ListedConnector{Description: d}}, err
		})
}

// listInstalled shows what a third party's connector said of itself when it was installed. Its program is not started for a list.
func listInstalled(c installed.Connector) ListedConnector {
	l := ListedConnector{Description: c.Description, SHA256: c.SHA256}
	l.Name = c.Name
	return l
}

// describeConnector asks a connector what holds of every configuration.
func (f *face) describeConnector(ctx context.Context, plugin host.Plugin) (sdk.Description, error) {
	p, err := f.Host.Start(ctx, plugin, host.Session{})
	if err != nil {
		return sdk.Description{}, err
	}
	defer p.Close()
	return p.Describe(ctx, nil)
}

// pin gives a specification that names an installed connector, and no checksum, that of its current version.
func (f *face) pin(spec *connection.Spec) error {
	if spec.Checksum != "" || slices.Contains(f.Connectors, spec.Connector) {
		return nil
	}
	c, err := f.Installed.Get(spec.Connector)
	if errors.Is(err, installed.ErrUnknown) {
		return nil // the host says which ones there are
	}
	spec.Checksum = c.SHA256
	return err
}
