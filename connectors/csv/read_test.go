package csv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// folder makes a folder that holds the files, and a config for results.csv.
func folder(t *testing.T, files map[string]string, settings string) (string, *sdk.Session) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	if settings == "" {
		settings = `"key":["course","person"],"subject":"person","deletes":"absence","columns":{"course":"string","person":"int","score":"double","passed":"bool"}`
	}
	return dir, sdktest.Session(fmt.Sprintf(`{"folder":%q,"files":[{"stream":"result","file":"results.csv",%s}]}`, dir, settings), nil, nil)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s *sdk.Session, r sdk.Request) *sdktest.Result {
	t.Helper()
	r.Stream = "result"
	got, err := sdktest.Read(context.Background(), New(), s, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range got.Records {
		if !json.Valid([]byte(record)) {
			t.Fatalf("not JSON: %s", record)
		}
	}
	return got
}

func last(t *testing.T, r *sdktest.Result) []byte {
	t.Helper()
	if len(r.Cursors) == 0 {
		t.Fatal("the read left no cursor")
	}
	return r.Cursors[len(r.Cursors)-1]
}

// badness tells bad rows as "code position reason".
func badness(r *sdktest.Result) []string {
	var all []string
	for _, b := range r.Bad {
		all = append(all, b.Code+" "+b.Position+" "+b.Reason)
	}
	return all
}

func TestReadValues(t *testing.T) {
	_, s := folder(t, map[string]string{"results.csv": "\xef\xbb\xbfremark,person,course,score,passed\r\n" +
		"never read,7,B1,78.50,yes\r\n" +
		"\"two\nlines\",+008,\"B \"\"2\"\"\",.5,0\r\n" +
		"\xff,-9,Füße\\\t,,\r\n" +
		"x, 9223372036854775807 ,B4,1e3,TRUE"}, "")
	got := read(t, s, sdk.Request{})
	want := []string{
		`{"course":"B1","passed":true,"person":7,"score":78.50}`,
		`{"course":"B \"2\"","passed":false,"person":8,"score":0.5}`,
		`{"course":"Füße\\\t","passed":null,"person":-9,"score":null}`,
		`{"course":"B4","passed":true,"person":9223372036854775807,"score":1e3}`,
	}
	if diff := cmp.Diff(want, got.Records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"results.csv:2", "results.csv:3", "results.csv:5", "results.csv:6"}, got.Positions); diff != "" {
		t.Errorf("positions (-want +got):\n%s", diff)
	}
	if !got.SnapshotComplete || len(got.Bad) != 0 {
		t.Errorf("complete %v, bad %v", got.SnapshotComplete, badness(got))
	}
}

func TestReadOnlyWantedFields(t *testing.T) {
	_, s := folder(t, map[string]string{"results.csv": "course,person,score,passed\nB1,7,78,not a bool\n"}, "")
	got := read(t, s, sdk.Request{Fields: []string{"score"}})
	if diff := cmp.Diff([]string{`{"course":"B1","person":7,"score":78}`}, got.Records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if got := read(t, s, sdk.Request{Fields: []string{"score", "passed"}, Cursor: last(t, got)}); len(got.Bad) != 1 {
		t.Errorf("with other fields the unchanged file was not read again")
	}
}

func TestReadSettings(t *testing.T) {
	_, s := folder(t, map[string]string{"results.csv": "Pr\xfcfling Nr.;Note\n7;\x80 1,3\n"},
		`"delimiter":";","encoding":"windows-1252","columns":[{"name":"person","header":"Prüfling Nr.","type":"int"},{"name":"mark","header":"Note"}]`)
	got := read(t, s, sdk.Request{})
	if diff := cmp.Diff([]string{`{"person":7,"mark":"€ 1,3"}`}, got.Records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if got.SnapshotComplete {
		t.Error("a stream without deletes reported a complete snapshot")
	}
}

func TestReadBadRows(t *testing.T) {
	for name, tt := range map[string]struct{ row, want string }{
		"too few cells":    {"B1,7,secret", `bad_record results.csv:2 the row has 3 cells, the header names 4 columns`},
		"too many cells":   {"B1,7,1,0,secret", `bad_record results.csv:2 the row has 5 cells, the header names 4 columns`},
		"not UTF-8":        {"sec\xff,7,1,0", `bad_record results.csv:2 column "course" is not valid utf-8`},
		"not an int":       {"B1,secret,1,0", `bad_record results.csv:2 column "person" does not hold a value of type int`},
		"fraction":         {"B1,7.0,1,0", `bad_record results.csv:2 column "person" does not hold a value of type int`},
		"int too large":    {"B1,9223372036854775808,1,0", `bad_record results.csv:2 column "person" does not hold a value of type int`},
		"only a sign":      {"B1,-,1,0", `bad_record results.csv:2 column "person" does not hold a value of type int`},
		"not a number":     {"B1,7,NaN,0", `bad_record results.csv:2 column "score" does not hold a value of type double`},
		"infinite":         {"B1,7,1e999,0", `bad_record results.csv:2 column "score" does not hold a value of type double`},
		"hexadecimal":      {"B1,7,0x10,0", `bad_record results.csv:2 column "score" does not hold a value of type double`},
		"not a bool":       {"B1,7,1,secret", `bad_record results.csv:2 column "passed" does not hold a value of type bool`},
		"no key":           {"B1,,1,0", `bad_record results.csv:2 column "person" is empty but is part of the key`},
		"stray quote":      {"B1,7,1\",0", `bad_record results.csv:2 a quote is not closed, or stands within a cell that does not begin with one`},
		"quote left open":  {"\"B1,7,1,0", `bad_record results.csv:2 a quote is not closed, or stands within a cell that does not begin with one`},
		"large row":        {"B1,7,1," + strings.Repeat("x", 2000), `too_large results.csv:2 the row has more than 1000 bytes`},
		"large quoted row": {"\"" + strings.Repeat("x,", 2000) + "\",7,1,0", `too_large results.csv:2 the row has more than 1000 bytes`},
		"large record":     {strings.Repeat("\x01", 900) + ",7,1,0", `too_large results.csv:2 the record made of the row has more than 1000 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := folder(t, map[string]string{"results.csv": "course,person,score,passed\n" + tt.row + "\nB2,8,2,1\n"}, "")
			got := read(t, s, sdk.Request{MaxRecord: 1000})
			if diff := cmp.Diff([]string{tt.want}, badness(got)); diff != "" {
				t.Errorf("bad (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{`{"course":"B2","passed":true,"person":8,"score":2}`}, got.Records); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if got.SnapshotComplete {
				t.Error("a row that could not be read would pass for one that is gone")
			}
		})
	}
}

func TestReadRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		files    map[string]string
		settings string
		want     []string
	}{
		"no column":    {map[string]string{"results.csv": "course,score,passed,Person\n"}, "", []string{"results.csv", `"person"`, `did you mean "Person"?`}},
		"no file":      {map[string]string{"Results.csv": "course\n", "anna.csv": ""}, "", []string{"results.csv does not exist", "holds 2 CSV files", `did you mean "Results.csv"?`}},
		"twice":        {map[string]string{"results.csv": "course,person,score,passed,score\n"}, "", []string{"results.csv", `more than one column named "score"`}},
		"empty":        {map[string]string{"results.csv": ""}, "", []string{"results.csv has no header"}},
		"UTF-16":       {map[string]string{"results.csv": "\xff\xfec\x00"}, "", []string{"results.csv is in UTF-16"}},
		"delimiter":    {map[string]string{"results.csv": "course;person;score;passed\n"}, "", []string{`is "," the file's delimiter?`}},
		"open header":  {map[string]string{"results.csv": "course,\"person\nB,7\n"}, "", []string{"first line of file results.csv", "quote"}},
		"misspelt":     {nil, `"columms":{"a":"int"}`, []string{`unknown field "columms"`}},
		"no columns":   {nil, `"key":[]`, []string{"files[0]", `"result"`, "columns is empty"}},
		"type":         {nil, `"columns":{"a":"date"}`, []string{`column "a"`, `"date"`, "string, int, double or bool"}},
		"key":          {nil, `"columns":{"a":"int"},"key":["b"]`, []string{`key field "b"`}},
		"subject":      {nil, `"columns":{"a":"int"},"subject":"b"`, []string{`subject field "b"`}},
		"no key":       {nil, `"columns":{"a":"int"},"deletes":"absence"`, []string{"needs a key"}},
		"deletes":      {nil, `"columns":{"a":"int"},"deletes":"tombstone"`, []string{"none or absence"}},
		"encoding":     {nil, `"columns":{"a":"int"},"encoding":"utf-16"`, []string{"utf-8, iso-8859-1 or windows-1252"}},
		"long delim":   {nil, `"columns":{"a":"int"},"delimiter":"||"`, []string{"one ASCII character"}},
		"name":         {nil, `"columns":{"a b":"int"}`, []string{`"a b"`, "header"}},
		"column twice": {nil, `"columns":[{"name":"a"},{"name":"a"}]`, []string{`two fields named "a"`}},
		"outside":      {nil, `"file":"../results.csv","columns":{"a":"int"}`, []string{"within the folder"}},
		"absolute":     {nil, `"file":"/etc/passwd","columns":{"a":"int"}`, []string{"within the folder"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := folder(t, tt.files, tt.settings)
			checked := New().Check(context.Background(), s)
			_, got := sdktest.Read(context.Background(), New(), s, sdk.Request{Stream: "result"})
			for _, err := range []error{checked, got} {
				var e *sdk.Error
				if !errors.As(err, &e) || e.Class != sdk.ClassConfig {
					t.Fatalf("error %v is not of class config", err)
				}
				for _, want := range tt.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error %q does not say %q", err, want)
					}
				}
			}
		})
	}
}

func TestCheckNamesAllThatIsWrong(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.csv"), "x,z\n")
	s := sdktest.Session(fmt.Sprintf(`{"folder":%q,"files":[
		{"stream":"a","file":"a.csv","columns":{"y":"int","z":"int"}},{"stream":"b","file":"b.csv","columns":{"y":"int"}}]}`, dir), nil, nil)
	err := New().Check(context.Background(), s)
	if err == nil || !strings.Contains(err.Error(), `a.csv has no column "y" among its 2`) || strings.Contains(err.Error(), `"x"`) || !strings.Contains(err.Error(), "b.csv does not exist") {
		t.Errorf("error %v does not name both files", err)
	}
	write(t, filepath.Join(dir, "a.csv"), "secret-7,12\n")
	if err := New().Check(context.Background(), s); err == nil || !strings.Contains(err.Error(), "does its first line, of 2 cells, name the columns?") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a file without its header: %v", err)
	}
	write(t, filepath.Join(dir, "a.csv"), "y,z\n")
	write(t, filepath.Join(dir, "b.csv"), "y,z\n")
	if err := New().Check(context.Background(), s); err != nil {
		t.Errorf("a sound folder: %v", err)
	}
	s.Config = []byte(strings.ReplaceAll(string(s.Config), dir, filepath.Join(dir, "nowhere")))
	if err := New().Check(context.Background(), s); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "nowhere")) {
		t.Errorf("error %v does not name the folder", err)
	}
}

func TestReadStaysInFolder(t *testing.T) {
	dir, s := folder(t, nil, "")
	outside := filepath.Join(t.TempDir(), "outside.csv")
	write(t, outside, "course,person,score,passed\nB1,7,1,1\n")
	if err := os.Symlink(outside, filepath.Join(dir, "results.csv")); err != nil {
		t.Fatal(err)
	}
	if got, err := sdktest.Read(context.Background(), New(), s, sdk.Request{Stream: "result"}); err == nil {
		t.Errorf("a link led out of the folder: %d records", len(got.Records))
	}
}

// TestReadLargeCell: a 50 MB cell costs no more memory than the record limit allows.
func TestReadLargeCell(t *testing.T) {
	for name, quote := range map[string]string{"plain": "", "quoted": `"`} {
		t.Run(name, func(t *testing.T) {
			dir, s := folder(t, nil, "")
			f, err := os.Create(filepath.Join(dir, "results.csv"))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(f, "course,person,score,passed\nB1,7,1,1\n%s", quote)
			for range 50 {
				f.WriteString(strings.Repeat("x", 1<<20))
			}
			fmt.Fprintf(f, "%s,8,1,1\nB3,9,1,1\n", quote)
			f.Close()

			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := read(t, s, sdk.Request{})
			runtime.ReadMemStats(&after)
			if diff := cmp.Diff([]string{"too_large results.csv:3 the row has more than 16777216 bytes"}, badness(got)); diff != "" {
				t.Errorf("bad (-want +got):\n%s", diff)
			}
			if len(got.Records) != 2 || got.Positions[1] != "results.csv:4" {
				t.Errorf("records %v", got.Records)
			}
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 80 { // buffers of 1/4, 1/2, ... 32 MiB
				t.Errorf("allocated %d MiB", mib)
			}
		})
	}
}

// at makes a session whose clock is far from any file's time, so that the times of files prove something.
func at(s *sdk.Session, later time.Duration) *sdk.Session {
	c := *s
	c.Now = func() time.Time { return time.Now().Add(later) }
	return &c
}
