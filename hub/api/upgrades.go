package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/host/installed"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// The programs of third parties' connectors are put on a node by a command there (plugins/host/installed says why); what the API does is to choose, for the
// tenant's connections, among those that are there.

type upgradeRequest struct {
	Name string `path:"name" doc:"connector"`
	Body struct {
		SHA256 string `json:"sha256,omitempty" doc:"version to pin to; empty: the one that was installed last"`
		DryRun bool   `json:"dry_run,omitempty" doc:"only say what would change"`
	}
}

type upgraded struct {
	Connector   string               `json:"connector"`
	SHA256      string               `json:"sha256"`
	Connections []connection.Upgrade `json:"connections"`
}

func (f *face) upgrades() {
	register(f, operation{http.MethodPost, "/connectors/{name}/upgrade",
		"Pin the connections of a third party's connector to another version of its program; those that could not be read with it stay as they are", writeConnections, "connectors", 0},
		func(ctx context.Context, caller access.Caller, in *upgradeRequest) (*body[upgraded], error) {
			sum, err := f.version(in.Name, in.Body.SHA256)
			if err != nil {
				return nil, err
			}
			done := upgraded{Connector: in.Name, SHA256: sum, Connections: []connection.Upgrade{}}
			all, err := f.pinnedElsewhere(ctx, caller, in.Name, sum)
			if err != nil {
				return nil, err
			}
			for _, c := range all {
				u, err := f.upgrade(ctx, caller, c, sum, in.Body.DryRun)
				if err != nil {
					return nil, err
				}
				done.Connections = append(done.Connections, u)
			}
			return &body[upgraded]{done}, nil
		})
}

// version is the SHA-256 of a version that is installed here.
func (f *face) version(name, sum string) (string, error) {
	if slices.Contains(f.Connectors, name) {
		return "", fmt.Errorf("%w: %s is built in and comes with the hub's own version", errInvalid, name)
	}
	c, err := f.Installed.Get(name)
	if err != nil || sum == "" {
		return c.SHA256, err
	}
	if sum, err = installed.Sum(sum); err != nil {
		return "", err
	}
	_, err = f.Installed.Program(name, sum)
	return sum, err
}

// pinnedElsewhere lists the tenant's connections of a connector that are pinned to another version.
func (f *face) pinnedElsewhere(ctx context.Context, caller access.Caller, name, sum string) (list []connection.Connection, err error) {
	err = f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		list, err = connection.List(ctx, tx)
		return err
	})
	return slices.DeleteFunc(list, func(c connection.Connection) bool { return c.Connector != name || c.Checksum == sum }), err
}

// upgrade says what another version would change for a connection, and pins it to that unless something would break.
func (f *face) upgrade(ctx context.Context, caller access.Caller, c connection.Connection, sum string, dry bool) (connection.Upgrade, error) {
	t, err := f.Vault.Tenant(caller.Tenant)
	if err != nil {
		return connection.Upgrade{}, err
	}
	settings, err := c.Settings(t)
	if err != nil {
		return connection.Upgrade{}, err
	}
	var m connection.MappingVersion
	err = f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		m, err = connection.GetMapping(ctx, tx, c.ID, c.Mapping)
		return err
	})
	if err != nil {
		return connection.Upgrade{}, err
	}
	var was *contract.Description
	if d, err := f.configured(ctx, host.Plugin{Connector: c.Connector, SHA256: c.Checksum}, settings); err == nil {
		was = &d
	}
	is, failure := f.configured(ctx, host.Plugin{Connector: c.Connector, SHA256: sum}, settings)
	var u connection.Upgrade
	if failure != nil {
		u = connection.Upgrade{Connection: c.Name, From: c.Checksum}
		u.Break(failure)
	} else {
		u = connection.PlanUpgrade(c, settings, m.Document, was, is)
	}
	u.To = sum
	if dry || len(u.Breaks) > 0 {
		return u, nil
	}
	u.Done = true
	return u, f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		_, err := connection.Repin(ctx, tx, f.act(caller), c.ID, sum)
		return err
	})
}

// configured asks a connector what it brings with a connection's configuration. The connector is not shown secrets, and it makes no request.
func (f *face) configured(ctx context.Context, plugin host.Plugin, s connection.Settings) (sdk.Description, error) {
	p, err := f.Host.Start(ctx, plugin, host.Session{})
	if err != nil {
		return sdk.Description{}, err
	}
	defer p.Close()
	return p.Describe(ctx, s.Config)
}
