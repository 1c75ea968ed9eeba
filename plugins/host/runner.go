package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// runner starts one child and watches it; it is go-plugin's runner.Runner. It exists because go-plugin's own gives the child the
// hub's standard input, reads endless lines, and starts it from any thread.
type runner struct {
	host *Host
	name string
	cmd  *exec.Cmd
	view view   // of the file system; its sockets are known at the start
	dir  string // where the child's sockets must lie

	greeting *io.PipeReader // the first line of stdout, for go-plugin
	garbage  atomic.Bool    // the first line was no handshake
	misled   atomic.Bool    // the handshake named another place than the child's own socket
	output   *drain         // what it prints besides
	started  chan struct{}
	doomed   atomic.Bool // killed before it started
	exited   chan struct{}
	state    string // how it ended; after exited
	startErr error  // after Start
}

func newRunner(h *Host, name string, cmd *exec.Cmd, v view, output *drain) *runner {
	return &runner{host: h, name: name, cmd: cmd, view: v, output: output, started: make(chan struct{}), exited: make(chan struct{})}
}

func (r *runner) Start(context.Context) error {
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		_, _ = outRead.Close(), outWrite.Close()
		return err
	}
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = nil, outWrite, errWrite
	r.startErr = r.launch()
	_, _ = outWrite.Close(), errWrite.Close()
	if r.startErr != nil {
		_, _ = outRead.Close(), errRead.Close()
		return r.startErr
	}
	restrict(r.cmd.Process.Pid)
	greeting, greet := io.Pipe()
	r.greeting = greeting
	go r.readOutput(outRead, greet)
	go r.output.lines(bufio.NewReaderSize(errRead, lineBytes), errRead)
	go r.wait()
	close(r.started)
	if r.doomed.Load() {
		r.kill()
	}
	return nil
}

// launch starts the child, confined as well as may be: as the kernel permits if that is allowed, else wholly or not.
func (r *runner) launch() (err error) {
	program := r.cmd
	for _, degree := range confinements {
		if r.cmd, err = r.attempt(program, degree); !errors.Is(err, ErrNoNamespace) || !r.host.options.AllowNoNamespace {
			return err
		}
		r.host.log.Warn("connector starts less isolated, as allowed", "connector", r.name, "missing", err)
	}
	return err
}

// attempt starts the child from the host's own thread, and waits until it is confined.
func (r *runner) attempt(program *exec.Cmd, degree confinement) (*exec.Cmd, error) {
	sockets, err := filepath.EvalSymlinks(r.dir)
	if err != nil {
		return program, err
	}
	r.view.sockets = sockets
	child, err := confine(program, degree, r.view)
	if err != nil {
		return program, err
	}
	done := make(chan error, 1)
	if err := r.host.onThread(func() { done <- child.cmd.Start() }); err != nil {
		child.discard()
		return program, err
	}
	if err := <-done; err != nil {
		child.discard()
		if forbidden(err) {
			err = noNamespace(err)
		}
		return program, err
	}
	return child.cmd, child.settled(r.host.limits.Start)
}

func (r *runner) wait() {
	err := r.cmd.Wait()
	killGroup(r.cmd.Process.Pid) // what it may have left in its group
	r.state = r.cmd.ProcessState.String()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		r.state = err.Error()
	}
	close(r.exited)
}

// readOutput gives go-plugin the first line and drains the rest.
func (r *runner) readOutput(out *os.File, greet *io.PipeWriter) {
	in := bufio.NewReaderSize(out, 16<<10)
	line, err := in.ReadSlice('\n')
	fields := bytes.Split(bytes.TrimSpace(line), []byte{'|'})
	version, noNumber := strconv.Atoi(string(fields[0]))
	if err != nil || len(fields) < 4 || noNumber != nil || version != 1 {
		r.garbage.Store(len(line) > 0)
		_ = greet.Close()
	} else {
		_, _ = greet.Write(line)
		_ = greet.Close()
	}
	r.output.lines(in, out)
}

func (r *runner) Stdout() io.ReadCloser           { return r.greeting }
func (r *runner) Stderr() io.ReadCloser           { return io.NopCloser(strings.NewReader("")) }
func (r *runner) Name() string                    { return r.name }
func (r *runner) Diagnose(context.Context) string { return "" }
func (r *runner) Wait(context.Context) error      { <-r.exited; return nil }
func (r *runner) Kill(context.Context) error      { r.kill(); return nil }
func (r *runner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// PluginToHost refuses any address but a socket in the child's own folder: the hub must not be made to dial elsewhere.
func (r *runner) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" || filepath.Dir(filepath.Clean(address)) != filepath.Clean(r.dir) {
		r.misled.Store(true)
		return "", "", errors.New("not the child's own socket")
	}
	return network, address, nil
}

// kill ends the child and all that it started; if it has not started yet, as soon as it has.
func (r *runner) kill() {
	r.doomed.Store(true)
	select {
	case <-r.started:
	default:
		return
	}
	select {
	case <-r.exited: // its id may be somebody else's by now
	default:
		killGroup(r.cmd.Process.Pid)
		_ = r.cmd.Process.Kill()
	}
}

// ID is the child's process id, "" if it never started.
func (r *runner) ID() string {
	select {
	case <-r.started:
		return strconv.Itoa(r.cmd.Process.Pid)
	default:
		return ""
	}
}

// died waits shortly for the child's end, after a call broke off; it says how it ended.
func (r *runner) died(patience time.Duration) (string, bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-r.exited:
		return r.state, true
	case <-timer.C:
		return "", false
	}
}
