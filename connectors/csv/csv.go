// Package csv is the connector for folders of CSV files: exports of student systems, gradebooks and HR systems.
// A configuration says which files make which streams (config.go); Read streams every row of a changed file as one
// record, a JSON object, and leaves an unchanged file alone (read.go, cursor.go). Start reading at Connector.
//
// Files of any size are read in constant memory: scan.go finds records, cell.go turns cells into JSON.
package csv

import (
	"context"
	"errors"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// Connector reads CSV files.
type Connector struct{}

// New makes the connector.
func New() sdk.Connector { return Connector{} }

// Describe names one stream for each configured file. It looks at no file.
func (Connector) Describe(configText []byte) (sdk.Description, error) {
	d := sdk.Description{
		Name:         "csv",
		Version:      "1.0.0",
		Summary:      "A folder of CSV files: the rows of each file, re-read when the file changes",
		ConfigSchema: configSchema,
	}
	if configText == nil {
		return d, nil
	}
	c, err := parseConfig(configText)
	if err != nil {
		return sdk.Description{}, err
	}
	c.Place.Describe(&d)
	for i := range c.Files {
		d.Streams = append(d.Streams, c.Files[i].stream())
	}
	return d, nil
}

// Check opens every file and compares its header with the configuration. It names all that is wrong, not only the first.
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
	var wrong []error
	for i := range c.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		src, err := openSource(c.Place, folder, &c.Files[i], s.Now())
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		src.Close()
	}
	return merge(wrong)
}

// merge makes one error of several, of the first one's class.
func merge(errs []error) error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	all := &sdk.Error{Class: sdk.ClassConfig, Err: errors.Join(errs...)}
	for i, err := range errs {
		var e *sdk.Error
		if !errors.As(err, &e) {
			return err
		}
		if i == 0 {
			all.Class = e.Class
		} else {
			all.Message += "\n"
		}
		all.Message += e.Message
	}
	return all
}
