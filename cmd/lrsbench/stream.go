package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// stream is one run of the command.
type stream struct {
	*common
	statements int
	root       string
	binary     string

	hub    *trial.Hub
	key    string
	secret string
}

func streamCommand(o *common) *cobra.Command {
	s := stream{common: o}
	c := &cobra.Command{
		Use:   "stream",
		Short: "Memory of a hub's process while all its statements stream out",
		Long: fmt.Sprintf(`stream starts lrshub up, as a process of its own on a temporary folder (TMPDIR), posts made-up statements to it, and starts it again. Then it reads
all of them in two ways, one after the other: as NDJSON from /api/v1/statements/export, and page by page of %d by the more links of /xapi/statements.
Meanwhile it looks at the memory of the hub's process, in which Temporal runs too, but not Postgres. The mark is flat: on average of the last
tenth of the statements not more than %.1f times what it was in the first tenth.`, streamPage, flatGoal),
		Example: `  lrsbench stream
  lrsbench stream --statements 100000 -o json
  lrsbench stream --binary ./lrshub`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { s.out = c.OutOrStdout(); return s.run(c.Context()) },
	}
	c.Flags().IntVar(&s.statements, "statements", 1_000_000, "statements that are stored and streamed")
	c.Flags().StringVar(&s.root, "root", ".", "folder of the module, to build lrshub from")
	c.Flags().StringVar(&s.binary, "binary", "", "lrshub to start (default: built from --root)")
	return c
}

const (
	// streamPage is the limit of a page, the most that a hub gives.
	streamPage = 500
	// flatGoal is the most that memory at the end may be of what it was at the beginning.
	flatGoal = 1.1
	// lookEvery is how often memory is looked at.
	lookEvery = 25 * time.Millisecond
)

func (s *stream) run(ctx context.Context) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	if s.statements < s.batch {
		return fmt.Errorf("--statements must be at least --batch, %d", s.batch)
	}
	if s.ownerURL != "" {
		return errors.New("the hub of this measurement has a Postgres of its own: leave --database-owner-url out")
	}
	if _, err := pss(os.Getpid()); err != nil {
		return fmt.Errorf("the memory of a process cannot be seen here: %w", err)
	}
	dir, err := trial.Folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	need := int64(s.statements)*bytesOfStatement + spareRoom
	if free, err := freeSpace(dir); err == nil && need > free {
		return fmt.Errorf("%d statements need about %d GiB in %s, which has %d free: set TMPDIR, or take fewer", s.statements, need>>30, dir, free>>30)
	}
	if s.binary == "" {
		if s.root, err = filepath.Abs(s.root); err == nil {
			s.binary, err = trial.Build(ctx, s.root, dir)
		}
	} else {
		s.binary, err = filepath.Abs(s.binary)
	}
	if err != nil {
		return err
	}
	if s.hub, err = trial.New(s.binary, filepath.Join(dir, "data")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.down()) }()
	return s.measured(ctx)
}

// down stops the hub, if it runs.
func (s *stream) down() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return s.hub.Stop(ctx)
}

func (s *stream) measured(ctx context.Context) error {
	if err := s.hub.Up(ctx); err != nil {
		return err
	}
	var made struct{ Key, Secret string }
	if err := s.hub.JSON(ctx, &made, "client", "create", "lrsbench", "--scope", "all"); err != nil {
		return err
	}
	s.key, s.secret = made.Key, made.Secret
	filled, err := s.fill(ctx)
	if err != nil {
		return fmt.Errorf("fill the hub: %w", err)
	}
	if err := s.down(); err != nil {
		return err
	}
	if err := s.hub.Up(ctx); err != nil { // what filling left in memory is gone
		return err
	}
	r := streamReport{Statements: s.statements, Goal: flatGoal, Filled: filled}
	for _, way := range []struct {
		name string
		read func(context.Context, *atomic.Int64) error
	}{{"export", s.export}, {"pages", s.pages}} {
		entry, err := s.watch(ctx, way.name, way.read)
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		r.Ways = append(r.Ways, entry)
	}
	return r.print(s.out, s.output)
}

// fill posts the statements and gives how many a second.
func (s *stream) fill(ctx context.Context) (float64, error) {
	store := newStore(s.hub.URL()+"/xapi", s.key, s.secret, "1.0.3", s.writers)
	defer store.close()
	makers := make([]*maker, s.writers)
	for i := range makers {
		makers[i] = newMaker(uint64(i) + 1)
	}
	p := startProgress("filling", s.statements)
	defer p.end()
	s.statements -= s.statements % s.batch
	t, err := closedLoop(ctx, s.writers, bounds{requests: s.statements / s.batch}, func(ctx context.Context, client int) (int, time.Duration, error) {
		begun := time.Now()
		err := store.post(ctx, makers[client].body(s.batch))
		p.add(s.batch)
		return s.batch, time.Since(begun), err
	})
	if err == nil && len(t.failures) > 0 {
		err = t.first
	}
	if err != nil {
		return 0, err
	}
	return t.perSecond(t.statements), nil
}

// glimpse is what the hub's memory was, when so many statements had come.
type glimpse struct {
	statements int64
	pss        int64
}

// watch reads all statements in one way and looks at the hub's memory meanwhile.
func (s *stream) watch(ctx context.Context, name string, read func(context.Context, *atomic.Int64) error) (streamWay, error) {
	idle, err := pss(s.hub.PID())
	if err != nil {
		return streamWay{}, err
	}
	p := startProgress(name, s.statements)
	defer p.end()
	done, looks := make(chan struct{}), make(chan []glimpse, 1)
	go func() {
		var list []glimpse
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			if memory, err := pss(s.hub.PID()); err == nil {
				list = append(list, glimpse{p.done.Load(), memory})
			}
			select {
			case <-done:
				looks <- list
				return
			case <-ticker.C:
			}
		}
	}()
	begun := time.Now()
	err = read(ctx, &p.done)
	took := time.Since(begun)
	close(done)
	list := <-looks
	if n := p.done.Load(); err == nil && n != int64(s.statements) {
		err = fmt.Errorf("%d statements came of %d", n, s.statements)
	}
	if err != nil {
		return streamWay{}, err
	}
	w, err := weigh(list, int64(s.statements))
	w.Way, w.Idle, w.PerSecond = name, idle, float64(s.statements)/took.Seconds()
	return w, err
}

// weigh sums up what memory was in the course of a stream.
func weigh(list []glimpse, statements int64) (w streamWay, err error) {
	w = streamWay{Least: list[0].pss, Looks: len(list)}
	var first, last, nFirst, nLast int64
	for _, l := range list {
		w.Least, w.Most = min(w.Least, l.pss), max(w.Most, l.pss)
		switch {
		case l.statements == 0 || l.statements == statements: // before and after the stream
		case l.statements <= statements/10:
			first, nFirst = first+l.pss, nFirst+1
		case l.statements >= statements-statements/10:
			last, nLast = last+l.pss, nLast+1
		}
	}
	if nFirst == 0 || nLast == 0 {
		return w, errors.New("the stream was over before its memory could be seen: take more statements")
	}
	w.First, w.Last = first/nFirst, last/nLast
	w.Growth = float64(w.Last) / float64(w.First)
	w.Flat = w.Growth <= flatGoal
	return w, nil
}

// ask sends a GET to the hub. The client's own limit of time would end a long stream.
func (s *stream) ask(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.hub.URL()+path, nil)
	if err != nil {
		return nil, withoutURL(err)
	}
	request.SetBasicAuth(s.key, s.secret)
	request.Header.Set("X-Experience-API-Version", "1.0.3")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		said, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return nil, &refused{http.MethodGet, response.StatusCode, string(said)}
	}
	return response, nil
}

// export reads NDJSON, as lrshub statement export does. An export that broke off is an error of the body.
func (s *stream) export(ctx context.Context, count *atomic.Int64) error {
	response, err := s.ask(ctx, "/api/v1/statements/export")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewReaderSize(response.Body, 64<<10)
	for {
		_, err := lines.ReadSlice('\n')
		switch {
		case err == nil:
			count.Add(1)
		case errors.Is(err, io.EOF):
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// pages reads page after page.
func (s *stream) pages(ctx context.Context, count *atomic.Int64) error {
	for path := fmt.Sprintf("/xapi/statements?ascending=true&limit=%d", streamPage); path != ""; {
		response, err := s.ask(ctx, path)
		if err != nil {
			return err
		}
		var result struct {
			Statements []json.RawMessage `json:"statements"`
			More       string            `json:"more"`
		}
		err = errors.Join(json.NewDecoder(response.Body).Decode(&result), response.Body.Close())
		if err != nil {
			return err
		}
		count.Add(int64(len(result.Statements)))
		path = result.More
	}
	return nil
}

// streamReport is what a run found. Memory is the proportional set size of the hub's process, in bytes.
type streamReport struct {
	Statements int         `json:"statements"`
	Goal       float64     `json:"goal"`              // of the growth
	Filled     float64     `json:"filled_per_second"` // by POST
	Ways       []streamWay `json:"ways"`
}

type streamWay struct {
	Way       string  `json:"way"`
	PerSecond float64 `json:"statements_per_second"`
	Idle      int64   `json:"idle"` // before it began
	Least     int64   `json:"least"`
	Most      int64   `json:"most"`
	First     int64   `json:"first_tenth"` // on average
	Last      int64   `json:"last_tenth"`  // on average
	Growth    float64 `json:"growth"`      // from the first tenth to the last
	Flat      bool    `json:"flat"`
	Looks     int     `json:"looks"` // at memory
}

func (r *streamReport) print(w io.Writer, format string) error {
	return show(w, format, r, func(t *tabwriter.Writer) {
		fmt.Fprintf(t, "%d statements, stored by POST at %.0f a second. Memory of the hub's process (PSS) in MiB; flat: the last tenth at most %.1f times the first.\n\n", r.Statements, r.Filled, r.Goal)
		fmt.Fprintln(t, "WAY\tSTATEMENTS/S\tIDLE\tLEAST\tMOST\tFIRST TENTH\tLAST TENTH\tGROWTH\tFLAT")
		for _, e := range r.Ways {
			flat := "yes"
			if !e.Flat {
				flat = "NO"
			}
			fmt.Fprintf(t, "%s\t%.0f\t%d\t%d\t%d\t%d\t%d\t%.2f\t%s\n", e.Way, e.PerSecond, e.Idle>>20, e.Least>>20, e.Most>>20, e.First>>20, e.Last>>20, e.Growth, flat)
		}
	})
}
