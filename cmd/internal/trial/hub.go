// Package trial runs hubs as people do: the built binary, a data folder, the command line. End-to-end tests and the proofs of lrsbench
// share it. It knows nothing of the hub's rooms: only what a shell could do.
//
// Start with Build and Hub. processes.go finds the processes of a hub, tables.go makes up source tables, kills.go is the proof that kills
// lose and double nothing of a sync; writers.go that many writers at once leave a store whole, and kills too.
package trial

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build compiles cmd/lrshub of the module that root is in and gives the path of the binary in dir.
func Build(ctx context.Context, root, dir string) (string, error) {
	binary := filepath.Join(dir, "lrshub")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/lrshub")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build cmd/lrshub: %w\n%s", err, out)
	}
	return binary, nil
}

// Folder makes a folder that other users can pass through: under root, Postgres runs as one of them.
func Folder() (string, error) {
	dir, err := os.MkdirTemp("", "lrshub-trial-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

// FreeAddress finds an address of this machine that nothing listens on, below the ports that the kernel gives to outgoing connections
// and above those that the hub chooses for its children.
func FreeAddress() (string, error) {
	const first, last = 26000, 32000
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(last-first))
		if err != nil {
			return "", err
		}
		address := fmt.Sprintf("127.0.0.1:%d", first+n.Int64())
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		return address, l.Close()
	}
	return "", errors.New("no free port was found")
}

// Hub is a hub of a binary on a data folder. It is not safe for concurrent use but for Run.
type Hub struct {
	Binary  string
	Data    string
	Listen  string
	Flags   []string            // of up, beside --data and --listen
	As      *syscall.Credential // who runs it; nil: this process's user
	Wrap    func(cmd *exec.Cmd) // last word on how up is started
	cmd     *exec.Cmd           // of up
	printed *sayings            // by up, on standard output
	said    *sayings            // by up, on both outputs
	ended   chan struct{}       // closed when up ended
	pid     int
}

// New gives a hub on a folder that need not be there, on a free address.
func New(binary, data string) (*Hub, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	return &Hub{Binary: binary, Data: data, Listen: address}, nil
}

// sayings collects what a process prints.
type sayings struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *sayings) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *sayings) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// ErrEnded means that up ended before it was ready; the text has its exit code and what it said.
var ErrEnded = errors.New("up ended before it was ready")

// Up starts the hub and waits for its ready line.
func (h *Hub) Up(ctx context.Context) error {
	cmd := h.command(append([]string{"up", "--listen", h.Listen}, h.Flags...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	h.printed, h.said, h.ended = &sayings{}, &sayings{}, make(chan struct{})
	cmd.Stderr = h.said
	if h.Wrap != nil {
		h.Wrap(cmd)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	h.cmd, h.pid = cmd, cmd.Process.Pid
	ready := make(chan struct{})
	go h.watch(out, ready)
	select {
	case <-ready:
		return nil
	case <-h.ended:
		return fmt.Errorf("%w: exit code %d: %s", ErrEnded, cmd.ProcessState.ExitCode(), h.said)
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("up is not ready: %w: %s", ctx.Err(), h.said), h.Kill())
	}
}

// watch reads up's standard output, tells of the ready line, and waits for the end.
func (h *Hub) watch(out io.Reader, ready chan<- struct{}) {
	lines := bufio.NewScanner(io.TeeReader(out, io.MultiWriter(h.printed, h.said)))
	told := false
	for lines.Scan() {
		if line := lines.Text(); !told && strings.HasPrefix(line, "http://") && strings.HasSuffix(line, " ready") {
			told = true
			close(ready)
		}
	}
	_ = h.cmd.Wait() // its state says how it ended
	close(h.ended)
}

// URL is where the hub answers.
func (h *Hub) URL() string { return "http://" + h.Listen }

// PID is the process id of up, 0 if it does not run.
func (h *Hub) PID() int {
	if !h.Running() {
		return 0
	}
	return h.pid
}

// Running says whether up runs.
func (h *Hub) Running() bool {
	if h.cmd == nil {
		return false
	}
	select {
	case <-h.ended:
		return false
	default:
		return true
	}
}

// Printed is what up has printed on standard output.
func (h *Hub) Printed() string { return h.printed.String() }

// Said is what up has printed, on both outputs.
func (h *Hub) Said() string { return h.said.String() }

// Interrupt asks the hub to stop, as Ctrl-C does, and gives its exit code.
func (h *Hub) Interrupt(ctx context.Context) (int, error) {
	if !h.Running() {
		return 0, errors.New("the hub does not run")
	}
	if err := h.cmd.Process.Signal(os.Interrupt); err != nil {
		return 0, err
	}
	select {
	case <-h.ended:
		return h.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, errors.Join(fmt.Errorf("the hub did not stop: %w", ctx.Err()), h.Kill())
	}
}

// Stop stops the hub if it runs; an exit code other than 0 is an error.
func (h *Hub) Stop(ctx context.Context) error {
	if !h.Running() {
		return nil
	}
	code, err := h.Interrupt(ctx)
	if err == nil && code != 0 {
		err = fmt.Errorf("the hub stopped with exit code %d: %s", code, h.said)
	}
	return err
}

// Kill kills the hub's own process (SIGKILL) and waits for its end. Its children are left to themselves.
func (h *Hub) Kill() error {
	if !h.Running() {
		return nil
	}
	if err := h.cmd.Process.Kill(); err != nil {
		return err
	}
	<-h.ended
	return nil
}

// Result is what a command printed and how it ended.
type Result struct {
	Out, Err string
	Code     int
}

// Run runs a command of the binary on this hub's data folder.
func (h *Hub) Run(ctx context.Context, args ...string) (Result, error) {
	cmd := h.command(args...)
	cmd.Cancel = nil
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		return Result{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-ended
		return Result{}, fmt.Errorf("lrshub %s: %w", strings.Join(args, " "), ctx.Err())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Result{}, err
	}
	return Result{Out: out.String(), Err: errs.String(), Code: cmd.ProcessState.ExitCode()}, nil
}

// Must runs a command that has to succeed and gives what it printed.
func (h *Hub) Must(ctx context.Context, args ...string) (string, error) {
	r, err := h.Run(ctx, args...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("lrshub %s: exit code %d: %s", strings.Join(args, " "), r.Code, r.Err)
	}
	return r.Out, err
}

// JSON runs a command that has to succeed, with -o json, and decodes what it printed into out.
func (h *Hub) JSON(ctx context.Context, out any, args ...string) error {
	text, err := h.Must(ctx, append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), out)
}

// command prepares a command of the binary. The environment that steers lrshub is not passed on.
func (h *Hub) command(args ...string) *exec.Cmd {
	if h.Data != "" && !slices.Contains(args, "--data") {
		args = append(args, "--data", h.Data)
	}
	cmd := exec.Command(h.Binary, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "LRSHUB_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: h.As}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
