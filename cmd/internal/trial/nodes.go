package trial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Node is a lrshub serve on the Postgres, the Temporal and the folders of a running hub, as several stand behind a proxy in production.
type Node struct {
	URL   string
	cmd   *exec.Cmd
	ended chan struct{}
}

// Serve starts one more node and waits until it is ready.
func (h *Hub) Serve(ctx context.Context) (*Node, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	settings, err := h.environment(address)
	if err != nil {
		return nil, err
	}
	n := &Node{URL: "http://" + address, ended: make(chan struct{})}
	n.cmd = exec.Command(h.Binary, "serve")
	n.cmd.Env, n.cmd.Dir = append(os.Environ(), settings...), "/"
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: h.As}
	said := &sayings{}
	n.cmd.Stderr = said
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		for told := false; lines.Scan(); {
			if !told && strings.HasSuffix(lines.Text(), " ready") {
				told = true
				close(ready)
			}
		}
		_ = n.cmd.Wait()
		close(n.ended)
	}()
	select {
	case <-ready:
		return n, nil
	case <-n.ended:
		return nil, fmt.Errorf("serve ended before it was ready: %s", said)
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("serve is not ready: %w: %s", ctx.Err(), said), n.Stop())
	}
}

// environment gives serve the settings that up has made in its data folder.
func (h *Hub) environment(listen string) ([]string, error) {
	var failed error
	file := func(name ...string) string { return filepath.Join(append([]string{h.Data}, name...)...) }
	text := func(name ...string) string {
		content, err := os.ReadFile(file(name...))
		failed = errors.Join(failed, err)
		return strings.TrimSpace(string(content))
	}
	database := url.URL{
		Scheme: "postgres", User: url.UserPassword("lrshub", text("postgres.password")), Host: "127.0.0.1:" + text("postgres", "port"), Path: "/lrshub", RawQuery: "sslmode=disable",
	}
	return []string{
		"LRSHUB_DATABASE_URL=" + database.String(), "LRSHUB_TEMPORAL_ADDRESS=127.0.0.1:" + text("temporal", "temporal.port"),
		"LRSHUB_KEYS_DIR=" + file("keys"), "LRSHUB_AUDIT_DIR=" + file("audit"), "LRSHUB_BLOBS_DIR=" + file("blobs"), "LRSHUB_RUN_DIR=" + file("run"),
		"LRSHUB_MASTER_KEY_FILE=" + file("master.key"), "LRSHUB_PUBLIC_URL=" + text("public-url"), "LRSHUB_LISTEN=" + listen,
	}, failed
}

// Stop ends a node: politely at first, and after ten seconds by force.
func (n *Node) Stop() error {
	_ = n.cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-n.ended:
	case <-time.After(10 * time.Second):
		_ = n.cmd.Process.Kill()
		<-n.ended
	}
	return nil
}

// Balance is a reverse proxy that gives each request to the next of the URLs.
func Balance(urls ...string) (http.Handler, error) {
	targets := make([]*url.URL, len(urls))
	for i, text := range urls {
		var err error
		if targets[i], err = url.Parse(text); err != nil {
			return nil, err
		}
	}
	var count atomic.Uint64
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(targets[int(count.Add(1)%uint64(len(targets)))])
			r.SetXForwarded()
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}, nil
}
