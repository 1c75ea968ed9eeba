package openedx

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// TestReadWhileWritten reads again and again while another goroutine writes, rotates and packs the logs.
func TestReadWhileWritten(t *testing.T) {
	t.Run("local", func(t *testing.T) { readWhileWritten(t, newSite(t, "")) })
	t.Run("sftp", func(t *testing.T) { readWhileWritten(t, newRemoteSite(t)) })
}

func readWhileWritten(t *testing.T, s *site) {
	s.write("tracking.log", "")
	const files, each = 12, 60
	done := make(chan error, 1)
	go func() { done <- writeLogs(s, files, each) }()

	stored := make(map[string]int)
	read := func() {
		got, err := s.try(sdk.Request{PageRecords: 7})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Bad) > 0 {
			t.Fatalf("bad %v", badness(got))
		}
		for _, record := range got.Records {
			stored[record]++
		}
	}
	for writing := true; writing; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			writing = false
		default:
		}
		read()
	}
	read()
	if len(stored) != files*each {
		t.Errorf("%d of %d events were brought", len(stored), files*each)
	}
	for record, n := range stored {
		if n != 1 {
			t.Fatalf("brought %d times: %s", n, record)
		}
	}
}

// writeLogs writes as an LMS, logrotate and gzip(1) do: lines in pieces, a rename and a new file, a packed copy in pieces
// while the plain file is still there.
func writeLogs(s *site, files, each int) error {
	for n := range files {
		f, err := os.OpenFile(s.path("tracking.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		for _, piece := range pieces(events(n*each+1, (n+1)*each), 97) {
			time.Sleep(50 * time.Microsecond) // so that reads fall in between
			if _, err := f.WriteString(piece); err != nil {
				return err
			}
		}
		rotated := s.path(fmt.Sprintf("tracking.log-%d", n))
		if err := os.Rename(s.path("tracking.log"), rotated); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		if n%3 == 0 {
			continue
		}
		text, err := os.ReadFile(rotated)
		if err != nil {
			return err
		}
		packed, err := os.Create(rotated + ".gz")
		if err != nil {
			return err
		}
		for _, piece := range pieces(zipped(text), 50) {
			time.Sleep(50 * time.Microsecond)
			if _, err := packed.WriteString(piece); err != nil {
				return err
			}
		}
		if err := packed.Close(); err != nil {
			return err
		}
		if err := os.Remove(rotated); err != nil {
			return err
		}
	}
	return nil
}

func pieces(text string, size int) []string {
	var all []string
	for len(text) > size {
		all = append(all, text[:size])
		text = text[size:]
	}
	return append(all, text)
}
