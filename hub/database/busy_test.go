package database_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// While all connections are taken a bounded number waits, the rest is refused at once, and all who waited have their turn.
func TestTooMuchWork(t *testing.T) {
	db := databasetest.New(t)
	held := make(chan struct{})
	var began, done sync.WaitGroup
	for range 32 {
		began.Add(1)
		done.Go(func() {
			err := db.Tenant(t.Context(), databasetest.Default, func(context.Context, *database.Tx) error { began.Done(); <-held; return nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	began.Wait()
	var busy, served atomic.Int64
	for range 1000 {
		done.Go(func() {
			start := time.Now()
			err := db.ReadTenant(t.Context(), databasetest.Default, func(context.Context, *database.Tx) error { return nil })
			switch {
			case err == nil:
				served.Add(1)
			case errors.Is(err, database.ErrBusy) && errors.Is(err, database.ErrUnavailable):
				if busy.Add(1); time.Since(start) > 5*time.Second {
					t.Errorf("refused after %v", time.Since(start))
				}
			default:
				t.Error(err)
			}
		})
	}
	for busy.Load() < 1000-512 { // the others wait
		time.Sleep(time.Millisecond)
	}
	close(held)
	done.Wait()
	if served.Load() != 512 || busy.Load() != 488 {
		t.Errorf("served %d, refused %d", served.Load(), busy.Load())
	}
}
