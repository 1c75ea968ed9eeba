package receive

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// hook takes a webhook.
func (f *Face) hook(w http.ResponseWriter, r *http.Request) {
	s, err := f.find(r.Context(), r.PathValue("connection"))
	if err != nil {
		respond(w, err)
		return
	}
	answer, err := f.take(w, r, s)
	if err != nil {
		respond(w, f.refused(r.Context(), s, err))
		return
	}
	for name, values := range answer.Header {
		if http.CanonicalHeaderKey(name) != "Set-Cookie" { // the hub has cookies of its own
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
	}
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body) // the sender is gone if this fails
}

// take has a push stored.
func (f *Face) take(w http.ResponseWriter, r *http.Request, s source) (connection.Answer, error) {
	push := sdk.Push{Method: r.Method, Header: shown(r.Header), Received: f.Now()}
	admit := func() error {
		if push.Header == nil {
			return problem{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: "header", Detail: "the header of a push has at most 64 KiB"}
		}
		return nil
	}
	return f.bounded(w, r, s, admit, func(ctx context.Context, body []byte) (connection.Answer, error) {
		push.Body = body
		return f.again(ctx, s, func(ctx context.Context, s source) (connection.Answer, error) { return f.deliver(ctx, s, push) })
	})
}

// bounded reads what was sent to a connection within the bounds of its rate, size and time, once it is admitted, and has it done. What has arrived is done even if its sender does
// not wait for it.
func (f *Face) bounded(w http.ResponseWriter, r *http.Request, s source, admit func() error, do func(ctx context.Context, body []byte) (connection.Answer, error)) (connection.Answer, error) {
	var none connection.Answer
	if err := s.Startable(); err != nil {
		return none, err
	}
	g := f.gates.get(s.ID)
	if err := g.allow(f.Now()); err != nil {
		return none, err
	}
	if err := admit(); err != nil {
		return none, err
	}
	held, err := f.bodies.take(r.Context())
	if err != nil {
		return none, err
	}
	defer held.giveBack()
	body, err := held.read(r.Context(), w, r, f.patience)
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), pushTime)
	defer cancel()
	if err := g.enter(ctx); err != nil {
		return none, err
	}
	defer g.leave()
	return do(ctx, body)
}

// again does what changes records, anew where something else changed meanwhile. The connection is looked up anew then.
func (f *Face) again(ctx context.Context, s source, do func(context.Context, source) (connection.Answer, error)) (connection.Answer, error) {
	for attempt := 1; ; attempt++ {
		answer, err := do(ctx, s)
		if !errors.Is(err, connection.ErrOvertaken) || attempt == overtakings {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, ctx.Err()
		case <-time.After(rand.N(time.Duration(attempt) * 20 * time.Millisecond)):
		}
		if s, err = f.find(ctx, s.ID.String()); err != nil {
			return answer, err
		}
	}
}

// shown is the part of a header that a connector is shown: all but what speaks of the connection. nil: it is too large.
func shown(h http.Header) http.Header {
	h = h.Clone()
	size := 0
	for _, name := range []string{"Connection", "Cookie", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "X-Forwarded-For", "Forwarded"} {
		h.Del(name)
	}
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	if size > maxHeader {
		return nil
	}
	return h
}

// deliver has the connector verify a push and find its records, and stores them, the delivery with them. One that was taken before is answered as then.
func (f *Face) deliver(ctx context.Context, s source, push sdk.Push) (connection.Answer, error) {
	var none connection.Answer
	l, err := f.open.get(ctx, s)
	if err != nil {
		return none, err
	}
	defer f.open.leave(l)
	pages, reply, err := f.ask(ctx, s, l, push)
	if err != nil {
		return none, err
	}
	name := []byte("id|" + reply.Delivery)
	if reply.Delivery == "" {
		name = append([]byte("body|"), push.Body...)
	}
	key := connection.DeliveryKey(s.keys, s.ID, name)
	if answer, taken, err := f.taken(ctx, s, key); taken || err != nil {
		return answer, err
	}
	answer := connection.Answer{Status: reply.Status, Header: reply.Header, Body: reply.Body}
	id := uuid.New()
	_, err = f.Ingest.Push(ctx, ingest.Push{
		Tenant: s.tenant, Connection: s.ID, ID: id, Purpose: s.Purpose, Mapping: l.mapping, MappingVersion: s.Mapping, Pages: pages,
		Done: func(ctx context.Context, tx *database.Tx) error {
			if err := f.heard(ctx, tx, s, l, id, pages); err != nil {
				return err
			}
			return connection.AddDelivery(ctx, tx, s.keys, s.ID, id, key, answer, f.Now())
		},
	})
	if errors.Is(err, connection.ErrDelivered) { // by another request, at the same time
		if answer, taken, err := f.taken(ctx, s, key); taken || err != nil {
			return answer, err
		}
	}
	return answer, err
}

// heard says of the streams that a delivery brought nothing of that their source was heard of, too: it has nothing to say of them.
func (f *Face) heard(ctx context.Context, tx *database.Tx, s source, l *line, delivery uuid.UUID, pages []ingest.PushedPage) error {
	for _, name := range l.streams {
		if slices.ContainsFunc(pages, func(p ingest.PushedPage) bool { return p.Stream.Name == name }) {
			continue
		}
		if err := connection.NotePush(ctx, tx, s.ID, delivery, name, s.Mapping, false, f.Now()); err != nil {
			return err
		}
	}
	return nil
}

func (f *Face) taken(ctx context.Context, s source, key []byte) (answer connection.Answer, taken bool, err error) {
	err = f.DB.ReadTenant(ctx, s.tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		answer, taken, err = connection.FindDelivery(ctx, tx, s.keys, s.ID, key, f.Now())
		return err
	})
	return answer, taken, err
}

// ask gives a push to the connector, once for each stream that the mapping reads. A reply that is no success ends it, and nothing is stored.
func (f *Face) ask(ctx context.Context, s source, l *line, push sdk.Push) (pages []ingest.PushedPage, reply sdk.Reply, err error) {
	if !l.about.Has(contract.AbilityReceive) {
		return nil, reply, connectorError(&contract.Error{Class: contract.ClassUnsupported})
	}
	var held int
	for _, name := range l.streams {
		stream, there := l.about.Stream(name)
		if !there {
			return nil, reply, problem{Status: http.StatusInternalServerError, Reason: "mapping", Detail: "the connector brings no stream that the mapping names; apply another mapping"}
		}
		push.Stream = name
		reply, err = l.process.Receive(ctx, stream, l.mapping.Fields(name), push, func(_ context.Context, page host.Page) error {
			for _, r := range page.Records {
				held += len(r.JSON) + len(r.Key)
			}
			if held > maxMade {
				return problem{Status: http.StatusRequestEntityTooLarge, Reason: "too_large", Detail: "the connector makes too much of this push: send it in smaller parts"}
			}
			pages = append(pages, ingest.PushedPage{Stream: stream, Page: page.Contract()})
			return nil
		})
		if err != nil {
			if errors.Is(err, host.ErrDied) || errors.Is(err, host.ErrClosed) || errors.Is(err, host.ErrTimeout) {
				f.open.forget(s.ID, l)
			}
			return nil, reply, connectorError(err)
		}
		if reply.Status < 200 || reply.Status > 299 {
			return nil, reply, problem{Status: min(max(reply.Status, 400), 599), Reason: "connector", Detail: "the connector refuses this push"}
		}
	}
	return pages, reply, nil
}
