package xapi

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// sharedData gives a path of the data that lies beside the repository, or skips the test.
func sharedData(tb testing.TB, path ...string) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		tb.Fatal("no go.mod above the test")
	}
	found := filepath.Join(append([]string{dir, "..", "shared", "data"}, path...)...)
	if _, err := os.Stat(found); err != nil {
		tb.Skipf("external test data is not at hand: %v", err)
	}
	return found
}

// videoStatements reads the corpus of video statements, one JSON text each.
func videoStatements(tb testing.TB) [][]byte {
	tb.Helper()
	file, err := os.Open(sharedData(tb, "statements", "fun-mooc-video.ndjson.gz"))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		tb.Fatal(err)
	}
	var lines [][]byte
	scanner := bufio.NewScanner(plain)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, bytes.Clone(scanner.Bytes()))
	}
	if err := scanner.Err(); err != nil {
		tb.Fatal(err)
	}
	return lines
}

func TestVideoStatementsParse(t *testing.T) {
	lines := videoStatements(t)
	if len(lines) < 20_000 {
		t.Fatalf("only %d statements in the corpus", len(lines))
	}
	for i, line := range lines {
		for _, v := range []Version{V1, V2} {
			st, err := Parse(line, v)
			if err != nil {
				t.Fatalf("statement %d under %v: %v", i, v, err)
			}
			wantRoundTrip(t, st)
		}
	}
}

func TestPublishedStatementsParse(t *testing.T) {
	for _, set := range []string{"edx", "moodle"} {
		t.Run(set, func(t *testing.T) {
			problems := knownProblems(t, set)
			files, err := filepath.Glob(filepath.Join(sharedData(t, "fixtures", set, "open"), "*", "expected.json"))
			if err != nil || len(files) < 40 {
				t.Fatalf("%d files, %v", len(files), err)
			}
			for _, file := range files {
				id := filepath.Base(filepath.Dir(file))
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				batch, err := ParseBatch(raw, V1, 100)
				switch {
				case problems[id] && err == nil:
					t.Errorf("%s: accepted, but its statements are known to be invalid", id)
				case !problems[id] && err != nil:
					t.Errorf("%s: %v", id, err)
				}
				for _, st := range batch {
					wantRoundTrip(t, st)
				}
			}
		})
	}
}

// knownProblems gives the ids of pairs whose published answer is not valid xAPI.
func knownProblems(t *testing.T, set string) map[string]bool {
	raw, err := os.ReadFile(sharedData(t, "fixtures", set, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Pairs []struct {
			ID       string   `json:"id"`
			Problems []string `json:"expected_spec_problems"`
		} `json:"pairs"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		t.Fatal(err)
	}
	problems := map[string]bool{}
	for _, pair := range index.Pairs {
		problems[pair.ID] = len(pair.Problems) > 0
	}
	return problems
}

// wantRoundTrip holds the law of Split and Join: every part put back gives the same bytes.
func wantRoundTrip(t testing.TB, st *Statement) {
	t.Helper()
	for _, keep := range []func(int) bool{
		func(int) bool { return false },
		func(i int) bool { return st.Agents[i].Role == RoleActor },
		func(i int) bool { return i%2 == 0 },
		func(int) bool { return true },
	} {
		frame, parts := st.Split(keep)
		pieces := make([][]byte, len(parts))
		for i, part := range parts {
			pieces[i] = part.JSON
		}
		joined, err := Join(frame, pieces)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(joined, st.Raw) {
			t.Fatalf("joined:\n%s\nraw:\n%s", joined, st.Raw)
		}
	}
}
