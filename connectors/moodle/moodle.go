// Package moodle is the connector for Moodle. It reads either the web services (webservice.go and changed.go, mapping.yaml) or exports of
// the log store (package logstore, stream "log", mapping logstore.yaml), as the configuration says. Start reading at Connector.
package moodle

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"

	"github.com/lrshub/lrshub/connectors/moodle/logstore"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

//go:embed config.schema.json
var configSchema string

// config is what config.schema.json describes: a site's address, or a folder of exports.
type config struct {
	URL string `json:"url"`
	logstore.Config
}

func parseConfig(text []byte) (*config, error) {
	var c config
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "moodle: the configuration cannot be read: %w", err)
	}
	switch {
	case c.URL == "" && c.Folder == "":
		return nil, sdk.Errorf(sdk.ClassConfig, "moodle: set url to the site's address, to read its web services, or folder to that of exports of its log store")
	case c.URL != "" && c.Folder != "":
		return nil, sdk.Errorf(sdk.ClassConfig, "moodle: url and folder are two connections: set one of them")
	case c.URL != "":
		return &c, nil
	}
	return &c, c.Validate()
}

// Connector reads a Moodle site.
type Connector struct{}

// New makes the connector.
func New() sdk.Connector { return Connector{} }

// Describe names the streams of the road that the configuration takes; without one, those of both.
func (Connector) Describe(configText []byte) (sdk.Description, error) {
	var c *config
	if configText != nil {
		var err error
		if c, err = parseConfig(configText); err != nil {
			return sdk.Description{}, err
		}
	}
	if c != nil && c.Folder != "" {
		d := web.About
		d.Auth, d.Rate, d.Streams = nil, 0, []contract.Stream{logStream()}
		return d, nil
	}
	d, err := web.Describe(configText)
	if err != nil {
		return d, err
	}
	d.Streams = append(d.Streams, completionStream, attemptStream)
	if c == nil {
		d.Streams = append(d.Streams, logStream())
	}
	return d, nil
}

// Check says what of the configuration does not work.
func (Connector) Check(ctx context.Context, s *sdk.Session) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	if c.Folder != "" {
		return logstore.Check(ctx, c.Config)
	}
	return web.Check(ctx, s)
}

// Read brings a stream from a cursor on.
func (Connector) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	switch {
	case c.Folder != "":
		return logstore.Read(ctx, c.Config, r, out)
	case r.Stream == completionStream.Name || r.Stream == attemptStream.Name:
		client, err := web.Client(s)
		if err != nil {
			return err
		}
		return readChanged(ctx, client, r, out)
	}
	return web.Read(ctx, s, r, out)
}
