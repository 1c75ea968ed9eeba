package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/connectors"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

func connectorCommand(r *remote) *cobra.Command {
	return use("connector", "Kinds of source system", r, connectorList(r), connectorDescribe(r), connectorNew(r), connectorTest(r), connectorRecord(r),
		connectorInstall(r), connectorUpgrade(r), connectorRemove(r), connectorServe())
}

// listedConnector is a connector as the API shows it.
type listedConnector struct {
	sdk.Description
	SHA256 string `json:"sha256,omitempty"` // "": built in
}

var connectorColumns = []column[listedConnector]{
	{"name", func(c listedConnector) string { return c.Name }},
	{"version", func(c listedConnector) string { return c.Version }},
	{"program", func(c listedConnector) string {
		if c.SHA256 == "" {
			return "built in"
		}
		return "sha256 " + c.SHA256[:min(12, len(c.SHA256))]
	}},
	{"summary", func(c listedConnector) string { return c.Summary }},
}

func connectorList(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List connectors", Args: exactly(),
		Example: `  lrshub connector list`,
		RunE: func(c *cobra.Command, _ []string) error {
			var list listOf[listedConnector]
			if err := r.call(c.Context(), http.MethodGet, "/connectors", nil, &list); err != nil {
				return err
			}
			return show(r, list.Items, connectorColumns...)
		},
	}
}

func connectorDescribe(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "describe NAME", Short: "Show what a connector says of itself, the schema of its configuration included", Args: exactly("NAME"),
		Example: `  lrshub connector describe csv -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			var d listedConnector
			if err := r.call(c.Context(), http.MethodGet, "/connectors/"+url.PathEscape(args[0]), nil, &d); err != nil {
				return err
			}
			if err := showOne(r, d, append(connectorColumns,
				column[listedConnector]{"streams", func(d listedConnector) string { return streamNames(d.Streams) }})...); err != nil || r.output != "table" {
				return err
			}
			fmt.Println("configuration (JSON Schema):")
			fmt.Println(d.ConfigSchema)
			return nil
		},
	}
}

func streamNames(list []contract.Stream) string {
	if len(list) == 0 {
		return "as configured"
	}
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.Name
	}
	return strings.Join(names, ", ")
}

// connectorServe is how the hub starts a built-in connector: as a process of its own.
func connectorServe() *cobra.Command {
	return &cobra.Command{
		Use: "serve NAME", Short: "Run a built-in connector; the hub starts this itself", Args: exactly("NAME"),
		Example: `  lrshub connector serve csv`,
		RunE: func(_ *cobra.Command, args []string) error {
			make, ok := connectors.Builtin()[args[0]]
			if !ok {
				return usage("there is no built-in connector %q, there are %s", args[0], strings.Join(builtin(), ", "))
			}
			_ = os.Stdin.Close()
			sdk.Serve(make())
			return nil
		},
	}
}
