package openedx

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		settings string
		files    map[string]string
		want     string
	}{
		"nothing matches": {"", map[string]string{"tracking.txt": ""}, `matches the pattern "tracking.log*"; the folder holds 1 others`},
		"empty folder":    {"", nil, "the folder holds 0 others"},
		"bzip2":           {"", map[string]string{"tracking.log.bz2": "BZh91AY"}, "file tracking.log.bz2 is compressed with bzip2"},
		"misspelt":        {`,"patern":"x"`, nil, `unknown field "patern"`},
		"pattern":         {`,"pattern":"["`, nil, "pattern"},
		"outside":         {`,"pattern":"../*"`, nil, "within the folder"},
		"absolute":        {`,"pattern":"/var/log/*"`, nil, "within the folder"},
		"prefix":          {`,"prefix":"("`, nil, "regular expression"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tt.settings)
			for name, text := range tt.files {
				s.write(name, text)
			}
			_, read := s.try(sdk.Request{})
			for _, err := range []error{New().Check(context.Background(), s.s), read} {
				var e *sdk.Error
				if !errors.As(err, &e) || e.Class != sdk.ClassConfig || !strings.Contains(e.Message, tt.want) {
					t.Errorf("error %v, want class config and %q", err, tt.want)
				}
			}
		})
	}
}

func TestMissingFolder(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	err := New().Check(context.Background(), sdktest.Session(fmt.Sprintf(`{"folder":%q}`, nowhere), nil, nil))
	if err == nil || !strings.Contains(err.Error(), nowhere) {
		t.Errorf("error %v does not name the folder", err)
	}
}

// TestOneBadFile: a file that cannot be read is the error of the read, and keeps no other from being read.
func TestOneBadFile(t *testing.T) {
	s := newSite(t, "")
	s.write("tracking.log", events(1, 3))
	s.write("tracking.log.xz", "\xfd7zXZ\x00")
	got, err := s.try(sdk.Request{})
	if err == nil || !strings.Contains(err.Error(), "tracking.log.xz is compressed with xz") {
		t.Errorf("error %v does not name the file", err)
	}
	if len(got.Records) != 3 || len(got.Cursors) == 0 {
		t.Errorf("%d events, %d cursors", len(got.Records), len(got.Cursors))
	}
}

func TestStaysInFolder(t *testing.T) {
	s := newSite(t, "")
	outside := filepath.Join(t.TempDir(), "tracking.log")
	if err := os.WriteFile(outside, []byte(events(1, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, s.path("tracking.log.1")); err != nil {
		t.Fatal(err)
	}
	s.write("tracking.log", events(2, 2))
	if got, err := s.try(sdk.Request{}); err == nil || len(got.Records) > 1 {
		t.Errorf("%d events, error %v", len(got.Records), err)
	}
}

func TestFoldersWithinTheFolder(t *testing.T) {
	s := newSite(t, `,"pattern":"*/tracking.log*"`)
	for n, dir := range []string{"lms1", "lms2"} {
		if err := os.Mkdir(s.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
		s.write(dir+"/tracking.log", events(10*n+1, 10*n+2))
	}
	s.wantNumbers("two servers", 1, 2, 11, 12)
	s.wantNumbers("again")
}

func TestUselessCursor(t *testing.T) {
	s := newSite(t, "")
	s.write("tracking.log", events(1, 3))
	for _, cursor := range []string{"", "x", "\x01", "\x01\xff\xff\xff\xff", "\x02\x00\x00\x00\x00", `{"v":1}`} {
		s.cursor = []byte(cursor)
		s.wantNumbers(fmt.Sprintf("cursor %q", cursor), 1, 2, 3)
	}
}

// TestMemory: what is encoded is known again; what no file shows any more makes room; what cannot fit is an error.
func TestMemory(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	m := parseMemory(nil)
	head := func() (h headHash) {
		for i := range h {
			h[i] = byte(random.Uint32())
		}
		return h
	}
	for range 2000 {
		m.add(&known{head: head(), offset: random.Int64N(1 << 47), tail: random.Uint32(), damaged: random.Uint32()%2 == 0})
		h := head()
		m.finish(wholeID(h[:6]), false)
	}
	again := parseMemory(m.encode())
	if diff := cmp.Diff(m.encode(), again.encode()); diff != "" || len(again.logs) != 2000 || *again.logs[7] != *m.logs[7] {
		t.Fatalf("the memory came back changed")
	}
	for _, k := range m.logs[:1500] {
		k.seen = true
	}
	for len(m.logs) < 4000 {
		m.add(&known{head: head(), seen: len(m.logs) < 3000})
	}
	if err := m.makeRoom(); err != nil {
		t.Fatal(err)
	}
	if m.size() > maxMemory || m.size() < maxMemory-knownSize {
		t.Errorf("size %d after making room for %d", m.size(), maxMemory)
	}
	seen := 0
	for _, k := range m.logs {
		if k.seen {
			seen++
		}
		if len(m.index[k.head]) != 1 {
			t.Fatal("the index lost a log that is kept")
		}
	}
	if seen != 2500 {
		t.Errorf("%d of 2500 logs that are still there were kept", seen)
	}
	for len(m.logs) < 4000 {
		m.add(&known{head: head(), seen: true})
	}
	var e *sdk.Error
	if err := m.makeRoom(); !errors.As(err, &e) || e.Class != sdk.ClassConfig {
		t.Errorf("error %v, want class config", err)
	}
}

// shared finds test data that lies beside the repository, or skips the test.
func shared(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	found := filepath.Join(dir, "../shared/data", path)
	if _, err := os.Stat(found); err != nil {
		t.Skipf("needs ../shared/data/%s beside the repository", path)
	}
	return found
}

// TestPublishedSample reads the log sample of Open edX: ten events behind a prefix, and two lines with broken JSON.
func TestPublishedSample(t *testing.T) {
	dir := shared(t, "fixtures/edx/raw")
	s := sdktest.Session(fmt.Sprintf(`{"folder":%q,"pattern":"tracking.log*"}`, dir), nil, nil)
	got, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: "event"})
	if err != nil || len(got.Records) != 10 || len(got.Bad) != 2 {
		t.Fatalf("%v; %d events, bad %v", err, len(got.Records), badness(got))
	}
	for _, b := range got.Bad {
		if !strings.HasPrefix(b.Position, "tracking.log.jsonl offset ") || !strings.HasPrefix(b.Reason, "the JSON object is ") {
			t.Errorf("bad %s: %s", b.Position, b.Reason)
		}
	}
	again, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: "event", Cursor: got.Cursors[len(got.Cursors)-1]})
	if err != nil || len(again.Records)+len(again.Bad)+len(again.Cursors) > 0 {
		t.Errorf("read again: %d events, %d bad, %v", len(again.Records), len(again.Bad), err)
	}
}
