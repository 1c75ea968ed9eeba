package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// following is a follow command that runs.
type following struct {
	t       *testing.T
	command *exec.Cmd
	ids     chan string
	errs    *strings.Builder
}

func (p person) follow(args ...string) *following {
	p.t.Helper()
	f := &following{t: p.t, ids: make(chan string, 1000), errs: &strings.Builder{}}
	f.command = exec.CommandContext(p.t.Context(), p.hub.Binary, append([]string{"statement", "follow", "--url", p.hub.URL(), "--token", p.token}, args...)...)
	f.command.Stderr = f.errs
	out, err := f.command.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := f.command.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(f.ids)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var st struct{ ID string }
			if err := json.Unmarshal(lines.Bytes(), &st); err != nil {
				st.ID = lines.Text()
			}
			f.ids <- st.ID
		}
	}()
	return f
}

// gets wants these statements next.
func (f *following) gets(ids ...string) {
	f.t.Helper()
	for _, want := range ids {
		select {
		case got := <-f.ids:
			if got != want {
				f.t.Fatalf("got %q, want %s", got, want)
			}
		case <-time.After(40 * time.Second):
			f.t.Fatalf("%s did not come; said: %s", want, f.errs)
		}
	}
}

// interrupts ends the command as Ctrl-C does, and gives what came meanwhile.
func (f *following) interrupts() (rest []string) {
	f.t.Helper()
	if err := f.command.Process.Signal(syscall.SIGINT); err != nil {
		f.t.Fatal(err)
	}
	for id := range f.ids {
		rest = append(rest, id)
	}
	if err := f.command.Wait(); err != nil {
		f.t.Errorf("Ctrl-C: %v: %s", err, f.errs)
	}
	return rest
}

// TestFollow follows a hub that stops and starts again, with a command that is stopped and started again, and asks it.
func TestFollow(t *testing.T) {
	t.Parallel()
	hub := freshHub(t)
	up(t, hub)
	admin := person{t: t, hub: hub}
	writer, reader := admin.client("writer", "statements/write"), admin.client("reader", "statements/read")
	n := 0
	store := func() string {
		n++
		id := fmt.Sprintf("6b2b9e8a-4f3c-4b1d-9d5f-%012d", n)
		text := fmt.Sprintf(`{"id":%q,"actor":{"mbox":"mailto:ann@example.org"},"verb":{"id":"https://verbs.example/%d"},"object":{"id":"https://school.example/a"},"result":{"score":{"scaled":0.%d}}}`, id, n, n)
		if status, said := writer.xapi(http.MethodPost, "/xapi/statements", text); status != http.StatusOK {
			t.Fatalf("%d %s", status, said)
		}
		return id
	}
	ids := []string{store(), store()}
	file := filepath.Join(t.TempDir(), "cursor")
	f := reader.follow("--from-start", "--cursor-file", file)
	f.gets(ids...)
	ids = append(ids, store())
	f.gets(ids[2])

	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second) // less than a server waits for answers that run
	defer cancel()
	if code, err := hub.Interrupt(ctx); err != nil || code != 0 {
		t.Fatalf("a hub that is followed does not stop: %d, %v", code, err)
	}
	up(t, hub)
	ids = append(ids, store())
	f.gets(ids[3])
	if rest := f.interrupts(); len(rest) > 0 || !strings.Contains(f.errs.String(), "trying again") {
		t.Errorf("twice: %v; said: %s", rest, f.errs)
	}
	ids = append(ids, store())
	f = reader.follow("--from-start", "--cursor-file", file)
	f.gets(ids[4])
	if rest := f.interrupts(); len(rest) > 0 {
		t.Errorf("twice: %v", rest)
	}
	if text, err := os.ReadFile(file); err != nil || len(text) < 20 {
		t.Errorf("the cursor file: %q, %v", text, err)
	}
	reader.asks(ids)
	writer.fails(4, []string{"access denied"}, "statement", "follow", "--from-start")
}

// asks queries what TestFollow has stored.
func (p person) asks(ids []string) {
	p.t.Helper()
	out := strings.Split(strings.TrimSpace(p.must("statement", "query", "--verb", "https://verbs.example/1", "--verb", "https://verbs.example/3", "--ascending", "-o", "jsonl")), "\n")
	if len(out) != 2 || !strings.Contains(out[0], ids[0]) || !strings.Contains(out[1], ids[2]) {
		p.t.Errorf("jsonl: %q", out)
	}
	var list []struct{ ID string }
	if p.json(&list, "statement", "query", "--agent", "mailto:ann@example.org", "--limit", "2"); len(list) != 2 || list[0].ID != ids[4] {
		p.t.Errorf("json: %v", list)
	}
	var counted struct{ Count int }
	if p.json(&counted, "statement", "query", "--scaled", "0.2..0.4", "--count"); counted.Count != 3 {
		p.t.Errorf("counted %d", counted.Count)
	}
	if table := p.must("statement", "query", "--scaled", "..0.1"); !strings.Contains(table, "mailto:ann@example.org") || !strings.Contains(table, "https://verbs.example/1") {
		p.t.Errorf("table: %s", table)
	}
	p.fails(2, []string{"IRI"}, "statement", "query", "--verb", "passed")
}
