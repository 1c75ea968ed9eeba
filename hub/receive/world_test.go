package receive

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/connectors/caliper"
	"github.com/lrshub/lrshub/connectors/scim"
	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/policies"
)

// The test program serves these connectors as processes of their own.
func TestMain(m *testing.M) {
	kit.Main(m, map[string]func() sdk.Connector{"ledger": func() sdk.Connector { return ledger{} }, "caliper": caliper.New, "scim": scim.New})
}

const (
	first = databasetest.Default
	other = databasetest.Other
)

// ledger takes pushes of entries and of the books that they stand in, signed.
type ledger struct{}

func (ledger) Describe([]byte) (sdk.Description, error) {
	return sdk.Description{
		Name: "ledger", Version: "1.0.0", Summary: "entries that are pushed",
		ConfigSchema: `{"type":"object","additionalProperties":false,"properties":{"secret":{"type":"string","x-secret":true}}}`,
		Secrets:      []string{"secret"},
		Abilities:    []sdk.Ability{contract.AbilityReceive},
		Streams: []sdk.Stream{
			{Name: "book", Key: []string{"code"}, Mode: contract.Incremental, Fields: []sdk.Field{
				{Name: "code", Type: contract.String}, {Name: "title", Type: contract.String}}},
			{Name: "entry", Key: []string{"n"}, Subject: "who", Mode: contract.Incremental, Deletes: contract.DeletesTombstone, Fields: []sdk.Field{
				{Name: "n", Type: contract.Int}, {Name: "who", Type: contract.String}, {Name: "book", Type: contract.String}, {Name: "unmapped", Type: contract.String, Optional: true}}},
		},
	}, nil
}

func (ledger) Check(context.Context, *sdk.Session) error                          { return nil }
func (ledger) Read(context.Context, *sdk.Session, sdk.Request, *sdk.Output) error { return nil }

func (ledger) Receive(ctx context.Context, s *sdk.Session, p sdk.Push, out *sdk.Output) (sdk.Reply, error) {
	secret, err := s.Secret(ctx, "secret")
	if err != nil {
		return sdk.Reply{}, err
	}
	if err := (sdk.Signature{Header: "X-Signature", Prefix: "sha256=", Timestamp: "X-Sent"}).Verify(p, secret); err != nil {
		return sdk.Reply{}, err
	}
	var body struct {
		ID        string                       `json:"id"`
		Do        string                       `json:"do"`
		Records   map[string][]json.RawMessage `json:"records"`
		Withdrawn []int                        `json:"withdrawn"`
	}
	if err := json.Unmarshal(p.Body, &body); err != nil {
		return sdk.Reply{}, sdk.Errorf(sdk.ClassData, "the body is not a JSON object")
	}
	if body.Do == "die" {
		os.Exit(3)
	}
	for _, record := range body.Records[p.Stream] {
		if err := out.Record(record, "push"); err != nil {
			return sdk.Reply{}, err
		}
	}
	if p.Stream == "entry" {
		for _, n := range body.Withdrawn {
			if err := out.Delete([]any{n}); err != nil {
				return sdk.Reply{}, err
			}
		}
	}
	return sdk.Reply{Status: http.StatusAccepted, Header: http.Header{"X-Taken": {body.ID}}, Body: []byte("taken " + p.Received.Format(time.RFC3339Nano)), Delivery: body.ID}, nil
}

const ledgerFile = `connector: ledger
purpose: learning-records
config:
  secret: open-sesame
mapping:
  name: ledger
  version: 1
  streams:
    book: {about: Looked up.}
    entry:
      lookups:
        book: {on: {code: record.book}}
      subject:
        account: {homePage: "https://school.example", name: "${record.who}"}
      statements:
        - name: entered
          statement:
            verb: {id: "http://adlnet.gov/expapi/verbs/experienced"}
            object: {id: "https://school.example/entry/${record.n}", definition: {name: {en: "${book.title}"}}}
            timestamp: "2026-06-01T12:00:00Z"
`

// world is a face over everything real.
type world struct {
	*testing.T
	db      *database.DB
	vault   *vault.Vault
	road    *ingest.Road
	host    *host.Host
	clients *auth.Clients
	face    *Face
	server  *httptest.Server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	master, err := vault.MasterKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.OpenKeys(t.TempDir(), master)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, db: databasetest.New(t), vault: vault.New(keys)}
	gate, err := access.New(t.Context(), w.db, policies.Bundle(), access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []database.TenantID{first, other} {
		if _, err := keys.Ensure(id); err != nil {
			t.Fatal(err)
		}
		w.do(id, func(ctx context.Context, tx *database.Tx) error {
			if err := people.SeedDefault(ctx, tx, time.Now()); err != nil {
				return err
			}
			return gate.Seed(ctx, tx, time.Now())
		})
	}
	if w.clients, err = auth.New(make([]byte, 32), auth.Options{}); err != nil {
		t.Fatal(err)
	}
	w.road = ingest.New(w.db, w.vault, records.NewDictionary(w.db), "https://hub.example", time.Now)
	w.host = host.New(host.Options{AllowNoNamespace: true})
	t.Cleanup(func() { w.host.Close() })
	w.face = Handler(Rooms{DB: w.db, Vault: w.vault, Ingest: w.road, Host: w.host, Gate: gate, PublicURL: "https://hub.example", Now: time.Now,
		Authenticate: func(r *http.Request) (access.Caller, error) { return w.clients.Request(w.db, r) }})
	t.Cleanup(w.face.Close)
	w.server = httptest.NewServer(w.face)
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) do(id database.TenantID, fn func(context.Context, *database.Tx) error) {
	w.Helper()
	if err := w.db.Tenant(w.Context(), id, fn); err != nil {
		w.Fatal(err)
	}
}

// add adds a connection as the management API does: describe, check, add.
func (w *world) add(tenant database.TenantID, name, file string) connection.Connection {
	w.Helper()
	spec, err := connection.ParseFile([]byte(file), nil)
	if err != nil {
		w.Fatal(err)
	}
	p, err := w.host.Start(w.Context(), host.Plugin{Connector: spec.Connector}, host.Session{})
	if err != nil {
		w.Fatal(err)
	}
	defer p.Close()
	static, err := p.Describe(w.Context(), nil)
	if err != nil {
		w.Fatal(err)
	}
	public, err := connection.PublicConfig(spec, static.ConfigSchema)
	if err != nil {
		w.Fatal(err)
	}
	d, err := p.Describe(w.Context(), public)
	if err != nil {
		w.Fatal(err)
	}
	checked, err := connection.Check(spec, d)
	if err != nil {
		w.Fatal(err)
	}
	t, err := w.vault.Tenant(tenant)
	if err != nil {
		w.Fatal(err)
	}
	var c connection.Connection
	w.do(tenant, func(ctx context.Context, tx *database.Tx) error {
		c, err = connection.Add(ctx, tx, t, connection.Act{Actor: "client-1", Purpose: people.DefaultPurpose, Now: time.Now()}, name, checked)
		return err
	})
	return c
}

// statements counts a connection's live statements: not voided, and no voiding ones.
func (w *world) statements(tenant database.TenantID, c connection.Connection) (n int) {
	w.Helper()
	w.do(tenant, func(ctx context.Context, tx *database.Tx) error {
		return tx.GetContext(ctx, &n, `
SELECT count(*) FROM statement s WHERE tenant_id = $1 AND connection_id = $2
    AND NOT EXISTS (SELECT 1 FROM voiding v WHERE v.tenant_id = $1 AND (v.target = s.id OR v.statement_id = s.id))`, tx.Tenant, c.ID)
	})
	return n
}

// events counts audit events of a kind.
func (w *world) events(tenant database.TenantID, kind string) (n int) {
	w.Helper()
	w.do(tenant, func(ctx context.Context, tx *database.Tx) error {
		return tx.GetContext(ctx, &n, "SELECT count(*) FROM audit_event WHERE tenant_id = $1 AND kind = $2", tx.Tenant, kind)
	})
	return n
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request.
func (w *world) send(method, path, body string, header map[string]string) answer {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}
