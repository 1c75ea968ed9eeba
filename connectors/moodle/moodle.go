// Package moodle is the connector for Moodle. It reads either exports of the log store (package logstore, stream "log", mapping
// logstore.yaml) or the web services (webservice.go, mapping.yaml), as the configuration says. Start reading at Connector.
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

// config is what config.schema.json describes: a folder of exports, or a site's address.
type config struct {
	logstore.Config
}

func parseConfig(text []byte) (*config, error) {
	var c config
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "moodle: the configuration cannot be read: %w", err)
	}
	if c.Folder == "" {
		return nil, sdk.Errorf(sdk.ClassConfig, "moodle: set folder to the folder that holds the exports of the log store")
	}
	return &c, c.Validate()
}

// Connector reads a Moodle site.
type Connector struct{}

// New makes the connector.
func New() sdk.Connector { return Connector{} }

// Describe names the streams of the road that the configuration takes; without one, of both.
func (Connector) Describe(configText []byte) (sdk.Description, error) {
	d := sdk.Description{
		Name: "moodle", Version: "1.0.0", Summary: "Moodle: exports of its log store",
		ConfigSchema: configSchema, Streams: []contract.Stream{logStream()},
	}
	if configText == nil {
		return d, nil
	}
	_, err := parseConfig(configText)
	return d, err
}

// Check says what of the configuration does not work.
func (Connector) Check(ctx context.Context, s *sdk.Session) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	return logstore.Check(ctx, c.Config)
}

// Read brings a stream from a cursor on.
func (Connector) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	return logstore.Read(ctx, c.Config, r, out)
}
