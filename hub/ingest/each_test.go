package ingest

import (
	"errors"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

func several(t testing.TB) {
	before := runtime.GOMAXPROCS(4)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func TestEachDoesEveryIndexOnce(t *testing.T) {
	several(t)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 500).Draw(t, "n")
		done := make([]int, n)
		if err := each(n, func(i int) error { done[i]++; return nil }); err != nil {
			t.Fatal(err)
		}
		for i, times := range done {
			if times != 1 {
				t.Fatalf("index %d of %d was done %d times", i, n, times)
			}
		}
	})
}

func TestEachGivesTheFirstError(t *testing.T) {
	several(t)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 500).Draw(t, "n")
		bad := rapid.MapOf(rapid.IntRange(0, n-1), rapid.Just(true)).Draw(t, "bad")
		errs := make([]error, n)
		var first error
		for i := range errs {
			if bad[i] {
				if errs[i] = errors.New("bad"); first == nil {
					first = errs[i]
				}
			}
		}
		if err := each(n, func(i int) error { return errs[i] }); err != first {
			t.Fatalf("got %v of another index than the first of %v", err, bad)
		}
	})
}

func TestEachBringsAPanicToItsCaller(t *testing.T) {
	several(t)
	defer func() {
		if p := recover(); p != "here" {
			t.Errorf("recovered %v", p)
		}
	}()
	_ = each(200, func(i int) error {
		if i == 77 {
			panic("here")
		}
		return nil
	})
	t.Error("each returned")
}
