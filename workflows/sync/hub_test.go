package sync

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/embedded/postgres"
	"github.com/lrshub/lrshub/hub/embedded/temporal"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/workflows/codec"
)

// hub is everything real: Postgres, Temporal, the rooms, the host of connectors. Its Postgres is two: the shared cluster of all tests for
// the rooms, one of its own for Temporal, whose databases have fixed names.
type hub struct {
	*testing.T
	db       *database.DB
	vault    *vault.Vault
	host     *host.Host
	road     *ingest.Road
	client   client.Client
	temporal string // URL of Temporal's database
	log      *log   // the host's
}

const (
	tenant    = databasetest.Other
	namespace = temporal.Namespace
)

func mustCodec(t *testing.T) *codec.Codec {
	t.Helper()
	c, err := codec.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func startHub(t *testing.T) *hub {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Temporal server")
	}
	h := &hub{T: t, db: databasetest.New(t)}
	h.openRooms()
	dir, err := os.MkdirTemp("", "lrshub-sync-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // Postgres runs as another user when root starts it
		t.Fatal(err)
	}
	pg, err := postgres.Start(t.Context(), postgres.Options{Dir: filepath.Join(dir, "postgres"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := pg.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	server, err := temporal.Start(ctx, temporal.Options{PostgresURL: pg.URL("postgres"), Dir: filepath.Join(dir, "temporal")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	h.temporal = pg.URL("temporal")
	data, failures := mustCodec(t).Converters()
	h.client, err = client.Dial(client.Options{HostPort: server.Address(), Namespace: temporal.Namespace, DataConverter: data, FailureConverter: failures, Identity: "test",
		Logger: Logger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.client.Close)
	return h
}

func (h *hub) openRooms() {
	h.Helper()
	master, err := vault.MasterKey(make([]byte, 32))
	if err != nil {
		h.Fatal(err)
	}
	keys, err := vault.OpenKeys(h.TempDir(), master)
	if err != nil {
		h.Fatal(err)
	}
	h.vault = vault.New(keys)
	for _, id := range []database.TenantID{databasetest.Default, databasetest.Other} {
		if _, err := keys.Ensure(id); err != nil {
			h.Fatal(err)
		}
		h.do(id, func(ctx context.Context, tx *database.Tx) error { return people.SeedDefault(ctx, tx, time.Now()) })
	}
	h.road = ingest.New(h.db, h.vault, records.NewDictionary(h.db), "https://hub.example", time.Now)
	h.log = &log{}
	logger := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.host = host.New(host.Options{Builtin: []string{"csv", "ledger"}, AllowNoNamespace: true, Logger: logger})
	h.Cleanup(func() { h.host.Close() })
}

// log keeps what is logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (h *hub) do(id database.TenantID, fn func(context.Context, *database.Tx) error) {
	h.Helper()
	if err := h.db.Tenant(h.Context(), id, fn); err != nil {
		h.Fatal(err)
	}
}

func (h *hub) deps() Deps {
	return Deps{DB: h.db, Vault: h.vault, Road: h.road, Host: h.host, Now: time.Now, Log: slog.New(slog.DiscardHandler), pulse: 300 * time.Millisecond}
}

// work starts workers.
func (h *hub) work(d Deps) *Workers {
	h.Helper()
	w := NewWorkers(h.client, d)
	if err := w.Start(); err != nil {
		h.Fatal(err)
	}
	return w
}

// add adds a connection as the management API does: describe, check, add.
func (h *hub) add(name, file string, set map[string]string) connection.Connection {
	h.Helper()
	spec, err := connection.ParseFile([]byte(file), set)
	if err != nil {
		h.Fatal(err)
	}
	p, err := h.host.Start(h.Context(), host.Plugin{Connector: spec.Connector}, host.Session{})
	if err != nil {
		h.Fatal(err)
	}
	defer p.Close()
	static, err := p.Describe(h.Context(), nil)
	if err != nil {
		h.Fatal(err)
	}
	public, err := connection.PublicConfig(spec, static.ConfigSchema)
	if err != nil {
		h.Fatal(err)
	}
	d, err := p.Describe(h.Context(), public)
	if err != nil {
		h.Fatal(err)
	}
	checked, err := connection.Check(spec, d)
	if err != nil {
		h.Fatal(err)
	}
	t, err := h.vault.Tenant(tenant)
	if err != nil {
		h.Fatal(err)
	}
	var c connection.Connection
	h.do(tenant, func(ctx context.Context, tx *database.Tx) error {
		c, err = connection.Add(ctx, tx, t, connection.Act{Actor: "client-1", Purpose: people.DefaultPurpose, Now: time.Now()}, name, checked)
		return err
	})
	return c
}

func (h *hub) target(c connection.Connection) Target { return Target{Tenant: tenant, Connection: c.ID} }

// sync runs a connection to its end and gives the run.
func (h *hub) sync(c connection.Connection, full bool) (connection.Run, error) {
	h.Helper()
	run, err := Start(h.Context(), h.client, h.db, h.target(c), full, "client-1")
	if err != nil {
		h.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.Context(), 2*time.Minute)
	defer cancel()
	err = Wait(ctx, h.client, h.target(c))
	return h.run(run), err
}

func (h *hub) run(id uuid.UUID) (r connection.Run) {
	h.Helper()
	h.do(tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		r, err = connection.GetRun(ctx, tx, id)
		return err
	})
	return r
}

// newest waits until the newest run of a connection is as wanted.
func (h *hub) newest(c connection.Connection, what string, wanted func(connection.Run) bool) connection.Run {
	h.Helper()
	var last connection.Run
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		h.do(tenant, func(ctx context.Context, tx *database.Tx) error {
			list, err := connection.History(ctx, tx, c.ID, time.Time{}, 1)
			if len(list) > 0 {
				last = list[0]
			}
			return err
		})
		if last.ID != uuid.Nil && wanted(last) {
			return last
		}
	}
	h.Fatalf("no run is %s; the newest: %+v", what, last)
	return last
}

// statements counts a connection's live statements: not voided, and no voiding ones.
func (h *hub) statements(c connection.Connection) (n int) {
	h.Helper()
	h.do(tenant, func(ctx context.Context, tx *database.Tx) error {
		return tx.GetContext(ctx, &n, `
SELECT count(*) FROM statement s WHERE tenant_id = $1 AND connection_id = $2
    AND NOT EXISTS (SELECT 1 FROM voiding v WHERE v.tenant_id = $1 AND (v.target = s.id OR v.statement_id = s.id))`, tx.Tenant, c.ID)
	})
	return n
}

func (h *hub) write(path, text string) {
	h.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		h.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		h.Fatal(err)
	}
}
