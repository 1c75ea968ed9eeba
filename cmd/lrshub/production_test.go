package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/lrshub/lrshub/cmd/internal/trial"
	"github.com/lrshub/lrshub/hub/embedded/postgres"
	"github.com/lrshub/lrshub/hub/embedded/temporal"
)

// service is what docker-compose.yml says of a container.
type service struct {
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
}

// compose reads the services of docker-compose.yml.
func compose(t *testing.T) map[string]service {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Services map[string]service }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Services
}

// deployment is the shape of docker-compose.yml without containers: its processes with its environment, on a Postgres and a Temporal of the test's own.
type deployment struct {
	t           *testing.T
	services    map[string]service
	environment map[string]string // by variable; what is different for each service is not in it
	addresses   map[string]string // of those that serve
	running     map[string]*exec.Cmd
}

func deploy(t *testing.T) *deployment {
	t.Helper()
	dir := folder(t)
	pg, err := postgres.Start(t.Context(), postgres.Options{Dir: filepath.Join(dir, "postgres"), Logger: slog.New(slog.DiscardHandler), Test: true})
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
	if err := pg.CreateDatabase(t.Context(), "lrshub"); err != nil {
		t.Fatal(err)
	}
	flow, err := temporal.Start(t.Context(), temporal.Options{PostgresURL: pg.URL("postgres"), Dir: filepath.Join(dir, "temporal"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(flow.Stop)
	public, err := trial.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	owner := pg.URL("lrshub")
	app := strings.Replace(owner, owner[len("postgres://"):strings.LastIndex(owner, "@")], "lrshub:of-the-test", 1)
	p := &deployment{t: t, services: compose(t), addresses: map[string]string{}, running: map[string]*exec.Cmd{}, environment: map[string]string{
		"LRSHUB_DATABASE_URL": app, "LRSHUB_DATABASE_OWNER_URL": owner, "LRSHUB_TEMPORAL_ADDRESS": flow.Address(), "LRSHUB_TEMPORAL_NAMESPACE": temporal.Namespace,
		"LRSHUB_KEYS_DIR": filepath.Join(dir, "keys"), "LRSHUB_AUDIT_DIR": filepath.Join(dir, "audit"), "LRSHUB_RUN_DIR": filepath.Join(dir, "run"),
		"LRSHUB_PUBLIC_URL": "http://" + public, "LRSHUB_MASTER_KEY_FILE": write(t, dir, "master.key", "%s", strings.Repeat("k", 32)),
		"LRSHUB_BLOBS_DIR": filepath.Join(dir, "blobs"), "LRSHUB_JWT_ISSUER": "", "LRSHUB_JWT_AUDIENCE": "", "LRSHUB_TRUSTED_PROXIES": "172.16.0.0/12",
	}}
	return p
}

// command prepares a service as its container would run it. A variable of the file that the test does not set fails it.
func (p *deployment) command(name string) *exec.Cmd {
	p.t.Helper()
	s, there := p.services[name]
	if !there || len(s.Command) == 0 {
		p.t.Fatalf("docker-compose.yml has no service %s", name)
	}
	cmd := exec.Command(binary, s.Command...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/"}
	for _, variable := range slices.Sorted(maps.Keys(s.Environment)) {
		value, set := p.environment[variable]
		if variable == "LRSHUB_LISTEN" {
			address, err := trial.FreeAddress()
			if err != nil {
				p.t.Fatal(err)
			}
			p.addresses[name], value, set = address, address, true
		}
		if !set {
			p.t.Fatalf("docker-compose.yml gives %s the variable %s, which this test does not set", name, variable)
		}
		cmd.Env = append(cmd.Env, variable+"="+value)
	}
	return cmd
}

// start starts a service and waits until it says that it is ready.
func (p *deployment) start(name string) {
	p.t.Helper()
	cmd := p.command(name)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.running[name] = cmd
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		late := time.AfterFunc(30*time.Second, func() { p.t.Errorf("%s does not stop", name); _ = cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil && !strings.Contains(err.Error(), "killed") {
			p.t.Errorf("%s: %v: %s", name, err, &errs)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasSuffix(line, " ready\n") {
		p.t.Fatalf("%s is not ready: %q, %v: %s", name, line, err, &errs)
	}
}

// Two that serve and two that work, with the environment of docker-compose.yml: a sync that is started through one and killed on one worker is finished by the
// other and seen through the other.
func TestProduction(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	sameVariables(t, p)
	migrate := p.command("migrate")
	token := filepath.Join(filepath.Dir(p.environment["LRSHUB_MASTER_KEY_FILE"]), "administrator.token")
	i := slices.Index(migrate.Args, "--administrator")
	if i < 0 {
		t.Fatal("docker-compose.yml makes no administrator")
	}
	migrate.Args[i+1] = token
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v: %s", err, out)
	}
	for _, name := range []string{"serve-1", "serve-2", "worker-1", "worker-2"} {
		p.start(name)
	}
	text, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	through := func(name string) person {
		return person{t, &trial.Hub{Binary: binary, Listen: p.addresses[name]}, strings.TrimSpace(string(text))}
	}
	one, two := through("serve-1"), through("serve-2")
	tokensHold(t, one, two)
	tables := tablesFor(t, 2000)
	one.add("results", example("results"), tables.Folder)
	one.must("sync", "run", "results")
	killed := p.killReader(t)
	t.Logf("%s was killed while it read", killed)
	passed, failed, _ := tables.Marks()
	began := time.Now()
	var run counts
	for run.State = "running"; run.State == "running"; time.Sleep(300 * time.Millisecond) {
		two.json(&run, "sync", "status", "results")
		if time.Since(began) > 3*time.Minute {
			t.Fatalf("the run does not end: %+v", run)
		}
	}
	run.stored(t, "the sync that lost its worker", passed+failed, 0)
	t.Logf("the other worker finished it %v later", time.Since(began).Round(time.Second))
	holds(t, two, tables)
	if a, b := one.export(), two.export(); !slices.Equal(a, b) {
		t.Error("the two do not show the same")
	}
	if out := two.must("audit", "verify"); !strings.Contains(out, "proved") {
		t.Errorf("audit verify: %s", out)
	}
	two.sync("results", "--full").stored(t, "reading again with one worker", 0, 0)
}

// killReader waits until a worker reads a connector, lets it read a little, and kills it.
func (p *deployment) killReader(t *testing.T) string {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		for _, name := range []string{"worker-1", "worker-2"} {
			worker := p.running[name].Process
			children := trial.Connectors(worker.Pid)
			if len(children) == 0 {
				continue
			}
			time.Sleep(300 * time.Millisecond)
			if err := worker.Kill(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := trial.AwaitEnd(ctx, children); err != nil {
				t.Errorf("a killed worker leaves its connector behind: %v", err)
			}
			return name
		}
	}
	t.Fatal("no worker reads")
	return ""
}

// sameVariables holds the environment of the compose file against what the test sets and what the commands read.
func sameVariables(t *testing.T, p *deployment) {
	t.Helper()
	help := mustRun(t, "serve", "--help").Out
	want := append(slices.Collect(maps.Keys(p.environment)), "LRSHUB_LISTEN")
	slices.Sort(want)
	for _, variable := range want {
		if !strings.Contains(help, variable) {
			t.Errorf("lrshub serve reads no %s", variable)
		}
	}
	for name, s := range p.services {
		if len(s.Command) == 0 || !slices.Contains([]string{"serve", "worker", "migrate"}, s.Command[0]) {
			continue
		}
		got := slices.Sorted(maps.Keys(s.Environment))
		if expected := slices.DeleteFunc(slices.Clone(want), func(v string) bool { return v == "LRSHUB_DATABASE_OWNER_URL" && name != "migrate" }); !slices.Equal(got, expected) {
			t.Errorf("docker-compose.yml gives %s %v, this test sets %v", name, got, expected)
		}
	}
}

// Without what they need, the production commands say which variables to set.
func TestProductionRefuses(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"serve", "worker", "migrate"} {
		r := mustRun(t, command)
		if r.Code != 2 || !strings.Contains(r.Err, "LRSHUB_DATABASE_URL") {
			t.Errorf("%s without environment: exit code %d: %s", command, r.Code, r.Err)
		}
	}
	var found []struct{ Check, Result string }
	if r := mustRun(t, "check", "-o", "json"); r.Code == 0 {
		t.Errorf("check without environment is content: %s", r.Out)
	} else if r.Out != "" && json.Unmarshal([]byte(r.Out), &found) != nil {
		t.Errorf("check: %s", r.Out)
	}
}
