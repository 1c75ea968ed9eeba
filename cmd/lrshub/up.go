package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/embedded/postgres"
	"github.com/lrshub/lrshub/hub/embedded/temporal"
	"github.com/lrshub/lrshub/hub/vault"
)

// upOptions are the flags of up.
type upOptions struct {
	data        string
	listen      string
	publicURL   string
	postgresBin string
	demo        bool
	noNamespace bool
	signIn      signInSettings
}

func upCommand() *cobra.Command {
	var o upOptions
	c := &cobra.Command{
		Use:   "up",
		Short: "Run a whole hub on this machine: Postgres, Temporal, server and worker in one process tree",
		Example: `  lrshub up                                 data in ./data, console at http://127.0.0.1:8080/console/
  lrshub up --demo                          with a small sample connection, already synced
  lrshub up --data /srv/lrshub --listen 127.0.0.1:9000`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := errors.Join(o.checkPublicURL(), o.signIn.check()); err != nil {
				return err
			}
			return up(c.Context(), o)
		},
	}
	c.Flags().StringVar(&o.data, "data", "data", "folder that holds everything this hub keeps")
	c.Flags().StringVar(&o.listen, "listen", "127.0.0.1:8080", "address to listen on")
	c.Flags().StringVar(&o.publicURL, "public-url", "", "URL under which clients reach the hub (default: that of the first start)")
	c.Flags().StringVar(&o.postgresBin, "postgres-bin", "", "folder of the Postgres binaries (default: PATH, then /usr/lib/postgresql/*/bin)")
	c.Flags().BoolVar(&o.demo, "demo", false, "add a small sample connection and sync it")
	c.Flags().BoolVar(&o.noNamespace, "allow-connectors-without-namespace", false, "run connectors where the kernel gives them no network namespace of their own")
	o.signIn.flags(c)
	return c
}

// checkPublicURL looks at the URL before anything is begun: the first one given stays for good. It is not repeated, since it may hold a password.
func (o *upOptions) checkPublicURL() error {
	if o.publicURL = strings.TrimSuffix(o.publicURL, "/"); o.publicURL == "" {
		return nil
	}
	u, err := url.Parse(o.publicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return usage("--public-url is an address such as https://hub.example.org, without user, query and fragment")
	}
	return nil
}

// connectorsFolder holds the programs of third parties' connectors.
const connectorsFolder = "connectors"

// dataFormat is the version of the data folder's layout. A folder of a later one is left alone.
const dataFormat = 1

// folder is the data folder of up. Its top can be passed through (Postgres may run as another user), what is secret cannot be read.
type folder struct {
	path string
	lock *os.File
}

func openFolder(path string) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o711); err != nil {
		return nil, fmt.Errorf("data folder: %w; choose a folder that you may write to with --data", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w; choose a folder that you may write to with --data", err)
	}
	f := &folder{path: path, lock: lock}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("data folder %s is in use by another lrshub up: stop that one, or choose another folder with --data", path), lock.Close())
	}
	if err := f.checkFormat(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return f, nil
}

func (f *folder) checkFormat() error {
	var format int
	text, err := f.once("format", func() (string, error) { return fmt.Sprintln(dataFormat), nil })
	if err != nil {
		return err
	}
	if _, err := fmt.Sscan(text, &format); err != nil {
		return fmt.Errorf("%s is not a format number: is this lrshub's data folder?", f.file("format"))
	}
	if format > dataFormat {
		return fmt.Errorf("data folder %s has format %d, this lrshub knows up to %d: run the newer lrshub that made it, or choose another folder with --data", f.path, format, dataFormat)
	}
	return nil
}

func (f *folder) file(name ...string) string {
	return filepath.Join(append([]string{f.path}, name...)...)
}

// once reads a small file, and makes it with what fresh gives if it is not there.
func (f *folder) once(name string, fresh func() (string, error)) (string, error) {
	text, err := os.ReadFile(f.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		made, err := fresh()
		if err != nil {
			return "", err
		}
		return strings.TrimSpace(made), f.write(name, []byte(made))
	}
	if err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// write writes a file whole or not at all, whenever this process dies: half a password or an empty public URL would be taken for the whole at the next start.
func (f *folder) write(name string, content []byte) error {
	file, err := os.CreateTemp(f.path, "."+name+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), f.file(name))
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails: crypto/rand
	return hex.EncodeToString(b)
}

// up runs a whole hub until ctx ends.
func up(ctx context.Context, o upOptions) error {
	f, err := openFolder(o.data)
	if err != nil {
		return err
	}
	defer f.lock.Close()
	logs, err := os.OpenFile(f.file("lrshub.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	defer logs.Close()
	slog.SetDefault(slog.New(slog.NewTextHandler(logs, nil)))
	listener, err := listen(o.listen)
	if err != nil {
		return err
	}
	defer listener.Close()

	pg, err := postgres.Start(ctx, postgres.Options{Dir: f.file("postgres"), BinDir: o.postgresBin, Logger: slog.Default()})
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := pg.Stop(stop); err != nil {
			slog.Error("postgres did not stop cleanly", "error", err)
		}
	}()
	s, err := f.prepare(ctx, o, pg, listener.Addr().String())
	if err != nil {
		return err
	}
	flow, err := temporal.Start(ctx, temporal.Options{PostgresURL: pg.URL("postgres"), Dir: f.file("temporal")})
	if err != nil {
		return err
	}
	defer flow.Stop()
	s.Temporal = flow.Address()
	return f.run(ctx, o, s, listener, pg.Done(), flow.Done())
}

// listen takes the port before anything is started, so that a port in use costs nobody a minute.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another program: choose another address with --listen", address)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; choose another address with --listen", address, err)
	}
	return l, nil
}

// prepare makes the hub's database and gives the settings of this folder.
func (f *folder) prepare(ctx context.Context, o upOptions, pg *postgres.Server, address string) (settings, error) {
	var s settings
	if err := pg.CreateDatabase(ctx, "lrshub"); err != nil {
		return s, err
	}
	s.OwnerURL = pg.URL("lrshub")
	password, err := f.once("postgres.password", func() (string, error) { return randomHex(24), nil })
	if err != nil {
		return s, err
	}
	if err := database.Migrate(ctx, s.OwnerURL, database.AppRole{Name: "lrshub", Password: password}); err != nil {
		return s, err
	}
	app, err := url.Parse(s.OwnerURL)
	if err != nil {
		return s, err
	}
	app.User = url.UserPassword("lrshub", password)
	s.DatabaseURL = app.String()
	s.Namespace = temporal.Namespace
	s.KeysDir, s.AuditDir, s.RunDir, s.BlobsDir = f.file("keys"), f.file("audit"), f.file("run"), f.file("blobs")
	s.Listen, s.SignIn, s.Installed = address, o.signIn, f.file(connectorsFolder)
	s.Connectors = connectorSettings{AllowNoNamespace: o.noNamespace, Hide: []string{f.path}, Show: []string{f.file("demo")}}
	s.master = func() (tink.AEAD, error) { return vault.MasterKeyFile(f.file("master.key")) }
	if s.PublicURL, err = f.once("public-url", func() (string, error) {
		return cmp.Or(o.publicURL, "http://"+address), nil
	}); err != nil {
		return s, err
	}
	if given := o.publicURL; given != "" && given != s.PublicURL {
		return s, usage("this hub's public URL is %s since its first start; it names the hub's own accounts and cannot change to %s", s.PublicURL, given)
	}
	return s, nil
}

// run runs the parts of the hub on what was started, until ctx ends or one of them fails.
func (f *folder) run(ctx context.Context, o upOptions, s settings, listener net.Listener, died ...<-chan struct{}) error {
	r, err := openRooms(ctx, s)
	if err != nil {
		return err
	}
	defer r.close()
	token, err := f.administrator(ctx, r, "admin.token")
	if err != nil {
		return err
	}
	here := "http://" + listener.Addr().String()
	address, err := json.Marshal(localHub{URL: here, Token: f.file("admin.token")})
	if err != nil {
		return err
	}
	if err := f.write(localHubFile, address); err != nil {
		return err
	}
	defer os.Remove(f.file(localHubFile))
	h := &process{rooms: r, listener: listener, serves: true, works: true, alone: true}
	h.ready = func(ctx context.Context) error {
		if o.demo {
			if err := addDemo(ctx, here, token, f.file("demo")); err != nil {
				return err
			}
		}
		fmt.Printf("%s/console/ ready\n", here)
		fmt.Fprintf(os.Stderr, "Sign in with any user name and, as password, what is in %s\n", f.file("admin.token"))
		return nil
	}
	return h.run(ctx, died...)
}
