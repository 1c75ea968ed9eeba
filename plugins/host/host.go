// Package host runs connectors: as processes without network, without the hub's environment, pinned by checksum, that die
// with the hub. Start reading at Host.Start, then Process.Read.
//
// A connector is a stranger. The host bounds everything it says (prune.go also throws away what no mapping asked for), makes
// its HTTP requests for it (egress.go), and turns each way to misbehave into one of the errors in errors.go.
package host

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
)

// Options configure a Host.
type Options struct {
	// SocketDir is a folder of the hub's own for sockets; "" is a folder in the system's place for temporary files.
	// A socket's path holds about 100 bytes, so instead of a long SocketDir the system's place is taken, too.
	SocketDir string
	// Hide lists folders and files that no connector may see (on Linux): the hub's keys, tokens, database. They must exist when a
	// connector starts. Connectors find such a folder empty. /run, with the sockets of this machine's services, is always hidden.
	Hide []string
	// Show lists folders in hidden ones that connectors may read all the same, once they exist.
	Show []string
	// Executable is this program, for built-in connectors: it is started as `Executable connector serve NAME`. "" means this
	// very process's, even if the file has been replaced since.
	Executable string
	// Builtin lists the names of the connectors that Executable serves, for error messages.
	Builtin []string
	// Installed finds the program of a third party's connector by name and SHA-256, for a Plugin without path. nil: there are none.
	Installed func(name, sha256 string) (path string, err error)
	Logger    *slog.Logger
	// AllowNoNamespace starts connectors even where they cannot be cut off from the network and from what Hide names. As much of
	// it as the kernel permits is done all the same.
	AllowNoNamespace bool
	Limits           Limits
	// TLS configures HTTPS to sources, for instance a private authority. nil: the system's authorities.
	TLS *tls.Config
	// Tokens stands in for those who issue access tokens (auth kind oauth2), in tests; nil: they are asked.
	Tokens func(ctx context.Context, a contract.Auth, secret string) (token string, good time.Duration, err error)
	// Through stands between connectors and their sources: it is given the way out and gives what is taken instead. Recordings, replays and injected
	// faults are made with it. What it sees is signed. nil: the way out itself.
	Through func(out http.RoundTripper) http.RoundTripper
	// Skew sets connectors' clocks forward, or back, and Zone their machine's time zone ("": UTC): for conformance tests.
	Skew time.Duration
	Zone string
}

// Limits bound what a connector may take. Zero fields have the defaults named.
type Limits struct {
	Start       time.Duration // until the connector answers: 10 s
	Call        time.Duration // Describe, Check, Commit and other single calls: 60 s
	Idle        time.Duration // of a read without a sign of life: 60 s
	RecordBytes int           // of one record: 16 MiB
	PageBytes   int           // of one page, after pruning, with 128 bytes added per record: 32 MiB
	PushBytes   int           // of a pushed body: 16 MiB
	Response    time.Duration // until a source sends its answer's headers, and between two pieces of its body: 60 s
	Exchange    int64         // bytes of one answer of a source: 1 GiB
	Retries     int           // of a request that may be repeated: 3
	RetryWait   time.Duration // the longest the host itself waits for a source's Retry-After: 30 s
	Rate        float64       // requests a second to a source, if the connector names none: 10
	Dials       int           // streams of bytes (Host.Dial) that are open at one time: 4
	DialIdle    time.Duration // of such a stream without a byte either way: 5 min
	DialBytes   int64         // that such a stream carries, each way: 64 GiB
	NoPace      bool          // requests are held to no pace: for replays, which bother no source
}

func (l Limits) withDefaults() Limits {
	set(&l.Start, 10*time.Second)
	set(&l.Call, time.Minute)
	set(&l.Idle, time.Minute)
	set(&l.RecordBytes, 16<<20)
	set(&l.PageBytes, 32<<20)
	set(&l.PushBytes, 16<<20)
	set(&l.Response, time.Minute)
	set(&l.Exchange, 1<<30)
	set(&l.Retries, 3)
	set(&l.RetryWait, 30*time.Second)
	set(&l.Rate, 10)
	set(&l.Dials, 4)
	set(&l.DialIdle, 5*time.Minute)
	set(&l.DialBytes, 64<<30)
	return l
}

func set[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// Plugin names a connector: built in, or a program of a third party.
type Plugin struct {
	Connector string // its name
	Path      string // of the program; "" for a built-in connector, and for one that Options.Installed finds
	SHA256    string // hex; "" for a built-in connector only
}

// Session is the connection a process is started for.
type Session struct {
	Config  []byte                                                 // JSON, without secrets
	Secrets func(ctx context.Context, name string) (string, error) // nil: there are none
	// Hosts is the list of hosts that the operator has accepted; the connector may not go beyond it. nil: what Describe asks for.
	Hosts []string
}

// Host starts connectors. It is safe for concurrent use.
type Host struct {
	options Options
	limits  Limits
	log     *slog.Logger
	dir     *socketDir
	spawn   chan func()
	closed  chan struct{}
	once    sync.Once
}

// New makes a Host. Close it when its processes are closed.
func New(o Options) *Host {
	h := &Host{options: o, limits: o.Limits.withDefaults(), log: o.Logger, spawn: make(chan func()), closed: make(chan struct{})}
	if h.log == nil {
		h.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	h.dir = &socketDir{parent: o.SocketDir}
	go h.spawner()
	return h
}

// spawner starts all children from one thread that lives as long as the host: Linux sends a child its death signal when
// the *thread* that started it ends. When Close ends it, so do children that are still there.
func (h *Host) spawner() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	for {
		select {
		case start := <-h.spawn:
			start()
		case <-h.closed:
			return
		}
	}
}

func (h *Host) onThread(start func()) error {
	select {
	case h.spawn <- start:
		return nil
	case <-h.closed:
		return fmt.Errorf("%w: the hub is stopping", ErrClosed)
	}
}

// Close ends the host. Processes that were not closed are killed.
func (h *Host) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.dir.remove()
}

// builtin gives path and arguments of a built-in connector.
func (h *Host) builtin(name string) (string, []string, error) {
	if name == "" || filepath.Base(name) != name || name[0] == '-' {
		return "", nil, fmt.Errorf("%w: %q is no connector's name", ErrUnknown, name)
	}
	if len(h.options.Builtin) > 0 && !contains(h.options.Builtin, name) {
		return "", nil, fmt.Errorf("%w: there is no built-in connector %q; there are: %v", ErrUnknown, name, h.options.Builtin)
	}
	path := h.options.Executable
	if path == "" {
		path = ownExecutable()
	}
	return path, []string{"connector", "serve", name}, nil
}

func contains(list []string, name string) bool {
	for _, entry := range list {
		if entry == name {
			return true
		}
	}
	return false
}

func ownExecutable() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe" // what runs, even if the file was replaced
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}
