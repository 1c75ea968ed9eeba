package suite

import (
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
)

// checkClocks: what a connector reads while its clock and the source's differ, and what it reads afterwards, is together everything.
func checkClocks(t T, s Subject, stream contract.Stream) {
	t.Helper()
	want := together(s.whole(t, stream))
	for _, skew := range []time.Duration{26 * time.Hour, -26 * time.Hour} {
		what := "the connector's clock is wrong by " + skew.String()
		wrong := s.attempt(t, stream, conditions{skew: skew})
		if wrong.err != nil {
			t.Errorf("%s: the read fails: %v", what, wrong.err)
			continue
		}
		got := together(wrong)
		if got.full && got.missing(want) > 0 {
			t.Errorf("%s: the read says SnapshotComplete, but %d records did not come: the hub would take them back; a snapshot has no upper bound in time", what, got.missing(want))
		}
		if stream.Mode != contract.Incremental {
			s.silent(t, what, got, want)
			continue
		}
		later := s.attempt(t, stream, conditions{cursor: wrong.cursor()})
		if later.err != nil {
			t.Errorf("%s, and is right again: going on fails: %v", what, later.err)
			continue
		}
		if n := together(wrong, later).missing(want); n > 0 {
			t.Errorf("%s, and is right again: %d of %d records never come; take cursors from the source's times, not from the clock, and look back a little", what, n, len(want.records))
		}
	}
}

// checkZones: neither the machine's time zone nor an hour that there is twice, or not at all, changes anything.
func checkZones(t T, s Subject, stream contract.Stream) {
	t.Helper()
	want := together(s.whole(t, stream))
	for _, place := range []struct {
		zone string
		at   time.Time
	}{
		{"America/New_York", time.Date(2026, 11, 1, 5, 59, 30, 0, time.UTC)}, // 01:59:30, for the first time
		{"Europe/Berlin", time.Date(2026, 3, 29, 0, 59, 30, 0, time.UTC)},    // half a minute before 02:00, which is not
		{"Asia/Kathmandu", time.Time{}},                                      // UTC+05:45
	} {
		c := conditions{zone: place.zone}
		if !place.at.IsZero() && stream.Mode != contract.Incremental {
			c.skew = time.Until(place.at).Round(time.Second)
		}
		got := s.attempt(t, stream, c)
		if got.err != nil {
			t.Errorf("with the machine's time zone %s: the read fails: %v", place.zone, got.err)
			continue
		}
		s.silent(t, "with the machine's time zone "+place.zone, together(got), want)
		if n := together(got).different(want); n > 0 {
			t.Errorf("with the machine's time zone %s, %d records have another content; use time.UTC, or the zone that the configuration names, never time.Local", place.zone, n)
		}
	}
}
