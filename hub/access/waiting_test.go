package access

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// Requests that wait while grants are read take what was begun to be read after they came: they do not each read anew, however long it takes.
func TestWaitingRequestsShareAReading(t *testing.T) {
	db := databasetest.New(t)
	db.SetMaxOpenConns(1)
	conn, err := db.Connx(t.Context()) // nothing can be read
	if err != nil {
		t.Fatal(err)
	}
	start, ticks := time.Now(), atomic.Int64{}
	grants := newTenants(db, time.Second, func() time.Time { return start.Add(time.Duration(ticks.Add(1)) * time.Minute) }) // each look at the clock finds all grants stale
	const waiting = 20
	var group sync.WaitGroup
	for range waiting {
		group.Go(func() {
			if _, err := grants.snapshot(t.Context(), databasetest.Default); err != nil {
				t.Error(err)
			}
		})
	}
	for began := time.Now(); ticks.Load() < waiting+1; time.Sleep(time.Millisecond) { // all came, and one begins to read
		if time.Since(began) > 10*time.Second {
			t.Fatal("the requests do not come")
		}
	}
	conn.Close()
	group.Wait()
	// The one that began first read for those that had come by then; the second, for all others.
	if last := grants.byID[databasetest.Default].at; last.After(start.Add((waiting + 2) * time.Minute)) {
		t.Errorf("the grants were last read at minute %v, want %d at the latest", last.Sub(start).Minutes(), waiting+2)
	}
	if _, err := grants.snapshot(t.Context(), databasetest.Default); err != nil {
		t.Fatal(err)
	}
	if last := grants.byID[databasetest.Default].at; last.Before(start.Add(2 * waiting * time.Minute)) {
		t.Error("a request that comes later takes stale grants")
	}
}
