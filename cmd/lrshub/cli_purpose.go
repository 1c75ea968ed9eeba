package main

import (
	"net/http"

	"github.com/spf13/cobra"
)

type purpose struct {
	Name        string `json:"name"`
	Basis       string `json:"basis"`
	Description string `json:"description"`
}

var purposeColumns = []column[purpose]{
	{"name", func(p purpose) string { return p.Name }},
	{"basis", func(p purpose) string { return p.Basis }},
	{"description", func(p purpose) string { return p.Description }},
}

func purposeCommand(r *remote) *cobra.Command {
	var basis, description string
	add := &cobra.Command{
		Use: "add NAME --basis B", Short: "Add a purpose with its lawful basis (GDPR Art. 6(1))",
		Example: `  lrshub purpose add safety-training --basis legal-obligation --description "Proof of training that law asks for"`,
		Args:    exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			var made purpose
			if err := r.call(c.Context(), http.MethodPost, "/purposes", purpose{args[0], basis, description}, &made); err != nil {
				return err
			}
			return showOne(r, made, purposeColumns...)
		},
	}
	add.Flags().StringVar(&basis, "basis", "", "consent, contract, legal-obligation, vital-interests, public-task or legitimate-interests")
	add.Flags().StringVar(&description, "description", "", "in a sentence, for the people concerned")
	_ = add.MarkFlagRequired("basis")
	list := &cobra.Command{
		Use: "list", Short: "List purposes", Args: exactly(),
		Example: `  lrshub purpose list`,
		RunE: func(c *cobra.Command, _ []string) error {
			var all listOf[purpose]
			if err := r.call(c.Context(), http.MethodGet, "/purposes", nil, &all); err != nil {
				return err
			}
			return show(r, all.Items, purposeColumns...)
		},
	}
	return use("purpose", "Purposes for which records are kept", r, add, list)
}
