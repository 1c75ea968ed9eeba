package mapping

import (
	"bytes"
	"math"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/go-json-experiment/json/jsontext"
)

// parsePHP reads what PHP's serialize wrote. An array whose keys are 0, 1, 2, … is a list, any other and an object a map of its
// properties. It makes no classes, and a reference (R:, r:) or anything else that could loop or run code is an error.
func parsePHP(v ref.Val) ref.Val {
	text, ok := v.(types.String)
	if !ok {
		return failed(KindType)
	}
	p := &phpReader{rest: []byte(text)}
	if !p.value(0) || len(p.rest) > 0 || !jsontext.Value(p.json).IsValid() {
		return failed(KindValue)
	}
	value, err := decodeAny(p.json)
	if err != nil {
		return types.WrapErr(err)
	}
	return value
}

// phpReader turns serialized values into JSON. Every method says whether the text went on as it must.
type phpReader struct {
	rest []byte
	json []byte
}

const phpDepth = 32

func (p *phpReader) value(depth int) bool {
	if depth > phpDepth || len(p.rest) < 2 {
		return false
	}
	kind := p.rest[0]
	switch {
	case bytes.HasPrefix(p.rest, []byte("N;")):
		p.rest, p.json = p.rest[2:], append(p.json, "null"...)
		return true
	case p.rest[1] != ':':
		return false
	}
	p.rest = p.rest[2:]
	switch kind {
	case 'b', 'i', 'd':
		text, ok := p.until(';')
		return ok && p.scalar(kind, string(text))
	case 's':
		text, ok := p.text()
		return ok && p.literal(";") && p.quote(text)
	case 'a':
		return p.array(depth)
	case 'O':
		_, ok := p.text() // the class, which nobody makes
		return ok && p.literal(":") && p.array(depth)
	}
	return false
}

func (p *phpReader) scalar(kind byte, text string) bool {
	switch kind {
	case 'b':
		p.json = strconv.AppendBool(p.json, text == "1")
		return text == "0" || text == "1"
	case 'i':
		n, err := strconv.ParseInt(text, 10, 64)
		p.json = strconv.AppendInt(p.json, n, 10)
		return err == nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return false
	}
	p.json = jsontext.AppendFloat(p.json, n, 64)
	return true
}

// array reads N:{key;value…}; the members of an object look the same.
func (p *phpReader) array(depth int) bool {
	count, ok := p.until(':')
	n, err := strconv.Atoi(string(count))
	if !ok || err != nil || n < 0 || n > len(p.rest) || !p.literal("{") {
		return false
	}
	type entry struct{ key, value []byte }
	entries, list := []entry{}, true
	out := p.json
	for i := range n {
		p.json = nil
		if len(p.rest) == 0 || p.rest[0] != 'i' && p.rest[0] != 's' || !p.value(depth+1) {
			return false
		}
		key := p.json
		list = list && string(key) == strconv.Itoa(i)
		p.json = nil
		if !p.value(depth + 1) {
			return false
		}
		entries = append(entries, entry{key, p.json})
	}
	brackets := "{}"
	if list {
		brackets = "[]"
	}
	out = append(out, brackets[0])
	for i, e := range entries {
		if i > 0 {
			out = append(out, ',')
		}
		if !list {
			if e.key[0] != '"' {
				e.key = []byte(`"` + string(e.key) + `"`)
			}
			out = append(append(out, e.key...), ':')
		}
		out = append(out, e.value...)
	}
	p.json = append(out, brackets[1])
	return p.literal("}")
}

// text reads LENGTH:"…"; the length counts bytes.
func (p *phpReader) text() ([]byte, bool) {
	length, ok := p.until(':')
	n, err := strconv.Atoi(string(length))
	if !ok || err != nil || n < 0 || n > len(p.rest)-2 || p.rest[0] != '"' || p.rest[n+1] != '"' {
		return nil, false
	}
	text := p.rest[1 : n+1]
	p.rest = p.rest[n+2:]
	return text, true
}

// quote writes a text. Names of protected and private properties have a prefix between NUL bytes, which is left out.
func (p *phpReader) quote(text []byte) bool {
	if len(text) > 0 && text[0] == 0 {
		if end := bytes.IndexByte(text[1:], 0); end >= 0 {
			text = text[end+2:]
		}
	}
	quoted, err := jsontext.AppendQuote(p.json, text)
	p.json = quoted
	return err == nil
}

func (p *phpReader) until(end byte) ([]byte, bool) {
	at := bytes.IndexByte(p.rest, end)
	if at < 0 {
		return nil, false
	}
	text := p.rest[:at]
	p.rest = p.rest[at+1:]
	return text, true
}

func (p *phpReader) literal(text string) bool {
	rest, ok := bytes.CutPrefix(p.rest, []byte(text))
	p.rest = rest
	return ok
}
