package sdk

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
)

// dialled is a net.Conn whose network is the hub. One goroutine may read while another writes.
type dialled struct {
	stream  pb.Host_DialClient
	address address
	cancel  context.CancelFunc
	rest    []byte
	expired atomic.Bool

	mu       sync.Mutex
	deadline *time.Timer
}

// dial opens a stream of bytes; ctx is for the opening only.
func dial(ctx context.Context, host pb.HostClient, to string) (net.Conn, error) {
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	stream, err := host.Dial(whole)
	if err == nil {
		err = stream.Send(&pb.DialRequest{Part: &pb.DialRequest_Address{Address: to}})
	}
	if err == nil || errors.Is(err, io.EOF) { // why a Send failed comes with the next Recv
		_, err = stream.Recv()
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, known(err)
	}
	return &dialled{stream: stream, address: address(to), cancel: cancel}, nil
}

func (d *dialled) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		m, err := d.stream.Recv()
		if err != nil {
			return 0, d.failure(err)
		}
		d.rest = m.GetData()
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func (d *dialled) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(n+bodyPiece, len(p))]
		if err := d.stream.Send(&pb.DialRequest{Part: &pb.DialRequest_Data{Data: part}}); err != nil {
			if errors.Is(err, io.EOF) { // Read says why
				err = Errorf(ClassTransient, "the stream to %s ended before all was sent", d.address)
			}
			return n, d.failure(err)
		}
		n += len(part)
	}
	return n, nil
}

func (d *dialled) failure(err error) error {
	if d.expired.Load() {
		return os.ErrDeadlineExceeded
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return known(err)
}

// CloseWrite tells the peer that nothing follows; reading goes on.
func (d *dialled) CloseWrite() error { return d.stream.CloseSend() }

func (d *dialled) Close() error {
	d.cancel()
	return d.SetDeadline(time.Time{})
}

func (d *dialled) LocalAddr() net.Addr  { return address("hub") }
func (d *dialled) RemoteAddr() net.Addr { return d.address }

func (d *dialled) SetDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deadline != nil {
		d.deadline.Stop()
		d.deadline = nil
	}
	if !t.IsZero() {
		d.deadline = time.AfterFunc(time.Until(t), func() {
			d.expired.Store(true)
			d.cancel()
		})
	}
	return nil
}

func (d *dialled) SetReadDeadline(t time.Time) error  { return d.SetDeadline(t) }
func (d *dialled) SetWriteDeadline(t time.Time) error { return d.SetDeadline(t) }

// address is the host:port that was dialled.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
