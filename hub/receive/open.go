package receive

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
)

const (
	maxOpen  = 32              // connections whose connector is kept running
	idleOpen = 2 * time.Minute // without a push, after which it is ended
)

// line is a connection made ready for pushes: its connector runs, its mapping is loaded. It is for several pushes at a time.
type line struct {
	print   string // of the connection that it was opened for
	process *host.Process
	about   contract.Description
	mapping *mapping.Mapping
	streams []string // that the mapping reads, in the order of reading
	secrets connection.Settings

	ready chan struct{} // closed once it is open, or failed
	err   error
	users int
	used  time.Time
	gone  bool // no longer kept: whoever uses it last closes it
}

// opened keeps lines of busy connections.
type opened struct {
	face  *Face
	mu    sync.Mutex
	lines map[uuid.UUID]*line
	done  chan struct{}
	once  sync.Once
}

func newOpened(f *Face) *opened {
	o := &opened{face: f, lines: map[uuid.UUID]*line{}, done: make(chan struct{})}
	go o.sweep()
	return o
}

// get gives the line of a connection as it is now; give it back with leave.
func (o *opened) get(ctx context.Context, s source) (*line, error) {
	print := s.Fingerprint()
	o.mu.Lock()
	l := o.lines[s.ID]
	if l != nil && l.print != print {
		o.drop(s.ID, l)
		l = nil
	}
	if l == nil {
		if len(o.lines) >= maxOpen && !o.evict() {
			o.mu.Unlock()
			return nil, errCrowded
		}
		l = &line{print: print, ready: make(chan struct{})}
		o.lines[s.ID] = l
		go o.start(s, l)
	}
	l.users++
	o.mu.Unlock()
	select {
	case <-l.ready:
	case <-ctx.Done():
		o.leave(l)
		return nil, ctx.Err()
	}
	if l.err != nil {
		o.leave(l)
		return nil, l.err
	}
	return l, nil
}

// start opens a line. It outlives the push that asked for it: others may wait for it.
func (o *opened) start(s source, l *line) {
	ctx, cancel := context.WithTimeout(context.Background(), pushTime)
	defer cancel()
	l.err = o.face.openLine(ctx, s, l)
	close(l.ready)
	if l.err != nil {
		o.forget(s.ID, l)
	}
}

func (o *opened) leave(l *line) {
	o.mu.Lock()
	l.users--
	l.used = time.Now()
	last := l.gone && l.users == 0
	o.mu.Unlock()
	if last {
		l.close()
	}
}

// forget keeps a line for no more pushes: its process died, or it never opened.
func (o *opened) forget(id uuid.UUID, l *line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(id, l)
}

// drop is forget for who holds the lock.
func (o *opened) drop(id uuid.UUID, l *line) {
	if o.lines[id] == l {
		delete(o.lines, id)
	}
	if !l.gone {
		l.gone = true
		if l.users == 0 {
			go l.close()
		}
	}
}

// evict makes room: the line that nobody has used for longest goes.
func (o *opened) evict() bool {
	var oldest uuid.UUID
	var found *line
	for id, l := range o.lines {
		if l.users == 0 && (found == nil || l.used.Before(found.used)) {
			oldest, found = id, l
		}
	}
	if found != nil {
		o.drop(oldest, found)
	}
	return found != nil
}

func (o *opened) sweep() {
	ticker := time.NewTicker(idleOpen / 4)
	defer ticker.Stop()
	for {
		select {
		case <-o.done:
			return
		case now := <-ticker.C:
			o.mu.Lock()
			for id, l := range o.lines {
				if l.users == 0 && now.Sub(l.used) > idleOpen {
					o.drop(id, l)
				}
			}
			o.mu.Unlock()
		}
	}
}

func (o *opened) close() {
	o.once.Do(func() { close(o.done) })
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, l := range o.lines {
		o.drop(id, l)
	}
}

func (l *line) close() {
	<-l.ready
	if l.process != nil {
		l.process.Close()
	}
}

// openLine starts the connector and loads the mapping.
func (f *Face) openLine(ctx context.Context, s source, l *line) error {
	var m connection.MappingVersion
	err := f.DB.ReadTenant(ctx, s.tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		m, err = connection.GetMapping(ctx, tx, s.ID, s.Mapping)
		return err
	})
	if err != nil {
		return err
	}
	if l.secrets, err = s.Settings(s.keys); err != nil {
		return err
	}
	plugin, err := f.Plugin(s.Connector, s.Checksum)
	if err != nil {
		return err
	}
	if l.process, err = f.Host.Start(ctx, plugin, host.Session{Config: l.secrets.Config, Secrets: l.secrets.Secret}); err != nil {
		return connectorError(err)
	}
	if l.about, err = l.process.Describe(ctx, l.secrets.Config); err != nil {
		return connectorError(err)
	}
	for _, stream := range m.Streams {
		l.streams = append(l.streams, stream.Name)
	}
	l.mapping, err = connection.LoadMapping(m.Document, l.secrets.Params, l.about.Streams)
	return err
}

// connectorError words what a connector, or its process, failed with. What a connector says holds no value of a record.
func connectorError(err error) error {
	var told *contract.Error
	if !errors.As(err, &told) {
		if errors.Is(err, host.ErrTimeout) || errors.Is(err, host.ErrDied) || errors.Is(err, host.ErrClosed) {
			return later(http.StatusServiceUnavailable, "connector", "the connector does not answer: send it again", 10*time.Second)
		}
		return err
	}
	switch told.Class {
	case contract.ClassAuth:
		return problem{Status: http.StatusUnauthorized, Reason: "signature", Detail: told.Message}
	case contract.ClassPermission:
		return problem{Status: http.StatusForbidden, Reason: "permission", Detail: told.Message}
	case contract.ClassData:
		return problem{Status: http.StatusBadRequest, Reason: "data", Detail: told.Message}
	case contract.ClassUnsupported:
		return problem{Status: http.StatusNotFound, Reason: "unsupported", Detail: "the connector of this connection takes no pushes"}
	case contract.ClassRateLimit, contract.ClassTransient:
		return later(http.StatusServiceUnavailable, "connector", "the connector cannot take this now: send it again", max(told.RetryAfter, 5*time.Second))
	}
	return err
}
