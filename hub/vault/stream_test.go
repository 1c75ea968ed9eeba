package vault

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

func sealStream(t *testing.T, k DataKey, context string, plain []byte) []byte {
	t.Helper()
	var sealed bytes.Buffer
	w, err := k.Writer(&sealed, context)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, bytes.NewReader(plain)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sealed.Bytes()
}

func openStream(k DataKey, context string, sealed []byte) ([]byte, error) {
	r, err := k.Reader(bytes.NewReader(sealed), context)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestStream(t *testing.T) {
	random := rand.NewChaCha8([32]byte{7})
	for _, size := range []int{0, 1, segment - 1, segment, segment + 1, 3*segment + 17} {
		plain := make([]byte, size)
		random.Read(plain)
		key := NewDataKey()
		sealed := sealStream(t, key, "here", plain)
		if got, err := openStream(key, "here", sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %v, %d came back", size, err, len(got))
		}
		if size > 16 && bytes.Contains(sealed, plain[:16]) {
			t.Errorf("%d bytes: some stand in clear", size)
		}
		for name, c := range map[string]struct {
			key     DataKey
			context string
			sealed  []byte
		}{
			"another key":      {NewDataKey(), "here", sealed},
			"another context":  {key, "there", sealed},
			"cut off":          {key, "here", sealed[:len(sealed)-1]},
			"cut at a segment": {key, "here", sealed[:(len(sealed)-1)/segment*segment]},
			"nothing":          {key, "here", nil},
			"altered":          {key, "here", append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1)},
			"longer":           {key, "here", append(bytes.Clone(sealed), 0)},
		} {
			if got, err := openStream(c.key, c.context, c.sealed); !errors.Is(err, ErrSealed) || !bytes.HasPrefix(plain, got) {
				t.Errorf("%d bytes, %s: %v", size, name, err)
			}
		}
	}
}
