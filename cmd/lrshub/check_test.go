package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// found is what lrshub check says of one thing.
type found struct{ Check, Result, What, Do string }

// check runs lrshub check in an environment, and gives what it found by check and its exit code.
func check(t *testing.T, environment map[string]string, args ...string) (map[string]found, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"check", "-o", "json"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var list []found
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("lrshub check: %v in %q; it says: %s", err, out, &errs)
	}
	by := map[string]found{}
	for _, f := range list {
		if old, twice := by[f.Check]; !twice || old.Result == "ok" {
			by[f.Check] = f
		}
	}
	return by, cmd.ProcessState.ExitCode()
}

// wants compares the results that are not ok.
func wants(t *testing.T, by map[string]found, want map[string]string) {
	t.Helper()
	for name, f := range by {
		result := want[name]
		if result == "" {
			result = "ok"
		}
		if f.Result != result {
			t.Errorf("%s is %s, want %s: %s", name, f.Result, result, f.What)
		}
		if (f.Result != "ok") != (f.Do != "") {
			t.Errorf("%s is %s and says to do %q", name, f.Result, f.Do)
		}
	}
	for name := range want {
		if _, there := by[name]; !there {
			t.Errorf("%s was not checked", name)
		}
	}
}

func content(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// production is an environment of serve and worker on the Postgres and Temporal of a hub that runs.
func production(t *testing.T, hub *trial.Hub) map[string]string {
	t.Helper()
	url := func(role, password string) string {
		return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%s/lrshub?sslmode=disable", role, password, content(t, hub.Data, "postgres", "port"))
	}
	return map[string]string{
		"LRSHUB_DATABASE_URL":       url("lrshub", content(t, hub.Data, "postgres.password")),
		"LRSHUB_DATABASE_OWNER_URL": url("lrshub_owner", content(t, hub.Data, "postgres", "password")),
		"LRSHUB_TEMPORAL_ADDRESS":   "127.0.0.1:" + content(t, hub.Data, "temporal", "temporal.port"),
		"LRSHUB_KEYS_DIR":           filepath.Join(hub.Data, "keys"),
		"LRSHUB_AUDIT_DIR":          filepath.Join(hub.Data, "audit"),
		"LRSHUB_BLOBS_DIR":          filepath.Join(hub.Data, "blobs"),
		"LRSHUB_MASTER_KEY_FILE":    filepath.Join(hub.Data, "master.key"),
		"LRSHUB_PUBLIC_URL":         "https://hub.example.org",
	}
}

func TestCheckOfProductionSettings(t *testing.T) {
	t.Parallel()
	hub := commonHub(t)
	empty, loose := folder(t), folder(t)
	if err := os.CopyFS(loose, os.DirFS(filepath.Join(hub.Data, "audit"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(loose, "signing.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	open := folder(t)
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change map[string]string
		want   map[string]string
		says   string // of the first of want
	}{
		{"as it should be", nil, map[string]string{}, ""},
		{"on loopback", map[string]string{"LRSHUB_PUBLIC_URL": "http://[::1]:8080"}, map[string]string{}, ""},
		{"nobody answers", map[string]string{"LRSHUB_DATABASE_URL": "postgres://lrshub:secret-word@127.0.0.1:1/lrshub", "LRSHUB_TEMPORAL_ADDRESS": "127.0.0.1:1"},
			map[string]string{"postgres": "failed", "temporal": "failed"}, ""},
		{"the owner's role", map[string]string{"LRSHUB_DATABASE_URL": production(t, hub)["LRSHUB_DATABASE_OWNER_URL"]}, map[string]string{"postgres": "failed"}, "bypasses row-level security"},
		{"no such namespace", map[string]string{"LRSHUB_TEMPORAL_NAMESPACE": "elsewhere"}, map[string]string{"temporal": "failed"}, "no namespace elsewhere"},
		{"another master key", map[string]string{"LRSHUB_MASTER_KEY": strings.Repeat("A", 43) + "="}, map[string]string{"keys": "failed"}, "master key"},
		{"keys are gone", map[string]string{"LRSHUB_KEYS_DIR": empty}, map[string]string{"keys": "failed"}, "no keys for this tenant"},
		{"signing key is gone", map[string]string{"LRSHUB_AUDIT_DIR": empty}, map[string]string{"audit": "failed"}, "signing.key"},
		{"others may read the signing key", map[string]string{"LRSHUB_AUDIT_DIR": loose}, map[string]string{"audit": "failed"}, "others may read"},
		{"no folder for large attachments", map[string]string{"LRSHUB_BLOBS_DIR": ""}, map[string]string{"blobs": "warning"}, "above 64 KiB are refused"},
		{"that folder is not mounted", map[string]string{"LRSHUB_BLOBS_DIR": filepath.Join(empty, "blobs")}, map[string]string{"blobs": "warning"}, "is not there yet"},
		{"others may enter that folder", map[string]string{"LRSHUB_BLOBS_DIR": open}, map[string]string{"blobs": "failed"}, "others may enter"},
		{"the issuer does not answer", map[string]string{"LRSHUB_JWT_ISSUER": "http://127.0.0.1:1", "LRSHUB_JWT_AUDIENCE": "hub"}, map[string]string{"jwt issuer": "failed"}, "connection refused"},
		{"in clear over the network", map[string]string{"LRSHUB_PUBLIC_URL": "http://hub.example.org"}, map[string]string{"public url": "failed"}, "not https"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			environment := production(t, hub)
			for name, value := range tt.change {
				environment[name] = value
			}
			by, code := check(t, environment)
			wants(t, by, tt.want)
			failed := slices.Contains(slices.Collect(maps.Values(tt.want)), "failed")
			if (code == 1) != failed {
				t.Errorf("exit code %d", code)
			}
			for name, f := range by {
				if tt.want[name] != "" && !strings.Contains(f.What, tt.says) {
					t.Errorf("%s says %q, want %q", name, f.What, tt.says)
				}
				if strings.Contains(f.What+f.Do, "secret-word") || strings.Contains(f.What+f.Do, content(t, hub.Data, "postgres.password")) {
					t.Errorf("%s shows a password", name)
				}
			}
		})
	}
	if files, err := os.ReadDir(empty); err != nil || len(files) > 0 {
		t.Errorf("check made something: %v, %v", files, err)
	}
}

func TestCheckOfDataFolder(t *testing.T) {
	t.Parallel()
	hub := freshHub(t)
	if by, code := check(t, nil, "--data", hub.Data); code != 1 || by["folder"].Result != "failed" {
		t.Errorf("a folder that is not there: exit code %d, %+v", code, by)
	}
	if _, err := os.Stat(hub.Data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("check made the folder: %v", err)
	}
	hub.Flags = []string{"--demo"}
	up(t, hub)
	by, code := check(t, nil, "--data", hub.Data)
	wants(t, by, nil)
	if code != 0 || !strings.Contains(by["hub"].What, "runs and is ready") {
		t.Errorf("exit code %d, hub: %+v", code, by["hub"])
	}
	demoIsSynced(t, person{t: t, hub: hub}, 1)
	if err := hub.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if by, code := check(t, nil, "--data", hub.Data); code != 0 || !strings.Contains(by["hub"].What, "none runs") {
		t.Errorf("stopped: exit code %d, hub: %+v", code, by["hub"])
	}

	mark := filepath.Join(hub.Data, "demo", "result.csv")
	changed := strings.NewReplacer(",ill\n", ",17\n", `"12,5"`, "12.5").Replace(content(t, mark)) + "\n"
	if err := os.WriteFile(mark, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	up(t, hub) // a second start with --demo changes nothing
	demoIsSynced(t, person{t: t, hub: hub}, 1)
	if content(t, mark)+"\n" != changed {
		t.Error("a second start with --demo put a changed table back")
	}
	local := person{t: t, hub: hub}
	local.must("sync", "run", "demo", "--wait")
	if letters := local.letters(); len(letters) != 0 {
		t.Errorf("both wrong marks were mended, and there are dead letters: %+v", letters)
	}
	firstScreen(t, hub)

	if err := os.Chmod(filepath.Join(hub.Data, "master.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	by, code = check(t, nil, "--data", hub.Data)
	wants(t, by, map[string]string{"secrets": "failed"})
	if code != 1 {
		t.Errorf("others may read the master key: exit code %d", code)
	}
}

func (p person) letters() []struct{ Code string } {
	var list []struct{ Code string }
	p.json(&list, "dead-letter", "list", "demo")
	return list
}

// demoIsSynced wants the demo to have been read so many times, with all that its tables hold.
func demoIsSynced(t *testing.T, p person, runs int) {
	t.Helper()
	var history []struct {
		State string
		Total struct{ Records, Statements, Dead int }
	}
	p.json(&history, "sync", "history", "demo")
	if len(history) != runs || history[0].State != "succeeded" || history[0].Total.Statements != 441 || history[0].Total.Dead != 2 {
		t.Errorf("the demo's runs are %+v, want %d that succeeded with 441 statements and 2 dead letters", history, runs)
	}
	for _, l := range p.letters() {
		if l.Code != "bad_record" {
			t.Errorf("a dead letter %s", l.Code)
		}
	}
}

// firstScreen wants the console's first screen to show the demo to the local administrator, who pastes the token as password.
func firstScreen(t *testing.T, hub *trial.Hub) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, hub.URL()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("anyone", content(t, hub.Data, "admin.token"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var page bytes.Buffer
	if _, err := page.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Request.URL.Path != "/console/" || !strings.Contains(page.String(), `<a href="/console/connections/demo">demo</a>`) {
		t.Errorf("the first screen at %s: status %d", response.Request.URL.Path, response.StatusCode)
	}
}
