package api

import (
	"context"
	"crypto/sha256"
	"net/http"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
)

type newMapping struct {
	ConnectionName
	Body struct {
		Document string `json:"document" doc:"the mapping, YAML"`
	}
}

type applied struct {
	Version int                 `json:"version"`
	Unread  map[string][]string `json:"unread,omitempty" doc:"fields, by stream, that were pruned from the records read so far: read them again with a full sync"`
}

// difference is what a mapping would change, in numbers and places; it shows no value of a record.
type difference struct {
	applied
	Streams []ingest.Comparison `json:"streams"`
}

func (f *face) mappings() {
	register(f, operation{http.MethodGet, "/connections/{name}/mapping", "Show the mapping in force", readMappings, "mappings", 0},
		func(ctx context.Context, caller access.Caller, in *ConnectionName) (*body[connection.MappingVersion], error) {
			var m connection.MappingVersion
			err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
				c, err := connection.Get(ctx, tx, in.Name)
				if err != nil {
					return err
				}
				m, err = connection.GetMapping(ctx, tx, c.ID, 0)
				return err
			})
			return &body[connection.MappingVersion]{m}, err
		})
	register(f, operation{http.MethodPut, "/connections/{name}/mapping", "Put a new version of the mapping into force", writeMappings, "mappings", 0},
		func(ctx context.Context, caller access.Caller, in *newMapping) (*body[applied], error) {
			m, err := f.checkMapping(ctx, caller, in)
			if err != nil {
				return nil, err
			}
			var out applied
			err = f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
				out.Version, out.Unread, err = connection.ApplyMapping(ctx, tx, f.act(caller), m.connection.ID, m.checked)
				return err
			})
			return &body[applied]{out}, err
		})
	// Whoever chooses a mapping's conditions can learn from the numbers what the records say: so this asks for as much as putting it into force.
	register(f, operation{http.MethodPost, "/connections/{name}/mapping/diff", "Say what a new version of the mapping would change on what is stored", writeMappings, "mappings", 0}, f.diffMapping)
}

// remapped is a new mapping for a connection, checked.
type remapped struct {
	connection connection.Connection
	settings   connection.Settings
	streams    []contract.Stream
	checked    connection.Checked
}

// checkMapping checks a new mapping for a connection against the streams that its connector describes.
func (f *face) checkMapping(ctx context.Context, caller access.Caller, in *newMapping) (remapped, error) {
	var m remapped
	err := f.withProcess(ctx, caller, in.Name, func(p *host.Process, c connection.Connection, s connection.Settings) error {
		d, err := p.Describe(ctx, s.Config)
		if err != nil {
			return err
		}
		m = remapped{connection: c, settings: s, streams: d.Streams}
		m.checked, err = connection.Remap(c, s, in.Body.Document, d.Streams)
		return err
	})
	return m, err
}

// diffMapping is told before it is answered.
func (f *face) diffMapping(ctx context.Context, caller access.Caller, in *newMapping) (*body[difference], error) {
	m, err := f.checkMapping(ctx, caller, in)
	if err != nil {
		return nil, err
	}
	var out difference
	var old connection.MappingVersion
	err = f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		if old, err = connection.GetMapping(ctx, tx, m.connection.ID, 0); err != nil {
			return err
		}
		digest := sha256.Sum256([]byte(in.Body.Document))
		return audit.Record(ctx, tx, f.Now(), audit.Event{Kind: audit.MappingCompared, Actor: caller.Client.String(), Purpose: caller.Purpose,
			Fields: map[string]any{"connection": m.connection.ID, "digest": digest[:]}})
	})
	if err != nil {
		return nil, err
	}
	out.Version, out.Unread = old.Version, connection.NewFields(old.Streams, m.checked.Streams())
	loaded, err := connection.LoadMapping(in.Body.Document, m.settings.Params, m.streams)
	if err != nil {
		return nil, err
	}
	for _, stream := range m.streams {
		if !loaded.Converts(stream.Name) {
			continue
		}
		run := ingest.Run{Tenant: caller.Tenant, Connection: m.connection.ID, Purpose: m.connection.Purpose, Mapping: loaded, Stream: stream}
		c, err := f.Ingest.Compare(ctx, run)
		if err != nil {
			return nil, err
		}
		out.Streams = append(out.Streams, c)
	}
	return &body[difference]{out}, nil
}
