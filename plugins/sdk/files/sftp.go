package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// SFTP names a server and how to know it again. Its secrets are sftp.password, or sftp.private_key and perhaps sftp.passphrase.
type SFTP struct {
	Host     string   `json:"host"`
	Port     int      `json:"port,omitempty"` // 0: 22
	User     string   `json:"user"`
	HostKeys []string `json:"host_keys"` // public keys as in known_hosts or authorized_keys, or fingerprints SHA256:…
}

const (
	secretPassword   = "sftp.password"
	secretKey        = "sftp.private_key"
	secretPassphrase = "sftp.passphrase"

	opening = 30 * time.Second // for the handshake and signing in
	skew    = 15 * time.Minute // by which the server's clock may differ from ours
)

// Tests make these smaller.
var (
	answer  = 45 * time.Second // for each thing that the server is asked
	listing = 64 << 20         // bytes that the server may send for one listing of a folder: some 500,000 names
)

func (c *SFTP) check() error {
	switch {
	case c.Host == "" || c.User == "":
		return errors.New("sftp: set host and user")
	case c.Port < 0 || c.Port > 65535:
		return errors.New("sftp: port must be between 1 and 65535")
	}
	_, err := parseHostKeys(c.HostKeys)
	return err
}

func (c *SFTP) address() string {
	port := c.Port
	if port == 0 {
		port = 22
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(port))
}

// remote is a folder of an SFTP server.
type remote struct {
	server *SFTP
	folder string
	conn   *watched
	client *sftp.Client
	closer []func()
}

func (c *SFTP) open(ctx context.Context, s *sdk.Session, folder string) (Folder, error) {
	config, keys, err := c.clientConfig(ctx, s)
	if err != nil {
		return nil, err
	}
	conn, err := s.Dial(ctx, c.address())
	if err != nil {
		return nil, c.broken(err)
	}
	r := &remote{server: c, folder: folder, conn: &watched{Conn: conn}}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	r.closer = []func(){func() { conn.Close() }, func() { stop() }}
	_ = conn.SetDeadline(time.Now().Add(opening))
	if err := r.signIn(config); err != nil {
		r.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, c.refused(err, keys, r.conn)
	}
	_ = conn.SetDeadline(time.Time{})
	about, err := r.Stat(".")
	if err == nil && !about.IsDir() {
		err = &fs.PathError{Op: "open", Path: folder, Err: errors.New("it is no folder")}
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *remote) signIn(config *ssh.ClientConfig) error {
	session, channels, requests, err := ssh.NewClientConn(r.conn, r.server.address(), config)
	if err != nil {
		return err
	}
	client := ssh.NewClient(session, channels, requests)
	r.closer = append(r.closer, func() { client.Close() })
	if r.client, err = sftp.NewClient(client); err != nil {
		return fmt.Errorf("%w: %w", errNoSFTP, err)
	}
	r.closer = append(r.closer, func() { r.client.Close() })
	return nil
}

var errNoSFTP = errors.New("the server lets the user sign in but not use SFTP")

// Close ends the session, kindly if the server answers soon.
func (r *remote) Close() error {
	_ = r.conn.SetDeadline(time.Now().Add(5 * time.Second))
	for i := len(r.closer) - 1; i >= 0; i-- {
		r.closer[i]()
	}
	return nil
}

func (r *remote) at(name string) string { return path.Join(r.folder, name) }

// ask does one thing that the server has to answer in time.
func (r *remote) ask(op, name string, do func() error) error {
	_ = r.conn.SetDeadline(time.Now().Add(answer))
	err := do()
	_ = r.conn.SetDeadline(time.Time{})
	var status *sftp.StatusError
	switch {
	case err == nil, err == io.EOF:
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, errIrregular):
		return &fs.PathError{Op: op, Path: name, Err: cause(err)}
	case errors.As(err, &status): // its text is the server's and may name anything
		return sdk.Errorf(sdk.ClassTransient, "the SFTP server %s answers with error %d to: %s", r.server.address(), status.Code, op)
	}
	return r.server.broken(errors.Join(r.conn.failure(), err))
}

// broken words that the connection cannot be made, or is lost.
func (c *SFTP) broken(err error) error {
	var known *sdk.Error
	if errors.As(err, &known) {
		return &sdk.Error{Class: known.Class, RetryAfter: known.RetryAfter, Message: fmt.Sprintf("the SFTP server %s: %s", c.address(), known.Message), Err: err}
	}
	return sdk.Errorf(sdk.ClassTransient, "the connection to the SFTP server %s broke off: %w", c.address(), err)
}

func (r *remote) Stat(name string) (about fs.FileInfo, err error) {
	err = r.ask("stat", name, func() error {
		about, err = r.client.Stat(r.at(name))
		return err
	})
	return about, err
}

func (r *remote) Open(name string) (File, error) {
	var opened *sftp.File
	err := r.ask("open", name, func() error {
		about, err := r.client.Stat(r.at(name))
		if err == nil && !about.Mode().IsRegular() {
			err = errIrregular
		}
		if err == nil {
			opened, err = r.client.Open(r.at(name))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &remoteFile{folder: r, file: opened, name: name}, nil
}

func (r *remote) Glob(pattern string) ([]string, error) {
	l := &lister{of: r}
	names, err := fs.Glob(l, pattern)
	if err == nil {
		err = l.failed
	}
	return names, err
}

// Freshness allows for a clock that is not ours, and for times in whole seconds.
func (r *remote) Freshness() time.Duration { return skew }

// remoteFile is a file of the server. Reading ahead is the client's: what is asked for at once travels in many requests at once.
type remoteFile struct {
	folder *remote
	file   *sftp.File
	name   string
}

func (f *remoteFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.folder.ask("read", f.name, func() error {
		n, err = f.file.ReadAt(p, off)
		return err
	})
	return n, err
}

func (f *remoteFile) Stat() (about fs.FileInfo, err error) {
	err = f.folder.ask("stat", f.name, func() error {
		about, err = f.file.Stat()
		return err
	})
	return about, err
}

func (f *remoteFile) Close() error {
	return f.folder.ask("close", f.name, f.file.Close)
}

// lister is what fs.Glob needs of the server. That takes a folder which cannot be listed for an empty one; this remembers.
type lister struct {
	of     *remote
	failed error // the folder itself could not be listed, or the server is gone
}

func (l *lister) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported} // fs.Glob opens nothing that has Stat and ReadDir
}

func (l *lister) Stat(name string) (fs.FileInfo, error) { return l.of.Stat(name) }

func (l *lister) ReadDir(name string) (entries []fs.DirEntry, err error) {
	err = l.of.ask("list", name, func() error {
		l.of.conn.bound(listing)
		defer l.of.conn.bound(0)
		all, err := l.of.client.ReadDir(l.of.at(name))
		for _, about := range all {
			entries = append(entries, fs.FileInfoToDirEntry(about))
		}
		return err
	})
	if err != nil && l.failed == nil && !l.harmless(name, err) {
		l.failed = err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// harmless tells whether what cannot be listed is none of the folders in the folder, or is not ours to read.
func (l *lister) harmless(name string, err error) bool {
	var known *sdk.Error
	if name == "." || !errors.As(err, &known) {
		return name != "."
	}
	about, err := l.of.Stat(name) // servers refuse to list a file with an error that could be any
	return errors.Is(err, fs.ErrNotExist) || err == nil && !about.IsDir()
}
