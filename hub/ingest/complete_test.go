package ingest_test

import "testing"

// The run dies right after the transaction of a snapshot's last page. What the source changed then is a change, and no duplicate.
func TestSnapshotIsCompleteWithItsLastPage(t *testing.T) {
	s := newWorld(t).connect(one, "school", head+streamText("attempt"))
	s.last("attempt", attempt(1, "p", 10), attempt(2, "q", 20))
	s.begin()
	counts := s.last("attempt", attempt(1, "p", 30))
	equal(t, "statements", counts.Statements, 1)
	equal(t, "voided", counts.Voided, 2) // the older result, and the one that is gone
	equal(t, "dead letters", len(s.letters()), 0)
	s.want(totals{Statements: 5, Voidings: 2, Live: 1})
}
