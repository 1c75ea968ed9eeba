package host_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/host"
)

// TestKilledInTheMiddle: whenever a connector is killed, the pages before are whole, and another process goes on from the last.
func TestKilledInTheMiddle(t *testing.T) {
	h := newHost(t, nil)
	for _, after := range []int{1, 2, 7} {
		p := start(t, h, "counter", config(`{"to":100000}`))
		var got pages
		err := p.Read(t.Context(), host.ReadRequest{Stream: numbers}, func(ctx context.Context, page host.Page) error {
			_ = got.take(ctx, page)
			if len(got) == after {
				killed, err := os.FindProcess(p.PID())
				if err != nil {
					return err
				}
				return killed.Kill()
			}
			return nil
		})
		if !errors.Is(err, host.ErrDied) || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("killed after page %d: %v", after, err)
		}
		if err := p.Check(t.Context()); !errors.Is(err, host.ErrDied) {
			t.Errorf("a call to the dead: %v", err)
		}
		p.Close()
		another := start(t, h, "counter", config(`{"to":100000}`))
		if err := another.Read(t.Context(), host.ReadRequest{Stream: numbers, Cursor: got[len(got)-1].Cursor}, got.take); err != nil {
			t.Fatal(err)
		}
		another.Close()
		records, _ := got.records()
		seen := make(map[string]bool, len(records))
		for _, r := range records {
			seen[string(r.Key)] = true
		}
		if len(records) != 100_000 || len(seen) != 100_000 {
			t.Errorf("killed after page %d: %d records, %d different", after, len(records), len(seen))
		}
	}
}
