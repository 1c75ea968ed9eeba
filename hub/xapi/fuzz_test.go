package xapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

func addSeeds(f *testing.F) {
	for _, seed := range []string{bare, full, sampleStatement, "[" + bare + "," + sampleStatement + "]", "[]", "{}", "", "null", `{"mbox":"mailto:a@x.example"}`} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
}

func edition(second bool) Version {
	if second {
		return V2
	}
	return V1
}

// wantSound holds what must be true of every statement that Parse accepts, and of every error.
func wantSound(t *testing.T, st *Statement) {
	t.Helper()
	if !json.Valid(st.Raw) {
		t.Fatalf("accepted what is no JSON: %q", st.Raw)
	}
	wantRoundTrip(t, st)
	again, err := Parse(st.Raw, st.Version)
	if err != nil || !bytes.Equal(again.Canonical(), st.Canonical()) {
		t.Fatalf("not the same when read again: %v", err)
	}
	set := finishSet
	set.Version = st.Version.StatementVersion()
	out, err := Finish(st.Raw, set)
	if err != nil {
		t.Fatal(err)
	}
	done, err := Parse(out, st.Version)
	if err != nil {
		t.Fatalf("finished statement is refused: %v\n%s", err, out)
	}
	if !bytes.Equal(done.CanonicalUntimed(), st.CanonicalUntimed()) {
		t.Fatalf("finishing changed the statement:\n%s\n%s", st.Raw, out)
	}
}

func wantKnownError(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Reason == "" || !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrTooLarge) {
		t.Fatalf("%#v is no proper error", err)
	}
}

func FuzzParse(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, raw []byte, second bool) {
		before := bytes.Clone(raw)
		st, err := Parse(raw, edition(second))
		if err != nil {
			wantKnownError(t, err)
		} else {
			wantSound(t, st)
		}
		if !bytes.Equal(raw, before) {
			t.Fatal("the input was changed")
		}
	})
}

func FuzzParseBatch(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, raw []byte, second bool) {
		batch, err := ParseBatch(raw, edition(second), 4)
		if err != nil {
			wantKnownError(t, err)
		}
		if len(batch) > 4 || err != nil && batch != nil {
			t.Fatalf("%d statements, %v", len(batch), err)
		}
		for _, st := range batch {
			wantSound(t, st)
		}
	})
}

func FuzzParseAgent(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, raw []byte, second bool) {
		agent, err := ParseAgent(raw, edition(second))
		if err != nil {
			wantKnownError(t, err)
			return
		}
		if agent.Identifier.IsZero() || agent.Identifier.Canonical() == "" {
			t.Fatalf("accepted without an identifier: %q", raw)
		}
		if _, ok := agent.Identifier.MboxSHA1(); ok != (agent.Identifier.Kind == Mbox) {
			t.Fatal("only an mbox has a hash")
		}
	})
}

// Join and Finish read what a store kept; damage must be an error, never a panic or an endless loop.
func FuzzJoinFinish(f *testing.F) {
	f.Add([]byte("{\"actor\":\x00\x00}"), []byte("{\"member\":[\x00\x01]}"), []byte("{}"))
	f.Add([]byte(full), []byte{}, []byte{0})
	f.Fuzz(func(t *testing.T, frame, first, second []byte) {
		joined, err := Join(frame, [][]byte{first, second})
		if err != nil && !errors.Is(err, ErrMarker) {
			t.Fatal(err)
		}
		if bytes.IndexByte(joined, marker) >= 0 {
			t.Fatal("a marker is left")
		}
		if out, err := Finish(joined, finishSet); err != nil && !errors.Is(err, ErrFinish) {
			t.Fatal(err)
		} else if json.Valid(joined) && err == nil && !json.Valid(out) {
			t.Fatalf("%q became %q", joined, out)
		}
	})
}
