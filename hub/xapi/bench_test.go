package xapi

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// sampleStatement is a made-up statement of about 650 bytes, the size of a usual one.
const sampleStatement = `{"id":"0b5d1e6e-9c40-4f8b-9b43-6a2f1f6f2a01","actor":{"objectType":"Agent","account":{"homePage":"https://campus.example","name":"learner-000123"}},"verb":{"id":"http://adlnet.gov/expapi/verbs/passed","display":{"en":"passed"}},"object":{"objectType":"Activity","id":"https://campus.example/course/42/assessment/7","definition":{"type":"http://adlnet.gov/expapi/activities/assessment","name":{"en":"Assessment 7"}}},"result":{"score":{"raw":78,"min":0,"max":100},"success":true,"completion":true},"context":{"contextActivities":{"parent":[{"id":"https://campus.example/course/42"}]}},"timestamp":"2026-01-02T03:04:05.123Z"}`

// BenchmarkParse reports, besides its own time, how many times longer encoding/json takes to read the same
// bytes into an any, measured in turns in the same run.
func BenchmarkParse(b *testing.B) {
	raw := []byte(sampleStatement)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	var own, other time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := Parse(raw, V1); err != nil {
			b.Fatal(err)
		}
		own += time.Since(start)
		b.StopTimer()
		start = time.Now()
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			b.Fatal(err)
		}
		other += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(other)/float64(own), "encoding-json/xapi")
}

func BenchmarkParseBatch(b *testing.B) {
	one := []byte(strings.Replace(sampleStatement, `"id":"0b5d1e6e-9c40-4f8b-9b43-6a2f1f6f2a01",`, "", 1))
	raw := append(bytes.Repeat(append(bytes.Clone(one), ','), 499), one...)
	raw = append(append([]byte{'['}, raw...), ']')
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		batch, err := ParseBatch(raw, V1, 500)
		if err != nil || len(batch) != 500 {
			b.Fatal(len(batch), err)
		}
	}
}

func BenchmarkRest(b *testing.B) {
	st, err := Parse([]byte(sampleStatement), V1)
	if err != nil {
		b.Fatal(err)
	}
	set := Set{ID: uuid.Max, Stored: time.Unix(1_767_000_000, 0), Version: "1.0.0",
		Authority: []byte(`{"account":{"homePage":"https://hub.example","name":"client"}}`)}
	b.Run("Canonical", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			st.Canonical()
		}
	})
	b.Run("Split+Join", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			frame, parts := st.Split(func(int) bool { return false })
			if _, err := Join(frame, [][]byte{parts[0].JSON}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Finish", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Finish(st.Raw, set); err != nil {
				b.Fatal(err)
			}
		}
	})
}
