package xapi

import (
	"errors"
	"fmt"
	"strings"
)

// Version is the edition of xAPI that a request speaks. The numbers are stored; never renumber.
type Version uint8

const (
	V1 Version = 1 // 1.0.3, and every 1.0.x
	V2 Version = 2 // 2.0.0 (IEEE 9274.1.1), and every 2.0.x
)

// ErrVersion says that a version text is of no edition this package knows.
var ErrVersion = errors.New("xAPI version must be 1.0, 1.0.x, 2.0 or 2.0.x")

// String gives the version that a response announces in X-Experience-API-Version: "1.0.3" or "2.0.0".
func (v Version) String() string {
	switch v {
	case V1:
		return "1.0.3"
	case V2:
		return "2.0.0"
	}
	return fmt.Sprintf("xapi.Version(%d)", uint8(v))
}

// StatementVersion gives the value that a store puts into a statement without a "version": "1.0.0"
// (Data 2.4.10) or "2.0.0" (IEEE 4.2.4.3).
func (v Version) StatementVersion() string {
	if v == V2 {
		return "2.0.0"
	}
	return "1.0.0"
}

// ParseVersion reads the X-Experience-API-Version header: 1.0 and 1.0.x give V1, 2.0 and 2.0.x give V2.
// Anything else, the empty string too, is ErrVersion.
func ParseVersion(header string) (Version, error) {
	switch {
	case isPatchOf(header, "1.0"):
		return V1, nil
	case isPatchOf(header, "2.0"):
		return V2, nil
	}
	return 0, ErrVersion
}

// isPatchOf says whether text is line ("1.0") or line and a patch number without leading zeros ("1.0.3").
func isPatchOf(text, line string) bool {
	patch, ok := strings.CutPrefix(text, line)
	if !ok || patch == "" {
		return ok
	}
	patch, ok = strings.CutPrefix(patch, ".")
	if !ok || patch == "" || len(patch) > 9 || len(patch) > 1 && patch[0] == '0' {
		return false
	}
	for i := range len(patch) {
		if !isDigit(patch[i]) {
			return false
		}
	}
	return true
}
