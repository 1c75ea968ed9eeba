package xapi

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestVersions(t *testing.T) {
	for header, want := range map[string]Version{
		"1.0": V1, "1.0.0": V1, "1.0.3": V1, "1.0.32": V1, "2.0": V2, "2.0.0": V2, "2.0.1": V2,
		"": 0, "1": 0, "1.": 0, "1.0.": 0, "1.1.0": 0, "0.95": 0, "2.1": 0, "3.0": 0, "1.0.3 ": 0, "1.0.x": 0,
		"v1.0.3": 0, "1.00": 0, "1.0.03": 0, "1.0.-1": 0, "1.0.3.1": 0, "1.0.1234567890": 0,
	} {
		got, err := ParseVersion(header)
		if got != want || (err == nil) != (want != 0) || err != nil && !errors.Is(err, ErrVersion) {
			t.Errorf("%q: got %v, %v, want %v", header, got, err, want)
		}
	}
	if V1.String() != "1.0.3" || V2.String() != "2.0.0" || V1.StatementVersion() != "1.0.0" || V2.StatementVersion() != "2.0.0" {
		t.Error("the versions are not called what the specification calls them")
	}
}

func TestTimestamps(t *testing.T) {
	const both, iso, none = 2, 1, 0
	for text, c := range map[string]struct {
		editions int
		want     string
	}{
		"2026-01-02T03:04:05Z":                     {both, "2026-01-02T03:04:05.000000Z"},
		"2026-01-02T03:04:05.1Z":                   {both, "2026-01-02T03:04:05.100000Z"},
		"2026-01-02T03:04:05.123456789Z":           {both, "2026-01-02T03:04:05.123456Z"},
		"2026-01-02T03:04:05.123456789123456789Z":  {both, "2026-01-02T03:04:05.123456Z"},
		"2026-01-02T03:04:05.123+02:00":            {both, "2026-01-02T01:04:05.123000Z"},
		"2026-01-01T23:04:05-05:30":                {both, "2026-01-02T04:34:05.000000Z"},
		"2015-11-18 12:17:00+00:00":                {both, "2015-11-18T12:17:00.000000Z"},
		"2015-11-18t12:17:00z":                     {both, "2015-11-18T12:17:00.000000Z"},
		"2024-02-29T00:00:00Z":                     {both, "2024-02-29T00:00:00.000000Z"},
		"2016-12-31T23:59:60Z":                     {both, "2017-01-01T00:00:00.000000Z"},
		"2026-01-02T03:04:05":                      {iso, "2026-01-02T03:04:05.000000Z"},
		"2026-01-02T03:04:05.5":                    {iso, "2026-01-02T03:04:05.500000Z"},
		"2026-01-02T03:04Z":                        {iso, "2026-01-02T03:04:00.000000Z"},
		"2026-01-02T03:04":                         {iso, "2026-01-02T03:04:00.000000Z"},
		"2026-01-02T03:04:05,5Z":                   {iso, "2026-01-02T03:04:05.500000Z"},
		"2026-01-02T03:04:05+02":                   {iso, "2026-01-02T01:04:05.000000Z"},
		"2026-01-02T03:04:05+0200":                 {iso, "2026-01-02T01:04:05.000000Z"},
		"20260102T030405Z":                         {iso, "2026-01-02T03:04:05.000000Z"},
		"20260102T030405.25+0200":                  {iso, "2026-01-02T01:04:05.250000Z"},
		"20260102T0304Z":                           {iso, "2026-01-02T03:04:00.000000Z"},
		"2026-01-02T24:00:00Z":                     {iso, "2026-01-03T00:00:00.000000Z"},
		"":                                         {none, ""},
		"2026":                                     {none, ""},
		"2026-01-02":                               {none, ""},
		"2026-01-02T":                              {none, ""},
		"2026-01-02T03Z":                           {none, ""},
		"2026-01-02X03:04:05Z":                     {none, ""},
		"2026-01-02T03:04:05.Z":                    {none, ""},
		"2026-01-02T03:04:05Zx":                    {none, ""},
		"2026-01-02T03:04:05Z+01:00":               {none, ""},
		"2026-13-02T03:04:05Z":                     {none, ""},
		"2026-00-02T03:04:05Z":                     {none, ""},
		"2026-02-29T03:04:05Z":                     {none, ""},
		"2026-04-31T03:04:05+00:00":                {none, ""},
		"2026-01-00T03:04:05Z":                     {none, ""},
		"2026-01-02T25:04:05Z":                     {none, ""},
		"2026-01-02T24:00:01Z":                     {none, ""},
		"9999-12-31T23:59:59-23:00":                {none, ""}, // the year 10000 in UTC
		"9999-12-31T23:59:60Z":                     {none, ""},
		"0000-01-01T00:00:00+14:00":                {none, ""},
		"9999-12-31T23:59:59.999999999Z":           {both, "9999-12-31T23:59:59.999999Z"},
		"2026-01-02T03:60:05Z":                     {none, ""},
		"2026-01-02T03:04:61Z":                     {none, ""},
		"2026-01-02T03:04:05+24:00":                {none, ""},
		"2026-01-02T03:04:05+01:60":                {none, ""},
		"2026-01-02T03:04:05-00":                   {none, ""},
		"2026-01-02T03:04:05-0000":                 {none, ""},
		"2026-01-02T03:04:05-00:00":                {none, ""},
		"20260102T03:04:05Z":                       {none, ""},
		"2026-01-02T030405Z":                       {none, ""},
		"01/011/2015":                              {none, ""},
		"2026-1-2T03:04:05Z":                       {none, ""},
		"+2026-01-02T03:04:05Z":                    {none, ""},
		"２026-01-02T03:04:05Z":                     {none, ""},
		"2026-01-02T03:04:0:Z":                     {none, ""},
		strings.Repeat("2", 1000):                  {none, ""},
		"2026-01-02T03:04:05.1234567890123456789x": {none, ""},
	} {
		for v, ok := range map[Version]bool{V1: c.editions >= iso, V2: c.editions == both} {
			got, err := ParseTime(text, v)
			if ok != (err == nil) || ok && FormatTime(got) != c.want {
				t.Errorf("%v %q: got %v, %v, want %q, valid %v", v, text, got, err, c.want, ok)
			}
			if err != nil && !errors.Is(err, ErrTimestamp) && !errors.Is(err, ErrUnknownOffset) {
				t.Errorf("%v %q: %v is no known error", v, text, err)
			}
		}
	}
	zone := time.FixedZone("", 3600)
	if got, want := FormatTime(time.Date(2026, 1, 2, 0, 30, 0, 999_999_999, zone)), "2026-01-01T23:30:00.999999Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDurations(t *testing.T) {
	for text, c := range map[string]struct {
		seconds   float64 // -1: invalid
		canonical string
	}{
		"PT4H35M59.14S":        {16559.14, "PT4H35M59.14S"},
		"PT16559.14S":          {16559.14, "PT16559.14S"},
		"P3Y1M29DT4H35M59.14S": {3*31557600 + 2629800 + 29*86400 + 16559.14, "P3Y1M29DT4H35M59.14S"},
		"P3Y":                  {3 * 31557600, "P3Y"},
		"P4W":                  {4 * 604800, "P4W"},
		"P0.5W":                {302400, "P0.5W"},
		"PT0S":                 {0, "PT0S"},
		"PT1M":                 {60, "PT1M"},
		"P1M":                  {2629800, "P1M"},
		"PT60S":                {60, "PT60S"},
		"PT1.5H":               {5400, "PT1.5H"},
		"PT1,5H":               {5400, "PT1.5H"},
		"PT1.255H":             {4518, "PT1.255H"},
		"PT1.239S":             {1.239, "PT1.23S"},
		"PT1.2S":               {1.2, "PT1.2S"},
		"PT1.20S":              {1.2, "PT1.2S"},
		"PT1.001S":             {1.001, "PT1S"},
		"PT1H0M0.1S":           {3600.1, "PT1H0M0.1S"},
		"P1YT1S":               {31557601, "P1YT1S"},
		"P4W1D":                {-1, ""},
		"P1D4W":                {-1, ""},
		"":                     {-1, ""},
		"P":                    {-1, ""},
		"PT":                   {-1, ""},
		"P1DT":                 {-1, ""},
		"P1":                   {-1, ""},
		"P1S":                  {-1, ""},
		"PT1D":                 {-1, ""},
		"PT1Y":                 {-1, ""},
		"PT1S1M":               {-1, ""},
		"PT1S2S":               {-1, ""},
		"PT1.5H30M":            {-1, ""},
		"P1.5DT1S":             {-1, ""},
		"PT.5S":                {-1, ""},
		"PT5.S":                {-1, ""},
		"PT1.2.3S":             {-1, ""},
		"-PT1S":                {-1, ""},
		"PT-1S":                {-1, ""},
		"+PT1S":                {-1, ""},
		"pt1s":                 {-1, ""},
		"PA1H0M0S":             {-1, ""},
		"P0003-06-04T12:30:05": {-1, ""},
		"PT1H T1S":             {-1, ""},
		"P1Y2W":                {-1, ""},
		"P1WT1S":               {-1, ""},
		"PTT1S":                {-1, ""},
		"PT1STT":               {-1, ""},
	} {
		d, err := ParseDuration(text)
		if c.seconds < 0 {
			if !errors.Is(err, ErrDuration) {
				t.Errorf("%q: got %v, want ErrDuration", text, err)
			}
			continue
		}
		if err != nil || d.Canonical() != c.canonical || abs(d.InSeconds()-c.seconds) > 1e-6 {
			t.Errorf("%q: got %v %q %v, want %v %q", text, d.InSeconds(), d.Canonical(), err, c.seconds, c.canonical)
		}
	}
}

func abs(f float64) float64 { return max(f, -f) }

func TestLanguageTags(t *testing.T) {
	for _, tag := range []string{
		"en", "EN", "de-CH", "zh-Hant", "zh-Hans-CN", "sr-Latn-RS", "cmn", "es-419", "sl-rozaj-biske", "de-CH-1901",
		"zh-cmn-Hans-CN", "zh-yue", "en-a-myext-b-another", "ar-a-aaa-b-bbb-a-ccc", "x-whatever", "en-x-a-b", "qaa-Qaaa-QM-x-southern",
		"de-DE-u-co-phonebk", "i-klingon", "i-default", "en-GB-oed", "sgn-BE-FR", "art-lojban", "zh-min-nan", "und", "mul",
		"abcd", "abcdefgh", "hy-Latn-IT-arevela", "en-US-x-twain", "sl-nedis", "de-1996", "az-Arab-x-AZE-derbend",
	} {
		if !IsLanguageTag(tag) {
			t.Errorf("%q refused", tag)
		}
	}
	for _, tag := range []string{
		"", "a", "1", "e1", "en_US", "en-", "-en", "en--US", "a12345678", "abcdefghi", "en-U", "de-419-DE", "en-a", "en-a-",
		"x", "x-", "en-x", "en-x-", "en-x-abcdefghi", "en-a-b", "de-12", "en-Latn-Latn", "i-unknown", "én", "en US", "ab-c-d-e-f",
		"abcd-ext", strings.Repeat("en-", 100) + "US",
	} {
		if IsLanguageTag(tag) {
			t.Errorf("%q accepted", tag)
		}
	}
}

func TestIRIs(t *testing.T) {
	for _, iri := range []string{
		"https://campus.example/a", "http://x", "urn:uuid:9b1b0e53-6a5e-4a3c-8a52-7d0f6f0c1a01", "mailto:a@b.example", "tag:x,2026:y", "a+b.c-d:x",
		"course-v1:X+Y+Z", "http://example.com/فعل/خواندن", "https://x.example/?a[]=1&b=%20", "https://x.example/#a#b", "https://bücher.example/ä",
		"uuid://7d4f3c70", "x:\U0001F600", "HTTP://X.EXAMPLE", "x:a\u200cb",
	} {
		if !IsIRI(iri) || !IsIRI([]byte(iri)) {
			t.Errorf("%q refused", iri)
		}
	}
	for _, iri := range []string{
		"", ":", "x", "x:", "://x", "/x", "x.example/a", "1a:b", "ab=c://x", " https://x", "https://x y", "https://x\n", "https://x\x00", "https://<x>",
		`https://x"`, "https://x{y}", "https://x|y", `https://x\y`, "https://x^y", "https://x`y", "https://ä b", "https://ä\x7f", "https://x\u0085",
		"https://x\ufdd0", "https://x\uffff", "https://x\U0001fffe", "https://x\u202e", "ä:b", "https://ä<",
	} {
		if IsIRI(iri) || IsIRI([]byte(iri)) {
			t.Errorf("%q accepted", iri)
		}
	}
}

func TestMailto(t *testing.T) {
	for _, mbox := range []string{"mailto:a@b", "mailto:a.b+c@d-e.example", "mailto:ä@bücher.example", "mailto:o'neil@x.example", "mailto:a@[127.0.0.1]", "mailto:a@[IPv6:::1]", "mailto:%22a@b%22@x.example"} {
		if !isMailto(mbox) {
			t.Errorf("%q refused", mbox)
		}
	}
	for _, mbox := range []string{"", "a@b", "mailto:", "mailto:a", "mailto:@b", "mailto:a@", "MAILTO:a@b", "mailto: a@b", "mailto:a@b c", "mailto:a@b,c@d", "mailto:a@b?subject=x",
		"mailto:<a@b>", "mailto:a@b\n", "mailto:a@.b", "mailto:a@b..c", "mailto:a@-b", "mailto:a@b-", "mailto:a@b/c", "mailto:a@b:25", "mailto://a@b#c"} {
		if isMailto(mbox) {
			t.Errorf("%q accepted", mbox)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	for text, want := range map[string]bool{
		"text/plain": true, "text/plain; charset=ascii": true, "application/vnd.x+json;a=\"b c\"": true, "application/octet-stream ;x=y": true,
		"": false, "text": false, "text/": false, "/plain": false, "text plain/x": false, "text/plain; \n": false, "a/b/c": false, "*/": false,
	} {
		if isMediaType(text) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}
