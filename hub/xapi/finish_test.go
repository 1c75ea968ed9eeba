package xapi

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

var finishSet = Set{
	ID: uuid.MustParse("9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1aff"), Stored: time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC),
	Authority: []byte(`{"account":{"homePage":"https://hub.example","name":"c"}}`), Version: "1.0.0",
}

func TestFinish(t *testing.T) {
	const (
		id        = `"id":"9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1aff"`
		stored    = `"stored":"2026-03-04T05:06:07.000008Z"`
		timestamp = `"timestamp":"2026-03-04T05:06:07.000008Z"`
		authority = `"authority":{"account":{"homePage":"https://hub.example","name":"c"}}`
		version   = `"version":"1.0.0"`
	)
	timed, unauthorised := finishSet, finishSet
	timed.Timestamp = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	unauthorised.Authority = nil
	for _, c := range []struct {
		name, raw string
		set       Set
		want      string
	}{
		{"all missing", `{"actor":1}`, finishSet, `{"actor":1,` + id + `,` + timestamp + `,` + stored + `,` + authority + `,` + version + `}`},
		{"empty", ` { } `, finishSet, ` { ` + id + `,` + timestamp + `,` + stored + `,` + authority + `,` + version + `}`},
		{"timestamp given", `{"a":1}`, timed, `{"a":1,` + id + `,"timestamp":"2025-01-01T00:00:00.000000Z",` + stored + `,` + authority + `,` + version + `}`},
		{"none missing", `{"stored":"x", "id":"i","version":"v","authority":{"a":[{}]} ,"timestamp":"t"}`, finishSet,
			`{"stored":"2026-03-04T05:06:07.000008Z", "id":"i","version":"v","authority":{"a":[{}]} ,"timestamp":"t"}`},
		{"the same instant", `{"stored":"2026-03-04T06:06:07.0000081+01:00","id":"i","version":"v","timestamp":"t"}`, unauthorised,
			`{"stored":"2026-03-04T06:06:07.0000081+01:00","id":"i","version":"v","timestamp":"t"}`},
		{"authority kept", `{"id":"i","timestamp":"t","version":"v","authority":{"a":1}}`, unauthorised, `{"id":"i","timestamp":"t","version":"v","authority":{"a":1},` + stored + `}`},
		{"authority left out", `{"id":"i","timestamp":"t","version":"v"}`, unauthorised, `{"id":"i","timestamp":"t","version":"v",` + stored + `}`},
		{"escaped names", `{"\u0069d":"i","timestamp":"t","version":"v"}`, unauthorised, `{"\u0069d":"i","timestamp":"t","version":"v",` + stored + `}`},
		{"names inside do not count", `{"x":{"id":1,"stored":2,"authority":3},"y":"\"}","z":[{"version":"]"}]}`, finishSet,
			`{"x":{"id":1,"stored":2,"authority":3},"y":"\"}","z":[{"version":"]"}],` + id + `,` + timestamp + `,` + stored + `,` + authority + `,` + version + `}`},
		{"single context activities", `{"context":{"contextActivities":{"parent":{"id":"p"},"other":[{"id":"o"}], "category" : {"id":"}"} }},"id":"i","timestamp":"t","version":"v"}`, unauthorised,
			`{"context":{"contextActivities":{"parent":[{"id":"p"}],"other":[{"id":"o"}], "category" : [{"id":"}"}] }},"id":"i","timestamp":"t","version":"v",` + stored + `}`},
		{"single context activities of a sub-statement", `{"object":{"context":{"contextActivities":{"parent":{"id":"p"}}}},"id":"i","timestamp":"t","version":"v"}`, unauthorised,
			`{"object":{"context":{"contextActivities":{"parent":[{"id":"p"}]}}},"id":"i","timestamp":"t","version":"v",` + stored + `}`},
		{"extensions stay", `{"context":{"extensions":{"contextActivities":{"parent":{}}}},"id":"i","timestamp":"t","version":"v"}`, unauthorised,
			`{"context":{"extensions":{"contextActivities":{"parent":{}}}},"id":"i","timestamp":"t","version":"v",` + stored + `}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Finish([]byte(c.raw), c.set)
			if err != nil || string(got) != c.want {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, c.want)
			}
		})
	}
}

func TestFinishRefuses(t *testing.T) {
	for _, raw := range []string{"", "1", "[]", "{", `{"a"`, `{"a"}`, `{"a":`, `{"a":}`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a":1 "b":2}`, `{"a":[}`, `{a:1}`, `{"a":1}x`, `{"a":1}{}`, `{"a":"`, `{"a`, `{"a":{]`, `{"context":{"a"}}`} {
		if got, err := Finish([]byte(raw), finishSet); !errors.Is(err, ErrFinish) {
			t.Errorf("%q: got %q, %v", raw, got, err)
		}
	}
	for name, set := range map[string]Set{
		"no id":      {Stored: finishSet.Stored, Version: "1.0.0"},
		"no stored":  {ID: finishSet.ID, Version: "1.0.0"},
		"no version": {ID: finishSet.ID, Stored: finishSet.Stored},
	} {
		if _, err := Finish([]byte(bare), set); !errors.Is(err, ErrFinish) || !strings.Contains(err.Error(), name[3:]) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A finished statement is valid, equal to what it was made of, and says what the store set.
func TestLawFinish(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, v := generated(t)
		st := parsed(t, spelling(t, tree), v)
		out, err := Finish(st.Raw, finishSet)
		if err != nil {
			t.Fatal(err)
		}
		done := parsed(t, string(out), v)
		if string(done.CanonicalUntimed()) != string(st.CanonicalUntimed()) {
			t.Fatalf("not equal:\n%s\n%s", st.Raw, out)
		}
		want := Statement{ID: finishSet.ID, HasID: true, Timestamp: finishSet.Stored, Stored: finishSet.Stored, VersionText: "1.0.0"}
		if st.HasID {
			want.ID = st.ID
		}
		if !st.Timestamp.IsZero() {
			want.Timestamp = st.Timestamp
		}
		got := Statement{ID: done.ID, HasID: done.HasID, Timestamp: done.Timestamp, Stored: done.Stored, VersionText: done.VersionText}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		authority := string(finishSet.Authority)
		if !st.Authority.IsZero() {
			authority = part(st, st.Authority)
		}
		if !strings.HasSuffix(part(done, done.Authority), authority) {
			t.Fatalf("authority is %s", part(done, done.Authority))
		}
		again, err := Finish(out, finishSet)
		if err != nil || string(again) != string(out) {
			t.Fatalf("finished twice: %v\n%s\n%s", err, out, again)
		}
		wantArrays(t, out)
	})
}

// wantArrays holds that every context activity is given as an array (Data 2.4.6.2).
func wantArrays(t *rapid.T, statement []byte) {
	type context struct {
		ContextActivities map[string]json.RawMessage `json:"contextActivities"`
	}
	var s struct {
		Context context
		Object  struct{ Context context }
	}
	if err := json.Unmarshal(statement, &s); err != nil {
		t.Fatal(err)
	}
	for _, c := range []context{s.Context, s.Object.Context} {
		for role, activities := range c.ContextActivities {
			if activities[0] != '[' {
				t.Fatalf("%s is no array", role)
			}
		}
	}
}
