package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/lrshub/lrshub/cmd/internal/trial"
	"github.com/lrshub/lrshub/hub/connection"
)

// connections is one run of the command.
type connections struct {
	*common
	number int
	every  []time.Duration
	lasts  time.Duration
	ill    float64
	root   string
	binary string

	hub    *trial.Hub
	token  string
	folder string // of the tables
	source string // URL of the sources behind HTTP
	list   []*scheduled
	begun  time.Time
}

func connectionsCommand(o *common) *cobra.Command {
	b := connections{common: o}
	c := &cobra.Command{
		Use:   "connections",
		Short: "Many connections with schedules of their own on one hub, some with slow, hanging or broken sources",
		Long: fmt.Sprintf(`connections starts lrshub up, as a process of its own on a temporary folder (TMPDIR), and adds connections to it, each with an interval of --every in
turn. Most read a table that grows all the time; of --ill a third each has a source behind HTTP that answers after %v, never, or with 500.
Then it looks on for --for: how far apart a connection's runs began, against its interval; how long they took; and the memory of the hub with all its children.
The first run of each is not counted. The marks: no run of a prompt source is missing, nor later than %v; memory at the end is not more than %.1f times
what it was when half the time was over.`, slowAnswer, lateGoal, steadyGoal),
		Example: `  lrsbench connections --connections 1000 --for 1h
  lrsbench connections --connections 50 --every 1m,2m --for 5m -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { b.out = c.OutOrStdout(); return b.run(c.Context()) },
	}
	c.Flags().IntVar(&b.number, "connections", 1000, "connections")
	c.Flags().DurationSliceVar(&b.every, "every", []time.Duration{10 * time.Minute, 15 * time.Minute, 20 * time.Minute, 30 * time.Minute}, "their intervals, by turns; at least a minute each")
	c.Flags().DurationVar(&b.lasts, "for", time.Hour, "how long to look on, once all are added")
	c.Flags().Float64Var(&b.ill, "ill", 0.06, "share of connections whose source is slow, hangs or is broken")
	c.Flags().StringVar(&b.root, "root", ".", "folder of the module, to build lrshub from")
	c.Flags().StringVar(&b.binary, "binary", "", "lrshub to start (default: built from --root)")
	return c
}

const (
	// slowAnswer is how long a slow source takes for each answer.
	slowAnswer = 25 * time.Second
	// lateGoal is how much later than its interval says a run of a prompt source may begin.
	lateGoal = 15 * time.Second
	// steadyGoal is the most that memory at the end may be of what it was half-way.
	steadyGoal = 1.2
	// adding is how many connections are added at a time, and grows how often the tables grow.
	adding, grows = 4, 30 * time.Second
)

// kind is what a connection's source is like.
type kind string

const (
	prompt  kind = "prompt"
	slow    kind = "slow"
	hanging kind = "hanging"
	broken  kind = "broken"
)

// scheduled is a connection that is looked at.
type scheduled struct {
	name  string
	kind  kind
	every time.Duration
	runs  []connection.Run // since the beginning, oldest first
}

//go:embed connections.yaml
var connectionsFile string

//go:embed connections-http.yaml
var connectionsHTTPFile string

func (b *connections) check() error {
	if err := b.common.check(); err != nil {
		return err
	}
	if b.number < 1 || len(b.every) == 0 || b.lasts <= 0 || b.ill < 0 || b.ill > 1 {
		return errors.New("--connections, --every and --for must have a value above 0, --ill one from 0 to 1")
	}
	for _, every := range b.every {
		if 2*every > b.lasts {
			return fmt.Errorf("--for must be at least twice the interval %v: one run tells nothing of its schedule", every)
		}
	}
	if b.ownerURL != "" {
		return errors.New("the hub of this measurement has a Postgres of its own: leave --database-owner-url out")
	}
	return nil
}

func (b *connections) run(ctx context.Context) (err error) {
	if err := b.check(); err != nil {
		return err
	}
	dir, err := trial.Folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if b.binary == "" {
		if b.root, err = filepath.Abs(b.root); err == nil {
			b.binary, err = trial.Build(ctx, b.root, dir)
		}
	} else {
		b.binary, err = filepath.Abs(b.binary)
	}
	if err != nil {
		return err
	}
	url, end, err := serve(http.HandlerFunc(answer))
	if err != nil {
		return err
	}
	defer end()
	b.source, b.folder = url, filepath.Join(dir, "tables")
	if err := errors.Join(os.Mkdir(b.folder, 0o755), os.Chmod(b.folder, 0o755)); err != nil {
		return err
	}
	if b.hub, err = trial.New(b.binary, filepath.Join(dir, "data")); err != nil {
		return err
	}
	if err := b.hub.Up(ctx); err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, b.hub.Stop(last))
	}()
	token, err := os.ReadFile(filepath.Join(b.hub.Data, "admin.token"))
	if err != nil {
		return err
	}
	b.token = strings.TrimSpace(string(token))
	return b.measured(ctx)
}

func (b *connections) measured(ctx context.Context) error {
	if err := b.grow(); err != nil {
		return err
	}
	if err := b.add(ctx); err != nil {
		return fmt.Errorf("add connections: %w", err)
	}
	looks, err := b.lookOn(ctx)
	if err != nil {
		return err
	}
	if err := b.history(ctx); err != nil {
		return fmt.Errorf("read what ran: %w", err)
	}
	return b.report(looks).print(b.out, b.output)
}

// answer is the sources behind HTTP: the first part of the path says how it behaves.
func answer(w http.ResponseWriter, r *http.Request) {
	wait := slowAnswer
	switch {
	case strings.HasPrefix(r.URL.Path, "/"+string(broken)+"/"):
		w.WriteHeader(http.StatusInternalServerError)
		return
	case strings.HasPrefix(r.URL.Path, "/"+string(hanging)+"/"):
		wait = time.Hour
	}
	select {
	case <-r.Context().Done():
	case <-time.After(wait):
		w.Header().Set("Content-Type", "application/scim+json")
		_, _ = io.WriteString(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":0,"startIndex":1,"itemsPerPage":0,"Resources":[]}`)
	}
}

// grow adds a row to the table that all prompt connections read.
func (b *connections) grow() error {
	f, err := os.OpenFile(filepath.Join(b.folder, "result.csv"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if end == 0 {
		if _, err := f.WriteString("id,learner,score\n"); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(f, "%d,%d,%d\n", end, rand.IntN(1000), rand.IntN(101))
	return err
}

// kindOf spreads the kinds evenly.
func (b *connections) kindOf(i int) kind {
	ill := int(float64(i+1)*b.ill) - int(float64(i)*b.ill)
	if ill == 0 {
		return prompt
	}
	return []kind{slow, hanging, broken}[int(float64(i)*b.ill)%3]
}

func (b *connections) add(ctx context.Context) error {
	b.list = make([]*scheduled, b.number)
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(adding)
	for i := range b.list {
		group.Go(func() error {
			c := &scheduled{name: fmt.Sprintf("c%04d", i), kind: b.kindOf(i), every: b.every[i%len(b.every)]}
			b.list[i] = c
			file, set := connectionsFile, map[string]string{"folder": b.folder}
			if c.kind != prompt {
				file, set = connectionsHTTPFile, map[string]string{"url": b.source + "/" + string(c.kind)}
			}
			spec, err := connection.ParseFile([]byte(file), set)
			if err != nil {
				return err
			}
			spec.Schedule = c.every.String()
			if i%100 == 99 {
				say("connection %d of %d", i+1, b.number)
			}
			return b.call(within, http.MethodPost, "/connections", map[string]any{"name": c.name, "spec": spec}, nil)
		})
	}
	return group.Wait()
}

// call asks the management API.
func (b *connections) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, b.hub.URL()+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+b.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return &refused{method, response.StatusCode, string(said)}
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(out)
}

// lookOn lets time pass and looks at memory.
func (b *connections) lookOn(ctx context.Context) (looks []int64, err error) {
	b.begun = time.Now()
	say("looking on for %v", b.lasts)
	end, grown := b.begun.Add(b.lasts), time.Now()
	for now := b.begun; now.Before(end); now = time.Now() {
		children, err := b.hub.Descendants()
		if err != nil {
			return nil, err
		}
		pids := []int{b.hub.PID()}
		for _, c := range children {
			pids = append(pids, c.PID)
		}
		looks = append(looks, trial.PSS(pids...))
		if now.Sub(grown) >= grows {
			grown = now
			if err := b.grow(); err != nil {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return looks, nil
}

// history reads which runs of each connection began since the beginning.
func (b *connections) history(ctx context.Context) error {
	until := time.Now()
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(adding)
	for _, c := range b.list {
		group.Go(func() error {
			var page struct {
				Items []connection.Run `json:"items"`
			}
			if err := b.call(within, http.MethodGet, "/connections/"+c.name+"/syncs?limit=200", nil, &page); err != nil {
				return err
			}
			for _, r := range page.Items {
				if r.StartedAt.After(b.begun) && r.StartedAt.Before(until) {
					c.runs = append([]connection.Run{r}, c.runs...)
				}
			}
			return nil
		})
	}
	return group.Wait()
}
