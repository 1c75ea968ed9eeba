package xapi

import "strings"

// IsLanguageTag says whether tag is well-formed by the grammar of RFC 5646 section 2.1, in any case. It
// does not ask the registry whether the subtags exist (Data 2.2 asks for the sequence of token lengths).
func IsLanguageTag[T ~string | ~[]byte](tag T) bool {
	if len(tag) == 2 { // the usual case
		return isAlpha(tag[0]) && isAlpha(tag[1])
	}
	if len(tag) == 0 || len(tag) > 255 {
		return false
	}
	return isLangtag(string(tag)) || isGrandfathered(string(tag))
}

// subtags takes a tag apart from the left.
type subtags struct {
	first string
	rest  string
	more  bool
}

func (s *subtags) advance() {
	if !s.more {
		s.first = ""
		return
	}
	s.first, s.rest, s.more = strings.Cut(s.rest, "-")
}

func isLangtag(tag string) bool {
	s := subtags{rest: tag, more: true}
	s.advance()
	if isSingle(s.first, 'x') {
		return isPrivateUse(&s)
	}
	n := len(s.first)
	if n < 2 || n > 8 || !all(s.first, isAlpha) {
		return false
	}
	s.advance()
	for extlang := 0; n <= 3 && extlang < 3 && len(s.first) == 3 && all(s.first, isAlpha); extlang++ {
		s.advance()
	}
	if len(s.first) == 4 && all(s.first, isAlpha) { // script
		s.advance()
	}
	if len(s.first) == 2 && all(s.first, isAlpha) || len(s.first) == 3 && all(s.first, isDigit) { // region
		s.advance()
	}
	for isVariant(s.first) {
		s.advance()
	}
	for len(s.first) == 1 && !isSingle(s.first, 'x') { // extension
		if !isAlphanumeric(s.first[0]) || !isExtension(&s) {
			return false
		}
	}
	if isSingle(s.first, 'x') {
		return isPrivateUse(&s)
	}
	return s.first == "" && !s.more && tag[len(tag)-1] != '-'
}

func isVariant(s string) bool {
	return len(s) >= 5 && len(s) <= 8 && all(s, isAlphanumeric) || len(s) == 4 && isDigit(s[0]) && all(s, isAlphanumeric)
}

// isExtension reads a singleton and its subtags of 2 to 8 characters, at least one.
func isExtension(s *subtags) bool {
	n := 0
	for s.advance(); len(s.first) >= 2 && len(s.first) <= 8 && all(s.first, isAlphanumeric); s.advance() {
		n++
	}
	return n > 0
}

// isPrivateUse reads "x" and its subtags of 1 to 8 characters, at least one, to the end.
func isPrivateUse(s *subtags) bool {
	if !s.more {
		return false
	}
	for s.more {
		s.advance()
		if len(s.first) < 1 || len(s.first) > 8 || !all(s.first, isAlphanumeric) {
			return false
		}
	}
	return true
}

func isSingle(s string, c byte) bool { return len(s) == 1 && s[0]|0x20 == c }

func isAlphanumeric(c byte) bool { return isAlpha(c) || isDigit(c) }

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

// isGrandfathered knows the irregular tags of RFC 5646; the regular ones match the grammar.
func isGrandfathered(tag string) bool {
	switch strings.ToLower(tag) {
	case "en-gb-oed", "i-ami", "i-bnn", "i-default", "i-enochian", "i-hak", "i-klingon", "i-lux", "i-mingo",
		"i-navajo", "i-pwn", "i-tao", "i-tay", "i-tsu", "sgn-be-fr", "sgn-be-nl", "sgn-ch-de":
		return true
	}
	return false
}
