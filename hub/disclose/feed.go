package disclose

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
)

// Feed asks for every statement in the order in which they came to this hub, voided and voiding ones too: the reader applies the voidings. Zero values ask for all
// from the first.
type Feed struct {
	Verb     string    // IRI
	Activity string    // IRI of the object
	Since    time.Time // came after; zero: from the first
	Now      bool      // what comes from now on, instead
	After    string    // a cursor that this reader was given: goes on behind it, with the filters that it holds; those above are not looked at
	Follow   bool      // does not end: waits for what comes
}

// FeedReader takes what a feed gives. An error of it ends the feed.
type FeedReader interface {
	// Statement takes the next statement, as JSON. The cursor goes on behind it.
	Statement(cursor string, text []byte) error
	// Reached tells that all that came up to a time was given: at the end, or where the feed follows, whenever it has caught up and every 15 seconds.
	Reached(cursor string, through time.Time) error
}

// Times of a feed that follows.
const (
	feedPoll   = 500 * time.Millisecond // between looks for something new
	feedCheck  = 2 * time.Second        // between authorisations where nothing is new
	feedBeat   = 15 * time.Second       // between calls of Reached where nothing is new
	feedBatch  = 500                    // statements at a time
	feedCursor = "feed"
)

// Feed gives a reader the feed until it ends, or ctx does. Whoever is reading is asked for, and authorised, before each batch, and every 2 seconds. Audit events tell of it as
// of an export. Errors: those of again, access.ErrDenied, ErrRefused, ErrMore (a cursor that is not this reader's, or is of another form than it may now see).
func (r *Road) Feed(ctx context.Context, again func(context.Context) (access.Caller, error), q Feed, out FeedReader) (err error) {
	f := &feed{road: r, again: again, out: out}
	if err := f.authorise(ctx); err != nil {
		return err
	}
	if err := f.begin(ctx, q); err != nil {
		return f.session.refuse(ctx, err)
	}
	export := uuid.New()
	err = f.session.record(ctx, audit.Event{Kind: audit.StatementExport, Fields: map[string]any{
		"export": export, "form": string(f.form), "grants": f.session.decision.Grants, "policy": f.session.decision.Revision,
	}})
	if err != nil {
		return err
	}
	defer func() { // told even when the reader is gone
		ended := f.session.record(context.WithoutCancel(ctx), audit.Event{Kind: audit.StatementExported, Fields: map[string]any{
			"export": export, "statements": f.count, "complete": err == nil,
		}})
		err = errors.Join(err, ended)
	}()
	for {
		more, err := f.batch(ctx)
		if err != nil {
			return err
		}
		if !more {
			if !q.Follow {
				return f.reached()
			}
			if err := f.wait(ctx); err != nil {
				return err
			}
		}
		if err := f.authorise(ctx); err != nil {
			return err
		}
	}
}

// feed is a feed that is being read.
type feed struct {
	road    *Road
	again   func(context.Context) (access.Caller, error)
	out     FeedReader
	session *session
	form    access.Form // of the first session
	at      place
	through time.Time // as of the last batch
	told    place     // where the last call of Reached was
	beat    time.Time // and when
	count   int64
}

// place is what a cursor holds. It names nobody, and grants nothing.
type place struct {
	Verb     string    `json:"verb,omitempty"`
	Activity uuid.UUID `json:"activity,omitzero"`
	After    int64     `json:"after"`
}

// authorise asks anew who is reading, and the gate.
func (f *feed) authorise(ctx context.Context) error {
	caller, err := f.again(ctx)
	if err != nil {
		return err
	}
	s, err := f.road.open(ctx, caller, access.Export)
	if err != nil {
		return err
	}
	if f.form == "" {
		f.form = s.decision.Form
	}
	f.session = s
	if s.decision.Form != f.form {
		return s.refuse(ctx, ErrMore)
	}
	if err := f.allowed(); err != nil {
		return s.refuse(ctx, err)
	}
	return nil
}

// allowed holds the filters against what the decision shows.
func (f *feed) allowed() error {
	columns := f.session.decision.Columns
	if f.form == access.Pseudonymised && (f.at.Verb != "" && !columns["verb"] || f.at.Activity != uuid.Nil && !columns["object"]) {
		return ErrRefused
	}
	return nil
}

// begin finds out where the feed begins.
func (f *feed) begin(ctx context.Context, q Feed) error {
	s := f.session
	if q.After != "" {
		if err := s.unseal(feedCursor, q.After, &f.at); err != nil {
			return err
		}
		return f.allowed()
	}
	r, err := s.resolve(ctx, Query{Verb: q.Verb, Activity: q.Activity, Since: q.Since})
	if err != nil {
		return err
	}
	f.at = place{Verb: r.Verb, Activity: r.Activity}
	if !r.Since.IsZero() {
		f.at.After = r.Since.UnixMicro()
	}
	if q.Now {
		err = f.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) (err error) {
			f.at.After, err = records.Newest(ctx, tx, f.road.now())
			return err
		})
	}
	return err
}

// batch gives the next statements, and says whether there are more at once.
func (f *feed) batch(ctx context.Context) (more bool, err error) {
	s := f.session
	var out shown
	var through int64
	err = f.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		out = shown{}
		var err error
		if out.through, err = records.ConsistentThrough(ctx, tx); err != nil {
			return err
		}
		var rows []records.Row
		rows, through, more, err = records.Feed{
			Policy: s.decision.Filter, Filter: query.True{}, Verb: f.at.Verb, Activity: f.at.Activity, After: f.at.After, Limit: feedBatch, Bytes: pageBytes,
		}.Next(ctx, tx)
		if err != nil || len(rows) == 0 {
			return err
		}
		return s.form(ctx, tx, rows, &out)
	})
	if err != nil {
		return false, err
	}
	if len(out.statements) > 0 {
		if err := s.told(ctx, audit.StatementRead, out); err != nil {
			return false, err
		}
	}
	for i, text := range out.statements {
		f.at.After = out.positions[i]
		cursor, err := s.seal(feedCursor, f.at)
		if err != nil {
			return false, err
		}
		if err := f.out.Statement(cursor, text); err != nil {
			return false, err
		}
		f.count++
	}
	f.at.After, f.through = through, out.through
	if at := records.StoredAt(through); at.After(f.through) { // an imported statement came later than its stored time says
		f.through = at
	}
	if s.decision.Form == access.Pseudonymised {
		f.through = truncate(f.through)
	}
	return more, nil
}

// wait waits until there is something new, or it is time to authorise again.
func (f *feed) wait(ctx context.Context) error {
	if f.at != f.told || time.Since(f.beat) >= feedBeat {
		if err := f.reached(); err != nil {
			return err
		}
	}
	for begun := time.Now(); time.Since(begun) < feedCheck; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(feedPoll):
		}
		var newer bool
		err := f.road.db.ReadTenant(ctx, f.session.caller.Tenant, func(ctx context.Context, tx *database.Tx) (err error) {
			newer, err = records.Newer(ctx, tx, f.at.After)
			return err
		})
		if err != nil || newer {
			return err
		}
	}
	return nil
}

func (f *feed) reached() error {
	f.told, f.beat = f.at, time.Now()
	cursor, err := f.session.seal(feedCursor, f.at)
	if err != nil {
		return err
	}
	return f.out.Reached(cursor, f.through)
}
