package logstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// folder is a made-up Moodle's exports.
type folder struct {
	t      *testing.T
	dir    string
	config Config
	cursor []byte
}

func newFolder(t *testing.T) *folder {
	f := &folder{t: t, dir: t.TempDir()}
	f.config = Config{Folder: f.dir}
	if err := f.config.Validate(); err != nil {
		t.Fatal(err)
	}
	f.write("mdl_user.csv", "id,firstname,lastname,username,email,phone1\n3,Ada,Berg,ada,ada@school.example,555\n4,\"Bo \"\"B\"\"\",Dahl,bo,bo@school.example,\n")
	f.write("course.jsonl", `{"id":1,"fullname":"School","lang":"en"}`+"\n"+`{"id":"20","fullname":"Biology","lang":"sv","summary":"x"}`+"\n")
	f.write("mdl_course_modules.csv", "id,course,module,instance,section,added\n7,20,5,70,9,1\n")
	f.write("mdl_course_sections.csv", "id,course,section,name\n8,20,1,a\n9,20,2,\\N")
	f.write("mdl_modules.csv", "id,name,visible\n5,quiz,1\n")
	f.write("mdl_quiz.csv", "id,name,intro,password\n70,Cells,\"<p>two\nlines</p>\",secret\n")
	return f
}

func (f *folder) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

const header = "id,eventname,component,contextlevel,objecttable,objectid,contextinstanceid,userid,courseid,relateduserid,other,timecreated,ip\n"

// viewed is a row of the log.
func viewed(id int) string {
	return fmt.Sprintf("%d,\\mod_quiz\\event\\course_module_viewed,mod_quiz,70,quiz,70,7,%d,20,\\N,N;,%d,192.0.2.7\n", id, 3+id%2, 1700000000+id)
}

func rowsFrom(from, to int) string {
	var b strings.Builder
	for id := from; id <= to; id++ {
		b.WriteString(viewed(id))
	}
	return b.String()
}

func (f *folder) try() (*sdktest.Result, error) {
	f.t.Helper()
	config, err := json.Marshal(f.config)
	if err != nil {
		f.t.Fatal(err)
	}
	got, err := sdktest.Read(f.t.Context(), reader{}, sdktest.Session(string(config), nil, nil), sdk.Request{Stream: "log", Cursor: f.cursor, PageRecords: 3})
	if n := len(got.Cursors); n > 0 {
		f.cursor = got.Cursors[n-1]
	}
	return got, err
}

// reader is the part of the connector that this package is.
type reader struct{ sdk.Connector }

func (reader) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	var c Config
	if err := json.Unmarshal(s.Config, &c); err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return err
	}
	return Read(ctx, c, r, out)
}

func (f *folder) want(what string, want ...int) *sdktest.Result {
	f.t.Helper()
	got, err := f.try()
	if err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
	var ids []int
	for _, text := range got.Records {
		var r struct{ Event struct{ ID int } }
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			f.t.Fatal(err)
		}
		ids = append(ids, r.Event.ID)
	}
	if !slices.Equal(ids, want) {
		f.t.Errorf("%s: rows %v, want %v", what, ids, want)
	}
	return got
}

// TestJoin: a row comes with the rows that it refers to, and with no column beside those that are brought.
func TestJoin(t *testing.T) {
	f := newFolder(t)
	f.write("mdl_logstore_standard_log.csv", header+viewed(2))
	got := f.want("first", 2)
	const want = `{"event":{"component":"mod_quiz","contextinstanceid":7,"courseid":20,"eventname":"\\mod_quiz\\event\\course_module_viewed",` +
		`"id":2,"objectid":70,"objecttable":"quiz","other":"N;","timecreated":1700000002,"userid":3},` +
		`"data":{"course":[{"fullname":"School","id":1,"lang":"en"},{"fullname":"Biology","id":"20","lang":"sv","summary":"x"}],` +
		`"course_modules":[{"course":"20","id":7,"instance":"70","module":"5","section":"9"}],` +
		`"course_sections":[{"course":"20","id":9,"section":"2"}],"modules":[{"id":5,"name":"quiz"}],` +
		`"quiz":[{"id":70,"intro":"<p>two\nlines</p>","name":"Cells"}],"user":[{"firstname":"Ada","id":3,"lastname":"Berg"}]}}`
	if unescaped := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(got.Records[0]); unescaped != want {
		t.Errorf("got  %s\nwant %s", unescaped, want)
	}
	no := false
	f.config.Names, f.config.Identify, f.cursor = &no, "email", nil
	if got := f.want("by e-mail", 2); !strings.Contains(got.Records[0], `"user":[{"email":"ada@school.example","id":3}]`) {
		t.Errorf("by e-mail: %s", got.Records[0])
	}
}

// TestGrowth: a growing file, a file that follows, overlapping exports, a file that is replaced: every row comes once, in order.
func TestGrowth(t *testing.T) {
	f := newFolder(t)
	f.write("mdl_logstore_standard_log-1.csv", header+rowsFrom(1, 7))
	f.want("first", 1, 2, 3, 4, 5, 6, 7)
	f.want("nothing new")
	f.write("mdl_logstore_standard_log-1.csv", header+rowsFrom(1, 9)+strings.TrimSuffix(viewed(10), "7\n"))
	f.want("grown, the last row is being written", 8, 9)
	f.write("mdl_logstore_standard_log-1.csv", header+rowsFrom(1, 10))
	f.write("mdl_logstore_standard_log-2.csv", header+rowsFrom(5, 12))
	f.want("overlapping", 10, 11, 12)
	f.write("mdl_logstore_standard_log-2.csv", header+rowsFrom(12, 14))
	f.want("replaced by a shorter one", 13, 14)
	if err := os.Remove(filepath.Join(f.dir, "mdl_logstore_standard_log-2.csv")); err != nil {
		t.Fatal(err)
	}
	f.write("mdl_logstore_standard_log-3.jsonl", `{"id":"15","eventname":"\\core\\event\\course_viewed","userid":"3","courseid":"20","objectid":null,"timecreated":"1700000015"}`+"\n"+`{"id":16,`)
	got := f.want("JSON lines", 15)
	if !strings.Contains(got.Records[0], `"id":15,"timecreated":1700000015,"userid":3}`) {
		t.Errorf("numbers of ids: %s", got.Records[0])
	}
}

// TestBadRows: broken rows are told once, with places and without values, and reading goes on.
func TestBadRows(t *testing.T) {
	f := newFolder(t)
	f.write("logstore_standard_log.csv", header+viewed(1)+"2,private\n"+strings.Replace(viewed(3), "3,", "x,", 1)+viewed(4)+
		strings.Replace(viewed(5), "mod_quiz,", "mod\xff,", 1)+"6,private\n")
	got := f.want("broken", 1, 4)
	var reasons []string
	for _, b := range got.Bad {
		reasons = append(reasons, b.Reason)
		if strings.Contains(b.Position+b.Reason, "private") || !strings.Contains(b.Position, "logstore_standard_log.csv at byte") {
			t.Errorf("%s: %s", b.Position, b.Reason)
		}
	}
	want := []string{"not a row: 2 fields, the header has 13", "the row has no id", "not a row: column component is not UTF-8", "not a row: 2 fields, the header has 13"}
	if !slices.Equal(reasons, want) {
		t.Errorf("reasons %q", reasons)
	}
	if again := f.want("again"); len(again.Bad) > 0 {
		t.Errorf("told again: %v", again.Bad)
	}
}

// TestRefused: what cannot be read in order is said to be so.
func TestRefused(t *testing.T) {
	f := newFolder(t)
	f.write("logstore_standard_log.csv", header+viewed(5)+viewed(4))
	var e *sdk.Error
	if _, err := f.try(); !errors.As(err, &e) || e.Class != sdk.ClassData || !strings.Contains(e.Message, "ORDER BY id") {
		t.Errorf("out of order: %v", err)
	}
	f.cursor = []byte("x")
	if _, err := f.try(); !errors.As(err, &e) || e.Class != sdk.ClassCursorExpired {
		t.Errorf("cursor: %v", err)
	}
	f.config.Log = "nothing*"
	if err := Check(t.Context(), f.config); !errors.As(err, &e) || e.Class != sdk.ClassConfig {
		t.Errorf("no log: %v", err)
	}
	f.config.Log = "*log*"
	os.Remove(filepath.Join(f.dir, "mdl_modules.csv"))
	if err := Check(t.Context(), f.config); !errors.As(err, &e) || !strings.Contains(e.Message, "lacks exports of these tables: modules") {
		t.Errorf("no table: %v", err)
	}
	f.write("modules.csv", "id,name\n")
	f.write("logstore_standard_log.csv", "id,eventname\n")
	if err := Check(t.Context(), f.config); !errors.As(err, &e) || !strings.Contains(e.Message, "no column userid") {
		t.Errorf("no column: %v", err)
	}
	f.write("logstore_standard_log.csv", header+viewed(1))
	if err := Check(t.Context(), f.config); err != nil {
		t.Errorf("good: %v", err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(f.dir, "mdl_choice.csv")); err != nil {
		t.Fatal(err)
	}
	s, err := open(f.config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.find("choice", "id", "1", func() {}); err == nil {
		t.Error("a link led out of the folder")
	}
}
