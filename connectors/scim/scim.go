// Package scim is the connector for identity providers and HR systems that speak SCIM 2.0: users and groups, read page by page (RFC 7644 3.4.2.4 and RFC 9865). Where the
// provider pushes instead, the hub serves SCIM itself and this connector only says which streams there are. Start reading at Connector, then read.go.
package scim

import (
	"context"
	_ "embed"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/scim"
)

//go:embed config.schema.json
var configSchema string

// Connector reads a SCIM service.
type Connector struct{}

// New makes the connector.
func New() sdk.Connector { return Connector{} }

// config is a connection's configuration, without its secrets.
type config struct {
	URL    string `json:"url"`
	Page   int    `json:"page"`
	Paging string `json:"paging"`
	Filter string `json:"filter"`
}

func parseConfig(text []byte) (config, error) {
	c := config{Page: 100, Paging: "auto"}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, sdk.Errorf(sdk.ClassConfig, "the configuration is not an object with url, page, paging and filter")
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.User != nil {
			return c, sdk.Errorf(sdk.ClassConfig, "url must be the base address of the SCIM service, like https://id.example.org/scim/v2, without parameters")
		}
	}
	if c.Page < 1 || c.Page > 1000 {
		return c, sdk.Errorf(sdk.ClassConfig, "page is between 1 and 1000")
	}
	if c.Paging != "auto" && c.Paging != "index" && c.Paging != "cursor" {
		return c, sdk.Errorf(sdk.ClassConfig, "paging is auto, index or cursor")
	}
	return c, nil
}

// Describe names users and groups.
func (Connector) Describe(text []byte) (sdk.Description, error) {
	d := sdk.Description{
		Name: "scim", Version: "1.0.0", Summary: "users and groups of an identity provider or HR system, by SCIM 2.0",
		ConfigSchema: configSchema,
		Streams:      []contract.Stream{scim.Groups(), scim.Users()},
	}
	if text == nil {
		return d, nil
	}
	c, err := parseConfig(text)
	if err != nil {
		return d, err
	}
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		if err != nil {
			return d, sdk.Errorf(sdk.ClassConfig, "url is not an address")
		}
		d.Hosts = []string{u.Scheme + "://" + u.Host}
		d.Auth = []sdk.Auth{{Kind: contract.AuthBearer, Secret: "token"}}
	}
	return d, nil
}

// Check reads one user.
func (Connector) Check(ctx context.Context, s *sdk.Session) error {
	c, err := parseConfig(s.Config)
	if err != nil || c.URL == "" {
		return err
	}
	r := reader{session: s, config: c, stream: scim.Users()}
	_, err = r.get(ctx, "/Users", url.Values{"startIndex": {"1"}, "count": {"1"}})
	return err
}

// Read brings all resources of a stream.
func (Connector) Read(ctx context.Context, s *sdk.Session, request sdk.Request, out *sdk.Output) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	if c.URL == "" {
		return sdk.Errorf(sdk.ClassUnsupported, "this connection has no url: its provider pushes to /scim/v2/ and the connection's id, and there is nothing to read")
	}
	r := &reader{session: s, config: c, out: out, path: "/Users", stream: scim.Users()}
	if request.Stream == scim.GroupStream {
		r.path, r.stream = "/Groups", scim.Groups()
	}
	return r.read(ctx, request)
}
