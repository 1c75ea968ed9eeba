package main_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// warmStart is what a start on a folder that was used before may take (DESIGN, section 3). A machine that is busy with other tests may need longer
// than one that is not, so this is also the time within which the test of a life starts hubs.
const warmStart = 10 * time.Second

// The life of a hub: a first start, work, Ctrl-C, a second start that knows everything.
func TestLife(t *testing.T) {
	t.Run("as this user", func(t *testing.T) { live(t, freshHub(t)) })
	t.Run("as an unprivileged user", func(t *testing.T) {
		hub := freshHub(t)
		hub.As = nobody(t)
		if err := os.Chown(filepath.Dir(hub.Data), int(hub.As.Uid), int(hub.As.Gid)); err != nil {
			t.Fatal(err)
		}
		live(t, hub)
	})
}

// nobody is an ordinary user that root can run a hub as.
func nobody(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("this user is unprivileged already; only root can become another one")
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody")
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func live(t *testing.T, hub *trial.Hub) {
	t.Logf("cold start: %v", up(t, hub))
	if said := hub.Printed(); said != hub.URL()+"/console/ ready\n" {
		t.Errorf("up prints %q, want one line with the console's URL and 'ready'", said)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, hub.URL()+path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	admin := person{t: t, hub: hub}
	tables := tablesFor(t, 30)
	admin.add("results", example("results"), tables.Folder)
	admin.sync("results")
	before := strings.Join(admin.export(), "\n")
	if strings.Count(before, "\n") < 100 {
		t.Fatalf("too little was stored to be kept: %s", before)
	}
	refusedBeside(t, hub)
	stops(t, hub)
	for _, folder := range []string{"keys", "audit", "postgres", "temporal"} {
		if info, err := os.Stat(filepath.Join(hub.Data, folder)); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", folder, err)
		}
	}

	took := up(t, hub)
	t.Logf("warm start: %v", took)
	if took > warmStart {
		t.Errorf("a warm start took %v, may take %v", took, warmStart)
	}
	if after := strings.Join(admin.export(), "\n"); after != before {
		t.Error("after the restart the export is another")
	}
	admin.sync("results").stored(t, "reading after the restart", 0, 0)
	if out := admin.must("audit", "verify"); !strings.Contains(out, "proved") {
		t.Errorf("audit verify: %s", out)
	}
	stops(t, hub)
	admin.fails(2, []string{"no hub runs on", "lrshub up"}, "connection", "list")
}

// Ctrl-C in the middle of a sync: the run goes on at the next start, and stores what is missing.
func TestStoppedInASync(t *testing.T) {
	t.Parallel()
	hub := freshHub(t)
	up(t, hub)
	admin := person{t: t, hub: hub}
	tables := tablesFor(t, 1500)
	admin.add("results", example("results"), tables.Folder)
	admin.must("sync", "run", "results")
	for began := time.Now(); len(hub.Connectors()) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("no connector is started")
		}
	}
	time.Sleep(200 * time.Millisecond)
	stops(t, hub)
	up(t, hub)
	passed, failed, _ := tables.Marks()
	var run counts
	for began := time.Now(); run.State != "succeeded"; time.Sleep(200 * time.Millisecond) {
		admin.json(&run, "sync", "status", "results")
		if run.State == "failed" || time.Since(began) > 2*time.Minute {
			t.Fatalf("the run does not go on: %+v", run)
		}
	}
	run.stored(t, "the run that was stopped", passed+failed, 0)
	holds(t, admin, tables)
}

// stops sends Ctrl-C: exit code 0, soon, and nothing is left running.
func stops(t *testing.T, hub *trial.Hub) {
	t.Helper()
	children, err := hub.Descendants()
	if err != nil || len(children) == 0 {
		t.Fatalf("the hub has no children: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	code, err := hub.Interrupt(ctx)
	if err != nil || code != 0 {
		t.Errorf("Ctrl-C: exit code %d, %v: %s", code, err, hub.Said())
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := hub.AwaitGone(soon, children); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

// refusedBeside starts others beside a running hub: on its folder, and on its port.
func refusedBeside(t *testing.T, hub *trial.Hub) {
	t.Helper()
	address, err := trial.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	refused(t, hub, []string{hub.Data, "in use", "--data"}, "--listen", address)
	refused(t, hub, []string{hub.Listen, "in use", "--listen"}, "--listen", hub.Listen, "--data", filepath.Join(folderAs(t, hub.As), "data"))
	if status, _ := get(t, hub.URL()+"/readyz"); status != http.StatusOK {
		t.Error("the first hub suffered")
	}
}

// folderAs makes a folder for a user.
func folderAs(t *testing.T, who *syscall.Credential) string {
	t.Helper()
	dir := folder(t)
	if who != nil {
		if err := os.Chown(dir, int(who.Uid), int(who.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// refused runs up, which must end at once with an exit code other than 0 and say each of these.
func refused(t *testing.T, hub *trial.Hub, says []string, flags ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := hub.Run(ctx, append([]string{"up"}, flags...)...)
	if err != nil {
		t.Error(err)
		return
	}
	if r.Code == 0 {
		t.Errorf("up %v: exit code 0", flags)
	}
	for _, s := range says {
		if !strings.Contains(r.Err, s) {
			t.Errorf("up %v does not say %q: %s", flags, s, r.Err)
		}
	}
	if strings.Contains(r.Err, "goroutine") || strings.Count(r.Err, "\n") > 3 {
		t.Errorf("up %v says too much: %s", flags, r.Err)
	}
}

// What up cannot work with, it says together with the remedy, and leaves alone.
func TestUpRefuses(t *testing.T) {
	t.Parallel()
	t.Run("a folder that is not writable", func(t *testing.T) {
		hub := freshHub(t)
		hub.As = unprivileged(t)
		dir := folder(t)
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		refused(t, hub, []string{dir, "permission denied", "--data"}, "--listen", hub.Listen, "--data", filepath.Join(dir, "data"))
	})
	t.Run("a folder that is a file", func(t *testing.T) {
		hub := freshHub(t)
		refused(t, hub, []string{"data folder", "--data"}, "--listen", hub.Listen, "--data", write(t, folder(t), "data", "not a folder"))
	})
	t.Run("a folder of a newer version", func(t *testing.T) {
		hub := freshHub(t)
		if err := os.Mkdir(hub.Data, 0o711); err != nil {
			t.Fatal(err)
		}
		write(t, hub.Data, "format", "99\n")
		refused(t, hub, []string{hub.Data, "99", "newer lrshub", "--data"}, "--listen", hub.Listen)
		if entries, err := os.ReadDir(hub.Data); err != nil || len(entries) > 2 { // format and lock
			t.Errorf("the newer folder was written to: %v, %v", entries, err)
		}
	})
	t.Run("no Postgres", func(t *testing.T) {
		hub := freshHub(t)
		empty := folder(t)
		refused(t, hub, []string{"Postgres", empty, "install"}, "--listen", hub.Listen, "--postgres-bin", empty)
	})
	t.Run("a port in use", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		refused(t, freshHub(t), []string{l.Addr().String(), "in use", "--listen"}, "--listen", l.Addr().String())
	})
	t.Run("an address that is none", func(t *testing.T) {
		refused(t, freshHub(t), []string{"--listen"}, "--listen", "nowhere:x")
	})
	t.Run("a parent that Postgres' user cannot pass", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only under root does Postgres run as another user")
		}
		closed := filepath.Join(folder(t), "closed")
		if err := os.Mkdir(closed, 0o700); err != nil {
			t.Fatal(err)
		}
		hub := freshHub(t)
		refused(t, hub, []string{closed, "chmod o+x"}, "--listen", hub.Listen, "--data", filepath.Join(closed, "data"))
	})
}

// unprivileged is who cannot write everywhere: nobody under root, else this user.
func unprivileged(t *testing.T) *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return nobody(t)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
