// Package openedx is the connector for Open edX tracking logs: folders of JSON lines, plain or gzip, that grow and are
// rotated. Read brings each event of the stream "event" as the JSON object that Open edX wrote. Start reading at Connector,
// then read.go; cursor.go says how logs are known again after rotation, event.go what counts as an event.
package openedx

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files"
)

// Connector reads tracking logs.
type Connector struct{}

// New makes the connector.
func New() sdk.Connector { return Connector{} }

// Describe names the one stream. It looks at no file.
func (Connector) Describe(configText []byte) (sdk.Description, error) {
	d := sdk.Description{
		Name:         "openedx",
		Version:      "1.0.0",
		Summary:      "Open edX tracking logs: JSON lines in plain or gzip files that grow and are rotated",
		ConfigSchema: configSchema,
		Streams:      []contract.Stream{stream()},
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

// Check opens every file that the pattern matches. It names all that is wrong, not only the first.
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
	names, _, err := c.listLogs(folder)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return c.noLogs(folder)
	}
	var wrong []string
	class := sdk.ClassConfig
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		l, err := openLog(folder, name)
		switch e := (*sdk.Error)(nil); {
		case errors.Is(err, fs.ErrNotExist): // rotated meanwhile
		case errors.As(err, &e):
			wrong, class = append(wrong, e.Message), e.Class
		case err != nil:
			return c.Unreadable("openedx", "file", name, err)
		default:
			l.Close()
		}
	}
	if len(wrong) > 0 {
		return &sdk.Error{Class: class, Message: strings.Join(wrong, "\n")}
	}
	return nil
}

func (c *config) open(ctx context.Context, s *sdk.Session) (files.Folder, error) {
	folder, err := c.Place.Open(ctx, s)
	if err != nil {
		return nil, c.Unreadable("openedx", "folder", "", err)
	}
	return folder, nil
}

// noLogs says that there is nothing to read.
func (c *config) noLogs(folder files.Folder) error {
	names, _ := folder.Glob("*") // they are not named: names of files may be those of people
	return sdk.Errorf(sdk.ClassConfig, "openedx: no file in folder %s matches the pattern %q; the folder holds %d others", c.At(""), c.Pattern, len(names))
}
