package main

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// apiClient is a client as the API shows it.
type apiClient struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Key     string     `json:"key"`
	Scopes  []string   `json:"scopes"`
	Purpose string     `json:"purpose"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

// credential is a new client's; the secret is shown this once.
type credential struct {
	Key    string `json:"key"`
	Secret string `json:"secret"`
}

var credentialColumns = []column[credential]{
	{"key", func(c credential) string { return c.Key }},
	{"secret", func(c credential) string { return c.Secret }},
}

func clientCommand(r *remote) *cobra.Command {
	return use("client", "Credentials of programs that read or write", r, clientCreate(r), clientList(r), clientRevoke(r))
}

func clientCreate(r *remote) *cobra.Command {
	var scopes []string
	var purpose string
	var expires time.Duration
	c := &cobra.Command{
		Use:   "create NAME --scope S [--scope S]",
		Short: "Make a client; its secret is shown once",
		Example: `  lrshub client create reader --scope statements/read
  lrshub client create research --scope statements/read/pseudonymised --expires 720h -o json`,
		Args: exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			in := map[string]any{"name": args[0], "scopes": scopes}
			if purpose != "" {
				in["purpose"] = purpose
			}
			if expires > 0 {
				in["expires"] = time.Now().Add(expires).UTC()
			}
			var made credential
			if err := r.call(c.Context(), http.MethodPost, "/clients", in, &made); err != nil {
				return err
			}
			r.say("Keep the secret: it is not shown again. As a token: lrshub_KEY_SECRET")
			return showOne(r, made, credentialColumns...)
		},
	}
	c.Flags().StringArrayVar(&scopes, "scope", nil, "what it may do; may be given several times")
	c.Flags().StringVar(&purpose, "purpose", "", "the one purpose that it acts for (default learning-records)")
	c.Flags().DurationVar(&expires, "expires", 0, "how long it is good, such as 720h (default: until revoked)")
	_ = c.MarkFlagRequired("scope")
	return c
}

func clientList(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List clients", Args: exactly(),
		Example: `  lrshub client list -o json`,
		RunE: func(c *cobra.Command, _ []string) error {
			var list listOf[apiClient]
			if err := r.call(c.Context(), http.MethodGet, "/clients", nil, &list); err != nil {
				return err
			}
			return show(r, list.Items,
				column[apiClient]{"name", func(c apiClient) string { return c.Name }},
				column[apiClient]{"key", func(c apiClient) string { return c.Key }},
				column[apiClient]{"scopes", func(c apiClient) string { return strings.Join(c.Scopes, " ") }},
				column[apiClient]{"purpose", func(c apiClient) string { return c.Purpose }},
				column[apiClient]{"expires", func(c apiClient) string { return when(c.Expires) }},
				column[apiClient]{"revoked", func(c apiClient) string { return when(c.Revoked) }})
		},
	}
}

func clientRevoke(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End a client, everywhere within a second", Args: exactly("NAME"),
		Example: `  lrshub client revoke research`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := r.call(c.Context(), http.MethodDelete, "/clients/"+url.PathEscape(args[0]), nil, nil); err != nil {
				return err
			}
			r.say("%s is revoked", args[0])
			return nil
		},
	}
}

// exactly wants these arguments, and says so in words.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return usage("usage: %s\nSee: %s --help", c.UseLine(), c.CommandPath())
	}
}
