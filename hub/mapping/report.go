package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/lrshub/lrshub/hub/mapping/compare"
	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/plugins/contract"
)

// Result is what became of one fixture.
type Result struct {
	Name        string
	Scored      bool // there is an expectation
	Exact       bool // equal in every field
	ExactButIDs bool // equal but for statement ids, which the hub gives
	Semantic    bool // equal in all that says what happened
	Differences []compare.Difference
	Err         error // the record was refused or could not be converted
	Invalid     error // a statement that was made is not valid xAPI
	Statements  []json.RawMessage
	Person      Person
	Note        string
}

// OK says whether the result is as expected, in meaning, and valid.
func (r Result) OK() bool { return (!r.Scored || r.Semantic) && r.Invalid == nil }

// Report is what a folder of fixtures says of a mapping.
type Report struct {
	Mapping string   `json:"mapping"` // name and version
	Results []Result `json:"results"`
}

// Test converts the records of a folder of fixtures (see readFixtures) and compares the statements with those expected.
// Statements are compared by meaning (package compare) and checked to be valid xAPI 1.0.3. The error says that the
// mapping or the folder cannot be read at all.
func Test(document []byte, streams []contract.Stream, folder fs.FS, params map[string]any) (*Report, error) {
	set, cases, err := readFixtures(folder)
	if err != nil {
		return nil, err
	}
	m, err := Load(document, streams, WithParams(set.params(document, params)))
	if err != nil {
		return nil, err
	}
	report := &Report{Mapping: m.name + " " + m.version}
	for i := range cases {
		report.Results = append(report.Results, m.test(&cases[i], streams))
	}
	return report, nil
}

func (m *Mapping) test(f *fixture, streams []contract.Stream) Result {
	r := Result{Name: f.name, Scored: f.scored}
	r.Statements, r.Person, r.Err = m.convertFixture(f, streams)
	for i, s := range r.Statements {
		if _, err := xapi.Parse(s, xapi.V1); err != nil && r.Invalid == nil {
			r.Invalid = fmt.Errorf("statement %d: %w", i, err)
		}
	}
	if !f.scored {
		return r
	}
	want, unnamed := f.want, false
	if f.unsound {
		r.Note = "compared with a mended expectation: the published one is not valid xAPI"
		want = nil
		for _, w := range f.want {
			mended, without, err := compare.Repair(w)
			if err != nil {
				r.Err = err
				return r
			}
			want, unnamed = append(want, mended), unnamed || without
		}
	}
	var refusal *EvalError
	typed := errors.As(r.Err, &refusal)
	switch {
	case f.refused || unnamed && r.Err != nil:
		r.Semantic = typed && (f.reason == "" || f.reason == refusal.Reason)
		r.Exact, r.ExactButIDs = r.Semantic, r.Semantic
		return r
	case r.Err != nil:
		return r
	}
	var differences []compare.Difference
	if f.want != nil || f.person == nil { // a case may be about the person only
		var err error
		if differences, err = compare.Statements(want, r.Statements); err != nil {
			r.Err = err
			return r
		}
	}
	if f.person != nil {
		differences = append(differences, comparePeople(*f.person, r.Person)...)
	}
	r.Differences = differences
	r.Exact = len(differences) == 0 && !f.unsound
	r.ExactButIDs = compare.OnlyIDs(differences) && !f.unsound
	r.Semantic = len(compare.Semantic(differences)) == 0
	return r
}

// convertFixture gives a case's statements, with ids made up by position, and what it says of its subject.
func (m *Mapping) convertFixture(f *fixture, streams []contract.Stream) ([]json.RawMessage, Person, error) {
	name := f.stream
	if name == "" {
		for _, s := range m.order {
			if m.Converts(s) || m.Tells(s) && name == "" {
				name = s
			}
		}
	}
	e, err := m.Begin(name, f.record)
	if err != nil {
		return nil, Person{}, err
	}
	for {
		needs, err := e.Needs()
		if err != nil {
			return nil, Person{}, err
		}
		if len(needs) == 0 {
			break
		}
		for _, need := range needs {
			found, err := f.find(need, streamNamed(streams, need.Stream))
			if err != nil {
				return nil, Person{}, err
			}
			if err := e.Supply(need.Name, found...); err != nil {
				return nil, Person{}, err
			}
		}
	}
	made, err := e.Statements()
	if err != nil {
		return nil, Person{}, err
	}
	var all []json.RawMessage
	for _, out := range made {
		all = append(all, out.WithIDs(func(position int) string { return fmt.Sprintf("00000000-0000-5000-8000-%012d", position) }))
	}
	said, err := e.Person()
	return all, said, err
}

// comparePeople compares facts and claims place by place.
func comparePeople(want, got Person) []compare.Difference {
	var all []compare.Difference
	add := func(list string, n int, text func(i int) (string, string)) {
		for i := range n {
			if w, g := text(i); w != g {
				all = append(all, compare.Difference{Path: fmt.Sprintf("person.%s[%d]", list, i), Want: w, Got: g})
			}
		}
	}
	add("facts", max(len(want.Facts), len(got.Facts)), func(i int) (string, string) { return jsonAt(want.Facts, i), jsonAt(got.Facts, i) })
	add("claims", max(len(want.Claims), len(got.Claims)), func(i int) (string, string) { return jsonAt(want.Claims, i), jsonAt(got.Claims, i) })
	return all
}

// jsonAt writes an element in one form; "" where there is none.
func jsonAt[T any](list []T, i int) string {
	if i >= len(list) {
		return ""
	}
	text, err := json.Marshal(list[i])
	if err != nil {
		return err.Error()
	}
	canonical := jsontext.Value(text)
	if err := canonical.Canonicalize(); err != nil {
		return err.Error()
	}
	return string(canonical)
}

func streamNamed(streams []contract.Stream, name string) contract.Stream {
	for _, s := range streams {
		if s.Name == name {
			return s
		}
	}
	return contract.Stream{Name: name}
}

// Scores counts the results with an expectation and how many of them are equal.
func (r *Report) Scores() (scored, semantic, exactButIDs, exact int) {
	for _, result := range r.Results {
		if !result.Scored {
			continue
		}
		scored++
		if result.Semantic && result.Invalid == nil {
			semantic++
		}
		if result.ExactButIDs && result.Invalid == nil {
			exactButIDs++
		}
		if result.Exact && result.Invalid == nil {
			exact++
		}
	}
	return scored, semantic, exactButIDs, exact
}

// OK says whether every result is as expected.
func (r *Report) OK() bool {
	for _, result := range r.Results {
		if !result.OK() {
			return false
		}
	}
	return true
}

// String gives the report as people read it: the cases that fail with what differs, then the scores.
func (r *Report) String() string {
	var b strings.Builder
	for _, result := range r.Results {
		if result.OK() {
			continue
		}
		fmt.Fprintf(&b, "FAIL %s\n", result.Name)
		if result.Note != "" {
			fmt.Fprintf(&b, "     (%s)\n", result.Note)
		}
		if result.Err != nil {
			fmt.Fprintf(&b, "     %v\n", result.Err)
		}
		if result.Invalid != nil {
			fmt.Fprintf(&b, "     not valid xAPI: %v\n", result.Invalid)
		}
		for _, d := range compare.Semantic(result.Differences) {
			fmt.Fprintf(&b, "     %s\n", d)
		}
	}
	scored, semantic, butIDs, exact := r.Scores()
	fmt.Fprintf(&b, "%s: %d of %d fixtures equal in meaning, %d equal but for statement ids, %d equal in every field",
		r.Mapping, semantic, scored, butIDs, exact)
	if rest := len(r.Results) - scored; rest > 0 {
		fmt.Fprintf(&b, "; %d without an expectation", rest)
	}
	return b.String() + "\n"
}

// MarshalJSON writes the errors as texts.
func (r Result) MarshalJSON() ([]byte, error) {
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	return json.Marshal(struct {
		Name        string               `json:"name"`
		OK          bool                 `json:"ok"`
		Scored      bool                 `json:"scored"`
		Semantic    bool                 `json:"semantic"`
		ExactButIDs bool                 `json:"exact_but_ids"`
		Exact       bool                 `json:"exact"`
		Note        string               `json:"note,omitempty"`
		Error       string               `json:"error,omitempty"`
		Invalid     string               `json:"invalid,omitempty"`
		Differences []compare.Difference `json:"differences,omitempty"`
		Statements  []json.RawMessage    `json:"statements,omitempty"`
		Person      Person               `json:"person,omitzero"`
	}{r.Name, r.OK(), r.Scored, r.Semantic, r.ExactButIDs, r.Exact, r.Note, text(r.Err), text(r.Invalid), r.Differences, r.Statements, r.Person})
}
