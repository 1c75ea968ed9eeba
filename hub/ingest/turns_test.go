package ingest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// stopClock has every transaction that stores statements wait, until the function that it gives is called.
func (w *world) stopClock() (goOn func()) {
	w.Helper()
	conn, err := w.owner.Conn(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	if _, err := conn.ExecContext(w.Context(), "SELECT pg_advisory_lock(7723018)"); err != nil {
		w.Fatal(err)
	}
	goOn = sync.OnceFunc(func() {
		if _, err := conn.ExecContext(context.Background(), "SELECT pg_advisory_unlock(7723018)"); err != nil {
			w.Error(err)
		}
		conn.Close()
	})
	w.Cleanup(goOn)
	return goOn
}

// posting is a delivery that is on its way.
type posting struct {
	ids []uuid.UUID
	err error
}

func (w *world) begin(ctx context.Context, c access.Caller, texts ...string) <-chan posting {
	w.Helper()
	text := texts[0]
	for _, more := range texts[1:] {
		text += "," + more
	}
	batch, err := xapi.ParseBatch([]byte("["+text+"]"), xapi.V2, 1000)
	if err != nil {
		w.Fatal(err)
	}
	ended := make(chan posting, 1)
	go func() {
		ids, err := w.road.Statements(ctx, c, true, batch)
		ended <- posting{ids, err}
	}()
	return ended
}

// until waits for something that must come about.
func (w *world) until(what string, is func() bool) {
	w.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.Fatal("not within 20 s: " + what)
		}
	}
}

// blocked is how many transactions wait for the clock.
func (w *world) blocked() int {
	return w.count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
}

func (w *world) idle() {
	w.Helper()
	w.until("nobody waits", func() bool { deliveries, terms := w.road.Waiting(); return deliveries == 0 && terms == 0 })
}

// told holds each audit event against the statements that it tells of.
func (w *world) told(statements int) (events int) {
	w.Helper()
	rows, err := w.owner.Query("SELECT canonical FROM audit_event WHERE kind = $1", audit.IngestStatements)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	for ; rows.Next(); events++ {
		var canonical []byte
		if err := rows.Scan(&canonical); err != nil {
			w.Fatal(err)
		}
		event, err := audit.Decode(canonical)
		if err != nil {
			w.Fatal(err)
		}
		var said struct {
			Statements, Stored, Position int
			Digest                       string
		}
		if err := json.Unmarshal(event.Fields, &said); err != nil {
			w.Fatal(err)
		}
		statements -= said.Stored
		if digest := w.digest(said.Position, said.Statements); said.Stored > 0 && digest != "" && said.Digest != digest {
			w.Errorf("an event of %d statements tells of others than those at its position", said.Stored)
		}
	}
	if statements != 0 {
		w.Errorf("of %d statements no event tells", statements)
	}
	return events
}

// digest is that of the statements at n positions; "" where there is none, as all were erased.
func (w *world) digest(position, n int) string {
	rows, err := w.owner.Query("SELECT uuid_send(id), digest FROM statement WHERE seq BETWEEN $1 AND $2 ORDER BY seq", position, position+n-1)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	sum, none := sha256.New(), true
	for ; rows.Next(); none = false {
		var id, digest []byte
		if err := rows.Scan(&id, &digest); err != nil {
			w.Fatal(err)
		}
		sum.Write(id)
		sum.Write(digest)
	}
	if none {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Deliveries that come while one is on its way are stored together: their statements, agents, activities and definitions, and events that tell of all.
func TestTogether(t *testing.T) {
	w := newWorld(t)
	w.mustPost(said(uuid.New(), "ann", ""))
	goOn := w.stopClock()
	first := w.begin(t.Context(), caller(one), said(uuid.New(), "zoe", ""))
	w.until("the first waits for the clock", func() bool { return w.blocked() == 1 })
	more := `,"context":{"instructor":{"mbox":"mailto:boss@example.org"},"contextActivities":{"parent":[{"id":"https://school.example/b","definition":{"type":"https://school.example/%d"}}]}}`
	var rest []<-chan posting
	for i := range 60 {
		rest = append(rest, w.begin(t.Context(), caller(one), said(uuid.New(), fmt.Sprintf("n%d", i%7), fmt.Sprintf(more, i)), said(uuid.New(), "ann", "")))
	}
	other := caller(one)
	other.Client = uuid.New()
	alone := w.begin(t.Context(), other, said(uuid.New(), "ann", ""))
	w.until("all wait for the clock", func() bool {
		deliveries, terms := w.road.Waiting()
		return w.blocked() >= 3 && deliveries >= 50 && terms == 2
	})
	goOn()
	for _, p := range append(rest, first, alone) {
		if got := <-p; got.err != nil || len(got.ids) == 0 {
			t.Errorf("%v, %v", got.ids, got.err)
		}
	}
	w.idle()
	equal(t, "statements", w.count("SELECT count(*) FROM statement"), 123)
	equal(t, "positions", w.count("SELECT count(DISTINCT seq) FROM statement"), 123)
	equal(t, "authorities", w.count("SELECT count(DISTINCT authority) FROM statement"), 2)
	equal(t, "instructors", w.count("SELECT count(*) FROM statement_agent"), 60)
	equal(t, "parents", w.count("SELECT count(*) FROM statement_activity"), 60)
	equal(t, "activities", w.count("SELECT count(*) FROM activity WHERE iri = 'https://school.example/b' AND definition IS NOT NULL"), 1)
	if events := w.told(123); events > 20 {
		t.Errorf("%d transactions for 63 deliveries", events)
	}
}

// Nobody pays for what another sends: of those that meet, each has the answer that it would have had alone.
func TestTogetherWithConflicts(t *testing.T) {
	w := newWorld(t)
	known, erased, twice, fought := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	w.mustPost(said(known, "ann", ""))
	w.mustPost(said(erased, "ann", ""))
	if _, err := w.owner.Exec("WITH gone AS (DELETE FROM statement WHERE id = $1 RETURNING *) INSERT INTO statement_tombstone SELECT tenant_id, id, seq, digest FROM gone", erased.String()); err != nil {
		t.Fatal(err)
	}
	goOn := w.stopClock()
	first := w.begin(t.Context(), caller(one), said(uuid.New(), "zoe", ""))
	w.until("the first waits for the clock", func() bool { return w.blocked() == 1 })
	var good, bad, either []<-chan posting
	for range 10 {
		good = append(good, w.begin(t.Context(), caller(one), said(uuid.New(), "bob", "")))
		good = append(good, w.begin(t.Context(), caller(one), said(known, "ann", ""), said(uuid.New(), "bob", "")))
		good = append(good, w.begin(t.Context(), caller(one), said(erased, "ann", "")))
		good = append(good, w.begin(t.Context(), caller(one), said(twice, "ann", "")))
		bad = append(bad, w.begin(t.Context(), caller(one), said(uuid.New(), "bob", ""), said(known, "eve", "")))
		bad = append(bad, w.begin(t.Context(), caller(one), said(erased, "eve", "")))
	}
	for _, who := range []string{"ann", "bob", "eve"} {
		either = append(either, w.begin(t.Context(), caller(one), said(fought, who, ""), said(uuid.New(), who, "")))
	}
	w.until("all wait for the clock", func() bool { deliveries, _ := w.road.Waiting(); return w.blocked() >= 2 && deliveries >= 10 })
	goOn()
	for _, p := range append(good, first) {
		if got := <-p; got.err != nil {
			t.Error(got.err)
		}
	}
	for _, p := range bad {
		if got := <-p; !errors.Is(got.err, records.ErrConflict) {
			t.Errorf("a conflict: %v", got.err)
		}
	}
	won := 0
	for _, p := range either {
		switch got := <-p; {
		case got.err == nil:
			won++
		case !errors.Is(got.err, records.ErrConflict):
			t.Error(got.err)
		}
	}
	equal(t, "of three under one id", won, 1)
	w.idle()
	equal(t, "statements", w.count("SELECT count(*) FROM statement"), 1+1+20+1+2)
	w.told(1 + 1 + 20 + 1 + 2 + 1) // and the one that was erased
}

// Who leaves while it waits is let go at once, and holds up nobody; so is who leads the others.
func TestTogetherWhenSomeLeave(t *testing.T) {
	w := newWorld(t)
	for _, who := range []string{"ann", "bob", "zoe"} { // verbs have their numbers
		w.mustPost(said(uuid.New(), who, ""))
	}
	goOn := w.stopClock()
	leader, leaves := context.WithCancel(t.Context())
	first := w.begin(leader, caller(one), said(uuid.New(), "zoe", ""))
	w.until("the first waits for the clock", func() bool { return w.blocked() == 1 })
	leaves()
	gone := w.begin(leader, caller(one), said(uuid.New(), "ann", ""))
	if got := <-gone; !errors.Is(got.err, context.Canceled) {
		t.Errorf("who had gone before: %v", got.err)
	}
	led, leaves := context.WithCancel(t.Context())
	var stay, leave []<-chan posting
	for range 20 {
		stay = append(stay, w.begin(t.Context(), caller(one), said(uuid.New(), "ann", "")))
		leave = append(leave, w.begin(led, caller(one), said(uuid.New(), "bob", "")))
	}
	w.until("all are in a transaction", func() bool { return w.blocked() >= 2 })
	time.Sleep(50 * time.Millisecond)
	leaves()
	leaders := 0
	for _, p := range leave {
		select {
		case got := <-p:
			if !errors.Is(got.err, context.Canceled) {
				t.Errorf("who left: %v", got.err)
			}
		case <-time.After(3 * time.Second):
			leaders++
		}
		if leaders > w.blocked() {
			t.Fatal("who left is held")
		}
	}
	goOn()
	for _, p := range append(stay, first) {
		if got := <-p; got.err != nil {
			t.Error(got.err)
		}
	}
	w.idle()
	if n := w.count("SELECT count(*) FROM statement"); n < 24 || n > 44 {
		t.Errorf("%d statements", n)
	}
}

// More than may wait are refused at once, as for everything that waits for Postgres; the others are stored.
func TestTooManyTogether(t *testing.T) {
	w := newWorld(t)
	goOn := w.stopClock()
	var all []<-chan posting
	for range 700 {
		all = append(all, w.begin(t.Context(), caller(one), said(uuid.New(), "ann", "")))
	}
	w.until("as many wait as may", func() bool { deliveries, _ := w.road.Waiting(); return deliveries >= 480 })
	time.Sleep(100 * time.Millisecond)
	goOn()
	stored := 0
	for _, p := range all {
		switch got := <-p; {
		case got.err == nil:
			stored++
		case !errors.Is(got.err, database.ErrBusy):
			t.Error(got.err)
		}
	}
	w.idle()
	equal(t, "statements", w.count("SELECT count(*) FROM statement"), stored)
	if stored < 500 || stored == 700 {
		t.Errorf("%d of 700 were stored", stored)
	}
	w.told(stored)
}

// Roads of two hubs store overlapping deliveries at the same time: no id twice, no deadlock, and each repeat is answered as one.
func TestTogetherOnTwoHubs(t *testing.T) {
	w := newWorld(t)
	second := ingest.New(w.db, w.vault, records.NewDictionary(w.db), home, time.Now)
	ids := make([]uuid.UUID, 40)
	for i := range ids {
		ids[i] = uuid.New()
	}
	var group sync.WaitGroup
	for client := range 16 {
		road := []*ingest.Road{w.road, second}[client%2]
		group.Go(func() {
			for i := range 30 {
				a, b := ids[(i*7+client)%40], ids[(i*11+client*3+1)%40]
				text := said(a, "ann", "")
				if a != b {
					text += "," + said(b, "ann", "")
				}
				batch, err := xapi.ParseBatch([]byte("["+text+"]"), xapi.V2, 10)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := road.Statements(t.Context(), caller(one), true, batch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	w.idle()
	equal(t, "statements", w.count("SELECT count(*) FROM statement"), 40)
	w.told(40)
}
