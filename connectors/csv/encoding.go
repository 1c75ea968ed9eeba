package csv

import (
	"bytes"
	"unicode/utf8"
)

// encoding is how bytes above 0x7f become characters: UTF-8 if table is nil, else one byte a character.
type encoding struct {
	name  string
	table *[128]rune // by byte - 0x80; 0 = the byte stands for nothing
}

// encodings are those that a file may be in, by the names of the IANA registry. Each is ASCII in its lower half, so
// delimiters, quotes and line ends can be found before the text is decoded.
var encodings = map[string]*encoding{
	"utf-8":        {name: "utf-8"},
	"iso-8859-1":   {name: "iso-8859-1", table: latin1()},
	"windows-1252": {name: "windows-1252", table: windows1252()},
}

func latin1() *[128]rune {
	var t [128]rune
	for i := range t {
		t[i] = rune(i + utf8.RuneSelf)
	}
	return &t
}

// windows1252 differs from ISO 8859-1 in 0x80 to 0x9f, five of which stand for nothing.
func windows1252() *[128]rune {
	t := latin1()
	copy(t[:], []rune{
		'€', 0, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0, 'Ž', 0,
		0, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0, 'ž', 'Ÿ',
	})
	return t
}

// valid reports whether the bytes are text in the encoding.
func (e *encoding) valid(b []byte) bool {
	if e.table == nil {
		return utf8.Valid(b)
	}
	for _, c := range b {
		if c >= utf8.RuneSelf && e.table[c-utf8.RuneSelf] == 0 {
			return false
		}
	}
	return true
}

// decode returns the bytes as UTF-8; what stands for nothing becomes U+FFFD.
func (e *encoding) decode(b []byte) []byte {
	if e.table == nil {
		return bytes.ToValidUTF8(b, []byte("\uFFFD"))
	}
	var out []byte
	for _, c := range b {
		r := rune(c)
		if c >= utf8.RuneSelf {
			if r = e.table[c-utf8.RuneSelf]; r == 0 {
				r = utf8.RuneError
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}
