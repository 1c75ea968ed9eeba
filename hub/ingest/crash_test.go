package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/plugins/contract"
)

// table is what the source holds, and what of it the last complete sync must have left in the store.
type table struct {
	stream string
	scores map[int]int  // by id; each score is unlike any other
	broken map[int]bool // cannot be mapped now
	given  map[int]int  // what holds of each record in the store
	gone   []int        // deleted since the last sync
	next   int
	round  int
}

// change lets a round of life pass at the source.
func (m *table) change(r *rand.Rand) {
	for range 1 + r.IntN(8) {
		id := r.IntN(14)
		switch r.IntN(5) {
		case 0:
			if _, there := m.scores[id]; there {
				delete(m.scores, id)
				m.gone = append(m.gone, id)
			}
		case 1:
			m.broken[id] = !m.broken[id]
		default:
			m.next++
			m.scores[id] = 1000*(id+1) + m.next
			m.gone = slices.DeleteFunc(m.gone, func(g int) bool { return g == id })
		}
	}
}

// pages is the source's content in pages: all of it, then tombstones where the stream has them.
func (m *table) pages() []contract.Page {
	var all []contract.Record
	for id := range 14 {
		score, there := m.scores[id]
		if !there {
			continue
		}
		text := fmt.Sprintf(`{"id":%d,"pupil":"pupil-%d","score":%d}`, id, id%5, score)
		if m.broken[id] {
			text = strings.Replace(text, "}", `,"verb":"not an IRI"}`, 1)
		}
		all = append(all, record(text, id))
	}
	if m.stream == "change" {
		for _, id := range m.gone {
			all = append(all, contract.Record{Key: []byte("[" + strconv.Itoa(id) + "]"), Deleted: true, Position: "log"})
		}
	}
	var pages []contract.Page
	for chunk := range slices.Chunk(all, 4) {
		pages = append(pages, contract.Page{Records: chunk})
	}
	pages = append(pages, contract.Page{})
	for i := range pages {
		pages[i].Cursor = fmt.Appendf(nil, "%d %d", m.round, i+1)
	}
	pages[len(pages)-1].SnapshotComplete = m.stream == "attempt"
	return pages
}

// synced brings the model to where a complete sync brings the store.
func (m *table) synced() {
	for id, score := range m.scores {
		if !m.broken[id] {
			m.given[id] = score
		}
	}
	for id := range m.given {
		if _, there := m.scores[id]; !there {
			delete(m.given, id)
		}
	}
	m.gone = nil
	m.round++
}

// sync reads a stream to its end in one run, from where it stood. Each failure is a worker's death: the next worker takes the run up. It gives
// how often that happened.
func (s *source) sync(m *table, crash func() (context.Context, func())) (deaths int) {
	s.Helper()
	s.begin()
	pages := m.pages()
	from := s.resume(m)
	for from < len(pages) {
		ctx, done := crash()
		_, err := s.road.Page(ctx, s.of(m.stream), pages[from])
		done()
		if err == nil {
			from++
			continue
		}
		if deaths++; deaths > 500 {
			s.Fatalf("it never gets on: %v", err)
		}
		from = s.resume(m)
	}
	s.complete(m.stream)
	return deaths
}

// resume asks where the run stands in a stream. The cursor of an earlier round is no place in this one's pages.
func (s *source) resume(m *table) (page int) {
	s.Helper()
	described := s.of(m.stream).Stream
	s.in(s.tenant, func(ctx context.Context, tx *database.Tx) error {
		start := connection.Start{Stream: described, Mapping: s.version}
		reading, err := connection.StartStream(ctx, tx, s.world.tenant(s.tenant), s.connection, s.run, start, time.Now())
		if err != nil {
			return err
		}
		s.generation[m.stream] = reading.Generation
		var round, at int
		if _, err := fmt.Sscanf(string(reading.Cursor), "%d %d", &round, &at); err == nil && round == m.round {
			page = at
		}
		return nil
	})
	return page
}

// scores lists the raw scores of what holds.
func (s *source) scores() (list []int) {
	s.Helper()
	s.in(s.tenant, func(ctx context.Context, tx *database.Tx) error {
		return tx.SelectContext(ctx, &list, live("s.score_raw::integer")+" AND s.score_raw IS NOT NULL ORDER BY 1", s.tenant, s.connection)
	})
	return list
}

// Whatever moment a worker, its connection or its database backend dies at, the store ends as if nothing had happened: it has the same statements,
// voidings and dead letters as that of a twin that was left in peace, and what holds is what the source says.
func TestCrashes(t *testing.T) {
	w := newWorld(t)
	usual := 10 * time.Millisecond
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		document := head + streamText("attempt") + streamText("change")
		hurt, calm := w.connect(one, fmt.Sprint("hurt-", seed), document), w.connect(two, fmt.Sprint("calm-", seed), document)
		tables := []*table{}
		for _, stream := range []string{"attempt", "change"} {
			tables = append(tables, &table{stream: stream, scores: map[int]int{}, broken: map[int]bool{}, given: map[int]int{}, next: 10_000 * len(tables)})
		}
		deaths := 0
		for round := range 6 {
			for _, m := range tables {
				m.change(r)
				deaths += hurt.sync(m, func() (context.Context, func()) { return w.crash(r, &usual) })
				calm.sync(m, func() (context.Context, func()) { return t.Context(), func() {} })
				m.synced()
			}
			var want []int
			for _, m := range tables {
				for _, score := range m.given {
					want = append(want, score)
				}
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, hurt.scores()); diff != "" {
				t.Fatalf("seed %d, round %d: what holds is not what the source says: %s", seed, round, diff)
			}
			if got, want := hurt.totals(), calm.totals(); got != want {
				t.Fatalf("seed %d, round %d: %+v, but its twin has %+v", seed, round, got, want)
			}
			if diff := cmp.Diff(calm.letters(), hurt.letters()); diff != "" {
				t.Fatalf("seed %d, round %d: dead letters: %s", seed, round, diff)
			}
		}
		t.Logf("seed %d: %d deaths", seed, deaths)
		if deaths < 5 {
			t.Errorf("seed %d: only %d deaths: the test shows little", seed, deaths)
		}
	}
	equal(t, "voidings of nothing", w.count("SELECT count(*) FROM voiding v WHERE NOT EXISTS (SELECT FROM statement s WHERE s.tenant_id = v.tenant_id AND s.id = v.target)"), 0)
	equal(t, "agents of nothing", w.count("SELECT count(*) FROM statement_agent a WHERE NOT EXISTS (SELECT FROM statement s WHERE s.tenant_id = a.tenant_id AND s.id = a.statement_id)"), 0)
	equal(t, "pages and their events", w.count("SELECT count(*) FROM audit_event e WHERE NOT EXISTS (SELECT FROM audit_pending p WHERE p.event_id = e.id)"), 0)
}

// crash gives a context under which something dies after a random while, most often within the page;
// usual is how long one takes, and learns it.
func (w *world) crash(r *rand.Rand, usual *time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancel(w.Context())
	began := time.Now()
	kind, after := r.IntN(3), time.Duration(r.Int64N(int64(*usual)))
	over := make(chan struct{})
	died := make(chan struct{})
	go func() {
		defer close(died)
		select {
		case <-over:
			return
		case <-time.After(after):
		}
		switch kind {
		case 0:
			cancel()
		case 1:
			_, _ = w.owner.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename <> current_user")
		}
	}()
	return ctx, func() {
		close(over)
		<-died
		cancel()
		*usual = (3**usual + 2*time.Since(began)) / 4
	}
}

// A worker that was thought dead may still be at work, under the same run, beside the one that took the run up.
func TestTwoWorkersOfOneRun(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt"))
	var pages []contract.Page
	for p := range 8 {
		page := contract.Page{Cursor: []byte(strconv.Itoa(p + 1)), SnapshotComplete: p == 7}
		for i := range 5 {
			page.Records = append(page.Records, attempt(5*p+i, "ann", 10))
		}
		pages = append(pages, page)
	}
	run := s.of("attempt")
	ended := make(chan error)
	for range 2 {
		go func() {
			var err error
			for _, page := range pages {
				e := connection.ErrOvertaken
				for try := 0; errors.Is(e, connection.ErrOvertaken) && try < 5; try++ { // as the workflow does
					_, e = s.road.Page(t.Context(), run, page)
				}
				err = errors.Join(err, e)
			}
			ended <- err
		}()
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	s.want(totals{Statements: 40, Live: 40})
	if ids := s.live(); len(ids) != 40 || slices.Contains(ids, uuid.Nil) {
		t.Errorf("%d statements", len(ids))
	}
}
