package sdk

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/wire"
)

func newSession(config []byte, host pb.HostClient) *Session {
	return &Session{
		Config: config,
		HTTP:   &http.Client{Transport: &transport{host: host}},
		Dial:   func(ctx context.Context, address string) (net.Conn, error) { return dial(ctx, host, address) },
		Secret: func(ctx context.Context, name string) (string, error) {
			response, err := host.Secret(ctx, &pb.SecretRequest{Name: name})
			if err != nil {
				return "", known(err)
			}
			return response.GetValue(), nil
		},
		Log: slog.New(&handler{host: host}),
		Now: clock(),
	}
}

// clock gives the machine's time, moved if the hub says so: the conformance suite tries connectors under clocks that are wrong.
func clock() func() time.Time {
	skew, err := time.ParseDuration(os.Getenv(wire.Skew))
	if err != nil {
		skew = 0
	}
	return func() time.Time { return time.Now().UTC().Add(skew) }
}

// known gives the *Error that a failed call to the hub carries, else err itself.
func known(err error) error {
	if failure := wire.Failure(err); failure != nil {
		return failure
	}
	return err
}

// handler sends log records to the hub, which decides what becomes of them. A log record that cannot be sent is lost.
type handler struct {
	host       pb.HostClient
	attributes []*pb.Header
	prefix     string
}

const (
	logTimeout    = 5 * time.Second
	logAttributes = 32
)

func (h *handler) Enabled(context.Context, slog.Level) bool { return true }

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	request := &pb.LogRequest{Level: r.Level.String(), Message: wire.Clip(r.Message, contract.MaxPosition), Attributes: h.attributes}
	r.Attrs(func(a slog.Attr) bool {
		request.Attributes = h.append(request.Attributes, a)
		return len(request.Attributes) < logAttributes
	})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTimeout)
	defer cancel()
	_, err := h.host.Log(ctx, request)
	return err
}

func (h *handler) append(to []*pb.Header, a slog.Attr) []*pb.Header {
	text := fmt.Sprint(a.Value.Resolve().Any())
	return append(to[:len(to):len(to)], &pb.Header{Name: wire.Clip(h.prefix+a.Key, 64), Value: wire.Clip(text, contract.MaxPosition)})
}

func (h *handler) WithAttrs(attributes []slog.Attr) slog.Handler {
	copied := *h
	for _, a := range attributes {
		if len(copied.attributes) < logAttributes {
			copied.attributes = h.append(copied.attributes, a)
		}
	}
	return &copied
}

func (h *handler) WithGroup(name string) slog.Handler {
	copied := *h
	copied.prefix += name + "."
	return &copied
}
