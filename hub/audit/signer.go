package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lrshub/lrshub/hub/database"
)

// ErrKey: the signing key cannot be used. The message says what to do.
var ErrKey = errors.New("audit signing key not usable")

// keyFile is the signing key's name in its folder; verifier keys stand beside it as tenant-N.vkey.
const keyFile = "signing.key"

// Signer signs checkpoints with an Ed25519 key that lives in a folder and never in Postgres. The key signs for each tenant
// under that tenant's origin, so a checkpoint of one tenant is none of another.
type Signer struct {
	dir  string
	log  string // lrshub/ID, the beginning of every origin
	seed []byte
}

// OpenSigner reads the key from the folder, or makes it there (mode 0600) on the first start. All hubs that share a
// Postgres must share the key: copy the file, or mount one folder.
func OpenSigner(dir string, random io.Reader) (*Signer, error) {
	path := filepath.Join(dir, keyFile)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: make its folder: %w", ErrKey, err)
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path, random); err != nil {
			return nil, fmt.Errorf("%w: make %s: %w", ErrKey, path, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: others may read %s: chmod 600 it, and if they did read it, start a new log", ErrKey, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	s, err := parseKey(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is damaged: restore it from its copy", ErrKey, path)
	}
	s.dir = dir
	return s, nil
}

// makeKey writes a new key. Of several starts at once one wins, and all read its key: the file appears whole, by a link.
func makeKey(path string, random io.Reader) error {
	var id [4]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return err
	}
	secret, _, err := note.GenerateKey(random, "lrshub/"+hex.EncodeToString(id[:]))
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), keyFile+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.WriteString(secret + "\n")
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// parseKey reads "PRIVATE+KEY+name+hash+base64(1, seed)" (golang.org/x/mod/sumdb/note).
func parseKey(text string) (*Signer, error) {
	if _, err := note.NewSigner(text); err != nil {
		return nil, err
	}
	parts := strings.SplitN(strings.TrimPrefix(text, "PRIVATE+KEY+"), "+", 3)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	return &Signer{log: parts[0], seed: key[1:]}, nil
}

// Origin is the name of the tenant's log, and of its key.
func (s *Signer) Origin(tenant database.TenantID) string {
	return s.log + "/" + strconv.Itoa(int(tenant))
}

func (s *Signer) public() ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(s.seed).Public().(ed25519.PublicKey)
}

// VerifierKey returns the key with which anyone checks the tenant's checkpoints, in the form name+hash+base64 of a signed
// note's verifier key. It is public; whoever verifies should have got it at a time when the hub was trusted.
func (s *Signer) VerifierKey(tenant database.TenantID) string {
	key, err := note.NewEd25519VerifierKey(s.Origin(tenant), s.public())
	if err != nil {
		panic("audit: " + err.Error()) // only for a key of the wrong length, which note.NewSigner refused
	}
	return key
}

// Publish writes the tenant's verifier key to tenant-N.vkey beside the signing key and returns the file's path.
func (s *Signer) Publish(tenant database.TenantID) (string, error) {
	path := filepath.Join(s.dir, fmt.Sprintf("tenant-%d.vkey", tenant))
	key := s.VerifierKey(tenant) + "\n"
	if old, err := os.ReadFile(path); err == nil && string(old) == key {
		return path, nil
	}
	if err := os.WriteFile(path, []byte(key), 0o644); err != nil {
		return "", fmt.Errorf("publish the verifier key: %w", err)
	}
	return path, nil
}

// signer is the key under the tenant's origin.
func (s *Signer) signer(tenant database.TenantID) (note.Signer, error) {
	name := s.Origin(tenant)
	public := append([]byte{1}, s.public()...) // 1: Ed25519
	hash := sha256.Sum256(append([]byte(name+"\n"), public...))
	secret := base64.StdEncoding.EncodeToString(append([]byte{1}, s.seed...))
	return note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%x+%s", name, hash[:4], secret))
}

// verifier is the public side of signer.
func (s *Signer) verifier(tenant database.TenantID) (note.Verifier, error) {
	return note.NewVerifier(s.VerifierKey(tenant))
}

// sign makes a checkpoint. Ed25519 is deterministic: the same tree gives the same note.
func (s *Signer) sign(tenant database.TenantID, size int64, root tlog.Hash, restart int64) (Checkpoint, error) {
	c := Checkpoint{Origin: s.Origin(tenant), Size: size, Root: root, Restart: restart}
	signer, err := s.signer(tenant)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	signed, err := note.Sign(&note.Note{Text: c.text()}, signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("sign a checkpoint: %w", err)
	}
	c.Note = string(signed)
	return c, nil
}
