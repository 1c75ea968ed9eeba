package ingest

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// stride is how many indexes a worker of each takes at a time.
const stride = 16

// each does something for every index below n, on all processors, and gives the error of the lowest index that had one. What is done for one
// index must not touch what is done for another. A panic comes back in the caller, which may know what to do about it.
func each(n int, do func(i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n/stride)
	if workers < 2 {
		for i := range n {
			if err := do(i); err != nil {
				return err
			}
		}
		return nil
	}
	var w work
	var group sync.WaitGroup
	for range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			w.run(n, do)
		}()
	}
	group.Wait()
	if w.panicked != nil {
		panic(w.panicked)
	}
	return w.err
}

// work is what the workers of one each share.
type work struct {
	next     atomic.Int64
	mu       sync.Mutex
	at       int // of err
	err      error
	panicked any
}

func (w *work) run(n int, do func(i int) error) {
	defer func() {
		if p := recover(); p != nil {
			w.next.Store(int64(n))
			w.mu.Lock()
			defer w.mu.Unlock()
			w.panicked = p
		}
	}()
	for {
		end := int(w.next.Add(stride))
		for i := end - stride; i < min(end, n); i++ {
			if err := do(i); err != nil {
				w.fail(n, i, err)
				return
			}
		}
		if end >= n {
			return
		}
	}
}

// fail keeps the error of the lowest index: all lower ones were taken before, and are done to their end.
func (w *work) fail(n, i int, err error) {
	w.next.Store(int64(n))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil || i < w.at {
		w.at, w.err = i, err
	}
}
