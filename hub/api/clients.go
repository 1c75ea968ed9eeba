package api

import (
	"context"
	"net/http"
	"time"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
)

type newClient struct {
	Body struct {
		Name    string    `json:"name" doc:"for people; unique among the tenant's clients"`
		Scopes  []string  `json:"scopes" minItems:"1" doc:"what it may do"`
		Purpose string    `json:"purpose,omitempty" doc:"the one purpose that it acts for; default learning-records"`
		Expires time.Time `json:"expires,omitzero" doc:"when it ends; never if absent"`
	}
}

// credential shows a new client's secret, this once.
type credential struct {
	Key    string `json:"key"`
	Secret string `json:"secret"`
}

type clientName struct {
	Name string `path:"name" doc:"name or id"`
}

func (f *face) clients() {
	register(f, operation{http.MethodPost, "/clients", "Make a client; its secret is shown in this answer only", need{access.Manage, access.Clients}, "clients", 201},
		func(ctx context.Context, caller access.Caller, in *newClient) (*body[credential], error) {
			n := auth.NewClient{Name: in.Body.Name, Scopes: in.Body.Scopes, Purpose: in.Body.Purpose, Expires: in.Body.Expires}
			if n.Purpose == "" {
				n.Purpose = people.DefaultPurpose
			}
			var c auth.Credential
			err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) (err error) {
				c, err = f.Clients.Create(ctx, tx, caller.Client.String(), n)
				return err
			})
			return &body[credential]{credential{c.Key, c.Secret}}, err
		})
	register(f, operation{http.MethodGet, "/clients", "List clients", need{access.Manage, access.Clients}, "clients", 0},
		func(ctx context.Context, caller access.Caller, _ *none) (*body[listOf[auth.Client]], error) {
			var list []auth.Client
			err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) (err error) {
				list, err = f.Clients.List(ctx, tx)
				return err
			})
			return items(list), err
		})
	register(f, operation{http.MethodDelete, "/clients/{name}", "Revoke a client", need{access.Manage, access.Clients}, "clients", 0},
		func(ctx context.Context, caller access.Caller, in *clientName) (*body[auth.Client], error) {
			var c auth.Client
			err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) (err error) {
				c, err = f.Clients.Revoke(ctx, tx, caller.Client.String(), in.Name)
				return err
			})
			return &body[auth.Client]{c}, err
		})
}
