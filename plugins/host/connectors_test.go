package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lrshub/lrshub/connectors/csv"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// The connectors of this package's tests. The test program serves them as processes of their own: kit.Main.

func TestMain(m *testing.M) {
	if len(os.Args) == 1 && os.Getenv("LRSHUB_CONNECTOR") != "" { // started by its path alone, as a third party's program is
		if serve := connectors[strings.TrimPrefix(filepath.Base(os.Args[0]), "their-")]; serve != nil {
			sdk.Serve(serve())
		}
		sdk.Serve(&counter{})
		os.Exit(0)
	}
	if len(os.Args) == 2 && os.Args[1] == "host-to-be-killed" {
		hostToBeKilled()
	}
	if len(os.Args) == 3 && modes[os.Args[1]] != nil {
		modes[os.Args[1]](os.Args[2])
		return
	}
	kit.Main(m, connectors)
}

// modes are what else the test program is started as, with one argument.
var modes = map[string]func(string){"host-in-a-cage": hostInACage}

var connectors = map[string]func() sdk.Connector{
	"counter":  func() sdk.Connector { return &counter{} },
	"rogue":    func() sdk.Connector { return &rogue{} },
	"web":      func() sdk.Connector { return &web{} },
	"dialler":  func() sdk.Connector { return &dialler{} },
	"prober":   func() sdk.Connector { return &prober{} },
	"csv":      csv.New,
	"able":     func() sdk.Connector { return &able{} },
	"hangs":    func() sdk.Connector { select {} },
	"exits":    func() sdk.Connector { os.Exit(3); return nil },
	"chatters": func() sdk.Connector { fmt.Println("PRIVATE: welcome!"); return &counter{} },
	"babbles": func() sdk.Connector {
		for {
			fmt.Print(strings.Repeat("PRIVATE ", 1000))
		}
	},
	"misleads": func() sdk.Connector { // sends the hub to another address
		fmt.Println("1|1|tcp|127.0.0.1:1|grpc|")
		select {}
	},
	"oversized": func() sdk.Connector { serveRaw(&oversized{}); return nil },
	"mute": func() sdk.Connector { // says hello and then nothing
		path := os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/plugin1"
		if _, err := net.Listen("unix", path); err != nil {
			panic(err)
		}
		fmt.Println("1|1|unix|" + path + "|grpc|")
		select {}
	},
}

var numbers = contract.Stream{
	Name: "numbers",
	Fields: []contract.Field{
		{Name: "n", Type: contract.Int},
		{Name: "who", Type: contract.String, Optional: true},
		{Name: "text", Type: contract.String, Optional: true},
	},
	Key: []string{"n"}, Subject: "who", Deletes: contract.DeletesTombstone, Mode: contract.Incremental,
}

// counter counts to config's "to" from the cursor on.
type counter struct{}

func (*counter) Describe([]byte) (sdk.Description, error) {
	return sdk.Description{Name: "counter", Version: "1.0.0", Summary: "counts", Streams: []contract.Stream{numbers}}, nil
}

func (*counter) Check(context.Context, *sdk.Session) error { return nil }

func (*counter) Read(_ context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	var config struct{ To int }
	if err := json.Unmarshal(s.Config, &config); err != nil {
		return sdk.Errorf(sdk.ClassConfig, "%w", err)
	}
	n, _ := strconv.Atoi(string(r.Cursor))
	for n < config.To {
		n++
		record := fmt.Appendf(nil, `{"n":%d,"who":"w%d","text":"number %d of many","extra":%d}`, n, n%10, n, n)
		if err := out.Record(record, "n"); err != nil {
			return err
		}
		if out.Due() {
			out.Progress(int64(n), int64(config.To))
			if err := out.Checkpoint(strconv.AppendInt(nil, int64(n), 10)); err != nil {
				return err
			}
		}
	}
	return out.Checkpoint(strconv.AppendInt(nil, int64(n), 10))
}

// rogue does what its config says, after 10 good records and a checkpoint.
type rogue struct{}

func (*rogue) Describe(config []byte) (sdk.Description, error) {
	switch string(config) {
	case `"describe hangs"`:
		select {}
	case `"describe lies"`:
		return sdk.Description{Name: "ROGUE", Version: "1"}, nil
	}
	return sdk.Description{Name: "rogue", Version: "1.0.0", Streams: []contract.Stream{numbers}, Secrets: []string{"visible"}}, nil
}

func (*rogue) Check(ctx context.Context, s *sdk.Session) error {
	switch string(s.Config) {
	case `"hangs"`:
		select {}
	case `"leaks"`:
		secret, err := s.Secret(ctx, "visible")
		if err != nil {
			return err
		}
		s.Log.Warn("logged "+secret, "attribute", secret)
		fmt.Fprintln(os.Stderr, "printed "+secret)
		return sdk.Errorf(sdk.ClassAuth, "the source does not like %s", secret)
	case `"asks for another's secret"`:
		_, err := s.Secret(ctx, "hidden")
		return err
	case `"plain error"`:
		return fmt.Errorf("PRIVATE: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

func (r *rogue) Read(_ context.Context, s *sdk.Session, _ sdk.Request, out *sdk.Output) error {
	for n := range 10 {
		if err := out.Record(fmt.Appendf(nil, `{"n":%d}`, n), "n"); err != nil {
			return err
		}
	}
	if err := out.Checkpoint([]byte("10")); err != nil {
		return err
	}
	if err := out.Record([]byte(`{"n":11}`), "n"); err != nil {
		return err
	}
	return r.misbehave(string(s.Config), out)
}

func (*rogue) misbehave(how string, out *sdk.Output) error {
	switch how {
	case `"dies"`:
		os.Exit(7)
	case `"is killed"`:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // the first process of its namespace is deaf to this
		runaway := exec.Command("/bin/sleep", "1000")
		_ = runaway.Start()
		panic("PRIVATE")
	case `"hangs"`:
		select {}
	case `"is slow but alive"`:
		for n := range 5 {
			time.Sleep(time.Second)
			out.Progress(int64(n), 5)
		}
	case `"panics"`:
		var none []int
		_ = none[len(how)]
	case `"floods"`:
		for n := 0; ; n++ {
			if err := out.Record(fmt.Appendf(nil, `{"n":%d,"text":%q}`, n, strings.Repeat("x", 1000)), "n"); err != nil {
				return err
			}
		}
	case `"prints"`:
		for range 100_000 {
			fmt.Fprintln(os.Stderr, "PRIVATE words on standard error")
			fmt.Println("PRIVATE words on standard output")
		}
		_, _ = syscall.Write(2, []byte(strings.Repeat("PRIVATE without end of line ", 100_000)))
	case `"brings large records"`:
		for _, size := range []int{300 << 10, 2 << 20, 50 << 20} {
			record := fmt.Appendf(nil, `{"n":%d,"text":%q}`, size, strings.Repeat("x", size))
			if err := out.Record(record, "n"); err != nil {
				return err
			}
		}
	case `"brings bad records"`:
		for _, record := range []string{`{"n":"PRIVATE"}`, `{"n":12`, `[]`, `{"n":13}`} {
			if err := out.Record([]byte(record), "place"); err != nil {
				return err
			}
		}
		if err := out.Delete([]any{14}); err != nil {
			return err
		}
		return out.Bad("bad_record", "place", "ragged", []byte("raw"))
	case `"wants to wait"`:
		return &sdk.Error{Class: sdk.ClassRateLimit, RetryAfter: 90 * time.Second, Message: "slowly"}
	}
	return nil
}

func unexpectedEnv() []string {
	var names []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "PLUGIN_") && name != "LRSHUB_CONNECTOR" && name != "TZ" && name != "LANG" {
			names = append(names, name)
		}
	}
	return names
}

// web makes the requests its config lists and tells what came of them.
type web struct{}

func (*web) Describe(config []byte) (sdk.Description, error) {
	d := sdk.Description{Name: "web", Version: "1.0.0", Rate: 1000}
	var c webConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return d, sdk.Errorf(sdk.ClassConfig, "%w", err)
	}
	d.Hosts, d.Auth = c.Hosts, c.Auth
	return d, nil
}

type webConfig struct {
	Hosts       []string
	Auth        []sdk.Auth
	Method, URL string
	Body        int
}

func (*web) Read(context.Context, *sdk.Session, sdk.Request, *sdk.Output) error { return nil }

func (*web) Check(ctx context.Context, s *sdk.Session) error {
	var c webConfig
	if err := json.Unmarshal(s.Config, &c); err != nil {
		return err
	}
	var body io.Reader
	if c.Body > 0 {
		body = strings.NewReader(strings.Repeat("b", c.Body))
	}
	request, err := http.NewRequestWithContext(ctx, c.Method, c.URL, body)
	if err != nil {
		return err
	}
	response, err := s.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if err := sdk.CheckStatus(response); err != nil {
		return err
	}
	return sdk.Errorf(sdk.ClassData, "%d %s %d %.40s", response.StatusCode, response.Header.Get("X-Told"), len(answer), answer)
}

// able has every ability.
type able struct{ counter }

func (*able) Plan(context.Context, *sdk.Session, sdk.Request) ([]sdk.Partition, error) {
	parts := make([]sdk.Partition, 1200)
	for i := range parts {
		parts[i] = sdk.Partition{ID: strconv.Itoa(i), EstimatedRows: int64(i)}
	}
	return parts, nil
}

func (*able) Commit(_ context.Context, _ *sdk.Session, stream, partition string, cursor []byte) error {
	if stream != "numbers" || partition != "" || string(cursor) != "5" {
		return sdk.Errorf(sdk.ClassData, "commit of %s/%s/%s", stream, partition, cursor)
	}
	return nil
}

func (*able) Receive(_ context.Context, _ *sdk.Session, p sdk.Push, out *sdk.Output) (sdk.Reply, error) {
	if p.Header.Get("X-Signature") != "good" {
		return sdk.Reply{}, sdk.Errorf(sdk.ClassAuth, "the signature is wrong")
	}
	err := out.Record(fmt.Appendf(nil, `{"n":%d}`, len(p.Body)), "body")
	return sdk.Reply{Status: 202, Body: []byte("thanks")}, err
}

func (*able) FindSubject(_ context.Context, _ *sdk.Session, _, subject string, out *sdk.Output) error {
	return out.Record(fmt.Appendf(nil, `{"n":1,"who":%q}`, subject), "")
}

func (*able) EraseSubject(context.Context, *sdk.Session, string) (sdk.Erasure, error) {
	return sdk.Erasure{Erased: 2, Kept: 1, Reason: "law"}, nil
}
