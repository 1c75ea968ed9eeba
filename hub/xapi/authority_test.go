package xapi

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A statement whose authority is cut is the one that its bytes give when they are parsed, and differs from what was sent in nothing else.
func TestLawWithoutAuthority(t *testing.T) {
	cut := 0
	rapid.Check(t, func(t *rapid.T) {
		tree, v := generated(t)
		st := parsed(t, spelling(t, tree), v)
		got := st.WithoutAuthority()
		if !st.Authority.IsZero() {
			cut++
		}
		if diff := cmp.Diff(parsed(t, string(got.Raw), v), got); diff != "" {
			t.Fatalf("%s\n%s", diff, got.Raw)
		}
		if !got.Authority.IsZero() || !bytes.Equal(st.Canonical(), got.Canonical()) {
			t.Fatalf("%s\n%s", st.Raw, got.Raw)
		}
	})
	if cut == 0 {
		t.Error("no statement had an authority")
	}
}

func TestWithoutAuthority(t *testing.T) {
	const actor, rest = `"actor":{"mbox":"mailto:a@x.example"}`, `"verb":{"id":"https://verbs.example/met"},"object":{"objectType":"Group","member":[{"mbox":"mailto:b@x.example"}]}`
	const authority = `"authority" : {"objectType":"Group","member":[{"mbox":"mailto:o@x.example"},{"mbox":"mailto:p@x.example"}]}`
	for name, c := range map[string]struct{ raw, want string }{
		"first":  {`{ ` + authority + ` , ` + actor + `,` + rest + `}`, `{  ` + actor + `,` + rest + `}`},
		"middle": {`{` + actor + `,` + authority + `,` + rest + `}`, `{` + actor + `,` + rest + `}`},
		"last":   {`{` + actor + `,` + rest + ` , ` + authority + ` }`, `{` + actor + `,` + rest + `  }`},
		"none":   {`{` + actor + `,` + rest + `}`, `{` + actor + `,` + rest + `}`},
	} {
		got := parsed(t, c.raw, V1).WithoutAuthority()
		if string(got.Raw) != c.want {
			t.Errorf("%s: %s, want %s", name, got.Raw, c.want)
		}
		if diff := cmp.Diff(parsed(t, c.want, V1), got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		wantRoundTrip(t, got)
	}
}
