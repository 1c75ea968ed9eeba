// Package files gives a connector a folder of files, on the machine that runs it or on an SFTP server, by one small interface.
// A connector embeds Place in its configuration and WithSFTP in its schema; then start at Place.Open and Folder. local.go
// and sftp.go are the two kinds of folder.
//
// A server's files are read where they lie: any offset, in constant memory, so that a connector goes on in the middle of a file as it
// does on a disk.
package files

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// Folder is an open folder, for one goroutine. Names are slash-separated paths within it. Errors are those of io/fs for a single file (fs.ErrNotExist,
// fs.ErrPermission), else *sdk.Error.
type Folder interface {
	// Glob lists the names that match a pattern of package path, in the order of names.
	Glob(pattern string) ([]string, error)
	// Stat follows links, as Open does.
	Stat(name string) (fs.FileInfo, error)
	// Open opens a file that is regular.
	Open(name string) (File, error)
	// Freshness is how long ago a file must have changed for its times to be proof: a later change has given it another.
	Freshness() time.Duration
	Close() error
}

// File is an open file. It may grow meanwhile.
type File interface {
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
}

// Place says where a folder is: part of a connector's configuration.
type Place struct {
	Folder string `json:"folder"`
	SFTP   *SFTP  `json:"sftp,omitempty"` // nil: on this machine
}

//go:embed sftp.schema.json
var sftpSchema string

// WithSFTP completes a connector's schema, in which stands `"sftp": true`.
func WithSFTP(schema string) string {
	return strings.Replace(schema, `"sftp": true`, `"sftp": `+strings.TrimSpace(sftpSchema), 1)
}

// Check says what is wrong with the configuration, looking at no file.
func (p Place) Check() error {
	if p.Folder == "" {
		return errors.New("set folder to the folder that holds the files")
	}
	if p.SFTP == nil {
		return nil
	}
	return p.SFTP.check()
}

// Describe says what the place needs of the hub.
func (p Place) Describe(d *sdk.Description) {
	if p.SFTP == nil {
		return
	}
	d.Hosts = append(d.Hosts, "tcp://"+p.SFTP.address())
	d.Secrets = append(d.Secrets, secretPassword, secretKey, secretPassphrase)
}

// Open opens the folder. The context ends what is under way on a server.
func (p Place) Open(ctx context.Context, s *sdk.Session) (Folder, error) {
	if p.SFTP == nil {
		return openLocal(p.Folder)
	}
	return p.SFTP.open(ctx, s, p.Folder)
}

// At words where a file of the folder is, or the folder itself (""), for messages.
func (p Place) At(name string) string {
	if p.SFTP != nil {
		return fmt.Sprintf("%s on %s", path.Join(p.Folder, name), p.SFTP.address())
	}
	at := filepath.Join(p.Folder, filepath.FromSlash(name))
	if abs, err := filepath.Abs(at); err == nil {
		return abs
	}
	return at
}

// Unreadable words why a file of the folder, or the folder itself (""), cannot be read; an *sdk.Error stays as it is. who is the
// connector, what is "file" or "folder".
func (p Place) Unreadable(who, what, name string, err error) error {
	var known *sdk.Error
	if errors.As(err, &known) {
		return err
	}
	user, machine := "the user that runs the worker", "the machine that runs the worker"
	if p.SFTP != nil {
		user, machine = "the user "+p.SFTP.User, "that user of the SFTP server"
	}
	class, advice := sdk.ClassConfig, "check the path, as seen by "+machine
	if errors.Is(err, fs.ErrPermission) {
		class, advice = sdk.ClassPermission, "let "+user+" read it"
	}
	return sdk.Errorf(class, "%s: %s %s cannot be read: %w; %s", who, what, p.At(name), cause(err), advice)
}

// cause leaves out the path that an error of io/fs repeats.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// errIrregular is the cause of a PathError for what is no file: opening a pipe or a device could block or have effects.
var errIrregular = errors.New("it is no regular file")
