package host_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// BenchmarkRead measures records through the process boundary, pruned, against the same connector read within this process
// and thrown away. One operation is one read of 100,000 records of 75 bytes.
func BenchmarkRead(b *testing.B) {
	const records = 100_000
	text := fmt.Sprintf(`{"to":%d}`, records)
	p := start(b, newHost(b, nil), "counter", config(text))
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := sdk.Request{Stream: "numbers"}
			err := (&counter{}).Read(b.Context(), &sdk.Session{Config: []byte(text)}, r, sdk.NewOutput(r, func(sdk.Event) error { return nil }))
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("host", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			err := p.Read(b.Context(), host.ReadRequest{Stream: numbers, Fields: []string{"text"}}, func(_ context.Context, page host.Page) error {
				n += len(page.Records)
				return nil
			})
			if err != nil || n != records {
				b.Fatalf("%d records, %v", n, err)
			}
		}
		b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
}

// BenchmarkStart measures starting a connector, its first answer, and closing it.
func BenchmarkStart(b *testing.B) {
	h := newHost(b, nil)
	for b.Loop() {
		p, err := h.Start(b.Context(), host.Plugin{Connector: "counter"}, config(`{}`))
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}
