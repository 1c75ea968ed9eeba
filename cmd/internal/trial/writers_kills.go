package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// KilledWriters runs Writers again and again against one hub, and each time kills the hub or its Postgres in the middle.
type KilledWriters struct {
	Hub     *Hub // runs
	Writers      // of each round; its nodes are the hub
	Times   int
	Rand    *rand.Rand
	Log     func(format string, args ...any)
}

// Run gives the sum of all rounds.
func (k KilledWriters) Run(ctx context.Context) (sum WritersReport, err error) {
	for n := range k.Times {
		victim := []Victim{HubProcess, PostgresProcess}[n%2]
		c := k.Writers
		c.Nodes, c.Killed, c.Seed = []string{k.Hub.URL()}, true, k.Rand.Uint64()
		moment := c.Time/10 + time.Duration(k.Rand.Int64N(int64(c.Time/2)))
		round, cancel := context.WithTimeout(ctx, roundTime)
		report, err := c.Run(round, func(ctx context.Context) error {
			time.Sleep(moment)
			return k.kill(ctx, victim)
		})
		cancel()
		sum.add(report)
		if err != nil {
			return sum, fmt.Errorf("kill %d of %d, of the %s: %w", n+1, k.Times, victim, err)
		}
		k.Log("%s killed after %v: %s", victim, moment.Round(time.Millisecond), report)
	}
	return sum, nil
}

// kill kills one process and brings the hub back if need be.
func (k KilledWriters) kill(ctx context.Context, victim Victim) error {
	if victim == PostgresProcess {
		p, ok := k.Hub.Postmaster()
		if !ok {
			return errors.New("the hub's Postgres does not run")
		}
		if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
			return err
		}
		return k.Hub.answers(ctx)
	}
	left, err := k.Hub.Descendants()
	if err != nil {
		return err
	}
	if err := k.Hub.Kill(); err != nil {
		return err
	}
	if err := k.Hub.AwaitGone(ctx, left); err != nil {
		return err
	}
	return k.Hub.Up(ctx)
}

// answers waits until the hub can read its audit log again: then its Postgres is back.
func (h *Hub) answers(ctx context.Context) error {
	for {
		r, err := h.Run(ctx, "client", "list")
		if err != nil || r.Code == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the hub does not answer: %s", r.Err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Deadlocks counts the deadlocks that the hub's Postgres has told of in its log.
func (h *Hub) Deadlocks() (int, error) {
	logs, err := filepath.Glob(filepath.Join(h.Data, "postgres", "*.log*"))
	if err == nil && len(logs) == 0 {
		err = errors.New("no log of Postgres was found")
	}
	count := 0
	for _, path := range logs {
		text, failed := os.ReadFile(path)
		err = errors.Join(err, failed)
		count += strings.Count(string(text), "deadlock detected")
	}
	return count, err
}
