package ingest

import (
	"context"
	"fmt"
	"slices"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/plugins/contract"
)

// Comparison says what a mapping would change on the stored records of one stream, in numbers; it shows no value of a record.
type Comparison struct {
	Stream    string    `json:"stream"`
	Records   int64     `json:"records"`   // stored
	Unchanged int64     `json:"unchanged"` // would give what they gave
	Changed   int64     `json:"changed"`   // would give other statements
	New       int64     `json:"new"`       // statements that would be stored
	Voided    int64     `json:"voided"`    // statements that would be voided
	Failed    int64     `json:"failed"`    // records that would become dead letters
	Failures  []Failure `json:"failures,omitempty"`
}

// Failure is one reason why records would become dead letters. Only the first ones are listed.
type Failure struct {
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

const (
	compareBatch = 500
	maxFailures  = 20
)

// Compare maps the stored records of the run's stream with the run's mapping and tells what would change. It stores nothing.
func (r *Road) Compare(ctx context.Context, run Run) (Comparison, error) {
	c := Comparison{Stream: run.Stream.Name}
	var after []byte
	for {
		d, err := r.empty(ctx, run)
		if err != nil {
			return c, err
		}
		d.replayed = true // stored records are no second reading of the source
		var list []connection.StoredRecord
		from := after
		err = r.db.ReadTenant(ctx, run.Tenant, func(ctx context.Context, tx *database.Tx) error {
			list, after, err = connection.StoredRecords(ctx, tx, r.vault, run.Connection, d.stream, from, compareBatch)
			return err
		})
		if err != nil {
			return c, fmt.Errorf("read stored records: %w", err)
		}
		for _, rec := range list {
			d.list = append(d.list, &draft{record: contract.Record{JSON: rec.JSON}, key: rec.Key, digest: d.tenant.Digest("record", rec.JSON)})
		}
		if err := r.fill(ctx, d); err != nil {
			return c, err
		}
		c.count(d)
		if after == nil {
			return c, nil
		}
	}
}

func (c *Comparison) count(d *drafts) {
	for _, f := range d.list {
		c.Records++
		switch {
		case f.verdict == dead:
			c.fail(f)
		case len(f.statements) == 0:
			c.Unchanged++
		default:
			c.Changed++
			c.Voided += int64(f.voided)
			c.New += int64(len(f.statements) - f.voided)
		}
	}
}

func (c *Comparison) fail(f *draft) {
	c.Failed++
	i := slices.IndexFunc(c.Failures, func(o Failure) bool { return o.Code == f.code && o.Reason == f.reason })
	switch {
	case i >= 0:
		c.Failures[i].Count++
	case len(c.Failures) < maxFailures:
		c.Failures = append(c.Failures, Failure{f.code, f.reason, 1})
	}
}
