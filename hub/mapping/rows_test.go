package mapping

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestBrokenPHP: what is not PHP's serialize, or could loop or make an object, is an error and never a part of it.
func TestBrokenPHP(t *testing.T) {
	for _, text := range []string{"", "a", "a:", "a:1:{}", "a:1:{i:0;i:1;", "a:2:{i:0;i:1;}", `s:5:"abc";`, `s:-1:"";`, `s:3:"abc"`, "i:1", "i:x;",
		"b:2;", "d:INF;", "d:NAN;", "N", "N;N;", "R:1;", "r:1;", "a:1:{R:1;i:1;}", "a:1:{a:0:{}i:1;}", `C:3:"Foo":2:{xx}`, "a:99999999999:{}",
		strings.Repeat("a:1:{i:0;", 100) + "i:1;" + strings.Repeat("}", 100), "a:2:{s:1:\"x\";i:1;s:1:\"x\";i:2;}"} {
		m := load(t, result("raw: ${jsonText(parsePhp(record.note))}"))
		out, err := convert(t, m, `{"id": 7, "pupil": "p", "note": "`+strings.ReplaceAll(text, `"`, `\"`)+`"}`)
		var e *EvalError
		if !errors.As(err, &e) || e.Kind != KindValue {
			t.Errorf("%s: %v, %v", text, out, err)
		}
	}
}

// FuzzPHP: whatever the text, the reader ends, and what it takes it gives as valid JSON.
func FuzzPHP(f *testing.F) {
	for _, seed := range []string{`a:2:{s:1:"a";i:1;i:7;a:1:{i:0;d:0.5;}}`, `O:1:"A":1:{s:4:"` + "\x00A\x00" + `b";b:1;}`, "a:-1:{}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := &phpReader{rest: []byte(text)}
		if p.value(0) && !utf8.Valid(p.json) {
			t.Errorf("%q", p.json)
		}
	})
}

// TestRowsCost: searching large tables again and again meets the limit of work.
func TestRowsCost(t *testing.T) {
	m := load(t, result(`raw: "${record.big.a.map(x, rows(record.big.?a, {'id': x.id}).size()).size()}"`))
	table := strings.TrimSuffix(strings.Repeat(`{"id": 1},`, 3000), ",")
	_, err := convert(t, m, `{"id": 7, "pupil": "p", "big": {"a": [`+table+`]}}`)
	var e *EvalError
	if !errors.As(err, &e) || e.Kind != KindCost {
		t.Errorf("%v", err)
	}
}
