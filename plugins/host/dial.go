package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/wire"
)

// Dial opens a stream of bytes for the connector, to a host and port on the list only ("tcp://host:port"). What the two say to each
// other is theirs: the host bounds how much, how long in silence, and how many such streams there are. Unlike a request, a stream is no excuse for
// silence: only its bytes are a sign of life.
func (c *callback) Dial(stream pb.Host_DialServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if c.dials.Add(1) > int64(c.limits.Dials) {
		c.dials.Add(-1)
		return wire.Status(&contract.Error{Class: contract.ClassSourceBug, Message: fmt.Sprintf("the connector dials more than %d times at once; it must close what it no longer needs", c.limits.Dials)})
	}
	defer c.dials.Add(-1)
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	conn, err := c.dial(ctx, first.GetAddress())
	if err != nil {
		return egressStatus(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := stream.Send(&pb.DialResponse{Part: &pb.DialResponse_Opened{Opened: &pb.Opened{}}}); err != nil {
		return err
	}
	p := &pipe{callback: c, conn: conn, address: first.GetAddress(), began: time.Now()}
	return egressStatus(p.run(stream, cancel))
}

// dial checks the address and connects, at the pace the source bears.
func (c *callback) dial(ctx context.Context, address string) (net.Conn, error) {
	defer c.serve()()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &contract.Error{Class: contract.ClassSourceBug, Message: "the connector dialled something that is no address, host:port"}
	}
	if _, err := c.pattern("tcp", host, port); err != nil {
		return nil, err
	}
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		c.log.Debug("dialling failed", "host", address)
		return nil, unreachable(address, err)
	}
	return conn, nil
}

// pipe carries bytes both ways.
type pipe struct {
	callback *callback
	conn     net.Conn
	address  string
	began    time.Time
	idle     *time.Timer
}

func (p *pipe) run(stream pb.Host_DialServer, cancel func()) error {
	silent := make(chan struct{})
	p.idle = time.AfterFunc(p.callback.limits.DialIdle, func() {
		close(silent)
		p.conn.Close()
	})
	defer p.idle.Stop()
	out := make(chan error, 1)
	go func() {
		err := p.out(stream)
		out <- err
		if err != nil {
			cancel()
		}
	}()
	in, err := p.in(stream)
	p.callback.log.Debug("dialled", "host", p.address, "bytes", in, "took", time.Since(p.began))
	select {
	case <-silent:
		return &contract.Error{Class: contract.ClassTransient, Message: fmt.Sprintf("%s: no byte went either way for %s, so the stream was closed", p.address, p.callback.limits.DialIdle)}
	case sent := <-out:
		if sent != nil {
			return sent
		}
	default: // the peer closed its side; what the connector still sends has no reader
	}
	return err
}

// in carries what the peer sends to the connector, up to the peer's end.
func (p *pipe) in(stream pb.Host_DialServer) (total int64, err error) {
	buffer := make([]byte, piece)
	for {
		n, err := p.conn.Read(buffer)
		if total += int64(n); total > p.callback.limits.DialBytes {
			return total, p.tooMuch()
		}
		if n > 0 {
			p.moved()
			if err := stream.Send(&pb.DialResponse{Part: &pb.DialResponse_Data{Data: buffer[:n]}}); err != nil {
				return total, err
			}
			p.moved() // the connector may take its time
		}
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, p.broken(err)
		}
	}
}

// out carries what the connector sends to the peer, and closes that way when the connector does.
func (p *pipe) out(stream pb.Host_DialServer) error {
	for total := int64(0); ; {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			if half, ok := p.conn.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
			return nil
		case err != nil:
			return err
		}
		if total += int64(len(m.GetData())); total > p.callback.limits.DialBytes {
			return p.tooMuch()
		}
		p.moved()
		if _, err := p.conn.Write(m.GetData()); err != nil {
			return p.broken(err)
		}
	}
}

func (p *pipe) moved() {
	p.idle.Reset(p.callback.limits.DialIdle)
	p.callback.touch()
}

func (p *pipe) tooMuch() error {
	return &contract.Error{Class: contract.ClassSourceBug, Message: fmt.Sprintf("%s: the stream carried more than %d bytes", p.address, p.callback.limits.DialBytes)}
}

func (p *pipe) broken(err error) error {
	return &contract.Error{Class: contract.ClassTransient, Message: p.address + ": the stream broke off", Err: err}
}
