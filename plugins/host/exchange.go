package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// transport makes the way out of one connector: no proxy, no cookies, no address that is not a source's.
func transport(config *tls.Config, limits Limits) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        config.Clone(),
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  limits.Response,
		MaxResponseHeaderBytes: 256 << 10, // so that the head fits a message
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true,
	}
}

// dial refuses addresses that a name on the list must not lead to: the cloud's metadata service and other link-local
// addresses, and this machine, unless the list names it as such.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	literal, _ := netip.ParseAddr(host)
	local := host == "localhost" || literal.IsLoopback()
	dialer := net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		ip := to.Addr().Unmap()
		if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || ip.IsLoopback() && !local {
			return errAddress
		}
		return nil
	}}
	return dialer.DialContext(ctx, network, address)
}

var errAddress = errors.New("its name leads to an address of this machine or of its local link, which is not allowed")

// exchange sends the request, at the pace the source bears, and again if that may help. An answer that says "wait" longer
// than the host itself waits becomes an *sdk.Error, so that the whole sync waits.
func (c *callback) exchange(ctx context.Context, r *http.Request) (*http.Response, error) {
	repeatable := r.Body == http.NoBody && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions)
	for attempt := 1; ; attempt++ {
		if err := c.wait(ctx); err != nil {
			return nil, err
		}
		response, err := c.out.RoundTrip(r)
		if err != nil && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		again := repeatable && attempt <= c.limits.Retries
		pause := backoff(attempt)
		switch {
		case err != nil:
			if !again || permanent(err) {
				return nil, unreachable(r.URL.Host, err)
			}
		case response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable:
			asked := sdk.RetryAfter(response.Header, time.Now())
			pause = max(pause, asked)
			if !again || pause > c.limits.RetryWait {
				discard(response)
				c.hold(pause)
				return nil, busy(r, response.StatusCode, max(asked, pause))
			}
		case (response.StatusCode == http.StatusBadGateway || response.StatusCode == http.StatusGatewayTimeout) && again:
		default:
			return response, nil
		}
		if response != nil {
			discard(response)
		}
		c.hold(pause)
	}
}

func busy(r *http.Request, code int, after time.Duration) error {
	e := &contract.Error{Class: contract.ClassTransient, RetryAfter: after, Message: fmt.Sprintf("%s answered %d: it is not available now", r.URL.Host, code)}
	if code == http.StatusTooManyRequests {
		e.Class, e.Message = contract.ClassRateLimit, fmt.Sprintf("%s answered 429: too many requests", r.URL.Host)
	}
	return e
}

func backoff(attempt int) time.Duration {
	base := 250 * time.Millisecond << attempt
	return base/2 + rand.N(base)
}

// wait waits for the source's pace.
func (c *callback) wait(ctx context.Context) error {
	for {
		c.mu.Lock()
		pause := time.Until(c.notBefore)
		c.mu.Unlock()
		if pause <= 0 {
			return c.limiter.Wait(ctx)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hold keeps all requests of the connection back for a while.
func (c *callback) hold(pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := time.Now().Add(min(pause, c.limits.RetryWait)); at.After(c.notBefore) {
		c.notBefore = at
	}
}

// discard lets the connection be used again.
func discard(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
	_ = response.Body.Close()
}

// permanent says that trying again at once will not help.
func permanent(err error) bool {
	var name *net.DNSError
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	return errors.Is(err, errAddress) || errors.As(err, &unknown) || errors.As(err, &hostname) || errors.As(err, &name) && name.IsNotFound
}

// unreachable says what went wrong without the request's path or query.
func unreachable(host string, err error) error {
	e := &contract.Error{Class: contract.ClassTransient, Err: err, Message: fmt.Sprintf("%s cannot be reached: %v", host, err)}
	if permanent(err) {
		e.Class = contract.ClassConfig
	}
	return e
}
