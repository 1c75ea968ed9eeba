// Package codec seals what workflows carry, so that Temporal's database, its histories and its tools see nothing of it: payloads
// and the texts of failures. Start with New; Converters makes what an SDK client takes.
//
// Payloads are sealed with AES-256-GCM, bound to the namespace and the workflow that they belong to: one cannot be moved into another
// workflow's history. What is not sealed is refused. A payload whose key is gone decodes to a Tombstone, since a workflow that could not decode
// its own history would be stuck for ever; so every type that workflows and activities exchange embeds Tombstone and
// looks at it. Keys are the installation's, never a person's: what a workflow carries is ids and counts.
//
// Search attributes, workflow ids, activity types and failure types are never sealed; they hold ids and fixed words only.
package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

var (
	// ErrPlaintext: a payload that nobody sealed.
	ErrPlaintext = errors.New("codec: a payload is not sealed: it was not written by a hub, or the hub that wrote it has no codec")
	// ErrSealed: a payload that does not open here: altered, or another workflow's.
	ErrSealed = errors.New("codec: a payload does not open: it was altered, or belongs to another workflow")
)

// Tombstone is embedded in every type that a workflow carries. Destroyed means that the key is gone and so are all other fields.
type Tombstone struct {
	Destroyed bool `json:"key_destroyed,omitempty"`
}

// tombstone is what a payload whose key is gone decodes to.
func tombstone() *commonpb.Payload {
	return &commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(converter.MetadataEncodingJSON)},
		Data:     []byte(`{"key_destroyed":true}`),
	}
}

const (
	encoding    = "binary/lrshub-sealed"
	metadataKey = "lrshub-key" // which key, as a keyed digest of itself
)

// Codec is a converter.PayloadCodec. It is safe for concurrent use.
type Codec struct {
	ring  *ring
	place string // of the workflow; "" outside one
}

type ring struct {
	newest string
	keys   map[string]cipher.AEAD
}

// New makes a codec of keys of 32 bytes, from the installation's key ring. The first seals, all of them open.
func New(keys ...[]byte) (*Codec, error) {
	r := &ring{keys: map[string]cipher.AEAD{}}
	for _, key := range keys {
		if len(key) != 32 {
			return nil, fmt.Errorf("codec: a key has %d bytes, it must have 32", len(key))
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		name := nameOf(key)
		if r.keys[name], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, err
		}
		if r.newest == "" {
			r.newest = name
		}
	}
	if r.newest == "" {
		return nil, errors.New("codec: no key")
	}
	return &Codec{ring: r}, nil
}

// nameOf names a key by a keyed digest, so that a key that was made anew in the place of a destroyed one is another.
func nameOf(key []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("lrshub payload codec"))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Converters gives the data converter and the failure converter for client.Options. Failures have their texts sealed too.
func (c *Codec) Converters() (converter.DataConverter, converter.FailureConverter) {
	data := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), c)
	return data, temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: data, EncodeCommonAttributes: true})
}

// WithSerializationContext binds the codec to the workflow whose payloads come.
func (c *Codec) WithSerializationContext(at converter.SerializationContext) converter.PayloadCodec {
	bound := &Codec{ring: c.ring}
	switch at := at.(type) {
	case converter.WorkflowSerializationContext:
		bound.place = at.Namespace + "\x00" + at.WorkflowID
	case converter.ActivitySerializationContext:
		bound.place = at.Namespace + "\x00" + at.WorkflowID
	}
	return bound
}

func (c *Codec) associated(key string) []byte {
	return []byte(encoding + "\x00" + key + "\x00" + c.place)
}

// Encode seals payloads, metadata included.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	sealed := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		plain, err := proto.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("codec: %w", err)
		}
		sealed[i] = &commonpb.Payload{
			Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encoding), metadataKey: []byte(c.ring.newest)},
			Data:     c.ring.keys[c.ring.newest].Seal(nil, nil, plain, c.associated(c.ring.newest)),
		}
	}
	return sealed, nil
}

// Decode opens what Encode sealed.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	opened := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != encoding {
			return nil, ErrPlaintext
		}
		name := string(p.GetMetadata()[metadataKey])
		key, known := c.ring.keys[name]
		if !known {
			opened[i] = tombstone()
			continue
		}
		plain, err := key.Open(nil, nil, p.GetData(), c.associated(name))
		if err != nil {
			return nil, ErrSealed
		}
		opened[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(plain, opened[i]); err != nil {
			return nil, ErrSealed
		}
	}
	return opened, nil
}
