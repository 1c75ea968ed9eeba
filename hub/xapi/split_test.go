package xapi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplit(t *testing.T) {
	const raw = `{"actor":{"mbox":"mailto:a@x.example"},"verb":{"id":"https://verbs.example/met"},"object":{"objectType":"Group","openid":"https://x.example/g",` +
		`"member":[{"mbox":"mailto:b@x.example"},{"mbox":"mailto:c@x.example"}]},"context":{"team":{"objectType":"Group","member":[{"mbox":"mailto:d@x.example"}]}}}`
	st, err := Parse([]byte(raw), V1)
	if err != nil {
		t.Fatal(err)
	}
	frame, parts := st.Split(func(i int) bool { return st.Agents[i].Role == RoleActor })
	wantFrame := `{"actor":{"mbox":"mailto:a@x.example"},"verb":{"id":"https://verbs.example/met"},"object":` + "\x00\x00" +
		`,"context":{"team":{"objectType":"Group","member":[` + "\x00\x03" + `]}}}`
	if string(frame) != wantFrame {
		t.Errorf("frame %q, want %q", frame, wantFrame)
	}
	want := []Part{
		{1, []byte(`{"objectType":"Group","openid":"https://x.example/g","member":[` + "\x00\x01,\x00\x02" + `]}`)},
		{2, []byte(`{"mbox":"mailto:b@x.example"}`)},
		{3, []byte(`{"mbox":"mailto:c@x.example"}`)},
		{5, []byte(`{"mbox":"mailto:d@x.example"}`)},
	}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Error(diff)
	}

	tombstone := []byte(`{"account":{"homePage":"https://hub.example","name":"erased"}}`)
	joined, err := Join(frame, [][]byte{tombstone, parts[1].JSON, parts[2].JSON, tombstone})
	wantJoined := strings.Replace(raw, `{"objectType":"Group","openid":"https://x.example/g","member":[{"mbox":"mailto:b@x.example"},{"mbox":"mailto:c@x.example"}]}`, string(tombstone), 1)
	wantJoined = strings.Replace(wantJoined, `{"mbox":"mailto:d@x.example"}`, string(tombstone), 1)
	if err != nil || string(joined) != wantJoined {
		t.Errorf("joined %s, %v, want %s", joined, err, wantJoined)
	}
}

// Slots above 127 take more than one byte.
func TestSplitManyMembers(t *testing.T) {
	var members []string
	for i := range 1000 {
		members = append(members, fmt.Sprintf(`{"mbox":"mailto:m%d@x.example"}`, i))
	}
	st, err := Parse(edited(t, bare, `/actor={"objectType":"Group","mbox":"mailto:g@x.example","member":[`+strings.Join(members, ",")+`]}`), V1)
	if err != nil {
		t.Fatal(err)
	}
	wantRoundTrip(t, st)
	frame, parts := st.Split(func(i int) bool { return i == 0 })
	if len(parts) != 1000 || bytes.Count(frame, []byte{marker}) < 1000 {
		t.Errorf("%d parts", len(parts))
	}
}

func TestJoinRefuses(t *testing.T) {
	at := func(slot uint64) string { return string(binary.AppendUvarint([]byte{marker}, slot)) }
	for _, c := range []struct {
		name, frame string
		parts       []string
		reason      string
	}{
		{"no such slot", "[" + at(1) + "]", []string{"{}"}, "slot 1 of 1"},
		{"no parts", "[" + at(0) + "]", nil, "slot 0 of 0"},
		{"huge slot", "[" + at(1<<63) + "]", []string{"{}"}, "of 1"},
		{"cut off", "[\x00", []string{"{}"}, "cut off"},
		{"cut off later", "[\x00\x80", []string{"{}"}, "cut off"},
		{"overlong", "[\x00" + strings.Repeat("\xff", 11), []string{"{}"}, "cut off"},
		{"used twice", at(0) + at(0), []string{"{}"}, "used twice"},
		{"used twice, inside", at(0) + at(1), []string{at(1), "{}"}, "used twice"},
		{"inside itself", at(0), []string{at(0)}, "inside slot 0"},
		{"circle", at(0), []string{at(1), at(0)}, "slot 0 inside slot 1"},
		{"empty part", at(0), []string{""}, "empty"},
		{"bad part", at(0), []string{"\x00"}, "cut off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var parts [][]byte
			for _, part := range c.parts {
				parts = append(parts, []byte(part))
			}
			joined, err := Join([]byte(c.frame), parts)
			if !errors.Is(err, ErrMarker) || !strings.Contains(err.Error(), c.reason) || joined != nil {
				t.Errorf("got %q, %v, want ...%s...", joined, err, c.reason)
			}
		})
	}
}
