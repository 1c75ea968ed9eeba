package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

const connectionsTitle = "Connections"

// overview is the first screen.
type overview struct {
	Connections []row
	Active      int
	Paused      int
	Running     int
	Failed      int // whose newest run failed
	Letters     int64
	Audit       *sealedLog // nil: the caller may not read the audit log
}

// row is a connection of the first screen.
type row struct {
	connection.Connection
	Run     *connection.Run // newest; nil: never read
	Letters []connection.DeadCount
	Late    []string // streams that are late
	Hidden  bool     // the caller may not see syncs or dead letters
}

// Dead sums the open dead letters.
func (r row) Dead() (sum int64) {
	for _, c := range r.Letters {
		sum += c.Count
	}
	return sum
}

// Codes sums the open dead letters by code, over all streams.
func (r row) Codes() []connection.DeadCount { return byCode(r.Letters) }

func byCode(letters []connection.DeadCount) []connection.DeadCount {
	var sums []connection.DeadCount
	at := map[string]int{}
	for _, c := range letters {
		if i, known := at[c.Code]; known {
			sums[i].Count += c.Count
			continue
		}
		at[c.Code] = len(sums)
		sums = append(sums, connection.DeadCount{Code: c.Code, Count: c.Count})
	}
	return sums
}

// connections shows the first screen.
func (f *face) connections(r *http.Request, caller access.Caller) (page, error) {
	if err := f.may(r, caller, access.Connections); err != nil {
		return page{}, err
	}
	seen, err := f.sees(r, caller)
	if err != nil {
		return page{}, err
	}
	var o overview
	err = f.DB.ReadTenant(r.Context(), caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		list, err := connection.List(ctx, tx)
		if err != nil {
			return err
		}
		o = overview{Connections: make([]row, len(list))}
		for i, c := range list {
			if o.Connections[i], err = readRow(ctx, tx, c, seen); err != nil {
				return err
			}
			o.count(o.Connections[i])
		}
		return nil
	})
	if err != nil {
		return page{}, err
	}
	if seen.audit {
		if o.Audit, err = f.sealed(caller.Tenant); err != nil {
			return page{}, err
		}
	}
	return page{name: "connections", Live: o.Running > 0, Body: o}, nil
}

func (o *overview) count(r row) {
	if r.State == connection.Paused {
		o.Paused++
	} else {
		o.Active++
	}
	if r.Run != nil && r.Run.State == connection.Running {
		o.Running++
	}
	if r.Run != nil && r.Run.State == connection.Failed {
		o.Failed++
	}
	o.Letters += r.Dead()
}

func readRow(ctx context.Context, tx *database.Tx, c connection.Connection, seen sight) (row, error) {
	r := row{Connection: c, Hidden: !seen.syncs || !seen.letters}
	if seen.syncs {
		runs, err := connection.History(ctx, tx, c.ID, time.Time{}, 1)
		if err != nil {
			return r, err
		}
		if len(runs) > 0 {
			r.Run = &runs[0]
		}
	}
	fresh, err := connection.FreshnessOf(ctx, tx, []uuid.UUID{c.ID})
	if err != nil {
		return r, err
	}
	for _, s := range fresh[c.ID] {
		if s.LateSince != nil {
			r.Late = append(r.Late, s.Stream)
		}
	}
	if seen.letters {
		if r.Letters, err = connection.CountDeadLetters(ctx, tx, c.ID); err != nil {
			return r, err
		}
	}
	return r, nil
}

// sight is what of a page the caller may see.
type sight struct{ syncs, letters, audit bool }

// sees asks the gate for the parts of a page. A part that is denied is left out; a gate that cannot decide is an error.
func (f *face) sees(r *http.Request, caller access.Caller) (s sight, err error) {
	for resource, may := range map[string]*bool{access.Syncs: &s.syncs, access.DeadLetters: &s.letters, access.Audit: &s.audit} {
		switch err := f.may(r, caller, resource); {
		case err == nil:
			*may = true
		case errors.Is(err, access.ErrUndecided) || !errors.Is(err, access.ErrDenied):
			return s, err
		}
	}
	return s, nil
}

// sealedLog says up to where the audit log is under a signed and anchored checkpoint.
type sealedLog struct {
	Events int64
	Origin string
}

// sealed reads the newest anchored checkpoint, whose signature is checked. It says nothing of the table, which `audit verify` proves.
func (f *face) sealed(tenant database.TenantID) (*sealedLog, error) {
	verifier, err := note.NewVerifier(f.Signer.VerifierKey(tenant))
	if err != nil {
		return nil, fmt.Errorf("console: verifier key: %w", err)
	}
	c, _, err := f.Anchor.Newest(tenant, verifier)
	if err != nil {
		return nil, err
	}
	return &sealedLog{Events: c.Size, Origin: f.Signer.Origin(tenant)}, nil
}
