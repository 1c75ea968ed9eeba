package suite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
)

// checkProcess: through the process boundary comes what came inside the test, every record fits the schema, and keys are unique.
func checkProcess(t T, s Subject, stream contract.Stream) {
	t.Helper()
	inside := s.read(t, request(stream, nil))
	p, end := s.start(t)
	defer end()
	pages, err := readPages(t, p, host.ReadRequest{Stream: stream, PageRecords: pageRecords})
	if err != nil {
		t.Fatalf("reading as a process: %v", err)
	}
	records, bad := flatten(pages)
	if want := len(inside.Records) + len(inside.Deleted); len(records) < want {
		for _, b := range bad[min(len(inside.Bad), len(bad)):] {
			t.Errorf("a record does not fit the stream's schema: %s at %s", b.Reason, b.Position)
		}
		t.Fatalf("%d records, %d inside the test", len(records), want)
	}
	checkKeys(t, stream, records)
	checkPositions(t, records)
	keep := append([]string{}, stream.Key...)
	fewer, err := readPages(t, p, host.ReadRequest{Stream: stream, PageRecords: pageRecords, Fields: keep})
	if err != nil {
		t.Fatalf("reading fewer fields: %v", err)
	}
	if len(stream.Key) > 0 { // without a key a record's content is its key, which Fields may change
		compare(t, keys(fewer), keys(pages), "with Fields, read", 2)
	}
}

func checkKeys(t T, stream contract.Stream, records []host.Record) {
	t.Helper()
	if stream.Mode == contract.Incremental || len(stream.Key) == 0 {
		return // a record may change while we read, or stand in a log twice
	}
	seen := make(map[string]string, len(records))
	for _, r := range records {
		if before, twice := seen[string(r.Key)]; twice {
			t.Errorf("two records of one snapshot have the same key: at %q and at %q", before, r.Position)
		}
		seen[string(r.Key)] = r.Position
	}
}

// checkPositions: a position says where a record stood, not whom it is about.
func checkPositions(t T, records []host.Record) {
	t.Helper()
	for _, r := range records {
		if len(r.Subject) >= 5 && strings.Contains(r.Position, r.Subject) {
			t.Errorf("a position holds the subject of its record; it must say where the record stood only")
			return
		}
	}
}

// checkProcessResume: a process that ends in the middle loses nothing; another one goes on from the last page's cursor.
func checkProcessResume(t T, s Subject, stream contract.Stream) {
	t.Helper()
	p, end := s.start(t)
	whole, err := readPages(t, p, host.ReadRequest{Stream: stream, PageRecords: pageRecords})
	end()
	if err != nil {
		t.Fatalf("reading as a process: %v", err)
	}
	for _, k := range spread(len(whole), 3) {
		if whole[k].Cursor == nil || k == len(whole)-1 {
			continue
		}
		p, end := s.start(t)
		first, err := readSome(t, p, host.ReadRequest{Stream: stream, PageRecords: pageRecords}, k+1, p.Close)
		end()
		if err == nil || len(first) != k+1 {
			t.Fatalf("the process was ended after %d pages, but %d came and the read says %v", k+1, len(first), err)
		}
		p, end = s.start(t)
		rest, err := readPages(t, p, host.ReadRequest{Stream: stream, PageRecords: pageRecords, Cursor: first[k].Cursor})
		end()
		if err != nil {
			t.Fatalf("going on after %d pages: %v", k+1, err)
		}
		compare(t, append(keys(first), keys(rest)...), keys(whole), "ended after page", k+1)
	}
}

func readPages(t T, p *host.Process, r host.ReadRequest) ([]host.Page, error) {
	t.Helper()
	return readSome(t, p, r, -1, nil)
}

var errEnough = errors.New("enough")

// readSome reads n pages, calls then, and goes on until the read ends.
func readSome(t T, p *host.Process, r host.ReadRequest, n int, then func()) (pages []host.Page, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = p.Read(ctx, r, func(_ context.Context, page host.Page) error {
		pages = append(pages, page)
		if len(pages) == n {
			then()
			return errEnough
		}
		return nil
	})
	return pages, err
}

func flatten(pages []host.Page) (records []host.Record, bad []host.Bad) {
	for _, p := range pages {
		records, bad = append(records, p.Records...), append(bad, p.Bad...)
	}
	return records, bad
}

func keys(pages []host.Page) []string {
	var all []string
	records, bad := flatten(pages)
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s deleted %t", r.Key, r.Deleted))
	}
	for _, b := range bad {
		all = append(all, "bad "+b.Code+" "+b.Position)
	}
	return all
}
