package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/lrshub/lrshub/plugins/contract"
)

// ErrFixtures says that a folder of fixtures cannot be read.
var ErrFixtures = errors.New("invalid fixtures")

// fixture is one case: a record, what it looks up, and what is expected of it.
type fixture struct {
	name    string
	stream  string
	record  []byte
	lookups map[string][]json.RawMessage // records by stream
	want    []json.RawMessage
	scored  bool // there is an expectation
	refused bool // a typed error is expected
	reason  string
	unsound bool    // the expectation itself is not valid xAPI and has to be mended first
	person  *Person // what the record says of its subject; nil: nothing is expected
}

// fixtureSet is what a folder says of all its cases: fixtures.yaml, or the index.json of a published set.
type fixtureSet struct {
	Stream string         `yaml:"stream"`
	Params map[string]any `yaml:"params"`

	environment map[string]any
	index       map[string]indexPair
}

type indexPair struct {
	ID       string   `json:"id"`
	Outcome  string   `json:"outcome"`
	Problems []string `json:"expected_spec_problems"`
}

// readFixtures finds the cases under a folder: every folder with an input.json. Beside it may stand expected.json (a
// statement, a list of them, or {"refused": REASON} for a record that must be refused), person.json (facts and claims), lookups.json (a list of records
// for each stream) and, at the top, fixtures.yaml (stream, params) or index.json (converter_environment, pairs).
func readFixtures(folder fs.FS) (*fixtureSet, []fixture, error) {
	set := &fixtureSet{index: map[string]indexPair{}}
	if err := set.readIndex(folder); err != nil {
		return nil, nil, err
	}
	if text, err := fs.ReadFile(folder, "fixtures.yaml"); err == nil {
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(set); err != nil {
			return nil, nil, fmt.Errorf("%w: fixtures.yaml: %w", ErrFixtures, err)
		}
	}
	var all []fixture
	err := fs.WalkDir(folder, ".", func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "input.json" {
			return err
		}
		stream, err := streamBelow(folder, path.Dir(at))
		if err != nil {
			return err
		}
		f, err := set.read(folder, path.Dir(at))
		if err != nil {
			return err
		}
		if stream != "" {
			f.stream = stream
		}
		all = append(all, f)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrFixtures, err)
	}
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("%w: no folder with an input.json; make one folder for each case", ErrFixtures)
	}
	slices.SortFunc(all, func(a, b fixture) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	return set, all, nil
}

// streamBelow gives the stream that the nearest fixtures.yaml below the top says for a case: fixtures of several streams lie in a folder each.
func streamBelow(folder fs.FS, at string) (string, error) {
	for ; at != "."; at = path.Dir(at) {
		text, err := fs.ReadFile(folder, path.Join(at, "fixtures.yaml"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		var part struct {
			Stream string `yaml:"stream"`
		}
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&part); err != nil || part.Stream == "" {
			return "", fmt.Errorf("%w: %s/fixtures.yaml: a folder of its own says only for which stream its cases are; parameters stand at the top", ErrFixtures, at)
		}
		return part.Stream, nil
	}
	return "", nil
}

func (s *fixtureSet) readIndex(folder fs.FS) error {
	text, err := fs.ReadFile(folder, "index.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: index.json: %w", ErrFixtures, err)
	}
	var index struct {
		Environment map[string]any `json:"converter_environment"`
		Pairs       []indexPair    `json:"pairs"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return fmt.Errorf("%w: index.json: %w", ErrFixtures, err)
	}
	s.environment = index.Environment
	for _, pair := range index.Pairs {
		s.index[pair.ID] = pair
	}
	return nil
}

func (s *fixtureSet) read(folder fs.FS, at string) (fixture, error) {
	f := fixture{name: path.Base(at), stream: s.Stream}
	var err error
	if f.record, err = fs.ReadFile(folder, path.Join(at, "input.json")); err != nil {
		return f, err
	}
	f.lookups = map[string][]json.RawMessage{}
	if text, err := fs.ReadFile(folder, path.Join(at, "lookups.json")); err == nil {
		if err := json.Unmarshal(text, &f.lookups); err != nil {
			return f, fmt.Errorf("%s/lookups.json: %w", at, err)
		}
	}
	if err := f.readPerson(folder, path.Join(at, "person.json")); err != nil {
		return f, err
	}
	pair, indexed := s.index[f.name]
	f.refused, f.unsound = pair.Outcome == "error", len(pair.Problems) > 0
	text, err := fs.ReadFile(folder, path.Join(at, "expected.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.scored = f.refused || f.person != nil
		return f, nil
	case err != nil:
		return f, err
	}
	f.scored = !indexed || pair.Outcome != "none"
	return f, f.expect(at, text)
}

// readPerson reads person.json, if there is one.
func (f *fixture) readPerson(folder fs.FS, at string) error {
	text, err := fs.ReadFile(folder, at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f.person); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// expect reads expected.json.
func (f *fixture) expect(at string, text []byte) error {
	text = bytes.TrimSpace(text)
	if bytes.HasPrefix(text, []byte("[")) {
		if err := json.Unmarshal(text, &f.want); err != nil {
			return fmt.Errorf("%s/expected.json: %w", at, err)
		}
		return nil
	}
	var refusal struct {
		Refused *string         `json:"refused"`
		Verb    json.RawMessage `json:"verb"`
	}
	if err := json.Unmarshal(text, &refusal); err != nil {
		return fmt.Errorf("%s/expected.json: %w", at, err)
	}
	if refusal.Refused != nil && refusal.Verb == nil {
		f.refused, f.reason = true, *refusal.Refused
		return nil
	}
	f.want = []json.RawMessage{text}
	return nil
}

// params puts together what the fixtures and the caller set. The environment of a published set gives the parameters
// that name it (`environment:` in the document) their values.
func (s *fixtureSet) params(document []byte, given map[string]any) map[string]any {
	all := map[string]any{}
	r := &reading{}
	if doc := r.readDocument(document); doc != nil {
		for _, p := range doc.params {
			if value, ok := s.environment[p.environment]; ok && p.environment != "" {
				all[p.name] = value
			}
		}
	}
	for name, value := range s.Params {
		all[name] = value
	}
	for name, value := range given {
		all[name] = value
	}
	return all
}

// find gives the records that a lookup asks for among a case's.
func (f *fixture) find(need LookupRequest, stream contract.Stream) ([][]byte, error) {
	var found [][]byte
	for i, record := range f.lookups[need.Stream] {
		key, err := keyOf(record, need.By)
		if err != nil {
			return nil, fmt.Errorf("lookups.json, %s, record %d: %w", stream.Name, i, err)
		}
		if bytes.Equal(key, need.Key) {
			found = append(found, record)
		}
	}
	return found, nil
}

// keyOf gives the key that a record's fields make.
func keyOf(record []byte, paths []string) ([]byte, error) {
	values := make([]any, 0, len(paths))
	for _, p := range paths {
		at := json.RawMessage(record)
		for _, name := range contract.SplitPath(p) {
			var object map[string]json.RawMessage
			if err := json.Unmarshal(at, &object); err != nil || object[name] == nil {
				return nil, fmt.Errorf("no field %s", p)
			}
			at = object[name]
		}
		var text string
		if json.Unmarshal(at, &text) == nil {
			values = append(values, text)
			continue
		}
		values = append(values, json.Number(at))
	}
	return contract.Key(values...)
}
