package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/plugins/contract"
)

// A stream of statements (contract.Stream.Statements) needs no mapping: its records are statements of another store, kept as they are, by the rules of
// Import. There is no source record of them: a statement's id says whether it is there already, and nothing takes one back but a voiding statement.

// maxAhead is how far another store's clock may be ahead: until then a page waits, beyond that the statement is refused.
const maxAhead = 5 * time.Minute

// take reads the statements of the records.
func (d *drafts) take() error {
	d.each(func(_ int, f *draft) { d.takeOne(f) })
	var wait time.Duration
	for _, f := range d.list {
		if f.verdict != dead {
			wait = max(wait, f.statements[0].Statement.Stored.Sub(d.road.now()))
		}
	}
	if wait > 0 {
		return &contract.Error{Class: contract.ClassTransient, RetryAfter: wait + time.Second,
			Message: "the source says that it stored a statement at a time that is still to come: its clock is ahead of the hub's"}
	}
	return nil
}

func (d *drafts) takeOne(f *draft) {
	var rec contract.StatementRecord
	if f.record.Deleted || json.Unmarshal(f.record.JSON, &rec) != nil {
		d.fail(f, "invalid_statement", "the record is not one of a statement")
		return
	}
	version, err := xapi.V1, error(nil)
	if rec.Version != "" {
		version, err = xapi.ParseVersion(rec.Version)
	}
	if err != nil {
		d.fail(f, "invalid_statement", "the source speaks a version of xAPI that is not 1.0 or 2.0")
		return
	}
	st, err := xapi.Parse(rec.Statement, version)
	var invalid *xapi.Error
	switch {
	case errors.As(err, &invalid):
		d.fail(f, "invalid_statement", fmt.Sprintf("the source's statement is invalid at %s: %s", invalid.Path, invalid.Reason))
	case err != nil:
		d.fail(f, "invalid_statement", "the source's statement cannot be read")
	case !st.HasID:
		d.fail(f, "invalid_statement", "the source's statement has no id")
	case !st.StoredSpan.IsZero() && !st.Stored.After(time.Time{}):
		d.fail(f, "invalid_statement", ErrStored.Error())
	case st.Stored.After(d.road.now().Add(maxAhead)):
		d.fail(f, "invalid_statement", ErrFuture.Error())
	default:
		f.statements, f.verdict = []Incoming{{ID: st.ID, Statement: st}}, changed
		d.unpack(f, st, rec.Attachments)
	}
}

// unpack takes the contents of a statement's attachments. A source that was not asked for them gives none, and the statement is kept without.
func (d *drafts) unpack(f *draft, st *xapi.Statement, attachments []contract.Attachment) {
	if len(st.Attachments) == 0 {
		return
	}
	delivery, err := d.road.Delivery(d.run.Tenant, []*xapi.Statement{st})
	for _, a := range attachments {
		if err == nil {
			err = delivery.Add(Part{SHA2: a.SHA2, ContentType: a.ContentType, Length: int64(len(a.Data))}, bytes.NewReader(a.Data))
		}
	}
	if err == nil && attachments != nil {
		err = delivery.complete()
	}
	var refused *AttachmentError
	switch {
	case errors.As(err, &refused):
		d.fail(f, "invalid_attachment", "of a statement's attachments: "+refused.Reason)
	case err != nil:
		d.fail(f, "invalid_attachment", "a statement's attachments could not be stored")
	}
	f.delivery = delivery
}

// contents gives what came of the page's attachments.
func (d *drafts) contents() map[string]*content {
	all := map[string]*content{}
	for _, f := range d.list {
		if f.delivery == nil || f.verdict == dead {
			continue
		}
		for sha2, c := range f.delivery.contents {
			if known := all[sha2]; known == nil || !known.arrived {
				all[sha2] = c
			}
		}
	}
	return all
}

// release removes what was put aside for attachments in vain. Whether a commit that failed was one is not known, so then the sweep does that.
func (d *drafts) release(stored map[uuid.UUID]bool, err error) {
	for _, f := range d.list {
		if f.delivery == nil {
			continue
		}
		if f.delivery.unsure = err != nil; err == nil && f.verdict != dead {
			f.delivery.settle([]uuid.UUID{f.statements[0].ID}, stored)
		}
		f.delivery.Close()
	}
}

// settleCounts counts as unchanged what was there already.
func (d *drafts) settleCounts(c *Counts, stored map[uuid.UUID]bool) {
	repeats := c.Statements - int64(len(stored))
	c.Changed, c.Statements, c.Unchanged = c.Changed-repeats, c.Statements-repeats, c.Unchanged+repeats
}

// apart stores a page of statements one of which has the id of another statement: by halves, until the one is found, which becomes a dead letter.
// The cursor moves with the last of them.
func (r *Road) apart(ctx context.Context, run Run, page contract.Page, d *drafts) (Counts, error) {
	var live []*draft
	for _, f := range d.list {
		if f.verdict != dead {
			live = append(live, f)
		}
	}
	if len(live) == 1 {
		d.fail(live[0], "conflict", "a statement with this id and other content is stored already, perhaps for another purpose; the stored one is kept")
		return r.commit(ctx, run, page, d)
	}
	first, rest := *d, *d
	half := len(d.list) / 2
	first.list, rest.list = d.list[:half], d.list[half:]
	first.bad, first.same = nil, 0
	part := run
	if run.push != nil {
		part.push = &pushing{}
	}
	first.run = part
	sum, err := r.commit(ctx, part, contract.Page{Records: page.Records[:min(half, len(page.Records))]}, &first)
	if err != nil {
		return Counts{}, err
	}
	page.Records = page.Records[min(half, len(page.Records)):]
	counts, err := r.commit(ctx, run, page, &rest)
	sum.add(counts)
	return sum, err
}
