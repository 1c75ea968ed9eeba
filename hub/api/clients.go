package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
)

type newClient struct {
	Body struct {
		Name       string    `json:"name" doc:"for people; unique among the tenant's clients"`
		Scopes     []string  `json:"scopes" minItems:"1" doc:"what it may do"`
		Purpose    string    `json:"purpose,omitempty" doc:"the one purpose that it acts for; default learning-records"`
		Expires    time.Time `json:"expires,omitzero" doc:"when it ends; never if absent"`
		Networks   []string  `json:"networks,omitempty" doc:"CIDRs or addresses from which it may come; anywhere if absent"`
		JWTSubject string    `json:"jwt_subject,omitempty" doc:"its name (azp, client_id or sub) in the tokens of the hub's issuer; it gets no secret then"`
	}
}

// credential shows a new key's secret, this once. A client that signs in with its issuer's tokens has neither.
type credential struct {
	ID     uuid.UUID `json:"id" doc:"of the client"`
	Key    string    `json:"key,omitempty"`
	Secret string    `json:"secret,omitempty"`
}

type clientName struct {
	Name string `path:"name" doc:"name or id"`
}

type changedClient struct {
	Name string `path:"name" doc:"name or id"`
	Body struct {
		Scopes   []string  `json:"scopes,omitempty" doc:"what it may do from now on"`
		Purpose  string    `json:"purpose,omitempty"`
		Expires  string    `json:"expires,omitempty" doc:"when it ends, in RFC 3339, or never"`
		Networks *[]string `json:"networks,omitempty" doc:"CIDRs or addresses from which it may come; an empty list: anywhere"`
	}
}

type rotation struct {
	Name string `path:"name" doc:"name or id"`
	Body struct {
		Overlap int `json:"overlap" minimum:"0" doc:"seconds for which its earlier keys stay good"`
	}
}

// manageClients is what operations on clients ask the gate.
var manageClients = need{access.Manage, access.Clients}

func (f *face) clients() {
	register(f, operation{http.MethodPost, "/clients", "Make a client; its secret is shown in this answer only", manageClients, "clients", 201}, f.createClient)
	register(f, operation{http.MethodGet, "/clients", "List clients", manageClients, "clients", 0},
		func(ctx context.Context, caller access.Caller, _ *none) (*body[listOf[auth.Client]], error) {
			list, err := inTenant(f, ctx, caller, f.Clients.List)
			return items(list), err
		})
	register(f, operation{http.MethodGet, "/clients/{name}", "Show a client", manageClients, "clients", 0},
		func(ctx context.Context, caller access.Caller, in *clientName) (*body[auth.Client], error) {
			c, err := inTenant(f, ctx, caller, func(ctx context.Context, tx *database.Tx) (auth.Client, error) {
				return f.Clients.Find(ctx, tx, in.Name)
			})
			return &body[auth.Client]{c}, err
		})
	register(f, operation{http.MethodPatch, "/clients/{name}", "Change what a client may do; what is absent stays", manageClients, "clients", 0}, f.updateClient)
	register(f, operation{http.MethodPost, "/clients/{name}/keys", "Make another key for a client, and end its earlier ones after a while; the secret is shown in this answer only",
		manageClients, "clients", 201},
		func(ctx context.Context, caller access.Caller, in *rotation) (*body[credential], error) {
			overlap := min(time.Duration(in.Body.Overlap), auth.MaxOverlap/time.Second+1) * time.Second // a larger one would not fit, and is refused alike
			return f.credential(ctx, caller, func(ctx context.Context, tx *database.Tx) (auth.Credential, error) {
				return f.Clients.Rotate(ctx, tx, caller.Client.String(), in.Name, overlap)
			})
		})
	register(f, operation{http.MethodDelete, "/clients/{name}", "Revoke a client", manageClients, "clients", 0},
		func(ctx context.Context, caller access.Caller, in *clientName) (*body[auth.Client], error) {
			c, err := inTenant(f, ctx, caller, func(ctx context.Context, tx *database.Tx) (auth.Client, error) {
				return f.Clients.Revoke(ctx, tx, caller.Client.String(), in.Name)
			})
			return &body[auth.Client]{c}, err
		})
}

func (f *face) createClient(ctx context.Context, caller access.Caller, in *newClient) (*body[credential], error) {
	n := auth.NewClient{
		Name: in.Body.Name, Scopes: in.Body.Scopes, Purpose: in.Body.Purpose, Expires: in.Body.Expires, Networks: in.Body.Networks, JWTSubject: in.Body.JWTSubject,
	}
	if n.Purpose == "" {
		n.Purpose = people.DefaultPurpose
	}
	return f.credential(ctx, caller, func(ctx context.Context, tx *database.Tx) (auth.Credential, error) {
		return f.Clients.Create(ctx, tx, caller.Client.String(), n)
	})
}

func (f *face) updateClient(ctx context.Context, caller access.Caller, in *changedClient) (*body[auth.Client], error) {
	change := auth.Change{Scopes: in.Body.Scopes, Purpose: in.Body.Purpose, Networks: in.Body.Networks}
	switch at, err := time.Parse(time.RFC3339, in.Body.Expires); {
	case in.Body.Expires == "never":
		change.Expires = &time.Time{}
	case err == nil:
		change.Expires = &at
	case in.Body.Expires != "":
		return nil, fmt.Errorf("%w: expires is a time such as 2027-01-31T00:00:00Z, or never", errInvalid)
	}
	c, err := inTenant(f, ctx, caller, func(ctx context.Context, tx *database.Tx) (auth.Client, error) {
		return f.Clients.Update(ctx, tx, caller.Client.String(), in.Name, change)
	})
	return &body[auth.Client]{c}, err
}

// credential runs what makes a key, and shows it.
func (f *face) credential(ctx context.Context, caller access.Caller, make func(context.Context, *database.Tx) (auth.Credential, error)) (*body[credential], error) {
	c, err := inTenant(f, ctx, caller, make)
	return &body[credential]{credential{c.Client, c.Key, c.Secret}}, err
}

// inTenant gives what fn makes of a transaction in the caller's tenant.
func inTenant[T any](f *face, ctx context.Context, caller access.Caller, fn func(context.Context, *database.Tx) (T, error)) (made T, err error) {
	err = f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) (err error) {
		made, err = fn(ctx, tx)
		return err
	})
	return made, err
}
