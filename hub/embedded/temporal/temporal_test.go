package temporal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/lrshub/lrshub/hub/embedded/postgres"
)

// hubVariable turns this test binary into a hub that runs Temporal, "folder URL", until it is killed.
const hubVariable = "LRSHUB_TEMPORAL_TEST_HUB"

func TestMain(m *testing.M) {
	if dir, postgresURL, ok := strings.Cut(os.Getenv(hubVariable), " "); ok {
		if _, err := Start(context.Background(), Options{PostgresURL: postgresURL, Dir: dir}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		select {}
	}
	os.Exit(m.Run())
}

// startPostgres starts a cluster of the test's own: the names of Temporal's databases are fixed.
func startPostgres(t *testing.T) *postgres.Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "lrshub-temporal-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	pg, err := postgres.Start(t.Context(), postgres.Options{Dir: filepath.Join(dir, "postgres"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := pg.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return pg
}

func start(t *testing.T, pg *postgres.Server, dir string) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	s, err := Start(ctx, Options{PostgresURL: pg.URL("postgres"), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	t.Logf("ready after %v", time.Since(began))
	return s
}

func double(ctx workflow.Context, n int) (int, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	var twice int
	err := workflow.ExecuteActivity(ctx, doubleActivity, n).Get(ctx, &twice)
	return twice, err
}

func doubleActivity(_ context.Context, n int) (int, error) { return 2 * n, nil }

// sleeper waits for a signal, or for ever.
func sleeper(ctx workflow.Context) (string, error) {
	var word string
	workflow.GetSignalChannel(ctx, "wake").Receive(ctx, &word)
	return word, nil
}

// dial connects a client and a worker.
func dial(t *testing.T, s *Server) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: s.Address(), Namespace: Namespace, Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := worker.New(c, "test", worker.Options{})
	w.RegisterWorkflow(double)
	w.RegisterWorkflow(sleeper)
	w.RegisterActivity(doubleActivity)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return c
}

// runWorkflow runs one workflow with one activity and returns how long that took.
func runWorkflow(t *testing.T, c client.Client) time.Duration {
	t.Helper()
	began := time.Now()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "test"}, double, 21)
	if err != nil {
		t.Fatal(err)
	}
	var got int
	if err := run.Get(t.Context(), &got); err != nil || got != 42 {
		t.Fatalf("got %d, %v", got, err)
	}
	return time.Since(began)
}

func TestWorkflow(t *testing.T) {
	pg, dir := startPostgres(t), t.TempDir()
	s := start(t, pg, dir)
	c := dial(t, s)
	t.Logf("first workflow %v, second %v", runWorkflow(t, c), runWorkflow(t, c))
	t.Logf("%d goroutines", runtime.NumGoroutine())
	description, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: Namespace})
	if err != nil || description.Config.WorkflowExecutionRetentionTtl.AsDuration() != DefaultRetention {
		t.Errorf("retention %v, %v", description.GetConfig().GetWorkflowExecutionRetentionTtl(), err)
	}
	for port := s.ports; port < s.ports+portCount; port++ {
		if !onlyLoopback(t, port) {
			t.Errorf("port %d is open to others than this machine", port)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "temporal.log")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("log: %v, %v", info, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "temporal.log")); err != nil || len(text) > 0 {
		t.Errorf("a normal start logs errors: %s", text)
	}

	schedule, err := c.ScheduleClient().Create(t.Context(), client.ScheduleOptions{ID: "often", Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: time.Second}}},
		Action: &client.ScheduleWorkflowAction{Workflow: double, Args: []any{1}, TaskQueue: "test", ID: "scheduled"}})
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		description, err := schedule.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(description.Info.RecentActions) > 0 {
			t.Logf("a schedule acted after %v", time.Since(began))
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal("a schedule does not act")
		}
	}

	began := time.Now()
	s.Stop()
	t.Logf("stopped in %v", time.Since(began))
	select {
	case <-s.Done():
	default:
		t.Error("stopped, and not done")
	}
	if s.Err() != nil {
		t.Errorf("stopped as told, yet: %v", s.Err())
	}
}

// After a kill the next start must be ready soon, on the same ports, and know what was running.
func TestKilled(t *testing.T) {
	pg, dir := startPostgres(t), t.TempDir()
	hub := exec.Command(os.Args[0])
	hub.Env = append(os.Environ(), hubVariable+"="+dir+" "+pg.URL("postgres"))
	out, err := hub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(); err != nil {
		t.Fatal(err)
	}
	defer hub.Process.Kill()
	word := make([]byte, 5)
	if _, err := out.Read(word); err != nil || string(word) != "ready" {
		t.Fatalf("the hub said %q, %v", word, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "temporal.port"))
	if err != nil {
		t.Fatal(err)
	}
	var base int
	if _, err := fmt.Sscan(string(text), &base); err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(client.Options{HostPort: address(base), Namespace: Namespace, Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "test", ID: "sleeper"}, sleeper); err != nil {
		t.Fatal(err)
	}
	if err := hub.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = hub.Wait()
	began := time.Now()
	s := start(t, pg, dir)
	if ready := time.Since(began); ready > 5*time.Second {
		t.Errorf("ready only after %v", ready)
	}
	if s.ports != base {
		t.Errorf("ports %d, were %d", s.ports, base)
	}
	after := dial(t, s)
	took := runWorkflow(t, after)
	t.Logf("workflow after the kill: %v", took)
	if took > time.Second {
		t.Errorf("a workflow took %v", took)
	}
	if err := after.SignalWorkflow(t.Context(), "sleeper", "", "wake", "up"); err != nil {
		t.Fatal(err)
	}
	var said string
	if err := after.GetWorkflow(t.Context(), "sleeper", "").Get(t.Context(), &said); err != nil || said != "up" {
		t.Errorf("%q, %v", said, err)
	}
}

// The server must outlive a restart of Postgres under it.
func TestPostgresKilled(t *testing.T) {
	pg := startPostgres(t)
	s := start(t, pg, t.TempDir())
	c := dial(t, s)
	runWorkflow(t, c)
	db, err := sql.Open("postgres", pg.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var data string
	if err := db.QueryRow("SELECT current_setting('data_directory')").Scan(&data); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	for {
		run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: "test"}, double, 4)
		var got int
		if err == nil {
			err = run.Get(ctx, &got)
		}
		if err == nil && got == 8 {
			break
		}
		if ctx.Err() != nil || s.Err() != nil {
			t.Fatalf("no workflow runs after Postgres came back: %v, %v", err, s.Err())
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("workflows run again %v after the kill of Postgres", time.Since(began))
}

func TestClearErrors(t *testing.T) {
	taken, err := net.Listen("tcp", address(27431))
	if err != nil {
		t.Skipf("port in use: %v", err)
	}
	defer taken.Close()
	for name, test := range map[string]struct {
		options Options
		want    error
	}{
		"port taken":    {Options{Dir: t.TempDir(), PortBase: 27430}, ErrPort},
		"port too high": {Options{Dir: t.TempDir(), PortBase: 40000}, ErrPort},
		"no Postgres":   {Options{Dir: t.TempDir(), PostgresURL: "postgres://a:secret@" + address(1) + "/x?sslmode=disable"}, ErrFailed},
		"no folder":     {Options{Dir: "/proc/lrshub"}, ErrFolder},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Start(t.Context(), test.options)
			if !errors.Is(err, test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if _, err := Start(t.Context(), Options{Dir: t.TempDir(), PostgresURL: "host=localhost password=secret"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

// A fatal error must reach the hub instead of ending its process.
func TestFatal(t *testing.T) {
	s := &Server{done: make(chan struct{})}
	l := &logger{out: slog.New(slog.DiscardHandler), fatal: func(err error) { s.end(fmt.Errorf("%w: %w", ErrFailed, err)) }}
	returned := make(chan bool, 1)
	go func() {
		defer close(returned)
		l.With().Fatal("disk full")
		returned <- true
	}()
	if <-returned {
		t.Error("the server's code went on after a fatal error")
	}
	<-s.Done()
	if !errors.Is(s.Err(), ErrFailed) || !strings.Contains(s.Err().Error(), "disk full") {
		t.Errorf("%v", s.Err())
	}
}

// onlyLoopback tells whether the port is listened on at 127.0.0.1 and at no other address of this machine.
func onlyLoopback(t *testing.T, port int) bool {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		ip, ok := a.(*net.IPNet)
		if !ok || ip.IP.IsLinkLocalUnicast() {
			continue
		}
		c, err := net.DialTimeout("tcp", net.JoinHostPort(ip.IP.String(), fmt.Sprint(port)), time.Second)
		if err == nil {
			c.Close()
		}
		if isMain := ip.IP.String() == "127.0.0.1"; isMain != (err == nil) {
			return false
		}
	}
	return true
}
