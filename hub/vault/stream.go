package vault

import (
	"errors"
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"
)

// DataKey is the random key of one stream of bytes that is too large for memory. The key itself is kept sealed under the keys of those whom the stream is
// about, so that it is shredded with them.
type DataKey []byte

// NewDataKey makes a key for one stream.
func NewDataKey() DataKey { return randomBytes(32) }

// segment is how many sealed bytes of a stream are in memory at a time: AES-256-GCM-HKDF in segments, as Tink's streaming AEAD writes them.
const segment = 64 << 10

func (k DataKey) stream() (*subtle.AESGCMHKDF, error) {
	return subtle.NewAESGCMHKDF(k, "SHA256", 32, segment, 0)
}

// Writer seals into w what is written to it. It must be closed: without its last segment a stream does not open to the end. context is bound to the result.
func (k DataKey) Writer(w io.Writer, context string) (io.WriteCloser, error) {
	s, err := k.stream()
	if err != nil {
		return nil, fmt.Errorf("vault: data key: %w", err)
	}
	return s.NewEncryptingWriter(w, []byte(context))
}

// Reader opens what Writer sealed, segment by segment: all that it gives is what was written, and io.EOF comes only at its true end. Otherwise the error is
// ErrSealed, joined with that of r if it had one.
func (k DataKey) Reader(r io.Reader, context string) (io.Reader, error) {
	s, err := k.stream()
	if err != nil {
		return nil, fmt.Errorf("vault: data key: %w", err)
	}
	opened, err := s.NewDecryptingReader(r, []byte(context))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return openedReader{opened}, nil
}

type openedReader struct{ io.Reader }

func (o openedReader) Read(p []byte) (int, error) {
	n, err := o.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return n, err
}
