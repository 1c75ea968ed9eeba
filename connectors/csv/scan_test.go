package csv

import (
	"bytes"
	stdcsv "encoding/csv"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// scanAll gives each row as "line:cells joined by |", or "line:!fault".
func scanAll(t interface{ Fatal(...any) }, text string, limit int) []string {
	s := newScanner(strings.NewReader(text), ',', limit, 0, 1)
	split := splitter{delim: ','}
	var got []string
	for {
		r, err := s.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case r.fault == faultTooLarge:
			got = append(got, fmt.Sprintf("%d:!large", r.line))
		case r.fault == faultQuotes:
			got = append(got, fmt.Sprintf("%d:!quotes", r.line))
		default:
			cells := split.split(r.raw, r.quotes)
			got = append(got, fmt.Sprintf("%d:%s", r.line, bytes.Join(cells, []byte("|"))))
		}
	}
	if s.offset != int64(len(text)) || s.sum != checksum(0).add([]byte(text)) {
		t.Fatal("the scanner did not consume, or not sum, every byte once")
	}
	return got
}

func TestScanner(t *testing.T) {
	long := strings.Repeat("x", 100)
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"plain":                     {"a,b\n1,2\n", []string{"1:a|b", "2:1|2"}},
		"no final line end":         {"a,b\n1,2", []string{"1:a|b", "2:1|2"}},
		"CRLF":                      {"a,b\r\n1,2\r\n", []string{"1:a|b", "2:1|2"}},
		"empty cells":               {",\n,,\n", []string{"1:|", "2:||"}},
		"empty line":                {"a\n\nb\n", []string{"1:a", "2:", "3:b"}},
		"quoted":                    {"\"a,b\",\"c\"\n", []string{"1:a,b|c"}},
		"escaped quote":             {"\"a\"\"b\",\"\"\"\",\"\"\n", []string{"1:a\"b|\"|"}},
		"quoted line end":           {"\"a\nb\",c\nd,e\n", []string{"1:a\nb|c", "3:d|e"}},
		"quoted CRLF":               {"\"a\r\nb\",\"c\"\r\nd,e\r\n", []string{"1:a\r\nb|c", "3:d|e"}},
		"quoted at the end of file": {"a,\"b\"", []string{"1:a|b"}},
		"quote left open":           {"1,\"a\n2,b\n3,c\n", []string{"1:!quotes", "2:2|b", "3:3|c"}},
		"quote left open before a quoted row": {"1,\"a\n2,b\n3,\"c,d\"\n4,e\n",
			[]string{"1:!quotes", "2:2|b", "3:3|c,d", "4:4|e"}},
		"quote within a cell":       {"1,a\"b\n2,c\n", []string{"1:!quotes", "2:2|c"}},
		"text after a closed quote": {"1,\"a\"b\n2,c\n", []string{"1:!quotes", "2:2|c"}},
		"CR after a closed quote":   {"1,\"a\"\rb\n2,c\n", []string{"1:!quotes", "2:2|c"}},
		"quote open in last line":   {"1,a\n2,\"", []string{"1:1|a", "2:!quotes"}},
		"every line left open":      {"\"a\n\"b\n\"c\n", []string{"1:!quotes", "2:!quotes", "3:!quotes"}},
		"long line":                 {"a\n" + long + "\nb\n", []string{"1:a", "2:!large", "3:b"}},
		"long last line":            {"a\n" + long, []string{"1:a", "2:!large"}},
		"long quoted cell":          {"1,\"" + long + "\n" + long + "\",x\n2,b\n", []string{"1:!large", "3:2|b"}},
		"long quoted last cell":     {"1,\"" + long + "\"", []string{"1:!large"}},
		"long quoted, escapes":      {"1,\"" + strings.Repeat("\"\"", 80) + "\"\n2,b\n", []string{"1:!large", "2:2|b"}},
		"quote open, long file":     {"1,\"a\n" + strings.Repeat("2,b\n", 40), append([]string{"1:!quotes"}, numbered(2, 40, "2|b")...)},
		"quote open, long line":     {"1,\"" + long + "\n2,b\n", []string{"1:!large", "2:2|b"}},
		"just the limit":            {strings.Repeat("x", 50) + "\nb\n", []string{"1:" + strings.Repeat("x", 50), "2:b"}},
		"just the limit, quoted":    {"\"" + strings.Repeat("x", 48) + "\"\nb\n", []string{"1:" + strings.Repeat("x", 48), "2:b"}},
		"one above the limit":       {strings.Repeat("x", 51) + "\nb\n", []string{"1:!large", "2:b"}},
		"one above, quoted":         {"\"" + strings.Repeat("x", 49) + "\"\nb\n", []string{"1:!large", "2:b"}},
		"one above, last":           {strings.Repeat("x", 51), []string{"1:!large"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, scanAll(t, tt.text, 50)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func numbered(from, n int, text string) []string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("%d:%s", from+i, text))
	}
	return lines
}

// TestScannerLaw: what encoding/csv writes is read back as it was, in buffers of any size.
func TestScannerLaw(t *testing.T) {
	cell := rapid.StringMatching(`[a-c",\n ]{0,12}`)
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, 2, 4), 0, 12).Draw(t, "rows")
		var text bytes.Buffer
		w := stdcsv.NewWriter(&text)
		if err := w.WriteAll(rows); err != nil {
			t.Fatal(err)
		}
		s := newScanner(bytes.NewReader(text.Bytes()), ',', rapid.IntRange(120, 400).Draw(t, "limit"), 0, 1)
		split := splitter{delim: ','}
		for i, want := range rows {
			r, err := s.next()
			if err != nil || r.fault != faultNone {
				t.Fatalf("row %d: %v %v", i, err, r.fault)
			}
			var got []string
			for _, c := range split.split(r.raw, r.quotes) {
				got = append(got, string(c))
			}
			if !cmp.Equal(want, got) {
				t.Fatalf("row %d: %q, want %q", i, got, want)
			}
		}
		if _, err := s.next(); err != io.EOF {
			t.Fatalf("after the last row: %v", err)
		}
	})
}

// TestScannerAnyBytes: whatever the bytes, scanning ends and consumes each byte once (scanAll fails otherwise).
func TestScannerAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a,"\r\n]|"",|"\n){0,200}`).Draw(t, "text")
		scanAll(t, text, rapid.IntRange(1, 60).Draw(t, "limit"))
	})
}

// TestScannerIsLinear: an open quote on every line costs a few looks at each byte, not one look at the rest of the file.
func TestScannerIsLinear(t *testing.T) {
	for name, text := range map[string]string{
		"open on each line":  strings.Repeat("1,\"abc\n", 30_000),
		"open, then even":    "1,\"abc\n" + strings.Repeat("\"\",\"\"\n", 30_000),
		"open, then escapes": strings.Repeat("x,\"\n\"\"\"\"\n", 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			counted := &countingReader{ReaderAt: strings.NewReader(text)}
			s := newScanner(counted, ',', 1<<10, 0, 1)
			for {
				if _, err := s.next(); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if most := int64(4*len(text) + firstBuffer); counted.n > most {
				t.Errorf("read %d bytes of a file of %d", counted.n, len(text))
			}
		})
	}
}

type countingReader struct {
	io.ReaderAt
	n int64
}

func (c *countingReader) ReadAt(b []byte, at int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(b, at)
	c.n += int64(n)
	return n, err
}
