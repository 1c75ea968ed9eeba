package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/wire"
)

// piece is how much of a body travels in one message, in bytes.
const piece = 128 << 10

// HTTP makes one request for the connector: to a host on the list only, signed with the connection's secret, at the pace
// the source bears, repeated if it may be. Redirects are the connector's to follow: each hop comes here again.
func (c *callback) HTTP(stream pb.Host_HTTPServer) error {
	defer c.serve()()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	head := first.GetHead()
	if head == nil {
		return status.Error(codes.InvalidArgument, "a request begins with its head")
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	request, err := c.request(ctx, head, &requestBody{stream: stream})
	if err != nil {
		return egressStatus(err)
	}
	began := time.Now()
	response, err := c.exchange(ctx, request)
	if err != nil {
		c.log.Debug("request failed", "method", request.Method, "host", request.URL.Host, "took", time.Since(began))
		return egressStatus(err)
	}
	defer response.Body.Close()
	c.log.Debug("request", "method", request.Method, "host", request.URL.Host, "status", response.StatusCode, "took", time.Since(began))
	err = stream.Send(&pb.HTTPResponse{Part: &pb.HTTPResponse_Head{Head: &pb.ResponseHead{
		Status: uint32(response.StatusCode), Header: wire.FromHeader(response.Header), ContentLength: response.ContentLength,
	}}})
	if err != nil {
		return err
	}
	return egressStatus(c.body(stream, response.Body, cancel))
}

func egressStatus(err error) error {
	var known *contract.Error
	if errors.As(err, &known) {
		return wire.Status(known)
	}
	return err
}

// body passes the answer's body on, with a bound on its size and on the silence between two pieces.
func (c *callback) body(stream pb.Host_HTTPServer, body io.Reader, cancel func()) error {
	silence := time.AfterFunc(c.limits.Response, cancel)
	defer silence.Stop()
	buffer := make([]byte, piece)
	for total := int64(0); ; {
		n, err := body.Read(buffer)
		silence.Reset(c.limits.Response)
		if total += int64(n); total > c.limits.Exchange {
			return &contract.Error{Class: contract.ClassSourceBug, Message: fmt.Sprintf("the source's answer is larger than %d bytes; ask it for less at a time", c.limits.Exchange)}
		}
		if n > 0 {
			if err := stream.Send(&pb.HTTPResponse{Part: &pb.HTTPResponse_Body{Body: buffer[:n]}}); err != nil {
				return err
			}
			silence.Reset(c.limits.Response) // the connector may take its time
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &contract.Error{Class: contract.ClassTransient, Message: "the source's answer broke off", Err: err}
		}
	}
}

// request makes and checks the request. Its body, if it has one, is read from the stream as it is sent.
func (c *callback) request(ctx context.Context, head *pb.RequestHead, body io.Reader) (*http.Request, error) {
	target, err := url.Parse(head.GetUrl())
	if err != nil || target.Host == "" || target.Opaque != "" || !strings.HasPrefix(strings.ToLower(target.Scheme), "http") {
		return nil, &contract.Error{Class: contract.ClassSourceBug, Message: "the connector asked for something that is no absolute URL"}
	}
	pattern, err := c.allowed(target)
	if err != nil {
		return nil, err
	}
	if head.GetContentLength() == 0 {
		body = http.NoBody
	}
	r, err := http.NewRequestWithContext(ctx, head.GetMethod(), target.String(), body)
	if err != nil {
		return nil, &contract.Error{Class: contract.ClassSourceBug, Message: "the connector made a request that is none"}
	}
	r.ContentLength = head.GetContentLength()
	r.URL.User = nil
	r.Header = wire.ToHeader(head.GetHeader())
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authorization"} {
		r.Header.Del(name)
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "lrshub")
	}
	return r, c.sign(ctx, r, pattern)
}

// allowed finds the pattern that covers the target.
func (c *callback) allowed(target *url.URL) (contract.HostPattern, error) {
	return c.pattern(contract.Target(target))
}

// pattern finds the one that covers a scheme, host and port.
func (c *callback) pattern(scheme, host, port string) (contract.HostPattern, error) {
	scheme, host = strings.ToLower(scheme), strings.ToLower(host)
	at := host
	if port != map[string]string{"https": "443", "http": "80"}[scheme] {
		at = net.JoinHostPort(host, port)
	}
	for _, pattern := range c.hosts {
		if pattern.Allows(scheme, host, port) {
			return pattern, nil
		}
	}
	return contract.HostPattern{}, &contract.Error{Class: contract.ClassPermission, Message: fmt.Sprintf(
		"the connection may not reach %s://%s: it is not among the hosts that were accepted for it", wire.Clip(scheme, 20), wire.Clip(at, 200))}
}

// sign adds the secrets that the description binds to this host.
func (c *callback) sign(ctx context.Context, r *http.Request, pattern contract.HostPattern) error {
	for _, auth := range c.auth {
		if bound, err := contract.ParseHost(auth.Host); err != nil || bound != pattern {
			continue
		}
		value, err := c.secret(ctx, auth.Secret)
		if err != nil {
			return err
		}
		switch auth.Kind {
		case contract.AuthBearer:
			r.Header.Set("Authorization", "Bearer "+value)
		case contract.AuthBasic, contract.AuthUser:
			user, password := auth.Name, value
			if auth.Kind == contract.AuthUser {
				user, password = value, auth.Name
			}
			r.SetBasicAuth(user, password)
			c.conceal(strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
		case contract.AuthOAuth2:
			token, err := c.token(ctx, auth, value)
			if err != nil {
				return err
			}
			r.Header.Set("Authorization", "Bearer "+token)
		case contract.AuthHeader:
			r.Header.Set(auth.Name, auth.Prefix+value)
		case contract.AuthQuery:
			query := r.URL.Query()
			query.Set(auth.Name, value)
			r.URL.RawQuery = query.Encode()
		}
	}
	return nil
}

// requestBody reads a request's body from the connector.
type requestBody struct {
	stream pb.Host_HTTPServer
	rest   []byte
}

func (b *requestBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		m, err := b.stream.Recv()
		if err != nil {
			return 0, err
		}
		b.rest = m.GetBody()
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
