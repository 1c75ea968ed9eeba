// Package api is the management API: /api/v1/, with its description at /api/openapi.json. Everything that changes or reads a hub goes
// through it, the command line and the console included, and is authorised and audited alike.
//
// Start with Handler. One file a resource; each operation authenticates, asks the gate (operation.go) and calls a room. Problems are RFC 9457
// (problem.go).
package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.temporal.io/sdk/client"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/entry"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/host/installed"
)

// Path is where the face is mounted.
const Path = "/api/"

// Rooms are what the API is a face of.
type Rooms struct {
	DB       *database.DB
	Vault    *vault.Vault
	Gate     *access.Gate
	Clients  *auth.Clients
	Ingest   *ingest.Road
	Disclose *disclose.Road
	Desk     *entry.Desk
	Host     *host.Host
	Temporal client.Client
	Signer   *audit.Signer
	Anchor   *audit.Anchor
	Now      func() time.Time
	Version  string
	// Connectors lists the connectors that are built in, Installed holds those of third parties.
	Connectors []string
	Installed  installed.Folder
	// RestartAudit lets a tenant's log go on after a restore (audit.Sequencer.Restart).
	RestartAudit func(ctx context.Context, tenant database.TenantID, actor string) (audit.Checkpoint, error)
	// PrepareTenant gives a new tenant its keys, purpose and grants.
	PrepareTenant func(ctx context.Context, id database.TenantID) error
	// Stopping is closed when the server stops, so that answers without an end do not hold it up; nil: never.
	Stopping <-chan struct{}
}

type face struct {
	Rooms
	api   huma.API
	feeds chan struct{} // as many as are open
}

// Handler serves every path under Path.
func Handler(rooms Rooms) http.Handler {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("lrshub", rooms.Version)
	config.OpenAPIPath = "/api/openapi"
	config.DocsPath = ""
	config.SchemasPath = "/api/schemas"
	config.CreateHooks = nil // no $schema members in answers
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "lrshub_KEY_SECRET, as lrshub client create prints it"},
		"basic": {Type: "http", Scheme: "basic", Description: "key and secret of a client"},
	}
	config.Security = []map[string][]string{{"token": {}}, {"basic": {}}}
	f := &face{Rooms: rooms, api: humago.New(mux, config), feeds: make(chan struct{}, maxFeeds)}
	f.api.UseMiddleware(f.authenticate)
	f.clients()
	f.purposes()
	f.tenants()
	f.connectors()
	f.upgrades()
	f.connections()
	f.syncs()
	f.entries()
	f.persons()
	f.mappings()
	f.statements()
	f.feed()
	f.queries()
	f.documents()
	f.auditLog()
	return mux
}
