package ingest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/xapi"
)

// evaluate maps the records. Lookups go level by level: all that the page needs at a level is read at once.
func (d *drafts) evaluate(ctx context.Context, tx *database.Tx) error {
	evaluations := make([]evaluation, len(d.list))
	d.each(func(i int, f *draft) {
		var err error
		if f.record.Deleted {
			return
		}
		if evaluations[i].Evaluation, err = d.run.Mapping.Begin(d.run.Stream.Name, f.record.JSON); err != nil {
			d.failMapping(f, err)
		}
	})
	for {
		if more, err := d.lookUp(ctx, tx, evaluations); err != nil {
			return err
		} else if !more {
			break
		}
	}
	d.each(func(i int, f *draft) {
		if evaluations[i].Evaluation != nil && f.verdict != dead {
			d.finish(f, evaluations[i].Evaluation)
		}
	})
	return nil
}

// each does something for every draft, on all processors.
func (d *drafts) each(do func(i int, f *draft)) {
	_ = each(len(d.list), func(i int) error {
		do(i, d.list[i])
		return nil
	})
}

// evaluation is a record being mapped, and the lookups that it waits for.
type evaluation struct {
	*mapping.Evaluation // nil: there is nothing to map, or it failed
	needs               []mapping.LookupRequest
}

// lookUp supplies one level of lookups and tells whether there may be another.
func (d *drafts) lookUp(ctx context.Context, tx *database.Tx, evaluations []evaluation) (more bool, err error) {
	d.each(func(i int, f *draft) { d.ask(f, &evaluations[i]) })
	wanted := map[string]map[string][]byte{} // stream, key: the blind key; many records look up the same
	for i := range evaluations {
		for _, q := range evaluations[i].needs {
			of := wanted[q.Stream]
			if of == nil {
				of = map[string][]byte{}
				wanted[q.Stream] = of
			}
			if of[string(q.Key)] == nil {
				of[string(q.Key)] = d.tenant.RecordKey(d.run.Connection, q.Stream, q.Key)
			}
		}
	}
	found := map[string]map[string][]byte{} // stream, blind key
	for stream, keys := range wanted {
		blind := slices.Collect(maps.Values(keys))
		if found[stream], err = connection.Lookup(ctx, tx, d.road.vault, d.run.Connection, d.number[stream], blind); err != nil {
			return false, err
		}
	}
	d.each(func(i int, f *draft) {
		for _, q := range evaluations[i].needs {
			var records [][]byte
			if rec, ok := found[q.Stream][string(wanted[q.Stream][string(q.Key)])]; ok {
				records = append(records, rec)
			}
			if err := evaluations[i].Supply(q.Name, records...); err != nil {
				d.failMapping(f, err)
			}
		}
	})
	return len(wanted) > 0, nil
}

// ask fills in what a record can look up now.
func (d *drafts) ask(f *draft, e *evaluation) {
	e.needs = nil
	if e.Evaluation == nil || f.verdict == dead {
		return
	}
	var err error
	if e.needs, err = e.Needs(); err != nil {
		d.failMapping(f, err)
	}
}

// finish takes the statements and the subject of an evaluated record. One that gives no statement need not have a subject that can be told.
func (d *drafts) finish(f *draft, e *mapping.Evaluation) {
	outputs, err := e.Statements()
	if err != nil {
		d.failMapping(f, err)
		return
	}
	agent, err := e.Subject() // that it cannot be told is an error of Statements, where there is one
	if err == nil && agent != nil {
		a, err := xapi.ParseAgent(agent, xapi.V1)
		if err != nil {
			d.fail(f, "mapping", fmt.Sprintf("the subject that the mapping gives for stream %s is not an agent with an identifier", d.run.Stream.Name))
			return
		}
		f.subject = a.Identifier
	} else if f.record.Subject != "" {
		f.subject = d.ownAccount(f.record.Subject)
	}
	if err := d.told(f, e); err != nil {
		d.failMapping(f, err)
		return
	}
	for _, o := range outputs {
		f.mapped = append(f.mapped, mapped{output: o, digest: [16]byte(d.tenant.Digest("output", o.JSON))})
	}
}

// ownAccount is the identifier of somebody that a mapping gives no agent for: an account of the connection.
func (d *drafts) ownAccount(name string) xapi.Identifier {
	return xapi.Identifier{Kind: xapi.Account, HomePage: d.road.homePage + "/connections/" + d.run.Connection.String(), Name: name}
}
