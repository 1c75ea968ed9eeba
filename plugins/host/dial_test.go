package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// dialler dials as its config says and tells what came of it.
type dialler struct{}

type diallerConfig struct {
	Hosts   []string
	Address string
	Send    int           // bytes; the peer sends them back once this side is closed
	Times   int           // dial so often, and keep all open
	Wait    time.Duration // for a first byte
}

func (*dialler) Describe(config []byte) (sdk.Description, error) {
	var c diallerConfig
	err := json.Unmarshal(config, &c)
	return sdk.Description{Name: "dialler", Version: "1.0.0", Rate: 1000, Hosts: c.Hosts}, err
}

func (*dialler) Read(context.Context, *sdk.Session, sdk.Request, *sdk.Output) error { return nil }

func (*dialler) Check(ctx context.Context, s *sdk.Session) error {
	var c diallerConfig
	if err := json.Unmarshal(s.Config, &c); err != nil {
		return err
	}
	opening, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := s.Dial(opening, c.Address)
	if err != nil {
		return err
	}
	cancel() // the context was for the opening
	defer conn.Close()
	for range c.Times - 1 {
		more, err := s.Dial(ctx, c.Address)
		if err != nil {
			return err
		}
		defer more.Close()
	}
	if c.Wait > 0 {
		_ = conn.SetReadDeadline(time.Now().Add(c.Wait))
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			return sdk.Errorf(sdk.ClassData, "waited: %w", err)
		}
	}
	if _, err := conn.Write([]byte(strings.Repeat("x", c.Send))); err != nil {
		return err
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	back, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	return sdk.Errorf(sdk.ClassData, "%d bytes came back from %s", len(back), conn.RemoteAddr())
}

// echo is a server that sends back what it was sent, after its peer's end.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				all, err := io.ReadAll(conn)
				if err == nil {
					_, _ = conn.Write(all)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestDial(t *testing.T) {
	address := echo(t)
	_, port, _ := net.SplitHostPort(address)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	h := newHost(t, func(o *host.Options) { o.Limits.DialIdle, o.Limits.DialBytes = 400*time.Millisecond, 4<<20 })
	list := func(hosts ...string) []string { return hosts }
	tests := []struct {
		name   string
		config diallerConfig
		class  sdk.Class
		want   string
	}{
		{"nothing", diallerConfig{Hosts: list("tcp://" + address), Address: address}, "data", "0 bytes came back from " + address},
		{"small", diallerConfig{Hosts: list("tcp://" + address), Address: address, Send: 5}, "data", "5 bytes came back"},
		{"large", diallerConfig{Hosts: list("tcp://" + address), Address: address, Send: 3 << 20}, "data", "3145728 bytes came back"},
		{"by name", diallerConfig{Hosts: list("tcp://localhost:" + port), Address: "localhost:" + port, Send: 5}, "data", "5 bytes came back"},
		{"another port", diallerConfig{Hosts: list("tcp://127.0.0.1:1"), Address: address}, "permission", "may not reach tcp://" + address},
		{"listed for HTTP", diallerConfig{Hosts: list("http://" + address), Address: address}, "permission", "may not reach"},
		{"no address", diallerConfig{Hosts: list("tcp://" + address), Address: "nowhere"}, "source_bug", "no address"},
		{"nobody there", diallerConfig{Hosts: list("tcp://" + nobody), Address: nobody}, "transient", "cannot be reached"},
		{"link-local", diallerConfig{Hosts: list("tcp://169.254.169.254:22"), Address: "169.254.169.254:22"}, "config", "not allowed"},
		{"silence", diallerConfig{Hosts: list("tcp://" + address), Address: address, Wait: time.Minute}, "data", "no byte went either way"},
		{"a deadline", diallerConfig{Hosts: list("tcp://" + address), Address: address, Wait: 50 * time.Millisecond}, "data", "waited: i/o timeout"},
		{"four", diallerConfig{Hosts: list("tcp://" + address), Address: address, Times: 4}, "data", "0 bytes"},
		{"five", diallerConfig{Hosts: list("tcp://" + address), Address: address, Times: 5}, "source_bug", "more than 4 times at once"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text, err := json.Marshal(test.config)
			if err != nil {
				t.Fatal(err)
			}
			p := start(t, h, "dialler", config(string(text)))
			err = p.Check(t.Context())
			var known *sdk.Error
			if !errors.As(err, &known) || known.Class != test.class || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s: %s", err, test.class, test.want)
			}
		})
	}
	t.Run("too large", func(t *testing.T) { // it is told while it sends, or when it reads
		text := fmt.Sprintf(`{"Hosts":["tcp://%s"],"Address":%q,"Send":%d}`, address, address, 5<<20)
		err := start(t, h, "dialler", config(text)).Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), "more than 4194304 bytes") && !strings.Contains(err.Error(), "ended before all was sent") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not accepted", func(t *testing.T) {
		text := fmt.Sprintf(`{"Hosts":["tcp://%s"],"Address":%q}`, address, address)
		p := start(t, h, "dialler", host.Session{Config: []byte(text), Hosts: []string{"lms.example.org"}})
		var known *sdk.Error
		if err := p.Check(t.Context()); !errors.As(err, &known) || known.Class != sdk.ClassPermission {
			t.Errorf("got %v", err)
		}
	})
}

// TestDialledStreamsEnd: a stream does not outlive the connector that opened it.
func TestDialledStreamsEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = io.ReadAll(conn)
		}
		ended <- err
	}()
	h := newHost(t, nil)
	text := fmt.Sprintf(`{"Hosts":["tcp://%s"],"Address":%q,"Wait":%d}`, l.Addr(), l.Addr(), time.Minute)
	p := start(t, h, "dialler", config(text))
	go func() { _ = p.Check(context.WithoutCancel(t.Context())) }()
	time.Sleep(200 * time.Millisecond)
	p.Close()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the stream is still open")
	}
}
