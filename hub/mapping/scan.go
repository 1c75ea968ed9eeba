package mapping

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// The functions of this file walk JSON text that has been checked already (Begin does), so they look at no more than
// they need and cannot fail. Positions are byte offsets.

// skipSpace gives the position of the next byte that is not white space.
func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r') {
		at++
	}
	return at
}

// skipValue gives the position after the value that starts at the given one.
func skipValue(text []byte, at int) int {
	switch text[at] {
	case '"':
		return skipString(text, at)
	case '{', '[':
		for depth := 0; at < len(text); at++ {
			switch text[at] {
			case '"':
				at = skipString(text, at) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return at + 1
				}
			}
		}
		return at
	}
	for at < len(text) {
		switch text[at] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return at
		}
		at++
	}
	return at
}

func skipString(text []byte, at int) int {
	for at++; at < len(text); {
		end := bytes.IndexByte(text[at:], '"')
		if end < 0 {
			return len(text)
		}
		// An even number of backslashes before the quote means that none of them escapes it.
		slashes := 0
		for i := at + end - 1; i >= at && text[i] == '\\'; i-- {
			slashes++
		}
		at += end + 1
		if slashes%2 == 0 {
			return at
		}
	}
	return at
}

// eachMember calls do with every member of an object: its name as written (with quotes) and its value.
func eachMember(text []byte, do func(name, value []byte)) {
	at := skipSpace(text, 0) + 1
	for {
		at = skipSpace(text, at)
		if at >= len(text) || text[at] == '}' {
			return
		}
		if text[at] == ',' {
			at++
			continue
		}
		nameEnd := skipString(text, at)
		start := skipSpace(text, skipSpace(text, nameEnd)+1)
		end := skipValue(text, start)
		do(text[at:nameEnd], text[start:end])
		at = end
	}
}

// eachElement calls do with every element of an array.
func eachElement(text []byte, do func(value []byte)) {
	at := skipSpace(text, 0) + 1
	for {
		at = skipSpace(text, at)
		if at >= len(text) || text[at] == ']' {
			return
		}
		if text[at] == ',' {
			at++
			continue
		}
		end := skipValue(text, at)
		do(text[at:end])
		at = end
	}
}

// unquote gives the text of a JSON string.
func unquote(text []byte) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1])
	}
	plain, err := jsontext.AppendUnquote(nil, text)
	if err != nil {
		return "" // cannot happen: the text was checked
	}
	return string(plain)
}

func isNull(text []byte) bool { return len(text) > 0 && text[0] == 'n' }
