package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/wire"
)

// transport is an http.RoundTripper whose network is the hub. A refusal by the hub (a host that is not on the list, a rate
// limit that outlasted its patience) comes back as an *Error, so that an author only has to return it.
type transport struct {
	host pb.HostClient
}

const bodyPiece = 128 << 10

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	stream, err := t.host.HTTP(ctx)
	if err != nil {
		cancel()
		closeBody(r)
		return nil, known(err)
	}
	head := &pb.RequestHead{Method: r.Method, Url: r.URL.String(), Header: wire.FromHeader(r.Header), ContentLength: r.ContentLength}
	if r.Body == nil || r.Body == http.NoBody {
		head.ContentLength = 0
	} else if r.ContentLength == 0 {
		head.ContentLength = -1
	}
	if err := stream.Send(&pb.HTTPRequest{Part: &pb.HTTPRequest_Head{Head: head}}); err != nil && !errors.Is(err, io.EOF) {
		cancel()
		closeBody(r)
		return nil, known(err)
	}
	go sendBody(stream, r, cancel)
	first, err := stream.Recv()
	if err != nil {
		cancel()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, known(err)
	}
	return response(r, first.GetHead(), &responseBody{stream: stream, cancel: cancel}), nil
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// sendBody sends the request's body. If the hub no longer wants it, that is no error: the answer says why.
func sendBody(stream pb.Host_HTTPClient, r *http.Request, cancel func()) {
	defer closeBody(r)
	if r.Body != nil && r.Body != http.NoBody {
		piece := make([]byte, bodyPiece)
		for {
			n, err := r.Body.Read(piece)
			if n > 0 && stream.Send(&pb.HTTPRequest{Part: &pb.HTTPRequest_Body{Body: piece[:n]}}) != nil {
				return
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				cancel() // half a body must not be taken for a whole one
				return
			}
		}
	}
	_ = stream.CloseSend()
}

func response(r *http.Request, head *pb.ResponseHead, body io.ReadCloser) *http.Response {
	status := int(head.GetStatus())
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: wire.ToHeader(head.GetHeader()), ContentLength: head.GetContentLength(),
		Body: body, Request: r,
	}
}

type responseBody struct {
	stream pb.Host_HTTPClient
	cancel func()
	rest   []byte
	err    error
}

func (b *responseBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		m, err := b.stream.Recv()
		if err != nil {
			b.cancel()
			b.err = err
			if !errors.Is(err, io.EOF) {
				b.err = known(err)
			}
			continue
		}
		b.rest = m.GetBody()
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *responseBody) Close() error {
	b.cancel()
	if b.err == nil {
		b.err = errors.New("read after close")
	}
	b.rest = nil
	return nil
}
