package csv

import (
	"bytes"
	"context"
	stdcsv "encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// BenchmarkRead reads a narrow file (30 bytes a row) to records and reports rows a second, the ratio to encoding/csv
// (ReuseRecord) that only splits the same bytes in the same run, and allocations a row.
func BenchmarkRead(b *testing.B) {
	const n = 300_000
	var text bytes.Buffer
	text.WriteString("id_assessment,id_student,date_submitted,is_banked,score\n")
	for i := range n {
		fmt.Fprintf(&text, "%d,%d,%d,0,%d\n", 1752+i%200, 11391+i*7, i%260, i%101)
	}
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "results.csv"), text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	s := sdktest.Session(fmt.Sprintf(`{"folder":%q,"files":[{"stream":"result","file":"results.csv","key":["id_assessment","id_student"],
		"columns":{"id_assessment":"int","id_student":"int","date_submitted":"int","is_banked":"bool","score":"double"}}]}`, dir), nil, nil)
	r := sdk.Request{Stream: "result"}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		records := 0
		out := sdk.NewOutput(r, func(e sdk.Event) error {
			if e.Kind == sdk.EventRecord {
				records++
			}
			return nil
		})
		if err := New().Read(context.Background(), s, r, out); err != nil || records != n {
			b.Fatalf("%d records, %v", records, err)
		}
		ours += time.Since(start)

		start = time.Now()
		std := stdcsv.NewReader(bytes.NewReader(text.Bytes()))
		std.ReuseRecord = true
		for {
			if _, err := std.Read(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		theirs += time.Since(start)
	}
	b.ReportMetric(float64(n)*float64(b.N)/ours.Seconds(), "rows/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-encoding/csv")
}
