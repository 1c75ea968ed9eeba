package openedx

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files/filestest"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// newRemoteSite is a site whose logs are read from an SFTP server.
func newRemoteSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t, "")
	s.s, _ = overSFTP(t, s.dir)
	return s
}

func overSFTP(t *testing.T, dir string) (*sdk.Session, *filestest.Server) {
	server := filestest.Start(t, dir)
	return sdktest.Session(fmt.Sprintf(`{"folder":".","sftp":%s}`, server.Config()), nil, server.Secrets()), server
}

func TestConformanceOverSFTP(t *testing.T) {
	s := newSite(t, "")
	s.write("tracking.log", events(1, 13)+"no event\n"+events(14, 20))
	s.write("tracking.log-20240131.gz", zipped(events(201, 217)))
	session, server := overSFTP(t, s.dir)
	kit.Run(t, kit.Subject{Name: "openedx", New: New, Config: string(session.Config), Secrets: server.Secrets(), Refused: map[string]string{
		"no host keys": `{"folder":".","sftp":{"host":"127.0.0.1","user":"reader"}}`,
		"no log":       fmt.Sprintf(`{"folder":".","pattern":"*.txt","sftp":%s}`, server.Config()),
	}})
}

// TestCutGzip: a connection that breaks off within a gzip file does not make the file a damaged one, and the next run brings the rest.
func TestCutGzip(t *testing.T) {
	s := newSite(t, "")
	s.write("tracking.log-1.gz", zipped(noise(20_000)))
	whole := len(s.read(sdk.Request{}).Records)
	session, server := overSFTP(t, s.dir)
	s.s, s.cursor = session, nil
	server.CutAfter(400 << 10)
	got, err := s.try(sdk.Request{PageRecords: 100})
	var known *sdk.Error
	if !errors.As(err, &known) || known.Class != sdk.ClassTransient || len(got.Bad) > 0 || len(got.Records) == 0 || len(got.Records) >= whole {
		t.Fatalf("cut: %v, %d of %d records, bad %v", err, len(got.Records), whole, badness(got))
	}
	server.CutAfter(-1)
	after := 0 // what came after the last checkpoint comes again
	for _, e := range got.Events {
		switch e.Kind {
		case sdk.EventRecord:
			after++
		case sdk.EventCheckpoint:
			after = 0
		}
	}
	rest, err := s.try(sdk.Request{PageRecords: 100})
	if err != nil || len(got.Records)-after+len(rest.Records) != whole {
		t.Errorf("%d records before the cut, %d of them not kept, %d after it: want %d in all; %v", len(got.Records), after, len(rest.Records), whole, err)
	}
}

// noise makes events that gzip cannot make much smaller.
func noise(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"n": %d, "event_type": "x", "event": "%x", "time": "2024-02-01T10:00:00+00:00"}`+"\n", i, sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	return b.String()
}
