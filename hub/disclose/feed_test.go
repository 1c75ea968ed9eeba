package disclose_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/xapi"
)

// follower is a reader of a feed that is cut after some statements, and keeps the last cursor.
type follower struct {
	texts  []string
	cursor string
	cut    int // after so many; 0: never
	caught chan<- string
}

var errCut = errors.New("cut")

func (f *follower) Statement(cursor string, text []byte) error {
	f.texts, f.cursor = append(f.texts, string(text)), cursor
	if f.cut--; f.cut == 0 {
		return errCut
	}
	return nil
}

func (f *follower) Reached(cursor string, _ time.Time) error {
	f.cursor = cursor
	if f.caught != nil {
		f.caught <- cursor
	}
	return nil
}

func as(c access.Caller) func(context.Context) (access.Caller, error) {
	return func(context.Context) (access.Caller, error) { return c, nil }
}

// feed reads what is there.
func (w *world) feed(c access.Caller, q disclose.Feed) *follower {
	w.Helper()
	f := &follower{}
	if err := w.out.Feed(w.Context(), as(c), q, f); err != nil {
		w.Fatal(err)
	}
	return f
}

func (w *world) idsOf(texts []string) (ids []uuid.UUID) {
	for _, text := range texts {
		ids = append(ids, w.read([]byte(text)).ID)
	}
	return ids
}

func TestFeedGivesAllThatCame(t *testing.T) {
	w := newWorld(t)
	ids := w.post(writer, said("ann", "tried", "a", ""), said("bob", "met", "a", ""), said("ann", "met", "b", ""))
	void := w.post(writer, `{"actor":`+mbox("bob")+`,"verb":{"id":"`+xapi.VerbVoided+`"},"object":{"objectType":"StatementRef","id":"`+ids[1].String()+`"}}`)[0]
	all := w.feed(reader, disclose.Feed{})
	if got := w.idsOf(all.texts); !slices.Equal(got, append(slices.Clone(ids), void)) {
		t.Errorf("voided and voiding statements, as they came: %v", got)
	}
	if again := w.feed(reader, disclose.Feed{After: all.cursor}); len(again.texts) > 0 {
		t.Errorf("twice: %v", again.texts)
	}
	met := w.feed(reader, disclose.Feed{Verb: "http://adlnet.gov/expapi/verbs/met"})
	if got := w.idsOf(met.texts); !slices.Equal(got, ids[1:3]) {
		t.Errorf("by verb: %v", got)
	}
	if got := w.idsOf(w.feed(reader, disclose.Feed{Activity: "https://school.example/b"}).texts); !slices.Equal(got, ids[2:3]) {
		t.Errorf("by activity: %v", got)
	}
	if n := len(w.feed(reader, disclose.Feed{Since: time.Now()}).texts) + len(w.feed(reader, disclose.Feed{Now: true}).texts); n > 0 {
		t.Errorf("%d of the future", n)
	}
	late := w.post(writer, said("eve", "met", "c", ""), said("eve", "tried", "c", ""))
	if got := w.idsOf(w.feed(reader, disclose.Feed{After: met.cursor, Verb: "http://adlnet.gov/expapi/verbs/tried"}).texts); !slices.Equal(got, late[:1]) {
		t.Errorf("a cursor has its filters: %v", got)
	}
	w.shred("ann")
	if got := w.idsOf(w.feed(reader, disclose.Feed{}).texts); !slices.Equal(got, []uuid.UUID{ids[1], void, late[0], late[1]}) {
		t.Errorf("without whose key was destroyed: %v", got)
	}
	events := w.events()
	last := events[len(events)-3:]
	if last[0].Kind != "statement.export" || last[1].Kind != "statement.read" || len(last[1].Subjects) < 2 || last[2].Kind != "statement.exported" ||
		last[2].Fields["statements"] != 4.0 || last[2].Fields["complete"] != true {
		t.Errorf("told: %+v", last)
	}
}

func TestFeedOfPseudonyms(t *testing.T) {
	w := newWorld(t)
	w.post(writer, telling, said("bob", "tried", "b", ""))
	w.postDefining(writer, true, said("bob", "met", "shown", ""))
	f := w.feed(analyst, disclose.Feed{})
	page := asStrings(w.page(analyst, disclose.Query{Ascending: true}).Statements)
	if !slices.Equal(f.texts, page) {
		t.Errorf("%v, want as a page has them: %v", f.texts, page)
	}
	if n := len(w.feed(analyst, disclose.Feed{Activity: "https://school.example/shown"}).texts); n != 1 {
		t.Errorf("%d by an activity of the catalogue", n)
	}
	if n := len(w.feed(analyst, disclose.Feed{Since: time.Now()}).texts); n != 3 {
		t.Errorf("%d since today's beginning", n)
	}
	err := w.out.Feed(t.Context(), as(analyst), disclose.Feed{Activity: "https://school.example/b"}, &follower{})
	if !errors.Is(err, disclose.ErrRefused) {
		t.Errorf("by an activity that is not shown: %v", err)
	}
	identified := analyst
	identified.Scopes = []string{"statements/read"}
	for name, c := range map[string]access.Caller{"another client": analyst2, "the client in another form": identified, "another tenant": stranger} {
		before := len(w.events())
		if err := w.out.Feed(t.Context(), as(c), disclose.Feed{After: f.cursor}, &follower{}); !errors.Is(err, disclose.ErrMore) {
			t.Errorf("a cursor of %s: %v", name, err)
		}
		if events := w.events()[before:]; len(events) != 1 || events[0].Kind != "statement.refused" || events[0].Fields["reason"] != "continuation" {
			t.Errorf("told: %+v", events)
		}
	}
	more := w.page(analyst, disclose.Query{Limit: 1}).More
	if err := w.out.Feed(t.Context(), as(analyst), disclose.Feed{After: more}, &follower{}); !errors.Is(err, disclose.ErrMore) {
		t.Errorf("a page's continuation: %v", err)
	}
	if _, err := w.out.More(t.Context(), analyst, f.cursor); !errors.Is(err, disclose.ErrMore) {
		t.Errorf("a page after a cursor: %v", err)
	}
	own := client(one, 9, "statements/read/mine")
	if err := w.out.Feed(t.Context(), as(own), disclose.Feed{}, &follower{}); !errors.Is(err, access.ErrDenied) {
		t.Errorf("own statements are not exported: %v", err)
	}
}

// Eight writers whose commits are late by chance; two followers that are cut and go on, one of them on another node: each sees each statement once, in one order.
func TestFollowersMissNothing(t *testing.T) {
	w := newWorld(t)
	if _, err := w.owner.Exec(`
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(random() * 0.05); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON statement DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()`); err != nil {
		t.Fatal(err)
	}
	var written atomic.Int64
	var writers, readers sync.WaitGroup
	var mu sync.Mutex
	ids := map[uuid.UUID]bool{}
	for n := range 8 {
		writers.Go(func() {
			for i := range 10 {
				texts := make([]string, 1+rand.IntN(3))
				for j := range texts {
					texts[j] = said(fmt.Sprintf("p%d", n), "tried", fmt.Sprintf("a%d-%d", i, j), "")
				}
				batch, err := xapi.ParseBatch([]byte("["+strings.Join(texts, ",")+"]"), xapi.V2, len(texts))
				if err != nil {
					t.Error(err)
					return
				}
				stored, err := w.in.Statements(t.Context(), writer, false, batch)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, id := range stored {
					ids[id] = true
				}
				mu.Unlock()
				written.Add(int64(len(stored)))
			}
		})
	}
	finished := make(chan struct{})
	followers, cuts := []*follower{{}, {}}, [2]int{}
	for i, f := range followers {
		road := w.out
		if i == 1 {
			road = w.road()
		}
		readers.Go(func() {
			for {
				ctx, cancel := context.WithCancel(t.Context())
				go func() { // its connection ends, now and then in the middle
					select {
					case <-time.After(time.Duration(100+rand.IntN(900)) * time.Millisecond):
					case <-ctx.Done():
					}
					cancel()
				}()
				f.cut = 1 + rand.IntN(40)
				err := road.Feed(ctx, as(reader), disclose.Feed{After: f.cursor, Follow: true}, f)
				cancel()
				if err == nil || errors.Is(err, access.ErrDenied) && !errors.Is(err, access.ErrUndecided) || errors.Is(err, disclose.ErrMore) {
					t.Errorf("the feed ended: %v", err)
					return
				}
				cuts[i]++
				select {
				case <-finished:
					if len(f.texts) >= int(written.Load()) {
						return
					}
				default:
				}
			}
		})
	}
	writers.Wait()
	databasetest.Settle(t, w.db)
	close(finished)
	readers.Wait()
	orders := [][]uuid.UUID{w.idsOf(followers[0].texts), w.idsOf(followers[1].texts)}
	if !slices.Equal(orders[0], orders[1]) {
		t.Errorf("two orders, of %d and %d statements", len(orders[0]), len(orders[1]))
	}
	for _, id := range orders[0] {
		if !ids[id] {
			t.Errorf("%s came twice, or was never written", id)
		}
		delete(ids, id)
	}
	if len(ids) > 0 || len(orders[0]) < 80 || cuts[0] < 2 || cuts[1] < 2 {
		t.Errorf("%d of %d did not come; %v cuts", len(ids), written.Load(), cuts)
	}
}

// A feed that waits ends when its reader's credential is no longer good, when the grant is withdrawn, and when the reader's form changes.
func TestFeedEndsWithTheRightToIt(t *testing.T) {
	w := newWorld(t)
	w.post(writer, said("ann", "tried", "a", ""))
	revoked := errors.New("revoked")
	weaker := reader
	weaker.Scopes = []string{"statements/read/pseudonymised"}
	for name, c := range map[string]struct {
		change func(caller *access.Caller) error
		want   error
	}{
		"revoked":   {func(*access.Caller) error { return revoked }, revoked},
		"withdrawn": {func(c *access.Caller) error { c.Scopes = []string{"statements/write"}; return nil }, access.ErrDenied},
		"form":      {func(c *access.Caller) error { *c = weaker; return nil }, disclose.ErrMore},
	} {
		var changed atomic.Bool
		who := func(context.Context) (caller access.Caller, err error) {
			caller = reader
			if changed.Load() {
				err = c.change(&caller)
			}
			return caller, err
		}
		caught := make(chan string, 9)
		f := &follower{caught: caught}
		ended := make(chan error, 1)
		go func() { ended <- w.out.Feed(t.Context(), who, disclose.Feed{Follow: true}, f) }()
		<-caught
		changed.Store(true)
		at := time.Now()
		select {
		case err := <-ended:
			if !errors.Is(err, c.want) || len(f.texts) != 1 {
				t.Errorf("%s: %v, after %d statements", name, err, len(f.texts))
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: still open after %v", name, time.Since(at))
		}
		events := w.events()
		if e := events[len(events)-1]; e.Kind != "statement.exported" || e.Fields["complete"] != false || e.Fields["statements"] != 1.0 {
			t.Errorf("%s: told at the end %+v", name, e)
		}
	}
}

// What comes while a feed waits is given soon.
func TestFeedFollows(t *testing.T) {
	w := newWorld(t)
	caught := make(chan string, 99)
	f := &follower{caught: caught, cut: 3}
	ended := make(chan error, 1)
	go func() { ended <- w.out.Feed(t.Context(), as(reader), disclose.Feed{Follow: true, Now: true}, f) }()
	<-caught
	ids := w.post(writer, said("ann", "tried", "a", ""), said("ann", "tried", "b", ""), said("ann", "tried", "c", ""))
	select {
	case err := <-ended:
		if got := w.idsOf(f.texts); !errors.Is(err, errCut) || !slices.Equal(got, ids) {
			t.Errorf("%v, %v", got, err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
	}
}

// Imported statements come when they come, also while a transaction is open that keeps X-Experience-API-Consistent-Through back.
func TestFeedOfAnImport(t *testing.T) {
	w := newWorld(t)
	bring := func(day int) uuid.UUID {
		id := uuid.New()
		text := said("ann", "tried", "a", fmt.Sprintf(`,"id":%q,"stored":"2019-01-%02dT00:00:00Z","authority":{"account":{"homePage":"https://other.example","name":"lrs"}}`, id, day))
		batch, err := xapi.ParseBatch([]byte("["+text+"]"), xapi.V2, 1)
		if err != nil {
			t.Fatal(err)
		}
		delivery, err := w.in.Delivery(one, batch)
		if err != nil {
			t.Fatal(err)
		}
		defer delivery.Close()
		if _, err := delivery.Import(t.Context(), writer, false); err != nil {
			t.Fatal(err)
		}
		databasetest.Settle(t, w.db)
		return id
	}
	ids := []uuid.UUID{bring(9), bring(3)}
	open, err := w.owner.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Rollback() }()
	if _, err := open.Exec("SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	all := &reached{}
	if err := w.out.Feed(t.Context(), as(reader), disclose.Feed{}, all); err != nil || !slices.Equal(w.idsOf(all.texts), ids) {
		t.Errorf("%v, %v", w.idsOf(all.texts), err)
	}
	if time.Since(all.through) > time.Minute {
		t.Errorf("what came a moment ago was given, and yet the feed is through %v only", all.through)
	}
	now := w.feed(reader, disclose.Feed{Now: true})
	if len(now.texts) > 0 {
		t.Errorf("%d statements of the past", len(now.texts))
	}
	if err := open.Rollback(); err != nil {
		t.Fatal(err)
	}
	later := bring(1)
	for name, cursor := range map[string]string{"all": all.cursor, "now": now.cursor} {
		if got := w.idsOf(w.feed(reader, disclose.Feed{After: cursor}).texts); !slices.Equal(got, []uuid.UUID{later}) {
			t.Errorf("after %s: %v", name, got)
		}
	}
}

// reached keeps up to when the feed was read, too.
type reached struct {
	follower
	through time.Time
}

func (r *reached) Reached(cursor string, through time.Time) error {
	r.through = through
	return r.follower.Reached(cursor, through)
}
