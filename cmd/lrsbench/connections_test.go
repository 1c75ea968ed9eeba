package main

import (
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/connection"
)

// TestKinds: the share of ill sources is kept, and each kind of them has a third.
func TestKinds(t *testing.T) {
	b := connections{number: 1000, ill: 0.06}
	count := map[kind]int{}
	for i := range b.number {
		count[b.kindOf(i)]++
	}
	if count[prompt] != 940 || count[slow] != 20 || count[hanging] != 20 || count[broken] != 20 {
		t.Errorf("%v", count)
	}
}

// TestLate: what is missing, and what comes too late.
func TestLate(t *testing.T) {
	at := time.Unix(0, 0)
	c := func(starts ...time.Duration) *scheduled {
		s := &scheduled{kind: prompt, every: time.Minute}
		for _, d := range starts {
			end := at.Add(d + time.Second)
			s.runs = append(s.runs, connection.Run{StartedAt: at.Add(d), EndedAt: &end})
		}
		return s
	}
	for _, want := range []struct {
		list    []*scheduled
		missing int
		latest  float64
		within  bool
	}{
		{[]*scheduled{c(5*time.Second, 65*time.Second, 126*time.Second)}, 0, 1, true},
		{[]*scheduled{c(5*time.Second, 65*time.Second)}, 1, 0, false},
		{[]*scheduled{c(0, 80*time.Second, 140*time.Second)}, 0, 20, false},
	} {
		b := connections{lasts: 3 * time.Minute, list: want.list}
		got := b.ofKind(prompt)
		if got.Missing != want.missing || got.Latest != want.latest || *got.Within != want.within || got.Took != 1 {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if m := steadiness([]int64{1, 1, 1, 1, 1, 10, 10, 10, 10, 13}); m.First != 1 || m.Half != 10 || m.Last != 13 || m.Flat {
		t.Errorf("%+v", m)
	}
}
