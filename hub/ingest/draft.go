package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/plugins/contract"
)

// verdict is what is to be done about a record.
type verdict uint8

const (
	unchanged verdict = iota
	changed
	skipped // new or changed, and the mapping makes nothing of it
	dead
)

// draft is a record on its way through a page.
type draft struct {
	record  contract.Record
	key     []byte // blind
	digest  []byte // keyed, of the pruned record
	known   connection.SourceRecord
	mapped  []mapped
	subject xapi.Identifier // whose record it is; zero: nobody's
	person  told            // what it says of its subject

	verdict      verdict
	code, reason string // of a dead letter
	outputs      []connection.Output
	delivery     *Delivery  // of a stream of statements: what came with the statement's attachments
	statements   []Incoming // new ones, voidings included
	voided       int
	revision     int
	source       connection.SourceRecord // as it is stored; set by seal
}

// mapped is one statement that the mapping gives.
type mapped struct {
	output mapping.Output
	digest [16]byte
}

// drafts is a page being drafted.
type drafts struct {
	road   *Road
	run    Run
	tenant *vault.Tenant
	stream int16            // number of the run's stream
	number map[string]int16 // of the streams that it may look up in
	list   []*draft
	byKey  map[string]*draft
	bad    []connection.DeadLetter
	unfit  [][]byte // keys of records that could not be read but are there
	same   int64    // records given twice in the page
	linkOn []string // kinds of claim on which the connection may link

	replayed bool // the records are dead letters'
}

func (d *drafts) fail(f *draft, code, reason string) {
	f.verdict, f.code, f.reason = dead, code, reason
}

// failMapping words an error of the mapping; it names places in the mapping and holds no value.
func (d *drafts) failMapping(f *draft, err error) {
	code := "mapping"
	var e *mapping.EvalError
	if errors.As(err, &e) {
		code = e.Code()
	}
	d.fail(f, code, err.Error())
}

// collect takes the page's records, one for each key.
func (d *drafts) collect(page contract.Page) {
	list := make([]draft, len(page.Records))
	_ = each(len(list), func(i int) error {
		rec := page.Records[i]
		list[i] = draft{record: rec, key: d.tenant.RecordKey(d.run.Connection, d.run.Stream.Name, rec.Key), digest: d.tenant.Digest("record", rec.JSON)}
		return nil
	})
	for i := range list {
		f := &list[i]
		first, twice := d.byKey[string(f.key)]
		switch {
		case !twice:
			d.byKey[string(f.key)] = f
			d.list = append(d.list, f)
		case bytes.Equal(first.digest, f.digest):
			d.same++
		case d.run.Generation > 0 && d.run.push == nil:
			d.duplicate(f)
		default: // a stream of changes, or a push: the later one holds
			*first = *f
			d.same++
		}
	}
	for _, b := range page.Bad {
		letter := d.badLetter(b)
		if d.bad = append(d.bad, letter); b.Key != nil {
			d.unfit = append(d.unfit, letter.Key)
		}
	}
}

// duplicate: a snapshot has one record a key. The first one holds, so that the same file always gives the same statements.
func (d *drafts) duplicate(f *draft) {
	letter := d.letter(f)
	letter.Code = "duplicate_key"
	letter.Reason = "another record of this snapshot has the same key and other content; the first one is kept. Declare more key fields, or mend the source"
	letter.Key = d.tenant.RecordKey(d.run.Connection, d.run.Stream.Name, []byte("duplicate|"+f.record.Position))
	d.bad = append(d.bad, letter)
}

// recall reads what is known of the page's records.
func (d *drafts) recall(ctx context.Context, tx *database.Tx) error {
	keys := make([][]byte, len(d.list))
	for i, f := range d.list {
		keys[i] = f.key
	}
	known, err := connection.SourceRecords(ctx, tx, d.run.Connection, d.stream, keys)
	if err != nil {
		return err
	}
	for _, f := range d.list {
		f.known = known[string(f.key)]
	}
	if d.run.Generation > 0 && !d.replayed && d.run.push == nil {
		return d.twice(ctx, tx)
	}
	return nil
}

// twice takes out the records whose key an earlier page of this snapshot had with other content. One that became a dead letter then is no such: it is
// the same record, in a page that is given again. One that was pushed meanwhile stands as it was pushed.
func (d *drafts) twice(ctx context.Context, tx *database.Tx) error {
	again := func(f *draft) bool {
		return f.known.Stored && !f.known.Gone() && f.known.Generation == d.run.Generation && !bytes.Equal(f.known.Digest, f.digest)
	}
	var keys [][]byte
	for _, f := range d.list {
		if again(f) {
			keys = append(keys, f.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	letters, err := connection.HasDeadLetter(ctx, tx, d.run.Connection, d.run.Stream.Name, d.run.Generation, keys)
	if err != nil {
		return err
	}
	d.list = slices.DeleteFunc(d.list, func(f *draft) bool {
		duplicate := again(f) && !letters[string(f.key)]
		switch {
		case duplicate && f.known.Pushed:
			d.same++
		case duplicate:
			d.duplicate(f)
		}
		return duplicate
	})
	return nil
}

// gone drafts the records that the snapshot did not have.
func (d *drafts) gone(ctx context.Context, tx *database.Tx, limit int) error {
	list, err := connection.Absent(ctx, tx, d.run.Connection, d.stream, d.run.Generation, limit)
	if err != nil {
		return err
	}
	for _, known := range list {
		d.list = append(d.list, &draft{record: contract.Record{Deleted: true}, key: known.Key, known: known})
	}
	return nil
}

// decide compares what the record gives with what is live of it: equal statements stay, the others are voided, new ones are stored.
func (d *drafts) decide(f *draft) {
	if f.verdict == dead {
		return
	}
	kept, live := f.keep()
	ids := make([]uuid.UUID, len(f.mapped))
	for position := range f.mapped {
		if ids[position] = kept[position]; ids[position] == uuid.Nil {
			ids[position] = d.tenant.StatementID(d.run.Connection, d.run.Stream.Name, f.key, f.known.Revision+1, position)
		}
	}
	for position, m := range f.mapped {
		f.outputs = append(f.outputs, connection.Output{Statement: ids[position], Digest: m.digest})
		if kept[position] != uuid.Nil {
			continue
		}
		json := m.output.JSON
		if len(m.output.References()) > 0 {
			json = m.output.WithIDs(func(p int) string { return ids[p].String() })
		}
		st, err := parse(json)
		if err != nil {
			d.fail(f, "invalid_statement", err.Error())
			return
		}
		f.statements = append(f.statements, Incoming{ID: ids[position], Statement: st})
		if f.subject.IsZero() {
			f.subject = actor(st).Agent.Identifier
		}
	}
	for i, o := range live {
		id := d.tenant.StatementID(d.run.Connection, d.run.Stream.Name, f.key, f.known.Revision+1, -1-i)
		f.statements = append(f.statements, Incoming{ID: id, Statement: d.road.voiding(d.run.Connection, o.Statement)})
		f.voided++
	}
	f.revision = f.known.Revision
	if len(f.statements) > 0 {
		f.revision++
	}
	f.verdict = d.judge(f)
}

// keep finds, for each statement that the record gives, the live one that is equal (Nil: none), and the live ones that are left over. Statements that
// refer to each other stay or go together, since a new one has a new id.
func (f *draft) keep() (kept []uuid.UUID, left []connection.Output) {
	kept, left = make([]uuid.UUID, len(f.mapped)), slices.Clone(f.known.Outputs)
	together, all := false, true
	for position, m := range f.mapped {
		together = together || len(m.output.References()) > 0
		i := slices.IndexFunc(left, func(o connection.Output) bool { return o.Digest == m.digest })
		if i < 0 {
			all = false
			continue
		}
		kept[position] = left[i].Statement
		left = slices.Delete(left, i, i+1)
	}
	if together && !(all && len(left) == 0) {
		return make([]uuid.UUID, len(f.mapped)), f.known.Outputs
	}
	return kept, left
}

func (d *drafts) judge(f *draft) verdict {
	same := len(f.statements) == 0 && f.known.Stored && bytes.Equal(f.known.Digest, f.digest) && !f.known.Gone() && !f.saysAnew()
	switch {
	case same, f.record.Deleted && (!f.known.Stored || f.known.Gone()):
		return unchanged
	case len(f.mapped) == 0 && f.voided == 0 && !f.record.Deleted && len(f.person.digest) == 0 && !f.saysAnew() && d.run.Mapping.Converts(d.run.Stream.Name):
		return skipped
	}
	return changed
}

// voiding makes the statement by which the hub takes back one that a source no longer says.
func (r *Road) voiding(connectionID, target uuid.UUID) *xapi.Statement {
	st, err := parse(fmt.Appendf(nil, `{"actor":%s,"verb":{"id":%q,"display":{"en":"voided"}},"object":{"objectType":"StatementRef","id":%q}}`,
		r.Authority("connection", connectionID).JSON(), xapi.VerbVoided, target))
	if err != nil {
		panic("ingest: the voiding statement is invalid: " + err.Error()) // it is made of ids only
	}
	return st
}
