package openedx

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// BenchmarkRead reads a log of events of about 1 KB and reports events a second and the ratio to json.Valid (the standard
// library's) over the same lines in the same run.
func BenchmarkRead(b *testing.B) {
	const n = 50_000
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `2024-02-01 10:00:00,1 INFO 20 [tracking] [user %d] - {"name": "problem_check", "context": {"user_id": %d, "course_id": "course-v1:a+b+c", "path": "/event", "pad": "%s"}, "username": "u%d", "event": "{\"a\": 1}", "time": "2024-02-01T10:00:00.%06d+00:00"}`+"\n",
			i, i, strings.Repeat("some text, ", 70), i, i)
	}
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tracking.log"), []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	s := sdktest.Session(fmt.Sprintf(`{"folder":%q}`, dir), nil, nil)
	r := sdk.Request{Stream: "event"}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	b.SetBytes(int64(text.Len()))
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		events := 0
		out := sdk.NewOutput(r, func(e sdk.Event) error {
			if e.Kind == sdk.EventRecord {
				events++
			}
			return nil
		})
		if err := New().Read(context.Background(), s, r, out); err != nil || events != n {
			b.Fatalf("%d events, %v", events, err)
		}
		ours += time.Since(start)
		start = time.Now()
		for _, line := range lines {
			if !json.Valid([]byte(line[strings.IndexByte(line, '{'):])) {
				b.Fatal("not valid")
			}
		}
		theirs += time.Since(start)
	}
	b.ReportMetric(float64(n)*float64(b.N)/ours.Seconds(), "events/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-json.Valid")
}
