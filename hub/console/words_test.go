package console

import (
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/connection"
)

func TestWords(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)
	later := now.Add(75 * time.Minute)
	for _, tt := range []struct{ got, want string }{
		{number(0), "0"}, {number(999), "999"}, {number(1000), "1,000"}, {number(1234567), "1,234,567"}, {number(-1000), "-1,000"}, {number(-100), "-100"},
		{plural(1, "record", "records"), "1 record"}, {plural(2000, "record", "records"), "2,000 records"},
		{ago(now, now.Add(time.Hour)), "0 s ago"}, {ago(now, now.Add(-59*time.Second)), "59 s ago"}, {ago(now, now.Add(-119*time.Minute)), "119 min ago"},
		{ago(now, now.Add(-47*time.Hour)), "47 h ago"}, {ago(now, now.Add(-80*time.Hour)), "3 days ago"},
		{lasted(later, now, &now), "0.0 s"}, {lasted(now, now, &later), "1 h 15 min"}, {lasted(now.Add(42*time.Second), now, nil), "42 s"},
		{interval(0), "on demand"}, {interval(90 * time.Minute), "every 1 h 30 min"}, {interval(24 * time.Hour), "every 1 d"},
		{starter(connection.Run{StartedBy: "schedule", Full: true}), "Full sync, by schedule"},
		{starter(connection.Run{StartedBy: "x", Kind: connection.Replay}), "Replay of dead letters, on demand"},
		{runState(connection.Run{State: connection.Running, Error: "rate limit"}).Word, "Waiting"},
		{runState(connection.Run{State: connection.Cancelled}).Word, "Cancelled"},
		{runState(connection.Run{State: connection.Failed}).Word, "Failed"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	for _, tt := range []struct{ done, total, want int64 }{{0, 0, -1}, {5, 0, -1}, {1, 3, 33}, {9, 3, 100}} {
		if got := percent(connection.Progress{Done: tt.done, Total: tt.total}); got != tt.want {
			t.Errorf("%d of %d: %d percent, want %d", tt.done, tt.total, got, tt.want)
		}
	}
}
