package main

import (
	"strings"
	"testing"
)

func TestWeigh(t *testing.T) {
	// What is seen before the first statement, and after the last, is of no stream.
	list := []glimpse{{0, 900}, {50, 100}, {100, 120}, {500, 300}, {899, 90}, {900, 105}, {999, 137}, {1000, 800}}
	w, err := weigh(list, 1000)
	if err != nil || w.First != 110 || w.Last != 121 || w.Least != 90 || w.Most != 900 || w.Looks != 8 || w.Growth < 1.09 || w.Growth > 1.11 || !w.Flat {
		t.Errorf("%+v, %v", w, err)
	}
	list[6].pss = 200
	if w, err := weigh(list, 1000); err != nil || w.Flat {
		t.Errorf("%+v, %v", w, err)
	}
	if _, err := weigh(list[:4], 1000); err == nil {
		t.Error("a stream whose end nobody saw was weighed")
	}
}

// A real hub, built from this module, is filled and read in both ways.
func TestStream(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts a hub")
	}
	var r streamReport
	reported(t, &r, "stream", "--statements", "20000", "--root", "../..")
	if r.Statements != 20_000 || r.Filled <= 0 || len(r.Ways) != 2 || r.Ways[0].Way != "export" || r.Ways[1].Way != "pages" {
		t.Fatalf("%+v", r)
	}
	for _, w := range r.Ways {
		if w.PerSecond <= 0 || w.Idle < 1<<20 || w.Least < 1<<20 || w.Most < w.Least || w.Growth <= 0 || w.Flat != (w.Growth <= flatGoal) {
			t.Errorf("%+v", w)
		}
	}
}

func TestStreamRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--statements 10":                         "at least --batch",
		"--statements 1000000000000":              "set TMPDIR",
		"--database-owner-url postgres://x":       "leave --database-owner-url out",
		"--statements 500 --root /no/such/module": "build cmd/lrshub",
	} {
		if _, err := lrsbench(t, append([]string{"stream"}, strings.Fields(args)...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
