package ingest

import (
	"context"

	"github.com/lrshub/lrshub/plugins/contract"
)

// Pages stores the pages of one stream in their order, each as Page does. While one is being stored, the next is mapped.
type Pages struct {
	road   *Road
	run    Run
	store  func(contract.Page, *drafts) error // commits a page and tells whoever wants to know
	whole  func(contract.Page) error          // does all of a page, and tells
	flight *flight                            // nil: none is being stored
}

// flight is a page that is being stored.
type flight struct {
	keys     map[string]*draft
	done     chan struct{}
	err      error // once done is closed
	panicked any   // likewise
}

// Pages begins to store pages of a run's stream. stored is told of each page that is committed, in order, and ends it all with an error.
// ctx is that of the storing: it must outlive the last page. The caller must call Wait at the end, whatever happened.
func (r *Road) Pages(ctx context.Context, run Run, stored func(contract.Page, Counts) error) *Pages {
	tell := func(page contract.Page, c Counts, err error) error {
		if err == nil {
			err = stored(page, c)
		}
		return err
	}
	return &Pages{
		road: r, run: run,
		store: func(page contract.Page, d *drafts) error {
			c, err := r.commit(ctx, run, page, d)
			return tell(page, c, err)
		},
		whole: func(page contract.Page) error {
			c, err := r.Page(ctx, run, page)
			return tell(page, c, err)
		},
	}
}

// Add takes a page: it is mapped when Add comes back, and stored soon after. The error may be that of the page before.
func (p *Pages) Add(ctx context.Context, page contract.Page) error {
	if page.SnapshotComplete {
		if err := p.Wait(); err != nil {
			return err
		}
		return p.whole(page)
	}
	d, err := p.road.empty(ctx, p.run)
	if err != nil {
		return err
	}
	d.collect(page)
	if p.touches(d) {
		if err := p.Wait(); err != nil {
			return err
		}
	}
	if len(d.list) > 0 {
		if err := p.road.fill(ctx, d); err != nil {
			return err
		}
	}
	if err := p.Wait(); err != nil {
		return err
	}
	f := &flight{keys: d.byKey, done: make(chan struct{})}
	p.flight = f
	go func() {
		defer close(f.done)
		defer func() { f.panicked = recover() }() // the caller may know what to do about it
		f.err = p.store(page, d)
	}()
	return nil
}

// touches tells whether a page has a record that the page being stored has too: then what is known of it is about to change. What its records
// look up does not change meanwhile: that is of other streams (mapping.Load sees to it), and the run reads one at a time.
func (p *Pages) touches(d *drafts) bool {
	if p.flight == nil {
		return false
	}
	for key := range d.byKey {
		if p.flight.keys[key] != nil {
			return true
		}
	}
	return false
}

// Wait waits until all pages are stored, and gives the error of the last.
func (p *Pages) Wait() error {
	if p.flight == nil {
		return nil
	}
	<-p.flight.done
	if p.flight.panicked != nil {
		panic(p.flight.panicked)
	}
	if p.flight.err != nil {
		return p.flight.err // again and again: nothing may be stored after it
	}
	p.flight = nil
	return nil
}
