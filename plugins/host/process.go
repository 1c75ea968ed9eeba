package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	goplugin "github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/wire"
)

// maxRequests bounds what a connector asks of the hub at one time; further calls wait.
const maxRequests = 32

// Process is one running connector with one session. It is safe for concurrent use. Close it.
type Process struct {
	name     string
	limits   Limits
	client   *plugin.Client
	runner   *runner
	calls    pb.ConnectorClient
	callback *callback
	close    sync.Once
}

// Start starts a connector, checks its program against the pin, and gives it its session. It takes ctx's or Limits.Start's
// time, whichever is shorter. Errors: ErrUnknown, ErrChecksum, ErrNoNamespace, ErrHandshake, ErrTimeout, ErrDied.
func (h *Host) Start(ctx context.Context, p Plugin, s Session) (*Process, error) {
	dir, err := h.dir.make()
	if err != nil {
		return nil, err
	}
	hide, err := hidden(append([]string{dir}, h.options.Hide...))
	if err != nil {
		return nil, err
	}
	cmd, program, err := h.command(p)
	if err != nil {
		return nil, err
	}
	if program != nil {
		defer program.Close() // the child has its own by then
	}
	log := h.log.With("connector", p.Connector)
	callback := newCallback(h, log, s)
	process := &Process{name: p.Connector, limits: h.limits, callback: callback}
	process.runner = newRunner(h, p.Connector, cmd, view{hide: hide, show: shown(h.options.Show, hide)}, callback.output)
	process.client = plugin.NewClient(process.config(dir))
	ctx, cancel := context.WithTimeoutCause(ctx, h.limits.Start,
		fmt.Errorf("%w: %s did not start within %s; start it by hand to see why, or allow it more time", ErrTimeout, p.Connector, h.limits.Start))
	defer cancel()
	if err := process.connect(ctx, s); err != nil {
		process.Close()
		return nil, err
	}
	return process, nil
}

func (h *Host) command(p Plugin) (cmd *exec.Cmd, program *os.File, err error) {
	if p.Path == "" && p.SHA256 != "" && !contains(h.options.Builtin, p.Connector) && h.options.Installed != nil {
		if p.Path, err = h.options.Installed(p.Connector, p.SHA256); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
	}
	if p.Path == "" {
		path, args, err := h.builtin(p.Connector)
		if err != nil {
			return nil, nil, err
		}
		if p.SHA256 != "" {
			return nil, nil, fmt.Errorf("%w: connector %s is built in, so it is the hub's own program and has no checksum to pin; remove the checksum", ErrChecksum, p.Connector)
		}
		cmd = &exec.Cmd{Path: path, Args: append([]string{path}, args...)}
	} else {
		if program, err = pinned(p); err != nil {
			return nil, nil, err
		}
		cmd = &exec.Cmd{Path: inherited(program), Args: []string{p.Path}, ExtraFiles: []*os.File{program}}
	}
	cmd.Env = []string{"TZ=" + cmp.Or(h.options.Zone, "UTC"), "LANG=C.UTF-8"}
	if h.options.Skew != 0 {
		cmd.Env = append(cmd.Env, wire.Skew+"="+h.options.Skew.String())
	}
	return cmd, program, nil
}

func (p *Process) config(dir string) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.Name: &dispensed{}}},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, tmpDir string) (goplugin.Runner, error) {
			p.runner.cmd.Env = append(p.runner.cmd.Env, cmd.Env...)
			p.runner.dir = tmpDir
			return p.runner, nil
		},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     p.limits.Start,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       p.callback.output, // what it prints once it serves
		SyncStderr:       p.callback.output,
		// go-plugin raises gRPC's limits to 2 GiB; the contract's hold.
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(contract.MaxFrame), grpc.MaxCallSendMsgSize(contract.MaxFrame))},
	}
}

// connect does what may hang in a goroutine of its own; a child that hangs is killed, which ends the goroutine.
func (p *Process) connect(ctx context.Context, s Session) error {
	done := make(chan error, 1)
	go func() { done <- p.open(ctx, s) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		p.runner.kill()
		<-done
		return context.Cause(ctx)
	}
}

func (p *Process) open(ctx context.Context, s Session) error {
	protocol, err := p.client.Client()
	if err != nil {
		return p.startFailure(err)
	}
	raw, err := protocol.Dispense(wire.Name)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrHandshake, p.name, err)
	}
	c := raw.(*connection)
	p.calls = pb.NewConnectorClient(c.conn)
	description, err := p.Describe(ctx, s.Config)
	if err != nil {
		return err
	}
	if err := p.callback.allow(description, s.Hosts); err != nil {
		return err
	}
	id := c.broker.NextId()
	go c.broker.AcceptAndServe(id, func(options []grpc.ServerOption) *grpc.Server {
		server := grpc.NewServer(append(options, grpc.MaxRecvMsgSize(contract.MaxFrame), grpc.MaxConcurrentStreams(maxRequests))...)
		pb.RegisterHostServer(server, p.callback)
		return server
	})
	_, err = p.calls.Open(ctx, &pb.OpenRequest{Config: s.Config, Host: id})
	return p.failure(ctx, "opening its session", err)
}

// startFailure says what kept a child from answering. Its own output is never quoted.
func (p *Process) startFailure(err error) error {
	switch {
	case p.runner.startErr != nil && errors.Is(p.runner.startErr, ErrNoNamespace):
		return p.runner.startErr
	case p.runner.startErr != nil:
		return fmt.Errorf("%w: %s: %w", ErrUnknown, p.name, p.runner.startErr)
	case p.runner.garbage.Load():
		return fmt.Errorf("%w: %s printed something else on its standard output before it said hello; "+
			"a connector prints nothing there (it has Session.Log) and calls sdk.Serve at once", ErrHandshake, p.name)
	case p.runner.misled.Load():
		return fmt.Errorf("%w: %s asks the hub to connect to another place than its own socket", ErrHandshake, p.name)
	case strings.Contains(err.Error(), "timeout"):
		return fmt.Errorf("%w: %s did not say hello within %s", ErrTimeout, p.name, p.limits.Start)
	case strings.Contains(err.Error(), "incompatible API version"):
		return fmt.Errorf("%w: %s speaks another version of the protocol than this hub (%d): upgrade the older of the two", ErrHandshake, p.name, wire.Version)
	}
	if state, ended := p.runner.died(time.Second); ended {
		return fmt.Errorf("%w: %s ended before it said hello (%s); is it a connector for this machine?", ErrDied, p.name, state)
	}
	return fmt.Errorf("%w: %s", ErrHandshake, p.name)
}

// PID is the process's id, for operators and tests.
func (p *Process) PID() int {
	if p.runner.ID() == "" {
		return 0
	}
	return p.runner.cmd.Process.Pid
}

// Close ends the process: kindly at first, by force after two seconds.
func (p *Process) Close() {
	p.close.Do(func() {
		p.callback.cancel()
		force := time.AfterFunc(2*time.Second, p.runner.kill)
		defer force.Stop()
		p.client.Kill()
		if p.runner.dir != "" {
			_ = os.RemoveAll(p.runner.dir)
		}
		p.callback.transport.CloseIdleConnections()
		p.callback.output.summary()
	})
}

// dispensed is the host's side of go-plugin.
type dispensed struct{ plugin.NetRPCUnsupportedPlugin }

type connection struct {
	broker *plugin.GRPCBroker
	conn   *grpc.ClientConn
}

func (*dispensed) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("the host calls connectors, it does not serve one")
}

func (*dispensed) GRPCClient(_ context.Context, broker *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return &connection{broker: broker, conn: conn}, nil
}
