package mapping

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"golang.org/x/net/html"
)

// blocks are the HTML elements at whose borders a reader sees a break.
var blocks = map[string]bool{
	"address": true, "article": true, "aside": true, "blockquote": true, "br": true, "dd": true, "div": true, "dl": true,
	"dt": true, "fieldset": true, "figure": true, "footer": true, "form": true, "h1": true, "h2": true, "h3": true,
	"h4": true, "h5": true, "h6": true, "header": true, "hr": true, "li": true, "main": true, "nav": true, "ol": true,
	"p": true, "pre": true, "section": true, "table": true, "td": true, "th": true, "tr": true, "ul": true,
}

// plainText gives what a reader of the HTML sees: no tags, no scripts, entities as characters, runs of space as one.
func plainText(source string) string {
	var b strings.Builder
	tokens := html.NewTokenizer(strings.NewReader(source))
	hidden := 0
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return strings.Join(strings.Fields(b.String()), " ")
		case html.TextToken:
			if hidden == 0 {
				b.Write(tokens.Text())
			}
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			if token.Data == "script" || token.Data == "style" {
				hidden += map[html.TokenType]int{html.StartTagToken: 1, html.EndTagToken: -1}[token.Type]
				hidden = max(hidden, 0)
			}
			if blocks[token.Data] {
				b.WriteByte(' ')
			}
		}
	}
}

// slug gives lower-case letters and digits, with one hyphen for each run of anything else between them.
func slug(source string) string {
	var b strings.Builder
	gap := false
	for _, r := range source {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			gap = true
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte('-')
		}
		gap = false
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// slugASCII makes a slug the way Moodle's xAPI plugin does: white space and _ to one hyphen, whatever else is not a-z, 0-9 or -
// left out, so that texts in other scripts leave little. slug keeps those.
func slugASCII(source string) string {
	b := make([]byte, 0, len(source))
	gap := false
	for i := range len(source) {
		c := source[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c == '_' || c == ' ' || c >= '\t' && c <= '\r' {
			if !gap {
				b = append(b, '-')
			}
			gap = true
			continue
		}
		gap = false
		if c == '-' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b = append(b, c)
		}
	}
	return strings.Trim(string(b), "-")
}

// stripTags takes out tags, line feeds and &nbsp; and decodes nothing, as Moodle's xAPI plugin does. plainText reads better.
func stripTags(source string) string {
	var b strings.Builder
	for source != "" {
		open := strings.IndexByte(source, '<')
		if open < 0 || open+1 < len(source) && (source[open+1] == ' ' || source[open+1] == '\n') {
			end := len(source)
			if open >= 0 {
				end = open + 1 // a lone sign, as in 5 < 6
			}
			b.WriteString(source[:end])
			source = source[end:]
			continue
		}
		b.WriteString(source[:open])
		shut := strings.IndexByte(source[open:], '>')
		if shut < 0 {
			break
		}
		source = source[open+shut+1:]
	}
	return strings.NewReplacer("\n", "", "&nbsp;", "").Replace(b.String())
}

var uuidNamespaces = map[string]uuid.UUID{
	"dns": uuid.NameSpaceDNS, "url": uuid.NameSpaceURL, "oid": uuid.NameSpaceOID, "x500": uuid.NameSpaceX500,
}

// uuid5 is RFC 9562 version 5; the namespace is dns, url, oid, x500 or a UUID.
func uuid5(namespace, name ref.Val) ref.Val {
	space, okSpace := namespace.(types.String)
	text, okText := name.(types.String)
	if !okSpace || !okText {
		return failed(KindType)
	}
	known, ok := uuidNamespaces[string(space)]
	if !ok {
		parsed, err := uuid.Parse(string(space))
		if err != nil {
			return failed(KindValue)
		}
		known = parsed
	}
	return types.String(uuid.NewSHA1(known, []byte(text)).String())
}

// uuidOfSHA1 shapes the SHA-1 of a text like a UUID of version 5, as Moodle's xAPI plugin does. It is not RFC 9562: there is
// no namespace, and the fourth group is masked with 3f3f where the RFC masks its first byte only.
func uuidOfSHA1(text string) string {
	sum := sha1.Sum([]byte(text))
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	sum[9] &= 0x3f
	h := hex.EncodeToString(sum[:16])
	return h[0:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:32]
}

// urlEncode escapes everything but the unreserved characters of RFC 3986.
func urlEncode(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// urlDecode reads percent-escapes and takes + for a space, as form data does.
func urlDecode(text string) ref.Val {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return failed(KindValue)
	}
	return types.String(plain)
}

// isoDuration writes seconds as an ISO 8601 duration: 3750.25 is PT1H2M30.25S. Days are not used: they are not always 24 hours.
func isoDuration(v ref.Val) ref.Val {
	var seconds float64
	switch n := v.(type) {
	case types.Int:
		seconds = float64(n)
	case types.Double:
		seconds = float64(n)
	case types.Duration:
		seconds = n.Duration.Seconds()
	default:
		return failed(KindType)
	}
	if !(seconds >= 0 && seconds < 1e12) {
		return failed(KindRange)
	}
	return types.String(formatDuration(seconds))
}

func formatDuration(seconds float64) string {
	whole, fraction := math.Modf(math.Round(seconds*1e6) / 1e6)
	total := int64(whole)
	b := []byte("PT")
	if h := total / 3600; h > 0 {
		b = append(strconv.AppendInt(b, h, 10), 'H')
	}
	if m := total % 3600 / 60; m > 0 {
		b = append(strconv.AppendInt(b, m, 10), 'M')
	}
	if s := float64(total%60) + fraction; s > 0 || len(b) == 2 {
		text := strconv.FormatFloat(s, 'f', 6, 64)
		b = append(append(b, strings.TrimRight(strings.TrimRight(text, "0"), ".")...), 'S')
	}
	return string(b)
}

// formatInstant writes an instant as RFC 3339 in UTC with as many digits of its fraction as it has.
func formatInstant(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, time.RFC3339Nano) }

// jsonText gives the JSON text of a value; the separators serve texts that must equal what another program wrote.
func jsonText(v, comma, colon ref.Val) ref.Val {
	c, okComma := comma.(types.String)
	k, okColon := colon.(types.String)
	if !okComma || !okColon || strings.Trim(string(c), " ") != "," || strings.Trim(string(k), " ") != ":" {
		return failed(KindType)
	}
	text, err := appendValue(nil, v)
	if err != nil {
		return types.WrapErr(err)
	}
	if c == "," && k == ":" {
		return types.String(text)
	}
	return types.String(spaced(text, string(c), string(k)))
}

// spaced puts other separators into compact JSON.
func spaced(text []byte, comma, colon string) []byte {
	b := make([]byte, 0, len(text)+len(text)/8)
	for at := 0; at < len(text); {
		switch text[at] {
		case '"':
			end := skipString(text, at)
			b = append(b, text[at:end]...)
			at = end
			continue
		case ',':
			b = append(b, comma...)
		case ':':
			b = append(b, colon...)
		default:
			b = append(b, text[at])
		}
		at++
	}
	return b
}

func parseJSON(v ref.Val) ref.Val {
	text, ok := v.(types.String)
	if !ok {
		return failed(KindType)
	}
	raw := bytes.TrimSpace([]byte(text))
	if !jsontext.Value(raw).IsValid() {
		return failed(KindValue)
	}
	value, err := decodeAny(raw)
	if err != nil {
		return types.WrapErr(err)
	}
	return value
}
