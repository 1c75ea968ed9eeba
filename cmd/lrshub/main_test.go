// End-to-end tests: the built binary, its command line, its processes and its folders. What is tested is what an operator has in
// hand, so nothing here imports the hub's rooms but to look behind them. Most tests share one running hub and have a tenant of
// their own; those that start, kill or scan hubs have theirs.
package main_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// The module's root, the folder of this test run, and the binary in it.
var (
	root    string
	scratch string
	binary  string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if root, err = filepath.Abs("../.."); err != nil {
		return 1, err
	}
	if scratch, err = trial.Folder(); err != nil {
		return 1, err
	}
	defer os.RemoveAll(scratch)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	if binary, err = trial.Build(ctx, root, scratch); err != nil {
		return 1, err
	}
	// Much of what is tested waits: for a heartbeat that a killed process misses, for the next attempt. Meanwhile others have the processors.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))); err != nil {
		return 1, err
	}
	code = m.Run()
	if common.hub != nil {
		if err := common.hub.Stop(ctx); err != nil {
			return 1, fmt.Errorf("stop the common hub: %w", err)
		}
	}
	return code, nil
}

// common is the hub that tests share. It starts with the first of them.
var common struct {
	once sync.Once
	hub  *trial.Hub
	err  error
}

func commonHub(t *testing.T) *trial.Hub {
	t.Helper()
	common.once.Do(func() {
		if common.hub, common.err = trial.New(binary, filepath.Join(scratch, "common")); common.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		common.err = common.hub.Up(ctx)
	})
	if common.err != nil {
		t.Fatal(common.err)
	}
	return common.hub
}

// folder makes a folder for one test, which other users can pass through.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "test-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// freshHub gives a hub of the test's own, not started; it is stopped when the test ends.
func freshHub(t *testing.T) *trial.Hub {
	t.Helper()
	hub, err := trial.New(binary, filepath.Join(folder(t), "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := hub.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := hub.AwaitGone(ctx, nil); err != nil {
			t.Error(err)
		}
	})
	return hub
}

// up starts a hub and says how long that took.
func up(t *testing.T, hub *trial.Hub) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	if err := hub.Up(ctx); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}
