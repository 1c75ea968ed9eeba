package ingest

import (
	"context"
	"fmt"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/plugins/contract"
)

// statements lists what the page stores.
func (d *drafts) statements() []Incoming {
	var list []Incoming
	for _, f := range d.list {
		if f.verdict != dead {
			list = append(list, f.statements...)
		}
	}
	return list
}

// subjects lists whose records the page stores.
func (d *drafts) subjects() []xapi.Identifier {
	var list []xapi.Identifier
	for _, f := range d.list {
		if f.verdict != unchanged && !f.subject.IsZero() {
			list = append(list, f.subject)
		}
		if f.verdict != unchanged && f.verdict != dead && f.saysAnew() {
			list = append(list, f.person.others()...)
		}
	}
	return list
}

func (d *drafts) counts(page contract.Page) Counts {
	c := Counts{Records: int64(len(page.Records) + len(page.Bad)), Unchanged: d.same, Dead: int64(len(d.bad))}
	for _, f := range d.list {
		switch f.verdict {
		case unchanged:
			c.Unchanged++
		case changed:
			c.Changed++
		case skipped:
			c.Skipped++
		case dead:
			c.Dead++
		}
		if f.verdict != dead {
			c.Voided += int64(f.voided)
			c.Statements += int64(len(f.statements) - f.voided)
		}
	}
	return c
}

// seal seals what is now known of the page's records.
func (d *drafts) seal(subjects vault.Subjects) error {
	if d.run.Stream.Statements {
		return nil
	}
	return each(len(d.list), func(i int) (err error) {
		f := d.list[i]
		if f.verdict != unchanged && f.verdict != dead {
			f.source, err = d.sourceRecord(f, subjects)
		}
		return err
	})
}

// save writes what is now known of the page's records, and its dead letters. b was stored.
func (d *drafts) save(ctx context.Context, tx *database.Tx, b *batch) (err error) {
	var list []connection.SourceRecord
	seen, mended := d.unfit, [][]byte(nil) // what an unfit record gave before stands, too
	letters := d.bad
	for _, f := range d.list {
		switch f.verdict {
		case unchanged:
			seen = append(seen, f.key)
		case dead: // what the record gave before stands until it can be mapped again
			seen = append(seen, f.key)
			letter := d.letter(f)
			letter.Code, letter.Reason = f.code, f.reason
			letters = append(letters, letter)
			continue
		case changed, skipped:
			if d.run.Stream.Statements {
				break
			}
			if b.moved.Of(f.subject) != nil {
				if f.source, err = d.sourceRecord(f, b.subjects); err != nil {
					return err
				}
			}
			list = append(list, f.source)
		}
		mended = append(mended, f.key)
	}
	if err := connection.SaveSourceRecords(ctx, tx, d.run.Connection, d.stream, list); err != nil {
		return err
	}
	if err := d.tell(ctx, tx, b); err != nil {
		return err
	}
	if d.run.Generation > 0 {
		if err := connection.TouchSourceRecords(ctx, tx, d.run.Connection, d.stream, d.run.Generation, d.run.push != nil, seen); err != nil {
			return err
		}
	}
	if err := connection.CloseDeadLetters(ctx, tx, d.run.Connection, d.run.Stream.Name, mended, d.mended()); err != nil {
		return err
	}
	return connection.AddDeadLetters(ctx, tx, d.tenant, b.subjects, d.road.now(), letters)
}

// mended says what becomes of the open letters of records that were stored.
func (d *drafts) mended() connection.DeadState {
	if d.replayed {
		return connection.DeadReplayed
	}
	return connection.DeadSuperseded
}

func (d *drafts) sourceRecord(f *draft, subjects vault.Subjects) (connection.SourceRecord, error) {
	rec := connection.SourceRecord{Person: f.person.digest, Key: f.key, Revision: f.revision, Generation: d.run.Generation, Digest: f.digest, Outputs: f.outputs,
		Stored: f.known.Stored, Was: f.known.Version(), Pushed: d.run.push != nil}
	if f.record.Deleted {
		rec.Digest = []byte{}
		return rec, nil
	}
	place := connection.RecordContext(d.run.Connection, d.stream, f.key)
	var err error
	if f.subject.IsZero() {
		rec.Sealed, err = d.tenant.Seal(place, f.record.JSON)
		return rec, err
	}
	subject := subjects.Of(f.subject)
	if subject == nil {
		return rec, fmt.Errorf("no subject for a record of stream %s", d.run.Stream.Name)
	}
	rec.Subject = subject.ID
	rec.Sealed, err = subject.Seal(place, f.record.JSON)
	return rec, err
}

// letter makes the dead letter of a record that could be read.
func (d *drafts) letter(f *draft) connection.DeadLetter {
	return connection.DeadLetter{
		Connection: d.run.Connection, Run: d.run.ID, Stream: d.run.Stream.Name, Generation: d.run.Generation,
		Key: f.key, Position: f.record.Position, Mapping: d.run.MappingVersion, Subject: f.subject, Record: f.record.JSON,
	}
}

// badLetter makes the dead letter of something that could not be read as a record.
func (d *drafts) badLetter(b contract.Bad) connection.DeadLetter {
	key := b.Key
	if key == nil {
		key = []byte("position|" + b.Position)
	}
	return connection.DeadLetter{
		Connection: d.run.Connection, Run: d.run.ID, Stream: d.run.Stream.Name, Generation: d.run.Generation,
		Key: d.tenant.RecordKey(d.run.Connection, d.run.Stream.Name, key), Position: b.Position, Mapping: d.run.MappingVersion,
		Code: b.Code, Reason: b.Reason, Record: b.Raw,
	}
}

// progress moves the cursor and the run's counters on.
func (d *drafts) progress(ctx context.Context, tx *database.Tx, page contract.Page, c Counts) error {
	if d.run.push != nil {
		return d.notePush(ctx, tx, c)
	}
	if page.SnapshotComplete && d.run.Generation > 0 { // letters of what the source has no more, or has mended, go
		if err := connection.SupersedeDeadLetters(ctx, tx, d.run.Connection, d.run.Stream.Name, d.run.Generation); err != nil {
			return err
		}
	}
	if page.Cursor != nil {
		if err := connection.SaveCursor(ctx, tx, d.tenant, d.run.Connection, d.run.Stream.Name, page.Cursor, d.run.Generation); err != nil {
			return err
		}
	}
	err := connection.AddProgress(ctx, tx, d.run.ID, connection.Progress{
		Stream: d.run.Stream.Name, Done: page.Done, Total: page.Total, Records: c.Records, Unchanged: c.Unchanged, Changed: c.Changed,
		Statements: c.Statements + c.Voided, Voided: c.Voided, Skipped: c.Skipped, Dead: c.Dead,
	})
	if err != nil || !page.SnapshotComplete || d.run.Generation == 0 {
		return err
	}
	// In the same transaction as the cursor of its end: a run that took this snapshot for broken off would go on in its generation, and take what the
	// source changed since for duplicates.
	return connection.CompleteStream(ctx, tx, d.run.Connection, d.run.ID, d.run.Stream.Name, d.road.now())
}
