package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
)

// filled is what is in a database that reads fills, kept beside it so that a later run can go on from there.
type filled struct {
	Batch   int                        `json:"batch"`
	Sizes   []int                      `json:"sizes"`   // of the stages that are whole
	Next    int                        `json:"next"`    // size of the stage that is being filled; 0: none
	Done    int                        `json:"done"`    // batches of it that are stored, all before this one
	Clients map[string]auth.Credential `json:"clients"` // by writer or reader
	path    string
	mu      sync.Mutex
}

// openFilled reads what an earlier run left in a folder.
func openFilled(folder string) (*filled, error) {
	f := &filled{path: filepath.Join(folder, "filled.json"), Clients: map[string]auth.Credential{}}
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		err = json.Unmarshal(text, f)
	}
	if err != nil {
		return nil, fmt.Errorf("read what an earlier run left: %w", err)
	}
	return f, nil
}

// save writes it so that it is there whole, or as it was.
func (f *filled) save() error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(f.path+".new", f.path)
}

// size is how many statements whole stages have.
func (f *filled) size() int {
	if len(f.Sizes) == 0 {
		return 0
	}
	return f.Sizes[len(f.Sizes)-1]
}

// stage gives the stage that ends with a size, and whether it is whole.
func (f *filled) stage(size int) (s stage, whole bool) {
	i := slices.Index(f.Sizes, size)
	if i < 0 {
		return stage{number: len(f.Sizes), statements: size - f.size(), batch: f.Batch}, false
	}
	s = stage{number: i, statements: size, batch: f.Batch}
	if i > 0 {
		s.statements -= f.Sizes[i-1]
	}
	return s, true
}

// The clients of a corpus: who they are, and for which purpose they act.
var corpusClients = []struct {
	name, purpose string
	scopes        []string
}{
	{writesMost, purpose, []string{"all"}},
	{writesMine, purpose, []string{"statements/write", "statements/read/mine", "define"}},
	{writesOther, "second-purpose", []string{"statements/write", "statements/read", "define"}},
	{writesFew, "third-purpose", []string{"statements/write", "statements/read", "define"}},
	{readsPseudonyms, purpose, []string{"statements/read/pseudonymised"}},
}

// readsPseudonyms is the client that writes nothing.
const readsPseudonyms = "pseudonymised"

// clients makes those that are not there yet.
func (f *filled) clients(ctx context.Context, h *hub) error {
	for _, c := range corpusClients {
		if _, there := f.Clients[c.name]; there {
			continue
		}
		err := h.db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
			_, err := people.AddPurpose(ctx, tx, time.Now(), "lrsbench", people.Purpose{Name: c.purpose, Basis: people.PublicTask, Description: "Measure."})
			if errors.Is(err, people.ErrPurposeExists) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		made, err := h.newClient(ctx, c.name+" "+random(4), c.purpose, c.scopes...)
		if err != nil {
			return err
		}
		f.Clients[c.name] = made
	}
	return f.save()
}

// fill stores the statements that are missing up to a size, by the road in. What was stored of the stage before is stored once more from
// the first batch on of which nobody knows, which changes nothing: the statements are the same.
func (f *filled) fill(ctx context.Context, h *hub, size, writers int) (took time.Duration, err error) {
	s, whole := f.stage(size)
	if whole {
		return 0, nil
	}
	if f.Next != size {
		f.Next, f.Done = size, 0
	}
	callers := map[string]access.Caller{}
	for name, c := range f.Clients {
		if callers[name], err = h.authenticate(ctx, c); err != nil {
			return 0, fmt.Errorf("client %s: %w", name, err)
		}
	}
	p := startProgress(fmt.Sprintf("filling to %d", size), s.statements-f.Done*s.batch)
	defer p.end()
	begun, order := time.Now(), &inOrder{next: f.Done, batches: s.batches()}
	group, within := errgroup.WithContext(ctx)
	for range writers {
		group.Go(func() error {
			for batch, more := order.take(); more && within.Err() == nil; batch, more = order.take() {
				list, err := s.make(batch)
				if err != nil {
					return err
				}
				if _, err := h.road.Statements(within, callers[s.writer(batch)], true, list); err != nil {
					return err
				}
				p.add(len(list))
				if order.finish(batch); batch%saveEvery == saveEvery-1 {
					if err := f.remember(order); err != nil {
						return err
					}
				}
			}
			return within.Err()
		})
	}
	err = group.Wait()
	if f.Done = order.before(); err == nil {
		f.Sizes, f.Next, f.Done = append(f.Sizes, size), 0, 0
	}
	return time.Since(begun), errors.Join(err, f.save())
}

// saveEvery is how many batches may have to be stored once more after a run that was killed.
const saveEvery = 200

// remember saves how far a stage is.
func (f *filled) remember(order *inOrder) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Done = order.before()
	return f.save()
}

// authenticate gives the caller that a client of the corpus is, as a request of its own would.
func (h *hub) authenticate(ctx context.Context, c auth.Credential) (access.Caller, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1/", nil)
	if err != nil {
		return access.Caller{}, err
	}
	r.RemoteAddr = "127.0.0.1:1"
	r.SetBasicAuth(c.Key, c.Secret)
	return h.Request(r)
}

// inOrder hands out batches in order and knows up to which all are stored.
type inOrder struct {
	mu            sync.Mutex
	next, batches int
	open          []int // handed out and not stored yet
}

func (o *inOrder) take() (batch int, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.next >= o.batches {
		return 0, false
	}
	o.open = append(o.open, o.next)
	o.next++
	return o.next - 1, true
}

func (o *inOrder) finish(batch int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = slices.DeleteFunc(o.open, func(b int) bool { return b == batch })
}

// before is the first batch of which it is not known that it is stored.
func (o *inOrder) before() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.open) == 0 {
		return o.next
	}
	return slices.Min(o.open)
}
