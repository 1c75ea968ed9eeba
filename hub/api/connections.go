package api

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/workflows/sync"
)

var (
	readConnections  = need{access.Read, access.Connections}
	writeConnections = need{access.Write, access.Connections}
	readMappings     = need{access.Read, access.Mappings}
	writeMappings    = need{access.Write, access.Mappings}
)

// ConnectionName is the path parameter of what is about one connection; exported since huma reads only exported embedded structs.
type ConnectionName struct {
	Name string `path:"name" doc:"name or id"`
}

type newConnection struct {
	Body struct {
		Name string          `json:"name"`
		Spec connection.Spec `json:"spec" doc:"as in a connection's file"`
	}
}

// listedConnection is a connection with its newest run, as a list shows it.
type listedConnection struct {
	connection.Connection
	LastRun *connection.Run        `json:"last_run,omitempty"`
	Dead    int64                  `json:"dead_letters"`
	Streams []connection.Freshness `json:"streams" doc:"how fresh each stream is, in the order of reading"`
	Hook    string                 `json:"hook" doc:"where its source pushes to, if it does"`
}

type checked struct {
	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
}

func (f *face) connections() {
	const tag = "connections"
	register(f, operation{http.MethodPost, "/connections", "Add a connection", writeConnections, tag, 201}, f.addConnection)
	register(f, operation{http.MethodGet, "/connections", "List connections, each with its newest run", readConnections, tag, 0}, f.listConnections)
	register(f, operation{http.MethodGet, "/connections/{name}", "Show a connection", readConnections, tag, 0},
		func(ctx context.Context, caller access.Caller, in *ConnectionName) (*body[connection.Connection], error) {
			c, err := f.connection(ctx, caller, in.Name)
			return &body[connection.Connection]{c}, err
		})
	register(f, operation{http.MethodPost, "/connections/{name}/check", "Ask the connector whether its source can be reached and read", writeConnections, tag, 0},
		func(ctx context.Context, caller access.Caller, in *ConnectionName) (*body[checked], error) {
			err := f.withProcess(ctx, caller, in.Name, func(p *host.Process, _ connection.Connection, _ connection.Settings) error { return p.Check(ctx) })
			if err == nil {
				return &body[checked]{checked{OK: true}}, nil
			}
			if problemOf(err).Status == http.StatusUnprocessableEntity {
				return &body[checked]{checked{Problem: err.Error()}}, nil
			}
			return nil, err
		})
	register(f, operation{http.MethodPost, "/connections/{name}/discover", "Ask the connector which streams its source has", writeConnections, tag, 0},
		func(ctx context.Context, caller access.Caller, in *ConnectionName) (*body[sdk.Description], error) {
			var d sdk.Description
			err := f.withProcess(ctx, caller, in.Name, func(p *host.Process, _ connection.Connection, s connection.Settings) (err error) {
				d, err = p.Describe(ctx, s.Config)
				return err
			})
			return &body[sdk.Description]{d}, err
		})
	register(f, operation{http.MethodPost, "/connections/{name}/pause", "Pause a connection: no run starts, the one that runs is ended", writeConnections, tag, 0},
		f.steer(connection.Pause, sync.Pause))
	register(f, operation{http.MethodPost, "/connections/{name}/resume", "Let a paused connection run again", writeConnections, tag, 0},
		f.steer(connection.Resume, sync.Resume))
	register(f, operation{http.MethodDelete, "/connections/{name}", "Remove a connection; its statements stay", writeConnections, tag, 204}, f.removeConnection)
}

func (f *face) act(caller access.Caller) connection.Act {
	return connection.Act{Actor: caller.Client.String(), Purpose: caller.Purpose, Now: f.Now()}
}

func (f *face) connection(ctx context.Context, caller access.Caller, name string) (c connection.Connection, err error) {
	err = f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		c, err = connection.Get(ctx, tx, name)
		return err
	})
	return c, err
}

// describe starts the connector of a specification and asks it what this configuration brings. It is shown the configuration without secrets.
func (f *face) describe(ctx context.Context, spec connection.Spec) (sdk.Description, error) {
	var d sdk.Description
	p, err := f.Host.Start(ctx, host.Plugin{Connector: spec.Connector, SHA256: spec.Checksum}, host.Session{})
	if err != nil {
		return d, err
	}
	defer p.Close()
	if d, err = p.Describe(ctx, nil); err != nil {
		return d, err
	}
	public, err := connection.PublicConfig(spec, d.ConfigSchema)
	if err != nil {
		return d, err
	}
	if d, err = p.Describe(ctx, public); spec.Checksum != "" {
		d.Name = spec.Connector // it is installed under a name of this hub's
	}
	return d, err
}

func (f *face) addConnection(ctx context.Context, caller access.Caller, in *newConnection) (*body[connection.Connection], error) {
	spec := in.Body.Spec
	if spec.Purpose == "" {
		spec.Purpose = caller.Purpose
	}
	if err := f.pin(&spec); err != nil {
		return nil, err
	}
	d, err := f.describe(ctx, spec)
	if err != nil {
		return nil, err
	}
	good, err := connection.Check(spec, d)
	if err != nil {
		return nil, err
	}
	t, err := f.Vault.Tenant(caller.Tenant)
	if err != nil {
		return nil, err
	}
	var c connection.Connection
	err = f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		c, err = connection.Add(ctx, tx, t, f.act(caller), in.Body.Name, good)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &body[connection.Connection]{c}, sync.EnsureSchedule(ctx, f.Temporal, caller.Tenant, c)
}

func (f *face) listConnections(ctx context.Context, caller access.Caller, _ *none) (*body[listOf[listedConnection]], error) {
	var list []listedConnection
	err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		all, err := connection.List(ctx, tx)
		if err != nil {
			return err
		}
		list = make([]listedConnection, len(all))
		ids := make([]uuid.UUID, len(all))
		for i, c := range all {
			ids[i] = c.ID
		}
		fresh, err := connection.FreshnessOf(ctx, tx, ids)
		if err != nil {
			return err
		}
		for i, c := range all {
			list[i].Connection, list[i].Streams, list[i].Hook = c, fresh[c.ID], "/hooks/"+c.ID.String()
			runs, err := connection.History(ctx, tx, c.ID, time.Time{}, 1)
			if err != nil {
				return err
			}
			if len(runs) > 0 {
				list[i].LastRun = &runs[0]
			}
			counts, err := connection.CountDeadLetters(ctx, tx, c.ID)
			if err != nil {
				return err
			}
			for _, n := range counts {
				list[i].Dead += n.Count
			}
		}
		return nil
	})
	return items(list), err
}

// withProcess starts a connection's connector for fn.
func (f *face) withProcess(ctx context.Context, caller access.Caller, name string, fn func(*host.Process, connection.Connection, connection.Settings) error) error {
	c, err := f.connection(ctx, caller, name)
	if err != nil {
		return err
	}
	t, err := f.Vault.Tenant(caller.Tenant)
	if err != nil {
		return err
	}
	settings, err := c.Settings(t)
	if err != nil {
		return err
	}
	p, err := f.Host.Start(ctx, host.Plugin{Connector: c.Connector, SHA256: c.Checksum}, host.Session{Config: settings.Config, Secrets: settings.Secret})
	if err != nil {
		return err
	}
	defer p.Close()
	return fn(p, c, settings)
}

// steer pauses or resumes: first in the hub's rows, which hold, then what Temporal does.
func (f *face) steer(
	change func(context.Context, *database.Tx, connection.Act, uuid.UUID) (connection.Connection, error),
	follow func(context.Context, client.Client, database.TenantID, connection.Connection) error,
) func(context.Context, access.Caller, *ConnectionName) (*body[connection.Connection], error) {
	return func(ctx context.Context, caller access.Caller, in *ConnectionName) (*body[connection.Connection], error) {
		var c connection.Connection
		err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
			found, err := connection.Get(ctx, tx, in.Name)
			if err != nil {
				return err
			}
			c, err = change(ctx, tx, f.act(caller), found.ID)
			return err
		})
		if err != nil {
			return nil, err
		}
		return &body[connection.Connection]{c}, follow(ctx, f.Temporal, caller.Tenant, c)
	}
}

func (f *face) removeConnection(ctx context.Context, caller access.Caller, in *ConnectionName) (*none, error) {
	c, err := f.connection(ctx, caller, in.Name)
	if err != nil {
		return nil, err
	}
	err = f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		return connection.Remove(ctx, tx, f.act(caller), c.ID)
	})
	if err != nil {
		return nil, err
	}
	return nil, sync.Remove(ctx, f.Temporal, caller.Tenant, c)
}
