package main

import (
	"net/http"
	"strconv"

	"github.com/spf13/cobra"
)

type tenant struct {
	ID   int32  `json:"id"`
	Name string `json:"name"`
}

type madeTenant struct {
	tenant
	Administrator credential `json:"administrator"`
}

func tenantCommand(r *remote) *cobra.Command {
	add := &cobra.Command{
		Use: "add NAME", Short: "Add a tenant; its first administrator's secret is shown once", Args: exactly("NAME"),
		Example: `  lrshub tenant add faculty-of-law -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			var made madeTenant
			if err := r.call(c.Context(), http.MethodPost, "/tenants", map[string]string{"name": args[0]}, &made); err != nil {
				return err
			}
			r.say("Keep its administrator's secret: it is not shown again")
			return showOne(r, made,
				column[madeTenant]{"id", func(t madeTenant) string { return strconv.Itoa(int(t.ID)) }},
				column[madeTenant]{"name", func(t madeTenant) string { return t.Name }},
				column[madeTenant]{"key", func(t madeTenant) string { return t.Administrator.Key }},
				column[madeTenant]{"secret", func(t madeTenant) string { return t.Administrator.Secret }})
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List tenants", Args: exactly(),
		Example: `  lrshub tenant list`,
		RunE: func(c *cobra.Command, _ []string) error {
			var all listOf[tenant]
			if err := r.call(c.Context(), http.MethodGet, "/tenants", nil, &all); err != nil {
				return err
			}
			return show(r, all.Items,
				column[tenant]{"id", func(t tenant) string { return strconv.Itoa(int(t.ID)) }},
				column[tenant]{"name", func(t tenant) string { return t.Name }})
		},
	}
	return use("tenant", "Tenants of this installation", r, add, list)
}
