// Package qti is the connector for QTI result files (1EdTech Question and Test Interoperability, Results Reporting 2.x and 3.0): a folder of
// XML documents, each an assessmentResult. Start reading at Connector; result.go says how a document becomes records, cursor.go
// how a folder of any size is known again, schema.go what the two streams hold.
package qti

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"io/fs"
	"path"
	"strings"
	"time"
	_ "time/tzdata" // a connector sees no more of the machine than it needs

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files"
)

// Connector reads result files.
type Connector struct{}

// New makes the connector.
func New() sdk.Connector { return Connector{} }

//go:embed config.schema.json
var schemaText string

// config is what config.schema.json describes.
type config struct {
	files.Place
	Pattern  string `json:"pattern"`
	Timezone string `json:"timezone"`
	Score    string `json:"score"`

	zone *time.Location
}

func parseConfig(text []byte) (*config, error) {
	c := config{Pattern: "*.xml", Timezone: "UTC", Score: "SCORE"}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "qti: the configuration cannot be read: %w", err)
	}
	if err := c.Place.Check(); err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "qti: %w", err)
	}
	if _, err := path.Match(c.Pattern, ""); err != nil || !fs.ValidPath(strings.NewReplacer("*", "x", "?", "x").Replace(c.Pattern)) {
		return nil, sdk.Errorf(sdk.ClassConfig, "qti: pattern %q must be a path within the folder such as *.xml or */*.xml", c.Pattern)
	}
	var err error
	if c.zone, err = time.LoadLocation(c.Timezone); err != nil || c.Timezone == "Local" || c.Timezone == "" {
		return nil, sdk.Errorf(sdk.ClassConfig, "qti: timezone %q is not known; write it like Europe/Berlin", c.Timezone)
	}
	return &c, nil
}

// Describe names the two streams. It looks at no file.
func (Connector) Describe(configText []byte) (sdk.Description, error) {
	d := sdk.Description{
		Name:         "qti",
		Version:      "1.0.0",
		Summary:      "QTI 2.x and 3 result files, down to the item: a folder, here or on an SFTP server",
		ConfigSchema: files.WithSFTP(schemaText),
		Streams:      []sdk.Stream{testStream(), itemStream()},
	}
	if configText != nil {
		c, err := parseConfig(configText)
		if err != nil {
			return sdk.Description{}, err
		}
		c.Place.Describe(&d)
	}
	return d, nil
}

// Check lists the folder and opens the newest file. That there is none yet is no fault: results come when tests were taken.
func (Connector) Check(ctx context.Context, s *sdk.Session) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	folder, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer folder.Close()
	found, err := c.list(ctx, folder, func() {})
	if err != nil || len(found) == 0 {
		return err
	}
	f, err := folder.Open(found[len(found)-1].name)
	if err != nil {
		return c.Unreadable("qti", "file", found[len(found)-1].name, err)
	}
	return f.Close()
}

func (c *config) open(ctx context.Context, s *sdk.Session) (files.Folder, error) {
	folder, err := c.Place.Open(ctx, s)
	if err != nil {
		return nil, c.Unreadable("qti", "folder", "", err)
	}
	return folder, nil
}
