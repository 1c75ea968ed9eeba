package access

import (
	"testing"
	"time"
)

// BenchmarkDecide measures a decision that the gate has kept, and one that it must ask both engines for. The second
// reports how many of the first it costs, measured in the same run.
func BenchmarkDecide(b *testing.B) {
	g, _, _ := newGate(b)
	r := Request{caller("statements/read/pseudonymised", "define"), Read, Statements}
	decide := func(b *testing.B) {
		if _, err := g.Decide(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	var warm float64
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			decide(b)
		}
		warm = float64(b.Elapsed()) / float64(b.N)
	})
	b.Run("cold", func(b *testing.B) {
		s, err := g.tenants.snapshot(b.Context(), r.Caller.Tenant)
		if err != nil {
			b.Fatal(err)
		}
		var forgetting time.Duration
		for b.Loop() {
			begin := time.Now()
			clear(s.decisions)
			forgetting += time.Since(begin)
			decide(b)
		}
		b.ReportMetric(float64(b.Elapsed()-forgetting)/float64(b.N)/warm, "warm/op")
	})
}
