package api_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/xapi"
)

// post stores statements in the first tenant, one by one.
func (o *office) post(texts ...string) (ids []string) {
	o.Helper()
	writer := access.Caller{Tenant: databasetest.Default, Client: uuid.MustParse("5b1fa8a5-04fa-4b46-9b8d-2c53a4ee4f01"), Scopes: []string{"statements/write"}, Purpose: people.DefaultPurpose}
	for _, text := range texts {
		batch, err := xapi.ParseBatch([]byte("["+text+"]"), xapi.V2, 1)
		if err != nil {
			o.Fatal(err)
		}
		stored, err := o.ingest.Statements(o.Context(), writer, true, batch)
		if err != nil {
			o.Fatal(err)
		}
		ids = append(ids, stored[0].String())
	}
	databasetest.Settle(o, o.db)
	return ids
}

func said(who, verb, activity string) string {
	return `{"actor":{"mbox":"mailto:` + who + `@example.org"},"verb":{"id":"https://verbs.example/` + verb + `"},` + "\n" + ` "object":{"id":"https://school.example/` + activity + `"}}`
}

// open opens a stream, and gives its lines.
func (o *office) open(server *httptest.Server, token, query string, header http.Header) (*http.Response, *bufio.Scanner) {
	o.Helper()
	r, err := http.NewRequestWithContext(o.Context(), http.MethodGet, server.URL+"/api/v1/statements/feed"+query, nil)
	if err != nil {
		o.Fatal(err)
	}
	if header != nil {
		r.Header = header.Clone()
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() { response.Body.Close() })
	return response, bufio.NewScanner(response.Body)
}

func (o *office) serve() *httptest.Server {
	server := httptest.NewServer(o.handler)
	o.Cleanup(server.CloseClientConnections)
	return server
}

type feedLine struct {
	Cursor    string
	Statement struct{ ID string }
	Through   time.Time `json:"consistentThrough"`
	End       string
}

// lines reads NDJSON to its end.
func (o *office) lines(scanner *bufio.Scanner) (list []feedLine) {
	o.Helper()
	for scanner.Scan() {
		var l feedLine
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			o.Fatalf("%s: %v", scanner.Bytes(), err)
		}
		list = append(list, l)
	}
	return list
}

func TestFeedAsNDJSON(t *testing.T) {
	o := newOffice(t)
	server := o.serve()
	reader := o.client(databasetest.Default, "reader", "statements/read")
	ids := o.post(said("ann", "tried", "a"), said("bob", "met", "b"), said("ann", "met", "c"))
	response, scanner := o.open(server, reader, "", nil)
	list := o.lines(scanner)
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/x-ndjson" || len(list) != 4 {
		t.Fatalf("%s, %d lines", response.Status, len(list))
	}
	for i, id := range ids {
		if list[i].Statement.ID != id || list[i].Cursor == "" {
			t.Errorf("line %d: %+v, want %s", i, list[i], id)
		}
	}
	if list[3].Through.IsZero() || list[3].Cursor == "" || list[3].Statement.ID != "" {
		t.Errorf("the last line: %+v", list[3])
	}
	_, scanner = o.open(server, reader, "?verb=https://verbs.example/met&after="+list[0].Cursor, nil)
	if rest := o.lines(scanner); len(rest) != 3 || rest[0].Statement.ID != ids[1] {
		t.Errorf("behind the first: %+v", rest)
	}
	_, scanner = o.open(server, reader, "?after="+list[0].Cursor, http.Header{"Last-Event-Id": {list[1].Cursor}})
	if rest := o.lines(scanner); len(rest) != 2 || rest[0].Statement.ID != ids[2] {
		t.Errorf("behind the second: %+v", rest)
	}
	_, scanner = o.open(server, reader, "?verb=https://verbs.example/met", nil)
	if met := o.lines(scanner); len(met) != 3 || met[0].Statement.ID != ids[1] {
		t.Errorf("by verb: %+v", met)
	}
	for query, want := range map[string]int{"?after=nonsense": 422, "?from=later": 422, "?since=soon": 422} {
		if response, _ := o.open(server, reader, query, nil); response.StatusCode != want || !strings.Contains(response.Header.Get("Content-Type"), "problem") {
			t.Errorf("%s: %s", query, response.Status)
		}
	}
	writer := o.client(databasetest.Default, "writer", "statements/write")
	if response, _ := o.open(server, writer, "", nil); response.StatusCode != http.StatusForbidden {
		t.Errorf("a writer: %s", response.Status)
	}
}

// event reads one server-sent event: its fields, and its comment under "".
func event(t *testing.T, scanner *bufio.Scanner) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for scanner.Scan() {
		if scanner.Text() == "" {
			return fields
		}
		name, value, _ := strings.Cut(scanner.Text(), ":")
		fields[name] = strings.TrimPrefix(value, " ")
	}
	return nil
}

func TestFeedAsEventsEndsWithTheCredential(t *testing.T) {
	o := newOffice(t)
	server := o.serve()
	administrator := o.client(databasetest.Default, "administrator", "admin")
	reader := o.client(databasetest.Default, "reader", "statements/read")
	ids := o.post(said("ann", "tried", "a"))
	response, scanner := o.open(server, reader, "", http.Header{"Accept": {"text/event-stream"}})
	if response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatal(response.Status, response.Header)
	}
	if e := event(t, scanner); e["retry"] == "" {
		t.Errorf("the first event: %v", e)
	}
	first := event(t, scanner)
	caught := event(t, scanner)
	ids = append(ids, o.post(said("bob", "met", "b"))...)
	second := event(t, scanner)
	for i, e := range []map[string]string{first, second} {
		var st struct{ ID string }
		if err := json.Unmarshal([]byte(e["data"]), &st); err != nil || st.ID != ids[i] || e["event"] != "statement" || e["id"] == "" {
			t.Errorf("event %d: %v, %v", i, e, err)
		}
	}
	if caught[""] == "" || caught["id"] == "" || caught["event"]+caught["data"] != "" {
		t.Errorf("caught up: %v", caught)
	}
	event(t, scanner) // caught up again
	o.ask(administrator, "DELETE", "/clients/reader", "", http.StatusOK, nil)
	begun := time.Now()
	if e := event(t, scanner); e["event"] != "end" || e["data"] != "unauthenticated" {
		t.Errorf("revoked: %v", e)
	}
	if event(t, scanner) != nil || time.Since(begun) > 8*time.Second {
		t.Errorf("it is still open after %v", time.Since(begun))
	}
}

func TestFeedsEndWhenTheServerStops(t *testing.T) {
	o := newOffice(t)
	server := o.serve()
	reader := o.client(databasetest.Default, "reader", "statements/read")
	o.post(said("ann", "tried", "a"))
	_, scanner := o.open(server, reader, "?follow=true", nil)
	var list []feedLine
	scanner.Scan()
	close(o.stop)
	list = o.lines(scanner)
	if n := len(list); n == 0 || list[n-1].End != "stopping" || list[n-1].Cursor == "" {
		t.Errorf("%+v", list)
	}
}

func TestFeedsAreBounded(t *testing.T) {
	o := newOffice(t)
	server := o.serve()
	reader := o.client(databasetest.Default, "reader", "statements/read")
	open := []*http.Response{}
	for range 64 {
		response, _ := o.open(server, reader, "?follow=true&from=now", nil)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("feed %d: %s", len(open), response.Status)
		}
		open = append(open, response)
	}
	response, _ := o.open(server, reader, "", nil)
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %s", response.Status)
	}
	open[0].Body.Close()
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if response, _ = o.open(server, reader, "", nil); response.StatusCode == http.StatusOK {
			break
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("when one has ended: %s", response.Status)
		}
	}
}
