package api

import (
	"cmp"
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
)

type callerKey struct{}

// authenticate finds out who is calling. Every operation needs a credential.
func (f *face) authenticate(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	caller, err := f.Clients.Request(f.DB, r)
	if err != nil {
		if errors.Is(err, auth.ErrUnauthenticated) {
			_, w := humago.Unwrap(ctx)
			auth.Challenge(w.Header())
		}
		if errors.Is(err, auth.ErrIssuerUnavailable) {
			ctx.SetHeader("Retry-After", auth.RetryAfter)
		}
		problemOf(err).write(ctx)
		return
	}
	next(huma.WithValue(ctx, callerKey{}, caller))
}

// need is what an operation asks the gate.
type need struct{ action, resource string }

// operation describes one operation and the decision that it needs.
type operation struct {
	method, path, summary string
	need                  need
	tag                   string
	status                int // of success; 0: 200
}

// register adds an operation whose handler runs only when the gate allows it.
func register[I, O any](f *face, op operation, handle func(ctx context.Context, caller access.Caller, in *I) (*O, error)) {
	described := huma.Operation{
		OperationID: op.tag + "-" + op.method + "-" + op.path, Method: op.method, Path: "/api/v1" + op.path,
		Summary: op.summary, Tags: []string{op.tag}, DefaultStatus: op.status,
	}
	huma.Register(f.api, described, func(ctx context.Context, in *I) (*O, error) {
		caller := ctx.Value(callerKey{}).(access.Caller)
		if err := f.allow(ctx, caller, op.need); err != nil {
			return nil, problemOf(err)
		}
		out, err := handle(ctx, caller, in)
		if err != nil {
			return nil, problemOf(err)
		}
		return out, nil
	})
}

// allow asks the gate.
func (f *face) allow(ctx context.Context, caller access.Caller, n need) error {
	_, err := f.Gate.Decide(ctx, access.Request{Caller: caller, Action: n.action, Resource: n.resource})
	return f.refused(ctx, caller, n, err)
}

// refused gives err back, after it was told if it is a refusal: no audit, no answer.
func (f *face) refused(ctx context.Context, caller access.Caller, n need, err error) error {
	if !errors.Is(err, access.ErrDenied) {
		return err
	}
	reason := "denied"
	if errors.Is(err, access.ErrUndecided) {
		reason = "undecided"
	}
	told := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		return audit.Record(ctx, tx, f.Now(), audit.Event{Kind: audit.ManagementRefused, Actor: caller.Client.String(), Purpose: caller.Purpose,
			Fields: map[string]any{"action": n.action, "resource": n.resource, "reason": reason}})
	})
	return cmp.Or(told, err)
}

// in runs fn in the caller's tenant.
func (f *face) in(ctx context.Context, caller access.Caller, fn func(ctx context.Context, tx *database.Tx) error) error {
	return f.DB.Tenant(ctx, caller.Tenant, fn)
}

// body is an answer's body.
type body[T any] struct{ Body T }

// listOf is a list, so that fields can be added beside it.
type listOf[T any] struct {
	Items []T `json:"items"`
}

func items[T any](list []T) *body[listOf[T]] {
	if list == nil {
		list = []T{}
	}
	return &body[listOf[T]]{listOf[T]{list}}
}

type none struct{}
