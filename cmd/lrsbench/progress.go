package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// progress says on standard error, now and then, how far long work is and when it will end.
type progress struct {
	what  string
	total int64
	done  atomic.Int64
	began time.Time
	stop  chan struct{}
}

// sayEvery is how often progress is said.
const sayEvery = 10 * time.Second

// startProgress begins; total 0: unknown.
func startProgress(what string, total int) *progress {
	p := &progress{what: what, total: int64(total), began: time.Now(), stop: make(chan struct{})}
	go func() {
		ticker := time.NewTicker(sayEvery)
		defer ticker.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-ticker.C:
				say("%s", p)
			}
		}
	}()
	return p
}

func (p *progress) add(n int) { p.done.Add(int64(n)) }

// end says the total, of work that was long enough for somebody to wait for it.
func (p *progress) end() {
	close(p.stop)
	if time.Since(p.began) >= sayEvery {
		say("%s", p)
	}
}

func (p *progress) String() string {
	done, passed := p.done.Load(), time.Since(p.began)
	rate := float64(done) / passed.Seconds()
	text := fmt.Sprintf("%s: %d statements, %.0f a second", p.what, done, rate)
	if p.total > 0 && done > 0 && done < p.total {
		left := time.Duration(float64(p.total-done) / rate * float64(time.Second))
		text += fmt.Sprintf(", of %d; about %v left", p.total, left.Round(time.Second))
	}
	return text
}

// say writes a line for whoever waits.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
