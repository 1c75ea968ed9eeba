package mapping

import (
	"strings"
	"testing"
)

func TestFunctions(t *testing.T) {
	for expression, want := range map[string]string{
		`plainText('<h1>A &amp; B</h1><p>one<br>two</p><script>x()</script><style>p{}</style>&nbsp;end')`: `"A & B one two end"`,
		`plainText('5 < 6 and <b>bold')`:                        `"5 < 6 and bold"`,
		`plainText('')`:                                         `""`,
		`slug(' Ünder the  Bridge: #1! ')`:                      `"ünder-the-bridge-1"`,
		`slug('!!!')`:                                           `""`,
		`slugAscii(' It\'s the  Bridge_No: #1! ')`:              `"its-the-bridge-no-1"`,
		`slugAscii('Übung A/B')`:                                `"bung-ab"`,
		`slugAscii('')`:                                         `""`,
		`stripTags('<p>one<br>\ntwo&nbsp;&amp; 5 < 6</p><i>x')`: `"onetwo&amp; 5 < 6x"`,
		`stripTags('a <b')`:                                     `"a "`,
		`parsePhp('a:3:{s:6:"quizid";s:1:"7";s:4:"slot";i:12;s:2:"of";a:2:{i:0;d:0.5;i:1;b:1;}}')`: `{"quizid":"7","slot":12,"of":[0.5,true]}`,
		`parsePhp('O:8:"stdClass":2:{s:5:"score";i:1;s:6:"answer";s:4:"a;é";}').answer`:            `"a;é"`,
		`parsePhp('a:1:{i:5;N;}')`: `{"5":null}`,
		`parsePhp('a:0:{}')`:       `[]`,
		`parsePhp('i:-3;') + 1`:    `-2`,
		`rows([{'id': 7, 'n': 'a'}, {'id': '7', 'n': 'b'}, {'id': 8}, {'n': 'c'}], {'id': 7}).map(r, r.n)`: `["a","b"]`,
		`rows([{'id': 7, 'n': 'a'}, {'id': 7, 'n': 'b'}], {'id': '7', 'n': 'b'})`:                          `[{"id":7,"n":"b"}]`,
		`rows(record.big.?nothing, {'id': 7})[?0].?n.orValue('none')`:                                      `"none"`,
		`sum([1, 2, 3])`:                     `6`,
		`sum([0.5, 0.25])`:                   `0.75`,
		`sum([1].filter(n, n > 1))`:          `0`,
		`rows(record.big.?mixed, {'id': 7})`: `[]`,
		`uuid5('dns', 'www.example.com')`:    `"2ed6657d-e927-568b-95e1-2665a8aea6a2"`,
		`uuid5('url', 'http://python.org/')`: `"4c565f0d-3f5a-5890-b41b-20cf47701c5e"`,
		`uuid5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'www.example.com')`: `"2ed6657d-e927-568b-95e1-2665a8aea6a2"`,
		`uuidOfSha1('abc')`: `"a9993e36-4706-516a-ba3e-25717850c26c"`,
		`uuidOfSha1('12345678-1234-1234-1234-123456789abc' + '1')`: `"941f9d9c-96ba-561a-9a0a-d6ef2b9f6113"`,
		`fromEpoch(0)`:                   `"1970-01-01T00:00:00Z"`,
		`fromEpoch(1700000000.25)`:       `"2023-11-14T22:13:20.25Z"`,
		`fromEpoch(-1)`:                  `"1969-12-31T23:59:59Z"`,
		`isoDuration(0)`:                 `"PT0S"`,
		`isoDuration(195)`:               `"PT3M15S"`,
		`isoDuration(90061)`:             `"PT25H1M1S"`,
		`isoDuration(3600)`:              `"PT1H"`,
		`isoDuration(0.5)`:               `"PT0.5S"`,
		`isoDuration(59.9999999)`:        `"PT1M"`,
		`isoDuration(duration('1h30m'))`: `"PT1H30M"`,
		`jsonText({'b': [1, 2.5, null, true], 'a': 'x"é'})`:                     `"{\"a\":\"x\\\"é\",\"b\":[1,2.5,null,true]}"`,
		`jsonText(['a, b: c', {'k': 1}], ', ', ': ')`:                           `"[\"a, b: c\", {\"k\": 1}]"`,
		`jsonText(parseJson('{"z": 12345678901234567890, "a": [1.50]}'))`:       `"{\"z\":12345678901234567890,\"a\":[1.50]}"`,
		`parseJson('{"a": {"b": [10, 20]}}').a.b[1]`:                            `20`,
		`parseJson(' 9007199254740993 ') + 1`:                                   `9007199254740994`,
		`urlEncode('a b&c=d/é~')`:                                               `"a%20b%26c%3Dd%2F%C3%A9~"`,
		`urlDecode('a%20b+c%26')`:                                               `"a b c&"`,
		`capture('block-v1:X+type@video+block@7', 'type@([a-z]+)').orValue('')`: `"video"`,
		`capture('abc', 'b').value()`:                                           `"b"`,
		`capture('abc', 'x').orValue('none')`:                                   `"none"`,
		`capture('abc', 'a(x)?b').orValue('none')`:                              `"none"`,
		`capture(record.pupil, record.pupil).orValue('none')`:                   `"p.p"`,
		`addDays(date(2013, 10, 1), -159)`:                                      `"2013-04-25T00:00:00Z"`,
		`addDays(date(2024, 2, 28), 1)`:                                         `"2024-02-29T00:00:00Z"`,
		`filled(record.?note).orValue('none')`:                                  `"none"`,
		`filled(record.?pupil).orValue('none')`:                                 `"p.p"`,
		`filled(record.big.?empty).orValue('none')`:                             `"none"`,
		`filled(record.big.?zero).orValue(7)`:                                   `0`,
		`math.round(21.133524 * 1000.0) / 1000.0`:                               `21.134`,
		`record.?at.orValue(timestamp('2024-01-01T00:00:00Z')).getFullYear()`:   `2024`,
		`[3, 1, 2].sort()`:                                                      `[1,2,3]`,
		`'a,b'.split(',').map(x, x.upperAscii())`:                               `["A","B"]`,
		`record.big.mixed.map(x, type(x) == string ? dyn(x) : omit)`:            `["x"]`,
		`{'a': omit, 'b': optional.none(), 'c': null}`:                          `{"c":null}`,
		`record.score > 1.5`:                                                    `true`,
		`b'bytes'.size()`:                                                       `5`,
	} {
		m := load(t, result("raw: |-\n                ${"+expression+"}"))
		out, err := convert(t, m, `{"id": 7, "pupil": "p.p", "note": "", "score": 2, "big": {"empty": null, "zero": 0, "mixed": ["x", 1, null, 2.5]}}`)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		got := strings.TrimSuffix(strings.TrimPrefix(tail(t, out[0]), `{"raw":`), "}")
		if got != want {
			t.Errorf("%s: %s, want %s", expression, got, want)
		}
	}
}

// TestOneOrder: what an expression makes of a map comes in one order, however often it is made.
func TestOneOrder(t *testing.T) {
	m := load(t, result(`a: "${record.marks.transformMap(k, v, v + 1.0)}"`, `b: "${{'q': 1, 'w': 2, 'e': 3, 'r': 4, 't': 5, 'y': 6}.map(k, k)}"`,
		`c: "${record.big.map(k, k)}"`))
	const record = `{"id": 7, "pupil": "p", "marks": {"z": 1, "a": 2, "m": 3, "c": 4}, "big": {"z": 1, "a": 2, "m": 3, "c": 4}}`
	for range 50 {
		out, err := convert(t, m, record)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"a":{"a":3,"c":5,"m":4,"z":2},"b":["e","q","r","t","w","y"],"c":["z","a","m","c"]}`
		if got := tail(t, out[0]); got != want {
			t.Fatalf("got %s\nwant %s", got, want)
		}
	}
}
