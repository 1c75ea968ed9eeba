package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

const (
	one   = databasetest.Default
	other = databasetest.Other
)

func TestEmptyNamesTheNextCommand(t *testing.T) {
	w := newWorld(t)
	c := w.client(one, "watcher", "connections/read")
	s := w.get("/console/", c.Key, c.Secret)
	if s.status != http.StatusOK {
		t.Fatalf("status %d: %s", s.status, s.text)
	}
	s.has("No connection yet", "lrshub connection add NAME --config FILE", "lrshub sync run NAME --wait", "signed in as watcher", "lrshub v-test")
	s.lacks("<table", "Audit log", "http-equiv") // the scope sees no audit log, and nothing changes by itself
	checkMarkup(s)
}

// full is a tenant with every state that the first screen knows.
func full(w *world) connection.Connection {
	marks := w.add(one, "marks")
	run := w.run(one, marks, now.Add(-3*time.Hour), "schedule", connection.Progress{Stream: "result", Records: 12345, Unchanged: 11000, Statements: 1340, Voided: 2, Dead: 5})
	w.letters(one, marks, run, "mapping", "stream result, field mark: is missing; mend the mapping", "marks.csv:17", "marks.csv:18")
	w.letters(one, marks, run, "bad_record", "column mark is not a double", "marks.csv:90")
	w.end(one, run, connection.Outcome{State: connection.Succeeded}, now.Add(-3*time.Hour+90*time.Second))
	w.run(one, w.add(one, "reading"), now.Add(-4*time.Minute), "schedule", connection.Progress{Stream: "result", Records: 450, Statements: 450, Done: 450, Total: 1000})
	failed := w.run(one, w.add(one, "failing"), now.Add(-26*time.Hour), "schedule")
	w.end(one, failed, connection.Outcome{State: connection.Failed, Class: "auth", Error: "the source refuses the credential <b>renew</b> it"}, now.Add(-26*time.Hour+time.Second))
	w.add(one, "never")
	paused := w.add(one, "paused")
	w.in(one, func(ctx context.Context, tx *database.Tx) error {
		_, err := connection.Pause(ctx, tx, connection.Act{Actor: "test", Now: now}, paused.ID)
		return err
	})
	return marks
}

func TestFirstScreenSaysHowEveryConnectionStands(t *testing.T) {
	w := newWorld(t)
	full(w)
	c := w.client(one, "administrator", "admin")
	s := w.get("/console/", c.Key, c.Secret)
	s.has("5 connections, 1 paused", "1 running", "1 failed", "3 open dead letters",
		"! Ended with dead letters 2 h ago, took 1 min 30 s", "12,345 11,000 unchanged", "1,340 2 voiding", "1 bad_record", "2 mapping",
		"▸ Running for 4 min 0 s", "result: 45 %, 450 records", "every 15 min",
		"✕ Failed 25 h ago, took 1.0 s auth: the source refuses the credential <b>renew</b> it",
		"○ Never read start it: lrshub sync run never", "■ Paused every 15 min no run starts until: lrshub connection resume paused ○ Never read 0 0 none")
	s.lacks("<b>", "secret-place", "ada-lovelace")
	if bars := s.count("progress"); bars != 1 {
		t.Errorf("%d progress bars, 1 run is under way", bars)
	}
	checkMarkup(s)
}

func TestRunningPageUpdatesUnlessToldNotTo(t *testing.T) {
	w := newWorld(t)
	full(w)
	c := w.client(one, "watcher", "connections/read")
	live := w.get("/console/", c.Key, c.Secret)
	if !strings.Contains(live.source, `<noscript><meta http-equiv="refresh" content="5"></noscript>`) || !strings.Contains(live.source, `data-live="2000"`) {
		t.Error("a page with a running sync does not update by itself")
	}
	live.has("stop that")
	still := w.get("/console/?live=off", c.Key, c.Secret)
	still.lacks("http-equiv", "data-live")
	still.has("Updates are off")
}

func TestConnectionPageTellsReasonsAndRuns(t *testing.T) {
	w := newWorld(t)
	marks := full(w)
	c := w.client(one, "watcher", "connections/read")
	s := w.get("/console/connections/marks", c.Key, c.Secret)
	s.has("3 records could not become statements", "2 mapping – the mapping fails on the record: mend the mapping, then replay",
		"stream result, field mark: is missing; mend the mapping", "column mark is not a double", "lrshub dead-letter replay marks", "lrshub sync run marks",
		"Sync, by schedule", "24 Nov 2026, 06:30:00 UTC")
	s.lacks("ada-lovelace", "secret-place")
	if strings.Contains(s.text, "marks.csv:17") == strings.Contains(s.text, "marks.csv:18") {
		t.Error("one record of a reason stands for all")
	}
	checkMarkup(s)

	for i := range 25 {
		at := now.Add(-time.Duration(100+i) * time.Hour)
		w.end(one, w.run(one, marks, at, "test"), connection.Outcome{State: connection.Succeeded}, at.Add(time.Second))
	}
	s = w.get("/console/connections/marks", c.Key, c.Secret)
	older := ""
	for n := range s.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" && n.FirstChild != nil && n.FirstChild.Data == "Older runs" {
			older, _ = attribute(n, "href")
		}
	}
	if older == "" {
		t.Fatal("26 runs, and no way to the older ones")
	}
	earlier := w.get("/console/connections/marks"+strings.TrimSuffix(older, "#runs"), c.Key, c.Secret)
	earlier.has("Earlier runs", "Newest runs", "19 Nov 2026, 05:30:00 UTC")
	if strings.Contains(earlier.text, "Older runs") {
		t.Error("there are no runs older than these")
	}

	missing := w.get("/console/connections/nothing", c.Key, c.Secret)
	if missing.status != http.StatusNotFound {
		t.Errorf("an unknown connection: status %d", missing.status)
	}
	missing.has("No such connection", "lrshub connection list")
}

func TestTenantsSeeTheirOwn(t *testing.T) {
	w := newWorld(t)
	full(w)
	w.add(other, "theirs")
	c := w.client(other, "neighbour", "admin")
	s := w.get("/console/", c.Key, c.Secret)
	s.has("1 connection", "theirs", "0 running")
	s.lacks("marks", "failing")
	if s := w.get("/console/connections/marks", c.Key, c.Secret); s.status != http.StatusNotFound {
		t.Errorf("another tenant's connection: status %d", s.status)
	}
}

func TestWhoMaySee(t *testing.T) {
	w := newWorld(t)
	w.add(one, "marks")
	reader := w.client(one, "reader", "statements/read")
	watcher := w.client(one, "watcher", "connections/read")
	for _, path := range []string{"/console/", "/console/connections/marks", "/console/connections/nothing"} {
		for _, tt := range []struct {
			name, key, secret string
			status            int
			says              string
		}{
			{"nobody", "", "", http.StatusUnauthorized, "This console wants a credential"},
			{"wrong secret", watcher.Key, reader.Secret, http.StatusUnauthorized, "unknown, expired or revoked"},
			{"without a grant", reader.Key, reader.Secret, http.StatusForbidden, "This credential may not see connections"},
		} {
			s := w.get(path, tt.key, tt.secret)
			if s.status != tt.status {
				t.Errorf("%s asks for %s: status %d, want %d", tt.name, path, s.status, tt.status)
			}
			s.has(tt.says)
			if strings.Contains(s.text, "marks") {
				t.Errorf("%s sees that there is a connection", tt.name)
			}
			if asks := s.header.Get("WWW-Authenticate"); (tt.status == http.StatusUnauthorized) != strings.Contains(asks, "user name = key of a client") {
				t.Errorf("%s is asked for %q", tt.name, asks)
			}
			checkMarkup(s)
		}
	}
	if s := w.get("/console/", "anything", watcher.Token()); s.status != http.StatusOK {
		t.Errorf("a whole token as password: status %d", s.status)
	}
}

func TestAuditLineTellsTheNewestCheckpoint(t *testing.T) {
	w := newWorld(t)
	w.add(one, "marks")
	admin := w.client(one, "administrator", "admin")
	w.get("/console/", admin.Key, admin.Secret).has("No checkpoint is signed yet")
	sequencer := audit.NewSequencer(audit.SequencerOptions{DB: w.db, Signer: w.signer, Anchor: w.anchor})
	c, err := sequencer.Flush(t.Context(), one)
	w.must(err)
	w.get("/console/", admin.Key, admin.Secret).has(fmt.Sprintf("%d events stand under the newest signed and anchored checkpoint of %s", c.Size, w.signer.Origin(one)), "lrshub audit verify")
	watcher := w.client(one, "watcher", "connections/read")
	w.get("/console/", watcher.Key, watcher.Secret).lacks("checkpoint")
}

func TestDatabaseAway(t *testing.T) {
	w := newWorld(t)
	c := w.client(one, "watcher", "connections/read")
	w.must(w.db.Close())
	s := w.get("/console/", c.Key, c.Secret)
	if s.status != http.StatusServiceUnavailable || s.header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", s.status, s.header.Get("Retry-After"))
	}
	s.has("database does not answer", "tries again by itself", "lrshub check")
	s.lacks("sql:", "closed")
	checkMarkup(s)
}

func TestFilesAndWhatGuardsThem(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"console.css", "console.js", "icon.svg"} {
		s := w.get("/console/static/"+path, "", "")
		if s.status != http.StatusOK || s.header.Get("ETag") == "" {
			t.Errorf("%s: status %d, ETag %q", path, s.status, s.header.Get("ETag"))
		}
		again := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console/static/"+path, nil)
		again.Header.Set("If-None-Match", s.header.Get("ETag"))
		answer := httptest.NewRecorder()
		w.handler.ServeHTTP(answer, again)
		if answer.Code != http.StatusNotModified {
			t.Errorf("%s by its tag: status %d", path, answer.Code)
		}
	}
	s := w.get("/console/", "", "")
	policy := s.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || s.header.Get("Cache-Control") != "no-store" {
		t.Errorf("policy %q, cache %q", policy, s.header.Get("Cache-Control"))
	}
	post := httptest.NewRecorder()
	w.handler.ServeHTTP(post, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/console/", nil))
	if post.Code < 400 {
		t.Errorf("POST: status %d", post.Code)
	}
}

// checkMarkup holds a page to what every page owes its readers.
func checkMarkup(s shown) {
	s.Helper()
	ids := map[string]bool{}
	for n := range s.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if id, ok := attribute(n, "id"); ok {
			if ids[id] {
				s.Errorf("two elements have the id %q", id)
			}
			ids[id] = true
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				s.Errorf("<%s> has %s: the policy forbids what stands inline", n.Data, a.Key)
			}
		}
		if _, src := attribute(n, "src"); n.Data == "style" || n.Data == "script" && !src {
			s.Errorf("an inline <%s>", n.Data)
		}
		if _, part := attribute(n, "data-part"); part {
			if _, named := attribute(n, "id"); !named {
				s.Errorf("<%s data-part> has no id: the script cannot find it", n.Data)
			}
		}
	}
	for n := range s.root.Descendants() {
		if label, ok := attribute(n, "aria-labelledby"); ok && !ids[label] {
			s.Errorf("aria-labelledby names %q, which is not there", label)
		}
	}
	for tag, want := range map[string]int{"h1": 1, "main": 1, "header": 1, "footer": 1, "title": 1, "table": s.count("caption")} {
		if n := s.count(tag); n != want {
			s.Errorf("%d <%s>, want %d", n, tag, want)
		}
	}
	if !strings.Contains(s.source, `<html lang="en"`) || !strings.Contains(s.source, `href="#main"`) || !strings.Contains(s.source, `name="viewport"`) {
		s.Error("the page lacks its language, its skip link or its viewport")
	}
}
