package xapi

import (
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// asciiLower lowers A to Z and nothing else: digests and indexes are made of its result, and the tables of
// Unicode change.
func asciiLower(text string) string {
	for i := range len(text) {
		if c := text[i]; c >= 'A' && c <= 'Z' {
			lower := []byte(text)
			for ; i < len(lower); i++ {
				if c := lower[i]; c >= 'A' && c <= 'Z' {
					lower[i] = c + 'a' - 'A'
				}
			}
			return string(lower)
		}
	}
	return text
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isAlpha(c byte) bool { c |= 0x20; return c >= 'a' && c <= 'z' }
func isHex(c byte) bool   { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// IsIRI says whether text is an absolute IRI (RFC 3987): a scheme, a colon, something after it, and no
// character that an IRI never holds. It is the best-effort check that Data 2.2 allows: square brackets and a second '#'
// pass, because existing systems put them into query strings, and nothing is said of a scheme's own rules.
func IsIRI[T ~string | ~[]byte](text T) bool {
	colon := 0
	for ; colon < len(text); colon++ {
		c := text[colon]
		if isAlpha(c) || colon > 0 && (isDigit(c) || c == '+' || c == '-' || c == '.') {
			continue
		}
		break
	}
	if colon == 0 || colon+1 >= len(text) || text[colon] != ':' {
		return false
	}
	for i := colon + 1; i < len(text); i++ {
		switch c := text[i]; {
		case c <= ' ' || c == 0x7f:
			return false
		case c == '<' || c == '>' || c == '"' || c == '{' || c == '}' || c == '|' || c == '\\' || c == '^' || c == '`':
			return false
		case c >= utf8.RuneSelf:
			return isUcsTail(string(text[i:]))
		}
	}
	return true
}

// isUcsTail checks the rest of an IRI from its first character outside ASCII: ucschar and iprivate of
// RFC 3987 2.2, without the formatting characters for text direction that its 4.1 forbids.
func isUcsTail(tail string) bool {
	for _, c := range tail {
		switch {
		case c <= ' ' || c >= 0x7f && c <= 0x9f:
			return false
		case c < utf8.RuneSelf && strings.ContainsRune("<>\"{}|\\^`", c):
			return false
		case c == 0x200e || c == 0x200f || c >= 0x202a && c <= 0x202e:
			return false
		case c >= 0xfdd0 && c <= 0xfdef || c >= 0xfff0 && c <= 0xffff || c&0xfffe == 0xfffe:
			return false
		}
	}
	return true
}

// ParseUUID reads the standard string form (8-4-4-4-12 hexadecimal digits) in any case and no other form
// (Data 2.4.1, 4.4). Every variant and version passes: 4.4 recommends one and requires none. The nil UUID does not:
// it identifies nothing (RFC 9562 5.9), and where the hub keeps it, it stands for "none".
func ParseUUID[T ~string | ~[]byte](text T) (uuid.UUID, bool) {
	var id uuid.UUID
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return uuid.UUID{}, false
	}
	at := 0
	for i := range id {
		if at == 8 || at == 13 || at == 18 || at == 23 {
			at++
		}
		hi, lo := text[at], text[at+1]
		if !isHex(hi) || !isHex(lo) {
			return uuid.UUID{}, false
		}
		id[i] = unhex(hi)<<4 | unhex(lo)
		at += 2
	}
	return id, id != uuid.Nil
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// isMailto says whether text is "mailto:" and one email address: a local part, an @ and a domain, without
// white space, control characters, or the header fields and address lists that a mailto URI may have.
func isMailto(text string) bool {
	address, ok := strings.CutPrefix(text, "mailto:")
	if !ok {
		return false
	}
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || at == len(address)-1 {
		return false
	}
	for i := range len(address) {
		switch c := address[i]; {
		case c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '\\' || c == ',' || c == '?':
			return false
		case i > at && (c == ':' && address[at+1] != '[' || c == '/' || c == '#'):
			return false
		}
	}
	domain := address[at+1:]
	return domain[0] != '.' && domain[0] != '-' && domain[len(domain)-1] != '-' && !strings.Contains(domain, "..")
}

func isSHA1(text string) bool { return len(text) == 40 && all(text, isHex) }

// isMediaType checks type "/" subtype and, loosely, parameters (RFC 2046, RFC 9110 8.3.1).
func isMediaType(text string) bool {
	essence, parameters, _ := strings.Cut(text, ";")
	kind, sub, ok := strings.Cut(strings.TrimRight(essence, " \t"), "/")
	if !ok || !isToken(kind) || !isToken(sub) {
		return false
	}
	for i := range len(parameters) {
		if c := parameters[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isToken(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isAlpha(c) && !isDigit(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return text != ""
}
