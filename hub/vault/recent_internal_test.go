package vault

import (
	"encoding/binary"
	"testing"
)

// What was used of late stays, what was not goes, and there is never more than twice the bound.
func TestRecentForgetsWhatIsNotUsed(t *testing.T) {
	r := newRecent()
	person := func(n int) *wanted {
		blind := make([]byte, 32)
		binary.BigEndian.PutUint64(blind, uint64(n))
		return &wanted{blind: blind, found: &found{epoch: n}}
	}
	used, unused := person(1), person(2)
	r.keep(1, 7, []*wanted{used, unused})
	for n := 10; n < 10+3*maxRecent; n++ {
		r.keep(1, 7, []*wanted{person(n)})
		if n%1000 == 0 && r.hits(1, 7, []*wanted{used})[0].epoch != 1 {
			t.Fatalf("what is used was forgotten after %d others", n)
		}
	}
	if r.hits(1, 7, []*wanted{unused})[0].era != 0 {
		t.Error("what was never used is still there")
	}
	if len(r.young)+len(r.old) > 2*maxRecent {
		t.Errorf("%d entries", len(r.young)+len(r.old))
	}
	if r.hits(2, 7, []*wanted{used})[0].era != 0 || r.hits(1, 8, []*wanted{used})[0].era != 0 {
		t.Error("remembered in another tenant, or in another era")
	}
}
