package contract

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

func TestStreamValidate(t *testing.T) {
	list := func(f Field) *Field { return &f }
	good := Stream{
		Name: "s", Key: []string{"id", "who.login"}, Subject: "who.login", Deletes: DeletesAbsence, Mode: Snapshot,
		Fields: []Field{
			{Name: "id", Type: Int}, {Name: "who", Type: Object, Fields: []Field{{Name: "login", Type: String}}},
			{Name: "items", Type: List, Elem: list(Field{Type: Map, Elem: list(Field{Type: Any})})},
		},
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		want   string
		change func(*Stream)
	}{
		{"name has 1 to 200", func(s *Stream) { s.Name = "" }},
		{"without a name", func(s *Stream) { s.Fields = append(s.Fields, Field{Type: Int}) }},
		{`two fields named "id"`, func(s *Stream) { s.Fields = append(s.Fields, Field{Name: "id", Type: Int}) }},
		{`not "text"`, func(s *Stream) { s.Fields = append(s.Fields, Field{Name: "x", Type: "text"}) }},
		{"a list has elem", func(s *Stream) { s.Fields = append(s.Fields, Field{Name: "x", Type: List}) }},
		{"an object has fields", func(s *Stream) { s.Fields = append(s.Fields, Field{Name: "x", Type: Object, Elem: &Field{Type: Int}}) }},
		{"have parts", func(s *Stream) { s.Fields = append(s.Fields, Field{Name: "x", Type: Int, Elem: &Field{Type: Int}}) }},
		{`key field "no"`, func(s *Stream) { s.Key = []string{"no"} }},
		{"reached through objects only", func(s *Stream) { s.Key = []string{"items.id"} }},
		{"reached through objects only", func(s *Stream) { s.Key = []string{"who"} }},
		{`subject field "who.no"`, func(s *Stream) { s.Subject = "who.no" }},
		{"needs a key", func(s *Stream) { s.Key = nil }},
		{"deletes is none", func(s *Stream) { s.Deletes = "sometimes" }},
		{"mode is incremental", func(s *Stream) { s.Mode = "both" }},
		{"deeper than", func(s *Stream) {
			f := &Field{Type: Int}
			for range 40 {
				f = &Field{Type: List, Elem: f}
			}
			s.Fields = append(s.Fields, Field{Name: "deep", Type: List, Elem: f})
		}},
	}
	for _, test := range tests {
		s := good
		s.Fields = append([]Field(nil), good.Fields...)
		test.change(&s)
		if err := s.Validate(); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
	text, err := json.Marshal(good)
	var back Stream
	if err != nil || json.Unmarshal(text, &back) != nil || !reflect.DeepEqual(back, good) {
		t.Errorf("a stream does not survive JSON: %s, %v", text, err)
	}
}

func TestLookup(t *testing.T) {
	s := Stream{Name: "s", Fields: []Field{
		{Name: "who", Type: Object, Fields: []Field{{Name: "login", Type: String}}},
		{Name: "items", Type: List, Elem: &Field{Type: Object, Fields: []Field{{Name: "points", Type: Int}}}},
		{Name: "tags", Type: Map, Elem: &Field{Type: Bool}},
		{Name: "extra", Type: Any},
		{Name: "dotted.name", Type: Double},
	}}
	for path, want := range map[string]Type{
		"who": Object, "who.login": String, "items": List, "items.points": Int, "tags": Map, "tags.a": Bool,
		"extra": Any, "extra.a.b": Any, `dotted\.name`: Double, "who.no": "", "no": "", "who.login.x": "", "dotted.name": "", "": "",
	} {
		if f, ok := s.Lookup(path); f.Type != want || ok != (want != "") {
			t.Errorf("%q: %s, %t; want %s", path, f.Type, ok, want)
		}
	}
}

func TestPathLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringMatching(`[a.\\é]{1,6}`), 1, 5).Draw(t, "parts")
		if got := SplitPath(JoinPath(parts...)); !reflect.DeepEqual(got, parts) {
			t.Fatalf("%q became %q", parts, got)
		}
	})
}

func TestKey(t *testing.T) {
	for want, values := range map[string][]any{
		`[]`:                           nil,
		`["a",1,2.5,true]`:             {"a", 1, 2.5, true},
		`["é","\"","<","\u0001","\n"]`: {"é", `"`, "<", "\x01", "\n"},
		`[9007199254740993,18446744073709551615,-1]`: {int64(9007199254740993), uint64(math.MaxUint64), int32(-1)},
		`[1.50,"é"]`: {json.Number("1.50"), jsontext.Value(`"\u00e9"`)},
	} {
		if got, err := Key(values...); err != nil || string(got) != want {
			t.Errorf("%v: %s, %v; want %s", values, got, err, want)
		}
	}
	for _, value := range []any{nil, []int{1}, map[string]int{}, math.NaN(), json.Number("PRIVATE"), jsontext.Value("null"), jsontext.Value(`{"PRIVATE":1}`), "\xff"} {
		if got, err := Key(value); !errors.Is(err, ErrKey) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%T: %s, %v; want ErrKey", value, got, err)
		}
	}
}

// TestKeyLaw: however a string is escaped in a record, its key is the same.
func TestKeyLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		want, err := Key(text)
		if err != nil {
			t.Skip("not UTF-8")
		}
		escaped, _ := json.Marshal(text) // escapes more than is needed
		got, err := Key(jsontext.Value(escaped))
		if err != nil || string(got) != string(want) {
			t.Fatalf("%s, %v; want %s", got, err, want)
		}
	})
}

func TestDescriptionValidate(t *testing.T) {
	good := Description{
		Name: "lms", Version: "1.2.3", ConfigSchema: `{}`, Hosts: []string{"lms.example", "*.files.example:8443", "http://127.0.0.1:80"},
		Auth: []Auth{{Kind: AuthBearer, Secret: "token", Host: "lms.example"}}, Streams: []Stream{{Name: "a"}, {Name: "b"}},
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Description){
		"short and lower case": func(d *Description) { d.Name = "My LMS" },
		"names no version":     func(d *Description) { d.Version = "" },
		"is not JSON":          func(d *Description) { d.ConfigSchema = "{" },
		"not negative":         func(d *Description) { d.Rate = -1 },
		"a host is like":       func(d *Description) { d.Hosts = []string{"lms.example/path"} },
		"must name its host":   func(d *Description) { d.Auth = []Auth{{Kind: AuthBearer, Secret: "t"}} },
		"not among hosts":      func(d *Description) { d.Auth = []Auth{{Kind: AuthBearer, Secret: "t", Host: "other"}} },
		"names no secret":      func(d *Description) { d.Auth = []Auth{{Kind: AuthBearer, Host: "lms.example"}} },
		"needs a name":         func(d *Description) { d.Auth = []Auth{{Kind: AuthHeader, Secret: "t", Host: "lms.example"}} },
		"auth kind is":         func(d *Description) { d.Auth = []Auth{{Kind: "magic", Secret: "t", Host: "lms.example"}} },
		"is dialled": func(d *Description) {
			d.Hosts, d.Auth = []string{"tcp://lms.example:22"}, []Auth{{Kind: AuthBearer, Secret: "token", Host: "tcp://lms.example:22"}}
		},
		`two streams`: func(d *Description) { d.Streams = []Stream{{Name: "a"}, {Name: "a"}} },
	} {
		d := good
		change(&d)
		if err := d.Validate(); !errors.Is(err, ErrDescription) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestHostPatterns(t *testing.T) {
	tests := []struct {
		pattern, scheme, host, port string
		want                        bool
	}{
		{"lms.example", "https", "lms.example", "443", true},
		{"LMS.example", "https", "lms.example", "443", true},
		{"lms.example", "http", "lms.example", "80", false},
		{"lms.example", "https", "lms.example", "8443", false},
		{"lms.example", "https", "a.lms.example", "443", false},
		{"lms.example", "https", "evil-lms.example", "443", false},
		{"lms.example:8443", "https", "lms.example", "8443", true},
		{"http://lms.example", "http", "lms.example", "80", true},
		{"http://lms.example", "https", "lms.example", "443", false},
		{"*.lms.example", "https", "a.b.lms.example", "443", true},
		{"*.lms.example", "https", "lms.example", "443", false},
		{"*.lms.example", "https", "evillms.example", "443", false},
		{"[::1]:80", "https", "::1", "80", true},
		{"tcp://files.example:22", "tcp", "files.example", "22", true},
		{"tcp://files.example:22", "tcp", "files.example", "2222", false},
		{"tcp://files.example:443", "https", "files.example", "443", false},
		{"files.example:22", "tcp", "files.example", "22", false},
	}
	for _, test := range tests {
		p, err := ParseHost(test.pattern)
		if err != nil || p.Allows(test.scheme, test.host, test.port) != test.want {
			t.Errorf("%s for %s://%s:%s: want %t (%v)", test.pattern, test.scheme, test.host, test.port, test.want, err)
		}
	}
	for _, bad := range []string{"", "*", "*.org", "a/b", "u@host", "a b", "http://", "host?q", "ftp://host", "tcp://host", "tcp://*.example.org:22"} {
		if _, err := ParseHost(bad); err == nil {
			t.Errorf("%q is no host", bad)
		}
	}
}
