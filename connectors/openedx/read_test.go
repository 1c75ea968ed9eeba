package openedx

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// site is a folder of logs and a connection to it that keeps its cursor.
type site struct {
	t      *testing.T
	dir    string
	s      *sdk.Session
	cursor []byte
}

func newSite(t *testing.T, settings string) *site {
	dir := t.TempDir()
	return &site{t: t, dir: dir, s: sdktest.Session(fmt.Sprintf(`{"folder":%q%s}`, dir, settings), nil, nil)}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) append(name, text string) {
	s.t.Helper()
	f, err := os.OpenFile(s.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) rename(from, to string) {
	s.t.Helper()
	if err := os.Rename(s.path(from), s.path(to)); err != nil {
		s.t.Fatal(err)
	}
}

// gzip packs a file as gzip(1) does: the packed file takes its place.
func (s *site) gzip(name string) {
	s.t.Helper()
	text, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+".gz", zipped(text))
	if err := os.Remove(s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

func zipped[T string | []byte](text T) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

// read runs a read to its end and keeps its last cursor.
func (s *site) read(r sdk.Request) *sdktest.Result {
	s.t.Helper()
	got, err := s.try(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s *site) try(r sdk.Request) (*sdktest.Result, error) {
	s.t.Helper()
	r.Stream, r.Cursor = "event", s.cursor
	got, err := sdktest.Read(context.Background(), New(), s.s, r)
	if n := len(got.Cursors); n > 0 {
		s.cursor = got.Cursors[n-1]
	}
	return got, err
}

// wantNumbers fails unless the read brought events of these numbers, in any order of files but once each.
func (s *site) wantNumbers(what string, want ...int) {
	s.t.Helper()
	got := s.read(sdk.Request{PageRecords: 2})
	if diff := cmp.Diff(want, numbers(s.t, got), cmpopts.SortSlices(func(a, b int) bool { return a < b })); diff != "" {
		s.t.Errorf("%s: events (-want +got):\n%s", what, diff)
	}
	if len(got.Bad) > 0 {
		s.t.Errorf("%s: bad %v", what, badness(got))
	}
}

func numbers(t *testing.T, r *sdktest.Result) []int {
	t.Helper()
	var all []int
	for _, record := range r.Records {
		var e struct{ N int }
		if err := json.Unmarshal([]byte(record), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e.N)
	}
	return all
}

func badness(r *sdktest.Result) []string {
	var all []string
	for _, b := range r.Bad {
		all = append(all, b.Code+" "+b.Position+" "+b.Reason)
	}
	return all
}

// events makes lines of events with numbers from first to last.
func events(first, last int) string {
	var b strings.Builder
	for n := first; n <= last; n++ {
		fmt.Fprintf(&b, `{"username": "u%d", "n": %d, "event_type": "x", "event": "{\"a\": 1}", "context": {"user_id": %d}, "time": "2024-02-0%dT10:00:%02d.5+00:00"}`+"\n", n%7, n, n%7, 1+n%9, n%60)
	}
	return b.String()
}

func TestGrowth(t *testing.T) {
	s := newSite(t, "")
	s.write("tracking.log", events(1, 3))
	s.wantNumbers("first read", 1, 2, 3)
	if got := s.read(sdk.Request{}); len(got.Events) != len(got.Records) && len(got.Cursors) > 0 {
		t.Error("an unchanged log left a new cursor")
	}
	line := events(4, 4)
	s.append("tracking.log", line[:len(line)/2])
	s.wantNumbers("half a line")
	s.append("tracking.log", line[len(line)/2:len(line)-1])
	s.wantNumbers("a line without its end", 4)
	s.append("tracking.log", "\n"+events(5, 6))
	s.wantNumbers("more lines", 5, 6)
	if got := s.read(sdk.Request{Full: true}); len(got.Records) != 6 {
		t.Errorf("full read: %d events", len(got.Records))
	}
}

func TestRotation(t *testing.T) {
	s := newSite(t, "")
	s.write("tracking.log", events(1, 3))
	s.wantNumbers("first read", 1, 2, 3)

	s.append("tracking.log", events(4, 4))
	s.rename("tracking.log", "tracking.log-20240201")
	s.write("tracking.log", events(5, 5))
	s.wantNumbers("renamed, new file", 4, 5)

	s.append("tracking.log-20240201", events(6, 6)) // by a process that has not reopened the log yet
	s.append("tracking.log", events(7, 7))
	s.wantNumbers("both grew", 6, 7)

	s.gzip("tracking.log-20240201")
	s.wantNumbers("gzipped")
	s.wantNumbers("gzipped, again")

	s.append("tracking.log", events(8, 8))
	s.rename("tracking.log", "tracking.log-20240202")
	s.gzip("tracking.log-20240202")
	s.rename("tracking.log-20240201.gz", "tracking.log-old.gz")
	s.write("tracking.log", "")
	s.wantNumbers("renamed and gzipped at once", 8)

	s.write("tracking.log-20240203.gz", zipped(events(20, 29)))
	s.wantNumbers("a gzip file never seen before", 20, 21, 22, 23, 24, 25, 26, 27, 28, 29)

	s.write("tracking.log", events(30, 31)) // copytruncate: the old content is copied, the file begins anew
	s.wantNumbers("before the copy", 30, 31)
	s.write("tracking.log-20240204", events(30, 32))
	s.write("tracking.log", events(33, 33))
	s.wantNumbers("copied and truncated", 32, 33)
}

// TestPlainAndGzipSideBySide: a gzip copy of a log that goes on growing hides none of its new lines.
func TestPlainAndGzipSideBySide(t *testing.T) {
	s := newSite(t, "")
	s.write("tracking.log", events(1, 3))
	s.write("tracking.log.backup.gz", zipped(events(1, 3)))
	s.wantNumbers("both new", 1, 2, 3)
	s.wantNumbers("again")
	s.append("tracking.log", events(4, 4))
	s.wantNumbers("grown", 4)
	s.write("tracking.log.backup.gz", zipped(events(1, 6)))
	s.wantNumbers("the copy knows more", 5, 6)
}

func TestSameFirstLine(t *testing.T) {
	s := newSite(t, "")
	s.write("tracking.log.a", events(1, 1)+events(2, 4))
	s.write("tracking.log.b", events(1, 1)+events(5, 9))
	s.wantNumbers("two logs that begin alike", 1, 2, 3, 4, 1, 5, 6, 7, 8, 9)
	s.wantNumbers("again")
	s.append("tracking.log.a", events(10, 10))
	s.append("tracking.log.b", events(11, 11))
	s.gzip("tracking.log.b")
	got := s.read(sdk.Request{})
	if len(got.Records) != 2 {
		t.Errorf("events %v, want 10 and 11", numbers(t, got))
	}
}

func TestGzipBeingWritten(t *testing.T) {
	s := newSite(t, "")
	packed := zipped(events(1, 400))
	s.write("tracking.log.gz", packed[:len(packed)/2])
	part := s.read(sdk.Request{})
	if len(part.Bad) > 0 || len(part.Records) >= 400 {
		t.Fatalf("cut off: %d events, bad %v", len(part.Records), badness(part))
	}
	s.write("tracking.log.gz", packed)
	rest := s.read(sdk.Request{})
	if n := len(part.Records) + len(rest.Records); n != 400 {
		t.Errorf("%d + %d events", len(part.Records), len(rest.Records))
	}
	s.wantNumbers("again")
}

func TestDamagedGzip(t *testing.T) {
	for name, damage := range map[string]func([]byte){
		"checksum": func(b []byte) { b[len(b)-6] ^= 1 },
		"start":    func(b []byte) { copy(b[10:], "\xff\xff\xff\xff") },
		"header":   func(b []byte) { b[2] = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "")
			packed := []byte(zipped(events(1, 400)))
			damage(packed)
			s.write("tracking.log.1.gz", string(packed))
			s.write("tracking.log", events(500, 500))
			first := s.read(sdk.Request{})
			if len(first.Bad) != 1 || !strings.Contains(first.Bad[0].Reason, "damaged") {
				t.Fatalf("bad %v", badness(first))
			}
			s.wantNumbers("reported once")
			s.write("tracking.log.1.gz", zipped(events(1, 400)))
			second := s.read(sdk.Request{})
			seen := make(map[string]bool)
			for _, record := range append(first.Records, second.Records...) {
				seen[record] = true
			}
			if len(seen) != 401 {
				t.Errorf("after repair %d events of 401", len(seen))
			}
		})
	}
}

func TestLines(t *testing.T) {
	const syslog = `Mar 11 07:07:53 host [service_variant=lms][tracking][env:none] INFO [host  15877] [logger.py:41] - `
	for name, tt := range map[string]struct {
		settings, line string
		record, bad    string
	}{
		"plain":              {"", `{"a": 1}`, `{"a": 1}`, ""},
		"CRLF":               {"", "{\"a\": 1} \r", `{"a": 1}`, ""},
		"event as text":      {"", `{"event": "{\"a\": [1, 2]}"}`, `{"event": "{\"a\": [1, 2]}"}`, ""},
		"syslog":             {"", syslog + `{"a": 1}`, `{"a": 1}`, ""},
		"prefix given":       {`,"prefix":"[^|]*\\| "`, `{not this} | {"a": 1}`, `{"a": 1}`, ""},
		"other prefix":       {`,"prefix":"[0-9]+ "`, `x {"a": 1}`, "", "the line does not begin as the configured prefix says"},
		"blank":              {"", " \t\r", "", ""},
		"no JSON":            {"", "Traceback secret", "", "there is no JSON object on the line"},
		"an array":           {"", "[1]", "", "there is no JSON object on the line"},
		"cut off":            {"", `{"a": "secret`, "", "the JSON object is cut off"},
		"broken":             {"", syslog + `{"a": secret}`, "", "the JSON object is not valid at byte 6"},
		"broken, sound part": {"", `{"a": secret, "context": {"user_id": 1}`, "", "the JSON object is not valid at byte 6"},
		"text after":         {"", `{"a": 1} secret`, "", "there is more text after the JSON object, from its byte 8 on"},
		"two objects":        {"", `{"a": 1} {"b": 2}`, "", "there is more text after the JSON object, from its byte 8 on"},
		"twice":              {"", `{"a": 1, "a": 2}`, "", "the JSON object has a name twice, at byte 9"},
		"not UTF-8":          {"", "{\"a\": \"\xff\"}", "", "the JSON object is not valid at byte 7"},
		"control character":  {"", "{\"a\": \"\x01\"}", "", "the JSON object is not valid at byte 7"},
		"not a number":       {"", `{"a": NaN}`, "", "the JSON object is not valid at byte 6"},
		"long prefix":        {"", strings.Repeat("x", maxPrefix) + `{"a": 1}`, "", "there is no JSON object on the line"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tt.settings)
			s.write("tracking.log", " \n"+tt.line+"\n")
			got := s.read(sdk.Request{})
			if records := strings.Join(got.Records, " "); records != tt.record {
				t.Errorf("record %q, want %q", records, tt.record)
			}
			want := tt.bad
			if want != "" {
				want = "bad_record tracking.log offset 2 " + want
			}
			if bad := strings.Join(badness(got), " "); bad != want {
				t.Errorf("bad %q, want %q", bad, want)
			}
			s.wantNumbers("again")
		})
	}
}

func TestLongLines(t *testing.T) {
	for name, pack := range map[string]func(string) string{"plain": func(s string) string { return s }, "gzip": zipped[string]} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "")
			long := `{"a": "` + strings.Repeat("x", 3*readBuffer) + `"}`
			s.write("tracking.log.1", pack(events(1, 1)+long+"\n"+events(2, 2)+long+long+"\n"+events(3, 3)))
			got := s.read(sdk.Request{MaxRecord: len(long)})
			if len(got.Records) != 4 || got.Records[1] != long {
				t.Errorf("%d records", len(got.Records))
			}
			offset := len(events(1, 1) + long + "\n" + events(2, 2))
			want := []string{fmt.Sprintf("too_large tracking.log.1 offset %d the line has more than %d bytes", offset, len(long))}
			if diff := cmp.Diff(want, badness(got)); diff != "" {
				t.Errorf("bad (-want +got):\n%s", diff)
			}
			if name == "plain" {
				s.append("tracking.log.1", events(4, 4))
			}
			s.append("tracking.log", events(5, 5))
			if got := numbers(t, s.read(sdk.Request{})); len(got) != strings.Count(name, "plain")+1 {
				t.Errorf("read again: events %v", got)
			}
		})
	}
}

var errStop = errors.New("stopped by the test")

func TestResumeAtEveryCheckpoint(t *testing.T) {
	s := newSite(t, "")
	s.write("tracking.log", events(1, 9)+"garbage\n"+events(10, 12))
	s.write("tracking.log.1.gz", zipped(events(101, 109)))
	s.write("tracking.log.2", events(201, 205))
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(s.path("tracking.log.1.gz"), old, old); err != nil {
		t.Fatal(err)
	}
	r := sdk.Request{Stream: "event", PageRecords: 2}
	whole, err := sdktest.Read(context.Background(), New(), s.s, r)
	if err != nil || len(whole.Cursors) < 12 || whole.LargestPage != 2 {
		t.Fatalf("%v; %d cursors, largest page %d", err, len(whole.Cursors), whole.LargestPage)
	}
	for n := range whole.Cursors[:len(whole.Cursors)-1] {
		left := n + 1
		first, err := sdktest.ReadUntil(context.Background(), New(), s.s, r, func(e sdk.Event) error {
			if e.Kind == sdk.EventCheckpoint {
				left--
			}
			if left == 0 {
				return errStop
			}
			return nil
		})
		if !errors.Is(err, errStop) {
			t.Fatalf("the read ended with %v", err)
		}
		again := r
		again.Cursor = first.Cursors[n]
		rest, err := sdktest.Read(context.Background(), New(), s.s, again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole.Records, append(first.Records, rest.Records...)); diff != "" {
			t.Errorf("after checkpoint %d (-whole +parts):\n%s", n+1, diff)
		}
		if len(first.Bad)+len(rest.Bad) != 1 {
			t.Errorf("after checkpoint %d: bad %d+%d", n+1, len(first.Bad), len(rest.Bad))
		}
	}
}
