package main

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
)

// signInSettings say whom the hub believes, beside its own clients.
type signInSettings struct {
	Issuer   string // whose JWTs are taken; "": nobody's
	Audience string // that they must have
	Proxies  string // CIDRs with commas between: whose X-Forwarded-For is read
}

// flags adds the flags of up.
func (s *signInSettings) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.Issuer, "jwt-issuer", "", "URL of an OpenID provider whose JWTs are taken of clients made with --jwt-subject")
	c.Flags().StringVar(&s.Audience, "jwt-audience", "", "audience that these JWTs must have")
	c.Flags().StringVar(&s.Proxies, "trusted-proxies", "", "CIDRs, with commas between, of proxies whose X-Forwarded-For is believed")
}

// check says what is wrong with these settings before anything is begun.
func (s signInSettings) check() error {
	_, _, err := s.open()
	return err
}

// open gives the issuer, nil if there is none, and the networks of the proxies.
func (s signInSettings) open() (issuer *auth.Issuer, proxies []netip.Prefix, err error) {
	if s.Issuer != "" || s.Audience != "" {
		if issuer, err = auth.NewIssuer(s.Issuer, s.Audience, time.Now); err != nil {
			return nil, nil, usage("LRSHUB_JWT_ISSUER, LRSHUB_JWT_AUDIENCE (lrshub up: --jwt-issuer, --jwt-audience): %v", err)
		}
	}
	texts := strings.FieldsFunc(s.Proxies, func(r rune) bool { return r == ',' || r == ' ' })
	if proxies, err = auth.ParseNetworks(texts); err != nil {
		return nil, nil, usage("LRSHUB_TRUSTED_PROXIES (lrshub up: --trusted-proxies): %v", err)
	}
	return issuer, proxies, nil
}

// openClients opens auth.
func (r *rooms) openClients() error {
	pepper, err := r.keys.Secret("credential-pepper")
	if err != nil {
		return err
	}
	tokens, err := r.keys.Secret("oauth-tokens")
	if err != nil {
		return err
	}
	o := auth.Options{TokenSecret: tokens, PublicURL: r.settings.PublicURL}
	if o.Issuer, o.Proxies, err = r.settings.SignIn.open(); err != nil {
		return err
	}
	r.clients, err = auth.New(pepper, o)
	return err
}

// authenticator is auth over this database, for the faces.
type authenticator struct{ *rooms }

// Request says who sent a request.
func (a authenticator) Request(r *http.Request) (access.Caller, error) {
	return a.clients.Request(a.db, r)
}

// Address says where a request comes from.
func (a authenticator) Address(r *http.Request) netip.Addr { return a.clients.Address(r) }

// issuer checks that the issuer of JWTs, if there is one, gives its keys.
func (c *checks) issuer(ctx context.Context, s signInSettings) {
	const check = "jwt issuer"
	issuer, _, err := s.open()
	if err != nil {
		c.fail(check, "see lrshub serve --help", "%v", err)
		return
	}
	if issuer == nil {
		return
	}
	if keys, err := issuer.Check(ctx); err != nil {
		c.fail(check, "requests with its tokens get 503 until it answers; other clients are not touched", "%.300v", err)
	} else {
		c.ok(check, "%s, %d keys", s.Issuer, keys)
	}
}
