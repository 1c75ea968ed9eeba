package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"crypto/cipher"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/lrshub/lrshub/hub/database"
)

// Keys is the key ring: a folder outside Postgres with one file a tenant, each wrapped by the master key. In
// production several hubs share the folder (a volume); what one adds, the others read when first asked for.
type Keys struct {
	dir    string
	master tink.AEAD

	mu      sync.Mutex
	tenants map[database.TenantID]*Tenant
}

// tenantFile is a tenant's key file. Its keysets are Tink's encrypted keysets, bound to the tenant and their place.
type tenantFile struct {
	Root   json.RawMessage  `json:"root"`   // PRF keyset: index, digest, namespace, pseudonyms and tenant-level sealing derive from it
	Epochs map[string]epoch `json:"epochs"` // AEAD keysets that wrap subject keys, by number; destroying one shreds what it wrapped
}

type epoch struct {
	Keyset json.RawMessage `json:"keyset"`
}

// OpenKeys opens the key ring in dir, which is made if absent. master wraps every file: MasterKeyFile's, or a KMS key
// through Tink's registry.KMSClient.
func OpenKeys(dir string, master tink.AEAD) (*Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("vault: key folder: %w", err)
	}
	return &Keys{dir: dir, master: master, tenants: map[database.TenantID]*Tenant{}}, nil
}

// MasterKeyFile reads the master key from a file of 32 bytes, or makes it (mode 0600) if absent.
func MasterKeyFile(path string) (tink.AEAD, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = randomBytes(32)
		err = createFile(path, key)
		if errors.Is(err, fs.ErrExist) { // another process was first
			key, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("vault: master key file: %w", err)
	}
	return MasterKey(key)
}

// MasterKey makes a master key of 32 bytes (from a file or an environment variable).
func MasterKey(key []byte) (tink.AEAD, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("vault: the master key has %d bytes, it must have 32 (make one with: openssl rand 32)", len(key))
	}
	return subtle.NewAESGCM(key)
}

// Tenant gives a tenant's keys, reading them when first asked for. ErrNoKeys when the tenant has none in this folder.
func (k *Keys) Tenant(id database.TenantID) (*Tenant, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t := k.tenants[id]; t != nil {
		return t, nil
	}
	t, err := k.load(id)
	if err != nil {
		return nil, err
	}
	k.tenants[id] = t
	return t, nil
}

// ErrNoKeys: the key folder has no file for the tenant.
var ErrNoKeys = errors.New("vault: no keys for this tenant in the key folder")

// Ensure makes a tenant's key file if it has none, and gives its keys.
func (k *Keys) Ensure(id database.TenantID) (*Tenant, error) {
	t, err := k.Tenant(id)
	if !errors.Is(err, ErrNoKeys) {
		return t, err
	}
	if err := k.create(id); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return k.Tenant(id)
}

func (k *Keys) path(id database.TenantID) string {
	return filepath.Join(k.dir, "tenant-"+strconv.Itoa(int(id))+".json")
}

func (k *Keys) create(id database.TenantID) error {
	root, err := keyset.NewHandle(prf.HKDFSHA256PRFKeyTemplate())
	if err != nil {
		return err
	}
	first, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return err
	}
	var file tenantFile
	if file.Root, err = k.wrap(root, placeRoot(id)); err != nil {
		return err
	}
	wrapped, err := k.wrap(first, placeEpoch(id, 1))
	if err != nil {
		return err
	}
	file.Epochs = map[string]epoch{"1": {Keyset: wrapped}}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	return createFile(k.path(id), text)
}

func placeRoot(id database.TenantID) []byte { return fmt.Appendf(nil, "tenant-root|%d", id) }
func placeEpoch(id database.TenantID, n int) []byte {
	return fmt.Appendf(nil, "tenant-epoch|%d|%d", id, n)
}

func (k *Keys) wrap(h *keyset.Handle, place []byte) (json.RawMessage, error) {
	var buf bytes.Buffer
	if err := h.WriteWithAssociatedData(keyset.NewJSONWriter(&buf), k.master, place); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func (k *Keys) unwrap(text json.RawMessage, place []byte) (*keyset.Handle, error) {
	h, err := keyset.ReadWithAssociatedData(keyset.NewJSONReader(bytes.NewReader(text)), k.master, place)
	if err != nil {
		return nil, fmt.Errorf("vault: a key file does not open: is this the master key it was made with? %w", err)
	}
	return h, nil
}

func (k *Keys) load(id database.TenantID) (*Tenant, error) {
	text, err := os.ReadFile(k.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (tenant %d, %s): restore the file, or remove the tenant", ErrNoKeys, id, k.dir)
	}
	if err != nil {
		return nil, err
	}
	var file tenantFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("vault: key file %s: %w", k.path(id), err)
	}
	t := &Tenant{ID: id, epochs: map[int]tink.AEAD{}, pseudonyms: map[string]cipher.Block{}}
	if err := k.loadRoot(t, file.Root); err != nil {
		return nil, err
	}
	for name, e := range file.Epochs {
		n, err := strconv.Atoi(name)
		if err != nil {
			return nil, fmt.Errorf("vault: key file %s: epoch %q is not a number", k.path(id), name)
		}
		h, err := k.unwrap(e.Keyset, placeEpoch(id, n))
		if err != nil {
			return nil, err
		}
		if t.epochs[n], err = aead.New(h); err != nil {
			return nil, err
		}
		t.epoch = max(t.epoch, n)
	}
	if t.epoch == 0 {
		return nil, fmt.Errorf("vault: key file %s has no epoch", k.path(id))
	}
	return t, nil
}

func (k *Keys) loadRoot(t *Tenant, wrapped json.RawMessage) error {
	h, err := k.unwrap(wrapped, placeRoot(t.ID))
	if err != nil {
		return err
	}
	set, err := prf.NewPRFSet(h)
	if err != nil {
		return err
	}
	t.derive = func(label string) ([]byte, error) { return set.ComputePrimaryPRF([]byte(label), 32) }
	var keys [4][]byte
	for i, label := range []string{"index", "digest", "namespace", "seal"} {
		if keys[i], err = t.derive(label); err != nil {
			return err
		}
	}
	t.index, t.digest = newKeyedHash(keys[0]), newKeyedHash(keys[1])
	t.namespace = uuid.UUID(keys[2][:16])
	t.root, err = subtle.NewAESGCM(keys[3])
	return err
}

// createFile writes a new file whole or not at all, and refuses to replace one.
func createFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil { // fs.ErrExist where path exists
		return err
	}
	return syncFolder(filepath.Dir(path)) // else rows could outlive, in a power cut, the keys that sealed them
}

// syncFolder makes the names in a folder last.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Secret gives an installation's secret of 32 bytes by name, made when first asked for and wrapped by the master key: the pepper of
// credentials, the key of Temporal's payload codec. All hubs that share the folder share it.
func (k *Keys) Secret(name string) ([]byte, error) {
	path := filepath.Join(k.dir, name+".key")
	place := []byte("secret|" + name)
	wrapped, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if wrapped, err = k.master.Encrypt(randomBytes(32), place); err != nil {
			return nil, err
		}
		if err = createFile(path, wrapped); err == nil || errors.Is(err, fs.ErrExist) { // another process may have been first
			wrapped, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("vault: secret %s: %w", name, err)
	}
	secret, err := k.master.Decrypt(wrapped, place)
	if err != nil {
		return nil, fmt.Errorf("vault: %s does not open: is this the master key it was made with?", path)
	}
	return secret, nil
}
