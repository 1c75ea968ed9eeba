package host_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/host"
)

// TestStartsLeaveNothingBehind: neither goroutines, open files nor folders grow with starts, good or failed.
func TestStartsLeaveNothingBehind(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts open files in /proc")
	}
	sockets, err := os.MkdirTemp("/tmp", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	h := newHost(t, func(o *host.Options) { o.SocketDir = sockets })
	cycle := func() {
		p, err := h.Start(t.Context(), host.Plugin{Connector: "counter"}, config(`{"to":10}`))
		if err != nil {
			t.Fatal(err)
		}
		var got pages
		if err := p.Read(t.Context(), host.ReadRequest{Stream: numbers}, got.take); err != nil {
			t.Fatal(err)
		}
		p.Close()
		for _, name := range []string{"exits", "chatters"} {
			if p, err := h.Start(t.Context(), host.Plugin{Connector: name}, config(`{}`)); err == nil {
				p.Close()
				t.Fatalf("%s started", name)
			}
		}
	}
	count := func() (goroutines, files, folders int) {
		runtime.GC()
		open, _ := os.ReadDir("/proc/self/fd")
		left, _ := filepath.Glob(sockets + "/*/*")
		return runtime.NumGoroutine(), len(open), len(left)
	}
	cycle()
	time.Sleep(200 * time.Millisecond)
	goroutines, files, folders := count()
	for range 10 {
		cycle()
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		g, f, d := count()
		if g <= goroutines+3 && f <= files+3 && d <= folders {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 10 more cycles: goroutines %d, were %d; files %d, were %d; folders %d, were %d", g, goroutines, f, files, d, folders)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
