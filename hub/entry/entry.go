// Package entry takes records that people enter, because no system holds them: with who vouches for each, checked by the connector of their connection, mapped
// and stored by the road in like anything that is pushed. Start with Desk.Enter.
package entry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
)

var (
	// ErrNotEntered: nobody enters records into this connection; its source brings them.
	ErrNotEntered = errors.New("entry: records cannot be entered into this connection")
	// ErrEmpty: there is no record.
	ErrEmpty = errors.New("entry: there is no record")
)

// Connector is the connector whose records people enter.
const Connector = "manual"

// MaxBytes bounds what is entered at once.
const MaxBytes = 8 << 20

// attempts bounds how often an entry is stored anew because something else changed one of its records meanwhile.
const attempts = 5

// Desk is where records are entered. It is safe for concurrent use.
type Desk struct {
	DB    *database.DB
	Vault *vault.Vault
	Road  *ingest.Road
	Host  *host.Host
	Now   func() time.Time
}

// Batch is what somebody enters.
type Batch struct {
	CSV   bool   // Text is CSV with a header; else JSON, {"records": [...]}
	Text  []byte // at most MaxBytes
	Check bool   // only say what is wrong with it
}

// Mistake is what is wrong with one record. It names fields, and holds no value.
type Mistake struct {
	Position string `json:"position"` // "line 7", "record 2"
	Reason   string `json:"reason"`
}

// Refusal lists what is wrong with a batch, of which then nothing is stored.
type Refusal struct{ Mistakes []Mistake }

func (r *Refusal) Error() string {
	return fmt.Sprintf("nothing was stored: %d of the records are not right", len(r.Mistakes))
}

// Result counts what became of a batch.
type Result struct {
	Delivery  uuid.UUID `json:"delivery"` // that audit events and dead letters name; Nil where the batch was only checked
	Records   int64     `json:"records"`
	Unchanged int64     `json:"unchanged"` // entered before, the same
	Changed   int64     `json:"changed"`   // new, corrected or taken back
	Dead      int64     `json:"dead"`      // of which the mapping could make no statement: see the dead letters
}

// Enter checks a batch and stores it, whole or not at all, in the name of whoever enters it. The same batch entered again changes nothing. Errors: *Refusal,
// ErrNotEntered, ErrEmpty, connection.ErrUnknown, connection.ErrPaused, and a *contract.Error where the batch cannot be read.
func (d *Desk) Enter(ctx context.Context, by access.Caller, name string, b Batch) (Result, error) {
	for attempt := 1; ; attempt++ {
		r, err := d.enter(ctx, by, name, b)
		if !errors.Is(err, connection.ErrOvertaken) || attempt == attempts {
			return r, err
		}
	}
}

func (d *Desk) enter(ctx context.Context, by access.Caller, name string, b Batch) (Result, error) {
	var c connection.Connection
	var m connection.MappingVersion
	err := d.DB.ReadTenant(ctx, by.Tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		if c, err = connection.Get(ctx, tx, name); err != nil {
			return err
		}
		m, err = connection.GetMapping(ctx, tx, c.ID, 0)
		return err
	})
	switch {
	case err != nil:
		return Result{}, err
	case c.Connector != Connector:
		return Result{}, fmt.Errorf("%w: %s is read from its source, by %s; add a connection with the connector %s", ErrNotEntered, c.Name, c.Connector, Connector)
	}
	if err := c.Startable(); err != nil {
		return Result{}, err
	}
	load, page, err := d.read(ctx, by.Tenant, c, m, b)
	if err != nil {
		return Result{}, err
	}
	r := Result{Records: int64(len(page.Page.Records))}
	if r.Records == 0 {
		return r, ErrEmpty
	}
	if b.Check {
		return r, nil
	}
	r.Delivery = uuid.New()
	counts, err := d.Road.Push(ctx, ingest.Push{
		Tenant: by.Tenant, Connection: c.ID, ID: r.Delivery, Purpose: c.Purpose, Mapping: load, MappingVersion: m.Version, Pages: []ingest.PushedPage{page},
		Done: func(ctx context.Context, tx *database.Tx) error {
			return audit.Record(ctx, tx, d.Now(), audit.Event{Kind: audit.RecordsEntered, Actor: by.Client.String(), Purpose: c.Purpose,
				Fields: map[string]any{"connection": c.ID, "delivery": r.Delivery, "records": r.Records}})
		},
	})
	r.Unchanged, r.Dead = counts.Unchanged, counts.Dead
	r.Changed = r.Records - r.Unchanged - r.Dead
	return r, err
}

// read has the connector find the records of a batch.
func (d *Desk) read(ctx context.Context, tenant database.TenantID, c connection.Connection, m connection.MappingVersion, b Batch) (*mapping.Mapping, ingest.PushedPage, error) {
	var none ingest.PushedPage
	t, err := d.Vault.Tenant(tenant)
	if err != nil {
		return nil, none, err
	}
	settings, err := c.Settings(t)
	if err != nil {
		return nil, none, err
	}
	p, err := d.Host.Start(ctx, host.Plugin{Connector: c.Connector, SHA256: c.Checksum}, host.Session{Config: settings.Config, Secrets: settings.Secret})
	if err != nil {
		return nil, none, err
	}
	defer p.Close()
	about, err := p.Describe(ctx, settings.Config)
	if err != nil {
		return nil, none, err
	}
	load, err := connection.LoadMapping(m.Document, settings.Params, about.Streams)
	if err != nil {
		return nil, none, err
	}
	stream := about.Streams[0] // the connector has one
	all := ingest.PushedPage{Stream: stream}
	push := sdk.Push{Stream: stream.Name, Method: contract.MethodEnter, Header: http.Header{"Content-Type": {contentType(b.CSV)}}, Body: b.Text, Received: d.Now()}
	_, err = p.Receive(ctx, stream, load.Fields(stream.Name), push, func(_ context.Context, page host.Page) error {
		part := page.Contract()
		all.Page.Records, all.Page.Bad = append(all.Page.Records, part.Records...), append(all.Page.Bad, part.Bad...)
		return nil
	})
	if err == nil && len(all.Page.Bad) > 0 {
		err = refusal(all.Page.Bad)
	}
	return load, all, err
}

func contentType(csv bool) string {
	if csv {
		return "text/csv"
	}
	return "application/json"
}

func refusal(bad []contract.Bad) error {
	r := &Refusal{Mistakes: make([]Mistake, len(bad))}
	for i, b := range bad {
		r.Mistakes[i] = Mistake{Position: b.Position, Reason: b.Reason}
	}
	return r
}
