package xapi

import (
	"errors"
	"time"
)

var (
	// ErrTimestamp says that a text is no timestamp of the edition.
	ErrTimestamp = errors.New("must be an RFC 3339 date and time, such as 2026-01-02T03:04:05.123Z")
	// ErrUnknownOffset says that a timestamp has the offset -00:00.
	ErrUnknownOffset = errors.New("must not have the offset -00:00; UTC is written Z or +00:00")
)

// FormatTime gives the form in which this product writes times: RFC 3339 in UTC with six fractional
// digits, "2026-01-02T03:04:05.123456Z". Finer parts are cut off.
func FormatTime(t time.Time) string { return string(AppendTime(nil, t)) }

// AppendTime is FormatTime onto dst.
func AppendTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
}

// ParseTime reads a timestamp and gives it in UTC.
//
// 2.0 takes RFC 3339 with "T", "t" or a space between date and time and an offset that must be there.
// 1.0.3 takes ISO 8601 combined representations (Data 4.5): also the basic format without separators,
// without seconds, with a comma before the fraction, with 24:00 for midnight at the end of a day, and with
// no offset, which is read as UTC. Ordinal and week dates and fractions of hours and minutes, which no known system sends,
// are refused. Both refuse -00:00, which ISO 8601 forbids and the conformance battery of 2.0 too. A leap
// second counts as the first second of the next minute; fractions finer than nanoseconds are cut off.
func ParseTime(text string, v Version) (time.Time, error) {
	if t, ok := utcTime(text); ok {
		return t, nil
	}
	s := timeScanner{text: text, iso: v < V2, ok: true}
	t := s.scan()
	switch {
	case s.unknownOffset:
		return time.Time{}, ErrUnknownOffset
	case !s.ok, t.Year() < 0, t.Year() > 9999: // an offset can lead out of the years that can be written in UTC
		return time.Time{}, ErrTimestamp
	}
	return t, nil
}

// utcTime reads the usual forms 2026-01-02T03:04:05[.999999999]Z without the detours of a scanner.
func utcTime(text string) (time.Time, bool) {
	if len(text) < 20 || len(text) > 30 || text[len(text)-1] != 'Z' || text[10] != 'T' || len(text) == 21 {
		return time.Time{}, false
	}
	if text[4] != '-' || text[7] != '-' || text[13] != ':' || text[16] != ':' || len(text) > 20 && text[19] != '.' {
		return time.Time{}, false
	}
	var fields [6]int
	for i, at := range [...]int{2, 5, 8, 11, 14, 17} {
		if !isDigit(text[at]) || !isDigit(text[at+1]) {
			return time.Time{}, false
		}
		fields[i] = int(text[at]-'0')*10 + int(text[at+1]-'0')
	}
	if !isDigit(text[0]) || !isDigit(text[1]) {
		return time.Time{}, false
	}
	fields[0] += int(text[0]-'0')*1000 + int(text[1]-'0')*100
	nanos, unit := 0, 100_000_000
	for i := 20; i < len(text)-1; i++ {
		if !isDigit(text[i]) {
			return time.Time{}, false
		}
		nanos += int(text[i]-'0') * unit
		unit /= 10
	}
	if fields[3] > 23 || fields[4] > 59 || fields[5] > 59 {
		return time.Time{}, false
	}
	return dateTime(fields, nanos)
}

// dateTime refuses a day that its month does not have.
func dateTime(f [6]int, nanos int) (time.Time, bool) {
	if f[1] < 1 || f[1] > 12 || f[2] < 1 || f[2] > 31 {
		return time.Time{}, false
	}
	t := time.Date(f[0], time.Month(f[1]), f[2], f[3], f[4], f[5], nanos, time.UTC)
	if f[2] > 28 && time.Date(f[0], time.Month(f[1]), f[2], 0, 0, 0, 0, time.UTC).Day() != f[2] {
		return time.Time{}, false
	}
	return t, true
}

// timeScanner reads a timestamp from the left.
type timeScanner struct {
	text          string
	iso           bool // ISO 8601 and not only RFC 3339
	ok            bool
	unknownOffset bool
}

func (s *timeScanner) scan() time.Time {
	var f [6]int
	f[0] = s.digits(4)
	extended := s.skip('-')
	f[1] = s.digits(2)
	if extended != s.skip('-') {
		s.ok = false
	}
	f[2] = s.digits(2)
	if !s.skip('T') && !s.skip('t') && !s.skip(' ') || !extended && !s.iso {
		s.ok = false
	}
	f[3] = s.digits(2)
	s.colon(extended)
	f[4] = s.digits(2)
	nanos := 0
	if !s.iso || s.moreSeconds(extended) {
		s.colon(extended)
		f[5] = s.digits(2)
		nanos = s.fraction()
	}
	offset := s.offset(extended)
	if s.text != "" || f[3] > 24 || f[4] > 59 || f[5] > 60 || f[3] == 24 && (!s.iso || f[4] != 0 || f[5] != 0 || nanos != 0) {
		s.ok = false
	}
	if !s.ok {
		return time.Time{}
	}
	t, ok := dateTime(f, nanos)
	s.ok = ok
	return t.Add(-offset)
}

func (s *timeScanner) moreSeconds(extended bool) bool {
	if extended {
		return s.text != "" && s.text[0] == ':'
	}
	return s.text != "" && isDigit(s.text[0])
}

func (s *timeScanner) digits(n int) (value int) {
	if len(s.text) < n {
		s.ok, s.text = false, ""
		return 0
	}
	for i := range n {
		if !isDigit(s.text[i]) {
			s.ok = false
		}
		value = value*10 + int(s.text[i]-'0')
	}
	s.text = s.text[n:]
	return value
}

func (s *timeScanner) skip(c byte) bool {
	if s.text == "" || s.text[0] != c {
		return false
	}
	s.text = s.text[1:]
	return true
}

func (s *timeScanner) colon(extended bool) {
	if extended != s.skip(':') {
		s.ok = false
	}
}

// fraction reads the decimal fraction of a second, of any length.
func (s *timeScanner) fraction() (nanos int) {
	if !s.skip('.') && !(s.iso && s.skip(',')) {
		return 0
	}
	n := 0
	for unit := 100_000_000; n < len(s.text) && isDigit(s.text[n]); n++ {
		nanos += int(s.text[n]-'0') * unit
		unit /= 10
	}
	if n == 0 {
		s.ok = false
	}
	s.text = s.text[n:]
	return nanos
}

// offset reads Z, ±hh:mm and, in ISO 8601, ±hhmm, ±hh and nothing at all.
func (s *timeScanner) offset(extended bool) time.Duration {
	if s.skip('Z') || s.skip('z') {
		return 0
	}
	sign := time.Duration(1)
	switch {
	case s.skip('+'):
	case s.skip('-'):
		sign = -1
	default:
		s.ok = s.ok && s.iso && s.text == ""
		return 0
	}
	hours, minutes := s.digits(2), 0
	switch {
	case s.skip(':'):
		minutes = s.digits(2)
		s.ok = s.ok && (extended || !s.iso)
	case !s.iso:
		s.ok = false
	case s.text != "":
		minutes = s.digits(2)
	}
	if hours > 23 || minutes > 59 {
		s.ok = false
	}
	if sign < 0 && hours == 0 && minutes == 0 && s.ok {
		s.ok, s.unknownOffset = false, true
	}
	return sign * (time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute)
}
