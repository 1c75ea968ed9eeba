package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

const (
	runsAPage  = 20
	maxLetters = 1000 // of which the reasons are shown
)

// detail is the page of one connection.
type detail struct {
	row
	Runs    []connection.Run
	Older   string // address of the runs before these; "": there are none
	Earlier bool   // these are not the newest
	Reasons []reason
	Listed  int64 // dead letters whose reasons are among Reasons
}

// Replayable says whether a replay may mend dead letters: those that a mapping made.
func (d detail) Replayable() bool { return slices.ContainsFunc(d.Letters, replayable) }

// Unreadable says whether there are dead letters that only another read of the source mends.
func (d detail) Unreadable() bool {
	return slices.ContainsFunc(d.Letters, func(c connection.DeadCount) bool { return !replayable(c) })
}

func replayable(c connection.DeadCount) bool {
	return c.Code == "mapping" || c.Code == "missing_lookup" || c.Code == "invalid_statement"
}

// reason is why records of a stream became dead letters, with how many of them.
type reason struct {
	Stream, Code, Text string
	Count              int64
	Position           string // of one of them
	Newest             time.Time
}

// connection shows one connection: its newest run stream by stream, its dead letters by reason, its recent runs.
func (f *face) connection(r *http.Request, caller access.Caller) (page, error) {
	if err := f.may(r, caller, access.Connections); err != nil {
		return page{}, err
	}
	seen, err := f.sees(r, caller)
	if err != nil {
		return page{}, err
	}
	before, err := time.Parse(time.RFC3339Nano, r.URL.Query().Get("before"))
	if err != nil {
		before = time.Time{} // the newest
	}
	var d detail
	err = f.DB.ReadTenant(r.Context(), caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		c, err := connection.Get(ctx, tx, r.PathValue("name"))
		if err != nil {
			return err
		}
		d = detail{Earlier: !before.IsZero()}
		if d.row, err = readRow(ctx, tx, c, seen); err != nil {
			return err
		}
		if seen.syncs {
			if d.Runs, err = connection.History(ctx, tx, c.ID, before, runsAPage+1); err != nil {
				return err
			}
		}
		if seen.letters && len(d.Letters) > 0 {
			letters, err := connection.ListDeadLetters(ctx, tx, c.ID, uuid.Nil, maxLetters)
			if err != nil {
				return err
			}
			d.Reasons, d.Listed = byReason(letters), int64(len(letters))
		}
		return nil
	})
	if err != nil {
		return page{}, err
	}
	if len(d.Runs) > runsAPage {
		d.Runs = d.Runs[:runsAPage]
		d.Older = "?before=" + url.QueryEscape(d.Runs[runsAPage-1].StartedAt.UTC().Format(time.RFC3339Nano))
	}
	live := d.Run != nil && d.Run.State == connection.Running
	return page{name: "connection", Title: d.Name, Live: live, Body: d}, nil
}

// byReason puts letters of one stream, code and reason together, in the order in which the reasons came.
func byReason(letters []connection.DeadLetter) []reason {
	var list []reason
	at := map[reason]int{}
	for _, l := range letters {
		key := reason{Stream: l.Stream, Code: l.Code, Text: l.Reason}
		i, known := at[key]
		if !known {
			i = len(list)
			at[key] = i
			key.Position = l.Position
			list = append(list, key)
		}
		list[i].Count++
		if l.At.After(list[i].Newest) {
			list[i].Newest = l.At
		}
	}
	return list
}
