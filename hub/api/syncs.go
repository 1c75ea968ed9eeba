package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/workflows/sync"
)

var (
	readSyncs   = need{access.Read, access.Syncs}
	writeSyncs  = need{access.Write, access.Syncs}
	readLetters = need{access.Read, access.DeadLetters}
)

type newRun struct {
	ConnectionName
	Body struct {
		Full  bool      `json:"full,omitempty" doc:"read everything again"`
		Since time.Time `json:"since,omitempty" doc:"read only what was updated from then on, of the streams that can; with until"`
		Until time.Time `json:"until,omitempty" doc:"and before then"`
	} `required:"false"`
}

type runID struct {
	ID uuid.UUID `path:"id"`
}

type startedRun struct {
	Run uuid.UUID `json:"run"`
}

type historyQuery struct {
	ConnectionName
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"20"`
}

// letter is a dead letter as a list shows it, without what it holds.
type letter struct {
	ID       uuid.UUID `json:"id"`
	Stream   string    `json:"stream"`
	Position string    `json:"position"`
	Code     string    `json:"code"`
	Reason   string    `json:"reason"`
	Mapping  int       `json:"mapping"`
	Run      uuid.UUID `json:"run"`
	At       time.Time `json:"at"`
}

type letterQuery struct {
	ConnectionName
	After uuid.UUID `query:"after" doc:"letters after this one"`
	Limit int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (f *face) syncs() {
	register(f, operation{http.MethodPost, "/connections/{name}/syncs", "Start a sync", writeSyncs, "syncs", 202},
		func(ctx context.Context, caller access.Caller, in *newRun) (*body[startedRun], error) {
			c, err := f.connection(ctx, caller, in.Name)
			if err != nil {
				return nil, err
			}
			target := sync.Target{Tenant: caller.Tenant, Connection: c.ID}
			if since, until := in.Body.Since, in.Body.Until; !since.IsZero() || !until.IsZero() {
				if in.Body.Full || since.IsZero() || !since.Before(until) || until.After(f.Now()) {
					return nil, fmt.Errorf("%w: a range has since and until, since before until and until not in the future, and is not full", errInvalid)
				}
				run, err := sync.Backfill(ctx, f.Temporal, f.DB, target, since, until, caller.Client.String())
				return &body[startedRun]{startedRun{run}}, err
			}
			run, err := sync.Start(ctx, f.Temporal, f.DB, target, in.Body.Full, caller.Client.String())
			return &body[startedRun]{startedRun{run}}, err
		})
	register(f, operation{http.MethodGet, "/connections/{name}/syncs", "List a connection's runs, newest first", readSyncs, "syncs", 0},
		func(ctx context.Context, caller access.Caller, in *historyQuery) (*body[listOf[connection.Run]], error) {
			var list []connection.Run
			err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
				c, err := connection.Get(ctx, tx, in.Name)
				if err != nil {
					return err
				}
				list, err = connection.History(ctx, tx, c.ID, time.Time{}, in.Limit)
				return err
			})
			return items(list), err
		})
	register(f, operation{http.MethodGet, "/syncs/{id}", "Show a run and its progress", readSyncs, "syncs", 0},
		func(ctx context.Context, caller access.Caller, in *runID) (*body[connection.Run], error) {
			var run connection.Run
			err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) (err error) {
				run, err = connection.GetRun(ctx, tx, in.ID)
				return err
			})
			return &body[connection.Run]{run}, err
		})
	register(f, operation{http.MethodGet, "/connections/{name}/dead-letters", "List open dead letters, without what they hold", readLetters, "dead-letters", 0}, f.listLetters)
	register(f, operation{http.MethodPost, "/connections/{name}/dead-letters/replay", "Map the open dead letters anew", need{access.Write, access.DeadLetters}, "dead-letters", 202},
		func(ctx context.Context, caller access.Caller, in *ConnectionName) (*body[startedRun], error) {
			c, err := f.connection(ctx, caller, in.Name)
			if err != nil {
				return nil, err
			}
			run, err := sync.StartReplay(ctx, f.Temporal, f.DB, sync.Target{Tenant: caller.Tenant, Connection: c.ID}, caller.Client.String())
			return &body[startedRun]{startedRun{run}}, err
		})
	register(f, operation{http.MethodPost, "/connections/{name}/cancel", "End the run that is under way; what it stored stays", writeSyncs, "syncs", 0},
		func(ctx context.Context, caller access.Caller, in *ConnectionName) (*none, error) {
			c, err := f.connection(ctx, caller, in.Name)
			if err != nil {
				return nil, err
			}
			return nil, sync.Cancel(ctx, f.Temporal, sync.Target{Tenant: caller.Tenant, Connection: c.ID})
		})
}

func (f *face) listLetters(ctx context.Context, caller access.Caller, in *letterQuery) (*body[listOf[letter]], error) {
	var list []letter
	err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		c, err := connection.Get(ctx, tx, in.Name)
		if err != nil {
			return err
		}
		all, err := connection.ListDeadLetters(ctx, tx, c.ID, in.After, in.Limit)
		for _, l := range all {
			list = append(list, letter{ID: l.ID, Stream: l.Stream, Position: l.Position, Code: l.Code, Reason: l.Reason, Mapping: l.Mapping, Run: l.Run, At: l.At})
		}
		return err
	})
	return items(list), err
}
