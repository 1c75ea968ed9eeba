package main

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// apiClient is a client as the API shows it.
type apiClient struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Key        string     `json:"key,omitempty"`
	JWTSubject string     `json:"jwt_subject,omitempty"`
	Scopes     []string   `json:"scopes"`
	Purpose    string     `json:"purpose"`
	Networks   []string   `json:"networks,omitempty"`
	Keys       []apiKey   `json:"keys,omitempty"`
	Created    time.Time  `json:"created"`
	Expires    *time.Time `json:"expires,omitempty"`
	Revoked    *time.Time `json:"revoked,omitempty"`
	LastUsed   string     `json:"last_used,omitempty"` // a day
}

// apiKey is one of its keys.
type apiKey struct {
	Key      string     `json:"key"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
	Revoked  *time.Time `json:"revoked,omitempty"`
	LastUsed string     `json:"last_used,omitempty"`
}

// credential is a new key; the secret is shown this once.
type credential struct {
	ID     string `json:"id"` // of the client
	Key    string `json:"key,omitempty"`
	Secret string `json:"secret,omitempty"`
}

var credentialColumns = []column[credential]{
	{"id", func(c credential) string { return c.ID }},
	{"key", func(c credential) string { return cmp.Or(c.Key, "-") }},
	{"secret", func(c credential) string { return cmp.Or(c.Secret, "-") }},
}

// clientColumns are those of a list.
var clientColumns = []column[apiClient]{
	{"name", func(c apiClient) string { return c.Name }},
	{"key", func(c apiClient) string { return cmp.Or(c.Key, "-") }},
	{"scopes", func(c apiClient) string { return strings.Join(c.Scopes, " ") }},
	{"purpose", func(c apiClient) string { return c.Purpose }},
	{"last used", func(c apiClient) string { return cmp.Or(c.LastUsed, "-") }},
	{"expires", func(c apiClient) string { return when(c.Expires) }},
	{"revoked", func(c apiClient) string { return when(c.Revoked) }},
}

// detailColumns are those of one client.
var detailColumns = append([]column[apiClient]{
	{"id", func(c apiClient) string { return c.ID }},
	{"jwt subject", func(c apiClient) string { return cmp.Or(c.JWTSubject, "-") }},
	{"networks", func(c apiClient) string { return cmp.Or(strings.Join(c.Networks, " "), "any") }},
	{"keys", func(c apiClient) string {
		keys := make([]string, len(c.Keys))
		for i, k := range c.Keys {
			keys[i] = k.Key + ", made " + when(&k.Created)
			if k.Expires != nil {
				keys[i] += ", ends " + when(k.Expires)
			}
			if k.LastUsed != "" {
				keys[i] += ", last used " + k.LastUsed
			}
		}
		return cmp.Or(strings.Join(keys, "; "), "-")
	}},
	{"created", func(c apiClient) string { return when(&c.Created) }},
}, clientColumns...)

func clientCommand(r *remote) *cobra.Command {
	return use("client", "Credentials of programs that read or write", r,
		clientCreate(r), clientList(r), clientShow(r), clientUpdate(r), clientRotate(r), clientRevoke(r))
}

// clientFlags are what create and update have in common.
type clientFlags struct {
	scopes, networks []string
	purpose, expires string
}

func (f *clientFlags) add(c *cobra.Command, otherwise string) {
	c.Flags().StringArrayVar(&f.scopes, "scope", nil, "what it may do; may be given several times")
	c.Flags().StringArrayVar(&f.networks, "network", nil, "CIDR or address from which it may come, or any; may be given several times"+otherwise)
	c.Flags().StringVar(&f.purpose, "purpose", "", "the one purpose that it acts for"+otherwise)
	c.Flags().StringVar(&f.expires, "expires", "", "when it ends: 90d, 720h, a time such as 2027-01-31T00:00:00Z, or never"+otherwise)
}

// body gives what the API takes of them; what was not given is not in it.
func (f *clientFlags) body(now time.Time) (map[string]any, error) {
	in := map[string]any{}
	if len(f.scopes) > 0 {
		in["scopes"] = f.scopes
	}
	if f.purpose != "" {
		in["purpose"] = f.purpose
	}
	if len(f.networks) == 1 && f.networks[0] == "any" {
		in["networks"] = []string{}
	} else if len(f.networks) > 0 {
		in["networks"] = f.networks
	}
	if f.expires != "" {
		ends, err := parseExpiry(f.expires, now)
		if err != nil {
			return nil, err
		}
		in["expires"] = ends
	}
	return in, nil
}

// parseExpiry gives when something ends, in RFC 3339, or never.
func parseExpiry(text string, now time.Time) (string, error) {
	if text == "never" {
		return text, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC().Format(time.RFC3339), nil
	}
	life, err := parseDays(text)
	if err != nil || life <= 0 {
		return "", usage("--expires %q: write 90d, 720h, a time such as 2027-01-31T00:00:00Z, or never", text)
	}
	return now.Add(life).UTC().Format(time.RFC3339), nil
}

// parseDays reads a duration, in days too.
func parseDays(text string) (time.Duration, error) {
	days, ok := strings.CutSuffix(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	return time.Duration(n) * 24 * time.Hour, err
}

const clientCreateLong = `Make a client: a program that signs in. Its key and secret are shown once; it sends them as Basic, as one Bearer token
(lrshub_KEY_SECRET), or to POST /oauth/token for an access token of an hour. With --jwt-subject there is no secret: it signs in with JWTs of the
hub's issuer (LRSHUB_JWT_ISSUER), whose azp, client_id or sub, the first that there is, must be that name. A JWT's scopes, with
xapi: before them or not, narrow those of the client; profile counts only as xapi:profile.`

func clientCreate(r *remote) *cobra.Command {
	var f clientFlags
	var subject string
	c := &cobra.Command{
		Use:   "create NAME --scope S [--scope S]",
		Short: "Make a client; its secret is shown once",
		Long:  clientCreateLong,
		Example: `  lrshub client create reader --scope statements/read
  lrshub client create research --scope statements/read/pseudonymised --expires 90d -o json
  lrshub client create canvas --scope statements/write --network 198.51.100.0/24 --network 2001:db8::/32
  lrshub client create analytics --scope statements/read --jwt-subject analytics-service`,
		Args: exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			in, err := f.body(time.Now())
			if err != nil {
				return err
			}
			if in["name"] = args[0]; in["expires"] == "never" {
				delete(in, "expires")
			}
			if subject != "" {
				in["jwt_subject"] = subject
			}
			return makeKey(c.Context(), r, "/clients", in)
		},
	}
	f.add(c, "")
	c.Flags().Lookup("purpose").Usage += " (default learning-records)"
	c.Flags().StringVar(&subject, "jwt-subject", "", "its name in the tokens of the hub's issuer; it gets no secret then")
	_ = c.MarkFlagRequired("scope")
	return c
}

// makeKey asks for a key and shows it.
func makeKey(ctx context.Context, r *remote, path string, in any) error {
	var made credential
	if err := r.call(ctx, http.MethodPost, path, in, &made); err != nil {
		return err
	}
	if made.Secret != "" {
		r.say("Keep the secret: it is not shown again. As a token: lrshub_KEY_SECRET")
	} else {
		r.say("It signs in with tokens of the hub's issuer: there is no secret")
	}
	return showOne(r, made, credentialColumns...)
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
			return show(r, list.Items, clientColumns...)
		},
	}
}

func clientShow(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a client, its keys and when they were last used", Args: exactly("NAME"),
		Example: `  lrshub client show canvas`,
		RunE: func(c *cobra.Command, args []string) error {
			var one apiClient
			if err := r.call(c.Context(), http.MethodGet, "/clients/"+url.PathEscape(args[0]), nil, &one); err != nil {
				return err
			}
			return showOne(r, one, detailColumns...)
		},
	}
}

func clientUpdate(r *remote) *cobra.Command {
	var f clientFlags
	c := &cobra.Command{
		Use: "update NAME", Short: "Change what a client may do, everywhere within a second; its keys stay", Args: exactly("NAME"),
		Example: `  lrshub client update canvas --scope statements/write --scope state
  lrshub client update canvas --network any --expires never`,
		RunE: func(c *cobra.Command, args []string) error {
			in, err := f.body(time.Now())
			if err != nil {
				return err
			}
			if len(in) == 0 {
				return usage("nothing to change: give --scope, --network, --purpose or --expires\nSee: %s --help", c.CommandPath())
			}
			var one apiClient
			if err := r.call(c.Context(), http.MethodPatch, "/clients/"+url.PathEscape(args[0]), in, &one); err != nil {
				return err
			}
			return showOne(r, one, detailColumns...)
		},
	}
	f.add(c, " (default: as it is)")
	return c
}

func clientRotate(r *remote) *cobra.Command {
	var overlap string
	c := &cobra.Command{
		Use: "rotate NAME", Short: "Make another key and secret, shown once; earlier ones stay good for the overlap", Args: exactly("NAME"),
		Example: `  lrshub client rotate canvas
  lrshub client rotate canvas --overlap 7d -o json
  lrshub client rotate canvas --overlap 0     the secret leaked`,
		RunE: func(c *cobra.Command, args []string) error {
			life, err := parseDays(overlap)
			if err != nil || life < 0 {
				return usage("--overlap %q: write 24h, 7d or 0", overlap)
			}
			return makeKey(c.Context(), r, "/clients/"+url.PathEscape(args[0])+"/keys", map[string]any{"overlap": int(life.Seconds())})
		},
	}
	c.Flags().StringVar(&overlap, "overlap", "24h", "how long earlier keys stay good")
	return c
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
