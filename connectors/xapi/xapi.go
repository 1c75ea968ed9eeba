// Package xapi is the connector for another learning record store: it brings the statements that an xAPI store holds, as they are, so that a
// site can leave its old store or follow one that it does not run. Start reading at Connector; read.go goes through the statements in
// the order of their storing, cursor.go says how it goes on without a gap, fetch.go asks for what a page does not hold.
package xapi

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// Connector reads another store.
type Connector struct{}

// New makes the connector.
func New() sdk.Connector { return Connector{} }

//go:embed config.schema.json
var configSchema string

// config is what config.schema.json describes.
type config struct {
	Endpoint    string `json:"endpoint"`
	Key         string `json:"key"`
	Version     string `json:"version"`
	Since       string `json:"since"`
	Page        int    `json:"page"`
	Attachments bool   `json:"attachments"`
	Lookback    string `json:"lookback"`

	base     *url.URL // of the endpoint, with a slash at its end
	since    time.Time
	lookback time.Duration
}

func parseConfig(text []byte) (*config, error) {
	c := config{Version: "1.0.3", Page: 500, Attachments: true, Lookback: "5m"}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&c)
	if err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "xapi: the configuration cannot be read: %w", err)
	}
	if c.base, err = url.Parse(strings.TrimSuffix(c.Endpoint, "/") + "/"); err != nil || c.base.Host == "" || c.base.Scheme != "https" && c.base.Scheme != "http" || c.base.RawQuery != "" || c.base.User != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "xapi: endpoint must be the address that the store's resources are below, like https://lrs.example.org/xapi/")
	}
	if c.Version != "1.0.3" && c.Version != "2.0.0" {
		return nil, sdk.Errorf(sdk.ClassConfig, "xapi: version is 1.0.3 or 2.0.0")
	}
	if c.Since != "" {
		if c.since, err = time.Parse(time.RFC3339, c.Since); err != nil {
			return nil, sdk.Errorf(sdk.ClassConfig, "xapi: since must be an instant like 2026-01-31T00:00:00Z")
		}
	}
	if c.Page < 1 || c.Page > 1000 {
		return nil, sdk.Errorf(sdk.ClassConfig, "xapi: page must be between 1 and 1000")
	}
	if c.lookback, err = time.ParseDuration(c.Lookback); err != nil || c.lookback < 0 || c.lookback > 24*time.Hour {
		return nil, sdk.Errorf(sdk.ClassConfig, "xapi: lookback must be a time of up to a day, like 5m")
	}
	return &c, nil
}

// streamName is the one stream's.
const streamName = "statement"

// Describe names the one stream. Requests are signed by the hub: with key and secret, or, without a key, with the secret as a bearer token.
func (Connector) Describe(configText []byte) (sdk.Description, error) {
	d := sdk.Description{
		Name:         "xapi",
		Version:      "1.0.0",
		Summary:      "Another xAPI learning record store: its statements as they are, with attachments",
		ConfigSchema: configSchema,
		Streams:      []sdk.Stream{contract.StatementStream(streamName)},
	}
	if configText == nil {
		return d, nil
	}
	c, err := parseConfig(configText)
	if err != nil {
		return d, err
	}
	d.Hosts = []string{c.base.Scheme + "://" + c.base.Host}
	d.Auth = []sdk.Auth{{Kind: contract.AuthBearer, Secret: "secret"}}
	if c.Key != "" {
		d.Auth = []sdk.Auth{{Kind: contract.AuthBasic, Name: c.Key, Secret: "secret"}}
	}
	return d, nil
}

// Check asks for one statement.
func (Connector) Check(ctx context.Context, s *sdk.Session) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	_, err = (&client{c: c, s: s}).page(ctx, c.query(time.Time{}, 1))
	return err
}
