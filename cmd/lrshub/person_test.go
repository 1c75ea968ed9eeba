package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// person is somebody at a shell with a credential for a hub.
type person struct {
	t     *testing.T
	hub   *trial.Hub
	token string // lrshub_KEY_SECRET; empty: the local administrator's
}

// tenantOf gives the administrator of a new tenant on the common hub.
func tenantOf(t *testing.T, name string) person {
	t.Helper()
	local := person{t: t, hub: commonHub(t)}
	var made struct{ Administrator credential }
	local.json(&made, "tenant", "add", name)
	return person{t, local.hub, made.Administrator.token()}
}

type credential struct{ Key, Secret string }

func (c credential) token() string { return "lrshub_" + c.Key + "_" + c.Secret }

// client makes a client with these scopes, and gives whoever holds its credential.
func (p person) client(name string, scopes ...string) person {
	p.t.Helper()
	args := []string{"client", "create", name}
	for _, s := range scopes {
		args = append(args, "--scope", s)
	}
	var made credential
	p.json(&made, args...)
	return person{p.t, p.hub, made.token()}
}

// run runs a command, however it ends.
func (p person) run(args ...string) trial.Result {
	p.t.Helper()
	if p.token != "" {
		args = append(args, "--token", p.token, "--url", p.hub.URL())
	}
	r, err := p.hub.Run(p.t.Context(), args...)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// must runs a command that has to succeed and gives its output.
func (p person) must(args ...string) string {
	p.t.Helper()
	r := p.run(args...)
	if r.Code != 0 {
		p.t.Fatalf("lrshub %s: exit code %d: %s%s", strings.Join(args, " "), r.Code, r.Out, r.Err)
	}
	return r.Out
}

// json runs a command that has to succeed and decodes its output.
func (p person) json(out any, args ...string) {
	p.t.Helper()
	text := p.must(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(text), out); err != nil {
		p.t.Fatalf("lrshub %s: %v in %s", strings.Join(args, " "), err, text)
	}
}

// fails runs a command that must end with this code and say each of these.
func (p person) fails(code int, says []string, args ...string) {
	p.t.Helper()
	r := p.run(args...)
	if r.Code != code {
		p.t.Errorf("lrshub %s: exit code %d, want %d: %s%s", strings.Join(args, " "), r.Code, code, r.Out, r.Err)
	}
	for _, s := range says {
		if !strings.Contains(r.Err, s) {
			p.t.Errorf("lrshub %s does not say %q: %s", strings.Join(args, " "), s, r.Err)
		}
	}
}

// counts are a run's.
type counts struct {
	State string `json:"state"`
	Class string `json:"class"`
	Error string `json:"error"`
	Total struct{ Records, Unchanged, Statements, Voided, Skipped, Dead int }
}

// sync reads a connection to its end and gives what that did. Dead letters are no failure.
func (p person) sync(name string, flags ...string) counts {
	p.t.Helper()
	r := p.run(append([]string{"sync", "run", name, "--wait", "-o", "json"}, flags...)...)
	var c counts
	if err := json.Unmarshal([]byte(r.Out), &c); err != nil {
		p.t.Fatalf("sync of %s: exit code %d: %s%s", name, r.Code, r.Out, r.Err)
	}
	want := 0
	switch {
	case c.State != "succeeded":
		want = 1
	case c.Total.Dead > 0:
		want = 6
	}
	if r.Code != want {
		p.t.Errorf("a sync that %s with %d dead letters exits with %d, want %d", c.State, c.Total.Dead, r.Code, want)
	}
	return c
}

// add adds a connection of an example, or of a file in config, to tables.
func (p person) add(name, config, tables string) {
	p.t.Helper()
	p.must("connection", "add", name, "--connector", "csv", "--config", config, "--set", "folder="+tables)
}

// example is a connection's file of the csv connector.
func example(name string) string {
	return filepath.Join(root, "connectors", "csv", "examples", "oulad", name+".yaml")
}

// export gives the exported statements, a line each.
func (p person) export(flags ...string) []string {
	p.t.Helper()
	text := p.must(append([]string{"statement", "export"}, flags...)...)
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// xapi sends a request to the xAPI face and gives the answer's status and body.
func (p person) xapi(method, path, body string) (int, string) {
	p.t.Helper()
	return p.xapiVersion("1.0.3", method, path, body)
}

func (p person) xapiVersion(version, method, path, body string) (int, string) {
	p.t.Helper()
	token := p.token
	if token == "" {
		text, err := os.ReadFile(filepath.Join(p.hub.Data, "admin.token"))
		if err != nil {
			p.t.Fatal(err)
		}
		token = strings.TrimSpace(string(text))
	}
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.hub.URL()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		p.t.Fatal(err)
	}
	parts := strings.SplitN(token, "_", 3)
	request.SetBasicAuth(parts[1], parts[2])
	request.Header.Set("X-Experience-API-Version", version)
	if boundary, _, _ := strings.Cut(body, "\r\n"); strings.HasPrefix(boundary, "--") { // a message in parts
		request.Header.Set("Content-Type", "multipart/mixed; boundary="+boundary[2:])
	} else if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// pages reads all statements that an xAPI query gives, page by page.
func (p person) pages(query string) []json.RawMessage {
	p.t.Helper()
	var all []json.RawMessage
	for next := "/xapi/statements" + query; next != ""; {
		status, text := p.xapi(http.MethodGet, next, "")
		var page struct {
			Statements []json.RawMessage
			More       string
		}
		if err := json.Unmarshal([]byte(text), &page); err != nil || status != http.StatusOK {
			p.t.Fatalf("GET %s: %d: %v: %s", next, status, err, text)
		}
		all, next = append(all, page.Statements...), page.More
	}
	return all
}

// write writes a file for a test and gives its path.
func write(t *testing.T, dir, name, format string, args ...any) string {
	t.Helper()
	path := filepath.Join(dir, name)
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// tablesFor writes made-up tables into a folder of the test's own.
func tablesFor(t *testing.T, students int) *trial.Tables {
	t.Helper()
	dir := folder(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	tables := trial.NewTables(dir, students)
	rewrite(t, tables)
	return tables
}

func rewrite(t *testing.T, tables *trial.Tables) {
	t.Helper()
	if err := tables.Write(); err != nil {
		t.Fatal(err)
	}
}
