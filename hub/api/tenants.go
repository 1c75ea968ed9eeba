package api

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
)

var (
	errTenantExists  = errors.New("tenant exists")
	errUnknownTenant = errors.New("unknown tenant")
)

// tenantName is the database's rule for names.
var tenantName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

type newTenant struct {
	Body struct {
		Name string `json:"name" doc:"lower-case letters, digits and hyphens"`
	}
}

// madeTenant is a new tenant with its first administrator, whose secret is shown in this answer only.
type madeTenant struct {
	ID            database.TenantID `json:"id"`
	Name          string            `json:"name"`
	Administrator credential        `json:"administrator"`
}

func itoa[T ~int | ~int64](n T) string { return strconv.FormatInt(int64(n), 10) }

var manageTenants = need{access.Manage, access.Tenants}

func (f *face) tenants() {
	register(f, operation{http.MethodGet, "/tenants", "List tenants", manageTenants, "tenants", 0},
		func(ctx context.Context, caller access.Caller, _ *none) (*body[listOf[database.Tenant]], error) {
			list, err := f.allTenants(ctx, caller)
			return items(list), err
		})
	register(f, operation{http.MethodPost, "/tenants", "Add a tenant; its first administrator's secret is shown in this answer only", manageTenants, "tenants", 201},
		func(ctx context.Context, caller access.Caller, in *newTenant) (*body[madeTenant], error) {
			if _, err := f.allTenants(ctx, caller); err != nil {
				return nil, err
			}
			made, err := f.addTenant(ctx, caller, in.Body.Name)
			return &body[madeTenant]{made}, err
		})
}

// allTenants lists the installation's tenants for an administrator of the first one, which is the operator's. Those of the others do not even learn who
// the others are.
func (f *face) allTenants(ctx context.Context, caller access.Caller) ([]database.Tenant, error) {
	list, err := f.DB.Tenants(ctx)
	if err == nil && (len(list) == 0 || list[0].ID != caller.Tenant) {
		err = f.refused(ctx, caller, manageTenants, fmt.Errorf("%w: only administrators of this installation's first tenant manage tenants", access.ErrDenied))
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}

// addTenant makes the row and tells of it, then what a tenant cannot be without, then its first administrator. Where an earlier call was broken off
// in between, it does the rest.
func (f *face) addTenant(ctx context.Context, caller access.Caller, name string) (madeTenant, error) {
	made := madeTenant{Name: name}
	if !tenantName.MatchString(name) {
		return made, fmt.Errorf("%w: a tenant's name has lower-case letters, digits and hyphens, at most 63", errInvalid)
	}
	err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		err := tx.GetContext(ctx, &made.ID, `INSERT INTO tenant (name) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id`, name)
		if errors.Is(err, sql.ErrNoRows) {
			return tx.GetContext(ctx, &made.ID, `SELECT id FROM tenant WHERE name = $1`, name)
		}
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, f.Now(), audit.Event{Kind: audit.TenantAdded, Actor: caller.Client.String(), Purpose: caller.Purpose, Fields: map[string]any{"tenant": int64(made.ID)}})
	})
	if err != nil {
		return made, err
	}
	if err := f.PrepareTenant(ctx, made.ID); err != nil {
		return made, err
	}
	err = f.DB.Tenant(ctx, made.ID, func(ctx context.Context, tx *database.Tx) error {
		clients, err := f.Clients.List(ctx, tx)
		if err != nil {
			return err
		}
		if len(clients) > 0 {
			return fmt.Errorf("%w: %q", errTenantExists, name)
		}
		c, err := f.Clients.Create(ctx, tx, caller.Client.String(), auth.NewClient{Name: "first administrator", Scopes: []string{"admin"}, Purpose: people.DefaultPurpose})
		made.Administrator = credential{ID: c.Client, Key: c.Key, Secret: c.Secret}
		return err
	})
	return made, err
}
