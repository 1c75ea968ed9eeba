package host

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxProgram bounds a connector's program, in bytes.
const maxProgram = 1 << 30

// pinned copies the program to a private place that nobody can change, hashing what it copies, and compares the hash with the
// pin. What is started is the copy, so nothing can come between check and start.
func pinned(p Plugin) (program *os.File, err error) {
	want := strings.ToLower(strings.TrimPrefix(p.SHA256, "sha256:"))
	if want == "" {
		return nil, fmt.Errorf("%w: connector %s at %s has no SHA-256 pinned; find it with `sha256sum %s`, compare it with what its author publishes, and pin it",
			ErrChecksum, p.Connector, p.Path, p.Path)
	}
	source, err := os.Open(p.Path)
	if err != nil {
		return nil, fmt.Errorf("%w: connector %s: %w", ErrUnknown, p.Connector, err)
	}
	defer source.Close()
	hash := sha256.New()
	program, err = privateCopy(io.TeeReader(io.LimitReader(source, maxProgram), hash))
	if err != nil {
		return nil, fmt.Errorf("%w: connector %s: copying %s: %w", ErrUnknown, p.Connector, p.Path, err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		_ = program.Close()
		return nil, fmt.Errorf("%w: connector %s at %s: expected sha256 %s, found %s. If you upgraded it on purpose, pin the new checksum; "+
			"if not, put back the program that was pinned", ErrChecksum, p.Connector, p.Path, want, got)
	}
	return program, nil
}
