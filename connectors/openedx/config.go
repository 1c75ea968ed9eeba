package openedx

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files"
)

//go:embed config.schema.json
var schemaText string

var configSchema = files.WithSFTP(schemaText)

// config is what config.schema.json describes.
type config struct {
	files.Place
	Pattern string `json:"pattern"`
	Prefix  string `json:"prefix"`

	prefix *regexp.Regexp // nil: all before the first brace
}

// parseConfig reads and checks a configuration; its errors are of class config and name the setting.
func parseConfig(text []byte) (*config, error) {
	c := config{Pattern: "tracking.log*", Prefix: "auto"}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "openedx: the configuration cannot be read: %w", err)
	}
	if err := c.Place.Check(); err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "openedx: %w", err)
	}
	if _, err := path.Match(c.Pattern, ""); err != nil || !fs.ValidPath(strings.NewReplacer("*", "x", "?", "x").Replace(c.Pattern)) {
		return nil, sdk.Errorf(sdk.ClassConfig, "openedx: pattern %q must be a path within the folder such as tracking.log* or */tracking.log*", c.Pattern)
	}
	if c.Prefix != "auto" {
		expression, err := regexp.Compile(`\A(?:` + c.Prefix + `)`)
		if err != nil {
			return nil, sdk.Errorf(sdk.ClassConfig, "openedx: prefix is not a regular expression (RE2): %w", err)
		}
		c.prefix = expression
	}
	return &c, nil
}
