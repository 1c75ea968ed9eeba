// Package vault knows who a subject is. A subject is one identifier (an xAPI IFI) in one tenant; everything
// else in the hub names it by a random id. The vault finds subjects by blind index, keeps a key for each
// subject and class, seals under it and opens it, and derives every keyed identifier that the store needs
// (activity keys, record keys, statement ids, pseudonyms).
//
// Start with Keys (keys.go), the key ring that lives outside Postgres and outside every dump; then Tenant
// (this file), all that one tenant's keys can do without a database; then Recall (subjects.go), which finds
// subjects in a transaction, and Settle, which stores new ones. Losing a tenant's key file makes everything sealed for it unreadable: that is
// what makes erasure true of backups, and why the file must be backed up apart from the database.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"sync"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/lrshub/lrshub/hub/database"
)

var (
	// ErrUnknownSubject: no subject has that identifier in this tenant.
	ErrUnknownSubject = errors.New("vault: no subject has this identifier")
	// ErrShredded: the key that sealed this is gone; what it sealed cannot be read again by anyone.
	ErrShredded = errors.New("vault: the key of this subject was destroyed")
	// ErrSealed: bytes that do not open under the key and context given: altered, moved to another row, or sealed by another key.
	ErrSealed = errors.New("vault: sealed bytes do not open here: they were altered, moved, or sealed under another key")
)

// Class separates the keys of one subject, so that one kind of record can outlive another.
type Class int16

const (
	Learning Class = 1 // statements, documents, source records
	Evidence Class = 2 // certification evidence that law protects from erasure
)

// Tenant is what one tenant's keys can do. It is safe for concurrent use and does no I/O.
type Tenant struct {
	ID        database.TenantID
	epochs    map[int]tink.AEAD
	epoch     int // newest
	namespace uuid.UUID
	root      tink.AEAD // seals tenant-level bytes; from the root, so that it outlives key epochs
	derive    func(label string) ([]byte, error)
	index     *keyedHash
	digest    *keyedHash
	claims    sync.Map // kind of claim to *keyedHash

	mu         sync.Mutex
	pseudonyms map[string]cipher.Block // by audience; one small entry an audience
}

// keyedHash is HMAC-SHA-256 with pooled states: the hot path computes several a statement.
type keyedHash struct{ pool sync.Pool }

func newKeyedHash(key []byte) *keyedHash {
	return &keyedHash{pool: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// sum hashes the parts with their lengths, so that no two lists of parts collide.
func (k *keyedHash) sum(label string, parts ...[]byte) (out [32]byte) {
	h := k.pool.Get().(hash.Hash)
	h.Reset()
	h.Write([]byte(label))
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	h.Sum(out[:0])
	k.pool.Put(h)
	return out
}

func first16(b [32]byte) (id uuid.UUID) {
	copy(id[:], b[:16])
	return id
}

// ActivityKey is the blind index of an activity's IRI: the same IRI gives the same key within a tenant only.
func (t *Tenant) ActivityKey(iri string) uuid.UUID {
	return first16(t.index.sum("activity", []byte(iri)))
}

// RecordKey is the blind index of a source record's key within a stream of a connection; 16 bytes.
func (t *Tenant) RecordKey(connection uuid.UUID, stream string, key []byte) []byte {
	s := t.index.sum("record", connection[:], []byte(stream), key)
	return s[:16]
}

// Digest is a keyed digest of content, for comparing without keeping it; label says of what. 32 bytes.
func (t *Tenant) Digest(label string, parts ...[]byte) []byte {
	s := t.digest.sum(label, parts...)
	return s[:]
}

// blind is the blind index of a canonical identifier.
func (t *Tenant) blind(canonical string) []byte {
	s := t.index.sum("identifier", []byte(canonical))
	return s[:]
}

// StatementID names the statement that a source record's revision gives at a position: a UUIDv5 (RFC 9562)
// in a namespace that only this tenant's key ring knows, so a retry writes nothing twice and nobody can guess an id's source.
func (t *Tenant) StatementID(connection uuid.UUID, stream string, recordKey []byte, revision, position int) uuid.UUID {
	name := fmt.Appendf(nil, "%s|%q|%x|%d|%d", connection, stream, recordKey, revision, position)
	return uuid.NewSHA1(t.namespace, name)
}

// Seal seals tenant-level bytes that belong to no person (cursors, connection configuration, page tokens).
// context is bound to the result: Open needs the same.
func (t *Tenant) Seal(context string, plain []byte) ([]byte, error) {
	return t.root.Encrypt(plain, []byte(context))
}

// Open opens what Seal sealed. The error is ErrSealed whatever was wrong with it.
func (t *Tenant) Open(context string, sealed []byte) ([]byte, error) {
	plain, err := t.root.Decrypt(sealed, []byte(context))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// Pseudonym re-keys an id for one audience. It is a permutation of RFC 9562 ids (cycle-walking over one AES
// block), so that Unpseudonym finds the row again, while two audiences share nothing.
func (t *Tenant) Pseudonym(audience string, id uuid.UUID) (uuid.UUID, error) {
	return t.walk(audience, id, cipher.Block.Encrypt)
}

// Unpseudonym is the inverse of Pseudonym for the same audience. A value that is no pseudonym of that
// audience gives an id that nothing has.
func (t *Tenant) Unpseudonym(audience string, pseudonym uuid.UUID) (uuid.UUID, error) {
	return t.walk(audience, pseudonym, cipher.Block.Decrypt)
}

func (t *Tenant) walk(audience string, id uuid.UUID, step func(b cipher.Block, dst, src []byte)) (uuid.UUID, error) {
	b, err := t.pseudonymCipher(audience)
	if err != nil {
		return uuid.Nil, err
	}
	for range 4096 { // eight steps on average
		step(b, id[:], id[:])
		if id.Variant() == uuid.RFC4122 && id.Version() >= 1 && id.Version() <= 8 {
			return id, nil
		}
	}
	return uuid.Nil, errors.New("vault: no pseudonym found")
}

// maxAudiences bounds the cache of pseudonym ciphers; past it, it starts anew.
const maxAudiences = 1024

func (t *Tenant) pseudonymCipher(audience string) (cipher.Block, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.pseudonyms[audience]; b != nil {
		return b, nil
	}
	key, err := t.derive("pseudonym|" + audience)
	if err != nil {
		return nil, err
	}
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if len(t.pseudonyms) >= maxAudiences {
		clear(t.pseudonyms)
	}
	t.pseudonyms[audience] = b
	return b, nil
}

// Subject is a subject with one of its keys in hand.
type Subject struct {
	ID   uuid.UUID
	aead *subtle.AESGCM
}

// Seal seals bytes under the subject's key. context names the row that they belong to and is bound to the result.
func (s *Subject) Seal(context string, plain []byte) ([]byte, error) {
	return s.aead.Encrypt(plain, []byte(context))
}

// Open opens what Seal sealed for this subject, class and context.
func (s *Subject) Open(context string, sealed []byte) ([]byte, error) {
	plain, err := s.aead.Decrypt(sealed, []byte(context))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// keyContext binds a wrapped subject key to its place.
func (t *Tenant) keyContext(subject uuid.UUID, class Class) []byte {
	b := append(make([]byte, 0, 64), "subject-key|"...)
	b = append(strconv.AppendInt(b, int64(t.ID), 10), '|')
	text, _ := subject.MarshalText() // cannot fail
	b = append(append(b, text...), '|')
	return strconv.AppendInt(b, int64(class), 10)
}

// Unwrap gives a subject with the key that a subject_key row holds. ErrShredded when its epoch is destroyed.
func (t *Tenant) Unwrap(subject uuid.UUID, class Class, epoch int, wrapped []byte) (*Subject, error) {
	kek, ok := t.epochs[epoch]
	if !ok || len(wrapped) == 0 {
		return nil, ErrShredded
	}
	key, err := kek.Decrypt(wrapped, t.keyContext(subject, class))
	if err != nil {
		return nil, ErrSealed
	}
	aead, err := subtle.NewAESGCM(key)
	if err != nil {
		return nil, err
	}
	return &Subject{ID: subject, aead: aead}, nil
}
