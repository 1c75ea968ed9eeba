// Package installed keeps the programs of third parties' connectors in a folder of a node. Start with Folder.
//
// The folder holds NAME/SHA256, the program itself, and NAME/current.json, which says which version new connections are pinned to. Versions lie side by
// side, since each connection keeps the one that it was added with until it is upgraded.
//
// Programs get here by a command on the node only, never through the management API: whoever could upload one would run code with the hub's rights for
// files. What the API chooses is among what an administrator of the machine has put here, and by its SHA-256, which Postgres keeps with the connection:
// the host starts nothing else, even if a file is exchanged. Several nodes each need the program: install it on each of them, or give them one
// read-only folder.
package installed

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
)

// ErrUnknown says that there is no such connector, or not this version of it, on this node.
var ErrUnknown = errors.New("the connector is not installed on this node")

// ErrName says that a name cannot be a connector's.
var ErrName = errors.New("no name for a connector")

// Folder is the folder of a node; "" is none, in which nothing is installed.
type Folder string

// Connector is what is installed under a name.
type Connector struct {
	Name        string               `json:"name"`
	SHA256      string               `json:"sha256"` // of the current version, hex
	Installed   time.Time            `json:"installed"`
	Description contract.Description `json:"description"`        // without a configuration
	Versions    []string             `json:"versions,omitempty"` // all that are here, by SHA-256
}

const current = "current.json"

var (
	goodName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	goodSum  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// CheckName refuses names that are no connector's.
func CheckName(name string) error {
	if !goodName.MatchString(name) {
		return fmt.Errorf("%w: %q; it has up to 63 of a-z, 0-9, dot, _ and -", ErrName, name)
	}
	return nil
}

// Sum reads a SHA-256 as people write it.
func Sum(text string) (string, error) {
	sum := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(text), "sha256:"))
	if !goodSum.MatchString(sum) {
		return "", fmt.Errorf("%w: a SHA-256 has 64 hexadecimal digits", host.ErrChecksum)
	}
	return sum, nil
}

// List lists the connectors by name.
func (f Folder) List() ([]Connector, error) {
	if f == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("folder of connectors: %w", err)
	}
	var list []Connector
	for _, entry := range entries {
		c, err := f.Get(entry.Name())
		if errors.Is(err, ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// Get gives one connector, or ErrUnknown.
func (f Folder) Get(name string) (Connector, error) {
	unknown := fmt.Errorf("%w: %q", ErrUnknown, name)
	if f == "" || CheckName(name) != nil {
		return Connector{}, unknown
	}
	text, err := os.ReadFile(filepath.Join(string(f), name, current))
	if errors.Is(err, fs.ErrNotExist) {
		return Connector{}, unknown
	}
	var c Connector
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return Connector{}, fmt.Errorf("folder of connectors: %s: %w", name, err)
	}
	c.Name, c.Versions = name, nil
	entries, err := os.ReadDir(filepath.Join(string(f), name))
	if err != nil {
		return Connector{}, fmt.Errorf("folder of connectors: %w", err)
	}
	for _, entry := range entries {
		if goodSum.MatchString(entry.Name()) {
			c.Versions = append(c.Versions, entry.Name())
		}
	}
	return c, nil
}

// Program gives the path of a version's program; it is host.Options.Installed. The host compares the file with the checksum when it starts it.
func (f Folder) Program(name, sum string) (string, error) {
	c, err := f.Get(name)
	if err != nil {
		return "", fmt.Errorf("%w: install it here with: lrshub connector install PROGRAM --sha256 %s --as %s", err, sum, name)
	}
	if !slices.Contains(c.Versions, strings.ToLower(sum)) {
		return "", fmt.Errorf("%w: %q is, but not the version with SHA-256 %s; install that one, too, or upgrade the connections: lrshub connector upgrade %s", ErrUnknown, name, sum, name)
	}
	return filepath.Join(string(f), name, strings.ToLower(sum)), nil
}

// Install copies a program into the folder, if it has the SHA-256, and makes it the current version. The description is the program's, which the caller
// has asked. A crash leaves the version before as it was.
func (f Folder) Install(program, sum string, c Connector) error {
	if err := CheckName(c.Name); err != nil {
		return err
	}
	dir := filepath.Join(string(f), c.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("folder of connectors: %w", err)
	}
	if err := copyPinned(program, filepath.Join(dir, sum), sum); err != nil {
		return err
	}
	c.SHA256, c.Versions = sum, nil
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, current), 0o644, func(file *os.File) error {
		_, err := file.Write(append(text, '\n'))
		return err
	})
}

// copyPinned copies a program whose SHA-256 is as given, or nothing.
func copyPinned(from, to, sum string) error {
	source, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%w: %w", host.ErrUnknown, err)
	}
	defer source.Close()
	return replace(to, 0o555, func(file *os.File) error {
		hash := sha256.New()
		if _, err := io.Copy(io.MultiWriter(file, hash), source); err != nil {
			return err
		}
		if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
			return fmt.Errorf("%w: %s has SHA-256 %s, not %s; take what its author publishes, from where it is published", host.ErrChecksum, from, got, sum)
		}
		return nil
	})
}

// replace writes a file whole or not at all.
func replace(path string, mode os.FileMode, write func(*os.File) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("folder of connectors: %w", err)
	}
	defer os.Remove(file.Name()) // it is gone if all went well
	if err := write(file); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := errors.Join(file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("folder of connectors: %w", err)
	}
	return os.Rename(file.Name(), path)
}

// Remove removes a version, or with sum "" all of them. Connections that are pinned to it cannot be read here any more. The current version goes last.
func (f Folder) Remove(name, sum string) error {
	c, err := f.Get(name)
	switch {
	case err != nil:
		return err
	case sum == "":
		return os.RemoveAll(filepath.Join(string(f), name))
	case !slices.Contains(c.Versions, sum):
		return fmt.Errorf("%w: %q has no version with SHA-256 %s", ErrUnknown, name, sum)
	case sum == c.SHA256:
		return fmt.Errorf("%w: this is the current version of %q: install another one first, or remove all", ErrName, name)
	}
	return os.Remove(filepath.Join(string(f), name, sum))
}
