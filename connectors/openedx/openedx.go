// Package openedx is the connector for Open edX tracking logs: folders of JSON lines, plain or gzip, that grow and are
// rotated. Read brings each event of the stream "event" as the JSON object that Open edX wrote. Start reading at Connector,
// then read.go; cursor.go says how logs are known again after rotation, event.go what counts as an event.
package openedx

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// Connector reads tracking logs.
type Connector struct{}

// New makes the connector.
func New() sdk.Connector { return Connector{} }

// Describe names the one stream. It looks at no file.
func (Connector) Describe(configText []byte) (sdk.Description, error) {
	if configText != nil {
		if _, err := parseConfig(configText); err != nil {
			return sdk.Description{}, err
		}
	}
	return sdk.Description{
		Name:         "openedx",
		Version:      "1.0.0",
		Summary:      "Open edX tracking logs: JSON lines in plain or gzip files that grow and are rotated",
		ConfigSchema: configSchema,
		Streams:      []contract.Stream{stream()},
	}, nil
}

// Check opens every file that the pattern matches. It names all that is wrong, not only the first.
func (Connector) Check(ctx context.Context, s *sdk.Session) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(c.Folder)
	if err != nil {
		return unreadable(c.Folder, err)
	}
	defer root.Close()
	names, _, err := listLogs(root, c.Pattern)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return noLogs(root, c)
	}
	var wrong []string
	class := sdk.ClassConfig
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		l, err := openLog(root, name)
		switch e := (*sdk.Error)(nil); {
		case errors.Is(err, fs.ErrNotExist): // rotated meanwhile
		case errors.As(err, &e):
			wrong, class = append(wrong, e.Message), e.Class
		case err != nil:
			return err
		default:
			l.Close()
		}
	}
	if len(wrong) > 0 {
		return &sdk.Error{Class: class, Message: strings.Join(wrong, "\n")}
	}
	return nil
}

// noLogs says that there is nothing to read.
func noLogs(root *os.Root, c *config) error {
	entries, _ := fs.ReadDir(root.FS(), ".") // they are not named: names of files may be those of people
	return sdk.Errorf(sdk.ClassConfig, "openedx: no file in folder %s matches the pattern %q; the folder holds %d others", c.Folder, c.Pattern, len(entries))
}
