package main

import (
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// memory is the proportional set size of this process, with the hub's rooms in it, and of the connector's process, in bytes.
type memory struct {
	Idle      int64 `json:"idle"`      // before the first sync began, without a connector
	Growth    int64 `json:"growth"`    // the most that both together had above that at one moment of any round
	Connector int64 `json:"connector"` // the connector's part of it
}

// watch looks at the memory of this process, and of a connector's, until it is stopped.
type watch struct {
	idle      int64
	connector atomic.Int64 // its process id; 0: none runs
	stop      chan struct{}
	done      chan memory
}

// glance is how often watch looks.
const glance = 50 * time.Millisecond

// startWatch takes what this process has now as idle. nil, without an error, where memory cannot be seen.
func startWatch() *watch {
	debug.FreeOSMemory()
	idle, err := pss(os.Getpid())
	if err != nil {
		return nil
	}
	w := &watch{idle: idle, stop: make(chan struct{}), done: make(chan memory, 1)}
	go w.run()
	return w
}

func (w *watch) run() {
	most := memory{Idle: w.idle}
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	for {
		select {
		case <-w.stop:
			w.done <- most
			return
		case <-ticker.C:
		}
		hub, err := pss(os.Getpid())
		if err != nil {
			continue
		}
		var connector int64
		if pid := w.connector.Load(); pid != 0 {
			connector, _ = pss(int(pid)) // it may have ended just now
		}
		if growth := hub + connector - w.idle; growth > most.Growth {
			most.Growth, most.Connector = growth, connector
		}
	}
}

// end gives the most that was seen.
func (w *watch) end() memory {
	close(w.stop)
	return <-w.done
}
