package host

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/wire"
)

// callback is what one connector's process may ask of the hub: the Host service. Requests over HTTP are in egress.go, streams of bytes in dial.go.
type callback struct {
	pb.UnimplementedHostServer
	limits    Limits
	log       *slog.Logger
	session   Session
	output    *drain
	transport *http.Transport
	out       http.RoundTripper // the transport, or what stands before it
	ctx       context.Context   // ends with the process
	cancel    context.CancelFunc

	signs atomic.Int64 // when the connector last showed a sign of life, in nanoseconds
	busy  atomic.Int64 // requests that it waits for: then it is the hub's turn
	dials atomic.Int64 // streams of bytes that are open

	// Set once by allow, before the connector can call.
	hosts   []contract.HostPattern
	auth    []contract.Auth
	visible []string // secrets that the connector may see
	limiter *rate.Limiter

	issue  func(ctx context.Context, a contract.Auth, secret string) (string, time.Duration, error) // access tokens
	tokens tokens

	mu        sync.Mutex
	known     []string  // values of secrets met so far, which never stand in a message
	notBefore time.Time // the source wants no request before
}

func newCallback(h *Host, log *slog.Logger, s Session) *callback {
	c := &callback{limits: h.limits, log: log, session: s, transport: transport(h.options.TLS, h.limits)}
	c.out = c.transport
	if h.options.Through != nil {
		c.out = h.options.Through(c.transport)
	}
	c.issue = h.options.Tokens
	if c.issue == nil {
		c.issue = c.issued
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.output = newDrain(log, c.redact)
	c.touch()
	return c
}

// allow fixes what the connector may do, from what it says of itself and what the operator has accepted.
func (c *callback) allow(d contract.Description, accepted []string) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if accepted == nil {
		accepted = d.Hosts
	}
	for _, host := range accepted {
		pattern, err := contract.ParseHost(host)
		if err != nil {
			return err
		}
		c.hosts = append(c.hosts, pattern)
	}
	for _, auth := range d.Auth {
		if auth.Host == "" {
			auth.Host = d.Hosts[0]
		}
		c.auth = append(c.auth, auth)
	}
	c.visible = d.Secrets
	pace := d.Rate
	if pace == 0 {
		pace = c.limits.Rate
	}
	c.limiter = rate.NewLimiter(rate.Limit(pace), max(1, int(pace)))
	if c.limits.NoPace {
		c.limiter.SetLimit(rate.Inf)
	}
	return nil
}

// touch notes a sign of life.
func (c *callback) touch() { c.signs.Store(time.Now().UnixNano()) }

// quiet is how long the connector has shown no sign of life; 0 while it waits for the hub.
func (c *callback) quiet() time.Duration {
	if c.busy.Load() > 0 {
		return 0
	}
	return time.Duration(time.Now().UnixNano() - c.signs.Load())
}

// serve marks the time that a call of the connector takes as the hub's.
func (c *callback) serve() func() {
	c.busy.Add(1)
	return func() {
		c.touch()
		c.busy.Add(-1)
	}
}

// secret fetches a secret's value and remembers it for redaction.
func (c *callback) secret(ctx context.Context, name string) (string, error) {
	if c.session.Secrets == nil {
		return "", &contract.Error{Class: contract.ClassConfig, Message: fmt.Sprintf("the connection has no secret %q; set it", name)}
	}
	value, err := c.session.Secrets(ctx, name)
	if err != nil {
		return "", &contract.Error{Class: contract.ClassConfig, Message: fmt.Sprintf("the secret %q cannot be read; set it anew", name), Err: err}
	}
	c.conceal(value)
	return value, nil
}

// conceal has a text redacted from now on. One of fewer than 4 bytes would make every message unreadable.
func (c *callback) conceal(value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(value) >= 4 && !slices.Contains(c.known, value) {
		c.known = append(c.known, value)
	}
}

// redact takes the secrets met so far out of a text.
func (c *callback) redact(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, value := range c.known {
		text = strings.ReplaceAll(text, value, "[secret]")
	}
	return text
}

func (c *callback) Secret(ctx context.Context, m *pb.SecretRequest) (*pb.SecretResponse, error) {
	defer c.serve()()
	if !slices.Contains(c.visible, m.GetName()) {
		return nil, wire.Status(&contract.Error{Class: contract.ClassPermission, Message: fmt.Sprintf(
			"the connector may not see the secret %q: Description.Secrets does not name it (requests are signed by the hub, see Description.Auth)",
			wire.Clip(m.GetName(), 100))})
	}
	value, err := c.secret(ctx, m.GetName())
	if err != nil {
		return nil, wire.Status(err.(*contract.Error))
	}
	return &pb.SecretResponse{Value: value}, nil
}

func (c *callback) Log(_ context.Context, m *pb.LogRequest) (*pb.LogResponse, error) {
	defer c.serve()()
	var level slog.Level
	if err := level.UnmarshalText([]byte(m.GetLevel())); err != nil {
		level = slog.LevelInfo
	}
	var attributes []any
	for _, a := range m.GetAttributes()[:min(len(m.GetAttributes()), 32)] {
		attributes = append(attributes, slog.String(wire.Clip(a.GetName(), 64), c.redact(wire.Clip(a.GetValue(), lineText))))
	}
	c.output.message(level, m.GetMessage(), attributes)
	return &pb.LogResponse{}, nil
}
