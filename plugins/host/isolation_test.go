package host_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/host"
)

func needIsolation(t *testing.T) {
	t.Helper()
	if err := host.CheckIsolation(); err != nil {
		t.Skipf("this machine cannot isolate connectors: %v", err)
	}
}

func TestAConnectorReachesNothing(t *testing.T) {
	needIsolation(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	file := filepath.Join(t.TempDir(), "port")
	if err := os.WriteFile(file, []byte(port), 0o600); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatalf("the test itself cannot reach its listener: %v", err)
	} else {
		_ = conn.Close()
	}
	t.Setenv("SECRET_OF_THE_HUB", "PRIVATE")
	p := start(t, newHost(t, nil), "prober", config(strconv.Quote(file)))
	err = p.Check(t.Context())
	want := "data: reached [], addresses 0, processes [1], capabilities 0000000000000000, environment []"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestIsolationForbidden(t *testing.T) {
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root can forbid namespaces to a child")
	}
	run := func(mode string) string {
		// In a namespace whose limit of further ones is 0, no connector can be isolated.
		script := "echo 0 > /proc/sys/user/max_user_namespaces && exec " + executable(t) + " host-in-a-cage " + mode
		out, err := exec.Command("unshare", "--user", "--map-root-user", "/bin/sh", "-c", script).CombinedOutput()
		if err != nil {
			t.Skipf("no cage can be built here: %v: %s", err, out)
		}
		return string(out)
	}
	if got := run("strict"); !strings.Contains(got, "cannot be isolated") || !strings.Contains(got, "max_user_namespaces") {
		t.Errorf("strict: %s", got)
	}
	if got := run("allowed"); got != "ready\n" {
		t.Errorf("allowed: %s", got)
	}
}

// hostInACage starts a connector where it may not be isolated, and tells what happened.
func hostInACage(mode string) {
	path, _ := os.Executable()
	h := host.New(host.Options{Executable: path, AllowNoNamespace: mode == "allowed"})
	defer h.Close()
	p, err := h.Start(context.Background(), host.Plugin{Connector: "counter"}, config(`{}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	if err := p.Check(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
}

// hostToBeKilled starts a connector that is busy, and one that hangs, tells their ids, and waits for its end.
func hostToBeKilled() {
	path, _ := os.Executable()
	h := host.New(host.Options{Executable: path})
	for _, c := range []host.Plugin{{Connector: "counter"}, {Connector: "rogue"}} {
		p, err := h.Start(context.Background(), c, config(`"hangs"`))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		go p.Check(context.Background())
		fmt.Println(p.PID())
	}
	runtime.LockOSThread()
	time.Sleep(time.Minute)
}

func TestNoOrphanAfterTheHostIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux's death signal")
	}
	cmd := exec.Command(executable(t), "host-to-be-killed")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var pids []int
	for len(pids) < 2 && lines.Scan() {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the host says %q", lines.Text())
		}
		pids = append(pids, pid)
	}
	for _, pid := range pids {
		if !alive(pid) {
			t.Fatalf("connector %d does not run", pid)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	deadline := time.Now().Add(3 * time.Second)
	for _, pid := range pids {
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("connector %d outlives its host", pid)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// alive says whether a process exists and is no zombie.
func alive(pid int) bool {
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(state), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func TestCloseEndsTheProcess(t *testing.T) {
	h := newHost(t, nil)
	for _, c := range []struct {
		name, config string
		busy         bool
	}{{"counter", `{"to":1}`, false}, {"rogue", `"hangs"`, true}} {
		p, err := h.Start(t.Context(), host.Plugin{Connector: c.name}, config(c.config))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		if c.busy {
			go func() { ended <- p.Check(context.Background()) }()
			time.Sleep(50 * time.Millisecond)
		}
		began := time.Now()
		p.Close()
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s: closing took %s", c.name, took)
		}
		if alive(p.PID()) {
			t.Errorf("%s: process %d lives on", c.name, p.PID())
		}
		if c.busy {
			if err := <-ended; !errors.Is(err, host.ErrClosed) {
				t.Errorf("the call in progress gave %v", err)
			}
		}
	}
}

func TestThirdPartyProgram(t *testing.T) {
	program, err := os.ReadFile(executable(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "connector")
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	good := hex.EncodeToString(sum[:])
	h := newHost(t, nil)

	for range 2 { // a second start of the same program is checked anew
		p, err := h.Start(t.Context(), host.Plugin{Connector: "theirs", Path: path, SHA256: "sha256:" + strings.ToUpper(good)}, config(`{"to":3}`))
		if err != nil {
			t.Fatal(err)
		}
		// What was pinned runs, whatever happens to the file.
		if err := os.WriteFile(path+".new", []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		var got pages
		if err := p.Read(t.Context(), host.ReadRequest{Stream: numbers}, got.take); err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	_, err = h.Start(t.Context(), host.Plugin{Connector: "theirs", Path: path}, config(`{}`))
	if !errors.Is(err, host.ErrChecksum) || !strings.Contains(err.Error(), "sha256sum") {
		t.Errorf("without a pin: %v", err)
	}
	if err := os.WriteFile(path, append(program, 0), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = h.Start(t.Context(), host.Plugin{Connector: "theirs", Path: path, SHA256: good}, config(`{}`))
	if !errors.Is(err, host.ErrChecksum) || !strings.Contains(err.Error(), "expected sha256 "+good) || !strings.Contains(err.Error(), "found") {
		t.Errorf("changed: %v", err)
	}
	_, err = h.Start(t.Context(), host.Plugin{Connector: "theirs", Path: path + "-not", SHA256: good}, config(`{}`))
	if !errors.Is(err, host.ErrUnknown) {
		t.Errorf("absent: %v", err)
	}
	text := []byte("#!/bin/sh\necho PRIVATE\n")
	if err := os.WriteFile(path+".sh", text, 0o700); err != nil {
		t.Fatal(err)
	}
	sum = sha256.Sum256(text)
	_, err = h.Start(t.Context(), host.Plugin{Connector: "theirs", Path: path + ".sh", SHA256: hex.EncodeToString(sum[:])}, config(`{}`))
	if !errors.Is(err, host.ErrHandshake) || strings.Contains(err.Error(), "PRIVATE") {
		t.Errorf("no connector: %v", err)
	}
}

func TestSocketFolders(t *testing.T) {
	parent := t.TempDir()
	if len(parent) > 50 {
		parent, _ = os.MkdirTemp("/tmp", "s")
		t.Cleanup(func() { _ = os.RemoveAll(parent) })
	}
	first := newHost(t, func(o *host.Options) { o.SocketDir = parent })
	start(t, first, "counter", config(`{}`))
	dead, err := os.MkdirTemp(parent, "lrshub-connectors-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	second := newHost(t, func(o *host.Options) { o.SocketDir = parent })
	p := start(t, second, "counter", config(`{}`))
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Error("what a dead host left is still there")
	}
	if left, _ := filepath.Glob(parent + "/*"); len(left) != 2 {
		t.Errorf("folders: %v", left)
	}
	p.Close()
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(parent + "/*"); len(left) != 1 {
		t.Errorf("folders after close: %v", left)
	}
	long := filepath.Join(parent, strings.Repeat("long", 20))
	third := newHost(t, func(o *host.Options) { o.SocketDir = long })
	start(t, third, "counter", config(`{}`)) // in the system's place for temporary files
	if left, _ := filepath.Glob(long + "/*"); len(left) != 0 {
		t.Errorf("in the long folder: %v", left)
	}
}
