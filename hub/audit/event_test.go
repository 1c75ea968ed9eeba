package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/database"
)

var update = flag.Bool("update", false, "write golden files")

type form string // a named type of an enumeration

// TestCanonicalBytes: the format is for ever; a change here makes every log of the world unverifiable.
func TestCanonicalBytes(t *testing.T) {
	now := time.Date(2025, 10, 26, 3, 0, 0, 123456789, time.FixedZone("CEST", 7200))
	id, err := newID(now, 7, bytes.NewReader(make([]byte, 8)))
	if err != nil {
		t.Fatal(err)
	}
	e := Event{
		ID: id, Kind: StatementRead, Actor: "f47ac10b-58cc-4372-a567-0e02b2c3d479", Purpose: "learning-records",
		Subjects: []uuid.UUID{uuid.MustParse("c2000000-0000-4000-8000-000000000002"), uuid.MustParse("b1000000-0000-4000-8000-000000000001"), uuid.MustParse("c2000000-0000-4000-8000-000000000002")},
		Fields: map[string]any{
			"statements": 250, "form": form("pseudonymised"), "complete": true, "ratio": 0.125, "large": uint64(math.MaxUint64), "negative": int8(-1),
			"grants": []string{"grant-1", "grant-2"}, "policy": []byte{0xde, 0xad, 0xbe, 0xef}, "export": uuid.MustParse("a0000000-0000-4000-8000-000000000000"),
			"empty": []string{}, "sizes": []int64{1, 2}, "until": now, "others": []uuid.UUID{uuid.Max},
		},
	}
	have, err := e.Encode(7, now)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "event.json")
	if *update {
		if err := os.WriteFile(golden, have, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(have)); diff != "" {
		t.Fatalf("canonical bytes (-golden +now):\n%s", diff)
	}
	w, err := Decode(have)
	if err != nil {
		t.Fatal(err)
	}
	if w.Tenant != 7 || w.ID != id || !w.At.Equal(now.Truncate(time.Microsecond)) || len(w.Subjects) != 2 || w.Kind != StatementRead {
		t.Fatalf("decoded %+v", w)
	}
}

// TestEncodingIsAFunctionOfTheEvent: the order of maps and of subjects does not matter, and what goes in comes out.
func TestEncodingIsAFunctionOfTheEvent(t *testing.T) {
	word := rapid.StringMatching(`[A-Za-z0-9._:+=-]{1,40}`)
	rapid.Check(t, func(t *rapid.T) {
		now := time.UnixMicro(rapid.Int64Range(0, 253402300799999999).Draw(t, "now"))
		id := must(NewID(now))
		e := Event{ID: id, Kind: "room." + rapid.StringMatching(`[a-z][a-z0-9_]{0,20}`).Draw(t, "kind"), Actor: word.Draw(t, "actor"), Purpose: word.Draw(t, "purpose"), Fields: map[string]any{}}
		for range rapid.IntRange(0, 5).Draw(t, "subjects") {
			e.Subjects = append(e.Subjects, uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "subject")))
		}
		for range rapid.IntRange(0, 5).Draw(t, "fields") {
			e.Fields[rapid.StringMatching(`[a-z][a-z0-9_]{0,10}`).Draw(t, "name")] = rapid.OneOf(rapid.Int().AsAny(), rapid.Float64().AsAny(), rapid.Bool().AsAny(), word.AsAny()).Draw(t, "value")
		}
		one, err := e.Encode(1, now)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(e.Subjects)
		two := must(e.Encode(1, now.In(time.FixedZone("x", 3600))))
		if !bytes.Equal(one, two) {
			t.Fatalf("%s\n%s", one, two)
		}
		w, err := Decode(one)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(w.Fields, &fields); err != nil || len(fields) != len(e.Fields) {
			t.Fatalf("fields %s: %v", w.Fields, err)
		}
		if w.ID != e.ID || !w.At.Equal(now) || w.Kind != e.Kind || w.Actor != e.Actor || w.Purpose != e.Purpose || w.Tenant != database.TenantID(1) {
			t.Fatalf("%+v became %+v", e, w)
		}
	})
}

func TestGuard(t *testing.T) {
	now := start
	sound := func() Event {
		return Event{ID: must(NewID(now)), Kind: IngestPage, Actor: "sync/default/registrations", Purpose: "", Fields: map[string]any{}}
	}
	if _, err := sound().Encode(1, now); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Event){
		"a mail address":        func(e *Event) { e.Fields["x"] = "anna@example.org" },
		"a name":                func(e *Event) { e.Fields["x"] = "Anna Schmidt" },
		"a name, not ASCII":     func(e *Event) { e.Fields["x"] = "Jörg" },
		"an IRI":                func(e *Event) { e.Fields["x"] = "https://oulad.example/oulad-123" },
		"a long text":           func(e *Event) { e.Fields["x"] = strings.Repeat("a", 129) },
		"a quote":               func(e *Event) { e.Fields["x"] = `a"b` },
		"a line break":          func(e *Event) { e.Fields["x"] = "a\nb" },
		"a name in a list":      func(e *Event) { e.Fields["x"] = []string{"ok", "Anna Schmidt"} },
		"long bytes":            func(e *Event) { e.Fields["x"] = make([]byte, 65) },
		"a long list":           func(e *Event) { e.Fields["x"] = make([]int, 1001) },
		"a list of anything":    func(e *Event) { e.Fields["x"] = []any{1} },
		"a list of lists":       func(e *Event) { e.Fields["x"] = [][]byte{{1}} },
		"a map":                 func(e *Event) { e.Fields["x"] = map[string]any{} },
		"a struct":              func(e *Event) { e.Fields["x"] = struct{ Name string }{"Anna"} },
		"nothing":               func(e *Event) { e.Fields["x"] = nil },
		"no number":             func(e *Event) { e.Fields["x"] = math.NaN() },
		"infinity":              func(e *Event) { e.Fields["x"] = math.Inf(-1) },
		"a field's name":        func(e *Event) { e.Fields["Anna Schmidt"] = 1 },
		"an empty name":         func(e *Event) { e.Fields[""] = 1 },
		"many fields":           func(e *Event) { e.Fields = manyFields(65) },
		"many subjects":         func(e *Event) { e.Subjects = make([]uuid.UUID, MaxSubjects+1) },
		"an actor with a name":  func(e *Event) { e.Actor = "Anna Schmidt" },
		"an actor with an @":    func(e *Event) { e.Actor = "anna@example.org" },
		"no actor":              func(e *Event) { e.Actor = "" },
		"a purpose with text":   func(e *Event) { e.Purpose = "to look at Anna" },
		"a kind of one word":    func(e *Event) { e.Kind = "page" },
		"a kind with an end":    func(e *Event) { e.Kind = "page." },
		"a kind in capitals":    func(e *Event) { e.Kind = "Page.Read" },
		"no kind":               func(e *Event) { e.Kind = "" },
		"an id of another time": func(e *Event) { e.ID = must(NewID(now.Add(time.Millisecond))) },
		"an id that is random":  func(e *Event) { e.ID = uuid.New() },
		"no id":                 func(e *Event) { e.ID = uuid.Nil },
	} {
		e := sound()
		spoil(&e)
		_, err := e.Encode(1, now)
		if !errors.Is(err, ErrInvalidEvent) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, secret := range []string{"Anna", "anna", "Schmidt", "oulad", "Jörg"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error tells the value: %v", name, err)
			}
		}
	}
	for _, at := range []time.Time{{}, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		e := sound()
		if _, err := e.Encode(1, at); !errors.Is(err, ErrInvalidEvent) {
			t.Errorf("time %v: %v", at, err)
		}
	}
}

func manyFields(n int) map[string]any {
	fields := map[string]any{}
	for i := range n {
		fields["f"+strings.Repeat("x", i)] = i
	}
	return fields
}

func TestDecodeRefuses(t *testing.T) {
	for _, text := range []string{"", "{}", "[]", `{"version":2}`, `{"version":1,"name":"Anna"}`, `{"version":1,"id":"Anna"}`} {
		if _, err := Decode([]byte(text)); !errors.Is(err, ErrNotCanonical) || strings.Contains(err.Error(), "Anna") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestIDsFollowTheClockAndTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := time.UnixMicro(rapid.Int64Range(0, 253402300799999999).Draw(t, "a"))
		b := a.Add(time.Duration(rapid.Int64Range(0, 3_000_000).Draw(t, "later")) * time.Microsecond)
		first, second := must(NewID(a)), must(NewID(b))
		if first.Version() != 7 || first.Variant() != uuid.RFC4122 {
			t.Fatalf("%s is version %d, variant %v", first, first.Version(), first.Variant())
		}
		if bytes.Compare(first[:], second[:]) >= 0 {
			t.Fatalf("%s is not before %s", first, second)
		}
		if !idAt(first, a) || idAt(first, a.Add(time.Millisecond)) {
			t.Fatalf("%s is not of its time", first)
		}
		if floor := idFloor(a); bytes.Compare(floor[:], first[:]) > 0 {
			t.Fatalf("floor %s is above %s", floor, first)
		}
	})
}
