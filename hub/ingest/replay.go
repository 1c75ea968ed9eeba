package ingest

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/plugins/contract"
)

// replayBatch bounds how many dead letters are mapped in one transaction.
const replayBatch = 500

// Replay maps the open dead letters of the run's stream anew, in batches, each as Page does with a page. What can be mapped now is stored and its letter closed;
// what cannot keeps its letter, with the new reason. Letters without content (too large, unreadable, of somebody who was
// erased) wait for the source to bring the record again. The run's Generation must be the one that the stream's source records have.
func (r *Road) Replay(ctx context.Context, run Run) (Counts, error) {
	var sum Counts
	after := uuid.Nil
	for {
		var letters []connection.DeadLetter
		err := r.db.ReadTenant(ctx, run.Tenant, func(ctx context.Context, tx *database.Tx) error {
			var err error
			letters, err = connection.OpenDeadLetters(ctx, tx, r.vault, run.Connection, after, replayBatch)
			return err
		})
		if err != nil {
			return sum, fmt.Errorf("read dead letters: %w", err)
		}
		if len(letters) == 0 {
			return sum, nil
		}
		after = letters[len(letters)-1].ID
		counts, err := r.replay(ctx, run, letters)
		sum.add(counts)
		if err != nil {
			return sum, err
		}
	}
}

func (r *Road) replay(ctx context.Context, run Run, letters []connection.DeadLetter) (Counts, error) {
	d, err := r.empty(ctx, run)
	if err != nil {
		return Counts{}, err
	}
	d.replayed = true
	for _, l := range letters {
		if l.Stream != run.Stream.Name || len(l.Record) == 0 || !readable(l.Code) {
			continue
		}
		d.list = append(d.list, &draft{record: contract.Record{JSON: l.Record, Position: l.Position}, key: l.Key, digest: d.tenant.Digest("record", l.Record)})
	}
	if len(d.list) == 0 {
		return Counts{}, nil
	}
	if err := r.fill(ctx, d); err != nil {
		return Counts{}, err
	}
	return r.commit(ctx, run, contract.Page{Records: make([]contract.Record, len(d.list))}, d)
}

// readable tells whether a letter's content is a record: one that failed in the hub, not on its way to it.
func readable(code string) bool {
	switch code {
	case "mapping", "missing_lookup", "invalid_statement", "invalid_attachment", "conflict":
		return true
	}
	return false
}

func (c *Counts) add(o Counts) {
	c.Records += o.Records
	c.Unchanged += o.Unchanged
	c.Changed += o.Changed
	c.Skipped += o.Skipped
	c.Dead += o.Dead
	c.Statements += o.Statements
	c.Voided += o.Voided
}
