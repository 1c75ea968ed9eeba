package csv

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"
)

// splitter cuts records into cells. Its slices are used again for the next record.
type splitter struct {
	delim   byte
	cells   [][]byte
	scratch []byte // unescaped cells
}

// split returns the cells of a record; their bytes point into raw or into the splitter.
func (s *splitter) split(raw []byte, quotes bool) [][]byte {
	s.cells = s.cells[:0]
	s.scratch = s.scratch[:0]
	if quotes {
		return s.splitQuoted(raw)
	}
	from := 0
	for i, c := range raw {
		if c == s.delim {
			s.cells = append(s.cells, raw[from:i])
			from = i + 1
		}
	}
	s.cells = append(s.cells, raw[from:])
	return s.cells
}

// splitQuoted splits a record whose quotes the scanner found to be sound.
func (s *splitter) splitQuoted(raw []byte) [][]byte {
	for {
		if len(raw) == 0 || raw[0] != '"' {
			i := bytes.IndexByte(raw, s.delim)
			if i < 0 {
				s.cells = append(s.cells, raw)
				return s.cells
			}
			s.cells = append(s.cells, raw[:i])
			raw = raw[i+1:]
			continue
		}
		cell, rest := s.unquote(raw[1:])
		s.cells = append(s.cells, cell)
		if len(rest) == 0 {
			return s.cells
		}
		raw = rest[1:]
	}
}

// unquote returns the cell that begins after an opening quote, and what follows its closing quote.
func (s *splitter) unquote(raw []byte) (cell, rest []byte) {
	i := bytes.IndexByte(raw, '"')
	if i+1 == len(raw) || raw[i+1] != '"' {
		return raw[:i], raw[i+1:]
	}
	from := len(s.scratch)
	for {
		s.scratch = append(s.scratch, raw[:i]...)
		raw = raw[i+1:]
		if len(raw) == 0 || raw[0] != '"' {
			return s.scratch[from:len(s.scratch):len(s.scratch)], raw
		}
		s.scratch = append(s.scratch, '"')
		raw = raw[1:]
		i = bytes.IndexByte(raw, '"')
	}
}

// appendCell appends a cell as the JSON value of its type. An empty cell is null. It reports false if the cell is not
// of the type; what was appended then is of no use.
func appendCell(dst, cell []byte, kind kind, text *encoding) ([]byte, bool) {
	if len(cell) == 0 {
		return append(dst, "null"...), true
	}
	if kind == kindString {
		return appendString(dst, cell, text)
	}
	if cell[0] <= ' ' || cell[len(cell)-1] <= ' ' {
		cell = bytes.Trim(cell, " \t")
	}
	if len(cell) == 0 {
		return append(dst, "null"...), true
	}
	switch kind {
	case kindInt:
		return appendInt(dst, cell)
	case kindDouble:
		return appendDouble(dst, cell)
	default:
		return appendBool(dst, cell)
	}
}

// appendInt takes an optional sign and decimal digits that fit 64 bits; leading zeros and a plus sign go.
func appendInt(dst, cell []byte) ([]byte, bool) {
	digits := cell
	negative := cell[0] == '-'
	if negative || cell[0] == '+' {
		digits = cell[1:]
	}
	if len(digits) == 0 {
		return dst, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return dst, false
		}
	}
	digits = bytes.TrimLeft(digits[:len(digits)-1], "0")
	digits = cell[len(cell)-1-len(digits):]
	if len(digits) > 18 {
		n, err := strconv.ParseInt(string(cell), 10, 64)
		return strconv.AppendInt(dst, n, 10), err == nil
	}
	if negative && !(len(digits) == 1 && digits[0] == '0') {
		dst = append(dst, '-')
	}
	return append(dst, digits...), true
}

// appendDouble takes a decimal number with a point, and an exponent if need be, that a 64-bit float can hold. A number
// that JSON would write the same way is kept as it stands, so that 78.50 stays 78.50.
func appendDouble(dst, cell []byte) ([]byte, bool) {
	for _, c := range cell {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return dst, false
		}
	}
	f, err := strconv.ParseFloat(string(cell), 64)
	if err != nil || math.IsInf(f, 0) {
		return dst, false
	}
	if isNumber(cell) {
		return append(dst, cell...), true
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64), true
}

// isNumber reports whether text, which is a number to strconv, is one to JSON (RFC 8259 section 6): no plus sign, no
// leading zero, digits on both sides of the point.
func isNumber(text []byte) bool {
	if text[0] == '-' {
		text = text[1:]
	}
	if len(text) == 0 || text[0] < '0' || text[0] > '9' {
		return false
	}
	if len(text) > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9' {
		return false
	}
	i := bytes.IndexByte(text, '.')
	return i < 0 || (i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9')
}

// appendBool takes true, yes, y, t, 1 and false, no, n, f, 0, in any case.
func appendBool(dst, cell []byte) ([]byte, bool) {
	if len(cell) > len("false") {
		return dst, false
	}
	var lower [len("false")]byte
	for i, c := range cell {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	switch string(lower[:len(cell)]) {
	case "true", "yes", "y", "t", "1":
		return append(dst, "true"...), true
	case "false", "no", "n", "f", "0":
		return append(dst, "false"...), true
	}
	return dst, false
}

const hexDigits = "0123456789abcdef"

// appendString appends a cell as a JSON string. It reports false if the cell is not text in the encoding.
func appendString(dst, cell []byte, text *encoding) ([]byte, bool) {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(cell); {
		c := cell[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf && text.table == nil {
			r, size := utf8.DecodeRune(cell[i:])
			if r == utf8.RuneError && size == 1 {
				return dst, false
			}
			i += size
			continue
		}
		dst = append(dst, cell[from:i]...)
		i++
		from = i
		if c < utf8.RuneSelf {
			dst = appendEscape(dst, c)
			continue
		}
		r := text.table[c-utf8.RuneSelf]
		if r == 0 {
			return dst, false
		}
		dst = utf8.AppendRune(dst, r)
	}
	dst = append(dst, cell[from:]...)
	return append(dst, '"'), true
}

// appendEscape appends a character that JSON strings must escape.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
