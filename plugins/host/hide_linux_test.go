package host_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// treasury is a folder with a file that connectors must not read.
func treasury(t *testing.T) (folder, file string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "hub", "data")
	if err := os.MkdirAll(folder, 0o711); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(folder, "admin.token")
	if err := os.WriteFile(file, []byte("TREASURE"), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder, file
}

func burgle(t *testing.T, h *host.Host, p host.Plugin, file string) string {
	t.Helper()
	c, _ := json.Marshal(loot{File: file, Hub: os.Getpid()})
	process, err := h.Start(t.Context(), p, config(string(c)))
	if err != nil {
		t.Fatal(err)
	}
	defer process.Close()
	return process.Check(t.Context()).Error()
}

const nothing = "data: read [], wrote [], devices [], locks [0000000000000000 0000000000000000 0000000000000000 1]"

func TestABurglarFindsNothing(t *testing.T) {
	needIsolation(t)
	folder, file := treasury(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	shown := filepath.Join(folder, "demo")
	if err := os.Mkdir(shown, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*host.Options){
		"folder":              func(o *host.Options) { o.Hide = []string{folder} },
		"a link to it":        func(o *host.Options) { o.Hide = []string{link} },
		"with sockets inside": func(o *host.Options) { o.Hide, o.SocketDir = []string{folder}, filepath.Join(folder, "run") },
		"sockets by the link": func(o *host.Options) { o.Hide, o.SocketDir = []string{folder}, filepath.Join(link, "run") },
		"folders in it, too":  func(o *host.Options) { o.Hide = []string{folder, filepath.Dir(folder), folder} },
		"a part is shown":     func(o *host.Options) { o.Hide, o.Show = []string{folder}, []string{shown} },
		"the file alone":      func(o *host.Options) { o.Hide = []string{file} },
	} {
		t.Run(name, func(t *testing.T) {
			if got := burgle(t, newHost(t, change), host.Plugin{Connector: "burglar"}, file); got != nothing {
				t.Errorf("got  %s\nwant %s", got, nothing)
			}
		})
	}
	t.Run("started in it", func(t *testing.T) {
		t.Chdir(folder)
		h := newHost(t, func(o *host.Options) { o.Hide = []string{"."} })
		if got := burgle(t, h, host.Plugin{Connector: "burglar"}, file); got != nothing {
			t.Errorf("got  %s\nwant %s", got, nothing)
		}
	})
	t.Run("third party", func(t *testing.T) {
		program, err := os.ReadFile(executable(t))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, "their-burglar") // may itself lie in a hidden folder
		if err := os.WriteFile(path, program, 0o700); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(program)
		h := newHost(t, func(o *host.Options) { o.Hide = []string{folder} })
		got := burgle(t, h, host.Plugin{Connector: "theirs", Path: path, SHA256: hex.EncodeToString(sum[:])}, file)
		if got != nothing {
			t.Errorf("got  %s\nwant %s", got, nothing)
		}
	})
	t.Run("not hidden", func(t *testing.T) { // the burglar knows its trade
		got := burgle(t, newHost(t, nil), host.Plugin{Connector: "burglar"}, file)
		if !strings.Contains(got, "read [directly by symbolic link by root of self") || !strings.Contains(got, "wrote []") {
			t.Errorf("got %s", got)
		}
	})
}

// TestTheUnprivilegedHidesAsWell runs this file's tests as another user.
func TestTheUnprivilegedHidesAsWell(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("these tests run as an unprivileged user already")
	}
	needIsolation(t)
	const somebody = 54321
	dir, err := os.MkdirTemp("/var/tmp", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, err := os.ReadFile(executable(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(dir+"/test", program, 0o755), os.Mkdir(dir+"/tmp", 0o700), os.Chown(dir+"/tmp", somebody, somebody), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dir+"/test", "-test.v", "-test.run", "^(TestABurglarFindsNothing|TestACSVFolder|TestAConnectorReachesNothing|TestNoOrphan.*)$")
	cmd.Dir, cmd.Env = "/", []string{"TMPDIR=" + dir + "/tmp"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: somebody, Gid: somebody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if passed := strings.Count(string(out), "\n--- PASS"); passed+strings.Count(string(out[:8]), "--- PASS") != 4 {
		t.Errorf("%d of 4 tests passed: %s", passed, out)
	}
}

func TestACSVFolder(t *testing.T) {
	needIsolation(t)
	folder, _ := treasury(t)
	elsewhere := t.TempDir()
	demo := filepath.Join(folder, "demo")
	for _, dir := range []string{folder, elsewhere, demo} {
		if err := os.MkdirAll(dir+"/tables", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/tables/people.csv", []byte("id,name\n1,Ann\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := newHost(t, func(o *host.Options) { o.Hide, o.Show = []string{folder}, []string{demo, elsewhere, folder + "/not"} })
	check := func(dir string) error {
		c, _ := json.Marshal(map[string]any{"folder": dir, "files": []map[string]any{
			{"stream": "people", "file": "people.csv", "key": []string{"id"}, "columns": map[string]string{"id": "int", "name": "string"}}}})
		p := start(t, h, "csv", config(string(c)))
		defer p.Close()
		return p.Check(t.Context())
	}
	if err := check(elsewhere + "/tables"); err != nil {
		t.Errorf("elsewhere: %v", err)
	}
	if err := check(demo + "/tables"); err != nil {
		t.Errorf("shown again: %v", err)
	}
	var known *sdk.Error
	err := check(folder + "/tables")
	if !errors.As(err, &known) || known.Class != sdk.ClassConfig || !strings.Contains(err.Error(), "no such file or directory; check the path") {
		t.Errorf("hidden: %v", err)
	}
	err = check(folder)
	if !errors.As(err, &known) || known.Class != sdk.ClassConfig || !strings.Contains(err.Error(), "which holds 0 CSV files") {
		t.Errorf("the hidden folder itself: %v", err)
	}
}

func TestWhatIsToBeHiddenMustExist(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "not"), "/"} {
		h := newHost(t, func(o *host.Options) { o.Hide = []string{path} })
		_, err := h.Start(t.Context(), host.Plugin{Connector: "counter"}, config(`{}`))
		if !errors.Is(err, host.ErrUnknown) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
